"""What is asked covers the states, can be seen, and is what an ensemble is least sure of."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conftest import comparison, segment
from volition.comparison import (
    Comparison,
    Frame,
    Pixels,
    Segment,
    Shown,
    State,
    shown_together,
)
from volition.envs.scene import open_scene
from volition.errors import InputError
from volition.goal import Goal
from volition.questions.candidates import Candidates, chosen_comparisons
from volition.questions.choosing import CONSIDERED, chosen_pairs, disagreement, information
from volition.questions.covering import coverage_pairs
from volition.questions.distinct import distinguishable
from volition.storage.store import Store
from volition.tasks.view import JudgeView

VIEW = JudgeView(crop=(0.25, 0.25, 0.75, 0.75), size=(72, 72))


class Plane:
    """Two numbers, of which the first is drawn as a bar and the second does not show."""

    fields: tuple[str, ...] = ("shown", "hidden")

    def __init__(self, steps: int = 64) -> None:
        self.ranges = {"shown": (-1.0, 1.0), "hidden": (0.0, 10.0)}
        self.steps = steps
        self.drawn = 0

    def observe(self, state: State) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
        return np.array([state["shown"], state["hidden"]], np.float32)

    def draw(self, state: State) -> Pixels:
        self.drawn += 1
        picture = np.zeros((self.steps, self.steps, 3), np.uint8)
        picture[: int((state["shown"] + 1) / 2 * self.steps)] = 255
        return picture

    def capture(self, env: Any) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        return np.array([env.shown, env.hidden])


def test_states_cover_every_range_evenly() -> None:
    pairs = coverage_pairs(Plane(), 120, np.random.default_rng(0))
    assert len(pairs) == 120
    for field, bounds in Plane().ranges.items():
        for side in (0, 1):
            values = [pair[side][field] for pair in pairs]
            counts, _ = np.histogram(values, 6, bounds)
            assert counts.sum() == 120, "a state lies outside its range"
            assert 10 <= counts.min() <= counts.max() <= 30
        both = [state[field] for pair in pairs for state in pair]
        counts, _ = np.histogram(both, 12, bounds)
        assert counts.max() - counts.min() <= 8  # random ones differ by about 15
    steps = [one["shown"] - other["shown"] for one, other in pairs]
    assert np.histogram(steps, 5)[0].min() >= 5, "the two states of a pair are not independent"


def test_the_seed_decides() -> None:
    def chosen(seed: int) -> object:
        return coverage_pairs(Plane(), 20, np.random.default_rng(seed))

    assert chosen(1) == chosen(1)
    assert chosen(1) != chosen(2)


def test_states_that_look_the_same_are_never_paired_and_no_two_pairs_look_the_same() -> None:
    scene = Plane(steps=3)  # three pictures in all
    pairs = coverage_pairs(scene, 60, np.random.default_rng(0))
    frames = [(Frame(scene.draw(one)), Frame(scene.draw(other))) for one, other in pairs]
    assert len({frozenset(frame.id for frame in pair) for pair in frames}) == len(pairs) == 3
    for one, other in frames:
        assert distinguishable(one, other)


def test_the_same_two_pictures_are_asked_about_once() -> None:
    """Of 64 states that differ in what no picture shows there are four pictures, and six pairs."""
    shades = np.repeat(np.arange(4) * 60, 16).astype(np.uint8)
    hidden = np.linspace(-1, 1, 64, dtype=np.float32)
    states = [
        Segment(np.array([[value]]), (Frame(np.full((8, 8, 3), shade, np.uint8)),))
        for value, shade in zip(hidden, shades, strict=True)
    ]

    def opinions(observations: Any) -> tuple[Any, Any]:
        values = np.random.default_rng(0).normal(size=(4, len(observations)))
        return values, values.mean(0)

    shown: set[Shown] = set()
    rng = np.random.default_rng(0)
    for _ in range(8):
        asked = chosen_comparisons(Candidates.filmed(states), opinions, "goal", shown, 4, rng)
        now = [shown_together(c.first.frames, c.second.frames) for c in asked]
        assert len(set(now)) == len(now)
        assert shown.isdisjoint(now)
        shown.update(now)
    assert len(shown) == 6


def test_a_store_knows_what_was_shown(tmp_path: Path) -> None:
    asked = [comparison(0, 1), Comparison.between("goal", segment(2, 7), segment(3, 9))]
    with Store.create(tmp_path) as store:
        goal_id = store.add_goal(Goal("up"))
        asked = [Comparison.between(goal_id, c.first, c.second) for c in asked]
        store.add_comparisons(asked)
        assert store.shown() == [shown_together(c.first.frames, c.second.frames) for c in asked]


def test_a_view_that_shows_nothing_is_an_error_that_says_so() -> None:
    scene = Plane(steps=64)

    def look(state: State) -> Frame:
        return JudgeView(crop=(0, 0, 0.1, 0.01)).frame(scene.draw({**state, "shown": 0.0}))

    with pytest.raises(InputError, match="only 0 of 10 pairs look different"):
        coverage_pairs(scene, 10, np.random.default_rng(0), look)


@pytest.mark.parametrize(("degrees", "seen"), [(0.0, False), (0.25, False), (3.0, True)])
def test_a_difference_must_be_large_enough_to_see(degrees: float, seen: bool) -> None:
    scene = open_scene("Pendulum-v1")
    for theta in (0.3, 2.0, -1.2):
        one, other = (
            VIEW.frame(scene.draw({"theta": angle, "theta_dot": 0.0}))
            for angle in (theta, theta + math.radians(degrees))
        )
        assert distinguishable(one, other) == seen


def test_frames_of_dim_noise_look_the_same() -> None:
    rng = np.random.default_rng(0)
    one, other = (Frame(rng.integers(0, 40, (32, 32, 3), dtype=np.uint8)) for _ in range(2))
    assert not distinguishable(one, other)


def test_information_is_what_members_disagree_about() -> None:
    agree = np.full((4, 1), 0.0)  # every member is unsure: an answer teaches none of them
    certain = np.array([[20.0], [20.0], [-20.0], [-20.0]])  # two of them must be wrong
    alike = np.full((4, 1), 20.0)
    told = information(np.concatenate([agree, certain, alike], axis=1))
    assert told == pytest.approx([0.0, math.log(2), 0.0], abs=1e-6)
    extreme = np.array([[1e4, 20.0], [-1e4, 20.0]], np.float32)
    assert information(extreme) == pytest.approx([math.log(2), 0.0], abs=1e-6)


def test_what_the_ensemble_doubts_is_asked() -> None:
    rng = np.random.default_rng(0)
    values = np.tile(np.linspace(0, 5, 400), (5, 1))  # all members agree ...
    values[:, 300:] += rng.normal(0, 5, (5, 100))  # ... but on a quarter of the states
    pairs = chosen_pairs(values, values.mean(0), 30, rng, lambda one, other: True, peaks=0)
    assert len(pairs) == 30
    asked = [place for pair in pairs for place in pair]
    assert len(set(asked)) == len(asked), "a state is asked about twice"
    assert all(max(pair) >= 300 for pair in pairs)
    random = information(values[:, rng.integers(400, size=400)] - values)
    chosen = information(np.stack([values[:, i] - values[:, j] for i, j in pairs], 1))
    assert chosen.mean() > 2 * random.mean()


def test_only_pairs_worth_asking_are_asked() -> None:
    values = np.random.default_rng(0).normal(size=(5, 200))
    called: list[tuple[int, int]] = []

    def even(one: int, other: int) -> bool:
        called.append((one, other))
        return one % 2 == 0 and other % 2 == 0

    reward = values.mean(0)
    pairs = chosen_pairs(values, reward, 10, np.random.default_rng(0), even)
    assert len(pairs) == 10
    assert all(one % 2 == other % 2 == 0 for one, other in pairs)
    assert len(called) <= 2 * 10 * CONSIDERED * 3
    assert chosen_pairs(values, reward, 10, np.random.default_rng(0), lambda *_: False) == []


def test_a_share_of_the_questions_checks_the_states_with_the_highest_reward() -> None:
    rng = np.random.default_rng(0)
    values = np.tile(np.linspace(0, 5, 1000), (5, 1))
    pairs = chosen_pairs(values, values[0], 40, rng, lambda *_: True, "uniform", peaks=0.25)
    checks = [pair for pair in pairs if max(pair) >= 980]
    assert len(checks) >= 10
    assert all(min(pair) >= 500 for pair in pairs[:10])
    uniform = chosen_pairs(values, values[0], 40, rng, lambda *_: True, "uniform", peaks=0)
    assert np.mean(uniform) == pytest.approx(500, abs=150)


def test_disagreement_is_the_variance_of_the_members_answers() -> None:
    logits = np.array([[20.0, 0.0, 1.0], [-20.0, 0.0, 1.0]])
    assert disagreement(logits) == pytest.approx([0.25, 0.0, 0.0], abs=1e-6)


def test_choosing_from_a_hundred_thousand_states_stays_quick() -> None:
    values = np.random.default_rng(0).normal(size=(5, 100_000)).astype(np.float32)
    considered: list[int] = []

    def worth(one: int, other: int) -> bool:
        considered.append(one)
        return True

    pairs = chosen_pairs(values, values.mean(0), 32, np.random.default_rng(0), worth)
    assert len(pairs) == 32
    assert len(considered) <= 64, "work is by the number of questions, not of states"
