"""What an environment gives for a picture, as the one kind of picture that all of Volition has."""

from __future__ import annotations

import re
import reprlib
from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from volition.comparison import Pixels

CHANNELS = (1, 3, 4)  # grey, RGB, RGBA
LARGEST = 1024  # pixels of the longer side: more than anybody shows a judge, or a person
SMALLEST = 16  # of the shorter side: less is too small to see, and to make a film of
WHITE = 255

CELL = 10, 18  # pixels that a character is wide and high
ROOM = 24, 6  # columns and lines: text has room for a multiple of these, so that few sizes occur
INK, PAPER = (0, 0, 0), (255, 255, 255)
COLOURS = (  # of a terminal, by the last digit of their codes: ECMA-48, 8.3.117
    (0, 0, 0),
    (200, 0, 0),
    (0, 140, 0),
    (170, 120, 0),
    (0, 0, 220),
    (170, 0, 170),
    (0, 150, 170),
    (150, 150, 150),
)
ESCAPE = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])")


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


# Text --------------------------------------------------------------------------------------------


class _Style(NamedTuple):
    """How characters are drawn."""

    ink: tuple[int, int, int] = INK
    paper: tuple[int, int, int] = PAPER


def written(text: str, height: int = 0, width: int = 0) -> Pixels:
    """A picture of text: uint8 (height, width, 3), at least as large as is said.

    Every character is in a cell of its own, so that columns stand below each other, and in its
    colours where a terminal is told of them.
    """
    lines = [[*_styled(line)] for line in _last_screen(text).expandtabs(4).splitlines()]
    columns = max(map(len, lines), default=1)
    across, down = (
        -(-max(n, 1) // room) * room for n, room in zip((columns, len(lines)), ROOM, strict=True)
    )
    size = max(width, across * CELL[0]), max(height, down * CELL[1])
    picture = Image.new("RGB", size, PAPER)
    pen = ImageDraw.Draw(picture)
    for row, line in enumerate(lines):
        for column, (character, style) in enumerate(line):
            x, y = column * CELL[0], row * CELL[1]
            if style.paper != PAPER:
                pen.rectangle((x, y, x + CELL[0] - 1, y + CELL[1] - 1), style.paper)
            if not character.isspace():
                _write(pen, character, x, y, style.ink)
    return _sized(np.asarray(picture))


def _write(pen: ImageDraw.ImageDraw, character: str, x: int, y: int, ink: Any) -> None:
    """A character in the middle of its cell; one that the font does not have is a patch whose
    colour is its own, so that different ones look different."""
    middle = x + CELL[0] / 2
    if _has(character):
        pen.text((middle, y + CELL[1] - 5), character, ink, _font(), anchor="ms")
        return
    code = ord(character)
    colour = (37 * code % 197, 91 * code % 193, 151 * code % 191)
    pen.rectangle((x + 1, y + 2, x + CELL[0] - 2, y + CELL[1] - 3), colour)


def _last_screen(text: str) -> str:
    """What a terminal shows in the end, where it was cleared on the way."""
    return re.split(r"\x1b\[[0-3]?J|\x1bc|\f", text)[-1]


def _styled(line: str) -> Iterator[tuple[str, _Style]]:
    """The characters of a line, each as a terminal would show it. Escapes that are not about
    colours are left out."""
    style, place = _Style(), 0
    for escape in [*ESCAPE.finditer(line), None]:
        end = len(line) if escape is None else escape.start()
        yield from ((character, style) for character in line[place:end] if character.isprintable())
        if escape is not None:
            place = escape.end()
            if escape[2] == "m":
                style = _restyled(style, [int(code or 0) for code in escape[1].split(";")])


def _restyled(style: _Style, codes: list[int]) -> _Style:
    for code in codes:
        kind, which = divmod(code, 10)
        if code == 0:
            style = _Style()
        elif code == 7:
            style = _Style(style.paper, style.ink)
        elif kind in (3, 9):
            style = style._replace(ink=COLOURS[which] if which < 8 else INK)
        elif kind in (4, 10):
            style = style._replace(paper=COLOURS[which] if which < 8 else PAPER)
    return style


@cache
def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(CELL[1] - 4)


@cache
def _has(character: str) -> bool:
    """Whether the font has it: what it has not looks as what nothing has."""
    drawn, missing = (bytes(_font().getmask(each)) for each in (character, "\U0010fffd"))
    return drawn != missing
