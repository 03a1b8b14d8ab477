"""The lamp: physics by what is conserved, the drawing by what it may never do."""

from __future__ import annotations

import math
import subprocess
import sys
from itertools import product

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from volition.envs.own import lamp_drawing
from volition.envs.own.lamp import BALL, Lamp
from volition.envs.own.lamp_body import (
    FREE,
    HEAD,
    LIMITS,
    LOWER_ARM,
    SHOULDER_HEIGHT,
    TORQUES,
    UPPER_ARM,
    WEIGHTS,
    Motion,
    Surroundings,
    accelerations,
    advance,
    energy,
)
from volition.envs.own.lamp_drawing import along, draw_lamp

THROWN: Motion = (1.5, 0.5, -0.8, 1.0, -2.0, 3.0)
NOTHING = (0.0, 0.0, 0.0)


def drift(seconds: float) -> float:
    """The largest change of the energy within two seconds of free movement, in joules."""
    motion, worst = THROWN, 0.0
    for _ in range(round(2 / seconds)):
        motion = advance(motion, NOTHING, seconds, FREE)
        worst = max(worst, abs(energy(motion) - energy(THROWN)))
    return worst


def test_energy_is_conserved_without_motors_dampers_springs_and_stops() -> None:
    assert drift(0.001) < 1e-5 * sum(WEIGHTS)
    assert drift(0.004) / drift(0.002) > 12  # of the fourth order: 16 at half the step


def test_the_work_of_the_motors_is_the_energy_gained() -> None:
    motion, work, seconds = THROWN, 0.0, 0.0005
    torques = (0.7, -0.4, 0.1)
    for _ in range(1000):
        after = advance(motion, torques, seconds, FREE)
        work += sum(t * (b - a) for t, a, b in zip(torques, motion, after, strict=False))
        motion = after
    assert energy(motion) - energy(THROWN) == pytest.approx(work, rel=1e-6)


def test_weights_and_lengths_are_those_of_the_links() -> None:
    """The potential energy of point masses, which is what the closed form must be."""
    angles = (1.1, 0.3, -0.7)
    height, expected = 0.0, 0.0
    for link, angle in zip((LOWER_ARM, UPPER_ARM, HEAD), angles, strict=True):
        expected += 9.81 * link.mass * (height + link.centre * math.sin(angle))
        height += link.length * math.sin(angle)
    assert energy((*angles, *NOTHING)) == pytest.approx(expected)


def test_springs_that_carry_all_weight_hold_any_posture() -> None:
    posture = (1.2, 0.4, -0.5, *NOTHING)
    balanced = Surroundings(balance=1.0)
    assert accelerations(posture, NOTHING, balanced) == pytest.approx(NOTHING)
    later = advance(posture, NOTHING, 0.05, Surroundings())
    assert energy((*later[:3], *NOTHING)) < energy(posture)  # as they are, it sinks


@pytest.mark.parametrize("seed", range(3))
def test_stops_hold_whatever_the_motors_do(seed: int) -> None:
    env, rng = Lamp(), np.random.default_rng(seed)
    env.reset(seed=seed)
    for number in range(400):
        if number % 20 == 0:
            action = rng.choice([-1.0, 1.0], 3).astype(np.float32)
        observation, *_ = env.step(action)
        assert env.observation_space.contains(observation)
        for angle, (low, high) in zip(env.get_state()[:3], LIMITS, strict=True):
            assert low - 0.12 < angle < high + 0.12
        assert np.abs(env.get_state()[3:6]).max() < 8


def test_motors_can_hold_every_posture() -> None:
    """What gravity asks of them anywhere is less than a third of what they can give."""
    for weight, most in zip(WEIGHTS, TORQUES, strict=True):
        assert (1 - Surroundings().balance) * weight < most / 3


def extent(angles: tuple[float, ...]) -> list[tuple[float, float]]:
    """The corners of the shade and of the cone of light, in metres."""
    neck = along(
        along((0, SHOULDER_HEIGHT), angles[0], LOWER_ARM.length), angles[1], UPPER_ARM.length
    )
    corners = [(lamp_drawing.OPENING, lamp_drawing.OPENING_WIDTH), (HEAD.length, 0.046)]
    return [
        along(along(neck, angles[2], ahead), angles[2] + math.pi / 2, side * across)
        for ahead, across in corners
        for side in (-1, 1)
    ]


