"""Goal: what a person wants, in words, pictures and principles."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

VETO_SHARE = 3  # one question in so many is about a veto, where there is one
VETO = "veto:"  # what a line of a constitution file begins with that is one
DONE = "done:"  # what a judgment's principle begins with that says whether a stage is done
KEPT = "kept:"  # likewise whether a veto is kept to
STAGE_SHARE = 1  # questions about what a stage wants, for each about whether it is done
FEWEST_STAGES, MOST_STAGES = 2, 12
LONGEST_STAGE = 300  # characters of each of its sentences
MEANT = "What is meant by that:"
NEVER = "What may not happen, whatever else is reached:"


Asks = Literal["", "stage", "done", "kept"]


@dataclass(frozen=True, slots=True)
class Principle:
    """One sentence to judge by.

    Attributes:
        text: The sentence.
        veto: Whether it is judged by itself, whatever else the goal says, and caps the reward.
        asks: Of a goal in stages: which of two is further in a `stage`, or whether
            it is `done` in what is shown first. Of a veto: whether it is `kept` to in that.
    """

    text: str
    veto: bool = False
    asks: Asks = ""

    @property
    def words(self) -> str:
        """As it is told to whoever judges, who is asked otherwise whether a stage is done."""
        prefix = {"done": DONE, "kept": KEPT}.get(self.asks)
        return self.text.removeprefix(f"{prefix} ") if prefix else self.text


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
class GoalStage:
    """One of several things that are wanted in turn.

    Attributes:
        text: What is wanted in it.
        done: What is so when it is done; by default its text.

    Raises:
        ValueError: One of them says nothing, is longer than `LONGEST_STAGE`, or is not one line
            that reads as it looks.
    """

    text: str
    done: str

    def __init__(self, text: str, done: str = "") -> None:
        object.__setattr__(self, "text", text.strip())
        object.__setattr__(self, "done", done.strip() or self.text)
        for sentence in (self.text, self.done):
            if not sentence:
                raise ValueError("a stage needs words: its text is empty")
            if len(sentence) > LONGEST_STAGE:
                raise ValueError(
                    f"a stage has {len(sentence):,} characters, and may have {LONGEST_STAGE}: "
                    f"{sentence[:40]!r} ..."
                )
            if sign := hidden_sign(sentence):
                raise ValueError(
                    f"a stage is one line of text, and holds U+{ord(sign):04X}: {sentence!r}"
                )
        if self.text.lower().startswith(DONE):
            raise ValueError(f"a stage's text begins with {DONE!r}, which says when it is done")

    @property
    def asked(self) -> tuple[Principle, Principle]:
        """What is judged of it: which of two is further, and whether it is done in one."""
        return Principle(self.text, asks="stage"), Principle(f"{DONE} {self.done}", asks="done")


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
        stages: What is wanted in turn, where that is several things; each is judged by itself.
    """

    text: str
    images: tuple[Path, ...]
    counterexamples: tuple[Path, ...]
    principles: tuple[str, ...]
    vetoes: tuple[str, ...]
    stages: tuple[GoalStage, ...]

    def __init__(
        self,
        text: str,
        images: Sequence[str | Path] = (),
        counterexamples: Sequence[str | Path] = (),
        principles: Sequence[str] = (),
        vetoes: Sequence[str] = (),
        stages: Sequence[GoalStage | str | tuple[str, str]] = (),
    ) -> None:
        """A stage may be given as its text, or as its text and what is so when it is done."""
        if not text.strip():
            raise ValueError("a goal needs words: its text is empty")
        for kind, sentences in (("principle", principles), ("veto", vetoes)):
            if any(not sentence.strip() for sentence in sentences):
                raise ValueError(f"a {kind} needs words: one of {list(sentences)} is empty")
        if both := set(principles) & set(vetoes):
            raise ValueError(f"{both.pop()!r} is either a principle or a veto, not both")
        in_turn = tuple(map(_as_stage, stages))
        if in_turn:
            _check_stages(in_turn, vetoes)
        object.__setattr__(self, "text", text.strip())
        object.__setattr__(self, "images", tuple(Path(image) for image in images))
        object.__setattr__(self, "counterexamples", tuple(Path(image) for image in counterexamples))
        object.__setattr__(self, "principles", tuple(principles))
        object.__setattr__(self, "vetoes", tuple(vetoes))
        object.__setattr__(self, "stages", in_turn)

    @property
    def pictures(self) -> tuple[Path, ...]:
        """All that show what is meant, and what is not."""
        return (*self.images, *self.counterexamples)

    @property
    def put_under(self) -> Principles:
        """What one judgment is put under: one of these, each as likely as the others.

        None is the goal as it is. Where there are vetoes, they are a `VETO_SHARE`-th of it. Of a
        goal in stages each is asked about alike, `STAGE_SHARE` times as often what it wants as
        whether it is done.
        """
        return _with_vetoes(self.asked, [Principle(text, veto=True) for text in self.vetoes])

    @property
    def asked(self) -> list[Principle | None]:
        """Likewise without the vetoes."""
        if not self.stages:
            return [*map(Principle, self.principles)] or [None]
        asked = [stage.asked for stage in self.stages]
        return [one for wants, done in asked for one in (*[wants] * STAGE_SHARE, done)]

    @property
    def by_vetoes(self) -> tuple[str, ...]:
        """Under what is judged by a veto alone."""
        return alone(self.vetoes)

    def put_under_after(self, changes: Sequence[Change]) -> Principles:
        """Likewise after these changes, the last of which made this goal.

        What was there before the first of them is put still, the goal as it was among it where it
        had no principle; a principle or a veto that came last is put as often as all others
        together. Of a veto that came so is asked whether it is kept to.
        """
        if self.stages:
            return self.put_under
        said = [change.text for change in changes if change.kind == "principle"]
        first: list[Principle | None] = [
            Principle(text) for text in self.principles if text not in said
        ]
        others: list[Principle | None] = [*(first or [None]), *map(Principle, said)]
        if changes and changes[-1].kind == "principle":
            newest = others.pop()
            others += [newest] * len(others)
        vetoes = [
            kept(text) if Change("veto", text) in changes else Principle(text, veto=True)
            for text in self.vetoes
        ]
        if changes and changes[-1].kind == "veto":
            newest_veto = vetoes.pop()
            before = _with_vetoes(others, vetoes)
            return (*before, *[newest_veto] * len(before))
        return _with_vetoes(others, vetoes)


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
        if self.kind == "goal":
            return None
        return kept(self.text) if self.kind == "veto" else Principle(self.text)

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
            return Goal(self.text, principles=principles, vetoes=vetoes, stages=goal.stages)
        return Goal(goal.text, goal.images, goal.counterexamples, principles, vetoes, goal.stages)


