"""Volition's SAC beside Stable-Baselines3's: the same settings, the environments' true rewards.

    python benchmarks/learner.py [--quick] [--seeds N] [--out CURVES.json]

It needs the extra `bench`. Speed is that of the whole loop (environments, replay, updates), both
learners taking turns; Stable-Baselines3 gets the better of one thread and all. The small network is
that of the settings below, which solve Pendulum-v1 about ten times sooner, for Stable-Baselines3 as
well, than those of its own zoo (https://github.com/DLR-RM/rl-baselines3-zoo), whose network, twice
256 with batches of 256, is the large one.

The learning curves are those of the policy without noise over fixed episodes: for each learner the
interquartile mean over seeds, with a 95% bootstrap interval (Agarwal et al., arXiv:2108.13264).
`--out` keeps them as JSON, and as a picture in an SVG beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import equinox as eqx
import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
from gymnasium.vector import SyncVectorEnv

from claims import claim, missing, run_benchmark
from volition.learners.base import RewardFunction, Transitions
from volition.learners.rollout import Rollout
from volition.learners.sac import SAC, SACSettings
from volition.storage.compilation import enable_cache
from volition.tasks.task import EnvironmentSection

try:
    import stable_baselines3
    import torch
    from stable_baselines3.common.vec_env import DummyVecEnv
except ModuleNotFoundError as error:
    raise SystemExit(missing(error)) from None

ENVS = 8
SETTINGS = SACSettings(updates_per_iteration=ENVS)
LARGE = SACSettings(updates_per_iteration=ENVS, hidden=(256, 256), batch_size=256)
EPISODES = 25  # of one evaluation
FIRST_EPISODE = 50_000  # seed of the first of them
ROUNDS = 6  # of taking turns, when speed is measured
PEER = {name: version(name) for name in ("stable-baselines3", "torch", "mujoco")}

Floats = npt.NDArray[np.floating[Any]]
Act = Callable[[Floats], Floats]


class PendulumReward(eqx.Module):
    """Pendulum-v1's own: -(angle^2 + 0.1 velocity^2 + 0.001 torque^2), before the step."""

    def __call__(self, transitions: Transitions) -> jax.Array:
        cosine, sine, velocity = jnp.asarray(transitions.observation).T
        torque = jnp.asarray(transitions.action)[:, 0]
        return -(jnp.arctan2(sine, cosine) ** 2 + 0.1 * velocity**2 + 0.001 * torque**2)


class Alive(eqx.Module):
    """InvertedPendulum-v5's own: 1 for every step that does not end the task."""

    def __call__(self, transitions: Transitions) -> jax.Array:
        return 1.0 - jnp.asarray(transitions.terminated, jnp.float32)


@dataclass(frozen=True)
class Task:
    """An environment, its true reward as a function of transitions, and how long to learn."""

    id: str
    reward: RewardFunction
    steps: int
    every: int  # environment steps between two evaluations

    def evaluate(self, act: Act) -> float:
        """Mean true return of the first episode of each of `EPISODES` environments."""
        with closing(SyncVectorEnv([lambda: gymnasium.make(self.id)] * EPISODES)) as env:
            observations, _ = env.reset(seed=FIRST_EPISODE)
            returns, going = np.zeros(EPISODES), np.ones(EPISODES, np.bool_)
            while going.any():
                actions = act(observations.astype(np.float32))
                observations, rewards, terminated, truncated, _ = env.step(actions)
                returns += going * rewards
                going &= ~(terminated | truncated)
        return float(returns.mean())


PENDULUM = Task("Pendulum-v1", PendulumReward(), steps=6_000, every=400)
BALANCE = Task("InvertedPendulum-v5", Alive(), steps=9_600, every=480)


