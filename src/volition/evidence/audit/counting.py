"""What an audit says of a judge: its accuracy, with an interval that knows how it was drawn.

A stratum of which twice as much was drawn counts half as much. The share of answers that people
confirm, among those that people decide, is a ratio of two totals, whose variance in a stratified
sample is that of Cochran (Sampling Techniques, 1977, chapter 6). It gives the size that a simple
random sample of the same precision would have, and the interval is Wilson's (1927) with that size
(Franco et al., Journal of Survey Statistics and Methodology, 2019).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from volition.evidence.audit.sampling import Drawn, Sample
from volition.reward.preferences import Proportion, wilson

Question = tuple[str, str | None]


class Looked(NamedTuple):
    """An answer of the judge that people looked at.

    Attributes:
        p_people: Mean of what they said, in the order of the comparison; None where all of them
            passed it over.
    """

    drawn: Drawn
    p_people: float | None

    @property
    def decided(self) -> bool:
        return self.p_people is not None and self.p_people != 0.5

    @property
    def confirmed(self) -> bool:
        return self.decided and ((self.p_people or 0.0) > 0.5) == (self.drawn.p_judge > 0.5)


class StratumCount(NamedTuple):
    """A stratum, how many there are, and how many of those that people decided they confirmed."""

    name: str
    size: int
    looked_at: int
    confirmed: Proportion


@dataclass(frozen=True, slots=True)
class Audit:
    """What came of an audit.

    Attributes:
        judge: Whose answers.
        answers: How many the sample stands for.
        drawn: How many people are to look at.
        looked_at: How many they did.
        decided: Of those, how many they preferred a side of.
        accuracy: Share of the judge's answers that people would confirm, of those that they would
            decide; None before there is one.
        interval: Of that, 95%.
        effective: The size of a simple random sample that would say it as precisely.
        strata: One by one.
    """

    judge: str
    answers: int
    drawn: int
    looked_at: int
    decided: int
    accuracy: float | None
    interval: tuple[float, float]
    effective: float
    strata: tuple[StratumCount, ...]


def count(sample: Sample, said: Mapping[Question, float | None]) -> Audit:
    """What people's answers say of the judge's.

    Args:
        sample: Which of its answers were to be looked at.
        said: What people said, by question, in the order of the comparison: the mean of their
            probabilities, or None where all of them passed it over.
    """
    looked = [
        Looked(drawn, said[drawn.comparison_id, drawn.principle])
        for drawn in sample.drawn
        if (drawn.comparison_id, drawn.principle) in said
    ]
    inside = [
        [one for one in looked if one.drawn.stratum == place] for place in range(len(sample.strata))
    ]
    strata = tuple(
        StratumCount(
            stratum.name,
            stratum.size,
            len(some),
            Proportion(sum(o.confirmed for o in some), sum(o.decided for o in some)),
        )
        for stratum, some in zip(sample.strata, inside, strict=True)
    )
    share, effective = estimate(strata)
    return Audit(
        sample.judge,
        sample.size,
        len(sample.drawn),
        len(looked),
        sum(stratum.confirmed.trials for stratum in strata),
        share,
        (0.0, 1.0) if share is None else wilson(share, effective),
        effective,
        strata,
    )


def estimate(strata: Sequence[StratumCount]) -> tuple[float | None, float]:
    """The share that is confirmed of what is decided, and the effective size of the sample.

    Strata of which nothing was looked at are left out: they are no part of what is estimated.
    """
    seen = [stratum for stratum in strata if stratum.looked_at]
    weight = {s.name: s.size / s.looked_at for s in seen}
    decided = sum(weight[s.name] * s.confirmed.trials for s in seen)
    if not decided:
        return None, 0.0
    share = sum(weight[s.name] * s.confirmed.successes for s in seen) / decided
    variance = sum(_variance(s, share) for s in seen) / decided**2
    trials = sum(s.confirmed.trials for s in seen)
    unseen = 1 - sum(s.looked_at for s in seen) / sum(s.size for s in seen)
    if not unseen:
        return share, math.inf
    if 0 < share < 1:
        # Never more than there are: strata in which nothing differed hide their variance.
        return share, min(share * (1 - share) / variance if variance else math.inf, trials / unseen)
    squares = sum(weight[s.name] ** 2 * s.confirmed.trials for s in seen)
    return share, decided**2 / squares / unseen


def _variance(stratum: StratumCount, share: float) -> float:
    """Of the total of residuals, confirmed - share of what is decided, in a stratum."""
    number = stratum.looked_at
    right, wrong = (
        stratum.confirmed.successes,
        stratum.confirmed.trials - stratum.confirmed.successes,
    )
    total = right * (1 - share) - wrong * share
    squares = right * (1 - share) ** 2 + wrong * share**2
    spread = (squares - total**2 / number) / (number - 1) if number > 1 else squares
    return stratum.size**2 * (1 - number / stratum.size) * spread / number
