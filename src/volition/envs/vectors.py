"""Spaces of any kind as the few that all of Volition knows.

What is observed is one vector in float32 (n,), or one picture in uint8 (height, width, channels);
an action is one row: a choice, several choices, numbers between bounds, or choices and then
numbers. Whatever an environment's own spaces are, `Reading` and `Acting` stand between.
"""

from __future__ import annotations

import math
import reprlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, Protocol

import gymnasium
import numpy as np
import numpy.typing as npt
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Space, Text, Tuple

from volition.comparison import Array, Observations, observed, reduced

FEW = 16
SMALLEST = 16  # pixels of a picture's shorter side; less are numbers, such as MiniGrid's 7 x 7
BLOCKS = 16  # of a side at most, whose means stand for a picture among numbers
ONE_EACH = 1024  # possibilities at most that have an entry each; of more there are binary digits
WITHOUT_BOUND = 1e6  # numbers that may be as large as this may be as large as you like
CHANNELS = {2: ((),), 3: ((2,), (0,)), 4: ((0, 3), (0, 1))}
"""The axes that are no sides of a picture, by the number of axes: channels, and frames before."""

WILL_DO = "Box, Discrete, MultiDiscrete, MultiBinary, and Dict and Tuple of them will do"
LARGEST_TRIED, SMALLEST_TRIED = 2.0**12, 2.0**-4  # of numbers without bounds
TRIED_ALONE = 8  # of such numbers at most; more are tried all together
TRIED_STEPS = 3

Numbers = npt.NDArray[np.float64]
Choices = npt.NDArray[np.int64]


class Reading:
    """Reads what is observed in a space: checked, copied, and of one kind.

    Numbers are laid end to end, each of several possibilities as an entry of its own (one-hot).
    A picture among numbers is the means of its blocks, grey, from 0 to 1; one alone, or some of
    one size, are a picture. Text is left out.

    Attributes:
        space: What is read: float32 (n,), or uint8 (height, width, channels).
        left_out: The names of what is text.
        plain: Whether the space was of that kind already.

    Raises:
        ValueError: No array of one size can be made of it; the message follows on its name.
    """

    def __init__(self, space: Space[Any]) -> None:
        every = [*_parts(space, ())]
        parts = [part for part in every if not _is_text(part.space)]
        self.left_out = tuple(part.name for part in every if _is_text(part.space))
        self._parts, self._columns = parts, [*map(_column, parts)]
        self._in_a_row = isinstance(space, Box) and len(space.shape) == 1
        if not parts:
            raise ValueError("holds nothing but text, of which no numbers can be made")
        pictures = [_picture(part.space) for part in parts]
        sizes = {picture.shape[:2] for picture in pictures if picture is not None}
        self.plain = False
        if None not in pictures and len(sizes) == 1:
            self._pictures = [picture for picture in pictures if picture is not None]
            channels = sum(picture.shape[2] for picture in self._pictures)
            self.space: Box = Box(0, 255, (*sizes.pop(), channels), np.uint8)
            self.read: Callable[[Any], Observations] = self._one_picture
        else:
            width = sum(column.width for column in self._columns)
            if not width:
                raise ValueError("holds no numbers")
            self.space = Box(-np.inf, np.inf, (width,), np.float32)
            self.read = self._one_vector
        if isinstance(space, Box) and (space.shape, space.dtype) == (
            self.space.shape,
            self.space.dtype,
        ):
            self.plain, self.space, self.read = True, space, partial(_numbers, space, entry="")
        if len(self.space.shape) == 3:
            shape, whole = reduced(np.zeros(self.space.shape, np.uint8)).shape, self.read
            if shape != self.space.shape:
                self.plain, self.space = False, Box(0, 255, shape, np.uint8)
                self.read = lambda value: reduced(whole(value))

    @property
    def names(self) -> tuple[str, ...]:
        """The name of each entry, such as `achieved_goal.0`; none of a picture."""
        if len(self.space.shape) == 3:
            return ()
        return tuple(
            f"{part.name}{place}"
            for part, column in zip(self._parts, self._columns, strict=True)
            for place in column.places
        )

    @property
    def described(self) -> str:
        """What is made of what, in words for people; empty of numbers that were in a row."""
        if self.plain or self._in_a_row:
            return ""
        of = ", ".join(f"{part.name} ({_form(part.space)})" for part in self._parts)
        text = f"; left out, being text: {', '.join(self.left_out)}" if self.left_out else ""
        return f"{_form(self.space)} made of {of}{text}"

    def _one_vector(self, value: Any) -> Observations:
        columns = zip(self._parts, self._columns, strict=True)
        read = [column.read(_at(value, part.path), part.entry) for part, column in columns]
        return np.concatenate(read, dtype=np.float32, casting="unsafe")

    def _one_picture(self, value: Any) -> Observations:
        pictures = zip(self._parts, self._pictures, strict=True)
        read = [picture.read(_at(value, part.path), part.entry) for part, picture in pictures]
        return np.ascontiguousarray(read[0] if len(read) == 1 else np.concatenate(read, 2))


