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

from volition.envs.scene import make_env
from volition.errors import InputError
from volition.querying import DECIMALS, Look, coverage_pairs, distinct_pairs
from volition.seeing import eye, see
from volition.segment import Observations, Segment, State
from volition.task import EnvironmentSection, JudgeView, Scene

STEPS_PER_STATE = 25  # taken for each state that is chosen
LEAST_STEPS = 1000
LONGEST = 200  # steps of an episode: the start of many is seen, and not the end of one
CLIPS_PER_CLIP = 6  # that are cut for each that is chosen
SHIFTED = 3  # clips begin in the time of one: more would be variations on one
STRONG = 0.5  # of the episodes are acted with all strength, the others with a random part of it
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


def covering_segments(
    environment: EnvironmentSection, scene: Scene, view: JudgeView, count: int,
    rng: np.random.Generator,
) -> list[tuple[Segment, Segment]]:  # fmt: skip
    """Pairs of what an environment can show, states or clips as the view says, seen to differ.

    Args:
        environment: Whose scene `scene` is.
        scene: Draws what is chosen.
        view: How the judge sees it.
        count: How many pairs.
        rng: Of the segments, and of who meets whom on which side.

    Raises:
        InputError: Hardly any two can be told apart by what the judge sees, or no episode is as
            long as a clip.
    """
    if view.clip is None:
        seen = eye(scene, view)
        pairs = coverage(environment, scene, count, rng, lambda state: seen(state).frames[0])
        return [(seen(one), seen(other)) for one, other in pairs]
    states = covering_clips(environment, scene, view.steps, 2 * count, rng)
    clips = (see(scene, view, each) for each in states)
    return distinct_pairs(clips, count, lambda clip: clip.frames)


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
        states = covering_states(environment, scene, 2 * count, rng)
        return distinct_pairs(states, count, lambda state: (look(state),))
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


def covering_clips(
    environment: EnvironmentSection, scene: Scene, length: int, batch: int,
    rng: np.random.Generator,
) -> Iterator[npt.NDArray[np.float64]]:  # fmt: skip
    """Clips without end, float64 (length, fields), in shuffled batches that cover what random
    acting does, by the mean and the deviation of what is observed.

    Raises:
        InputError: No episode is that long.
    """
    shift = max(1, length // SHIFTED)
    while True:
        steps = max(LEAST_STEPS, CLIPS_PER_CLIP * batch * shift)
        explored = explore(environment, scene, steps, rng, max(LONGEST, 2 * length))
        starts = np.arange(0, steps - length + 1, shift)
        starts = starts[explored.episodes[starts] == explored.episodes[starts + length - 1]]
        if not len(starts):
            raise InputError(
                f"no episode of random acting in {environment.id} has {length} steps: make "
                "view.clip.steps in task.toml shorter"
            )
        rows = starts[:, None] + np.arange(length)
        observed = explored.observations[rows].reshape(*rows.shape, -1)
        moments = np.concatenate([observed.mean(1), observed.std(1)], 1)
        for place in rng.permutation(farthest(moments, batch, rng)):
            yield explored.states[rows[place]].round(DECIMALS)


def explore(
    environment: EnvironmentSection, scene: Scene, steps: int, rng: np.random.Generator,
    longest: int = LONGEST,
) -> Explored:  # fmt: skip
    """Acts at random, holding each action for a random while; an episode has `longest` steps."""
    states, observations, started_at = [], [], []
    with closing(make_env(environment.id, environment.kwargs, disable_env_checker=True)) as env:
        env.action_space.seed(int(rng.integers(2**31)))
        for observation, started in acting(env, steps, rng, longest):
            started_at.append(started)
            observations.append(np.array(observation, np.float32))
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
