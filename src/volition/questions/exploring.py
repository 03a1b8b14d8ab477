"""States worth asking about where no box of states makes sense: those that random acting reaches.

A random half-cheetah has its feet in the ground or its back in the air, and no box holds clips. So
the environment is stepped with random actions, each held for a while, since actions that change at
every step cancel out; and of the states or clips on the way those are taken that lie farthest from
each other.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium.spaces import Box

from volition.comparison import Array, Observations, observed
from volition.envs.base import Scene
from volition.envs.scene import make_env
from volition.tasks.task import EnvironmentSection

LONGEST = 200  # steps of an episode: the start of many is seen, and not the end of one
STRONG = 0.5  # of the episodes are acted with all strength, the others with a random part of it
LONGEST_HOLD = 24  # steps for which one action is held
COARSE = 32  # pixels
STILL = 1e-6  # an entry that deviates by less from its mean is constant


@dataclass(frozen=True, slots=True)
class Explored:
    """Steps of random acting, one after the other.

    Attributes:
        states: float64 (steps, fields).
        observations: (steps, *obs_shape), of the same moments.
        episodes: int (steps,), the number of the episode that each step is in.
    """

    states: npt.NDArray[np.float64]
    observations: Observations
    episodes: npt.NDArray[np.int64]


def explore(
    environment: EnvironmentSection,
    scene: Scene,
    steps: int,
    rng: np.random.Generator,
    longest: int = LONGEST,
) -> Explored:
    """Acts at random, holding each action for a random while; an episode has `longest` steps."""
    states, observations, started_at = [], [], []
    with closing(make_env(environment.id, environment.kwargs)) as env:
        env.action_space.seed(int(rng.integers(2**31)))
        for observation, started in acting(env, steps, rng, longest):
            started_at.append(started)
            observations.append(observed(observation).copy())
            states.append(scene.capture(env))
    return Explored(np.stack(states), np.stack(observations), np.cumsum(started_at) - 1)


def acting(
    env: Any, steps: int, rng: np.random.Generator, longest: int
) -> Iterator[tuple[Any, bool]]:
    """What random acting observes after each of so many steps, and whether an episode began with
    it."""
    ended, length, hold, strength = True, 0, 0, 1.0
    for _ in range(steps):
        started = ended or length == longest
        if started:
            env.reset(seed=int(rng.integers(2**31)))
            length, hold = 0, 0
            strength = 1.0 if rng.random() < STRONG else rng.random() ** 2
        if hold == 0:
            action = _weakened(env.action_space, env.action_space.sample(), strength)
            hold = int(rng.integers(1, LONGEST_HOLD + 1))
        observation, _, terminated, truncated, _ = env.step(action)
        ended, length, hold = terminated or truncated, length + 1, hold - 1
        yield observation, started


def _weakened(space: Any, action: Any, strength: float) -> Any:
    """The action nearer to the middle of its space, where it has one: a hopper that acts with all
    its strength has fallen over at once."""
    if not isinstance(space, Box):
        return action
    middle = (space.low + space.high) / 2
    return (middle + strength * (action - middle)).astype(space.dtype)


def coarse(observations: Array) -> Array:
    """Observations (..., *obs_shape) as so few numbers that many can be compared.

    A picture is grey and `COARSE` pixels wide at most, each the mean of a block; other observations
    are as they were.
    """
    if observations.dtype != np.uint8:
        return observations
    *rows, height, width, _ = observations.shape
    block = -(-max(height, width) // COARSE)
    down, across = height // block, width // block
    cut = observations[..., : down * block, : across * block, :]
    blocks = cut.reshape(*rows, down, block, across, block, -1)
    return np.asarray(blocks.mean((-4, -2, -1), np.float32))


def farthest(
    observations: npt.NDArray[np.floating], count: int, rng: np.random.Generator
) -> npt.NDArray[np.int64]:
    """The places of observations (rows, ...) that lie far from each other: at most `count`.

    Each is the farthest from all before it, every entry in units of its standard deviation: within
    a factor of two the best covering there is (Gonzalez 1985, "Clustering to minimize the maximum
    intercluster distance").
    """
    points = observations.reshape(len(observations), -1).astype(np.float64)
    deviation = points.std(0)
    points = (points - points.mean(0)) / np.where(deviation > STILL, deviation, np.inf)
    places = [int(rng.integers(len(points)))]
    distance = np.full(len(points), np.inf)
    while len(places) < count:
        distance = np.minimum(distance, ((points - points[places[-1]]) ** 2).sum(1))
        if not distance.max() > 0:
            break
        places.append(int(distance.argmax()))
    return np.array(places)
