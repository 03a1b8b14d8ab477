"""A guarantee from a few labels: of the answers that are accepted, at most alpha are wrong.

The surest answers are accepted, the order bias undone, down to a threshold that a few labelled
pairs allow. Thresholds are tested from the strictest on, and the first that fails ends it (fixed
sequence, Angelopoulos et al., Learn then Test, arXiv:2110.01052): of n accepted pairs with a label
k may be wrong only if so few would come with a probability of at most 1 - confidence were more
than alpha of the m accepted pairs without a label wrong, the labelled ones being drawn at random
among all (exact, hypergeometric), and likewise for an endless number of pairs (binomial). So with
that confidence over the choice of labels at most alpha of the others are wrong. SCOPE
(arXiv:2602.13110) holds alpha in the mean over such choices, which accepts more, and breaks it
about every second time.

It holds for pairs like those that were labelled, drawn at random from what was answered. What a
policy visits later is something else: renew it there.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from volition.certifying.answers import Answer, undone
from volition.certifying.counting import Doubles, Estimate, Share
from volition.reward.examining import at_most
from volition.reward.preferences import Proportion

CONFIDENCE = 0.95
ALLOWED = 2  # wrong labels that the first threshold allows, where there are labels enough for it
STEPS = 40  # thresholds, evenly over what is accepted
NORMAL = 1.959964
FEW = 5  # right or wrong labels, below which no normal interval is believed


@dataclass(frozen=True, slots=True)
class Guarantee:
    """What is promised.

    Attributes:
        stage: Of training, of which the pairs are; empty where nobody says.
        alpha: At most so many of the accepted are wrong.
        confidence: With which that is promised.
        labels: That it rests on.
        threshold: The surest answers from this logit on are accepted; None where none are.
        accepted: Of all pairs.
        wrong: Of the accepted ones with a label.
        why: Where nothing is accepted, what that would take.
    """

    stage: str
    alpha: float
    confidence: float
    labels: int
    threshold: float | None
    accepted: Share
    wrong: Share
    why: str = ""


@dataclass(frozen=True, slots=True)
class Corrected:
    """How often the judge is right, its order bias undone, by few labels and all its answers.

    Attributes:
        labelled: Of the pairs with a label, those that it chose rightly.
        share: Corrected by how sure it was of the others (prediction-powered inference:
            Angelopoulos et al., arXiv:2301.09633 and 2311.01453); with few errors that of the
            labels alone, with its Wilson interval.
        powered: Whether it is corrected.
    """

    labelled: Share
    share: Estimate
    powered: bool


@dataclass(frozen=True, slots=True)
class Promised:
    """What is accepted under a guarantee, and what is to be asked again.

    Attributes:
        accepted: For each accepted pair, whether its first is better.
        again: The other pairs, the least sure first.
    """

    guarantee: Guarantee
    accepted: Mapping[str, bool]
    again: tuple[str, ...]


def fewest_labels(alpha: float, wrong: int = 0, confidence: float = CONFIDENCE) -> int:
    """How many accepted labels it takes to promise alpha where so many of them are wrong."""
    count = max(wrong, math.floor(math.log(1 - confidence) / math.log1p(-alpha)))
    while at_most(wrong, count, alpha) > 1 - confidence:
        count += 1
    return count


def promise(
    answers: Sequence[Answer],
    labels: Mapping[str, float],
    alpha: float,
    stage: str = "",
    confidence: float = CONFIDENCE,
) -> Promised:
    """Which answers may be accepted.

    Args:
        answers: Of the judge, in one or both orders.
        labels: For each labelled pair the probability that its first is better; 0.5 is left out.
        alpha: At most so many of the accepted are to be wrong.
        stage: Of training, for whoever reads it.
        confidence: Of the promise.

    Raises:
        ValueError: Alpha or the confidence is no share.
    """
    for name, share in (("alpha", alpha), ("confidence", confidence)):
        if not 0 < share < 1:
            raise ValueError(f"{name} is a share between 0 and 1, not {share}")
    logits = undone(answers)
    known = [pair for pair in logits if labels.get(pair, 0.5) != 0.5]
    scores = np.array([abs(logit) for logit in logits.values()])
    sure = np.array([abs(logits[pair]) for pair in known])
    wrong = np.array([(logits[pair] > 0) != (labels[pair] > 0.5) for pair in known], bool)
    threshold = find_threshold(scores, sure, wrong, alpha, confidence)
    keep = {p: v > 0 for p, v in logits.items() if threshold is not None and abs(v) >= threshold}
    inside = sure >= (math.inf if threshold is None else threshold)
    least = fewest_labels(alpha, confidence=confidence)
    why = ""
    if threshold is None:
        why = (
            f"{len(known)} labels are too few: it takes {least} at least, all of them right"
            if len(known) < least
            else f"too many of the surest answers with a label are wrong for {alpha:g}"
        )
    made = Guarantee(
        stage,
        alpha,
        confidence,
        len(known),
        threshold,
        Share.of(len(keep), len(logits)),
        Share.of(int(wrong[inside].sum()), int(inside.sum())),
        why,
    )
    again = sorted((p for p in logits if p not in keep), key=lambda p: (abs(logits[p]), p))
    return Promised(made, keep, tuple(again))


def find_threshold(
    scores: Doubles, sure: Doubles, wrong: np.ndarray, alpha: float, confidence: float
) -> float | None:
    """The lowest score from which on all is accepted; None where nothing may be.

    Args:
        scores: How sure each answer is, labelled or not: (pairs,). An answer of 0 decides nothing.
        sure: Likewise of those with a label: (labels,).
        wrong: Which of these are: (labels,).
        alpha, confidence: As of `promise`.
    """
    decided = np.sort(scores[scores > 0])
    if not len(decided):
        return None
    thresholds = np.unique(np.quantile(decided, np.linspace(0, 1, STEPS + 1), method="lower"))
    labelled = [int((sure >= threshold).sum()) for threshold in thresholds]
    others = [int((scores >= t).sum()) - n for t, n in zip(thresholds, labelled, strict=True)]
    first = _first_test(labelled, others, alpha, 1 - confidence)
    passed = None
    for place in range(first, -1, -1):
        errors = int(wrong[sure >= thresholds[place]].sum())
        if chance(errors, labelled[place], others[place], alpha) > 1 - confidence:
            break
        passed = float(thresholds[place])
    return passed


def _first_test(labelled: Sequence[int], others: Sequence[int], alpha: float, level: float) -> int:
    """The place of the strictest threshold that allows `ALLOWED` wrong labels; where none does, one
    that allows fewer. No label is looked at for it; -1 where none can be passed."""
    for wrong in range(ALLOWED, -1, -1):
        for place in range(len(labelled) - 1, -1, -1):
            if labelled[place] and chance(wrong, labelled[place], others[place], alpha) <= level:
                return place
    return -1


def chance(wrong: int, labelled: int, others: int, alpha: float) -> float:
    """At most how likely so few wrong labels are where more than alpha of the others are wrong.

    Args:
        wrong: Of the labelled.
        labelled: Accepted pairs with a label, drawn at random among the accepted.
        others: Accepted pairs without one; of an endless number of them, likewise, it holds too.
        alpha: Share.
    """
    endless = at_most(wrong, labelled, alpha) if labelled else 1.0
    errors = wrong + math.floor(alpha * others) + 1  # at least, of all, if too many are wrong
    pairs = labelled + others
    if errors - wrong > others:  # so many of the others cannot be wrong
        return endless
    ways = [
        _log_ways(errors, x) + _log_ways(pairs - errors, labelled - x)
        for x in range(min(wrong, labelled) + 1)
        if labelled - x <= pairs - errors
    ]
    drawn = sum(math.exp(way - _log_ways(pairs, labelled)) for way in ways)
    return min(1.0, max(endless, drawn))


def _log_ways(of: int, some: int) -> float:
    """Logarithm of in how many ways some of them can be taken."""
    return math.lgamma(of + 1) - math.lgamma(some + 1) - math.lgamma(of - some + 1)


def correct(answers: Sequence[Answer], labels: Mapping[str, float]) -> Corrected | None:
    """How often the judge is right; None without a label."""
    logits = undone(answers)
    known = [pair for pair in logits if labels.get(pair, 0.5) != 0.5]
    if not known:
        return None
    right = np.array([_right(logits[pair], labels[pair]) for pair in known])
    sure = {pair: 1 / (1 + math.exp(-abs(logit))) for pair, logit in logits.items()}
    ours = np.array([sure[pair] for pair in known])
    others = np.array([p for pair, p in sure.items() if labels.get(pair, 0.5) == 0.5])
    labelled = Share.of(round(float(right.sum())), len(right))
    if min(right.sum(), (1 - right).sum()) < FEW or len(others) < FEW or ours.std() == 0:
        low, high = Proportion(*(labelled.successes, labelled.trials)).interval
        return Corrected(labelled, Estimate(labelled.share, low, high), powered=False)
    # The share of the prediction that is believed: the one of least variance.
    spread = np.cov(right, ours)
    weight = spread[0, 1] / (spread[1, 1] * (1 + len(ours) / len(others)))
    share = right.mean() + weight * (others.mean() - ours.mean())
    variance = (right - weight * ours).var(ddof=1) / len(ours)
    variance += weight**2 * others.var(ddof=1) / len(others)
    half = NORMAL * math.sqrt(variance)
    estimate = Estimate(float(share), max(0.0, float(share - half)), min(1.0, float(share + half)))
    return Corrected(labelled, estimate, powered=True)


def _right(logit: float, label: float) -> float:
    """1 where the choice is the label's, 0 where it is the other; what decides nothing is half."""
    return 0.5 if logit == 0 else float((logit > 0) == (label > 0.5))
