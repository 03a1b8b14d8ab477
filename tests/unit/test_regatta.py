"""The race: gates in their order, buoys that come back, and land."""

from __future__ import annotations

from math import atan2, hypot, remainder, tau
from typing import Any

import numpy as np
import pytest

from volition.envs.own import regatta
from volition.envs.own.regatta import COMES_BACK, Regatta, _is_water
from volition.envs.own.regatta_course import BUOYS, GATES
from volition.tasks.truth import truth_of


def sail(env: Regatta, marks: list[tuple[float, float]], steps: int) -> list[Any]:
    """Sails to one mark after the other, again and again; what was observed after each step."""
    observed, number = [], 0
    for _ in range(steps):
        x, y = marks[number % len(marks)]
        off = remainder(atan2(y - env.y, x - env.x) - env.heading, tau)
        sheet = 1.0 if abs(off) < 0.7 else -1.0
        action = np.array([np.clip(3 * off, -1, 1), sheet], np.float32)
        observed.append(env.step(action)[0])
        number += hypot(x - env.x, y - env.y) < 0.4
    return observed


RACE = list(GATES)
CIRCLES = [(4.0, 2.6), *BUOYS * 9]


def test_the_course_can_be_sailed_and_circling_scores_more() -> None:
    for seed in range(5):
        racer, circler = Regatta(), Regatta()
        racer.reset(seed=seed)
        circler.reset(seed=seed)
        sail(racer, RACE, regatta.EPISODE_STEPS)
        sail(circler, CIRCLES, regatta.EPISODE_STEPS)
        assert racer.finished
        assert not circler.finished
        assert circler.points > 2 * racer.points


def test_gates_count_in_their_order_only() -> None:
    env = Regatta()
    env.reset(seed=0)
    env.x, env.y = GATES[1]
    env.step(np.array([0, -1], np.float32))
    assert env.passed == 0
    for number, gate in enumerate(GATES):
        env.x, env.y = gate
        _, reward, *_ = env.step(np.array([0, -1], np.float32))
        assert env.passed == number + 1
        assert reward == (regatta.FINISH_POINTS if number == len(GATES) - 1 else 0)


def test_a_buoy_gives_a_point_and_comes_back() -> None:
    env = Regatta()
    env.reset(seed=0)
    rewards = []
    for _ in range(2 * COMES_BACK + 1):
        env.x, env.y = BUOYS[0]
        rewards.append(env.step(np.array([0, -1], np.float32))[1])
    assert [number for number, reward in enumerate(rewards) if reward] == [0, 20, 40]
    assert sum(rewards) == env.points == 3


def test_nobody_sails_over_land() -> None:
    env = Regatta()
    env.action_space.seed(0)
    for seed in range(10):
        env.reset(seed=seed)
        action = env.action_space.sample()
        for number in range(regatta.EPISODE_STEPS):
            if number % 20 == 0:
                action = env.action_space.sample()
            env.step(action)
            assert _is_water(env.x, env.y)


def test_any_place_becomes_one_on_the_water() -> None:
    for x, y in np.random.default_rng(0).uniform((0, 0), (10, 8), (500, 2)).tolist():
        assert _is_water(*regatta._afloat(x, y))


def test_a_boat_that_has_finished_stays_there() -> None:
    env = Regatta()
    env.reset(seed=0)
    sail(env, RACE, 140)
    assert env.finished
    before = env.x, env.y
    points = env.points
    sail(env, CIRCLES, 100)
    assert hypot(env.x - before[0], env.y - before[1]) < 0.5
    assert env.points == points


@pytest.mark.parametrize("marks", [RACE, CIRCLES])
def test_truth_is_derived_from_what_is_observed(marks: list[tuple[float, float]]) -> None:
    env, truth = Regatta(), truth_of("regatta")
    env.reset(seed=0)
    observed = np.stack(sail(env, marks, regatta.EPISODE_STEPS))
    metrics = env._info()["metrics"]
    assert {name: measure(observed) for name, measure in truth.measures.items()} == pytest.approx(
        metrics
    )


def test_the_potential_grows_along_the_course() -> None:
    env, potential = Regatta(), truth_of("regatta").potential
    env.reset(seed=0)
    worth = [potential(observed[None]) for observed in sail(env, RACE, 120)]
    assert env.finished
    assert worth[-1] == 1.0
    assert np.diff(worth).min() > -0.04
    assert worth[0] < 0.2
