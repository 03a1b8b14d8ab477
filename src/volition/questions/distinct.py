"""What a judge can tell apart: pairs that look different."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import TypeVar

import numpy as np

from volition.comparison import Frame, Shown, State, shown_together
from volition.errors import InputError

VISIBLE = 48  # of 255: a pixel that differs by less in every colour looks the same


CHANGED = 0.002  # of a frame's pixels must look different, or a judge could only guess


WAITING = 8  # states without a partner, before further ones that look the same are passed over


DRAWN_PER_PAIR = 20  # states drawn in search of one pair, before the search is given up


DECIMALS = 6  # of a state's values, so that a file of states says exactly what was drawn


Look = Callable[[State], Frame]


T = TypeVar("T")


def distinct_pairs(
    shown: Iterable[T], count: int, look: Callable[[T], Sequence[Frame]]
) -> list[tuple[T, T]]:
    """Pairs of states or clips, in their order, that look different to the judge.

    No two pairs show the same pictures: where there are too few of them, fewer pairs come back.

    Args:
        shown: What may be compared.
        count: How many pairs.
        look: The frames in which a judge sees it.

    Raises:
        InputError: There are not enough that look different.
    """
    pairs: list[tuple[T, T]] = []
    paired: set[Shown] = set()
    again = False
    waiting: list[tuple[T, Sequence[Frame]]] = []
    for candidate in islice(shown, DRAWN_PER_PAIR * count):
        frames = look(candidate)
        for place, (other, other_frames) in enumerate(waiting):
            if not look_different(other_frames, frames):
                continue
            pictures = shown_together(other_frames, frames)
            if pictures in paired:
                again = True
                continue
            pairs.append((other, candidate))
            paired.add(pictures)
            del waiting[place]
            break
        else:
            waiting = [*waiting, (candidate, frames)][:WAITING]
        if len(pairs) == count:
            return pairs
    if again:
        return pairs
    raise InputError(
        f"only {len(pairs)} of {count} pairs look different to the judge: the judge's view may "
        "crop away what moves, or reduce it too far; see [view] in task.toml"
    )


def look_different(one: Sequence[Frame], other: Sequence[Frame]) -> bool:
    """Whether a judge can tell two segments apart by any frame of them, one of each at a time."""
    return any(distinguishable(*pair) for pair in zip(one, other, strict=True))


def distinguishable(one: Frame, other: Frame) -> bool:
    """Whether enough of two frames of one size looks different for a judge to tell them apart."""
    difference = np.abs(one.pixels.astype(np.int16) - other.pixels)
    return bool((difference.max(2) >= VISIBLE).mean() >= CHANGED)
