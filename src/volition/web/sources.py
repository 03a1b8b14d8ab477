"""What people are asked about: the pairs of a run, or those of a folder of questions.

A source knows what the judge answered and tells it to nobody who has not answered himself. It is
used by one thread alone, since a store and a drawing surface belong to the thread that opened them.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol, Self

from volition.comparison import content_id, encode_png
from volition.errors import InputError
from volition.evidence.audit.sampling import Sample
from volition.goal import Goal
from volition.judging.folders import (
    ASKED_FILE,
    NOT_MEANT,
    PAIRS_FILE,
    REACHED,
    read_questions,
    view_asked,
)
from volition.judgment import Order, Put
from volition.run.folder import RunFolder
from volition.storage.pictures import read_frame
from volition.storage.store import FRAMES

Asked = tuple[str, str | None]
"""A comparison's id, and the principle under which it is put, if any."""
SHARED = 5  # one question in so many is put to everybody
READ_ON_S = 1.0
PICTURES = 512  # that are remembered, encoded
CAPTIONED = re.compile(rf"!\[({REACHED}|{NOT_MEANT})\]\((goal/\d+\.png)\)")


@dataclass(frozen=True, slots=True)
class Question:
    """A pair, and what it is judged under.

    Attributes:
        comparison_id: Names the pair.
        principle: In whose words it is judged, if any.
        veto: Whether it is judged by these alone.
        first, second: Name what is shown, in the order of the comparison.
        key: By which a page names it.
        shared: Whether it is put to everybody, so that people can be compared.
    """

    comparison_id: str
    principle: str | None
    veto: bool
    first: str
    second: str
    key: str
    shared: bool

    @classmethod
    def of(cls, asked: Asked, veto: bool, first: str, second: str) -> Self:
        comparison_id, principle = asked
        key = content_id(comparison_id.encode(), (principle or "").encode())
        return cls(*asked, veto, first, second, key, int(key, 16) % SHARED == 0)

    @property
    def asked(self) -> Asked:
        return self.comparison_id, self.principle

    def order_for(self, person: str) -> Order:
        """Which of the two that person sees first: drawn once, and always the same."""
        drawn = hashlib.sha256(f"{person} {self.key}".encode()).digest()
        return Order.SWAPPED if drawn[0] % 2 else Order.FORWARD


class Said(NamedTuple):
    """What the judge made of a question.

    Attributes:
        p_first: Its probability that the comparison's first segment is preferred.
        words: Why, where it said so.
    """

    p_first: float
    words: str


class Source(Protocol):
    """Pairs before people."""

    folder: Path
    title: str
    goal: Goal

    def new_questions(self) -> Sequence[Question]:
        """Those that have come since this was last asked."""
        ...

    def frames(self, side: str) -> int:
        """How many frames show a side."""
        ...

    def picture(self, side: str, number: int) -> bytes | None:
        """One of them as a PNG, counted from 0; None where there is no such side or frame."""
        ...

    def said(self, asked: Asked) -> Said | None:
        """What the judge answered; None where it has not."""
        ...

    def close(self) -> None:
        """Lets go of files and drawing surfaces."""
        ...


class GoalPicture(NamedTuple):
    """A picture of the goal, or of what is not meant."""

    caption: str
    png: bytes


def shown_goal(goal: Goal) -> list[GoalPicture]:
    """The pictures of a goal, encoded."""
    named = [(REACHED, path) for path in goal.images]
    named += [(NOT_MEANT, path) for path in goal.counterexamples]
    return [GoalPicture(caption, encode_png(read_frame(path).pixels)) for caption, path in named]


