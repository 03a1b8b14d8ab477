"""Pairs that cover what an environment can show, before a reward model says what is doubtful."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from itertools import islice
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from volition.comparison import (
    Comparison,
    Frame,
    Observations,
    Pixels,
    Segment,
    State,
    observed,
    reduced,
)
from volition.envs.base import Scene
from volition.envs.scene import draw, find_scene, make_env
from volition.errors import InputError
from volition.questions.distinct import DECIMALS, Look, distinct_pairs
from volition.questions.exploring import LONGEST, acting, coarse, explore, farthest
from volition.questions.filming import filmed_pairs
from volition.questions.seeing import eye, see
from volition.tasks.task import EnvironmentSection
from volition.tasks.view import JudgeView

STEPS_PER_STATE = 25  # taken for each state that is chosen
LEAST_STEPS = 1000
CLIPS_PER_CLIP = 6  # that are cut for each that is chosen
APART = 4  # steps from one drawing of random acting to the next
SHIFTED = 3  # clips begin in the time of one: more would be variations on one


def covering_pairs(
    environment: EnvironmentSection, view: JudgeView, count: int, seed: int
) -> list[tuple[Segment, Segment]]:
    """Pairs that cover what an environment can show, seen as the judge sees it.

    Args:
        environment: Set to states where it can be, and filmed elsewhere.
        view: How the judge sees it.
        count: How many.
        seed: Of the segments.

    Raises:
        EnvironmentUnsupported: The environment fails.
        InputError: Hardly any two can be told apart by what the judge sees.
    """
    rng = np.random.default_rng(seed)
    scene = find_scene(environment)
    if scene is None:
        return filmed_pairs(environment, view, count, rng)
    return covering_segments(environment, scene, view, count, rng)


def covering_comparisons(
    environment: EnvironmentSection, view: JudgeView, goal_id: str, count: int, seed: int
) -> list[Comparison]:
    """The same pairs as comparisons under a goal."""
    pairs = covering_pairs(environment, view, count, seed)
    return [Comparison.between(goal_id, *pair) for pair in pairs]


def covering_segments(
    environment: EnvironmentSection,
    scene: Scene,
    view: JudgeView,
    count: int,
    rng: np.random.Generator,
) -> list[tuple[Segment, Segment]]:
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
    clips = (see(scene, view, clip) for clip in states)
    return distinct_pairs(clips, count, lambda clip: clip.frames, environment.id)


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
        return distinct_pairs(states, count, lambda state: (look(state),), environment.id)
    return coverage_pairs(scene, count, rng, look, environment.id)


def covering_states(
    environment: EnvironmentSection, scene: Scene, batch: int, rng: np.random.Generator
) -> Iterator[State]:
    """States without end that random acting reaches, in shuffled batches that cover them."""
    while True:
        explored = explore(environment, scene, max(LEAST_STEPS, STEPS_PER_STATE * batch), rng)
        for place in rng.permutation(farthest(coarse(explored.observations), batch, rng)):
            values = explored.states[place].round(DECIMALS).tolist()
            yield dict(zip(scene.fields, values, strict=True))


def covering_clips(
    environment: EnvironmentSection,
    scene: Scene,
    length: int,
    batch: int,
    rng: np.random.Generator,
) -> Iterator[npt.NDArray[np.float64]]:
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
        seen = coarse(explored.observations[rows]).reshape(*rows.shape, -1)
        moments = np.concatenate([seen.mean(1), seen.std(1)], 1)
        for place in rng.permutation(farthest(moments, batch, rng)):
            yield explored.states[rows[place]].round(DECIMALS)


class Looks(NamedTuple):
    """Pictures of moments that nobody has judged, and what is observed then.

    Attributes:
        pictures: uint8 (rows, height, width, 3), as the judge would see them, reduced.
        observations: (rows, *obs_shape).
    """

    pictures: Pixels
    observations: Observations


def unjudged_looks(
    environment: EnvironmentSection, view: JudgeView, count: int, seed: int
) -> Looks:
    """So many moments that cover what an environment can show.

    Raises:
        EnvironmentUnsupported: The environment fails.
    """
    rng, scene = np.random.default_rng(seed), find_scene(environment)
    seen: Iterator[tuple[Pixels, Observations]]
    if scene is None:
        seen = _passing_by(environment, count, rng)
    else:
        states = (
            covering_states(environment, scene, count, rng)
            if scene.ranges is None
            else _covering(scene, count, rng)
        )
        seen = ((scene.draw(state), scene.observe(state)) for state in states)
    some = [(reduced(view.frame(drawn).pixels), at) for drawn, at in islice(seen, count)]
    pictures, observations = zip(*some, strict=True)
    return Looks(np.stack(pictures), np.stack(observations))


def _passing_by(
    environment: EnvironmentSection, count: int, rng: np.random.Generator
) -> Iterator[tuple[Pixels, Observations]]:
    """What random acting comes by: drawn, and observed."""
    made = make_env(environment.id, environment.kwargs, render_mode="rgb_array")
    with closing(made) as env:
        env.action_space.seed(int(rng.integers(2**31)))
        steps = enumerate(acting(env, APART * count, rng, LONGEST))
        yield from ((draw(env), observed(at).copy()) for n, (at, _) in steps if n % APART == 0)


class BoundedScene(Protocol):
    """What is needed of a scene to cover it."""

    def draw(self, state: State) -> Pixels:
        """uint8 (height, width, 3)."""
        ...

    @property
    def ranges(self) -> Mapping[str, tuple[float, float]] | None:
        """Lowest and highest value of every field, in the order of the fields, if it has them."""
        ...


def coverage_pairs(
    scene: BoundedScene,
    count: int,
    rng: np.random.Generator,
    look: Look | None = None,
    name: str = "the scene",
) -> list[tuple[State, State]]:
    """Pairs of states that cover the scene's ranges evenly, each seen to differ.

    Args:
        scene: The environment.
        count: How many pairs.
        rng: Of the states, and of who meets whom on which side.
        look: What the judge sees of a state; by default the whole drawing.
        name: Of the environment.

    Raises:
        InputError: Hardly any two states can be told apart by what the judge sees.
    """
    seen: Look = look or (lambda state: Frame(scene.draw(state)))
    states = _covering(scene, 2 * count, rng)
    return distinct_pairs(states, count, lambda state: (seen(state),), name)


def _covering(scene: BoundedScene, batch: int, rng: np.random.Generator) -> Iterator[State]:
    """States without end, in shuffled batches that each cover the ranges evenly.

    Scrambled Halton points (Owen 2017, arXiv:1706.02808). They are shuffled because neighbours lie
    far apart in the same way, and so would the states of a pair.
    """
    from scipy.stats import qmc  # takes half a second: for those who ask

    if scene.ranges is None:
        raise ValueError("a scene without ranges cannot be covered by them: explore it")
    low, high = np.array(list(scene.ranges.values())).T
    points = qmc.Halton(len(low), scramble=True, rng=rng)
    while True:
        for point in rng.permutation(points.random(batch)):
            values = np.round(low + point * (high - low), DECIMALS)
            yield dict(zip(scene.ranges, values.tolist(), strict=True))
