"""Contact sheets: many numbered pairs on one picture, A on the left and B on the right.

Of clips every side is a storyboard, its frames from left to right, and A is above B.

Sixty comparisons for the price of one picture, where the judge can read it. So the layout is made
for reading: frames as large as the models' own limits allow, every pair on a card of its own, its
number and the letters above the frames and never on them.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from math import ceil

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from volition.comparison import Frame, Pixels, Segment

# What is larger is reduced by a provider, or refused, before a model sees it. These are the
# tightest of the common bounds, those of Anthropic's models of standard resolution: pixels of the
# longer edge, and patches of PATCH pixels square ("Vision", and the API's own `oversized_image`).
LONGEST_EDGE = 1568
MOST_PATCHES = 1568
PATCH = 28
ENLARGED_TO = 160  # the shorter side of a frame, in pixels, up to which enlarging may help
CHEAP_PATCHES = 300  # of a sheet of enlarged frames, which cost more and show nothing new
LEGIBLE = 24  # the shorter side of a frame, in pixels, below which nothing can be judged
SQUARE_ENOUGH = 1.45  # the longer side of a sheet by the shorter

MARGIN = 3  # around the cards and between them
PADDING = 2  # inside a card, and between its two frames
STEP = 2  # between the frames of a storyboard
APART = 6  # two storyboards, one above the other
DESCENT = 4  # of the p in "step 1", below its baseline

PAIRS_OF_STATES = 60  # on one sheet, which judges have read without a mistake
FRAMES_OF_CLIPS = 48  # on each half of a sheet of clips, so that they stay as large

MOST_COLUMNS = LONGEST_EDGE // (2 + 3 * PADDING + MARGIN)  # of frames of one pixel

SHEET, CARD, LINE = (205, 205, 205), (236, 236, 236), (160, 160, 160)
NUMBER, LETTER = (0, 0, 0), (0, 0, 190)
CHOSEN, TIED = (0, 150, 60), (225, 140, 0)
TIE = "tie"


@dataclass(frozen=True, slots=True)
class NumberedPair:
    """Two segments as a sheet shows them.

    Attributes:
        number: What the judge answers to.
        a: Shown first, on the left, or above where it is a clip.
        b: Shown second, on the right, or below.
    """

    number: int
    a: Segment
    b: Segment


@dataclass(frozen=True, slots=True)
class Layout:
    """How pairs are laid out on a sheet. All in pixels.

    Attributes:
        columns, rows: Of cards.
        frame: Width and height of each frame.
        font: Size of numbers and letters.
        frames: Of each of a card's two sides; several are a storyboard.
    """

    columns: int
    rows: int
    frame: tuple[int, int]
    font: int
    frames: int = 1

    @property
    def header(self) -> int:
        """Height of the line with the number, and the letters or the steps."""
        return self.font + (DESCENT if self.frames > 1 else 0)

    @property
    def side(self) -> tuple[int, int]:
        """Width and height of what is shown of a segment."""
        return strip_size(self.frame, self.frames)

    @property
    def card(self) -> tuple[int, int]:
        width, height = self.side
        return self.lefts[1] + width + PADDING, self.tops[1] + height + PADDING

    @property
    def lefts(self) -> tuple[int, int]:
        """Where a card's two sides begin, from its left."""
        if self.frames > 1:  # after the letter
            return (self.font + 2 * PADDING,) * 2
        return PADDING, 2 * PADDING + self.frame[0]

    @property
    def tops(self) -> tuple[int, int]:
        """Where a card's two sides begin, from its top."""
        if self.frames > 1:
            return self.header, self.header + self.frame[1] + APART
        return self.header, self.header

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the sheet."""
        width, height = self.card
        return (
            MARGIN + self.columns * (width + MARGIN),
            MARGIN + self.rows * (height + MARGIN),
        )

    @property
    def patches(self) -> int:
        width, height = self.size
        return ceil(width / PATCH) * ceil(height / PATCH)

    @property
    def fits(self) -> bool:
        return max(self.size) <= LONGEST_EDGE and self.patches <= MOST_PATCHES

    def corner(self, place: int) -> tuple[int, int]:
        """Left and top of the card in that place, counted along the rows."""
        row, column = divmod(place, self.columns)
        width, height = self.card
        return MARGIN + column * (width + MARGIN), MARGIN + row * (height + MARGIN)


def draw_sheets(
    pairs: Sequence[NumberedPair], per_sheet: int, answers: Mapping[int, str] | None = None
) -> list[Pixels]:
    """Contact sheets of `pairs` in their order, as few as hold `per_sheet` pairs each.

    All of them have one layout, that of a full sheet.

    Args:
        pairs: What to show; their frames have one size, and are as many of each segment.
        per_sheet: Pairs on a sheet.
        answers: Choices (A, B or tie) by number, to be marked; for a person, not for a judge.

    Returns:
        uint8 (height, width, 3) each.

    Raises:
        ValueError: There is no pair, or the frames differ in size or number.
    """
    segments = [side for pair in pairs for side in (pair.a, pair.b)]
    sizes = {frame.pixels.shape[1::-1] for side in segments for frame in side.frames}
    if len(sizes) != 1:
        raise ValueError(f"the pictures of a contact sheet have one size, not {sorted(sizes)}")
    counts = {len(side.frames) for side in segments}
    if len(counts) != 1:
        raise ValueError(f"the clips of a contact sheet have as many frames, not {sorted(counts)}")
    layout = choose_layout(sizes.pop(), min(per_sheet, len(pairs)), counts.pop())
    return [
        _draw(pairs[start : start + per_sheet], layout, answers or {})
        for start in range(0, len(pairs), per_sheet)
    ]


def choose_layout(frame: tuple[int, int], count: int, frames: int = 1) -> Layout:
    """The layout that shows `count` pairs of pictures of that size largest.

    Of storyboards it is the size of a frame, and `frames` how many each has.

    Of layouts that show them about equally large, the one nearest to a square, since models tile,
    pad or reduce long pictures; near enough to one, the one with no place left empty.

    Raises:
        ValueError: They would be too small to be judged.
    """
    layouts = [
        _largest(frame, columns, count, frames)
        for columns in range(1, min(count, MOST_COLUMNS) + 1)
    ]
    legible = [layout for layout in layouts if layout and min(layout.frame) >= min(*frame, LEGIBLE)]
    if not legible:
        of_clips = f"clips of {frames} " if frames > 1 else ""
        raise ValueError(
            f"{count} pairs of {of_clips}{frame[0]}x{frame[1]} pictures do not fit on one sheet so "
            "that they can be told apart: put fewer on each"
        )

    largest = max(layout.frame[0] for layout in legible)

    def preference(layout: Layout) -> tuple[float, ...]:
        length = max(layout.size) / min(layout.size)
        cards = layout.columns * layout.rows
        return -max(length, SQUARE_ENOUGH), -cards, -length, layout.frame[0]

    return max((layout for layout in legible if layout.frame[0] >= 0.9 * largest), key=preference)


def pairs_on_a_sheet(frames: int) -> int:
    """As many as can be judged well, of segments that are shown in so many frames."""
    return PAIRS_OF_STATES if frames == 1 else max(1, FRAMES_OF_CLIPS // frames)


# Storyboards ---------------------------------------------------------------------------------


def storyboard(frames: Sequence[Frame], shown: Sequence[int], frame: tuple[int, int]) -> Frame:
    """The frames of a clip side by side, the number of its step above each.

    Args:
        frames: In the order of time.
        shown: The step of each, from 0; a person counts from 1, and so do the numbers.
        frame: Width and height that each gets.
    """
    font, baseline = _font(_font_size(frame[1])), _font_size(frame[1]) - PADDING
    board = Image.new("RGB", storyboard_size(frame, len(frames)), CARD)
    _write_steps(ImageDraw.Draw(board), shown, frame[0], (0, baseline), font)
    board.paste(_strip(frames, frame), (0, board.height - frame[1]))
    return Frame(np.asarray(board))


def storyboard_size(frame: tuple[int, int], count: int) -> tuple[int, int]:
    """Width and height of the storyboard of so many frames of that size."""
    width, height = strip_size(frame, count)
    return width, height + _font_size(frame[1]) + DESCENT


def strip_size(frame: tuple[int, int], count: int) -> tuple[int, int]:
    """Width and height of so many frames of that size side by side."""
    return count * (frame[0] + STEP) - STEP, frame[1]


def _strip(frames: Sequence[Frame], frame: tuple[int, int]) -> Image.Image:
    """The frames side by side, each of that width and height."""
    strip = Image.new("RGB", strip_size(frame, len(frames)), LINE)
    for place, shown in enumerate(frames):
        strip.paste(_fitted(shown, frame), (place * (frame[0] + STEP), 0))
    return strip


def _write_steps(
    draw: ImageDraw.ImageDraw,
    shown: Sequence[int],
    width: int,
    at: tuple[int, int],
    font: ImageFont.FreeTypeFont,
    after: float = 0,
) -> None:
    """The number of its step over each frame, from a baseline on; none before `after`."""
    longest = font.getlength(f"step {shown[-1] + 1}")
    word = "step " if longest + 2 * PADDING < width else ""
    for place, step in enumerate(shown):
        label = f"{word}{step + 1}"
        x = at[0] + place * (width + STEP) + (width - font.getlength(label)) // 2
        if x >= after:
            _write(draw, (x, at[1]), label, LETTER, font)


# Sheets --------------------------------------------------------------------------------------


def _largest(frame: tuple[int, int], columns: int, count: int, frames: int) -> Layout | None:
    """The layout with that many columns, its frames enlarged by a whole number, as they are, or
    reduced as little as makes the sheet fit; None where nothing does."""

    def of_width(shown: int) -> Layout:
        height = max(1, round(frame[1] * shown / frame[0]))
        return Layout(columns, -(-count // columns), (shown, height), _font_size(height), frames)

    enlarged = range(max(1, ENLARGED_TO // min(frame)), 1, -1)
    for layout in (of_width(frame[0] * factor) for factor in enlarged):
        if layout.fits and layout.patches <= CHEAP_PATCHES:
            return layout
    widths = range(1, frame[0] + 1)
    too_wide = bisect_left(widths, True, key=lambda width: not of_width(width).fits)
    return of_width(widths[too_wide - 1]) if too_wide else None


def _draw(
    pairs: Sequence[NumberedPair],
    layout: Layout,
    answers: Mapping[int, str],
) -> Pixels:
    """One sheet; a last sheet that is not full is as small as its pairs allow."""
    columns = min(layout.columns, len(pairs))
    cut = replace(layout, columns=columns, rows=-(-len(pairs) // columns))
    sheet = Image.new("RGB", cut.size, SHEET)
    for place, pair in enumerate(pairs):
        sheet.paste(_card(pair, cut, answers.get(pair.number)), cut.corner(place))
    return np.asarray(sheet)


def _card(pair: NumberedPair, layout: Layout, answer: str | None) -> Image.Image:
    card = Image.new("RGB", layout.card, CARD)
    draw = ImageDraw.Draw(card)
    font, baseline = _font(layout.font), layout.font - PADDING
    number_ends = _write(draw, (PADDING, baseline), f"#{pair.number}", NUMBER, font)
    for letter, left, top, segment in zip(
        "AB", layout.lefts, layout.tops, (pair.a, pair.b), strict=True
    ):
        line, around = LINE, 1
        if answer in (letter, TIE):
            line, around = (TIED if answer == TIE else CHOSEN), PADDING
        width, height = layout.side
        right, bottom = left + width - 1, top + height - 1
        draw.rectangle((left - around, top - around, right + around, bottom + around), line)
        card.paste(_strip(segment.frames, layout.frame), (left, top))
        if layout.frames > 1:
            _write(draw, (PADDING, top + (height + layout.font) // 2), letter, LETTER, font)
            continue
        centred = left + (width - font.getlength(letter)) // 2
        # Over a narrow frame a long number reaches to where the A would be.
        x = max(centred, number_ends + 2 * PADDING) if letter == "A" else centred
        _write(draw, (x, baseline), letter, LETTER, font)
    if layout.frames > 1:
        at, after = (layout.lefts[0], baseline), number_ends + 2 * PADDING
        _write_steps(draw, pair.a.shown, layout.frame[0], at, font, after)
    return card


def _write(
    draw: ImageDraw.ImageDraw,
    at: tuple[float, float],
    text: str,
    colour: tuple[int, int, int],
    font: ImageFont.FreeTypeFont,
) -> float:
    """Writes `text` from the left end of its baseline; returns where it ends."""
    x, y = at
    for shifted in (x, x + 1):  # twice, a pixel apart: bold, which Pillow's own font does not have
        draw.text((shifted, y), text, colour, font, anchor="ls")
    return x + 1 + font.getlength(text)


def _fitted(frame: Frame, size: tuple[int, int]) -> Image.Image:
    shown = Image.fromarray(frame.pixels)
    return shown if shown.size == size else shown.resize(size, Image.Resampling.LANCZOS)


def _font_size(height: int) -> int:
    """Of what is written over a frame of that height."""
    return min(max(height // 8, 12), 18)


@cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    """Pillow's own font, so that a sheet is the same picture on every machine."""
    font = ImageFont.load_default(size)
    assert isinstance(font, ImageFont.FreeTypeFont), "Pillow was built without FreeType"
    return font