class Pictures:
    """The last encoded frames, by the side and the number of each."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, int], bytes] = OrderedDict()

    def get(self, side: str, number: int) -> bytes | None:
        found = self._known.get((side, number))
        if found is not None:
            self._known.move_to_end((side, number))
        return found

    def keep(self, side: str, number: int, png: bytes) -> bytes:
        self._known[side, number] = png
        if len(self._known) > PICTURES:
            self._known.popitem(last=False)
        return png


class RunSource:
    """The pairs of a run: all that it has by now, or those of an audit.

    Args:
        run: The run.
        sample: The audit's.
    """

    def __init__(self, run: RunFolder, sample: Sample | None = None) -> None:
        self.folder, self.title = run.path, run.task.name
        self.goal = run.task.stated_goal()
        self._run, self._sample = run, sample
        self._store = run.open_store()
        self._goal_id = run.settings.goal_ids[-1] if run.settings.goal_ids else None
        self._put: dict[str, Put] = {}
        self._known: set[Asked] = set()
        self._fresh: list[Question] = []
        self._sides: set[str] = set()
        self._counts: dict[str, int] = {}
        self._said: dict[Asked, tuple[float, int, str]] = {}
        self._outcomes_read, self._read_at = 0, -math.inf
        self._pictures = Pictures()

    def new_questions(self) -> Sequence[Question]:
        self._read_on()
        fresh, self._fresh = self._fresh, []
        return fresh

    def said(self, asked: Asked) -> Said | None:
        if asked not in self._said:
            return None
        total, count, words = self._said[asked]
        return Said(total / count, words)

    def frames(self, side: str) -> int:
        if side not in self._counts:
            self._counts[side] = len(self._store.segment(side).frames)
        return self._counts[side]

    def picture(self, side: str, number: int) -> bytes | None:
        if side not in self._sides:
            return None
        if (known := self._pictures.get(side, number)) is not None:
            return known
        frames = self._store.segment(side).frames
        if not 0 <= number < len(frames):
            return None
        return self._pictures.keep(side, number, encode_png(frames[number].pixels))

    def close(self) -> None:
        self._store.close()

    def _read_on(self) -> None:
        """What has come since: a run may be under way."""
        if time.monotonic() < self._read_at + READ_ON_S:
            return
        self._read_at = time.monotonic()
        put = self._store.put(len(self._put))
        outcomes = self._store.outcomes(self._outcomes_read)
        if not put and not outcomes:
            return
        self._put.update(put)
        if outcomes:
            self._outcomes_read = outcomes[-1].sequence
        people = {name for name, judge in self._store.judges().items() if judge.is_person}
        judged = [outcome for outcome in outcomes if outcome.judge_id not in people]
        for outcome in judged:
            if outcome.p_first is not None:
                asked = outcome.comparison_id, outcome.principle
                total, count, words = self._said.get(asked, (0.0, 0, ""))
                words = outcome.explanation or words
                self._said[asked] = total + outcome.p_first, count + 1, words
        if self._sample is not None:
            self._add([(drawn.comparison_id, drawn.principle) for drawn in self._sample.drawn])
            return
        self._add([(outcome.comparison_id, outcome.principle) for outcome in judged])
        known = {comparison_id for comparison_id, _ in self._known}
        unjudged = [name for name in put if name not in known]
        under = self._run.put_under()
        for name in unjudged:
            principle = under[int(name, 16) % len(under)]
            self._add([(name, principle.text if principle else None)])

    def _add(self, questions: Sequence[Asked]) -> None:
        for asked in questions:
            put = self._put.get(asked[0])
            if put is None or asked in self._known:
                continue
            if self._goal_id is not None and put.goal_id != self._goal_id:
                continue
            self._known.add(asked)
            self._fresh.append(Question.of(asked, asked[1] in self.goal.by_vetoes, *put.pair))
            self._sides.update(put.pair)


class FolderSource:
    """The pairs of a folder that `volition ask` wrote.

    Args:
        folder: Of the questions.

    Raises:
        InputError: It is none, or names files outside of it.
    """

    def __init__(self, folder: Path) -> None:
        asked, rows = read_questions(folder)
        self.folder, self.title = folder, asked.given.task or asked.given.env or folder.name
        self.goal = _goal_of(folder)
        self.view = view_asked(folder)
        self.numbers: dict[str, int] = {}
        self._fresh: list[Question] = []
        self._files: dict[str, list[Path]] = {}
        self._pictures = Pictures()
        for row in rows:
            pair, principle = f"pair {row['pair']}", row.get("principle")
            self.numbers[pair] = row["pair"]
            sides = [f"{row['pair']}{letter}" for letter in ("a", "b")]
            for side, name in zip(sides, ("first", "second"), strict=True):
                self._files[side] = [_inside(folder, path) for path in _frames_of(row[name])]
            veto = principle in self.goal.by_vetoes
            self._fresh.append(Question.of((pair, principle), veto, *sides))

    def new_questions(self) -> Sequence[Question]:
        fresh, self._fresh = self._fresh, []
        return fresh

    def said(self, asked: Asked) -> Said | None:
        return None

    def frames(self, side: str) -> int:
        return len(self._files[side])

    def picture(self, side: str, number: int) -> bytes | None:
        files = self._files.get(side, [])
        if not 0 <= number < len(files):
            return None
        known = self._pictures.get(side, number)
        if known is not None:
            return known
        return self._pictures.keep(side, number, encode_png(read_frame(files[number]).pixels))

    def close(self) -> None:
        self._pictures = Pictures()


def _goal_of(folder: Path) -> Goal:
    """The goal of a folder of questions, in its words and pictures, as its README shows them."""
    about: Any = json.loads((folder / ASKED_FILE).read_text(encoding="utf-8"))
    shown = CAPTIONED.findall((folder / "README.md").read_text(encoding="utf-8"))
    files = [(caption, folder / path) for caption, path in shown if (folder / path).is_file()]
    rows = (folder / PAIRS_FILE).read_text(encoding="utf-8").splitlines()
    principles = dict.fromkeys(json.loads(row).get("principle") for row in rows if row.strip())
    return Goal(
        about["goal"],
        [path for caption, path in files if caption == REACHED],
        [path for caption, path in files if caption == NOT_MEANT],
        [principle for principle in principles if principle],
    )


def _frames_of(side: Mapping[str, Any]) -> list[str]:
    frames = side.get("frames") or [side.get("frame")]
    if not all(isinstance(frame, str) for frame in frames):
        raise InputError(
            "a side of pairs.jsonl has no frames: it is not as `volition ask` wrote it"
        )
    return list(frames)


def _inside(folder: Path, path: str) -> Path:
    file = folder / path
    if not file.resolve().is_relative_to((folder / FRAMES).resolve()):
        raise InputError(f"{folder}: {path} is not one of its {FRAMES}/")
    return file