class _Part(NamedTuple):
    """One part of what is observed that is no Dict and no Tuple: where it is, and its space."""

    path: tuple[str | int, ...]
    space: Space[Any]

    @property
    def name(self) -> str:
        top = () if self.path and isinstance(self.path[0], str) else ("observation",)
        return ".".join(map(str, (*top, *self.path)))

    @property
    def entry(self) -> str:
        """How errors name it; the whole has no name."""
        return self.name if self.path else ""


def _parts(space: Space[Any], path: tuple[str | int, ...]) -> Iterator[_Part]:
    if isinstance(space, Dict):
        for key, inner in space.spaces.items():
            yield from _parts(inner, (*path, key))
    elif isinstance(space, Tuple):
        for place, inner in enumerate(space.spaces):
            yield from _parts(inner, (*path, place))
    elif isinstance(space, Box | Discrete | MultiDiscrete | MultiBinary) or _is_text(space):
        yield _Part(path, space)
    else:
        kind, where = type(space).__name__, f" in {_Part(path, space).name}" if path else ""
        raise ValueError(
            f"is of the kind {kind}{where}, of which nobody can make numbers that are always as "
            f"many: {WILL_DO}"
        )


def _is_text(space: Space[Any]) -> bool:
    """Whether it is of words: Gymnasium's own, or one that somebody wrote, as MiniGrid."""
    if isinstance(space, Text):
        return True
    return type(space).__module__.partition(".")[0] != "gymnasium" and (
        not isinstance(space, Box | Discrete | MultiDiscrete | MultiBinary | Dict | Tuple)
        and isinstance(space.sample(), str)
    )


def _form(space: Space[Any]) -> str:
    if isinstance(space, Discrete):
        return f"one of {space.n}"
    if isinstance(space, MultiDiscrete):
        return f"one each of {_listed(space.nvec.ravel().tolist())}"
    shape = " x ".join(map(str, space.shape or (1,)))
    return f"a picture of {shape}" if _picture(space) else f"numbers: {shape}"


def _listed(counts: Sequence[int]) -> str:
    return ", ".join(map(str, counts[:FEW])) + ", ..." * (len(counts) > FEW)


def _at(value: Any, path: Sequence[str | int]) -> Any:
    for key in path:
        try:
            value = value[key]
        except (LookupError, TypeError):
            raise ValueError(f"is {reprlib.repr(value)}, which has no {key!r}") from None
    return value


# Parts as numbers --------------------------------------------------------------------------------


class _Column(Protocol):
    """What makes so many numbers of a part, each with a place in it."""

    @property
    def width(self) -> int: ...

    @property
    def places(self) -> Iterator[str]: ...

    def read(self, value: Any, entry: str) -> Array:
        """(width,); a ValueError says what is wrong, and names `entry`."""
        ...


def _column(part: _Part) -> _Column:
    space = part.space
    if isinstance(space, Discrete):
        return _Codes(space, np.array([space.start]), np.array([space.n]))
    if isinstance(space, MultiDiscrete):
        return _Codes(space, space.start.ravel(), space.nvec.ravel())
    if isinstance(space, MultiBinary):
        return _Entries(Box(0, 1, space.shape, np.int8))
    picture = _picture(space)
    if picture is not None:
        return _Blocks(picture)
    assert isinstance(space, Box), space
    return _Entries(space)


class _Entries:
    """Numbers as they are."""

    def __init__(self, space: Box) -> None:
        self._space = space
        self.width = math.prod(space.shape)

    @property
    def places(self) -> Iterator[str]:
        return (_place(index) for index in np.ndindex(self._space.shape))

    def read(self, value: Any, entry: str) -> Array:
        return _numbers(self._space, value, entry).ravel()


class _Codes:
    """Each of some possibilities as an entry, which is 1 where it is the case; of very many, the
    binary digits of their numbers."""

    def __init__(self, space: Space[Any], starts: Choices, counts: Choices) -> None:
        self._space, self._starts, self._counts = space, starts.astype(np.int64), counts
        self._bits = [int(count - 1).bit_length() for count in counts]
        self._each = int(counts.sum()) <= ONE_EACH
        self.width = int(counts.sum()) if self._each else sum(self._bits)
        self._offsets = np.cumsum(counts) - counts

    @property
    def places(self) -> Iterator[str]:
        shape = self._space.shape or ()
        for index, start, count, bits in zip(
            np.ndindex(shape), self._starts, self._counts, self._bits, strict=True
        ):
            if self._each:
                yield from (f"{_place(index)}={start + value}" for value in range(count))
            else:
                yield from (f"{_place(index)} bit {bit}" for bit in range(bits))

    def read(self, value: Any, entry: str) -> Array:
        try:
            array = np.asarray(value, np.float64).ravel()
        except (TypeError, ValueError):
            array = np.full(0, np.nan)
        whole = array.shape == self._starts.shape and np.isfinite(array).all()
        index = array.astype(np.int64) - self._starts if whole else self._starts
        fits = whole and (index + self._starts == array).all()
        if not (fits and (index >= 0).all() and (index < self._counts).all()):
            raise ValueError(
                f"{_in(entry)}is {reprlib.repr(value)}, and its space is {self._space}"
            )
        if self._each:
            read = np.zeros(self.width, np.float32)
            read[self._offsets + index] = 1.0
            return read
        return np.concatenate(
            [(one >> np.arange(bits)) & 1 for one, bits in zip(index, self._bits, strict=True)]
        )


