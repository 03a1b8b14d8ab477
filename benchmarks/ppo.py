"""Volition's PPO beside Stable-Baselines3's: the same settings, the environments' true rewards.

    python benchmarks/ppo.py [--quick] [--seeds N]

It needs the extra `bench`. The settings are Volition's defaults. The environments' rewards are
given as functions of transitions in which an ending is worth what it is to Stable-Baselines3:
nothing comes after it, which is a reward of zero held for ever (docs/decisions/0007-endings.md).

Speed is that of the whole loop, environments and learning, both learners taking turns. The returns
are those of the policy without noise over 100 episodes, at the end.
"""

from __future__ import annotations

import argparse
import os
import time
from contextlib import closing
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import equinox as eqx
import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from claims import claim, missing, run_benchmark
from volition.learners.base import Acts, RewardFunction, Transitions
from volition.learners.ppo import PPO, PPOSettings
from volition.learners.rollout import Rollout
from volition.storage.compilation import enable_cache
from volition.tasks.task import EnvironmentSection

try:
    import stable_baselines3
    import torch
    from stable_baselines3.common.vec_env import DummyVecEnv
except ModuleNotFoundError as error:
    raise SystemExit(missing(error)) from None

SETTINGS = PPOSettings()
EPISODES = 100
FIRST_EPISODE = 50_000  # seed of the evaluation
ROUNDS = 3  # of taking turns, when speed is measured
PEER = {name: version(name) for name in ("stable-baselines3", "torch")}

Floats = npt.NDArray[np.floating[Any]]


class Going(eqx.Module):
    """`alive` for every step that does not end the episode, zero for one that does."""

    alive: jax.Array

    def __call__(self, transitions: Transitions) -> jax.Array:
        return self.alive * (1.0 - jnp.asarray(transitions.terminated, jnp.float32))


@dataclass(frozen=True)
class Task:
    """An environment, its reward, how long to learn, and when it counts as solved."""

    id: str
    reward: RewardFunction
    steps: int
    solved: float
    envs: int

    def evaluate(self, policy: Acts) -> float:
        """Mean true return of the first episode of each of `EPISODES` environments."""
        with closing(Rollout(EnvironmentSection(id=self.id), EPISODES)) as rollout:
            observations = rollout.reset(FIRST_EPISODE)
            returns, going = np.zeros(EPISODES), np.ones(EPISODES, np.bool_)
            while going.any():
                step = rollout.step(np.asarray(policy(observations)))
                ended = going & step.ended
                returns[ended] = step.true_returns[ended]
                going, observations = going & ~step.ended, step.observations
        return float(returns.mean())


CARTPOLE = Task("CartPole-v1", Going(jnp.float32(1.0)), steps=50_000, solved=475.0, envs=8)
ACROBOT = Task("Acrobot-v1", Going(jnp.float32(-1.0)), steps=100_000, solved=-100.0, envs=16)


