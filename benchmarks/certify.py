"""Whether a certificate tells judges apart, and whether the accuracy that it foretells is met.

    python benchmarks/certify.py [--quick] [--tasks pendulum cartpole ...] [--kinds blind mid ...]

Judges of each kind, every one with an eye and a bias of its own, are certified by what
`volition certify` puts to them, and then asked about 4,000 other pairs in orders that are dealt, as
training asks. Those that cannot judge: `useless` (always the first), one that always chooses the
second, one that takes its side in 95 of 100 and looks never, one that says .7 for whatever comes
first, a coin, and one that calls everything a tie. They must be RED. `mid` must not. The accuracy
that is foretold, from answers alone, must be met within 5 points. `noisy:0.2` and `bpref` err
otherwise than the judges that the prior was taken from; they are shown, and not in the claim.
Trials begin at number 2,000: on what they meet nothing was tuned. Everything here is simulated.
"""

from __future__ import annotations

import argparse
import asyncio
import random
from collections.abc import Callable, Sequence
from functools import cache

import numpy as np

from asked import opened
from claims import claim, run_benchmark
from volition.certifying.answers import Answer
from volition.certifying.card import Certificate
from volition.certifying.composing import Asked, Costs, compose
from volition.certifying.putting.design import Design, design, more, states_of
from volition.comparison import Comparison
from volition.judges import make_judge
from volition.judges.base import Assignment, Question
from volition.judges.settings import JudgeSettings
from volition.judgment import JudgeIdentity, Order, Verdict
from volition.questions.covering import covering_comparisons
from volition.tasks.task import Task
from volition.tasks.truth import truth_of

Say = Callable[[Sequence[Question]], list[float | None]]
TRIALS, QUICK, FRESH, FIRST = 100, 10, 4000, 2000
KINDS = ("strong", "mid", "weak")
OTHERS = {"noisy": "simulated:noisy:0.2?run={}", "bpref": "simulated:bpref?beta=8&run={}"}
BLIND = "blind"
WITHIN = 0.05


@cache
def task_of(name: str) -> Task:
    return opened(Task.find(name))


def assignment(task: Task) -> Assignment:
    return Assignment(task.stated_goal(), task.view, task.goal.truth or "")


def simulated(task: Task, name: str) -> Say:
    judge = make_judge(JudgeSettings(name), assignment(task))

    def say(questions: Sequence[Question]) -> list[float | None]:
        reply = asyncio.run(judge.ask(questions))
        outcomes = judge.read(reply, questions)
        return [o.p_shown_first if isinstance(o, Verdict) else None for o in outcomes]

    return say


def blind(seed: int) -> dict[str, Say]:
    """Judges that do not look."""
    rng = random.Random(seed)
    return {
        "second": lambda questions: [0.0 for _ in questions],
        "position": lambda questions: [float(rng.random() < 0.95) for _ in questions],
        "constant": lambda questions: [0.7 for _ in questions],
        "coin": lambda questions: [float(rng.random() < 0.5) for _ in questions],
        "ties": lambda questions: [0.5 for _ in questions],
    }


@cache
def designed(name: str, seed: int) -> Design:
    task = task_of(name)
    return design(states_of(task, seed), "goal", seed)


def answers(say: Say, questions: Sequence[Question]) -> list[Answer]:
    return [
        Answer(q.comparison.id, q.order, p, q.comparison.first.id, q.comparison.second.id)
        for q, p in zip(questions, say(questions), strict=True)
        if p is not None
    ]


def dealt(comparisons: Sequence[Comparison], seed: int) -> list[Question]:
    orders = np.random.default_rng([seed, 1]).choice(list(Order), len(comparisons))
    return [Question(c, Order(o)) for c, o in zip(comparisons, orders, strict=True)]


def certified(say: Say, name: str, seed: int) -> Certificate:
    asked = designed(name, seed)
    questions = [Question(c, order) for order in Order for c in asked.both_ways]
    questions += dealt(asked.once, seed)
    came = answers(say, questions)
    telling = more(asked, came, seed)
    came += answers(say, telling)
    questions += telling
    costs = Costs(len(questions), len(came), len(questions) - len(came))
    judge = JudgeIdentity("simulated", simulated=True)
    return compose(Asked(name, "", judge, came, costs=costs), seed)


