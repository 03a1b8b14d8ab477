"""What a judge can tell apart: pairs that look different."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Generic, NamedTuple, TypeVar

import numpy as np

from volition.comparison import Frame, Shown, State, shown_together
from volition.envs.drawing import fitted
from volition.errors import InputError

VISIBLE = 48  # of 255: a pixel that differs by less in every colour looks the same


CHANGED = 0.002  # of a frame's pixels must look different, or a judge could only guess


WAITING = 8  # states without a partner, before further ones that look the same are passed over


DRAWN_PER_PAIR = 20  # states drawn in search of one pair, before the search is given up


FRUITLESS = 2  # times as many in a row as pairs are wanted, that bring neither a pair nor a picture


DECIMALS = 6  # of a state's values, so that a file of states says exactly what was drawn


Look = Callable[[State], Frame]


T = TypeVar("T")


def distinct_pairs(
    candidates: Iterable[T], count: int, look: Callable[[T], Sequence[Frame]], name: str
) -> list[tuple[T, T]]:
    """Pairs of states or clips, in their order, that look different to the judge.

    No two pairs show the same pictures. Each picture is shown once, and where there are too few of
    them again, each time beside another; of very few, fewer pairs come back.

    Args:
        candidates: What may be compared.
        count: How many pairs.
        look: The frames in which a judge sees it.
        name: Of the environment.

    Raises:
        InputError: Hardly any two look different.
    """
    pairs: dict[Shown, tuple[T, T]] = {}
    seen: dict[tuple[str, ...], _Seen[T]] = {}
    waiting: list[_Seen[T]] = []
    looked_at, fruitless = 0, 0
    for candidate in islice(candidates, DRAWN_PER_PAIR * count):
        one = _Seen(candidate, tuple(look(candidate)))
        pictures = tuple(frame.id for frame in one.frames)
        looked_at, fruitless = looked_at + 1, fruitless + 1 if pictures in seen else 0
        if len(seen) < 2 * count:
            seen.setdefault(pictures, one)
        for place, other in enumerate(waiting):
            if _paired(pairs, other, one):
                fruitless = 0
                del waiting[place]
                break
        else:
            waiting = [*waiting, one][:WAITING]
        if len(pairs) == count:
            return [*pairs.values()]
        if fruitless == FRUITLESS * count:
            break
    for one, other in _each_beside_another([*seen.values()]):
        if _paired(pairs, one, other) and len(pairs) == count:
            return [*pairs.values()]
    if pairs and len(pairs) == len(seen) * (len(seen) - 1) // 2:
        return [*pairs.values()]
    raise InputError(
        f"{name}: only {len(pairs)} of {count} pairs look different to the judge: "
        f"{_why(looked_at, [one.frames for one in seen.values()])}"
    )


class _Seen(NamedTuple, Generic[T]):
    """What was looked at, and how a judge sees it."""

    candidate: T
    frames: tuple[Frame, ...]


def _paired(pairs: dict[Shown, tuple[T, T]], one: _Seen[T], other: _Seen[T]) -> bool:
    """Adds a pair, unless it is there already or looks the same."""
    pictures = shown_together(one.frames, other.frames)
    if pictures in pairs or not look_different(one.frames, other.frames):
        return False
    pairs[pictures] = one.candidate, other.candidate
    return True


def _each_beside_another(seen: Sequence[T]) -> Iterator[tuple[T, T]]:
    """All pairs, each of them as often as every other at any time."""
    for apart in range(1, len(seen)):
        yield from ((seen[place], seen[place + apart]) for place in range(len(seen) - apart))


def _why(looked_at: int, seen: Sequence[tuple[Frame, ...]]) -> str:
    """Why hardly any two look different, and what to do about it."""
    if len(seen) == 1:
        colours = np.unique(np.concatenate([f.pixels.reshape(-1, 3) for f in seen[0]]), axis=0)
        alike = f"of one colour, {tuple(colours[0].tolist())}" if len(colours) == 1 else "the same"
        return (
            f"all {looked_at} that were drawn are {alike}; either `render` does not draw what "
            "moves, or [view] in task.toml crops it away"
        )
    return (
        f"{looked_at} were drawn, and what differs among them is too small or too faint; the "
        "judge's view may crop away what moves, or reduce it too far: see [view] in task.toml"
    )


def look_different(one: Sequence[Frame], other: Sequence[Frame]) -> bool:
    """Whether a judge can tell two segments apart by any frame of them, one of each at a time."""
    return any(distinguishable(*pair) for pair in zip(one, other, strict=True))


def distinguishable(one: Frame, other: Frame) -> bool:
    """Whether enough of two frames of one size looks different for a judge to tell them apart."""
    height, width = one.pixels.shape[:2]
    difference = np.abs(one.pixels.astype(np.int16) - fitted(other.pixels, height, width))
    return bool((difference.max(2) >= VISIBLE).mean() >= CHANGED)
