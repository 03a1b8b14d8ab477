"""Answers to pairs as a certificate looks at them: where they came from makes no difference."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from volition.judgment import Order

SURE = 0.01  # nearer to 0 or 1 no probability is taken to be


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer to one pair.

    Attributes:
        pair: Names the pair, whichever way round it is shown.
        order: Whether the pair's first was shown first.
        p_shown_first: Probability that the one shown first is better; 0.5 is a tie.
        first, second: Name what the pair consists of; empty where nobody says.
    """

    pair: str
    order: Order
    p_shown_first: float
    first: str = ""
    second: str = ""

    @property
    def sign(self) -> int:
        """1 where the pair's first was shown first, else -1."""
        return 1 if self.order is Order.FORWARD else -1

    @property
    def p_first(self) -> float:
        """Probability that the pair's first is better."""
        return self.p_shown_first if self.order is Order.FORWARD else 1 - self.p_shown_first

    @property
    def logit(self) -> float:
        """Of `p_shown_first`, within what is taken to be possible."""
        inside = min(max(self.p_shown_first, SURE), 1 - SURE)
        return math.log(inside / (1 - inside))


@dataclass(frozen=True, slots=True)
class BothWays:
    """What a judge said of a pair in either order: the mean of its answers.

    Attributes:
        forward, swapped: Probability that the one shown first is better.
    """

    pair: str
    forward: float
    swapped: float

    @property
    def decided(self) -> bool:
        """Whether it chose in both orders."""
        return self.forward != 0.5 and self.swapped != 0.5

    @property
    def consistent(self) -> bool:
        """Whether it chose the same of the two in both orders."""
        return self.decided and (self.forward > 0.5) is (self.swapped < 0.5)

    @property
    def chose_first(self) -> int:
        """How many of the two times it chose what was shown first."""
        return (self.forward > 0.5) + (self.swapped > 0.5)


def by_pair(answers: Iterable[Answer]) -> dict[str, list[Answer]]:
    """The answers to each pair, in their order."""
    grouped: dict[str, list[Answer]] = {}
    for answer in answers:
        grouped.setdefault(answer.pair, []).append(answer)
    return grouped


def both_ways(answers: Iterable[Answer]) -> list[BothWays]:
    """Every pair that has an answer in either order."""
    ways = []
    for pair, some in by_pair(answers).items():
        forward = [a.p_shown_first for a in some if a.order is Order.FORWARD]
        swapped = [a.p_shown_first for a in some if a.order is Order.SWAPPED]
        if forward and swapped:
            means = sum(forward) / len(forward), sum(swapped) / len(swapped)
            ways.append(BothWays(pair, *means))
    return ways


def order_bias(answers: Sequence[Answer]) -> float:
    """The bias to what is shown first, in logits: what is left of the answers to pairs in both
    orders when what they say of the pair is taken out; 0 where there are none."""
    leaning = []
    for some in by_pair(answers).values():
        forward = [a.logit for a in some if a.order is Order.FORWARD]
        swapped = [a.logit for a in some if a.order is Order.SWAPPED]
        if forward and swapped:
            leaning.append(sum(forward) / len(forward) / 2 + sum(swapped) / len(swapped) / 2)
    return sum(leaning) / len(leaning) if leaning else 0.0


def undone(answers: Sequence[Answer]) -> Mapping[str, float]:
    """For each pair the logit of P(its first is better), with the order bias undone.

    In both orders what is said for the one that is shown first cancels out; of a single order the
    bias of the other pairs is taken off.
    """
    bias, logits = order_bias(answers), {}
    for pair, some in by_pair(answers).items():
        ways = []
        for order in Order:
            said = [a.sign * (a.logit - bias) for a in some if a.order is order]
            if said:
                ways.append(sum(said) / len(said))
        logits[pair] = sum(ways) / len(ways)
    return logits