def test_the_head_never_sinks_into_the_table_nor_leaves_the_picture() -> None:
    steps = [np.linspace(low, high, 12) for low, high in LIMITS]
    for angles in product(*steps):
        for x, y in extent(angles):
            assert y > 0.0
            assert lamp_drawing.LEFT < x < lamp_drawing.RIGHT
            assert y < lamp_drawing.TOP


def test_what_is_drawn_depends_on_posture_and_ball_alone() -> None:
    env = Lamp(render_mode="rgb_array", size=160)
    env.reset(seed=1)
    first = env.render()
    assert first is not None
    assert first.shape == (160, 160, 3)
    assert first.dtype == np.uint8
    state = env.get_state()
    for place in (0, 1, 2, 6):
        moved = state.copy()
        moved[place] += 0.1
        env.set_state(moved)
        other = env.render()
        assert other is not None
        assert (np.abs(other.astype(int) - first).max(2) > 48).mean() > 0.002
    moved = state.copy()
    moved[3:6] = 1.0
    env.set_state(moved)
    np.testing.assert_array_equal(env.render(), first)


def test_the_ball_is_lit_where_the_light_falls() -> None:
    angles, ball = (1.3, 0.1, -0.9), 0.5
    scale = 320 / (lamp_drawing.RIGHT - lamp_drawing.LEFT)
    x, y = round((ball - lamp_drawing.LEFT) * scale), round((lamp_drawing.TOP - 0.02) * scale)
    red = [int(draw_lamp((*angles[:2], head), ball, 0.0, 320)[y, x, 0]) for head in (-0.9, 0.5)]
    assert red[0] > red[1] + 30


@pytest.mark.parametrize("rolling", [False, True])
def test_gymnasium_finds_nothing_to_say(rolling: bool) -> None:
    env = gymnasium.make("volition/Lamp-v0", render_mode="rgb_array", rolling=rolling, size=64)
    check_env(env.unwrapped)
    assert env.observation_space.shape == ((8,) if rolling else (7,))
    env.reset(seed=0)
    steps = 0
    while True:
        _, reward, terminated, truncated, _ = env.step(env.action_space.sample())
        steps += 1
        assert reward == 0.0
        assert not terminated
        if truncated:
            break
    assert steps == 100


def test_a_state_that_is_set_is_the_state() -> None:
    env = Lamp(rolling=True)
    env.reset(seed=0)
    state = np.array([1.2, 0.5, -1.0, 0.5, -0.5, 1.0, 0.5, 0.2])
    env.set_state(state)
    np.testing.assert_array_equal(env.get_state(), state)
    assert len(env.state_fields) == len(env.state_ranges) == len(state)
    with pytest.raises(ValueError, match="8 finite numbers"):
        env.set_state(state[:7])
    with pytest.raises(ValueError, match="8 finite numbers"):
        env.set_state(np.full(8, np.nan))
    ends = np.array(list(env.state_ranges.values())).T
    for end, seen in zip(ends, (-1, 1), strict=True):
        env.set_state(end)
        np.testing.assert_allclose(env.observe(), seen)


def test_a_rolling_ball_comes_back_and_comes_to_rest() -> None:
    env = Lamp(rolling=True)
    env.reset(seed=0)
    places, still = [], np.zeros(3, np.float32)
    for _ in range(400):
        env.step(still)
        places.append(env.get_state()[6])
    assert BALL[0] <= min(places) < max(places) <= BALL[1]
    assert env.get_state()[7] == 0.0
    assert places[-1] == places[-2]


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="render_mode is rgb_array or None, not 'human'"):
        Lamp(render_mode="human")
    with pytest.raises(ValueError, match="from 32 to 2048, not 8"):
        Lamp(size=8)


def test_gymnasium_can_be_told_where_it_is() -> None:
    said = subprocess.run(
        [
            sys.executable,
            "-c",
            "import gymnasium as g; "
            "print(g.make('volition.envs:volition/Lamp-v0').reset(seed=0)[0].shape)",
        ],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert said.strip() == "(7,)"
