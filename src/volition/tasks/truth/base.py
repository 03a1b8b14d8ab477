"""What is known of a task, as a value."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from volition.comparison import Array, Observations

Measure = Callable[[Observations], float]
Potential = Callable[[Observations], float]


@dataclass(frozen=True, slots=True)
class Truth:
    """What is true of one task.

    Attributes:
        potential: How well a segment (T, obs_dim) represents the goal, from 0 to 1.
        seen: The observation entries that a frame shows.
        measures: Numbers of one episode, from what was observed after each of its steps (steps,
            obs_dim), each with its unit in its name where it has one.
        principles: The potential under a principle, by its words; under any other it is the goal's.
        moves: Whether it is about how something moves, so that it takes clips to judge it.
        scale: Of each entry in `seen`, how far it ranges from its middle; left out, 1 for all. A
            simulated judge's eye errs alike over about half of that.
    """

    potential: Potential
    seen: tuple[int, ...]
    measures: Mapping[str, Measure] = field(default_factory=dict)
    scale: tuple[float, ...] = ()
    principles: Mapping[str, Potential] = field(default_factory=dict)
    moves: bool = False

    def under(self, principle: str | None) -> Potential:
        """How well a segment keeps to a principle, or represents the goal where there is none."""
        return self.principles.get(principle or "", self.potential)

    def whole(self, principles: Sequence[str]) -> Potential:
        """How well a segment represents the goal and keeps to these, all weighed alike.

        A principle of which nothing is known says nothing.
        """
        known = [self.principles[text] for text in principles if text in self.principles]
        if not known:
            return self.potential
        parts = [self.potential, *known]
        return lambda observed: sum(part(observed) for part in parts) / len(parts)


@dataclass(frozen=True, slots=True)
class of_state:  # noqa: N801 (it is used as a function)
    """The potential of a segment by its states' (T, obs_dim) to (T,): their mean."""

    of_each: Callable[[Observations], Array]

    def __call__(self, observations: Observations) -> float:
        return float(np.mean(self.of_each(observations)))


def magnitude(values: Array, rounded: float = 0.05) -> Array:
    """Like the absolute value, and smooth at zero."""
    return np.sqrt(values**2 + rounded**2) - rounded
