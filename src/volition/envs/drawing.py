"""What an environment gives for a picture, as the one kind of picture that all of Volition has."""

from __future__ import annotations

import reprlib
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from volition.comparison import Pixels

CHANNELS = (1, 3, 4)  # grey, RGB, RGBA
LARGEST = 1024  # pixels of the longer side: more than anybody shows a judge, or a person
SMALLEST = 16  # of the shorter side: less is too small to see, and to make a film of
WHITE = 255


def as_pixels(rendered: Any) -> Pixels:
    """uint8 (height, width, 3) of what `render` gave, wherever it can be understood.

    That is: one frame or a list of them, of which the last counts; grey, RGB or RGBA, which is laid
    over white; channels last or first; bytes from 0 to 255, or fractions from 0 to 1.

    Raises:
        ValueError: It cannot; the message says what it is, and follows on the name of what gave it.
    """
    if isinstance(rendered, list | tuple) and rendered and not isinstance(rendered[-1], list):
        rendered = rendered[-1]
    try:
        array = np.asarray(rendered)
    except ValueError:  # rows of different lengths
        array = np.asarray(None)
    if array.dtype.kind not in "buif" or array.ndim < 2 or not array.size:
        raise ValueError(f"gave {reprlib.repr(rendered)}, which is no picture")
    while array.ndim > 3:
        array = array[-1]
    if array.ndim == 2:
        array = array[:, :, None]
    if array.shape[2] not in CHANNELS and array.shape[0] in CHANNELS:
        array = np.moveaxis(array, 0, 2)
    if array.shape[2] not in CHANNELS:
        raise ValueError(f"gave an array of shape {np.shape(rendered)}, which is no picture")
    return _sized(_coloured(_bytes(array)))


def fitted(pixels: Pixels, height: int, width: int) -> Pixels:
    """A picture in another size."""
    if pixels.shape[:2] == (height, width):
        return pixels
    resized = Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(resized)


def _bytes(array: npt.NDArray[Any]) -> Pixels:
    """From 0 to 255; fractions are known by none being above 1."""
    if array.dtype == np.uint8:
        return array.copy()  # environments use their arrays again
    if array.dtype == np.bool_:
        return array * np.uint8(255)
    lowest, highest = array.min(), array.max()
    if not (np.isfinite(lowest) and np.isfinite(highest)):
        value = array[~np.isfinite(array)][0]
        raise ValueError(f"gave a picture with a pixel that is {value}")
    if lowest < 0 or highest > 255:
        value = lowest if lowest < 0 else highest
        raise ValueError(f"gave a picture with a pixel that is {value}, and not within 0 to 255")
    if array.dtype.kind == "f" and highest <= 1:
        array = array * 255.0
    return np.rint(array).astype(np.uint8)


def _coloured(array: Pixels) -> Pixels:
    """RGB of grey, of RGB, and of RGBA as it looks on white."""
    if array.shape[2] == 1:
        return np.repeat(array, 3, 2)
    if array.shape[2] == 3:
        return array
    colours, opacity = array[:, :, :3], array[:, :, 3:].astype(np.uint16)
    mixed = (colours * opacity + WHITE * (255 - opacity) + 127) // 255
    return mixed.astype(np.uint8)


def _sized(pixels: Pixels) -> Pixels:
    """In a size that can be seen: reduced, or each pixel repeated."""
    height, width = pixels.shape[:2]
    if (factor := -(-max(height, width) // LARGEST)) > 1:
        pixels = np.asarray(Image.fromarray(pixels).reduce(factor))
    times = -(-SMALLEST // min(pixels.shape[:2]))
    if times * max(pixels.shape[:2]) > LARGEST:
        raise ValueError(f"gave a picture of {width} x {height} pixels, which is too narrow to see")
    return pixels if times == 1 else pixels.repeat(times, 0).repeat(times, 1)
