"""What the judge is shown of an environment's drawing."""

from __future__ import annotations

import math
from typing import Annotated, Self

import numpy as np
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from volition.comparison import Frame, Pixels, spaced
from volition.errors import InputError

# Nothing is taken for something else: "400" is no number, and 400.0 no whole one.
Whole = Annotated[int, Field(strict=True)]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Flag = Annotated[bool, Field(strict=True)]
Fraction = Annotated[Number, Field(ge=0, le=1)]
PixelCount = Annotated[Whole, Field(ge=8, le=2048)]
MOST_PIXELS = 2**21  # of a frame: what is larger no judge sees any better


class Section(BaseModel):
    """A table of task.toml: every key is known and none may be changed."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ClipSection(Section):
    """A segment of several steps, shown as a storyboard.

    Attributes:
        steps: Consecutive observations of a segment.
        frames: Pictures of it, evenly spaced over the steps, the first and the last included.
    """

    steps: Annotated[Whole, Field(ge=2, le=1000)]
    frames: Annotated[Whole, Field(ge=2, le=16)]

    @model_validator(mode="after")
    def _a_frame_has_a_step(self) -> Self:
        if self.frames > self.steps:
            raise ValueError(
                f"a clip of {self.steps} steps cannot be shown in {self.frames} frames"
            )
        return self


class JudgeView(Section):
    """What the judge is shown of an environment's drawing.

    Attributes:
        crop: left, top, right, bottom as fractions of the drawing; the whole drawing by default.
        size: width and height in pixels to which the crop is reduced; as drawn by default.
        overlay: Lay the two states of a pair over each other, for differences too small to see side
            by side.
        clip: Judge clips, where what is wanted does not show in one state; false for single states.
    """

    crop: tuple[Fraction, Fraction, Fraction, Fraction] = (0, 0, 1, 1)
    size: tuple[PixelCount, PixelCount] | None = None
    overlay: Flag = False
    clip: ClipSection | None = None

    @field_validator("clip", mode="before")
    @classmethod
    def _false_is_no_clip(cls, clip: object) -> object:
        return None if clip is False else clip

    @property
    def steps(self) -> int:
        """Steps of a segment."""
        return self.clip.steps if self.clip else 1

    @property
    def shown(self) -> tuple[int, ...]:
        """The steps of a segment, from 0, of which the judge sees a frame."""
        return spaced(self.clip.steps, self.clip.frames) if self.clip else (0,)

    @model_validator(mode="after")
    def _crop_has_an_inside(self) -> Self:
        left, top, right, bottom = self.crop
        if left >= right or top >= bottom:
            raise ValueError("crop is left, top, right, bottom with left < right and top < bottom")
        return self

    @model_validator(mode="after")
    def _size_can_be_looked_at(self) -> Self:
        if self.size is not None and math.prod(self.size) > MOST_PIXELS:
            width, height = self.size
            raise ValueError(
                f"size is {width} x {height}: a frame may have {MOST_PIXELS:,} pixels at most"
            )
        return self

    def frame(self, drawing: Pixels) -> Frame:
        """The frame of a drawing, uint8 (height, width, 3).

        Raises:
            InputError: The crop holds nothing of it.
        """
        height, width = drawing.shape[:2]
        left, top, right, bottom = self.crop
        rows = slice(round(top * height), round(bottom * height))
        columns = slice(round(left * width), round(right * width))
        inside = drawing[rows, columns]
        if not inside.size:
            raise InputError(
                f"view.crop is {list(self.crop)}, which holds no pixel of a drawing of "
                f"{width} x {height}: make it larger"
            )
        picture = Image.fromarray(inside)
        if self.size is not None:
            picture = picture.resize(self.size, Image.Resampling.LANCZOS)
        return Frame(np.asarray(picture))
