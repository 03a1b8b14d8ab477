"""What an environment looks like: a few drawings of what can happen in it, and how it moves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import numpy as np
import numpy.typing as npt

from volition.comparison import Pixels
from volition.envs.base import Scene
from volition.envs.scene import draw, find_scene, make_env
from volition.questions.distinct import DECIMALS
from volition.questions.exploring import LONGEST, acting
from volition.tasks.task import EnvironmentSection

DRAWN = 24  # drawings of what can happen
APART = 8  # steps of random acting from one to the next
EPISODES = 4  # that are filmed to see how fast the picture changes
MOMENTS = (0, 1, 2, 4, 8, 16, 32, 64, 96)  # of each, in steps from its first
SEED = 0  # what is found is the same in every run


def drawings(environment: EnvironmentSection) -> npt.NDArray[np.uint8]:
    """What can happen in an environment, uint8 (drawings, height, width, 3).

    States spread over its scene's ranges, where it has them; else moments of random acting.

    Raises:
        EnvironmentUnsupported: It fails, or cannot be drawn.
    """
    rng = np.random.default_rng(SEED)
    scene = find_scene(environment)
    if scene is not None and scene.ranges is not None:
        return np.stack(list(_over_ranges(scene, rng)))
    acted = _acted(environment, DRAWN * APART, LONGEST, rng)
    seen = [draw(env) for n, (env, _) in enumerate(acted, start=1) if n % APART == 0]
    return np.stack(seen)[rng.permutation(DRAWN)]  # so that each and the next are far apart in time


def moving(environment: EnvironmentSection) -> tuple[list[dict[int, Pixels]], list[int]]:
    """Episodes of random acting, of each its drawings by the step, and the lengths of those that
    ended.

    Raises:
        EnvironmentUnsupported: It fails, or cannot be drawn.
    """
    rng = np.random.default_rng(SEED)
    longest = MOMENTS[-1] + 1
    episodes: list[dict[int, Pixels]] = []
    lengths: list[int] = []
    for env, started in _acted(environment, EPISODES * longest, longest, rng):
        if started and len(episodes) == EPISODES:
            break
        if started:
            episodes.append({})
            lengths.append(0)
        if lengths[-1] in MOMENTS:
            episodes[-1][lengths[-1]] = draw(env)
        lengths[-1] += 1
    return episodes, lengths


def _over_ranges(scene: Scene, rng: np.random.Generator) -> Iterator[Pixels]:
    """Drawings in which every field goes evenly from its lowest value to its highest, in an order
    of its own: a Latin hypercube (McKay, Beckman and Conover 1979)."""
    assert scene.ranges is not None
    low, high = np.array(list(scene.ranges.values())).T
    states = rng.permuted(np.linspace(low, high, DRAWN), axis=0).round(DECIMALS)
    for values in states.tolist():
        yield scene.draw(dict(zip(scene.ranges, values, strict=True)))


def _acted(
    environment: EnvironmentSection, steps: int, longest: int, rng: np.random.Generator
) -> Iterator[tuple[Any, bool]]:
    """An environment after each step of random acting, and whether an episode began with it."""
    made = make_env(environment.id, environment.kwargs, render_mode="rgb_array")
    with closing(made) as env:
        env.action_space.seed(int(rng.integers(2**31)))
        for _, started in acting(env, steps, rng, longest):
            yield env, started
