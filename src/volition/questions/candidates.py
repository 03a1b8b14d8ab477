"""What a policy has visited as candidates for questions; the chosen ones are drawn, no others."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from volition.comparison import Comparison, Floats, Segment, Shown, shown_together
from volition.envs.base import Scene
from volition.questions import Querying
from volition.questions.choosing import chosen_pairs
from volition.questions.distinct import DECIMALS, look_different
from volition.questions.seeing import States, see
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
    def drawn(
        cls, observations: npt.NDArray[Any], states: States, scene: Scene, view: JudgeView
    ) -> Candidates:
        """What was visited, of which a segment is drawn when it is looked at.

        Args:
            observations: (segments, T, *obs_shape).
            states: float64 (segments, T, fields), of the same steps.
            scene: Draws them.
            view: How the judge sees it.
        """

        @cache
        def segment(place: int) -> Segment:
            return see(scene, view, np.round(states[place], DECIMALS))

        return cls(observations, segment)

    @classmethod
    def filmed(cls, segments: Sequence[Segment]) -> Candidates:
        """What was filmed on the way."""
        observations = [segment.observations for segment in segments]
        return cls(
            np.stack(observations) if segments else np.zeros((0, 1, 1)), segments.__getitem__
        )


def chosen_comparisons(
    candidates: Candidates,
    opinions: Callable[[npt.NDArray[Any]], tuple[Floats, Floats]],
    goal_id: str,
    shown_before: Container[Shown],
    count: int,
    rng: np.random.Generator,
    querying: Querying = "information",
) -> list[Comparison]:
    """The comparisons most worth paying for; fewer than `count` where no more look different.

    Args:
        candidates: What may be compared.
        opinions: Of segments (segments, T, *obs_shape): what each member of the reward model says
            of them in logits (members, segments), and their reward (segments,).
        goal_id: Under which goal.
        shown_before: Pictures that are not to be shown together again.
        count: How many.
        rng: Of the pairs that are considered.
        querying: How they are chosen.
    """
    if len(candidates.observations) < 2:
        return []

    shown_now: set[Shown] = set()

    def worth(one: int, other: int) -> bool:
        frames = candidates.segment(one).frames, candidates.segment(other).frames
        pictures = shown_together(*frames)
        if pictures in shown_now or pictures in shown_before or not look_different(*frames):
            return False
        shown_now.add(pictures)  # what is worth asking is asked
        return True

    values, reward = opinions(candidates.observations)
    pairs = chosen_pairs(values, reward, count, rng, worth, querying)
    return [
        Comparison.between(goal_id, candidates.segment(one), candidates.segment(other))
        for one, other in pairs
    ]
