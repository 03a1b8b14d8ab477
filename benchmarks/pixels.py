"""PPO that learns from pictures beside Stable-Baselines3's: CarRacing-v3, its own reward.

    python benchmarks/pixels.py [--device gpu] [--quick] [--learn STEPS] [--seed N]

It needs the extras `bench` and `box2d`. Both learn with Volition's default settings from 96 x 96 x
3 pixels in four environments, Stable-Baselines3's with its CnnPolicy in a DummyVecEnv: once with
Volition's network for pictures, and once with its own (NatureCNN). Speed is that of the whole loop,
environments and learning, taking turns in one process, the best of some rounds each, torch with one
thread and with all; beside it the processor time of a step, which other work on the machine changes
less. What `alone` says is the same where the environments show pictures of chance, which takes no
time. `--device gpu` learns on JAX's and torch's GPU.

A learner of Volition's is given no reward, but a function of what is observed. So the reward of a
step is written into the three bytes of the picture's first pixel, for both alike.

`--learn` lets Volition and the peer with the same network learn for so many steps, and prints what
the episodes of each part of them returned on average: those of learning, with noise.
"""

from __future__ import annotations

import argparse
import math
import os
import time
from importlib.metadata import version
from typing import Any, NamedTuple, SupportsFloat

import equinox as eqx
import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from claims import claim, missing, run_benchmark
from volition.learners.base import Transitions
from volition.learners.ppo import PPO, PPOSettings
from volition.learners.rollout import Rollout
from volition.networks import CHANNELS, FEATURES, PATCHES
from volition.storage.compilation import enable_cache
from volition.tasks.task import EnvironmentSection

try:
    import stable_baselines3
    import torch
    from stable_baselines3.common.monitor import Monitor
    from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
    from stable_baselines3.common.vec_env import DummyVecEnv
except ModuleNotFoundError as error:
    raise SystemExit(missing(error)) from None

SETTINGS = PPOSettings()
ENVS = 4  # as `volition train` has them
ROLLOUT = SETTINGS.rollout_steps * ENVS  # environment steps that are learned from at once
ROUNDS = 3  # of taking turns, when speed is measured
PART = 8 * ROLLOUT  # environment steps, of whose episodes a mean return is printed
RACING, FILM = "bench/CarRacing-v3", "bench/Film-v0"
PEER = {name: version(name) for name in ("stable-baselines3", "torch")}
LEAST, UNIT = -128.0, 2.0**-16  # of a reward in three bytes

Pictures = npt.NDArray[np.uint8]


class Told(gymnasium.Wrapper[Any, Any, Any, Any]):
    """The reward of a step in the first pixel of the picture that it led to."""

    def reset(self, **options: Any) -> tuple[Pictures, dict[str, Any]]:
        picture, info = self.env.reset(**options)
        return self._told(picture, 0.0), info

    def step(self, action: Any) -> tuple[Pictures, SupportsFloat, bool, bool, dict[str, Any]]:
        picture, reward, terminated, truncated, info = self.env.step(action)
        return self._told(picture, float(reward)), reward, terminated, truncated, info

    def _told(self, picture: Pictures, reward: float) -> Pictures:
        picture = picture.copy()
        picture[0, 0] = np.frombuffer(round((reward - LEAST) / UNIT).to_bytes(3, "big"), np.uint8)
        return picture


class Film(gymnasium.Env[Any, Any]):
    """Shows pictures of chance, one after the other, which takes no time."""

    def __init__(self) -> None:
        self.observation_space = gymnasium.spaces.Box(0, 255, (96, 96, 3), np.uint8)
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (3,), np.float32)
        self._pictures = np.random.default_rng(0).integers(
            256, size=(64, 96, 96, 3), dtype=np.uint8
        )
        self._shown = 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Pictures, Any]:
        super().reset(seed=seed)
        return self._pictures[0], {}

    def step(self, action: Any) -> tuple[Pictures, float, bool, bool, dict[str, Any]]:
        self._shown += 1
        return self._pictures[self._shown % len(self._pictures)], 0.0, False, False, {}


def car_racing(**options: Any) -> gymnasium.Env[Any, Any]:
    return Told(gymnasium.make("CarRacing-v3", **options).unwrapped)


