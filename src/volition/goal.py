"""Goal: what a person wants, in words, pictures and principles."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

VETO_SHARE = 3  # one question in so many is about a veto, where there is one
VETO = "veto:"  # what a line of a constitution file begins with that is one
MEANT = "What is meant by that:"
NEVER = "What may not happen, whatever else is reached:"


@dataclass(frozen=True, slots=True)
class Principle:
    """One sentence to judge by.

    Attributes:
        text: The sentence.
        veto: Whether it is judged by itself, whatever else the goal says, and caps the reward.
    """

    text: str
    veto: bool = False


Principles = tuple[Principle | None, ...]
UNSEEN = ("Cc", "Cs", "Zl", "Zp")  # kinds of signs that nobody sees, or that end a line
HIDDEN = frozenset(  # others: they turn text round, or carry words that nobody sees
    map(
        chr,
        (
            *range(0x202A, 0x202F),
            *range(0x2060, 0x2070),
            *range(0xFFF9, 0xFFFC),
            *range(0xE0000, 0xE1000),
            *(0x00AD, 0x115F, 0x1160, 0x180E, 0x3164, 0xFEFF, 0xFFA0),
        ),
    )
)
JOINERS = frozenset("\u200b\u200c\u200d")  # within words of some scripts, and within emoji
DIRECTIONS = frozenset("\u061c\u200e\u200f")  # beside words that are written to the left
Kind = Literal["principle", "veto", "goal"]
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True, slots=True, init=False)
class Goal:
    """A goal as a person states it.

    Attributes:
        text: The goal in words, as it is put to the judge.
        images: Pictures that show the goal reached.
        counterexamples: Pictures that show what is not meant.
        principles: A constitution; a judgment may be put under one of them.
        vetoes: Principles that are judged by themselves: what violates one is worth little,
            however well it represents the goal.
    """

    text: str
    images: tuple[Path, ...]
    counterexamples: tuple[Path, ...]
    principles: tuple[str, ...]
    vetoes: tuple[str, ...]

    def __init__(
        self,
        text: str,
        images: Sequence[str | Path] = (),
        counterexamples: Sequence[str | Path] = (),
        principles: Sequence[str] = (),
        vetoes: Sequence[str] = (),
    ) -> None:
        if not text.strip():
            raise ValueError("a goal needs words: its text is empty")
        for kind, sentences in (("principle", principles), ("veto", vetoes)):
            if any(not sentence.strip() for sentence in sentences):
                raise ValueError(f"a {kind} needs words: one of {list(sentences)} is empty")
        if both := set(principles) & set(vetoes):
            raise ValueError(f"{both.pop()!r} is either a principle or a veto, not both")
        object.__setattr__(self, "text", text.strip())
        object.__setattr__(self, "images", tuple(Path(image) for image in images))
        object.__setattr__(self, "counterexamples", tuple(Path(image) for image in counterexamples))
        object.__setattr__(self, "principles", tuple(principles))
        object.__setattr__(self, "vetoes", tuple(vetoes))

    @property
    def pictures(self) -> tuple[Path, ...]:
        """All that show what is meant, and what is not."""
        return (*self.images, *self.counterexamples)

    @property
    def put_under(self) -> Principles:
        """What one judgment is put under: one of these, each as likely as the others.

        None is the goal as it is. Where there are vetoes, they are a `VETO_SHARE`-th of it.
        """
        ordinary: list[Principle | None] = [*map(Principle, self.principles)] or [None]
        return _with_vetoes(ordinary, self.vetoes)

    def put_under_after(self, changes: Sequence[Change]) -> Principles:
        """Likewise after these changes, the last of which made this goal.

        What was there before the first of them is put still, the goal as it was among it where it
        had no principle; a principle that came last is put as often as all others together.
        """
        said = [change.text for change in changes if change.kind == "principle"]
        first: list[Principle | None] = [
            Principle(text) for text in self.principles if text not in said
        ]
        others: list[Principle | None] = [*(first or [None]), *map(Principle, said)]
        if changes and changes[-1].kind == "principle":
            newest = others.pop()
            others += [newest] * len(others)
        return _with_vetoes(others, self.vetoes)


@dataclass(frozen=True, slots=True)
class Change:
    """What a correction makes of a goal.

    Attributes:
        kind: A further `principle`, a further `veto`, or another sentence as the `goal`.
        text: Its words.
    """

    kind: Kind
    text: str

    @property
    def under(self) -> Principle | None:
        """What is put to a judge because of it; None is the goal as it is by then."""
        return None if self.kind == "goal" else Principle(self.text, self.kind == "veto")

    def of(self, goal: Goal) -> Goal:
        """The goal with it. Pictures of what was meant before go when the sentence does.

        Raises:
            ValueError: It has no words, or the goal cannot have it.
        """
        principles, vetoes = goal.principles, goal.vetoes
        if self.kind == "principle":
            principles = (*principles, self.text)
        elif self.kind == "veto":
            vetoes = (*vetoes, self.text)
        if self.kind == "goal":
            return Goal(self.text, principles=principles, vetoes=vetoes)
        return Goal(goal.text, goal.images, goal.counterexamples, principles, vetoes)


def _with_vetoes(ordinary: Sequence[Principle | None], vetoes: Sequence[str]) -> Principles:
    """These, each as often as another, and vetoes as a `VETO_SHARE`-th."""
    alone = [Principle(text, veto=True) for text in vetoes]
    often = max(1, (VETO_SHARE - 1) * len(alone))
    return (*[*ordinary] * often, *alone * len(ordinary))


def hidden_sign(text: str) -> str:
    """The first sign because of which a text is not one line that reads as it looks; else empty.

    A sign without width is where a script needs it: a joiner between two signs of which none is
    ASCII or another joiner, a mark of direction where something is written to the left.
    """
    leftward = any(
        unicodedata.bidirectional(s) in ("R", "AL") and s not in DIRECTIONS for s in text
    )
    for place, sign in enumerate(text):
        beside = (text[place - 1 : place], text[place + 1 : place + 2])
        if (
            unicodedata.category(sign) in UNSEEN
            or sign in HIDDEN
            or (sign in DIRECTIONS and not leftward)
            or (sign in JOINERS and any(s.isascii() or s in JOINERS for s in beside))
        ):
            return sign
    return ""


def alike(sentence: str) -> str:
    """The same for sentences that differ in nothing that a reader minds."""
    seen = "".join(s for s in sentence if unicodedata.category(s) != "Cf")
    return " ".join(unicodedata.normalize("NFKC", seen).casefold().split()).rstrip(".!")


def in_one(text: str, principles: Sequence[Principle]) -> str:
    """A goal's words with these behind them, to be judged all at once."""
    lines = [text.strip()]
    for heading, veto in ((MEANT, False), (NEVER, True)):
        sentences = [f"- {each.text}" for each in principles if each.veto is veto]
        lines += [heading, *sentences] if sentences else []
    return "\n".join(lines)


def read_constitution(text: str) -> list[Principle]:
    """The principles of a constitution file.

    Each line is one; a line that begins with a space goes on with the one before. Dashes before a
    principle are left out, as are empty lines and those that begin with `#`. A line that begins
    with `veto:` is a veto.
    """
    lines: list[str] = []
    for line in text.splitlines():
        words = line.strip()
        if not words or words.startswith("#"):
            continue
        if line[0].isspace() and lines and not words.startswith("- "):
            lines[-1] += f" {words}"
        else:
            lines.append(words.removeprefix("- ").strip())
    return [
        Principle(line[len(VETO) :].strip(), veto=True)
        if line.lower().startswith(VETO)
        else Principle(line)
        for line in lines
    ]
