"""States worth asking about where no box of states makes sense: those that random acting reaches.

A random half-cheetah has its feet in the ground or its back in the air, and no box holds clips. So
the environment is stepped with random actions, each held for a while, since actions that change at
every step cancel out. What led to where few have been is repeated and gone on from. Of the states
or clips on the way those are taken that lie farthest from each other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
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
SHORT = 0.5  # of the episodes that begin anew hold actions for less, down to a single step
REPEATING = 0.5  # of the episodes go on from where few have been
POWER = 3  # of how far apart a place is, with which it is chosen to go on from
NEIGHBOURS = 5  # the last of them says how far apart a place is
CONSIDERED = 512  # places at a time
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
    """What exploring observes after each of so many steps, and whether an episode began with it.

    Actions are random, each held for a while. A share of the episodes repeats the actions that led
    an earlier one to where few have been, from another start, and goes on from there.
    """
    archive, episode = Archive(), Episode((), 1)
    ended, length, hold, strength = True, 0, 0, 1.0
    for _ in range(steps):
        started = ended or length == longest
        if started:
            env.reset(seed=int(rng.integers(2**31)))
            length, hold, episode = 0, 0, archive.begin(rng)
            strength = 1.0 if rng.random() < STRONG else rng.random() ** 2
        if length < len(episode.repeated):
            action = episode.repeated[length]
        else:
            if hold == 0:
                action = weakened(env.action_space, env.action_space.sample(), strength)
                hold = int(rng.integers(1, episode.longest_hold + 1))
            hold -= 1
        observation, _, terminated, truncated, _ = env.step(action)
        ended, length = terminated or truncated, length + 1
        episode.actions.append(action)
        if hold == 0 and length > len(episode.repeated) and not ended:
            archive.add(episode, observation)
        yield observation, started


@dataclass(frozen=True, slots=True)
class Episode:
    """An episode of exploring.

    Attributes:
        repeated: Actions of an earlier one, with which it begins.
        longest_hold: Steps for which an action is held afterwards, at most.
        actions: All that were taken so far.
    """

    repeated: Sequence[Any]
    longest_hold: int
    actions: list[Any] = field(default_factory=list)


class Archive:
    """Where exploring has been, and by which actions."""

    def __init__(self) -> None:
        self._ways: list[tuple[Episode, int]] = []  # and how many of its actions lead there
        self._seen: list[Array] = []

    def add(self, episode: Episode, observation: Any) -> None:
        """Keeps where an episode is now."""
        self._ways.append((episode, len(episode.actions)))
        self._seen.append(coarse(observed(observation)).ravel().astype(np.float64))

    def begin(self, rng: np.random.Generator) -> Episode:
        """An episode that goes on from where few have been, or one that begins anew.

        What is repeated is chosen by how far the neighbours are, as PEBBLE's unsupervised
        pre-training rewards it (arXiv:2106.05091, section 4.1), and repeated by its actions, as
        Go-Explore does (arXiv:1901.10995). How long actions are held goes with them: a maze needs
        short holds, and a car that swings itself up a hill long ones.
        """
        considered = rng.permutation(len(self._ways))[:CONSIDERED]
        if len(considered) > NEIGHBOURS and rng.random() < REPEATING:
            apart = _apart(np.stack([self._seen[place] for place in considered])) ** POWER
            if apart.sum() > 0:
                chosen = rng.choice(considered, p=apart / apart.sum())
                episode, count = self._ways[chosen]
                return Episode(episode.actions[:count], episode.longest_hold)
        short = rng.random() < SHORT
        return Episode((), round(LONGEST_HOLD ** rng.random()) if short else LONGEST_HOLD)


def _apart(points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """How far each point (rows, entries) is from its neighbours: (rows,).

    That is the distance of its k-th nearest one, every entry in units of its standard deviation.
    """
    points = _in_deviations(points)
    squares = (points**2).sum(1)
    distances = np.maximum(squares[:, None] + squares - 2 * points @ points.T, 0)
    return np.sqrt(np.partition(distances, NEIGHBOURS, 1)[:, NEIGHBOURS])


def _in_deviations(points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Points (rows, entries), every entry from its mean in units of its standard deviation."""
    deviation = points.std(0)
    return (points - points.mean(0)) / np.where(deviation > STILL, deviation, np.inf)


def weakened(space: Any, action: Any, strength: float) -> Any:
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
    points = _in_deviations(points)
    places = [int(rng.integers(len(points)))]
    distance = np.full(len(points), np.inf)
    while len(places) < count:
        distance = np.minimum(distance, ((points - points[places[-1]]) ** 2).sum(1))
        if not distance.max() > 0:
            break
        places.append(int(distance.argmax()))
    return np.array(places)
