"""The judge's answers, one pair at a time and all together, beside what the reward model says."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple, TypeVar

import numpy as np

from volition.comparison import Comparison, Segment, spaced
from volition.evidence.report.landscapes import CIRCLES, meant_upright
from volition.evidence.report.reading import Evidence
from volition.judgment import Failure, Judgment, Order, Preference
from volition.reward.preferences import Proportion

T = TypeVar("T")

PAIRS = 400  # that a page shows at most
OF_A_KIND = 50  # that are sure to be among them
DOTS = 2000  # judged states that a figure shows at most


@dataclass(frozen=True, slots=True)
class Answer:
    """One judgment of a pair.

    Attributes:
        choice: A or B (the sides of the pair as it was first shown), tie, or what failed.
        p_a: The judge's probability of A; None for a failure.
        swapped: Whether the sides were the other way round from the first time.
        raw: The judge's reply, as it came.
    """

    choice: str
    p_a: float | None
    swapped: bool
    raw: str


@dataclass(frozen=True, slots=True)
class Pair:
    """A comparison as the judge met it first: A was shown first, B second.

    Attributes:
        label: The pair's number in the recording, or its place among all pairs.
        p_a: The judge's probability of A, over all its answers; None where all failed.
        model_p_a: The reward model's probability of A.
        principle: Under which it was first asked, if any.
    """

    label: str
    comparison_id: str
    a: Segment
    b: Segment
    answers: tuple[Answer, ...]
    p_a: float | None
    model_p_a: float
    principle: str | None = None

    @property
    def chosen(self) -> str:
        """A, B, tie, or failure."""
        return "failure" if self.p_a is None else side(self.p_a)

    @property
    def model_chosen(self) -> str:
        return "A" if self.model_p_a > 0.5 else "B"

    @property
    def disagrees(self) -> bool:
        """Whether the reward model prefers the side that the judge did not."""
        return self.chosen in ("A", "B") and self.chosen != self.model_chosen

    @property
    def repeated(self) -> bool:
        return len(self.answers) > 1

    @property
    def kinds(self) -> list[str]:
        """By what a person may look for it."""
        kinds = {
            "disagrees": self.disagrees,
            "unsure": 0.25 < self.model_p_a < 0.75,
            "tie": self.chosen == "tie",
            "repeated": self.repeated,
            "failure": self.chosen == "failure",
        }
        return ["all", *(kind for kind, fits in kinds.items() if fits)]


def side(p_a: float) -> str:
    """The answer that a probability of A stands for."""
    return "tie" if p_a == 0.5 else "A" if p_a > 0.5 else "B"


def read_pairs(evidence: Evidence) -> list[Pair]:
    """Every judged comparison, in the order of its first judgment."""
    judged: dict[str, list[Judgment]] = {}
    for judgment in evidence.judgments:
        judged.setdefault(judgment.comparison_id, []).append(judgment)
    return [
        _pair(
            number,
            evidence.comparisons[comparison_id],
            judgments,
            evidence.preferences.get(comparison_id),
            evidence.p_first(
                evidence.comparisons[comparison_id], judgments[0].principle, judgments[0].order
            ),
        )
        for number, (comparison_id, judgments) in enumerate(judged.items(), start=1)
    ]


def sample(pairs: Sequence[Pair]) -> list[Pair]:
    """All pairs; where they are too many for a page, some of every kind. Those that are shown of a
    kind are spread evenly over it, in the order in which they were judged."""
    places: dict[str, list[int]] = {}
    for place, pair in enumerate(pairs):
        for kind in pair.kinds:
            places.setdefault(kind, []).append(place)
    of_all = places.pop("all", [])
    chosen = {place for of_kind in places.values() for place in _spread(of_kind, OF_A_KIND)}
    others = [place for place in of_all if place not in chosen]
    chosen.update(_spread(others, PAIRS - len(chosen)))
    return [pairs[place] for place in sorted(chosen)]


def _spread(places: Sequence[T], most: int) -> list[T]:
    """At most so many of them, evenly spread."""
    return [places[n] for n in spaced(len(places), most)] if len(places) > most else [*places]


def judged_states(evidence: Evidence) -> dict[str, Segment]:
    """Judged segments by id: as many as a figure can show."""
    return dict(_spread([*evidence.segments.items()], DOTS))


def _pair(
    number: int,
    comparison: Comparison,
    judgments: Sequence[Judgment],
    preference: Preference | None,
    model_p_first: float,
) -> Pair:
    order = judgments[0].order
    forward = order is Order.FORWARD
    sides = (comparison.first, comparison.second)
    p_first = None if preference is None else preference.p_first
    return Pair(
        _label(judgments[0].reply.raw, number),
        comparison.id,
        *(sides if forward else sides[::-1]),
        tuple(_answer(judgment, order) for judgment in judgments),
        p_first if forward or p_first is None else 1 - p_first,
        model_p_first if forward else 1 - model_p_first,
        judgments[0].principle,
    )


def _answer(judgment: Judgment, order: Order) -> Answer:
    swapped, raw = judgment.order is not order, judgment.reply.raw
    if isinstance(judgment.outcome, Failure):
        return Answer(f"failure ({judgment.outcome.kind})", None, swapped, raw)
    shown_first = judgment.outcome.p_shown_first
    p_a = 1 - shown_first if swapped else shown_first
    return Answer(side(p_a), p_a, swapped, raw)


def _label(raw: str, number: int) -> str:
    """Recorded judgments give a pair's number, by which a person finds it on the judge's sheet."""
    try:
        given = json.loads(raw)["pair"]
    except (ValueError, TypeError, KeyError):
        return str(number)
    return str(given) if isinstance(given, int) and not isinstance(given, bool) else str(number)


class Measure(NamedTuple):
    """A share with its interval, for a person to read.

    Attributes:
        name: What was counted.
        note: How, in a few words.
        proportion: The count.
        evaluation_only: Whether the truth was used, which no judge and no learner has seen.
    """

    name: str
    note: str
    proportion: Proportion
    evaluation_only: bool = False


def measures(evidence: Evidence, pairs: Sequence[Pair]) -> list[Measure]:
    """How far the reward model follows the judge, and what can be said of the judge itself."""
    decided = [pair for pair in pairs if pair.chosen in ("A", "B")]
    heldout = evidence.fit.heldout
    shares = [
        Measure(
            "Reward model agrees with the judge, held out",
            "each pair decided by the member that never saw it",
            heldout,
        ),
        Measure(
            "Reward model agrees with the judge, fitted",
            "the whole ensemble on what it was fitted to",
            Proportion(sum(not p.disagrees for p in decided), len(decided)),
        ),
    ]
    if (repeats := consistency(pairs)).trials:
        shares.append(
            Measure("Judge agrees with itself", "the same pair again, the sides swapped", repeats)
        )
    # Whether a stage is done is asked of what is shown first: yes is no lean to one side.
    shown = shown_counts([j for j in evidence.judgments if j.principle not in evidence.thresholds])
    shares.append(
        Measure(
            "Judge chooses the side shown first",
            "far from one half would be a bias to one side",
            Proportion(shown["first"], shown["first"] + shown["second"]),
        )
    )
    return shares + _truth_measures(evidence, decided)


def _truth_measures(evidence: Evidence, decided: Sequence[Pair]) -> list[Measure]:
    if not meant_upright(task := evidence.folder.task):
        return []
    circle = CIRCLES[task.environment.id]

    def higher(pair: Pair) -> str:
        a, b = (float(np.cos(circle.angle(s.observations)).mean()) for s in (pair.a, pair.b))
        return "A" if a > b else "B"

    return [
        Measure(
            "Judge chooses the side that is truly higher",
            "height of the rod's tip",
            Proportion(sum(p.chosen == higher(p) for p in decided), len(decided)),
            evaluation_only=True,
        ),
        Measure(
            "Reward model prefers the side that is truly higher",
            "on the same pairs",
            Proportion(sum(p.model_chosen == higher(p) for p in decided), len(decided)),
            evaluation_only=True,
        ),
    ]


def consistency(pairs: Sequence[Pair]) -> Proportion:
    """How often two answers to one pair, given in opposite orders, are the same."""
    same = [
        one.choice == other.choice
        for pair in pairs
        for one, other in combinations(pair.answers, 2)
        if one.swapped != other.swapped and one.p_a is not None and other.p_a is not None
    ]
    return Proportion(sum(same), len(same))


def shown_counts(judgments: Sequence[Judgment]) -> dict[str, int]:
    """How many answers were: first (the side shown first), second, tie, failure."""
    counts = {"first": 0, "second": 0, "tie": 0, "failure": 0}
    names = {"A": "first", "B": "second", "tie": "tie"}
    for judgment in judgments:
        outcome = judgment.outcome
        if isinstance(outcome, Failure):
            counts["failure"] += 1
        else:
            counts[names[side(outcome.p_shown_first)]] += 1
    return counts


def win_shares(evidence: Evidence) -> dict[str, float]:
    """The share of its comparisons that each judged segment won, by the segment's id."""
    won: dict[str, list[float]] = {}
    for name, preference in evidence.preferences.items():
        comparison = evidence.comparisons[name]
        won.setdefault(comparison.first.id, []).append(preference.p_first)
        won.setdefault(comparison.second.id, []).append(1 - preference.p_first)
    return {name: sum(shares) / len(shares) for name, shares in won.items()}
