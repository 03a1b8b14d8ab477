"""What is known of a task, as a value."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from volition.comparison import Array, Observations, Segment

Measure = Callable[[Observations], float]
Potential = Callable[[Observations], float]
GOAL_SHARE = 1 / 3  # of what is judged under a rule that does not stand alone


@dataclass(frozen=True, slots=True)
class Rule:
    """A sentence that somebody may judge by, and what is true of a segment under it.

    Attributes:
        text: The sentence.
        value: How well a segment keeps to it, from 0 to 1.
        ideas: How many things it says.
        veto: Whether it says what may not be, and not what is better.
    """

    text: str
    value: Callable[[Segment], float]
    ideas: int = 1
    veto: bool = False

    @classmethod
    def of_each(
        cls, text: str, of: Callable[[Segment], Array], ideas: int = 1, veto: bool = False
    ) -> Rule:
        """One whose value is the mean over a segment's states."""
        return cls(text, lambda segment: float(np.mean(of(segment))), ideas, veto)


@dataclass(frozen=True, slots=True)
class Truth:
    """What is true of one task.

    Attributes:
        potential: How well a segment (T, obs_dim) represents the goal, from 0 to 1.
        seen: The observation entries that a frame shows.
        measures: Numbers of one episode, from what was observed after each of its steps (steps,
            obs_dim), each with its unit in its name where it has one.
        principles: The potential under a principle, by its words; under any other it is the goal's.
        rules: Likewise under sentences that may be said of the task's environment.
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
    rules: Mapping[str, Rule] = field(default_factory=dict)

    def of(
        self,
        segment: Segment,
        principle: str | None,
        alone: bool = False,
        together: Sequence[str] = (),
    ) -> float:
        """The potential of a segment under a principle, or of the goal where there is none.

        Of the `rules`, one that does not stand alone is put together with the goal, which decides
        where it says nothing.

        Args:
            segment: Of which it is.
            principle: Under which.
            alone: Whether it stands alone, as a veto does.
            together: What else the goal says, as of `whole`; looked at where there is no principle.
        """
        observed = segment.observations
        if not principle:
            kept = [self.rules[text].value(segment) for text in together if self._is_rule(text)]
            known = 1 + sum(text in self.principles for text in together)
            return (known * self.whole(together)(observed) + sum(kept)) / (known + len(kept))
        if not self._is_rule(principle):
            return self.under(principle)(observed)
        value = self.rules[principle].value(segment)
        return value if alone else (1 - GOAL_SHARE) * value + GOAL_SHARE * self.potential(observed)

    def _is_rule(self, text: str) -> bool:
        return text in self.rules and text not in self.principles

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