class _Blocks:
    """A picture among numbers: means of its blocks, grey, from 0 to 1."""

    def __init__(self, picture: _Picture) -> None:
        self._picture = picture
        height, width, _ = picture.shape
        self._block = -(-max(height, width) // BLOCKS)
        self._rows, self._columns = height // self._block, width // self._block
        self.width = self._rows * self._columns

    @property
    def places(self) -> Iterator[str]:
        return (_place(index) for index in np.ndindex(self._rows, self._columns))

    def read(self, value: Any, entry: str) -> Array:
        block = self._block
        grey = self._picture.read(value, entry).mean(2, dtype=np.float32) / 255
        cut = grey[: self._rows * block, : self._columns * block]
        means: Array = cut.reshape(self._rows, block, self._columns, block).mean((1, 3))
        return means.ravel()


class _Picture:
    """A picture in uint8 (height, width, channels), of a space that has it in another way: grey,
    channels first, frames one after the other, or fractions from 0 to 1."""

    def __init__(self, space: Box, behind: tuple[int, ...], whitest: float) -> None:
        self._space, self._behind = space, behind
        self._factor = 255 / whitest
        sides = [side for axis, side in enumerate(space.shape) if axis not in behind]
        self.shape = sides[0], sides[1], math.prod(space.shape) // math.prod(sides)

    def read(self, value: Any, entry: str) -> Array:
        array = _numbers(self._space, value, entry)
        if array.dtype != np.uint8 or self._factor != 1:
            array = np.clip(np.rint(array * self._factor), 0, 255).astype(np.uint8)
        last = range(array.ndim - len(self._behind), array.ndim)
        return np.moveaxis(array, self._behind, last).reshape(self.shape)


def _picture(space: Space[Any]) -> _Picture | None:
    """A space as one of pictures; None where it is none: numbers, or too small."""
    if not isinstance(space, Box) or len(space.shape) not in CHANNELS:
        return None
    whitest = float(np.max(space.high, initial=0))
    in_bytes = space.dtype == np.uint8
    bounded = (space.low == 0).all() and (space.high == whitest).all() and whitest in (1, 255)
    fits = []
    for behind in CHANNELS[len(space.shape)]:
        sides = [side for axis, side in enumerate(space.shape) if axis not in behind]
        if min(sides) >= SMALLEST:
            fits.append((math.prod(space.shape) // math.prod(sides), behind))
    if not fits or not (in_bytes or bounded):
        return None
    _, behind = min(fits, key=lambda fit: fit[0])
    return _Picture(space, behind, whitest if bounded else 255.0)


def _numbers(space: Box, value: Any, entry: str) -> Array:
    """A copy of an array, in its space's type.

    Raises:
        ValueError: It is not what its space says, or not finite.
    """
    try:
        array = np.asarray(value)
    except ValueError:  # rows of different lengths
        array = np.asarray(None)
    if array.dtype.kind not in "buif":
        raise ValueError(f"{_in(entry)}is {reprlib.repr(value)}, which are no numbers")
    if array.shape != space.shape:
        raise ValueError(f"{_in(entry)}is of shape {array.shape}, and its space says {space.shape}")
    if array.dtype == space.dtype and array.dtype.kind != "f":
        return array.copy()
    if array.dtype == space.dtype == np.float32:
        own = array.copy()
        if finite(own):
            return own
    with np.errstate(over="ignore", invalid="ignore"):
        own = array.astype(space.dtype)
        well = np.isfinite(array) & np.isfinite(observed(own))
    if not well.all():
        place = tuple(np.argwhere(~well)[0].tolist())
        at = place[0] if len(place) == 1 else place
        raise ValueError(f"{_in(entry)}is not finite: entry {at} is {array[place]}")
    if own.dtype.kind != "f" and not np.array_equal(own, array):
        place = tuple(np.argwhere(own != array)[0].tolist())
        raise ValueError(f"{_in(entry)}holds {array[place]}, and its space is of {own.dtype.name}")
    return own


def finite(array: Array) -> bool:
    """Whether all numbers are; of a few, Python is several times as fast as NumPy."""
    if array.size <= FEW:
        return all(map(math.isfinite, array.ravel().tolist()))
    return bool(np.isfinite(array).all())


def _in(entry: str) -> str:
    return f"in {entry} " if entry else ""


def _place(index: tuple[int, ...]) -> str:
    return "".join(f".{each}" for each in index)


# Actions -----------------------------------------------------------------------------------------


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
        choices = [f"one each of {_listed(self._counts)}"] if self._counts else []
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
            self._add_number(f"{name}{_place(index)}", float(low[index]), float(high[index]))
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
