"""Frames, segments, comparisons and judgments: hashing, checking, undoing the order."""

from __future__ import annotations

import dataclasses
import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from conftest import clip, comparison, segment
from volition.comparison import Comparison, Frame, Segment, encode_png, spaced
from volition.goal import Goal
from volition.judgment import (
    Failure,
    JudgeIdentity,
    Judgment,
    Order,
    Reply,
    Verdict,
    derive_preferences,
    undo_order,
)

probabilities = st.floats(0, 1)


def judgment(comparison_id: str, p: float, order: Order, number: int) -> Judgment:
    return Judgment(comparison_id, "judge", order, Verdict(p), Reply(str(number), ""))


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 256), st.integers(0, 99))
def test_a_png_holds_every_pixel(height: int, width: int, colours: int, seed: int) -> None:
    pixels = np.random.default_rng(seed).integers(colours, size=(height, width, 3), dtype=np.uint8)
    with Image.open(io.BytesIO(encode_png(pixels))) as image:
        image.verify()
    with Image.open(io.BytesIO(encode_png(pixels))) as image:
        np.testing.assert_array_equal(np.asarray(image), pixels)


def test_a_frame_is_named_by_its_pixels() -> None:
    pixels = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    assert Frame(pixels) == Frame(pixels.copy())
    assert Frame(pixels).id != Frame(pixels[::-1]).id
    # SHA-256 of the RGB bytes, as in the file names of the recorded judgments
    assert Frame(np.zeros((1, 1, 3), np.uint8)).id == "709e80c88487a241"


@pytest.mark.parametrize("shape", [(4, 4), (4, 4, 4), (4, 4, 1)])
def test_a_frame_has_three_colours(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="a frame is uint8"):
        Frame(np.zeros(shape, np.uint8))


def test_a_segment_refuses_what_cannot_be_seen_or_learned_from() -> None:
    frame = Frame(np.zeros((2, 2, 3), np.uint8))
    with pytest.raises(ValueError, match="float32"):
        Segment(np.zeros((1, 2)), (frame,))
    with pytest.raises(ValueError, match="not finite"):
        Segment(np.array([[np.nan]], np.float32), (frame,))
    with pytest.raises(ValueError, match="no frame"):
        Segment(np.zeros((1, 2), np.float32), ())
    with pytest.raises(ValueError, match="1 steps is shown in 2 frames"):
        Segment(np.zeros((1, 2), np.float32), (frame, frame))
    with pytest.raises(ValueError, match="3 steps has 1 states"):
        Segment(np.zeros((3, 2), np.float32), (frame,), ({"x": 1.0},))


@given(st.integers(2, 200), st.data())
def test_the_frames_of_a_clip_are_spread_evenly_from_its_first_step_to_its_last(
    steps: int, data: st.DataObject
) -> None:
    frames = data.draw(st.integers(2, steps))
    shown = spaced(steps, frames)
    assert (shown[0], shown[-1], len(shown)) == (0, steps - 1, frames)
    apart = np.diff(shown)
    assert apart.min() >= 1
    assert apart.max() - apart.min() <= 1


def test_a_clip_is_named_by_all_that_is_seen_of_it() -> None:
    made = clip(1.0)
    assert made.shown == (0, 2, 4)
    assert made == Segment(made.observations, made.frames)  # where it was is no part of its name
    assert made.id != Segment(made.observations, made.frames[::-1]).id
    assert made.id != Segment(made.observations[::-1], made.frames).id
    assert made.state == {}
    assert Segment(made.observations[:1], made.frames[:1], made.states[:1]).state == {"height": 1.0}


def test_a_comparison_has_no_order_and_two_sides() -> None:
    assert comparison(1, 2) == comparison(2, 1)
    assert comparison(1, 2).id != comparison(1, 2, goal_id="another").id
    with pytest.raises(ValueError, match="two different segments"):
        Comparison.between("goal", segment(1), segment(1))


def test_a_goal_needs_words() -> None:
    with pytest.raises(ValueError, match="needs words"):
        Goal("  ")
    with pytest.raises(dataclasses.FrozenInstanceError):
        Goal("up").text = "down"  # type: ignore[misc]


@pytest.mark.parametrize("probability", [-0.1, 1.1, float("nan")])
def test_a_verdict_is_a_probability(probability: float) -> None:
    with pytest.raises(ValueError, match="probability"):
        Verdict(probability)


def test_judges_that_may_answer_differently_have_different_ids() -> None:
    identities = [
        JudgeIdentity("a"),
        JudgeIdentity("b"),
        JudgeIdentity("a", simulated=True),
        JudgeIdentity("a", settings={"temperature": "0"}),
    ]
    assert len({identity.id for identity in identities}) == 4


@given(probabilities)
def test_undoing_the_order_is_the_same_answer_shown_the_other_way_round(p: float) -> None:
    forward = undo_order(Verdict(p), Order.FORWARD)
    swapped = undo_order(Verdict(1 - p), Order.SWAPPED)
    assert forward == pytest.approx(swapped)


@given(st.lists(st.tuples(probabilities, st.sampled_from(Order)), min_size=1, max_size=8))
def test_swapping_what_was_shown_first_changes_no_preference(
    answers: list[tuple[float, Order]],
) -> None:
    other = {Order.FORWARD: Order.SWAPPED, Order.SWAPPED: Order.FORWARD}
    (plain,) = derive_preferences(judgment("c", p, o, n) for n, (p, o) in enumerate(answers))
    (turned,) = derive_preferences(
        judgment("c", 1 - p, other[o], n) for n, (p, o) in enumerate(answers)
    )
    assert plain.p_first == pytest.approx(turned.p_first)
    assert plain.weight == turned.weight == len(answers)


def test_contradictions_meet_in_the_middle_and_failures_do_not_count() -> None:
    failed = Judgment("c", "judge", Order.FORWARD, Failure("refused", "no"), Reply("x", ""))
    answers = [judgment("c", 1, Order.FORWARD, 0), judgment("c", 1, Order.SWAPPED, 1), failed]
    (preference,) = derive_preferences(answers)
    assert (preference.p_first, preference.weight) == (0.5, 2.0)
    assert derive_preferences([failed]) == []
