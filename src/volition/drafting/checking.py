"""Whether a draft's principles hold together: a few judgments, before many are paid for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from volition.comparison import Comparison, Segment
from volition.drafting.consistency import Check, examine
from volition.drafting.draft import check_finished, open_draft, save
from volition.goal import Goal, Principle
from volition.judges import make_judge
from volition.judges.base import Assignment, Judge
from volition.judges.settings import JudgeSettings
from volition.judging.limits import Limits, check_price
from volition.judging.thread import Judging
from volition.judgment import Verdict, undo_order
from volition.questions.covering import covering_pairs
from volition.storage.files import exclusively
from volition.storage.store import Store
from volition.tasks.task import Task
from volition.tasks.view import JudgeView

FOLDER = "check"  # of the store with what was asked
PAIRS = 12
TICK_S = 0.2


def check_draft(folder: Path, settings: JudgeSettings, tell: Callable[[str], None]) -> Check:
    """Has a few pairs judged by every principle and veto alone, as they stand in the folder now.

    Every answer is stored before it is used. Done again it asks only what it has not asked of that
    judge yet, such as about a sentence that was changed.

    Args:
        folder: Of the draft.
        settings: Who judges, and what that may use.
        tell: Is told what is under way.

    Raises:
        InputError: The draft is unfinished, or the judge will not do.
        JudgeUnavailable: The judge cannot be asked. What it answered is stored.
    """
    check_finished(folder)
    draft = open_draft(folder)
    task, view = Task.read(folder), JudgeView.model_validate(draft.subject.view)
    goal = task.goal_in_parts()
    sentences = [*map(Principle, goal.principles), *(Principle(v, True) for v in goal.vetoes)]
    tell(f"choosing {PAIRS} pairs of {task.environment.id} ...")
    pairs = covering_pairs(task.environment, view, PAIRS, draft.subject.seed)
    judge = make_judge(settings, Assignment(goal, view, task.goal.truth or ""))
    with exclusively(folder):
        asked = _put(folder / FOLDER, judge, settings, sentences, pairs, tell)
        spent = judge.capability.cost_usd if judge.capability else 0.0
        check = _read(folder / FOLDER, judge, sentences, asked, spent)
        save(folder, replace(open_draft(folder), check=check))
    return check


Asked = Sequence[Sequence[tuple[Comparison, bool]]]
"""For each sentence and pair the comparison, and whether the pair's first is its first, too."""


def _put(
    folder: Path,
    judge: Judge,
    settings: JudgeSettings,
    sentences: Sequence[Principle],
    pairs: Sequence[tuple[Segment, Segment]],
    tell: Callable[[str], None],
) -> Asked:
    """Asks what has no answer yet. Of each sentence a pair is a comparison of its own."""
    with Store.create(folder) as store:
        goals = [store.add_goal(Goal(sentence.text)) for sentence in sentences]
    asked = [[Comparison.between(goal, *pair) for pair in pairs] for goal in goals]
    probed = judge.capability.cost_usd if judge.capability else 0.0
    most = None if settings.max_usd is None else max(0.0, settings.max_usd - probed)
    limits = Limits(most, None, settings.concurrency, patience_s=settings.patience)
    check_price(judge, limits, asked[0][:1])
    tell(f"asking {settings.judge} about {len(pairs)} pairs by {len(sentences)} sentences ...")
    with Judging(folder, limits) as judging:
        for sentence, comparisons in zip(sentences, asked, strict=True):
            judging.ask(judge, comparisons, [Principle(sentence.text, veto=True)])
        told = ""
        while not judging.wait(TICK_S):
            waiting = judging.standing().waiting_for
            if waiting and not told:
                tell(waiting)
            told = waiting
    return [
        [(c, c.first == first) for c, (first, _) in zip(comparisons, pairs, strict=True)]
        for comparisons in asked
    ]


def _read(
    folder: Path, judge: Judge, sentences: Sequence[Principle], asked: Asked, probed_usd: float
) -> Check:
    with Store.open(folder) as store:
        store.check()
        judgments, cost = store.judgments(), store.cost_usd() + probed_usd
    verdicts = {
        judgment.comparison_id: (judgment.outcome, judgment.order)
        for judgment in judgments
        if judgment.judge_id == judge.identity.id and isinstance(judgment.outcome, Verdict)
    }
    p_first = np.full((len(asked), len(asked[0])), np.nan)
    p_shown = p_first.copy()
    for row, comparisons in enumerate(asked):
        for column, (comparison, forward) in enumerate(comparisons):
            if comparison.id in verdicts:
                verdict, order = verdicts[comparison.id]
                p = undo_order(verdict, order)
                p_first[row, column] = p if forward else 1 - p
                p_shown[row, column] = verdict.p_shown_first
    checked, agreements = examine(sentences, p_first, p_shown)
    name, simulated = judge.identity.name, judge.identity.simulated
    return Check(name, simulated, len(asked[0]), cost, checked, agreements)
