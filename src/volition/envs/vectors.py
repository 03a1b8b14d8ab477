"""What is observed, of a space of any kind, as one of the two kinds that all of Volition knows.

They are one vector in float32 (n,), or one picture in uint8 (height, width, channels). Whatever an
environment's own space is, `Reading` stands between.
"""

from __future__ import annotations

import math
import reprlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Space, Text, Tuple

from volition.comparison import Array, Observations, observed, reduced

FEW = 16
WITHOUT_BOUND = 1e6  # numbers that may be as large as this may be as large as you like
SMALLEST = 16  # pixels of a picture's shorter side; less are numbers, such as MiniGrid's 7 x 7
BLOCKS = 16  # of a side at most, whose means stand for a picture among numbers
ONE_EACH = 1024  # possibilities at most that have an entry each; of more there are binary digits
CHANNELS = {2: ((),), 3: ((2,), (0,)), 4: ((0, 3), (0, 1))}
"""The axes that are no sides of a picture, by the number of axes: channels, and frames before."""

Integers = npt.NDArray[np.int64]
WILL_DO = "Box, Discrete, MultiDiscrete, MultiBinary, and Dict and Tuple of them will do"


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
            text = " but text, of which no numbers can be made" if every else ""
            raise ValueError(f"holds nothing{text}")
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
        return f"one each of {listed(space.nvec.ravel().tolist())}"
    shape = " x ".join(map(str, space.shape or (1,)))
    return f"a picture of {shape}" if _picture(space) else f"numbers: {shape}"


def listed(counts: Sequence[int]) -> str:
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
        return (place_name(index) for index in np.ndindex(self._space.shape))

    def read(self, value: Any, entry: str) -> Array:
        return _numbers(self._space, value, entry).ravel()


class _Codes:
    """Each of some possibilities as an entry, which is 1 where it is the case; of very many, the
    binary digits of their numbers."""

    def __init__(self, space: Space[Any], starts: Integers, counts: Integers) -> None:
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
                yield from (f"{place_name(index)}={start + value}" for value in range(count))
            else:
                yield from (f"{place_name(index)} bit {bit}" for bit in range(bits))

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
        return (place_name(index) for index in np.ndindex(self._rows, self._columns))

    def read(self, value: Any, entry: str) -> Array:
        block = self._block
        grey = self._picture.read(value, entry).mean(2, dtype=np.float32) / 255
        cut = grey[: self._rows * block, : self._columns * block]
        means: Array = cut.reshape(self._rows, block, self._columns, block).mean((1, 3))
        return means.ravel()


class _Picture:
    """A picture in uint8 (height, width, channels), of a space that has it in another way: grey,
    channels first, frames one after the other, or in other numbers, from its lowest to its highest,
    such as fractions from 0 to 1, from -1 to 1, or depths."""

    def __init__(self, space: Box, behind: tuple[int, ...], black: float, white: float) -> None:
        self._space, self._behind = space, behind
        self._black, self._factor = black, 255 / (white - black)
        sides = [side for axis, side in enumerate(space.shape) if axis not in behind]
        self.shape = sides[0], sides[1], math.prod(space.shape) // math.prod(sides)

    def read(self, value: Any, entry: str) -> Array:
        array = _numbers(self._space, value, entry)
        if array.dtype != np.uint8 or self._factor != 1:
            whitened = (array - self._black) * self._factor
            array = np.clip(np.rint(whitened), 0, 255).astype(np.uint8)
        last = range(array.ndim - len(self._behind), array.ndim)
        return np.moveaxis(array, self._behind, last).reshape(self.shape)


def _picture(space: Space[Any]) -> _Picture | None:
    """A space as one of pictures; None where it is none: numbers, or too small."""
    if not isinstance(space, Box) or len(space.shape) not in CHANNELS:
        return None
    black, white = _black_and_white(space)
    fits = []
    for behind in CHANNELS[len(space.shape)]:
        sides = [side for axis, side in enumerate(space.shape) if axis not in behind]
        if min(sides) >= SMALLEST:
            fits.append((math.prod(space.shape) // math.prod(sides), behind))
    if not fits or black == white:
        return None
    _, behind = min(fits, key=lambda fit: fit[0])
    return _Picture(space, behind, black, white)


def _black_and_white(space: Box) -> tuple[float, float]:
    """The lowest and the highest value of a picture; twice the same where these are numbers.

    What has two axes and is no whole numbers is a picture only where it goes from 0 to 1: such a
    table may hold anything.
    """
    low, high = (float(bound.flat[0]) for bound in (space.low, space.high))
    alike = bool((space.low == low).all() and (space.high == high).all())
    if alike and (low, high) in ((0, 1), (0, 255)):
        return low, high
    if space.dtype == np.uint8:
        return 0.0, 255.0
    of_axes = len(space.shape) > 2 or space.dtype.kind in "ui"
    bounded = -WITHOUT_BOUND < low < high < WITHOUT_BOUND
    return (low, high) if alike and bounded and of_axes else (0.0, 0.0)


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


def place_name(index: tuple[int, ...]) -> str:
    return "".join(f".{each}" for each in index)
