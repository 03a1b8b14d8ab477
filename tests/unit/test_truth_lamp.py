"""What is true of the lamp: of postures that a person chose, and of what the lamp can do."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest

from volition.comparison import Observations
from volition.envs.own import lamp as environment
from volition.envs.own import lamp_body, lamp_drawing
from volition.envs.own.lamp import Lamp
from volition.judging.folders import view_asked
from volition.tasks.task import Task
from volition.tasks.truth import lamp, truth_of

POSTURES = {  # degrees of lower arm, upper arm and head with the table, and the ball in metres
    "curious": [(70, 0, -55, 0.50), (60, 5, -52, 0.60), (60, 5, -75, 0.45)],
    "ashamed": [(60, 180, -110, 0.50), (50, 188, -120, 0.40), (70, 178, -128, 0.60)],
    "proud": [(90, 88, 25, 0.60), (92, 80, 35, 0.40), (85, 95, 30, 0.50)],
    "at rest": [(105, 40, -60, 0.50)],
}
STILL = (*POSTURES["at rest"][0][:2], -20, 0.5)


def observed(postures: Sequence[tuple[float, ...]]) -> Observations:
    """(T, obs_dim) of postures one step after the other, with the rates that this takes."""
    env = Lamp()
    angles = np.radians([posture[:3] for posture in postures])
    rates = np.gradient(angles, environment.STEP, axis=0) if len(angles) > 1 else 0 * angles
    seen = []
    for posture, rate, (*_, ball) in zip(angles, rates, postures, strict=True):
        env.set_state(np.array([*posture, *rate, ball]))
        seen.append(env.observe())
    return np.stack(seen)


def hello(heads: npt.NDArray[np.floating], arms: float = 0.0) -> float:
    """The potential of a clip of those angles of the head; the arms sway by so many degrees."""
    sway = arms * np.sin(np.arange(len(heads)))
    postures = [
        (STILL[0] + by, STILL[1] + by, head, 0.5) for head, by in zip(heads, sway, strict=True)
    ]
    return truth_of("lamp-hello").potential(observed(postures))


def test_the_lamp_is_the_environments() -> None:
    assert (lamp_body.LOWER_ARM.length, lamp_body.UPPER_ARM.length) == lamp.LENGTHS
    assert lamp_body.SHOULDER_HEIGHT == lamp.SHOULDER_HEIGHT
    np.testing.assert_allclose(lamp.LIMITS, lamp_body.LIMITS)
    assert environment.TOP_RATE == lamp.TOP_RATE
    assert (environment.BALL, lamp_drawing.BALL_RADIUS) == (lamp.BALL, lamp.BALL_RADIUS)
    asked = view_asked(Task.find("lamp", "hello").judgments_folder(None))
    assert asked is not None
    assert asked.clip is not None
    assert asked.clip.steps == lamp.CLIP


@pytest.mark.parametrize("goal", ["curious", "ashamed", "proud"])
def test_a_posture_is_best_for_the_goal_that_it_was_chosen_for(goal: str) -> None:
    potential = truth_of(f"lamp-{goal}").potential
    for chosen, postures in POSTURES.items():
        for posture in postures:
            value = potential(observed([posture]))
            assert value > lamp.HELD if chosen == goal else value < 0.7, (chosen, posture)


@pytest.mark.parametrize("goal", ["curious", "ashamed", "proud"])
@pytest.mark.parametrize("rolling", [False, True])
def test_the_best_can_be_held_wherever_the_ball_lies(goal: str, rolling: bool) -> None:
    """By a spring and a damper in each joint, to the best of all postures for that place."""
    truth = truth_of(f"lamp-{goal}")
    (measure,) = truth.measures.values()
    anywhere = np.random.default_rng(0).uniform(-1, 1, (400, 7)).astype(np.float32)
    for seed in range(2):
        env = Lamp(rolling=rolling)
        observation, _ = env.reset(seed=seed)
        seen: list[Observations] = []
        for step in range(100):
            if step % 10 == 0:
                anywhere[:, 6] = observation[6]
                best = anywhere[np.argmax([truth.potential(one[None]) for one in anywhere])]
            action = 12 * (best[:3] - observation[:3]) - 2 * observation[3:6]
            observation, *_ = env.step(action.astype(np.float32))
            seen.append(observation)
        assert measure(np.stack(seen)) > 0.9


def test_a_nod_is_a_head_that_goes_down_and_up_again() -> None:
    steps = np.arange(lamp.CLIP)
    turn = 2 * np.pi * steps / lamp.CLIP
    once, twice = (-20 + 20 * np.cos(nods * turn) for nods in (1, 2))
    assert hello(twice) > 0.9
    assert hello(once) > 0.8
    still, trembling = np.full(lamp.CLIP, -20.0), -20 + 1.0 * (-1.0) ** steps
    falling, shaking = np.linspace(20, -60, lamp.CLIP), -20 + 20 * (-1.0) ** steps
    for other in (still, trembling, falling, shaking):
        assert hello(other) < 0.6
    assert hello(twice - 80) < 0.6  # into the table
    assert hello(twice, arms=15) < hello(twice, arms=2) < hello(twice)
