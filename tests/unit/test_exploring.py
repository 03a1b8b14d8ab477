"""Random acting reaches states that cover what can be reached, the same ones for the same seed."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import gymnasium
import numpy as np
import pytest

from volition.envs.scene import make_env, open_scene
from volition.errors import InputError
from volition.questions.covering import covering_clips, covering_segments, covering_states
from volition.questions.distinct import look_different
from volition.questions.exploring import Archive, Episode, acting, explore, farthest
from volition.tasks.task import EnvironmentSection
from volition.tasks.view import ClipSection, JudgeView

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


def test_what_led_to_where_few_have_been_is_repeated() -> None:
    """Of a crowd and three places beyond it, one of these is gone on from, held as it was there."""
    rng, archive = np.random.default_rng(0), Archive()
    for number, place in enumerate([*rng.normal(0, 1, 40), 30, 60, 90]):
        episode = Episode((), 24 if place < 20 else 2)
        episode.actions.extend([number] * 5)
        archive.add(episode, np.array([place], np.float32))
        episode.actions.extend([-1] * 5)  # what came later is not repeated
    begun = [archive.begin(rng) for _ in range(200)]
    repeated = [episode for episode in begun if episode.repeated]
    assert 70 < len(repeated) < 130
    beyond = [episode for episode in repeated if episode.repeated[0] >= 40]
    assert len(beyond) > 0.9 * len(repeated)
    assert {tuple(episode.repeated) for episode in beyond} == {(n,) * 5 for n in (40, 41, 42)}
    assert {episode.longest_hold for episode in beyond} == {2}
    holds = [episode.longest_hold for episode in begun if not episode.repeated]
    assert min(holds) < 6 < 24 == max(holds)


class Noted(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Notes what is done in each episode."""

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        super().__init__(env)
        self.episodes: list[list[float]] = []

    def reset(self, **options: Any) -> Any:
        self.episodes.append([])
        return super().reset(**options)

    def step(self, action: Any) -> Any:
        self.episodes[-1].append(float(action[0]))
        return super().step(action)


def test_episodes_begin_with_what_others_did(monkeypatch: pytest.MonkeyPatch) -> None:
    def beginnings() -> list[float]:
        with closing(Noted(make_env("Pendulum-v1"))) as env:
            env.action_space.seed(0)
            assert len([*acting(env, 1500, np.random.default_rng(0), 50)]) == 1500
            return [actions[0] for actions in env.episodes]

    begun = beginnings()
    assert len(begun) == 30
    assert len(set(begun)) < 24
    monkeypatch.setattr("volition.questions.exploring.REPEATING", 0.0)
    assert len(set(beginnings())) == 30


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


def test_clips_are_consecutive_states_and_spread() -> None:
    scene = open_scene(ACROBOT.id)
    found = covering_clips(ACROBOT, scene, 12, 10, np.random.default_rng(0))
    clips = [next(found) for _ in range(25)]
    assert all(clip.shape == (12, 4) for clip in clips)
    angles = np.stack([clip[:, :2] for clip in clips])  # (clips, steps, angles), not unwrapped
    turned = np.abs((np.diff(angles, axis=1) + np.pi) % (2 * np.pi) - np.pi)
    assert turned.max() < 2.0, "a clip jumps, as where an episode ends"
    speeds = np.stack([np.abs(clip[:, 2:]).mean(0) for clip in clips[:10]])
    explored = explore(ACROBOT, scene, 1000, np.random.default_rng(0))
    usual = np.abs(explored.states[:, 2:]).mean(0)
    assert (speeds.max(0) > 1.3 * usual).all()
    assert (speeds.min(0) < 0.7 * usual).all()


def test_no_clip_is_longer_than_an_episode() -> None:
    environment = EnvironmentSection(id="Acrobot-v1", kwargs={"max_episode_steps": 20})
    clips = covering_clips(environment, open_scene(ACROBOT.id), 30, 4, np.random.default_rng(0))
    with pytest.raises(InputError, match=r"no episode of random acting in Acrobot-v1 has 30 steps"):
        next(clips)


@pytest.mark.parametrize("clip", [None, ClipSection(steps=8, frames=3)])
def test_covering_pairs_look_different(clip: ClipSection | None) -> None:
    view = JudgeView(size=(48, 48), clip=clip)
    scene = open_scene("Pendulum-v1")
    pairs = covering_segments(
        EnvironmentSection(id="Pendulum-v1"), scene, view, 6, np.random.default_rng(0)
    )
    assert len({segment.id for pair in pairs for segment in pair}) == 12
    for one, other in pairs:
        assert len(one.observations) == len(other.states) == view.steps
        assert look_different(one.frames, other.frames)
        np.testing.assert_array_equal(one.observations[-1], scene.observe(one.states[-1]))
