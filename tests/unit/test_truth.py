"""What is true of the bundled tasks: known states have the potential that the goal's words mean."""

from __future__ import annotations

from collections.abc import Sequence
from math import pi

import numpy as np
import pytest

from volition.comparison import Observations, State
from volition.envs.scene import open_scene
from volition.tasks.task import BUNDLED, Task, bundled_names
from volition.tasks.truth import truth_of

STATES: dict[str, list[State]] = {  # of each task, from worst to best
    "pendulum": [{"theta": theta, "theta_dot": 1.0} for theta in (pi, 2.0, -1.0, 0.0)],
    "cartpole": [
        {"x": x, "x_dot": 0.5, "theta": theta, "theta_dot": 0.1}
        for x, theta in ((-2.4, 0.3), (2.3, 0.1), (-0.5, 0.1), (0.0, -0.05), (0.0, 0.0))
    ],
    "acrobot": [
        {"theta1": one, "theta2": two, "theta1_dot": 1.0, "theta2_dot": 1.0}
        for one, two in ((0.0, 0.0), (0.0, pi / 2), (pi / 2, 0.0), (pi, 1.0), (pi, 0.0))
    ],
    "mountain-car": [
        {"position": position, "velocity": 0.01} for position in (-pi / 6, 0.0, -1.2, 0.3, 0.45)
    ],
    "lunar-lander": [
        {"x": x, "y": y, "angle": angle, "y_dot": fall, "leg1_contact": foot, "leg2_contact": foot}
        for x, y, angle, fall, foot in (
            (0.0, 13.0, 1.5, -6.0, 0),
            (1.0, 13.0, 0.2, -3.0, 0),
            (10.0, 12.0, 0.0, -2.0, 0),
            (10.0, 3.65, 0.0, 0.0, 1),
            (10.0, 4.5, 0.0, 0.0, 0),
            (10.0, 3.94, 0.0, 0.0, 1),
        )
    ],
    "reacher": [
        {"joint0": joint, "target_x": -0.2, "target_y": 0.0} for joint in (0.0, 1.0, 2.0, -3.0, pi)
    ],
    "hopper-hop": [
        {"rootz": height, "rooty": lean, "rootx_dot": speed}
        for height, lean, speed in (
            (0.5, 0.4, 0.0),
            (0.7, 0.25, 3.0),
            (1.25, 0.0, 0.0),
            (1.25, 0.0, 1.5),
            (1.3, 0.0, 3.0),
        )
    ],
    "hopper-flip": [
        {"rootz": height, "rooty": -2.0, "rooty_dot": spin}
        for height, spin in ((1.25, 5.0), (0.2, -6.0), (1.3, -4.0), (1.6, -8.0))
    ],
    "humanoid-kneel": [
        {
            "root_2": height,
            "root_3": 1 - lean,
            "root_5": lean,
            "right_knee": knee,
            "left_knee": knee,
            "right_hip_y": hip,
            "left_hip_y": hip,
        }
        for height, lean, knee, hip in (
            (0.15, 0.5, 0.0, 0.0),
            (1.4, 0.0, 0.0, 0.0),
            (0.75, 0.0, -2.6, -1.0),
            (0.95, 0.1, -1.57, 0.0),
            (0.95, 0.0, -1.57, 0.0),
        )
    ],
    "half-cheetah-run": [{"rootx_dot": speed} for speed in (-2.0, 0.0, 1.0, 5.0, 9.8)],
}


def observed(task: str, states: Sequence[State]) -> list[Observations]:
    environment = Task.find(task).environment
    scene = open_scene(environment.id, environment.kwargs)
    return [scene.observe({**dict.fromkeys(scene.fields, 0.0), **state})[None] for state in states]


@pytest.mark.parametrize("name", bundled_names())
def test_something_is_true_of_every_bundled_task(name: str) -> None:
    for task in Task.read_all(BUNDLED / name).values():
        truth = truth_of(task.name)
        given = task.reward.observations or ()
        assert set(given) <= set(truth.seen), "the reward model is given what no judge sees"
        goal = task.stated_goal()
        assert set(truth.principles) == {one.text for one in goal.put_under if one is not None}


@pytest.mark.parametrize("name", STATES)
def test_the_better_a_state_the_higher_its_potential(name: str) -> None:
    potentials = [truth_of(name).potential(segment) for segment in observed(name, STATES[name])]
    assert potentials == sorted(set(potentials))
    assert 0 <= potentials[0] < 0.3
    assert 0.9 < potentials[-1] <= 1


def test_a_clip_has_the_mean_potential_of_its_states() -> None:
    truth, segments = truth_of("acrobot"), observed("acrobot", STATES["acrobot"])
    each = [truth.potential(segment) for segment in segments]
    assert truth.potential(np.concatenate(segments)) == pytest.approx(np.mean(each))


def measured(task: str, states: Sequence[State]) -> list[float]:
    episode = np.concatenate(observed(task, states))
    return [measure(episode) for measure in truth_of(task).measures.values()]


def test_measures_of_an_episode() -> None:
    level = {"x_dot": 0.0, "theta_dot": 0.0}
    balanced = [{"x": x, "theta": 0.0} | level for x in (0.0, 0.4, -0.6, 0.0)]
    fallen = [{"x": 0.0, "theta": 0.25} | level]
    assert measured("cartpole", balanced + fallen) == [4, pytest.approx(0.8)]
    still = {"theta1_dot": 0.0, "theta2_dot": 0.0}
    hanging, up = ({"theta1": one, "theta2": 0.0} | still for one in (0.0, pi))
    assert measured("acrobot", [hanging, hanging, up]) == [3, pytest.approx(2.0)]
    assert measured("acrobot", [hanging] * 5) == [5, pytest.approx(-2.0)]
    below, at = ({"position": place, "velocity": 0.0} for place in (0.44, 0.451))
    assert measured("mountain-car", [below, at]) == [1, 2]
    assert measured("mountain-car", [below]) == [0, 1]
    low = {"x": 10.3, "y": 3.94, "leg1_contact": 1.0, "leg2_contact": 1.0}
    assert measured("lunar-lander", [{**low, "y_dot": -3.0}, low]) == [1, pytest.approx(0.03, 0.1)]
    assert measured("lunar-lander", [low, {**low, "y_dot": -3.0}])[0] == 0
    assert measured("lunar-lander", [{**low, "x": 13.0}])[0] == 0
    assert measured("lunar-lander", [{**low, "leg2_contact": 0.0}])[0] == 1, "one is forgotten"
    assert measured("lunar-lander", [{**low, "leg1_contact": 0.0, "leg2_contact": 0.0}])[0] == 0
    assert measured("lunar-lander", [{**low, "y": 3.65}])[0] == 0, "its body lies on the pad"
    beside = {"joint0": 0.0, "target_x": 0.205, "target_y": 0.0}
    assert measured("reacher", [beside]) == [pytest.approx(0.005, abs=1e-4), 1]
    assert measured("reacher", [beside, {**beside, "joint0": 0.5}])[1] == 0
    fast, slow = {"rootx_dot": 4.0}, {"rootx_dot": 1.0}
    assert measured("half-cheetah-run", [fast, slow]) == [pytest.approx(2.5)]
    assert measured("hopper-hop", [fast, slow, slow]) == [pytest.approx(2.0), 3]
