"""What a policy has visited as candidates for questions; the chosen ones are drawn, no others."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from volition.comparison import Comparison, Segment
from volition.envs.base import Scene
from volition.learners.visited import POOL, Passages
from volition.questions.choosing import Floats, chosen_pairs
from volition.questions.distinct import DECIMALS, look_different
from volition.questions.seeing import see
from volition.reward.model import RewardModel
from volition.run.folder import Querying
from volition.tasks.view import JudgeView


@dataclass(frozen=True, slots=True)
class Candidates:
    """Segments that may be asked about.

    Attributes:
        observations: (segments, T, *obs_shape).
        segment: The segment at a place, with its frames.
    """

    observations: npt.NDArray[Any]
    segment: Callable[[int], Segment]

    @classmethod
    def drawn(cls, passages: Passages, scene: Scene, view: JudgeView) -> Candidates:
        """What was visited, of which a segment is drawn when it is looked at."""

        @cache
        def segment(place: int) -> Segment:
            return see(scene, view, np.round(passages.states[place], DECIMALS))

        return cls(passages.observations, segment)

    @classmethod
    def filmed(cls, segments: Sequence[Segment]) -> Candidates:
        """What was filmed on the way."""
        observations = [segment.observations for segment in segments]
        return cls(
            np.stack(observations) if segments else np.zeros((0, 1, 1)), segments.__getitem__
        )


def choose(
    candidates: Candidates,
    model: RewardModel,
    goal_id: str,
    asked: Container[str],
    count: int,
    rng: np.random.Generator,
    querying: Querying = "information",
) -> list[Comparison]:
    """The comparisons most worth paying for; fewer than `count` where no more look different.

    Args:
        candidates: What may be compared.
        model: The reward model whose doubt is asked about.
        goal_id: Under which goal.
        asked: Ids of comparisons that are not to be asked again.
        count: How many.
        rng: Of the pairs that are considered.
        querying: How they are chosen.
    """
    if len(candidates.observations) < 2:
        return []

    def between(one: int, other: int) -> Comparison:
        return Comparison.between(goal_id, candidates.segment(one), candidates.segment(other))

    def worth(one: int, other: int) -> bool:
        frames = candidates.segment(one).frames, candidates.segment(other).frames
        return look_different(*frames) and between(one, other).id not in asked

    values, reward = _opinions(model, candidates.observations)
    pairs = chosen_pairs(values, reward, count, rng, worth, querying)
    return [between(one, other) for one, other in pairs]


def _opinions(model: RewardModel, observations: npt.NDArray[Any]) -> tuple[Floats, Floats]:
    """What each member says of each segment, in logits (members, segments), and its reward."""
    count = len(observations)
    places = np.arange(-(-count // POOL) * POOL) % count
    said = [
        _said(model, jnp.asarray(observations[places[start : start + POOL]]))
        for start in range(0, len(places), POOL)
    ]
    values, reward = (
        np.concatenate([np.asarray(each) for each in part], -1) for part in zip(*said, strict=True)
    )
    return values[:, :count], reward[:count]


@jax.jit
def _said(model: RewardModel, observations: jax.Array) -> tuple[jax.Array, jax.Array]:
    return model.members(observations).mean(-1), model(observations).mean(-1)
