"""How far a judge heeds each principle of a goal, and where principles disagree. NumPy alone.

A principle's slope says how its answers go with what all answers together taught: the logit of an
answer is slope x (r(first) - r(second)) + bias x s, with r by the members of the ensemble that
never saw the comparison. 1 is as sure as the answers on average, 0 is chance, and below 0 the
principle asks for the opposite of the others. Nothing is learned from that slope: the reward model
fits one of its own to each principle (`volition.reward.fit`), which never goes below 0, so that a
principle that contradicts the others hardly counts in the reward, and is not turned round.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Annotated, Any

import numpy as np
from pydantic import PlainSerializer, PlainValidator

from volition.comparison import Floats
from volition.judgment import Judgment, Verdict, undo_order
from volition.reward.preferences import AnswerData, PreferenceData, Proportion

TRIED = np.linspace(-4.0, 4.0, 321)
SLOPE_SD = 1.0  # of the prior around 1, the slope of a principle like the others
INTERVAL = 1.959964  # standard deviations: 95%
ENOUGH = 20  # judgments under a principle, before anything is said against it
OPPOSITE = 5  # comparisons judged under two principles, likewise


def _counted(proportion: Proportion) -> dict[str, object]:
    """With its share and its interval; the share is None where nothing was counted."""
    correct, total = proportion
    return {
        "correct": correct,
        "total": total,
        "share": proportion.share if total else None,
        "interval": proportion.interval,
    }


Counted = Annotated[
    Proportion,
    PlainSerializer(_counted),
    PlainValidator(lambda document: Proportion(document["correct"], document["total"])),
]
"""A proportion as JSON documents have it."""


@dataclass(frozen=True, slots=True)
class Heed:
    """How far the judges heed one principle.

    Attributes:
        principle: Its words; empty where judgments were asked under the goal as it is.
        slope: How its answers go with what all answers taught, held out.
        interval: Of the slope, 95%.
        judgments: Under it.
        heldout: How many of its answers, ties left out, the members decided that never saw them.
    """

    principle: str
    slope: float
    interval: tuple[float, float]
    judgments: int
    heldout: Counted


@dataclass(frozen=True, slots=True)
class Alarm:
    """Why a goal may be ambiguous.

    Attributes:
        kind: `contradicts` (a slope below 0), `unheeded` (a slope that cannot be told from 0),
            `opposite` (two principles, the same comparisons, other answers), `veto` (a veto that
            caps nothing, or does so by chance).
        principles: Which.
        reason: One sentence with the counts.
        judgments: That it rests on.
    """

    kind: str
    principles: tuple[str, ...]
    reason: str
    judgments: int


def heeded(data: PreferenceData, unseen: Floats, biases: Mapping[str, float]) -> list[Heed]:
    """How far each principle is heeded; nothing where there is none.

    Args:
        data: All that was judged.
        unseen: Logit of P(first preferred), of each comparison by a model that did not see it.
        biases: Of each judge to what is shown first, in logits.
    """
    if data.principles == (None,):
        return []
    answers = data.answer_data()
    leaning = (
        np.array([biases.get(name, 0.0) for name in data.judges])[answers.judge] * answers.sign
    )
    return [
        _heed(principle or "", answers, unseen, leaning, answers.principle == number)
        for number, principle in enumerate(data.principles)
    ]


def _heed(principle: str, answers: AnswerData, unseen: Floats, leaning: Floats, rows: Any) -> Heed:
    logits = unseen[answers.comparison][rows].astype(np.float64)
    p_first, weight = answers.p_first[rows], answers.weight[rows]
    tried = TRIED[:, None] * logits + leaning[rows]
    losses = (weight * (np.logaddexp(0, tried) - p_first * tried)).sum(1)
    posterior = losses + ((TRIED - 1) / SLOPE_SD) ** 2 / 2
    slope = float(TRIED[posterior.argmin()])
    p = 1 / (1 + np.exp(-(slope * logits + leaning[rows])))
    certainty = (weight * p * (1 - p) * logits**2).sum() + SLOPE_SD**-2
    half = INTERVAL / float(np.sqrt(certainty))
    decided = p_first != 0.5
    agrees = ((logits > 0) == (p_first > 0.5))[decided]
    return Heed(
        principle,
        slope,
        (slope - half, slope + half),
        int(weight.sum()),
        Proportion(int(agrees.sum()), int(decided.sum())),
    )


def alarms(heeds: Sequence[Heed], judgments: Iterable[Judgment]) -> list[Alarm]:
    """What speaks for a goal that is ambiguous."""
    raised = []
    for heed in heeds:
        low, high = heed.interval
        words = f"“{heed.principle}”" if heed.principle else "the goal without a principle"
        foretold = f"{heed.heldout.successes} of {heed.heldout.trials}"
        about = (heed.principle,), heed.judgments
        if heed.judgments < ENOUGH or low > 0 or len(heeds) == 1:
            continue
        if high < 0:
            reason = (
                f"{words} contradicts the other principles: what they teach foretells {foretold} "
                f"of its answers (slope {heed.slope:.2f}). It hardly counts in the reward"
            )
            raised.append(Alarm("contradicts", about[0], reason, about[1]))
        else:
            reason = (
                f"{words} is not heeded, or goes with the others as often as against them: they "
                f"foretell {foretold} of its answers (slope {heed.slope:.2f})"
            )
            raised.append(Alarm("unheeded", about[0], reason, about[1]))
    return [*raised, *_opposites(judgments)]


def _opposites(judgments: Iterable[Judgment]) -> list[Alarm]:
    """Pairs of principles under which the same comparisons were mostly judged the other way."""
    leans_by_comparison: dict[str, dict[str, list[float]]] = {}
    for judgment in judgments:
        if isinstance(judgment.outcome, Verdict):
            of_comparison = leans_by_comparison.setdefault(judgment.comparison_id, {})
            p_first = undo_order(judgment.outcome, judgment.order)
            of_comparison.setdefault(judgment.principle or "", []).append(p_first - 0.5)
    counts: dict[tuple[str, str], tuple[int, int]] = {}
    for by_principle in leans_by_comparison.values():
        sides = {name: np.sign(sum(leans)) for name, leans in sorted(by_principle.items())}
        for (one, first), (other, second) in combinations(sides.items(), 2):
            if first and second:
                opposite, both = counts.get((one, other), (0, 0))
                counts[one, other] = opposite + (first != second), both + 1
    return [
        Alarm(
            "opposite",
            pair,
            f"“{pair[0]}” and “{pair[1]}” were answered the opposite way in {opposite} of the "
            f"{both} comparisons that were judged under both",
            both,
        )
        for pair, (opposite, both) in counts.items()
        if both >= OPPOSITE and 2 * opposite > both
    ]
