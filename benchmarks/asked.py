"""What simulated judges say of comparisons that cover a task's states: shared by benchmarks."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import cache

import numpy as np

from volition.judges import judge as judge_named
from volition.judges.base import JudgeOptions, Question
from volition.judgment import Judgment, Order, Reply, derive_preferences
from volition.live_judging import covering
from volition.preference import PreferenceData
from volition.segment import Comparison
from volition.task import Task


@cache
def comparisons(task_name: str, count: int, seed: int) -> tuple[Comparison, ...]:
    """The comparisons that a run would put to a judge to begin with."""
    task = Task.find(task_name)
    return tuple(covering(task, "goal", count, seed))


def judged(task: Task, judge_name: str, asked: Sequence[Comparison], seed: int) -> list[Judgment]:
    """The judge's answers, each question put in a random order."""
    judge = judge_named(judge_name, JudgeOptions(task.stated_goal(), task.view, task=task.name))
    orders = np.random.default_rng([seed, 1]).choice(list(Order), len(asked))
    questions = [Question(c, Order(o)) for c, o in zip(asked, orders, strict=True)]
    reply = asyncio.run(judge.ask(questions))
    return [
        Judgment(q.comparison.id, judge.identity.id, q.order, outcome, Reply(str(n), ""))
        for n, (q, outcome) in enumerate(zip(questions, judge.read(reply, questions), strict=True))
    ]


def data(asked: Sequence[Comparison], judgments: Sequence[Judgment]) -> PreferenceData:
    """What a reward model is fitted to."""
    return PreferenceData.gather(
        {c.id: c.observations for c in asked}, derive_preferences(judgments)
    )