class Ours:
    """Volition's SAC in its environments."""

    def __init__(self, task: Task, settings: SACSettings, seed: int) -> None:
        self._task = task
        self._rollout = Rollout(EnvironmentSection(id=task.id), ENVS)
        spaces = self._rollout.observation_space, self._rollout.action_space
        self._learner = SAC.for_spaces(*spaces, ENVS, settings)
        self._state, self._actions = self._learner.start(seed, task.steps)
        self._rollout.reset(seed)

    def learn(self, steps: int) -> None:
        """Goes on for so many environment steps."""
        for _ in range(steps // ENVS):
            step = self._rollout.step(np.asarray(self._actions))
            self._state, self._actions, _ = self._learner.iterate(
                self._state, step.transitions, step.observations, self._task.reward
            )
        self._actions.block_until_ready()

    def act(self, observations: Floats) -> Floats:
        return np.asarray(self._learner.policy(self._state)(observations))


class Theirs:
    """Stable-Baselines3's SAC at the same settings."""

    def __init__(self, task: Task, settings: SACSettings, seed: int) -> None:
        self._model: Any = None

        def rate(_remaining: float) -> float:
            # What remains of one call of `learn`, of which a run has many: not what is wanted.
            done = self._model.num_timesteps / task.steps if self._model else 0.0
            done = min(done, 1.0)
            return (1.0 - done) * settings.learning_rate + done * settings.final_learning_rate

        self._model = stable_baselines3.SAC(
            "MlpPolicy",
            DummyVecEnv([lambda: gymnasium.make(task.id)] * ENVS),
            learning_rate=rate,
            buffer_size=settings.replay_capacity,
            learning_starts=settings.random_steps,
            batch_size=settings.batch_size,
            tau=settings.tau,
            gamma=settings.gamma,
            train_freq=1,  # vector step
            gradient_steps=settings.updates_per_iteration,
            ent_coef=f"auto_{settings.initial_temperature}",
            policy_kwargs={"net_arch": list(settings.hidden)},
            seed=seed,
            device="cpu",
        )

    def learn(self, steps: int) -> None:
        """Goes on for so many environment steps."""
        self._model.learn(steps, reset_num_timesteps=False)

    def act(self, observations: Floats) -> Floats:
        return np.asarray(self._model.predict(observations, deterministic=True)[0])


LEARNERS: dict[str, type[Ours] | type[Theirs]] = {"volition": Ours, "stable-baselines3": Theirs}


def speeds(settings: SACSettings, steps: dict[str, int]) -> dict[str, float]:
    """Updates per second of each learner: the best of some rounds in which they take turns.

    The best, since what else a machine does can only slow a round down.
    """
    learners = {name: made(PENDULUM, settings, 0) for name, made in LEARNERS.items()}
    best = dict.fromkeys(LEARNERS, 0.0)
    for learner in learners.values():  # fills the replay, compiles, warms the caches
        learner.learn(settings.random_steps + 10 * ENVS)
    threads = torch.get_num_threads()
    for turn in range(2 * ROUNDS):
        torch.set_num_threads(1 if turn % 2 else threads)
        for name, learner in learners.items():
            started = time.perf_counter()
            learner.learn(steps[name])
            updates = steps[name] // ENVS * settings.updates_per_iteration
            best[name] = max(best[name], updates / (time.perf_counter() - started))
    torch.set_num_threads(threads)
    return best


def claim_speed(name: str, settings: SACSettings, steps: dict[str, int], target: float) -> bool:
    measured = speeds(settings, steps)
    ratio = measured["volition"] / measured["stable-baselines3"]
    return claim(
        f"SAC, {name}: updates per second, Volition's against Stable-Baselines3's",
        round(ratio, 1),
        "times",
        f">= {target:g}",
        ratio >= target,
        updates_per_s={learner: round(rate) for learner, rate in measured.items()},
        cores=os.cpu_count(),
        peer=PEER,
    )


def curve(task: Task, name: str, seed: int) -> tuple[list[float], float]:
    """The returns of all evaluations, and the seconds that learning took without them."""
    learner = LEARNERS[name](task, SETTINGS, seed)
    returns, seconds = [], 0.0
    for _ in range(task.steps // task.every):
        started = time.perf_counter()
        learner.learn(task.every)
        seconds += time.perf_counter() - started
        returns.append(task.evaluate(learner.act))
    return returns, seconds


def interquartile_mean(scores: Floats) -> Floats:
    """Mean of the middle half over the second to last axis (..., seeds, points)."""
    ordered = np.sort(scores, axis=-2)
    cut = scores.shape[-2] // 4
    middle: Floats = ordered[..., cut : scores.shape[-2] - cut, :].mean(-2)
    return middle


def band(scores: Floats) -> dict[str, list[float]]:
    """Interquartile mean over seeds with its 95% bootstrap interval; scores: (seeds, points)."""
    rng = np.random.default_rng(0)
    drawn = rng.integers(len(scores), size=(2000, len(scores)))
    low, high = np.quantile(interquartile_mean(scores[drawn]), (0.025, 0.975), axis=0)
    mean = interquartile_mean(scores)
    return {"iqm": mean.tolist(), "low": low.tolist(), "high": high.tolist()}


@dataclass(frozen=True)
class Curves:
    """What both learners did on one task."""

    task: str
    steps: list[int]
    bands: dict[str, dict[str, list[float]]]
    returns: dict[str, list[list[float]]]  # of every seed
    seconds: dict[str, float]  # of learning, median over seeds


def compare(task: Task, seeds: int) -> Curves:
    returns: dict[str, list[list[float]]] = {name: [] for name in LEARNERS}
    seconds: dict[str, list[float]] = {name: [] for name in LEARNERS}
    for seed in range(seeds):
        for name in LEARNERS:
            scores, taken = curve(task, name, seed)
            returns[name].append(scores)
            seconds[name].append(taken)
    return Curves(
        task.id,
        [task.every * (number + 1) for number in range(task.steps // task.every)],
        {name: band(np.array(scores)) for name, scores in returns.items()},
        returns,
        {name: float(np.median(taken)) for name, taken in seconds.items()},
    )


def claim_curves(curves: Curves, seeds: int) -> bool:
    """That the intervals overlap nearly everywhere, and at the end."""
    ours, theirs = (curves.bands[name] for name in LEARNERS)
    overlaps = [
        low <= their_high and their_low <= high
        for low, high, their_low, their_high in zip(
            ours["low"], ours["high"], theirs["low"], theirs["high"], strict=True
        )
    ]
    return claim(
        f"SAC on {curves.task}, {seeds} seeds: both learners' intervals overlap",
        round(float(np.mean(overlaps)), 2),
        "of the evaluations",
        ">= 0.9, and at the end",
        float(np.mean(overlaps)) >= 0.9 and overlaps[-1],
        final_iqm={name: round(band["iqm"][-1], 1) for name, band in curves.bands.items()},
        learning_seconds={name: round(taken, 2) for name, taken in curves.seconds.items()},
        peer=PEER,
    )


def panel(shown: Curves) -> str:
    """One task's curves as a group of SVG elements, 420 by 280."""
    bottom = min(min(band["low"]) for band in shown.bands.values())
    top = max(max(band["high"]) for band in shown.bands.values())
    xs = 50 + 350 * np.array(shown.steps) / shown.steps[-1]

    def points(values: list[float]) -> list[str]:
        ys = 250 - 210 * (np.array(values) - bottom) / (top - bottom)
        return [f"{x:.1f},{y:.1f}" for x, y in zip(xs, ys, strict=True)]

    def text(x: int, y: int, anchor: str, content: str, colour: str = "#333") -> str:
        return f'<text x="{x}" y="{y}" text-anchor="{anchor}" fill="{colour}">{content}</text>'

    drawn = [
        text(50, 20, "start", shown.task),
        text(46, 44, "end", f"{top:.0f}"),
        text(46, 254, "end", f"{bottom:.0f}"),
        text(400, 270, "end", f"{shown.steps[-1]} steps"),
    ]
    for name, colour, y in zip(LEARNERS, ("#2a6fdb", "#d9622b"), (210, 226), strict=True):
        band = shown.bands[name]
        area = " ".join(points(band["low"]) + points(band["high"])[::-1])
        line = " ".join(points(band["iqm"]))
        drawn.append(f'<polygon points="{area}" fill="{colour}" opacity="0.2"/>')
        drawn.append(f'<polyline points="{line}" fill="none" stroke="{colour}"/>')
        drawn.append(text(400, y, "end", name, colour))
    return "".join(drawn)


def picture(curves: list[Curves]) -> str:
    """All tasks' curves side by side as an SVG."""
    panels = [f'<g transform="translate({420 * i})">{panel(c)}</g>' for i, c in enumerate(curves)]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{420 * len(curves)}" height="280" '
        'font-family="sans-serif" font-size="11"><rect width="100%" height="100%" fill="#fff"/>'
        f"{''.join(panels)}</svg>"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="two seeds, Pendulum-v1 only")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--out", type=Path, help="where to keep the curves, as JSON and SVG")
    options = parser.parse_args()
    seeds, tasks = (2, [PENDULUM]) if options.quick else (options.seeds, [PENDULUM, BALANCE])
    enable_cache()
    small, large = (
        {"volition": 1600, "stable-baselines3": 160},
        {"volition": 160, "stable-baselines3": 80},
    )
    held = [
        claim_speed("64x2, batches of 128", SETTINGS, small, target=10.0),
        claim_speed("256x2, batches of 256", LARGE, large, target=2.5),
    ]
    curves = [compare(task, seeds) for task in tasks]
    held += [claim_curves(shown, seeds) for shown in curves]
    if options.out:
        options.out.write_text(json.dumps([asdict(shown) for shown in curves], indent=1))
        options.out.with_suffix(".svg").write_text(picture(curves))
    claim("SAC's bars", sum(held), f"of {len(held)} claims hold", "all", all(held))


if __name__ == "__main__":
    run_benchmark(main)