def _as_stage(said: GoalStage | str | tuple[str, str]) -> GoalStage:
    if isinstance(said, GoalStage):
        return said
    return GoalStage(said) if isinstance(said, str) else GoalStage(*said)


def _check_stages(stages: Sequence[GoalStage], vetoes: Sequence[str]) -> None:
    """That a goal can have these.

    Raises:
        ValueError: It cannot.
    """
    if not FEWEST_STAGES <= len(stages) <= MOST_STAGES:
        raise ValueError(
            f"a goal has {FEWEST_STAGES} to {MOST_STAGES} stages, and {len(stages)} are given"
        )
    for texts in ([s.text for s in stages], [s.done for s in stages]):
        if twice := [text for text in texts if texts.count(text) > 1]:
            raise ValueError(f"two stages say the same, {twice[0]!r}: each is another")
    if both := set(vetoes) & {s.text for s in stages}:
        raise ValueError(f"{both.pop()!r} is either a stage or a veto, not both")


def kept(veto: str) -> Principle:
    """Whether a veto is kept to in what is shown first."""
    return Principle(f"{KEPT} {veto}", veto=True, asks="kept")


def alone(vetoes: Sequence[str]) -> tuple[str, ...]:
    """Under what is judged by one of these vetoes alone: which of two keeps to it better, or
    whether one does."""
    return (*vetoes, *(kept(text).text for text in vetoes))


def _with_vetoes(ordinary: Sequence[Principle | None], vetoes: Sequence[Principle]) -> Principles:
    """These, each as often as another, and vetoes as a `VETO_SHARE`-th."""
    often = max(1, (VETO_SHARE - 1) * len(vetoes))
    return (*[*ordinary] * often, *[*vetoes] * len(ordinary))


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
