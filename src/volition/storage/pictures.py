"""Frames and observed pictures as picture files: written whole or not at all, and never over each
other."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from volition.comparison import Frame, Observations, encode_png
from volition.errors import StoreError
from volition.storage.files import write_whole

MOST_PIXELS = 2**26  # of a picture: a camera's has fewer, and no judge sees so many


def read_frame(path: Path, content: bytes | None = None) -> Frame:
    """A picture file as a frame.

    Args:
        path: Of the file.
        content: What is in it, where that is at hand; the path then only names it.

    Raises:
        StoreError: There is no such file, it is not a picture, or it is too large to be looked at.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # see MOST_PIXELS
            with Image.open(path if content is None else BytesIO(content)) as image:
                if image.width * image.height > MOST_PIXELS:
                    raise _too_large(path, f"it is {image.width} x {image.height}")
                return Frame(np.asarray(image.convert("RGB")))
    except FileNotFoundError:
        raise StoreError(f"{path}: the picture is missing") from None
    except Image.DecompressionBombError as error:
        count = max(map(int, re.findall(r"\d+", str(error))), default=0)
        raise _too_large(path, f"it has {count:,} pixels") from None
    except UnidentifiedImageError:
        raise StoreError(f"{path} is not a picture that can be read: no such format") from None
    except (OSError, SyntaxError, ValueError, MemoryError) as error:
        raise StoreError(f"{path} is not a picture that can be read: {error}") from error


def _too_large(path: Path, size: str) -> StoreError:
    return StoreError(
        f"{path} is not a picture that can be read: {size}, and may have {MOST_PIXELS:,} at most"
    )


def write_frame(frame: Frame, path: Path) -> None:
    """Writes a frame as PNG, whole or not at all; a file that is there already is kept."""
    if path.exists():
        return
    write_whole(path, encode_png(frame.pixels), durable=False)


def as_picture(observations: Observations) -> Frame:
    """Observed pictures, uint8 (T, height, width, channels), as one picture.

    They stand one below the other. Where they have another number of channels than three, the
    channels are grey and stand side by side.
    """
    steps, height, width, channels = observations.shape
    if channels == 3:
        return Frame(observations.reshape(steps * height, width, 3))
    grey = np.moveaxis(observations, 3, 2).reshape(steps * height, channels * width, 1)
    return Frame(np.repeat(grey, 3, 2))


def from_picture(picture: Frame, shape: Sequence[int]) -> Observations:
    """What `as_picture` made a picture of.

    Args:
        picture: The picture.
        shape: Steps, height, width and channels of what was observed.

    Raises:
        ValueError: The picture is of another size.
    """
    steps, height, width, channels = shape
    across = width if channels == 3 else channels * width
    pixels = picture.pixels
    if pixels.shape[:2] != (steps * height, across):
        raise ValueError(
            f"it is {pixels.shape[1]} x {pixels.shape[0]} pixels, and {across} x {steps * height} "
            f"hold {steps} of what is observed, {width} x {height} with {channels} channels"
        )
    if channels == 3:
        return pixels.reshape(steps, height, width, 3)
    return np.moveaxis(pixels[:, :, 0].reshape(steps, height, channels, width), 2, 3).copy()