@cache
def fresh(name: str) -> tuple[list[Question], np.ndarray]:
    """Other pairs, and whether the one shown first is better."""
    task = task_of(name)
    # Their states are drawn from another seed than any trial's.
    comparisons = covering_comparisons(task.environment, task.view, "goal", FRESH, 10_000)
    potential = truth_of(task.goal.truth or "").potential
    questions = dealt(comparisons, 7)
    sides = [[potential(s.observations) for s in q.shown] for q in questions]
    return questions, np.array([one - other for one, other in sides])


def realised(say: Say, name: str) -> float:
    questions, apart = fresh(name)
    said = say(questions)
    kept = [(p > 0.5) == (d > 0) for p, d in zip(said, apart, strict=True) if p is not None]
    return float(np.mean(kept))


def tells_apart(name: str, seeds: Sequence[int]) -> bool:
    """Whether judges that do not look are RED."""
    task, trials = task_of(name), len(seeds)
    useless = simulated(task, "simulated:useless")
    cannot = {"useless": [certified(useless, name, seed).verdict for seed in seeds]}
    for seed in seeds:
        for kind, say in blind(seed).items():
            cannot.setdefault(kind, []).append(certified(say, name, seed).verdict)
    red = {kind: verdicts.count("RED") for kind, verdicts in cannot.items()}
    return claim(
        f"{name}: judges that do not look are RED, of {trials} trials each: the fewest",
        min(red.values()),
        "trials",
        f"{trials}",
        min(red.values()) == trials,
        simulated=True,
        red=red,
    )


def foretells(name: str, kind: str, seeds: Sequence[int]) -> bool:
    """Whether the accuracy that is foretold comes, and is in its interval."""
    task, trials = task_of(name), len(seeds)
    certificates, came = [], []
    for seed in seeds:
        chosen = OTHERS.get(kind, f"simulated:{kind}?seed={{}}").format(seed)
        say = simulated(task, chosen)
        certificates.append(certified(say, name, seed))
        came.append(realised(say, name))
    errors = np.array([c.accuracy.value for c in certificates]) - came
    verdicts = [c.verdict for c in certificates]
    within = int((np.abs(errors) <= WITHIN).sum())
    inside = sum(
        c.accuracy.low <= share <= c.accuracy.high
        for c, share in zip(certificates, came, strict=True)
    )
    counts = {v: verdicts.count(v) for v in ("GREEN", "AMBER", "RED")}
    enough = within >= 0.9 * trials and (kind != "mid" or counts["RED"] <= 0.05 * trials)
    in_claim = kind in KINDS
    return claim(
        f"{name}, {kind}: foretold accuracy within 5 points of the realised one, of {trials}",
        within,
        "trials",
        f">= {0.9 * trials:.0f}" if in_claim else "none: shown",
        enough or not in_claim,
        simulated=True,
        verdicts=counts,
        realised=round(
            float(np.mean([c.accuracy.value for c in certificates]) - np.mean(errors)), 3
        ),
        mean_error=round(float(np.mean(errors)), 4),
        sd_of_error=round(float(np.std(errors)), 4),
        in_interval=inside,
        answers=round(float(np.mean([c.taken.answers for c in certificates])), 1),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help=f"{QUICK} trials")
    parser.add_argument("--tasks", nargs="+", default=["pendulum"])
    parts = [BLIND, *KINDS, *OTHERS]
    parser.add_argument("--kinds", nargs="+", default=parts, choices=parts)
    given = parser.parse_args()
    trials = QUICK if given.quick else TRIALS
    seeds = range(FIRST, FIRST + trials)
    held = [
        tells_apart(name, seeds) if kind == BLIND else foretells(name, kind, seeds)
        for name in given.tasks
        for kind in given.kinds
    ]
    claim(
        "A certificate tells judges apart, and foretells how often they are right",
        sum(held),
        "parts",
        f"{len(held)}",
        all(held),
        simulated=True,
        trials=trials,
    )


if __name__ == "__main__":
    run_benchmark(main)
