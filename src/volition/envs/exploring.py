"""States worth asking about where no box of states makes sense: those that random acting reaches.

A random half-cheetah has its feet in the ground or its back in the air. So the environment is
stepped with random actions, each held for a while, since actions that change at every step cancel
out; and of the states reached those are taken that lie farthest from each other.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from volition.envs.scene import make_env
from volition.querying import DECIMALS, Look, coverage_pairs, distinct_pairs
from volition.segment import Observations, State
from volition.task import EnvironmentSection, Scene

STEPS_PER_STATE = 25  # taken for each state that is chosen
LEAST_STEPS = 1000
LONGEST = 200  # steps of an episode: the start of many is seen, and not the end of one
LONGEST_HOLD = 24  # steps for which one action is held
STILL = 1e-6  # an entry that deviates by less from its mean is constant


@dataclass(frozen=True, slots=True)
class Explored:
    """Steps of random acting, one after the other.

    Attributes:
        states: float64 (steps, fields).
        observations: float32 (steps, obs_dim), of the same moments.
        episodes: int (steps,), the number of the episode that each step is in.
    """

    states: npt.NDArray[np.float64]
    observations: Observations
    episodes: npt.NDArray[np.int64]


def coverage(
    environment: EnvironmentSection, scene: Scene, count: int, rng: np.random.Generator, look: Look
) -> list[tuple[State, State]]:
    """Pairs of states that cover the environment's, each seen to differ.

    Args:
        environment: Whose scene `scene` is.
        scene: Where it has ranges, they are covered; else what random acting reaches.
        count: How many pairs.
        rng: Of the states, and of who meets whom on which side.
        look: What the judge sees of a state.

    Raises:
        InputError: Hardly any two states can be told apart by what the judge sees.
    """
    if scene.ranges is None:
        return distinct_pairs(covering_states(environment, scene, 2 * count, rng), count, look)
    return coverage_pairs(scene, count, rng, look)


def covering_states(
    environment: EnvironmentSection, scene: Scene, batch: int, rng: np.random.Generator
) -> Iterator[State]:
    """States without end that random acting reaches, in shuffled batches that cover them."""
    while True:
        explored = explore(environment, scene, max(LEAST_STEPS, STEPS_PER_STATE * batch), rng)
        for place in rng.permutation(farthest(explored.observations, batch, rng)):
            values = explored.states[place].round(DECIMALS).tolist()
            yield dict(zip(scene.fields, values, strict=True))


def explore(
    environment: EnvironmentSection, scene: Scene, steps: int, rng: np.random.Generator
) -> Explored:
    """Acts at random, holding each action for a random while."""
    states, observations, started_at = [], [], []
    with closing(make_env(environment.id, environment.kwargs, disable_env_checker=True)) as env:
        env.action_space.seed(int(rng.integers(2**31)))
        for observation, started in _episodes(env, steps, rng):
            started_at.append(started)
            observations.append(np.array(observation, np.float32))
            states.append(scene.capture(env))
    return Explored(np.stack(states), np.stack(observations), np.cumsum(started_at) - 1)


def _episodes(env: Any, steps: int, rng: np.random.Generator) -> Iterator[tuple[Any, bool]]:
    """What is observed after each of so many steps, and whether an episode began with it."""
    ended, length, hold = True, 0, 0
    for _ in range(steps):
        started = ended or length == LONGEST
        if started:
            env.reset(seed=int(rng.integers(2**31)))
            length, hold = 0, 0
        if hold == 0:
            action, hold = env.action_space.sample(), int(rng.integers(1, LONGEST_HOLD + 1))
        observation, _, terminated, truncated, _ = env.step(action)
        ended, length, hold = terminated or truncated, length + 1, hold - 1
        yield observation, started


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
