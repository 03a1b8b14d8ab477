"""Frame, Segment, Comparison: what is put to a judge. Frozen values with content hashes, no I/O."""

from __future__ import annotations

import hashlib
import json
import math
import struct
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
Array = npt.NDArray[Any]
Floats = npt.NDArray[np.floating[Any]]
Observations = npt.NDArray[Any]  # float32; uint8 where a picture is observed
ObservedPair = tuple[Observations, Observations]
State = Mapping[str, float]
Shown = frozenset[tuple[str, ...]]
"""What a judge is shown of a comparison, whichever way round: the ids of the frames of both."""

ID_LENGTH = 16


def content_id(*parts: bytes) -> str:
    """Hash of `parts`, each preceded by its length when there is more than one."""
    digest = hashlib.sha256()
    for part in parts:
        if len(parts) > 1:
            digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.hexdigest()[:ID_LENGTH]


def spaced(steps: int, count: int) -> tuple[int, ...]:
    """`count` of that many steps, counted from 0: evenly spaced, the first and the last included.

    One alone is the last.
    """
    if count == 1:
        return (steps - 1,)
    return tuple(round(place * (steps - 1) / (count - 1)) for place in range(count))


def observed(observation: npt.ArrayLike) -> Observations:
    """What an environment says is observed, as all of Volition has it: pictures stay uint8."""
    array = np.asarray(observation)
    return array if array.dtype == np.uint8 else array.astype(np.float32, copy=False)


LARGEST = 128  # pixels of a side that is observed: of a larger picture the means of blocks are


