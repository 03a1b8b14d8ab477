"""Stable-Baselines3 on a learned reward. It needs torch: `make test-extras`."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import equinox as eqx
import gymnasium
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from stable_baselines3 import PPO, SAC
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from volition import JudgeSettings, RewardModel
from volition.envs.own.welcome import Welcome
from volition.errors import InputError, RunError
from volition.integrations.judged_run import JudgedRun
from volition.integrations.stable_baselines import (
    SEEN,
    AskWhileLearning,
    LearnedDictReplayBuffer,
    LearnedReplayBuffer,
    LearnedVecReward,
    judged_envs,
)
from volition.learners.learned_reward import HostReward

MODEL = RewardModel.unfitted((0, 1, 2))
JUDGE = JudgeSettings("simulated:exact", max_judgments=40, first=24)


def small() -> dict[str, Any]:
    """Each time anew, since a model writes into them."""
    return {"policy_kwargs": {"net_arch": [8]}, "seed": 0, "device": "cpu"}


class NoReward(gymnasium.Wrapper[Any, Any, Any, Any]):
    """The environment's own reward is not finite; what is observed is a dictionary, if so wished.
    Every fifth step the environment ends the episode."""

    def __init__(self, env: gymnasium.Env[Any, Any], named: bool) -> None:
        super().__init__(env)
        self._named, self._steps = named, 0
        if named:
            self.observation_space = gymnasium.spaces.Dict({"x": env.observation_space})

    def reset(self, **options: Any) -> tuple[Any, dict[str, Any]]:
        observation, info = self.env.reset(**options)
        return self._as_observed(observation), info

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        observation, _, _, truncated, info = self.env.step(action)
        self._steps += 1
        return self._as_observed(observation), np.nan, self._steps % 5 == 0, truncated, info

    def _as_observed(self, observation: Any) -> Any:
        return {"x": observation} if self._named else observation


def envs_of(reward: HostReward, named: bool = False) -> LearnedVecReward:
    def make() -> gymnasium.Env[Any, Any]:
        return NoReward(gymnasium.make("Pendulum-v1", max_episode_steps=7), named)

    return LearnedVecReward(DummyVecEnv([make] * 2), reward, gamma=0.9)


@pytest.mark.parametrize("named", [False, True])
def test_a_replay_is_rewarded_by_the_model_of_now(named: bool) -> None:
    reward = HostReward(MODEL)
    kind = LearnedDictReplayBuffer if named else LearnedReplayBuffer
    policy = "MultiInputPolicy" if named else "MlpPolicy"
    options = {"replay_buffer_class": kind, "replay_buffer_kwargs": {"reward": reward}}
    model = SAC(
        policy, envs_of(reward, named), learning_starts=10, batch_size=8, **options, **small()
    )
    model.learn(60)
    for scale in (1.0, -3.0):
        reward.model = MODEL.scaled(scale)
        samples = model.replay_buffer.sample(500)
        following = samples.next_observations["x"] if named else samples.next_observations
        held = np.where(samples.dones.numpy()[:, 0] > 0, 10, 1)
        wanted = held * np.asarray(reward.model(jnp.asarray(following.numpy())))
        assert np.allclose(samples.rewards.numpy()[:, 0], wanted, atol=1e-4)
        assert 0 < (held > 1).mean() < 0.5
    for parameter in model.policy.parameters():
        assert torch.isfinite(parameter).all(), "no reward of the environment's came through"


def test_the_stage_under_way_is_observed() -> None:
    blank = RewardModel.unfitted((0, 1, 2, 3, 4))
    always = eqx.tree_at(lambda model: model.shift, blank, jnp.float32(-1e6))
    model = blank.in_stages([blank, blank], [always, None])
    makes = [lambda: gymnasium.wrappers.TimeLimit(Welcome(), 3)] * 2
    envs = LearnedVecReward(DummyVecEnv(makes), model)
    assert envs.observation_space.shape == (8,)
    assert envs.reset()[:, 5:].tolist() == [[1, 0, 0]] * 2
    for step in range(1, 7):
        observations, rewards, ended, infos = envs.step(np.zeros((2, 3), np.float32))
        assert ended.tolist() == [step % 3 == 0] * 2
        assert observations[:, 5:].tolist() == [[1, 0, 0] if ended[0] else [0, 1, 0]] * 2
        seen = np.stack([info[SEEN].seen for info in infos])
        assert seen[:, 5:].tolist() == [[0, 1, 0]] * 2
        assert np.allclose(rewards, model(jnp.asarray(seen)), atol=1e-5)
        reached = infos[0]["terminal_observation"] if ended[0] else observations[0]
        assert np.array_equal(reached, seen[0])


def test_what_is_not_said_is_not_guessed() -> None:
    options = {
        "replay_buffer_class": LearnedReplayBuffer,
        "replay_buffer_kwargs": {"reward": HostReward(MODEL)},
    }
    model = SAC("MlpPolicy", gymnasium.make("Pendulum-v1"), **options, **small())
    with pytest.raises(InputError, match="make them with judged_envs"):
        model.learn(10)
    spaces = model.observation_space, model.action_space
    saving = {"optimize_memory_usage": True, "handle_timeout_termination": False}
    with pytest.raises(InputError, match="leave optimize_memory_usage out"):
        LearnedReplayBuffer(10, *spaces, reward=HostReward(MODEL), **saving)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JudgedRun]:
    folder = tmp_path_factory.mktemp("judged") / "run"
    with JudgedRun.at(folder, "pendulum", judge=JUDGE, steps=400) as judged:
        yield judged


def sac_of(run: JudgedRun, **options: Any) -> Any:
    replay = {
        "replay_buffer_class": LearnedReplayBuffer,
        "replay_buffer_kwargs": {"reward": run.reward},
    }
    settings = {"learning_starts": 50, "batch_size": 32, "train_freq": 8, **replay, **options}
    return SAC("MlpPolicy", judged_envs(run, seed=0), **{**small(), **settings})


def test_learning_goes_on_where_it_was_stopped(run: JudgedRun) -> None:
    model = sac_of(run)
    model.learn(400, callback=AskWhileLearning(run, every=150))
    assert run.progress.judgments == 40, "the judge was asked while SAC learned"
    again = sac_of(run)
    before = run.reward.version
    again.learn(400, callback=AskWhileLearning(run))
    assert again.num_timesteps == 400, "nothing was left to do"
    assert run.reward.version > before, "normalised over what was visited before"
    for name, parameter in model.policy.state_dict().items():
        assert torch.equal(again.policy.state_dict()[name], parameter)
    for kept, stored in ((again.actor, model.actor), (again.critic, model.critic)):
        one, other = kept.optimizer.state_dict(), stored.optimizer.state_dict()
        assert one["param_groups"] == other["param_groups"]
        assert all(
            torch.equal(one["state"][n]["exp_avg"], other["state"][n]["exp_avg"]) for n in (0, 1)
        )
    assert torch.equal(again.log_ent_coef, model.log_ent_coef)
    assert again.replay_buffer.pos == model.replay_buffer.pos == 400
    assert np.array_equal(again.replay_buffer.labels.seen, model.replay_buffer.labels.seen)
    further = sac_of(run)
    further.learn(432, callback=AskWhileLearning(run))
    assert further.num_timesteps == 432
    assert run.progress.judgments == 40, "nothing is asked twice"
    rollouts = PPO("MlpPolicy", judged_envs(run), n_steps=8, batch_size=8, **small())
    with pytest.raises(RunError, match="was written by SAC, and PPO is to go on"):
        rollouts.learn(8, callback=AskWhileLearning(run))
    wider = sac_of(run, policy_kwargs={"net_arch": [9]})
    with pytest.raises(RunError, match="made otherwise"):
        wider.learn(8, callback=AskWhileLearning(run))


class Replaces(BaseCallback):  # type: ignore[misc]
    """Another reward model in the middle of a rollout."""

    def __init__(self, reward: HostReward) -> None:
        super().__init__()
        self._reward = reward

    def _on_step(self) -> bool:
        if self.n_calls == 10:
            self._reward.model = self._reward.model.scaled(-2.0)
        return True


def test_a_rollout_is_rewarded_by_one_model(run: JudgedRun, tmp_path: Path) -> None:
    callback = AskWhileLearning(run)
    (run.run.folder.path / "stable_baselines.safetensors").unlink(missing_ok=True)
    model = PPO(
        "MlpPolicy", judged_envs(run, seed=0), n_steps=16, n_epochs=1, batch_size=16, **small()
    )
    seen: list[Any] = []

    def keep(local: dict[str, Any], _: dict[str, Any]) -> bool:
        seen.append([info[SEEN].seen for info in local["infos"]])
        return True

    model.learn(16, callback=[Replaces(run.reward), callback, keep_of(keep)])
    wanted = run.reward(np.array(seen, np.float32).reshape(-1, 3)).reshape(16, 1)
    assert np.allclose(model.rollout_buffer.rewards, wanted, atol=1e-5)
    buffer = model.rollout_buffer
    assert np.allclose(
        buffer.advantages[0],
        buffer.rewards[0]
        + model.gamma * buffer.values[1]
        - buffer.values[0]
        + model.gamma * model.gae_lambda * buffer.advantages[1],
        atol=1e-4,
    )


def keep_of(keep: Any) -> Any:
    from stable_baselines3.common.callbacks import ConvertCallback

    return ConvertCallback(keep)


def test_what_would_keep_other_rewards_is_refused(run: JudgedRun) -> None:
    callback = partial(AskWhileLearning, run)
    plain = make_vec_env("Pendulum-v1", 1)
    with pytest.raises(InputError, match="make them with judged_envs"):
        PPO("MlpPolicy", plain, n_steps=8, batch_size=8, **small()).learn(8, callback=callback())
    with pytest.raises(InputError, match="replay_buffer_class=LearnedReplayBuffer"):
        SAC("MlpPolicy", judged_envs(run), **small()).learn(8, callback=callback())
    normalised = VecNormalize(judged_envs(run))
    with pytest.raises(InputError, match="norm_reward=False"):
        PPO("MlpPolicy", normalised, n_steps=8, batch_size=8, **small()).learn(
            8, callback=callback()
        )
