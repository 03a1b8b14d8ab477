"""Whether the simulated judges err as real ones were measured to.

    python benchmarks/simulated.py [--quick]

The accuracy of `simulated:strong` on the pendulum, by how far apart the two heights are, against
that of 19,200 published judgments of a real 12B model; and for each kind, over random pairs, how
often it is right, and how often it changes its choice when the same pair is put the other way
round, and when it is put again the same way, against what was measured of real ones. Everything
here is simulated. Several judges of each kind are asked.
"""

from __future__ import annotations

import argparse
import asyncio

import numpy as np

from claims import claim, run_benchmark
from volition.comparison import Comparison, Frame, Segment
from volition.goal import Goal
from volition.judges import make_judge
from volition.judges.base import Assignment, Question
from volition.judges.settings import JudgeSettings
from volition.judgment import Order, Verdict
from volition.tasks.view import JudgeView

# upper edge of the gap in normalised height: the real judge's accuracy
MEASURED = {
    0.01: 0.50,
    0.025: 0.54,
    0.05: 0.63,
    0.10: 0.76,
    0.15: 0.88,
    0.25: 0.92,
    0.375: 0.98,
    1.0: 0.998,
}
TOLERANCE = 0.06
AGAIN = {"strong": 0.03, "mid": 0.136, "weak": 0.20}  # of real judges: changed when asked again
UPRIGHT = Assignment(Goal("upright"), JudgeView(), truth="pendulum")
BLANK = Frame(np.zeros((1, 1, 3), np.uint8))  # a simulated judge does not look


def pairs(each: int) -> tuple[list[Comparison], np.ndarray, np.ndarray]:
    """Random pairs, `each` of them in every range of gaps; their ranges and those' shares."""
    angles = np.random.default_rng(0).uniform(-np.pi, np.pi, (400 * each, 2))
    gaps = np.abs(np.diff(np.cos(angles), axis=1)[:, 0]) / 2
    ranges = np.searchsorted(list(MEASURED), gaps)
    chosen = np.concatenate([np.flatnonzero(ranges == r)[:each] for r in range(len(MEASURED))])
    observed = np.stack([np.cos(angles), np.sin(angles), np.zeros_like(angles)], -1)[chosen]
    segments = [
        [Segment(one[None].astype(np.float32), (BLANK,)) for one in pair] for pair in observed
    ]
    comparisons = [Comparison.between("goal", one, other) for one, other in segments]
    return comparisons, ranges[chosen], np.bincount(ranges) / len(ranges)


def choices(name: str, comparisons: list[Comparison], order: Order) -> np.ndarray:
    """1 where the comparison's first was chosen, 0 where its second was, NaN for a failure."""
    judge = make_judge(JudgeSettings(name), UPRIGHT)
    questions = [Question(comparison, order) for comparison in comparisons]
    outcomes = judge.read(asyncio.run(judge.ask(questions)), questions)
    shown = np.array([o.p_shown_first if isinstance(o, Verdict) else np.nan for o in outcomes])
    return shown if order is Order.FORWARD else 1 - shown


def changed(one: np.ndarray, other: np.ndarray, weights: np.ndarray) -> float:
    """Share of the choices that differ, of those that are there both times."""
    answered = ~np.isnan(one) & ~np.isnan(other)
    return float(np.average((one != other)[answered], weights=weights[answered]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer pairs and judges")
    quick = parser.parse_args().quick
    judges, each = (4, 100) if quick else (12, 250)
    comparisons, ranges, shares = pairs(each)
    weights = shares[ranges] / each  # of a pair among random ones
    truth = np.array(
        [c.first.observations[0, 0] > c.second.observations[0, 0] for c in comparisons]
    )
    kinds: dict[str, dict[str, float]] = {}
    bins: list[float] = []
    for kind in ("strong", "mid", "weak"):
        right, swapped, again = [], [], []
        for number in range(judges):
            name = f"simulated:{kind}:{number}"
            forward = choices(name, comparisons, Order.FORWARD)
            right.append(np.where(np.isnan(forward), np.nan, forward == truth))
            swapped.append(changed(forward, choices(name, comparisons, Order.SWAPPED), weights))
            later = choices(f"{name}?run=1", comparisons, Order.FORWARD)
            again.append(changed(forward, later, weights))
        accuracy = np.nanmean(right, axis=0)
        kinds[kind] = {
            "accuracy": round(float(accuracy @ weights), 3),
            "changed_when_swapped": round(float(np.mean(swapped)), 3),
            "changed_when_asked_again": round(float(np.mean(again)), 3),
            "failures": round(float(np.isnan(right).mean()), 4),
        }
        if kind == "strong":
            bins = [round(float(accuracy[ranges == r].mean()), 3) for r in range(len(MEASURED))]
    again_off = max(
        abs(kinds[kind]["changed_when_asked_again"] / AGAIN[kind] - 1) for kind in AGAIN
    )
    claim(
        "simulated judges against real ones: choices changed when asked again",
        round(again_off, 2),
        "at most off, of the measured share",
        "<= 0.2",
        again_off <= 0.2,
        simulated=True,
        real=AGAIN,
        kinds=kinds,
    )
    off = np.abs(np.array(bins) - list(MEASURED.values()))
    claim(
        "simulated:strong against 19,200 judgments of a real model: accuracy by gap in height",
        round(float(off.max()), 3),
        "at most off",
        f"<= {TOLERANCE}",
        bool(off.max() <= TOLERANCE),
        simulated=True,
        gaps_up_to=list(MEASURED),
        accuracy=bins,
        real=list(MEASURED.values()),
        kinds=kinds,
    )


if __name__ == "__main__":
    run_benchmark(main)