class Ours:
    """Volition's PPO in its environments."""

    def __init__(self, task: Task, seed: int) -> None:
        self._task = task
        self._rollout = Rollout(EnvironmentSection(id=task.id), task.envs)
        spaces = self._rollout.observation_space, self._rollout.action_space
        self._learner = PPO.for_spaces(*spaces, task.envs, SETTINGS)
        self._state, self._actions = self._learner.start(seed, task.steps)
        self._rollout.reset(seed)

    def learn(self, steps: int) -> None:
        """Goes on for so many environment steps."""
        for _ in range(steps // self._task.envs):
            step = self._rollout.step(np.asarray(self._actions))
            self._state, self._actions, _ = self._learner.iterate(
                self._state, step.transitions, step.observations, self._task.reward
            )
        self._actions.block_until_ready()

    def act(self, observations: Floats) -> Any:
        return self._learner.policy(self._state)(observations)


class Theirs:
    """Stable-Baselines3's PPO at the same settings."""

    def __init__(self, task: Task, seed: int) -> None:
        self._model: Any = None

        def rate(_remaining: float) -> float:
            # What remains of one call of `learn`, of which a run may have many.
            done = min(self._model.num_timesteps / task.steps if self._model else 0.0, 1.0)
            return (1.0 - done) * SETTINGS.learning_rate + done * SETTINGS.final_learning_rate

        self._model = stable_baselines3.PPO(
            "MlpPolicy",
            DummyVecEnv([lambda: gymnasium.make(task.id)] * task.envs),
            learning_rate=rate,
            n_steps=SETTINGS.rollout_steps,
            batch_size=SETTINGS.minibatch_size,
            n_epochs=SETTINGS.epochs,
            gamma=SETTINGS.gamma,
            gae_lambda=SETTINGS.trace,
            clip_range=SETTINGS.clip,
            ent_coef=SETTINGS.entropy_weight,
            max_grad_norm=SETTINGS.max_gradient_norm,
            policy_kwargs={"net_arch": list(SETTINGS.hidden)},
            seed=seed,
            device="cpu",
        )

    def learn(self, steps: int) -> None:
        """Goes on for so many environment steps."""
        self._model.learn(steps, reset_num_timesteps=False)

    def act(self, observations: Floats) -> Any:
        return self._model.predict(observations, deterministic=True)[0]


LEARNERS: dict[str, type[Ours] | type[Theirs]] = {"volition": Ours, "stable-baselines3": Theirs}


def claim_speed() -> bool:
    """Environment steps per second of each: the best of some rounds in which they take turns."""
    rollout = SETTINGS.rollout_steps * CARTPOLE.envs
    learners = {name: made(CARTPOLE, 0) for name, made in LEARNERS.items()}
    best = dict.fromkeys(LEARNERS, 0.0)
    for learner in learners.values():  # compiles, warms the caches
        learner.learn(2 * rollout)
    threads = torch.get_num_threads()
    for turn in range(2 * ROUNDS):
        torch.set_num_threads(1 if turn % 2 else threads)
        for name, learner in learners.items():
            started = time.perf_counter()
            learner.learn(2 * rollout)
            best[name] = max(best[name], 2 * rollout / (time.perf_counter() - started))
    torch.set_num_threads(threads)
    ratio = best["volition"] / best["stable-baselines3"]
    return claim(
        "PPO on CartPole-v1: environment steps per second, Volition's against Stable-Baselines3's",
        round(ratio, 1),
        "times",
        ">= 2",
        ratio >= 2.0,
        steps_per_s={name: round(rate) for name, rate in best.items()},
        cores=os.cpu_count(),
        peer=PEER,
    )


def claim_solved(task: Task, seeds: int) -> bool:
    """That every seed of ours solves the task."""
    returns: dict[str, list[float]] = {name: [] for name in LEARNERS}
    seconds: dict[str, list[float]] = {name: [] for name in LEARNERS}
    for seed in range(seeds):
        for name, made in LEARNERS.items():
            learner, started = made(task, seed), time.perf_counter()
            learner.learn(task.steps)
            seconds[name].append(time.perf_counter() - started)
            returns[name].append(round(task.evaluate(learner.act), 1))
    solved = sum(each >= task.solved for each in returns["volition"])
    return claim(
        f"PPO on {task.id}, {task.steps} steps: mean return of {EPISODES} episodes at the end",
        solved,
        f"of {seeds} seeds reach {task.solved:g}",
        "all",
        solved == seeds,
        returns=returns,
        seconds={name: round(float(np.median(taken)), 1) for name, taken in seconds.items()},
        peer=PEER,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="two seeds, CartPole-v1 only")
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    seeds, tasks = (2, [CARTPOLE]) if options.quick else (options.seeds, [CARTPOLE, ACROBOT])
    enable_cache()
    held = [claim_speed(), *(claim_solved(task, seeds) for task in tasks)]
    claim("PPO's bars", sum(held), f"of {len(held)} claims hold", "all", all(held))


if __name__ == "__main__":
    run_benchmark(main)
