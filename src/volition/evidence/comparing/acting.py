"""Episodes of two policies from the same seeds: what a judge sees of each pair, and its film."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

import numpy as np

from volition.comparison import Array, Segment, spaced
from volition.envs.scene import draw, make_env
from volition.evidence.film import Episode, encode_mp4, panel, side_by_side
from volition.learners.base import Acts
from volition.learners.rollout import AtRandom, Rollout, episodes
from volition.tasks.task import EnvironmentSection
from volition.tasks.view import JudgeView

FIRST_SEED = 30_000  # of the episodes: no training and no other evaluation begins there
FRAMES = 6  # of an episode, where the task's goal shows in single states
FILMED = 90  # drawings of an episode on film


@dataclass(frozen=True, slots=True)
class FilmedPair:
    """What both did from one seed.

    Attributes:
        seed: From which both environments were reset.
        a, b: What the judge sees of each.
        film: H.264 in MP4, A on the left.
    """

    seed: int
    a: Segment
    b: Segment
    film: bytes


def act_pairs(
    policies: Sequence[Acts | None],
    environment: EnvironmentSection,
    view: JudgeView,
    count: int,
    seed: int,
) -> Iterator[FilmedPair]:
    """Acts, and draws what is judged and filmed.

    Args:
        policies: Of A and of B; None is the random policy.
        environment: Where.
        view: How the judge sees a clip of it.
        count: Episodes of each.
        seed: Of the random policy.
    """
    acted = [_episodes(policy, environment, count, seed) for policy in policies]
    for number, pair in enumerate(zip(*acted, strict=True)):
        length = max(FRAMES, *(len(observations) for observations, _ in pair))
        first = FIRST_SEED + number
        moments = _moments(view, length, first)
        seen = [
            _look(environment, view, first, observations, actions, moments, length)
            for observations, actions in pair
        ]
        (a, of_a), (b, of_b) = seen
        yield FilmedPair(first, a, b, encode_mp4(side_by_side([of_a, of_b])))


def _moments(view: JudgeView, length: int, seed: int) -> range:
    """The steps that are judged: as many as a clip has anywhere in the episode, or all of it."""
    assert view.clip is not None
    if view.clip.steps >= length:
        return range(length)
    start = int(np.random.default_rng(seed).integers(length - view.clip.steps + 1))
    return range(start, start + view.clip.steps)


def _episodes(
    policy: Acts | None, environment: EnvironmentSection, count: int, seed: int
) -> list[tuple[Array, Array]]:
    """What is observed after each step, and what was done, of every episode."""
    with closing(Rollout(environment, count)) as rollout:
        acting = AtRandom(rollout, seed) if policy is None else policy
        moments = [*episodes(rollout, acting, FIRST_SEED)]
    reached = np.stack([moment.step.transitions.next_observation for moment in moments])
    actions = np.stack([moment.actions for moment in moments])
    during = np.stack([moment.running for moment in moments])  # (steps, episodes)
    return [(reached[during[:, n], n], actions[during[:, n], n]) for n in range(count)]


def _look(
    environment: EnvironmentSection,
    view: JudgeView,
    seed: int,
    observations: Array,
    actions: Array,
    moments: range,
    length: int,
) -> tuple[Segment, Episode]:
    """Acts an episode again and draws it: what the judge sees of it, and the film.

    What ended early stands still: its last state stands for all that would have come.
    """
    assert view.clip is not None
    last, frames_of = len(actions) - 1, view.clip.frames
    shown = [min(moments[step], last) for step in spaced(len(moments), frames_of)]
    filmed = [min(round(step), last) for step in np.linspace(0, length - 1, min(FILMED, length))]
    frames, panels = {}, {}
    made = make_env(environment.id, environment.kwargs, render_mode="rgb_array")
    with closing(made) as env:
        env.reset(seed=seed)
        for step, action in enumerate(actions):
            env.step(action)
            if step in shown or step in filmed:
                drawing = draw(env)
            if step in shown:
                frames[step] = view.frame(drawing)
            if step in filmed:
                panels[step] = panel(view, drawing)
    held = observations[[min(step, last) for step in moments]]
    episode = Episode("", seed, float("nan"), drawings=[panels[step] for step in filmed])
    return Segment(held, tuple(frames[step] for step in shown)), episode
