"""Random acting reaches states that cover what can be reached, the same ones for the same seed."""

from __future__ import annotations

import numpy as np

from volition.envs.exploring import covering_states, explore, farthest
from volition.envs.scene import open_scene
from volition.task import EnvironmentSection

ACROBOT = EnvironmentSection(id="Acrobot-v1")


def test_exploring_goes_through_states_and_their_observations() -> None:
    scene = open_scene(ACROBOT.id)
    explored = explore(ACROBOT, scene, 600, np.random.default_rng(0))
    assert explored.states.shape == (600, 4)
    assert explored.observations.shape == (600, 6)
    assert (np.bincount(explored.episodes) == 200).all()
    for place in (0, 199, 200, 599):
        state = dict(zip(scene.fields, explored.states[place].tolist(), strict=True))
        np.testing.assert_array_equal(scene.observe(state), explored.observations[place])


def test_held_actions_go_further_than_changing_ones() -> None:
    environment = EnvironmentSection(id="MountainCarContinuous-v0")
    scene = open_scene(environment.id)
    explored = explore(environment, scene, 2000, np.random.default_rng(0))
    env = scene._env  # type: ignore[attr-defined]
    env.action_space.seed(0)
    changing = []
    for number in range(2000):
        if number % 200 == 0:
            env.reset(seed=number)
        changing.append(env.step(env.action_space.sample())[0])
    assert np.ptp(explored.observations[:, 0]) > 1.5 * np.ptp(np.stack(changing)[:, 0])


def test_the_farthest_cover_best() -> None:
    """Nine clusters, of which one holds nearly all rows: each cluster is in what is chosen."""
    rng = np.random.default_rng(0)
    corners = np.array([(x, y) for x in (-1, 0, 1) for y in (-100, 0, 100)], np.float32)
    rows = np.concatenate([np.repeat(corners[4:5], 2000, 0), corners])
    rows = np.column_stack([rows + rng.normal(0, 0.01, rows.shape), np.full(len(rows), 7)])
    chosen = rows[farthest(rows, 9, rng)]
    distances = np.linalg.norm((chosen[:, None, :2] - corners) / (1, 100), axis=-1)
    assert sorted(distances.argmin(1)) == list(range(9))
    assert len(farthest(np.repeat(corners, 3, 0), 20, rng)) == 9, "a state is chosen twice"


def test_covering_states_spread_and_never_end() -> None:
    scene = open_scene(ACROBOT.id)

    def first(count: int, seed: int) -> list[dict[str, float]]:
        states = covering_states(ACROBOT, scene, 20, np.random.default_rng(seed))
        return [dict(next(states)) for _ in range(count)]

    states = first(50, seed=0)
    assert states == first(50, seed=0) != first(50, seed=1)
    velocities = [abs(state["theta1_dot"]) for state in states[:20]]
    explored = explore(ACROBOT, scene, 1000, np.random.default_rng(0)).observations
    assert np.mean(velocities) > 1.2 * np.abs(explored[:, 4]).mean()
