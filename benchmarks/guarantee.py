"""Whether "of the accepted answers at most alpha are wrong" holds, and how many are accepted.

    python benchmarks/guarantee.py [--quick]
    python benchmarks/guarantee.py --answers FILE --labels FILE

Simulated judges that say how sure they are answer 2,000 pairs of the pendulum in both orders. Of
these N get a label, drawn at random, and the answers are accepted that these labels allow; of the
others the share of wrong ones among the accepted is counted, 100 times over. Where nothing may be
accepted, nothing is, and nothing is broken: coverage says how often. With files the same is done
with anybody's answers, half of the labels being the most that are used.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from asked import comparisons, opened
from claims import claim, run_benchmark
from volition.certifying.answers import Answer
from volition.certifying.given import read_answers, read_labels
from volition.certifying.guarantee import fewest_labels, promise
from volition.judges import make_judge
from volition.judges.base import Assignment, Question
from volition.judges.settings import JudgeSettings
from volition.judgment import Order, Verdict
from volition.tasks.task import Task
from volition.tasks.truth import truth_of

ALPHAS, LABELS = (0.05, 0.1, 0.2), (30, 100, 300)
PAIRS, SPLITS = 2000, 100


def simulated(kind: str, seed: int) -> tuple[list[Answer], dict[str, float]]:
    """A judge's answers in both orders, and what is true."""
    task = opened(Task.find("pendulum"))
    asked = comparisons("pendulum", PAIRS, 500)
    judge = make_judge(
        JudgeSettings(f"simulated:{kind}?seed={seed}&soft=1"),
        Assignment(task.stated_goal(), task.view, task.goal.truth or ""),
    )
    potential = truth_of(task.goal.truth or "").potential
    answers = []
    for order in Order:
        questions = [Question(c, order) for c in asked]
        outcomes = judge.read(asyncio.run(judge.ask(questions)), questions)
        answers += [
            Answer(q.comparison.id, order, o.p_shown_first)
            for q, o in zip(questions, outcomes, strict=True)
            if isinstance(o, Verdict)
        ]
    first_better = [
        potential(c.first.observations) > potential(c.second.observations) for c in asked
    ]
    return answers, {c.id: float(b) for c, b in zip(asked, first_better, strict=True)}


def splits(
    answers: Sequence[Answer], truth: dict[str, float], alpha: float, labels: int, count: int
) -> tuple[int, float, float]:
    """How often more than alpha are wrong, and the means of what is accepted and wrong."""
    pairs, broken, covered, wrong = sorted(truth), 0, [], []
    for split in range(count):
        chosen = np.random.default_rng(split).permutation(len(pairs))[:labels]
        labelled = {pairs[place]: truth[pairs[place]] for place in chosen}
        promised = promise(answers, labelled, alpha)
        others = [
            (pair, first) for pair, first in promised.accepted.items() if pair not in labelled
        ]
        errors = [first != (truth[pair] > 0.5) for pair, first in others if pair in truth]
        covered.append(promised.guarantee.accepted.share)
        if errors:
            wrong.append(float(np.mean(errors)))
            broken += wrong[-1] > alpha
    return broken, float(np.mean(covered)), float(np.mean(wrong)) if wrong else 0.0


def measure(
    name: str, answers: Sequence[Answer], truth: dict[str, float], is_simulated: bool, count: int
) -> list[bool]:
    held = []
    for alpha in ALPHAS:
        for labels in LABELS:
            if labels > len(truth) // 2:
                continue
            broken, covered, wrong = splits(answers, truth, alpha, labels, count)
            held.append(
                claim(
                    f"{name}, {labels} labels: more than {alpha:g} of the accepted are wrong",
                    broken,
                    f"of {count} splits",
                    f"<= {0.05 * count:g}",
                    broken <= 0.05 * count,
                    simulated=is_simulated,
                    coverage=round(covered, 3),
                    wrong=round(wrong, 4),
                    least_labels=fewest_labels(alpha),
                )
            )
    return held


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="20 splits")
    parser.add_argument("--answers", type=Path)
    parser.add_argument("--labels", type=Path)
    given = parser.parse_args()
    count = 20 if given.quick else SPLITS
    if given.answers:
        read = read_answers(given.answers)
        truth = {p: v for p, v in read_labels(given.labels).items() if v != 0.5}
        held = measure(read.judge or given.answers.name, read.answers, truth, False, count)
    else:
        held = []
        for kind in ("strong", "mid", "weak"):
            held += measure(kind, *simulated(kind, 1), is_simulated=True, count=count)
    claim(
        "Of the accepted answers at most alpha are wrong, with 95% confidence",
        sum(held),
        "settings",
        f"{len(held)}",
        all(held),
        simulated=given.answers is None,
    )


if __name__ == "__main__":
    run_benchmark(main)
