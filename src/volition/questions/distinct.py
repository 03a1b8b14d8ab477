"""What a judge can tell apart: pairs that look different."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Generic, NamedTuple, TypeVar

import numpy as np

from volition.comparison import Frame, State
from volition.envs.drawing import fitted
from volition.errors import InputError

VISIBLE = 48  # of 255: a pixel that differs by less in every colour looks the same


CHANGED = 0.002  # of a frame's pixels must look different, or a judge could only guess


WAITING = 8  # states without a partner, before further ones that look the same are passed over


DRAWN_PER_PAIR = 20  # states drawn in search of one pair, before the search is given up


FRUITLESS = 2  # times as many in a row as pairs are wanted, that bring neither a pair nor a picture


DECIMALS = 6  # of a state's values, so that a file of states says exactly what was drawn


Look = Callable[[State], Frame]


Shown = TypeVar("Shown")


def distinct_pairs(
    shown: Iterable[Shown], count: int, look: Callable[[Shown], Sequence[Frame]], name: str
) -> list[tuple[Shown, Shown]]:
    """Pairs of states or clips, in their order, that look different to the judge; no pair twice.

    Each state is asked about once, and where there are too few of them again, each time beside
    another.

    Args:
        shown: What may be compared.
        count: How many pairs.
        look: The frames in which a judge sees it.
        name: Of the environment.

    Raises:
        InputError: There are not enough.
    """
    pairs: dict[frozenset[Hashable], tuple[Shown, Shown]] = {}
    seen: dict[Hashable, _Seen[Shown]] = {}
    waiting: list[_Seen[Shown]] = []
    looked_at, fruitless = 0, 0
    for candidate in islice(shown, DRAWN_PER_PAIR * count):
        key: Hashable = tuple(candidate.items()) if isinstance(candidate, Mapping) else candidate
        one = _Seen(key, candidate, tuple(look(candidate)))
        looked_at, fruitless = looked_at + 1, fruitless + 1 if key in seen else 0
        if len(seen) < 2 * count:
            seen.setdefault(key, one)
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
    raise InputError(
        f"{name}: only {len(pairs)} of {count} pairs look different to the judge: "
        f"{_why(looked_at, [one.frames for one in seen.values()], len(pairs))}"
    )


class _Seen(NamedTuple, Generic[Shown]):
    """What was looked at; two with one key are the same."""

    key: Hashable
    shown: Shown
    frames: tuple[Frame, ...]


def _paired(
    pairs: dict[frozenset[Hashable], tuple[Shown, Shown]], one: _Seen[Shown], other: _Seen[Shown]
) -> bool:
    """Adds a pair, unless it is there already or looks the same."""
    pair = frozenset((one.key, other.key))
    if pair in pairs or not look_different(one.frames, other.frames):
        return False
    pairs[pair] = one.shown, other.shown
    return True


def _each_beside_another(seen: Sequence[Shown]) -> Iterator[tuple[Shown, Shown]]:
    """All pairs, each of them as often as every other at any time."""
    for apart in range(1, len(seen)):
        yield from ((seen[place], seen[place + apart]) for place in range(len(seen) - apart))


def _why(looked_at: int, seen: Sequence[tuple[Frame, ...]], pairs: int) -> str:
    """Why hardly any two look different, and what to do about it."""
    different = {*seen}
    if len(different) == 1:
        colours = np.unique(np.concatenate([f.pixels.reshape(-1, 3) for f in seen[0]]), axis=0)
        alike = f"of one colour, {tuple(colours[0].tolist())}" if len(colours) == 1 else "the same"
        return (
            f"all {looked_at} that were drawn are {alike}; either `render` does not draw what "
            "moves, or [view] in task.toml crops it away"
        )
    if pairs == len(seen) * (len(seen) - 1) // 2:
        return (
            f"{looked_at} were drawn, and there are only {len(different)} different ones among "
            f"them; ask about {pairs} at first, with --first {pairs}"
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
