"""What a policy has visited as candidates for questions; the chosen ones are drawn, no others."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from functools import cache
from typing import Any

import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from volition.querying import DECIMALS, chosen_pairs, look_different
from volition.reward import RewardModel
from volition.run_folder import Querying
from volition.seeing import see
from volition.segment import Comparison, Segment
from volition.task import JudgeView, Scene
from volition.visited import Visited

POOL = 2048  # segments considered for one wave of questions


@dataclass(frozen=True, slots=True)
class Candidates:
    """Segments that may be asked about.

    Attributes:
        observations: (segments, T, *obs_shape).
        states: float64 (segments, T, fields), the environment's own.
    """

    observations: npt.NDArray[Any]
    states: npt.NDArray[np.float64]

    @classmethod
    def of(
        cls, visited: Visited, steps: int, rng: np.random.Generator, count: int = POOL
    ) -> Candidates:
        """At most `count` segments of `steps` steps of what was visited, half of it recently."""
        rows, envs = visited.draw(rng, count, steps)
        return cls(visited.observations[rows, envs[:, None]], visited.states[rows, envs[:, None]])


def choose(
    candidates: Candidates, model: RewardModel, scene: Scene, view: JudgeView,
    goal_id: str, asked: Container[str], count: int, rng: np.random.Generator,
    querying: Querying = "information",
) -> list[Comparison]:  # fmt: skip
    """The comparisons most worth paying for; fewer than `count` where no more look different.

    Args:
        candidates: What may be compared.
        model: The reward model whose doubt is asked about.
        scene: Draws what is chosen.
        view: What the judge is shown of a drawing.
        goal_id: Under which goal.
        asked: Ids of comparisons that are not to be asked again.
        count: How many.
        rng: Of the pairs that are considered.
        querying: How they are chosen.
    """
    if len(candidates.observations) < 2:
        return []

    @cache
    def at(place: int) -> Segment:
        return see(scene, view, np.round(candidates.states[place], DECIMALS))

    def worth(one: int, other: int) -> bool:
        if not look_different(at(one).frames, at(other).frames):
            return False
        return Comparison.between(goal_id, at(one), at(other)).id not in asked

    observations = jnp.asarray(candidates.observations)
    values = np.asarray(model.members(observations).mean(-1))  # (members, segments)
    reward = np.asarray(model(observations).mean(-1))
    pairs = chosen_pairs(values, reward, count, rng, worth, querying)
    return [Comparison.between(goal_id, at(one), at(other)) for one, other in pairs]
