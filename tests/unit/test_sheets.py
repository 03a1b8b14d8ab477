"""Contact sheets show every pair whole, under its number, at a size that models see."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from volition.comparison import Frame, Pixels, Segment
from volition.judges.sheets import (
    CARD,
    CHOSEN,
    ENLARGED_TO,
    LETTER,
    LINE,
    LONGEST_EDGE,
    MOST_PATCHES,
    NUMBER,
    SHEET,
    STEP,
    TIED,
    Layout,
    NumberedPair,
    choose_layout,
    draw_sheets,
    storyboard,
    storyboard_size,
    strip_size,
)

Colour = tuple[int, int, int]


def seen(pixels: Pixels) -> Segment:
    return Segment(np.zeros((1, 1), np.float32), (Frame(pixels),))


def flat_grey(shade: int) -> Segment:
    return seen(np.full((72, 72, 3), shade, np.uint8))


def noise(seed: int, size: tuple[int, int] = (72, 72)) -> Segment:
    width, height = size
    rng = np.random.default_rng(seed)
    return seen(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))


def pairs(count: int, size: tuple[int, int] = (72, 72), start: int = 1) -> list[NumberedPair]:
    return [
        NumberedPair(start + i, noise(2 * i, size), noise(2 * i + 1, size)) for i in range(count)
    ]


def inside(sheet: Pixels, layout: Layout, place: int, side: int) -> Pixels:
    left, top = layout.corner(place)
    x, y = left + layout.lefts[side], top + layout.header
    width, height = layout.frame
    return sheet[y : y + height, x : x + width]


def where(sheet: Pixels, colour: Colour) -> npt.NDArray[np.bool_]:
    return (sheet == np.array(colour, np.uint8)).all(2)


@pytest.mark.parametrize("start", [1, 12345])
def test_every_frame_is_shown_whole_with_a_on_the_left(start: int) -> None:
    numbered = pairs(60, start=start)
    (sheet,) = draw_sheets(numbered, 60)
    layout = choose_layout((72, 72), 60)
    assert sheet.shape == (layout.size[1], layout.size[0], 3)
    for place, pair in enumerate(numbered):
        for side, segment in enumerate((pair.a, pair.b)):
            np.testing.assert_array_equal(
                inside(sheet, layout, place, side), segment.frames[0].pixels
            )


def header(numbered: list[NumberedPair], size: tuple[int, int]) -> tuple[Layout, Pixels]:
    """The line above the frames of the first card."""
    (sheet,) = draw_sheets(numbered, 1)
    layout = choose_layout(size, 1)
    left, top = layout.corner(0)
    return layout, sheet[top : top + layout.header - 1, left : left + layout.card[0]]


def columns(line: Pixels, colour: Colour) -> list[int]:
    return sorted(set(np.nonzero(where(line, colour))[1].tolist()))


def test_a_card_has_its_number_and_its_letters_above_the_frames() -> None:
    layout, line = header(pairs(1, (160, 80)), (160, 80))
    number, letters = columns(line, NUMBER), columns(line, LETTER)
    assert layout.lefts[0] <= number[0] < number[-1] < 40
    middles = [start + layout.frame[0] // 2 for start in layout.lefts]
    for middle in middles:
        assert min(abs(x - middle) for x in letters) <= 2
    assert all(min(abs(x - middle) for middle in middles) <= 12 for x in letters)


def test_a_long_number_does_not_run_into_the_letter() -> None:
    _, line = header(pairs(1, (160, 160), start=12345678), (160, 160))
    assert columns(line, NUMBER)[-1] + 4 < columns(line, LETTER)[0]


@pytest.mark.parametrize(
    ("frame", "count"),
    [((72, 72), 60), ((80, 80), 60), ((180, 60), 36), ((160, 160), 12), ((72, 72), 30)],
)
def test_sheets_that_a_judge_has_read_are_not_reduced(frame: tuple[int, int], count: int) -> None:
    layout = choose_layout(frame, count)
    assert layout.frame[0] >= frame[0]
    assert layout.columns * layout.rows == count


@given(
    st.tuples(st.integers(8, 1200), st.integers(8, 1200)).filter(lambda s: max(s) < 4 * min(s)),
    st.integers(1, 60),
)
@settings(max_examples=40, deadline=None)
def test_every_layout_fits(frame: tuple[int, int], count: int) -> None:
    layout = choose_layout(frame, count)
    width, height = layout.size
    assert max(width, height) <= LONGEST_EDGE
    assert math.ceil(width / 28) * math.ceil(height / 28) <= MOST_PATCHES
    assert layout.columns * layout.rows >= count
    assert layout.frame[0] / layout.frame[1] == pytest.approx(frame[0] / frame[1], rel=0.2)
    if layout.frame[0] > frame[0]:
        assert layout.frame[0] % frame[0] == 0
        assert min(layout.frame) <= ENLARGED_TO
    corners = [layout.corner(place) for place in range(count)]
    assert len(set(corners)) == count
    assert all(x + layout.card[0] < width and y + layout.card[1] < height for x, y in corners)


def test_sixty_pairs_of_a_whole_drawing_stay_readable() -> None:
    assert min(choose_layout((600, 400), 60).frame) >= 64


@pytest.mark.parametrize(("frame", "count"), [((8, 8), 100_000), ((600, 400), 600)])
def test_too_many_pairs_for_one_sheet_are_refused(frame: tuple[int, int], count: int) -> None:
    with pytest.raises(ValueError, match=f"{count} pairs of {frame[0]}x{frame[1]} pictures"):
        choose_layout(frame, count)


def test_pairs_go_on_over_several_sheets() -> None:
    numbered = pairs(14)
    sheets = draw_sheets(numbered, 12)
    assert len(sheets) == 2
    layout = choose_layout((72, 72), 12)
    assert sheets[1].size < sheets[0].size
    flat = [NumberedPair(number, *([flat_grey(number)] * 2)) for number in range(1, 15)]
    shown = inside(draw_sheets(flat, 12)[1], layout, 1, 1)
    assert (shown == 14).all(), "the last pair is not on the last sheet"
    (alone,) = draw_sheets(numbered[:12], 12)
    np.testing.assert_array_equal(sheets[0], alone)


def test_answers_are_marked_only_where_they_are_asked_for() -> None:
    numbered = [NumberedPair(number, flat_grey(255), flat_grey(0)) for number in range(1, 4)]
    (plain,) = draw_sheets(numbered, 3)
    assert not any(where(plain, colour).any() for colour in (CHOSEN, TIED))
    (marked,) = draw_sheets(numbered, 3, {1: "A", 2: "B", 3: "tie"})
    layout = choose_layout((72, 72), 3)
    for place, (answer, colour) in enumerate([("A", CHOSEN), ("B", CHOSEN), ("tie", TIED)]):
        left, top = layout.corner(place)
        outside = {"A": layout.lefts[0] - 2, "B": layout.lefts[1] + layout.frame[0] + 1}
        for letter, x in outside.items():
            beside = tuple(marked[top + layout.header + layout.frame[1] // 2, left + x])
            assert (beside == colour) == (answer in (letter, "tie")), (answer, letter)


def clip(shade: int, frames: int = 4, size: tuple[int, int] = (72, 48), steps: int = 30) -> Segment:
    """A clip whose frames grow lighter."""
    pixels = [np.full((*size[::-1], 3), shade + 5 * k, np.uint8) for k in range(frames)]
    return Segment(np.full((steps, 1), shade, np.float32), tuple(map(Frame, pixels)))


def test_a_storyboard_is_its_frames_side_by_side_under_the_numbers_of_their_steps() -> None:
    frames = tuple(Frame(np.full((8, 12, 3), grey, np.uint8)) for grey in (0, 100, 200))
    board = storyboard(frames, (0, 14, 29), (24, 16)).pixels
    assert storyboard_size((24, 16), 3) == (board.shape[1], board.shape[0]) == (76, 32)
    assert [board[24, x, 0] for x in (12, 38, 64)] == [0, 100, 200]
    assert [tuple(board[24, x]) for x in (24, 25, 50, 51)] == [LINE] * 4
    written = np.nonzero((board[:16] != CARD).any(2))[1]
    assert all(any(abs(x - middle) < 6 for x in written) for middle in (12, 38, 64))
    assert (board[15] == CARD).all(), "what is written over a frame does not reach into it"


def test_clips_are_storyboards_one_above_the_other() -> None:
    numbered = [
        NumberedPair(n, *(clip(shade, size=(160, 120)) for shade in (2 * n, 100 + 2 * n)))
        for n in range(1, 13)
    ]
    (sheet,) = draw_sheets(numbered, 12)
    layout = choose_layout((160, 120), 12, 4)
    assert sheet.shape == (layout.size[1], layout.size[0], 3)
    assert layout.frame[0] >= 100, "twelve pairs of clips are large enough to be seen"
    for place, pair in enumerate(numbered):
        left, top = layout.corner(place)
        for side, segment in enumerate((pair.a, pair.b)):
            x, y = left + layout.lefts[side], top + layout.tops[side]
            for number, frame in enumerate(segment.frames):
                start = x + number * (layout.frame[0] + STEP)
                shown = sheet[y : y + layout.frame[1], start : start + layout.frame[0]]
                assert (shown == frame.pixels[0, 0]).all(), (pair.number, side, number)
        card = sheet[top : top + layout.card[1], left : left + layout.card[0]]
        assert card[: layout.header, : layout.lefts[0]].min() < 60, "there is no number"
        rows = np.nonzero((card[layout.header :, : layout.lefts[0] - 1] != CARD).any(2))[0]
        for start in layout.tops:
            middle = start + layout.frame[1] // 2 - layout.header
            assert any(abs(row - middle) < layout.font for row in rows), "there is no letter"


@given(
    st.tuples(st.integers(24, 600), st.integers(24, 600)).filter(lambda s: max(s) < 3 * min(s)),
    st.integers(1, 12),
    st.integers(2, 6),
)
@settings(max_examples=30, deadline=None)
def test_every_layout_of_clips_fits(frame: tuple[int, int], count: int, frames: int) -> None:
    layout = choose_layout(frame, count, frames)
    assert max(layout.size) <= LONGEST_EDGE
    assert layout.patches <= MOST_PATCHES
    assert layout.lefts[1] + strip_size(layout.frame, frames)[0] < layout.card[0]
    assert layout.tops[1] + layout.frame[1] < layout.card[1]
    assert layout.tops[1] - layout.tops[0] - layout.frame[1] >= 4


def test_the_chosen_clip_is_marked() -> None:
    numbered = [NumberedPair(1, clip(10), clip(100)), NumberedPair(2, clip(20), clip(120))]
    (marked,) = draw_sheets(numbered, 2, {1: "A", 2: "B"})
    layout = choose_layout((72, 48), 2, 4)
    for place, answer in enumerate("AB"):
        left, top = layout.corner(place)
        for letter, x, y in zip("AB", layout.lefts, layout.tops, strict=True):
            beside = tuple(marked[top + y + 5, left + x - 2])
            assert (beside == CHOSEN) == (answer == letter)


def test_clips_of_different_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match=r"as many frames, not \[3, 4\]"):
        draw_sheets([NumberedPair(1, clip(1, frames=3), clip(2))], 1)


def test_pictures_of_different_sizes_are_refused() -> None:
    numbered = [NumberedPair(1, noise(0, (72, 72)), noise(1, (72, 80)))]
    with pytest.raises(ValueError, match=r"one size, not \[\(72, 72\), \(72, 80\)\]"):
        draw_sheets(numbered, 1)


def test_cards_stand_out_from_the_sheet() -> None:
    (sheet,) = draw_sheets(pairs(6), 6)
    layout = choose_layout((72, 72), 6)
    for place, (dx, dy) in product(range(6), [(-1, 0), (0, -1)]):
        left, top = layout.corner(place)
        assert tuple(sheet[top, left]) == CARD
        assert tuple(sheet[top + dy, left + dx]) == SHEET
