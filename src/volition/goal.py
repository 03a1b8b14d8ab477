"""Goal: what a person wants, in words and pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, init=False)
class Goal:
    """A goal as a person states it.

    Attributes:
        text: The goal in words, as it is put to the judge.
        images: Pictures that show the goal reached.
        counterexamples: Pictures that show what is not meant.
        principles: A constitution; a judgment may be put under one of them.
    """

    text: str
    images: tuple[Path, ...]
    counterexamples: tuple[Path, ...]
    principles: tuple[str, ...]

    def __init__(
        self,
        text: str,
        images: Sequence[str | Path] = (),
        counterexamples: Sequence[str | Path] = (),
        principles: Sequence[str] = (),
    ) -> None:
        if not text.strip():
            raise ValueError("a goal needs words: its text is empty")
        if any(not principle.strip() for principle in principles):
            raise ValueError(f"a principle needs words: one of {list(principles)} is empty")
        object.__setattr__(self, "text", text.strip())
        object.__setattr__(self, "images", tuple(Path(image) for image in images))
        object.__setattr__(self, "counterexamples", tuple(Path(image) for image in counterexamples))
        object.__setattr__(self, "principles", tuple(principles))