def register() -> None:
    """The environments of this file."""
    gymnasium.register(RACING, car_racing, max_episode_steps=1000)
    gymnasium.register(FILM, Film, max_episode_steps=1000)  # type: ignore[arg-type]


class Read(eqx.Module):
    """The reward that the first pixel tells; after an ending nothing comes, as in the peer's."""

    ended: jax.Array  # what is left of a reward that is held for ever, of one that is given once

    def __call__(self, transitions: Transitions) -> jax.Array:
        bytes_ = jnp.asarray(transitions.next_observation)[:, 0, 0].astype(jnp.float32)
        reward = LEAST + UNIT * (bytes_ @ jnp.array([65536.0, 256.0, 1.0]))
        return reward * jnp.where(transitions.terminated, self.ended, 1.0)


class Ours:
    """Volition's PPO."""

    def __init__(self, env_id: str, seed: int, steps: int) -> None:
        self._rollout = Rollout(EnvironmentSection(id=env_id), ENVS)
        spaces = self._rollout.observation_space, self._rollout.action_space
        self._learner = PPO.for_spaces(*spaces, ENVS, SETTINGS)
        self._state, self._actions = self._learner.start(seed, steps)
        self._reward = Read(jnp.float32(1.0 - SETTINGS.gamma))
        self._rollout.reset(seed)
        self.returns: list[float] = []  # of the episodes that have ended

    def learn(self, steps: int) -> None:
        """Goes on for so many environment steps."""
        for _ in range(steps // ENVS):
            step = self._rollout.step(np.asarray(self._actions))
            self.returns += step.true_returns[step.ended].tolist()
            self._state, self._actions, _ = self._learner.iterate(
                self._state, step.transitions, step.observations, self._reward
            )
        self._actions.block_until_ready()


class OurNetwork(BaseFeaturesExtractor):  # type: ignore[misc]
    """The part of Volition's network that comes before the dense layers of a policy."""

    def __init__(self, space: gymnasium.spaces.Box) -> None:
        super().__init__(space, FEATURES)
        stages: list[torch.nn.Module] = []
        before = space.shape[0]
        for patch, channels in zip(PATCHES, CHANNELS, strict=True):
            stages += [torch.nn.Conv2d(before, channels, patch, patch), torch.nn.ReLU()]
            before = channels
        found = torch.nn.Sequential(*stages, torch.nn.Flatten())
        width = found(torch.zeros(1, *space.shape)).shape[1]
        self.found = torch.nn.Sequential(found, torch.nn.Linear(width, FEATURES), torch.nn.ReLU())

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        features: torch.Tensor = self.found(pictures)
        return features


class Theirs:
    """Stable-Baselines3's PPO at the same settings."""

    def __init__(self, env_id: str, seed: int, steps: int, device: str, ours: bool) -> None:
        self._model: Any = None

        def rate(_remaining: float) -> float:
            # What remains of one call of `learn`, of which a run may have many.
            done = min(self._model.num_timesteps / steps if self._model else 0.0, 1.0)
            return (1.0 - done) * SETTINGS.learning_rate + done * SETTINGS.final_learning_rate

        network: dict[str, Any] = {"net_arch": list(SETTINGS.hidden)}
        if ours:
            network |= {
                "features_extractor_class": OurNetwork,
                "share_features_extractor": False,
            }
        self._model = stable_baselines3.PPO(
            "CnnPolicy",
            DummyVecEnv([lambda: Monitor(gymnasium.make(env_id))] * ENVS),
            learning_rate=rate,
            n_steps=SETTINGS.rollout_steps,
            batch_size=SETTINGS.minibatch_size,
            n_epochs=SETTINGS.epochs,
            gamma=SETTINGS.gamma,
            gae_lambda=SETTINGS.trace,
            clip_range=SETTINGS.clip,
            ent_coef=SETTINGS.entropy_weight,
            max_grad_norm=SETTINGS.max_gradient_norm,
            policy_kwargs=network,
            seed=seed,
            device=device,
            stats_window_size=100_000,
        )

    def learn(self, steps: int) -> None:
        """Goes on for so many environment steps."""
        self._model.learn(steps, reset_num_timesteps=False)

    @property
    def returns(self) -> list[float]:
        """Of the episodes that have ended."""
        return [float(episode["r"]) for episode in self._model.ep_info_buffer or ()]


Learner = Ours | Theirs
VOLITION, SAME, OWN = (
    "volition",
    "stable-baselines3, the same network",
    "stable-baselines3, NatureCNN",
)


def made(name: str, env_id: str, seed: int, steps: int, device: str) -> Learner:
    """The learner of that name, for so many steps."""
    if name == VOLITION:
        return Ours(env_id, seed, steps)
    return Theirs(env_id, seed, steps, device, ours=name == SAME)


class Speed(NamedTuple):
    """How fast a learner was at its best.

    Attributes:
        steps_per_s: Environment steps per second of wall time.
        processor_ms: Processor time of an environment step, in milliseconds; of all threads.
    """

    steps_per_s: float
    processor_ms: float


def speeds(env_id: str, device: str, rounds: int) -> dict[str, Speed]:
    """The best of each in some rounds in which they take turns."""
    every = {name: made(name, env_id, 0, 1_000_000, device) for name in (VOLITION, SAME, OWN)}
    best = dict.fromkeys(every, Speed(0.0, math.inf))
    for learner in every.values():  # compiles, warms the caches
        learner.learn(ROLLOUT)
    threads = torch.get_num_threads()
    for turn in range(2 * rounds):
        torch.set_num_threads(1 if turn % 2 else threads)
        for name, learner in every.items():
            started, worked = time.perf_counter(), time.process_time()
            learner.learn(ROLLOUT)
            wall, work = time.perf_counter() - started, time.process_time() - worked
            best[name] = Speed(
                round(max(best[name].steps_per_s, ROLLOUT / wall), 1),
                round(min(best[name].processor_ms, 1e3 * work / ROLLOUT), 2),
            )
    torch.set_num_threads(threads)
    return best


def claim_speed(device: str, rounds: int) -> bool:
    """That Volition's is the fastest."""
    whole, alone = speeds(RACING, device, rounds), speeds(FILM, device, rounds)
    ratio = whole[VOLITION].steps_per_s / max(whole[name].steps_per_s for name in (SAME, OWN))
    return claim(
        "PPO from the pictures of CarRacing-v3: environment steps per second, Volition's against "
        "Stable-Baselines3's",
        round(ratio, 2),
        "times",
        ">= 1",
        ratio >= 1.0,
        whole={name: speed._asdict() for name, speed in whole.items()},
        alone={name: speed._asdict() for name, speed in alone.items()},
        device=str(jax.devices()[0].device_kind),
        cores=os.cpu_count(),
        peer=PEER,
    )


def claim_learned(device: str, steps: int, seed: int) -> bool:
    """What the episodes of learning return, of Volition's and of the peer with the same network."""
    returns: dict[str, list[float]] = {}
    seconds: dict[str, float] = {}
    for name in (VOLITION, SAME):
        learner, started, told = made(name, RACING, seed, steps, device), time.perf_counter(), 0
        returns[name] = []
        for _ in range(max(1, steps // PART)):
            learner.learn(PART)
            ended = learner.returns[told:]
            told += len(ended)
            returns[name].append(round(float(np.mean(ended)), 1))
        seconds[name] = round(time.perf_counter() - started, 1)
    last = {name: means[-1] for name, means in returns.items()}
    return claim(
        f"PPO from the pictures of CarRacing-v3, {steps} steps, seed {seed}: mean return of the "
        f"last {PART} steps' episodes, with noise",
        last,
        "",
        "no lower than the peer's",
        last[VOLITION] >= last[SAME],
        returns=returns,
        seconds=seconds,
        peer=PEER,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=["cpu", "gpu"], default="cpu")
    parser.add_argument("--quick", action="store_true", help="one round")
    parser.add_argument("--learn", type=int, default=0, metavar="STEPS", help="and not only speed")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if options.device == "cpu":
        jax.config.update("jax_platforms", "cpu")  # type: ignore[no-untyped-call]
    enable_cache()
    register()
    device = "cuda" if options.device == "gpu" else "cpu"
    held = [claim_speed(device, 1 if options.quick else ROUNDS)]
    if options.learn:
        held.append(claim_learned(device, options.learn, options.seed))
    claim("PPO from pictures", sum(held), f"of {len(held)} claims hold", "all", all(held))


if __name__ == "__main__":
    run_benchmark(main)
