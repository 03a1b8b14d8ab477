"""What the policy has visited lately: where questions come from, and what rewards are scaled by."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from volition.learners.rollout import Step

ROWS = 1 << 14  # states kept, of all environments together
BYTES = 1 << 26  # of observations at most: fewer states where they are pictures
POOL = 2048  # passages considered for one wave of questions
RECENT = 0.25  # the share of them that shows what the policy does now

Integers = npt.NDArray[np.int64]


class Passages(NamedTuple):
    """Steps in a row, as they were visited."""

    observations: npt.NDArray[Any]  # (places, steps, *obs_shape)
    states: npt.NDArray[np.float64]  # (places, steps, fields)


class Visited(NamedTuple):
    """A ring of vector steps, as arrays only, so that it goes into a checkpoint.

    Attributes:
        observations: (capacity, envs, *obs_shape), what each step led to.
        states: float64 (capacity, envs, fields), the environments' own states then; no fields where
            they cannot be told.
        ended: bool (capacity, envs), where the episode ended there.
        added: int64 (), vector steps ever added; the next one goes to row `added % capacity`.
    """

    observations: npt.NDArray[Any]
    states: npt.NDArray[np.float64]
    ended: npt.NDArray[np.bool_]
    added: npt.NDArray[np.int64]

    @classmethod
    def empty(cls, observed: npt.NDArray[Any], fields: int, steps: int) -> Visited:
        """Room for a run of `steps` environment steps, or for the last of them.

        `observed`, (envs, *obs_shape), is anything that is observed.
        """
        envs = len(observed)
        fitting = BYTES // max(1, observed[0].nbytes)
        capacity = max(1, min(ROWS, fitting, steps) // envs)
        return cls(
            np.zeros((capacity, *observed.shape), observed.dtype),
            np.zeros((capacity, envs, fields)),
            np.zeros((capacity, envs), np.bool_),
            np.zeros((), np.int64),
        )

    @property
    def stored(self) -> int:
        """Vector steps that are there."""
        return min(int(self.added), len(self.ended))

    def add(self, step: Step) -> None:
        """Puts one vector step into the ring, over the oldest."""
        row = int(self.added) % len(self.ended)
        self.observations[row] = step.transitions.next_observation
        self.ended[row] = step.ended
        if step.states is not None:
            self.states[row] = step.states
        self.added[...] += 1

    def flat(self) -> npt.NDArray[Any]:
        """All observations that are there: (rows, *obs_shape)."""
        kept = self.observations[: self.stored]
        return kept.reshape(-1, *kept.shape[2:])

    def passages(
        self,
        rng: np.random.Generator,
        steps: int,
        count: int = POOL,
        shares: Sequence[float] = (RECENT, 1.0),
    ) -> Passages:
        """At most `count` times `steps` steps in a row, copied; half of them recent.

        `shares` are of what is there, from the end on: as many come out of each.
        """
        rows, envs = self._places(rng, count, steps, shares)
        at = rows, envs[:, None]
        return Passages(self.observations[at], self.states[at])

    def _places(
        self, rng: np.random.Generator, count: int, length: int, shares: Sequence[float]
    ) -> tuple[Integers, Integers]:
        """Rows (places, length) and environments (places,), no place twice."""
        capacity, stored = len(self.ended), self.stored
        ages = np.concatenate(
            [
                rng.integers(max(1, round(share * stored)), size=count // len(shares))
                for share in shares
            ]
        )
        starts = int(self.added) - length - ages
        envs = rng.integers(self.ended.shape[1], size=len(ages))
        there = starts >= int(self.added) - stored
        starts, envs = np.unique(np.stack([starts[there], envs[there]]), axis=1)
        rows = (starts[:, None] + np.arange(length)) % capacity
        whole = ~self.ended[rows[:, :-1], envs[:, None]].any(1)
        return rows[whole], envs[whole]
