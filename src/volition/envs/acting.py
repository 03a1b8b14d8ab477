"""Actions of a space of any kind as one row, which is all that learners choose.

A row is a choice, several choices, numbers between bounds, or choices and then numbers. Whatever an
environment's own space is, `Acting` stands between.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Space, Tuple

from volition.comparison import Array
from volition.envs.vectors import WILL_DO, WITHOUT_BOUND, Reading, listed, place_name

LARGEST_TRIED, SMALLEST_TRIED = 2.0**12, 2.0**-4  # of numbers without bounds
TRIED_ALONE = 8  # of such numbers at most; more are tried all together
TRIED_STEPS = 3

Numbers = npt.NDArray[np.float64]
Choices = npt.NDArray[np.int64]


class MixedSpace(Space[npt.NDArray[np.float32]]):
    """Choices, and numbers after them, as one row in float32.

    Attributes:
        counts: How many possibilities each choice has; they are called 0, 1, and so on.
        low: The lowest value of each number.
        high: The highest.
    """

    def __init__(
        self, counts: tuple[int, ...], low: tuple[float, ...], high: tuple[float, ...]
    ) -> None:
        self.counts, self.low, self.high = counts, low, high
        super().__init__((len(counts) + len(low),), np.float32)

    def sample(self, mask: Any = None, probability: Any = None) -> npt.NDArray[np.float32]:
        """A row by chance, each alike."""
        choices = self.np_random.integers(self.counts)
        numbers = self.np_random.uniform(self.low, self.high)
        return np.concatenate([choices, numbers], dtype=np.float32)

    def contains(self, x: Any) -> bool:
        """Whether a row is one of these."""
        row, choices = np.asarray(x), len(self.counts)
        highest = [count - 1 for count in self.counts]
        return row.shape == self.shape and bool(
            (row >= [*np.zeros(choices), *self.low]).all()
            and (row <= [*highest, *self.high]).all()
            and (row[:choices] == np.rint(row[:choices])).all()
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, MixedSpace):
            return False
        mine, others = ((each.counts, each.low, each.high) for each in (self, other))
        return mine == others

    def __repr__(self) -> str:
        numbers = f"{len(self.low)} numbers from {list(self.low)} to {list(self.high)}"
        return f"choices among {list(self.counts)} and {numbers}"


class Acting:
    """Makes an environment's own action of a row that was chosen.

    The choices of all parts come first, in their order, and then the numbers. An integer is a
    number that is rounded; a number without bounds gets some.

    Args:
        space: The environment's own.
        found: How far a number without bounds goes, by its place among the numbers: `found_scales`.

    Attributes:
        space: What is chosen from: Discrete, MultiDiscrete, a Box in float32 (n,) with bounds, or a
            `MixedSpace`.
        plain: Whether the space was of that kind already, so that a row is an action.
        unbounded: Of each number without bounds, by its place among the numbers, where it begins
            and on which side it ends nowhere, as a sign.

    Raises:
        ValueError: There is a part that nobody can choose; the message follows on its name.
    """

    def __init__(self, space: Space[Any], found: Mapping[int, float] | None = None) -> None:
        self.own, self.unbounded = space, dict[int, tuple[float, float]]()
        self._found = found or {}
        self._counts, self._names = list[int](), list[str]()
        self._low, self._high = list[float](), list[float]()
        self._make = self._maker(space, ())
        self.space = self._chosen_from()
        self.plain = self.space is space

    def __call__(self, row: Any) -> Any:
        """The environment's own action of a row, (entries,) or one choice."""
        if self.plain:
            return row
        array, choices = np.atleast_1d(np.asarray(row, np.float64)), len(self._counts)
        return self._make(np.rint(array[:choices]).astype(np.int64), array[choices:])

    def tried(self, places: Collection[int], size: float) -> Any:
        """The action whose numbers at `places`, which have no bounds, are as large as `size`: from
        their one bound, or from zero. The others are in their middle."""
        row = np.mean([self._low, self._high], 0)
        for place in places:
            origin, sign = self.unbounded[place]
            row[place] = origin + sign * size
        return self._make(np.zeros(len(self._counts), np.int64), row)

    @property
    def described(self) -> str:
        """What is chosen from, in words for people; empty where it is the environment's own."""
        in_a_row = isinstance(self.own, Box) and len(self.own.shape) == 1
        if self.plain or (in_a_row and not self.unbounded):
            return ""
        choices = [f"one each of {listed(self._counts)}"] if self._counts else []
        numbers = [f"{len(self._low)} between bounds"] if self._low else []
        said = f"{' and then '.join([*choices, *numbers])}, in a row"
        for place in self.unbounded:
            why = (
                "further makes no difference in what is observed"
                if place in self._found
                else "no limit was seen"
            )
            said += (
                f"; {self._names[place]}, which has no bounds, goes from {self._low[place]:g} to "
                f"{self._high[place]:g}: {why}"
            )
        return said

    def _chosen_from(self) -> Space[Any]:
        counts, numbers = self._counts, len(self._low)
        if not (counts or numbers):
            raise ValueError("leaves nothing to choose")
        if isinstance(self.own, Discrete):
            return self.own
        in_a_row = self.own.dtype == np.float32 and self.own.shape == (numbers,)
        if isinstance(self.own, Box) and in_a_row and not self.unbounded:
            return self.own
        if counts and numbers:
            return MixedSpace(tuple(counts), tuple(self._low), tuple(self._high))
        if numbers:
            low, high = (np.array(bound, np.float32) for bound in (self._low, self._high))
            return Box(low, high, dtype=np.float32)
        return MultiDiscrete(counts) if len(counts) > 1 else Discrete(counts[0])

    def _maker(
        self, space: Space[Any], path: tuple[str | int, ...]
    ) -> Callable[[Choices, Numbers], Any]:
        """What makes the part's own action of all choices and all numbers."""
        if isinstance(space, Dict):
            named = {key: self._maker(part, (*path, key)) for key, part in space.spaces.items()}
            return lambda choices, numbers: {k: make(choices, numbers) for k, make in named.items()}
        if isinstance(space, Tuple):
            makers = [self._maker(part, (*path, place)) for place, part in enumerate(space.spaces)]
            return lambda choices, numbers: tuple(make(choices, numbers) for make in makers)
        if isinstance(space, Box):
            return self._numbers(space, path)
        shape, kind, at = space.shape, space.dtype, len(self._counts)
        start: Any = 0
        if isinstance(space, Discrete):
            self._counts.append(int(space.n))
            first = space.start
            return lambda choices, _: np.asarray(first + choices[at], kind)[()]
        if isinstance(space, MultiDiscrete):
            self._counts += space.nvec.ravel().tolist()
            start = space.start
        elif isinstance(space, MultiBinary):
            self._counts += [2] * math.prod(space.shape)
        else:
            where = f" in {'.'.join(map(str, path))}" if path else ""
            raise ValueError(
                f"is of the kind {type(space).__name__}{where}, from which no learner can choose: "
                f"{WILL_DO}"
            )
        part = slice(at, len(self._counts))
        return lambda choices, _: (start + choices[part].reshape(shape)).astype(kind)

    def _numbers(
        self, space: Box, path: tuple[str | int, ...]
    ) -> Callable[[Choices, Numbers], Any]:
        at, shape, kind = len(self._low), space.shape, space.dtype
        low, high = (bound.astype(np.float64) for bound in (space.low, space.high))
        free = low < high  # the others can be chosen in one way only
        name = ".".join(map(str, path or ("action",)))
        for index in zip(*np.nonzero(free), strict=True) if shape else [()] * bool(free):
            self._add_number(f"{name}{place_name(index)}", float(low[index]), float(high[index]))
        part, whole = slice(at, len(self._low)), kind.kind in "bui"

        def make(_: Choices, numbers: Numbers) -> Any:
            own = low.copy()
            own[free] = numbers[part]
            own = np.clip(own, low, high)
            return np.asarray(np.rint(own) if whole else own, kind)  # of no axes, too

        return make

    def _add_number(self, name: str, low: float, high: float) -> None:
        place = len(self._low)
        below, above = low > -WITHOUT_BOUND, high < WITHOUT_BOUND
        if not (below and above):
            scale = self._found.get(place, 1.0)
            origin, sign = (low, 1.0) if below else (high, -1.0) if above else (0.0, 1.0)
            self.unbounded[place] = origin, sign
            low, high = sorted((origin, origin + sign * scale))
            low = low if below or above else -scale
        self._names.append(name)
        self._low.append(low)
        self._high.append(high)


