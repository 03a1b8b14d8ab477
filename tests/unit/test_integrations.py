"""Runs whose policy another library learns, and adapters: as far as no other library is needed."""

from __future__ import annotations

import inspect
import sys
from pathlib import Path
from typing import Any, Protocol

import jax.numpy as jnp
import numpy as np
import pytest

from volition import JudgeSettings, LearnedReward, RewardModel
from volition.errors import InputError, RunError
from volition.integrations.judged_run import STATE, JudgedRun
from volition.integrations.lerobot import LeRobotReward

STEPS = 200


def acted(run: JudgedRun, steps: int = STEPS) -> int:
    """Acts by chance, and returns how often the reward was replaced."""
    env = LearnedReward(run.make_env(), run.reward)
    observation, _ = env.reset(seed=0)
    env.action_space.seed(0)
    replaced = 0
    for step in range(1, steps + 1):
        observation, _, terminated, truncated, info = env.step(env.action_space.sample())
        ended, state = np.array([terminated or truncated]), info[STATE][None]
        replaced += run.turn(step, observation[None], ended, state)
        if ended.any():
            env.reset()
    return replaced


def test_a_judge_is_asked_while_somebody_else_learns(tmp_path: Path) -> None:
    judge = JudgeSettings("simulated:exact", max_judgments=40, first=24)
    with JudgedRun.at(tmp_path / "run", "pendulum", judge=judge, steps=STEPS) as run:
        assert run.progress.judgments == 24
        with pytest.raises(RunError, match="another process"):
            JudgedRun.at(tmp_path / "run", "pendulum").__enter__()
        assert acted(run) > 1, "new judgments, new rewards"
        assert run.progress.judgments == 40
        used = run.reward
    folder = run.run.folder
    with folder.open_store() as store:
        assert len(store.judgments()) == 40
        shown = store.shown()
    assert len(set(shown)) == 40
    kept = run.run.reward_model
    upright = jnp.array([[1, 0, 0], [-1, 0, 0]], jnp.float32)
    assert np.allclose(kept(upright), used(np.asarray(upright)), atol=1e-5)
    with JudgedRun.at(tmp_path / "run", "pendulum") as again:
        assert again.progress.judgments == 40, "what was answered is not asked again"
        assert np.allclose(again.reward(np.asarray(upright)), kept(upright), atol=1e-5)
        acted(again, 60)
    with folder.open_store() as store:
        assert len(store.judgments()) == 40


def test_recorded_judgments_need_nobody(tmp_path: Path) -> None:
    with JudgedRun.at(tmp_path / "run", "pendulum", steps=400) as run:
        env = LearnedReward(run.make_env(), run.reward)
        env.reset(seed=0)
        observation, reward, _, _, info = env.step(env.action_space.sample())
        assert STATE not in info
        assert float(reward) == pytest.approx(float(run.reward.model(observation)), abs=1e-5)
        rng = np.random.default_rng(0)
        seen = rng.normal(size=(1, 3)).astype(np.float32)
        replaced = [run.turn(n, seen * n, np.zeros(1, np.bool_)) for n in range(1, 401)]
        assert replaced.count(True) == 2, "it is normalised over what was visited, ever less often"
        visited = np.concatenate([seen * n for n in range(1, 401)])
        assert abs(run.reward(visited).mean()) < 0.05
    assert (run.progress.judgments, run.progress.env_steps) == (60, 400)
    assert not run.run.folder.result.exists()


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("stable_baselines3")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "stable_baselines3", None)
    monkeypatch.delitem(sys.modules, "volition.integrations.stable_baselines", raising=False)
    with pytest.raises(InputError, match=r"Stable-Baselines3 needs.*pip install 'volition\[sb3\]'"):
        import volition.integrations.stable_baselines  # noqa: F401


# LeRobot ---------------------------------------------------------------------------------------


class PreTrainedRewardModel(Protocol):
    """What LeRobot calls of a reward model, as `lerobot.rewards.pretrained` publishes it."""

    @property
    def is_trainable(self) -> bool: ...

    def compute_reward(self, batch: dict[str, Any]) -> Any: ...

    def reset(self) -> None: ...

    def get_optim_params(self) -> Any: ...


class Classifier(Protocol):
    """What `RewardClassifierProcessorStep` of LeRobot 0.4.4 calls of its classifier."""

    def predict_reward(self, batch: Any, threshold: float = 0.5) -> Any: ...

    def to(self, device: Any) -> Any: ...

    def eval(self) -> Any: ...


def test_lerobots_interfaces_are_kept() -> None:
    adapter = LeRobotReward(RewardModel.unfitted((0, 1)), "observation.state", success=1.0)
    published: PreTrainedRewardModel = adapter
    classifier: Classifier = adapter
    assert published.is_trainable is False
    assert [*published.get_optim_params()] == []
    assert classifier.to("cpu").eval() is adapter
    for interface in (PreTrainedRewardModel, Classifier):
        for name, wanted in vars(interface).items():
            if inspect.isfunction(wanted) and not name.startswith("_"):
                given = inspect.signature(getattr(LeRobotReward, name))
                names = [*inspect.signature(wanted).parameters]
                assert [*given.parameters][: len(names)] == names