def reduced(pictures: Any, largest: int = LARGEST) -> Any:
    """Pictures in uint8 (..., height, width, channels), NumPy's or JAX's, of at most `largest`
    pixels a side: of larger ones the means of their blocks."""
    *rows, height, width, channels = pictures.shape
    down, across = -(-height // largest), -(-width // largest)
    if down == across == 1:
        return pictures
    height, width = height // down, width // across
    cut = pictures[..., : height * down, : width * across, :]
    blocks = cut.reshape(*rows, height, down, width, across, channels)
    # Added line by line, which is several times as fast as NumPy's own sum over an axis, and in as
    # few bytes as hold the sum and half a block more, by which it is rounded.
    wide = np.uint16 if down * across <= 256 else np.uint32
    lines: Any = sum(blocks[..., line, :, :, :].astype(wide) for line in range(down))
    sums: Any = sum(lines[..., column, :] for column in range(across))
    return ((sums + down * across // 2) // (down * across)).astype(np.uint8)


def unpacked(blob: bytes, shape: Sequence[int]) -> Observations:
    """Observations from their bytes: of pictures, which are uint8, one is an entry."""
    dtype = np.uint8 if len(blob) == math.prod(shape) else np.float32
    return np.frombuffer(blob, dtype).reshape(shape)


def shown_together(one: Sequence[Frame], other: Sequence[Frame]) -> Shown:
    """What a judge is shown where the one is compared with the other."""
    return frozenset(tuple(frame.id for frame in frames) for frames in (one, other))


def encode_png(pixels: Pixels) -> bytes:
    """Pixels, uint8 (height, width, 3), as a PNG file (ISO/IEC 15948).

    Every row is written as its difference from the one above, and only runs are compressed, since
    drawings are flat. Pillow tries every filter on every row, which takes three times as long, and
    encoding is what a client of a judge does most.
    """
    height, width, _ = pixels.shape
    rows = pixels.reshape(height, -1)
    filtered = np.empty((height, 1 + 3 * width), np.uint8)
    filtered[:, 0] = 2  # the filter "up"
    filtered[0, 1:] = rows[0]
    np.subtract(rows[1:], rows[:-1], out=filtered[1:, 1:])
    deflate = zlib.compressobj(1, strategy=zlib.Z_RLE)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)  # 8 bits each of RGB
    chunks = (
        (b"IHDR", header),
        (b"IDAT", deflate.compress(filtered.tobytes()) + deflate.flush()),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


@dataclass(frozen=True, eq=False)
class Frame:
    """What the judge sees of a state.

    Attributes:
        source: Its pixels, uint8 (height, width, 3), RGB; or what reads or draws them whenever
            somebody looks: memory would not hold those of thousands of judgments.
        known_id: Its id, where that is known without looking.
    """

    source: Pixels | Callable[[], Pixels]
    known_id: str | None = None

    def __post_init__(self) -> None:
        if callable(self.source):
            return
        if self.source.dtype != np.uint8 or self.source.ndim != 3 or self.source.shape[2] != 3:
            raise ValueError(
                f"a frame is uint8 (height, width, 3), not {self.source.dtype} {self.source.shape}"
            )

    @property
    def pixels(self) -> Pixels:
        """uint8 (height, width, 3), RGB."""
        return self.source() if callable(self.source) else self.source

    @cached_property
    def id(self) -> str:
        """SHA-256 of the decoded RGB pixels, row by row: the same for any encoding of them."""
        return self.known_id or content_id(self.pixels.tobytes())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Frame) and self.id == other.id

    def __hash__(self) -> int:
        return hash(self.id)


@dataclass(frozen=True, eq=False)
class Segment:
    """One state, or a clip of several, with the frames that show it.

    Attributes:
        observations: float32 (T, obs_dim), or uint8 (T, height, width, channels): what the reward
            model and the policy see. T = 1 is a state.
        frames: What the judge sees: one frame for a state, a storyboard for a clip. They are spaced
            evenly over the steps, the first and the last among them.
        states: The environment's own state at every step, where it is known (radians, metres and so
            on, as the environment defines them), so that the frames can be drawn again.
        drawn_with: Of a segment whose frames are drawn from its states when somebody looks, and
            kept nowhere: the keyword arguments of the environment that draws them, as JSON, or
            null for those of the task. None of a segment whose frames are there.
    """

    observations: Observations
    frames: tuple[Frame, ...]
    states: tuple[State, ...] = ()
    drawn_with: str | None = None

    def __post_init__(self) -> None:
        if self.observations.dtype not in (np.float32, np.uint8) or self.observations.ndim < 2:
            raise ValueError(
                "a segment's observations are float32 or uint8 (T, ...), "
                f"not {self.observations.dtype} {self.observations.shape}"
            )
        if not np.isfinite(self.observations).all():
            raise ValueError(f"a segment's observations are not finite: {self.observations}")
        if not self.frames:
            raise ValueError("a segment has no frame: a judge could not see it")
        steps = len(self.observations)
        if len(self.frames) > steps:
            raise ValueError(f"a segment of {steps} steps is shown in {len(self.frames)} frames")
        if len(self.states) not in (0, steps):
            raise ValueError(f"a segment of {steps} steps has {len(self.states)} states")
        if self.drawn_with is not None and not self.states:
            raise ValueError("a segment without states has nothing that it could be drawn from")

    @property
    def state(self) -> State:
        """The environment's own state, of a segment that is one state; empty where unknown."""
        return self.states[0] if len(self.states) == 1 else {}

    @property
    def shown(self) -> tuple[int, ...]:
        """The steps, from 0, that its frames show."""
        return spaced(len(self.observations), len(self.frames))

    @cached_property
    def id(self) -> str:
        """Hash of what the judge sees, or of what that is drawn from, and what the reward model
        sees."""
        shape = np.array(self.observations.shape, np.int64)
        if self.drawn_with is None:
            seen = "".join(frame.id for frame in self.frames)
        else:
            seen = json.dumps([self.drawn_with, [dict(state) for state in self.states]])
        return content_id(seen.encode(), shape.tobytes(), self.observations.tobytes())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Segment) and self.id == other.id

    def __hash__(self) -> int:
        return hash(self.id)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two segments put under a goal. It has no presentation order: `between` sorts by id."""

    goal_id: str
    first: Segment
    second: Segment

    def __post_init__(self) -> None:
        if self.first.id >= self.second.id:
            raise ValueError(
                f"a comparison holds two different segments in the order of their ids, "
                f"not {self.first.id} and {self.second.id}: build it with Comparison.between"
            )

    @classmethod
    def between(cls, goal_id: str, one: Segment, other: Segment) -> Comparison:
        """The comparison of two segments, whichever way round they are given.

        Raises:
            ValueError: The two segments are the same; identical states are never asked.
        """
        first, second = sorted((one, other), key=lambda segment: segment.id)
        return cls(goal_id, first, second)

    @property
    def id(self) -> str:
        return content_id(self.goal_id.encode(), self.first.id.encode(), self.second.id.encode())

    @property
    def observations(self) -> ObservedPair:
        """What the reward model sees of both."""
        return self.first.observations, self.second.observations