def found_scales(
    env: gymnasium.Env[Any, Any], reading: Reading, acting: Acting
) -> dict[int, float]:
    """How far numbers without bounds are worth choosing: beyond, nothing that is observed differs.

    From the same start the same action is taken for a few steps, once with as large a number as is
    tried and then with half of it, as long as both lead to the same. One whose every half differs,
    or that the environment cannot stand, is left out.

    Returns:
        Powers of two, by the numbers' places among the numbers.
    """
    places = [*acting.unbounded]
    groups = [[place] for place in places] if len(places) <= TRIED_ALONE else [places]
    scales: dict[int, float] = {}
    for group in groups:
        scale = _limit(partial(_response, env, reading, acting, group))
        if scale is not None:
            scales |= dict.fromkeys(group, scale)
    return scales


def _limit(response: Callable[[float], Array | None]) -> float | None:
    largest = response(LARGEST_TRIED)
    if largest is None or _alike(response(0.0), largest):
        return None
    scale = LARGEST_TRIED
    while scale > SMALLEST_TRIED and _alike(response(scale / 2), largest):
        scale /= 2
    return scale if scale < LARGEST_TRIED else None


def _response(
    env: gymnasium.Env[Any, Any],
    reading: Reading,
    acting: Acting,
    places: Collection[int],
    size: float,
) -> Array | None:
    """What is observed in the first steps; None where the environment fails."""
    seen = []
    try:
        env.reset(seed=0)
        for _ in range(TRIED_STEPS):
            observation, _, terminated, truncated, _ = env.step(acting.tried(places, size))
            seen.append(reading.read(observation).ravel())
            if terminated or truncated:
                break
    except (Exception, SystemExit):  # whatever it does with such numbers
        return None
    return np.concatenate(seen)


def _alike(one: Array | None, other: Array) -> bool:
    return one is not None and one.shape == other.shape and np.allclose(one, other, 1e-5, 1e-6)
