"""The wrapper for other libraries: the reward model's own reward, in every kind of vector."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import equinox as eqx
import gymnasium
import jax.numpy as jnp
import numpy as np
import pytest
from gymnasium.spaces import Box
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from odd import registered
from volition import LearnedReward, RewardModel
from volition.comparison import Observations
from volition.envs.own.welcome import Welcome
from volition.envs.vectors import Reading
from volition.errors import EnvironmentUnsupported, InputError
from volition.learners.learned_reward import HostReward, LearnedVectorReward
from volition.reward.features import Features

RNG = np.random.default_rng(0)
ROWS: Observations = RNG.normal(size=(64, 6)).astype(np.float32)
PICTURES: Observations = RNG.integers(0, 256, (12, 70, 84, 3), np.uint8)
LENGTH = 4  # steps of an episode of Counts


def model_of(inputs: tuple[int, ...] = (0, 2, 5), **shape: Any) -> RewardModel:
    """A model of chance, whose first input hardly counts, normalised anyhow."""
    blank = RewardModel.unfitted(inputs, **shape)
    scale = np.linspace(0.5, 2.0, len(blank.input_mean), dtype=np.float32)
    arrays = tuple(map(jnp.asarray, (scale - 1, scale, RNG.normal(size=len(blank.centre)) / 10)))
    leaves = lambda m: (m.input_mean, m.input_scale, m.centre)  # noqa: E731
    return eqx.tree_at(leaves, blank, arrays)


def of_pictures() -> RewardModel:
    model = replace(
        model_of(picture=(70, 84, 3), inputs=()), features=Features.found(PICTURES, RNG)
    )
    return eqx.tree_at(lambda m: m.input_scale, model, model.input_scale.at[3].set(1e30))


def staged(model: RewardModel) -> RewardModel:
    always = eqx.tree_at(lambda m: m.shift, model, jnp.float32(-1e6))
    return model.in_stages([model, model.scaled(3.0)], [always, None])


def stages(rows: Observations, stage: int) -> Observations:
    return np.hstack([rows, np.tile(np.eye(3, dtype=np.float32)[stage], (len(rows), 1))])


PLAIN = model_of()
KINDS: dict[str, tuple[Callable[[], RewardModel], Observations]] = {
    "plain": (lambda: PLAIN.normalised(ROWS), ROWS),
    "deeper": (lambda: model_of(sizes=(32, 16, 1)).normalised(ROWS), ROWS),
    "an entry that is left out": (
        lambda: eqx.tree_at(lambda m: m.input_scale, PLAIN, jnp.array([1, 1e30, 2], jnp.float32)),
        ROWS,
    ),
    "vetoes": (
        lambda: PLAIN.normalised(ROWS).capped_by([model_of().scaled(9).as_veto(ROWS), None]),
        ROWS,
    ),
    "stages": (lambda: staged(PLAIN), np.vstack([stages(ROWS, stage) for stage in (0, 1, 2)])),
    "stages and a veto": (
        lambda: staged(PLAIN).capped_by([model_of().scaled(9).as_veto(ROWS)]),
        stages(ROWS, 1),
    ),
    "pictures": (of_pictures, PICTURES),
}


@pytest.mark.parametrize("kind", KINDS)
def test_numpy_says_what_jax_says(kind: str) -> None:
    make, rows = KINDS[kind]
    model = make()
    said, wanted = HostReward(model)(rows), np.asarray(model(jnp.asarray(rows)))
    assert said.dtype == np.float32
    assert np.abs(said - wanted).max() < 1e-5
    assert np.ptp(wanted) > 1e-3, "it is not the same of every row"
    assert np.abs(HostReward(model)(rows[:1]) - wanted[:1]).max() < 1e-5


def test_a_veto_caps_on_the_host_too() -> None:
    make, rows = KINDS["vetoes"]
    assert (HostReward(make())(rows) < HostReward(PLAIN.normalised(ROWS))(rows) - 0.1).any()


def test_another_model_takes_its_place() -> None:
    reward = HostReward(PLAIN)
    before, version = reward(ROWS), reward.version
    reward.model = PLAIN.scaled(2.0)
    assert reward.version == version + 1
    assert np.allclose(reward(ROWS), 2 * before, atol=1e-5)


# Environments --------------------------------------------------------------------------------


class Counts(gymnasium.Env[Any, Any]):
    """Observes its number, its step and the episode's number; its own reward is not finite."""

    observation_space = Box(-np.inf, np.inf, (3,), np.float32)
    action_space = Box(-1, 1, (1,), np.float32)

    def __init__(self, number: int = 0, ends: int = LENGTH) -> None:
        self._number, self._ends, self._step, self._episode = number, ends, 0, 0

    def _seen(self) -> Observations:
        return np.array([self._number, self._step, self._episode], np.float32)

    def reset(self, **_: Any) -> tuple[Observations, dict[str, Any]]:
        self._step, self._episode = 0, self._episode + 1
        return self._seen(), {}

    def step(self, _: Any) -> tuple[Observations, float, bool, bool, dict[str, Any]]:
        self._step += 1
        return self._seen(), float("nan"), self._step == self._ends, False, {"own": 1}


SUM = model_of((0, 1, 2))
STILL = np.zeros((3, 1), np.float32)


def counting(mode: AutoresetMode) -> SyncVectorEnv:
    """Three environments, whose episodes have 4, 5 and 6 steps."""
    makes = [partial(Counts, number, LENGTH + number) for number in range(3)]
    return SyncVectorEnv(makes, autoreset_mode=mode)


def expected(steps: int) -> Iterator[list[tuple[float, float, float]]]:
    """What each step of the three leads to, episode by episode."""
    for step in range(steps):
        yield [
            (number, step % (LENGTH + number) + 1, step // (LENGTH + number) + 1)
            for number in range(3)
        ]


def test_same_step_is_worth_what_the_episode_ended_in() -> None:
    env: Any = LearnedReward(counting(AutoresetMode.SAME_STEP), SUM)
    assert isinstance(env, LearnedVectorReward)
    env.reset(seed=0)
    for reached in expected(20):
        observations, rewards, terminated, _, info = env.step(STILL)
        assert np.allclose(rewards, SUM(jnp.array(reached, jnp.float32)), atol=1e-5)
        assert rewards.dtype == np.float64
        assert "true_reward" not in info
        for place in np.flatnonzero(terminated):
            assert info["final_obs"][place].tolist() == list(reached[place])
            assert observations[place][1] == 0


def test_next_step_is_worth_nothing_where_it_only_resets() -> None:
    env: Any = LearnedReward(counting(AutoresetMode.NEXT_STEP), SUM, true_reward=True)
    env.reset(seed=0)
    ended = np.zeros(3, np.bool_)
    resets = 0
    for _ in range(20):
        observations, rewards, terminated, _, info = env.step(STILL)
        wanted = np.where(ended, 0.0, SUM(jnp.asarray(observations)))
        assert np.allclose(rewards, wanted, atol=1e-5)
        assert np.isnan(info["true_reward"][~ended]).all()
        resets, ended = resets + int(ended.sum()), terminated
    assert resets == 4 + 3 + 2


def test_environments_that_are_reset_by_hand() -> None:
    env: Any = LearnedReward(counting(AutoresetMode.DISABLED), SUM)
    env.reset(seed=0)
    for reached in expected(12):
        observations, rewards, terminated, _, _ = env.step(STILL)
        assert observations.tolist() == [list(row) for row in reached]
        assert np.allclose(rewards, SUM(jnp.array(reached, jnp.float32)), atol=1e-5)
        if terminated.any():
            env.reset(options={"reset_mask": terminated})


@pytest.mark.parametrize("mode", [AutoresetMode.SAME_STEP, AutoresetMode.NEXT_STEP])
def test_a_clip_is_the_mean_of_the_last_steps_of_its_episode(mode: AutoresetMode) -> None:
    env: Any = LearnedReward(counting(mode), SUM, clip=3)
    each: Any = LearnedReward(counting(mode), SUM)
    env.reset(seed=0), each.reset(seed=0)
    kept: list[list[float]] = [[], [], []]
    waits = np.zeros(3, np.bool_)
    for _ in range(16):
        _, means, terminated, _, _ = env.step(STILL)
        _, rewards, _, _, _ = each.step(STILL)
        for place in range(3):
            kept[place] = [] if waits[place] else [*kept[place], rewards[place]]
            wanted = np.mean(kept[place][-3:]) if kept[place] else 0.0
            assert means[place] == pytest.approx(wanted, abs=1e-5)
            if terminated[place] and mode is AutoresetMode.SAME_STEP:
                kept[place] = []
        waits = terminated if mode is AutoresetMode.NEXT_STEP else waits
    with pytest.raises(InputError, match="one step at least, not 0"):
        LearnedReward(Counts(), SUM, clip=0)


def test_a_clip_of_a_single_environment_begins_anew_with_each_episode() -> None:
    env = LearnedReward(Counts(), SUM, clip=LENGTH)
    told = []
    for _ in range(2):
        env.reset()
        told.append([float(env.step(None)[1]) for _ in range(LENGTH)])
    reached = np.array([[0, step, 1] for step in range(1, LENGTH + 1)], np.float32)
    means = np.cumsum(SUM(jnp.asarray(reached))) / np.arange(1, LENGTH + 1)
    assert np.allclose(told[0], means, atol=1e-5)
    assert told[1] != told[0]


@pytest.mark.parametrize("mode", [AutoresetMode.SAME_STEP, AutoresetMode.NEXT_STEP])
def test_an_ending_is_worth_its_last_state_for_ever(mode: AutoresetMode) -> None:
    each: Any = LearnedReward(counting(mode), SUM)
    held: Any = LearnedReward(counting(mode), SUM, gamma=0.9)
    single = LearnedReward(Counts(ends=1), SUM, gamma=0.75)
    each.reset(), held.reset(), single.reset()
    for _ in range(9):
        rewards, terminated = each.step(STILL)[1:3]
        wanted = rewards * np.where(terminated, 10, 1)
        assert np.allclose(held.step(STILL)[1], wanted, atol=1e-5)
    wanted = 4 * SUM(jnp.array([0, 1, 1], jnp.float32))
    assert single.step(None)[1] == pytest.approx(float(wanted), abs=1e-5)
    with pytest.raises(InputError, match=r"gamma is 1, and must be in \[0, 1\)"):
        LearnedReward(Counts(), SUM, gamma=1)


def test_the_true_reward_is_told_to_who_asks_alone() -> None:
    silent, telling = LearnedReward(Counts(), SUM), LearnedReward(Counts(), SUM, true_reward=True)
    silent.reset(), telling.reset()
    _, reward, *_, info = silent.step(None)
    assert np.isfinite(float(reward))
    assert info == {"own": 1}
    assert np.isnan(telling.step(None)[-1]["true_reward"])


@pytest.mark.parametrize("mode", [AutoresetMode.SAME_STEP, AutoresetMode.NEXT_STEP])
def test_every_environment_of_a_vector_has_a_stage_of_its_own(mode: AutoresetMode) -> None:
    blank = model_of((0, 1, 2, 3, 4))
    always = eqx.tree_at(lambda m: m.shift, blank, jnp.float32(-1e6))
    model = blank.in_stages([blank, blank], [always, None])
    makes = [lambda: gymnasium.wrappers.TimeLimit(Welcome(), 3)] * 2
    env: Any = LearnedReward(SyncVectorEnv(makes, autoreset_mode=mode), model)
    observations, _ = env.reset(seed=0)
    assert env.observation_space.contains(observations)
    assert observations[:, 5:].tolist() == [[1, 0, 0]] * 2
    for number in range(1, 8):
        observations, rewards, _, _, info = env.step(np.zeros((2, 3), np.float32))
        if mode is AutoresetMode.SAME_STEP:
            begins = number % 3 == 0
            reached = np.stack(list(info["final_obs"])) if begins else observations
        else:
            begins, reached = number % 4 == 0, observations
        assert observations[:, 5:].tolist() == [[1, 0, 0] if begins else [0, 1, 0]] * 2
        if mode is AutoresetMode.SAME_STEP or not begins:
            assert reached[:, 5:].tolist() == [[0, 1, 0]] * 2
            assert np.allclose(rewards, model(jnp.asarray(reached)), atol=1e-5)
        else:
            assert rewards.tolist() == [0, 0]


def test_how_a_vector_begins_anew_must_be_said() -> None:
    env = counting(AutoresetMode.SAME_STEP)
    env.metadata = {**env.metadata, "autoreset_mode": None}
    with pytest.raises(EnvironmentUnsupported, match=r'metadata\["autoreset_mode"\] is None'):
        LearnedReward(env, SUM)


@pytest.mark.parametrize(
    "name", ["Counted", "Switches", "Everything", "Parts", "Stacked", "Camera", "Signed", "Float64"]
)
def test_every_space_in_a_vector(name: str) -> None:
    with registered():
        spec = f"test/{name}-v0"
        alone = gymnasium.make(spec, disable_env_checker=True)
        shape = Reading(alone.observation_space).space.shape
        picture = shape if len(shape) == 3 else ()
        model = RewardModel.unfitted(() if picture else tuple(range(shape[0])), picture)
        one = LearnedReward(alone, model)
        makes: Any = [partial(gymnasium.make, spec, disable_env_checker=True)] * 2
        env: Any = LearnedReward(
            SyncVectorEnv(makes, autoreset_mode=AutoresetMode.SAME_STEP), model
        )
        assert env.single_observation_space == one.observation_space
        one.reset(seed=5), env.reset(seed=5)
        env.action_space.seed(0)
        for _ in range(3):
            actions = env.action_space.sample()
            first = next(iter(gymnasium.vector.utils.iterate(env.action_space, actions)))
            reward = one.step(first)[1]
            assert env.step(actions)[1][0] == pytest.approx(float(reward), abs=1e-5)


def test_what_does_not_fit_the_model_is_said_before_a_step() -> None:
    three = r"MountainCar-v0 observes \(2,\), .* is given a vector of 3 numbers at least"
    with pytest.raises(InputError, match=three):
        LearnedReward(gymnasium.make("MountainCar-v0"), SUM)
    with pytest.raises(InputError, match=three):
        LearnedReward(gymnasium.make_vec("MountainCar-v0", 2), SUM)
    veto = model_of((0, 4)).as_veto(ROWS)
    with pytest.raises(InputError, match="5 numbers at least"):
        LearnedReward(Counts(), SUM.capped_by([veto]))
    with pytest.raises(InputError, match=r"is given \(70, 84, 3\) \(height"):
        LearnedReward(Counts(), of_pictures())
    with registered(), pytest.raises(InputError, match=r"observes \(20, 24, 1\), .* vector of 3"):
        LearnedReward(gymnasium.make("test/Camera-v0", disable_env_checker=True), SUM)
    with pytest.raises(InputError, match="str is no reward model: of a run, "):
        LearnedReward(Counts(), "runs/one")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="'Pendulum-v1' is no environment"):
        LearnedReward("Pendulum-v1", SUM)  # type: ignore[arg-type]


def test_a_vector_of_what_is_not_finite_is_an_error() -> None:
    with registered():
        makes: Any = [lambda: gymnasium.make("test/NanAfter-v0")] * 2
        env: Any = LearnedReward(SyncVectorEnv(makes), RewardModel.unfitted((0, 1)))
        env.reset(seed=0)
        still = np.zeros((2, 1), np.float32)
        for _ in range(29):
            env.step(still)
        with pytest.raises(EnvironmentUnsupported, match=r"entry 0 is nan"):
            env.step(still)
