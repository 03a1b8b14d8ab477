"""Whether a draft's principles hold together: a few judgments, before many are paid for.

A live judge is asked at once; for whoever is not connected the same pairs are written as sheets.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from volition.comparison import Comparison, Segment
from volition.drafting.consistency import Check, examine
from volition.drafting.draft import check_finished, open_draft, save
from volition.envs.scene import scenes_of
from volition.errors import InputError
from volition.goal import Goal, Principle
from volition.judges import make_judge
from volition.judges.base import Assignment, Judge
from volition.judges.settings import JudgeSettings
from volition.judging.folders import QuestionFolder, check_new, read_questions, write_questions
from volition.judging.limits import Limits, check_price
from volition.judging.recordings import JUDGMENTS_FILE, Judged, open_recording
from volition.judging.thread import Judging
from volition.judgment import JudgeIdentity, Verdict, undo_order
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
    task, sentences, pairs = _to_check(folder, tell)
    assignment = Assignment(task.goal_in_parts(), task.view, task.goal.truth or "")
    judge = make_judge(settings, assignment)
    with exclusively(folder):
        asked = _put(folder / FOLDER, judge, settings, sentences, pairs, tell)
        spent = judge.capability.cost_usd if judge.capability else 0.0
        return _checked(folder, judge.identity, sentences, asked, spent)


def write_check(folder: Path, out: Path, tell: Callable[[str], None]) -> QuestionFolder:
    """Writes the same pairs for a judge who is not connected: sheets, each by one sentence alone.

    Args:
        folder: Of the draft, which stays as it is.
        out: A new folder.
        tell: Is told what is under way.

    Raises:
        InputError: The draft is unfinished, or `out` is there already or cannot be written.
    """
    check_new(out)
    task, sentences, pairs = _to_check(folder, tell)
    apart = task.model_copy(update={"goal": task.goal.model_copy(update={"together": False})})
    return write_questions(
        [pair for _ in sentences for pair in pairs],
        apart,
        out,
        draft=folder.absolute(),
        under=[Principle(sentence.text, veto=True) for sentence in sentences for _ in pairs],
    )


def take_check(folder: Path, questions: Path) -> Check:
    """What the answers to `write_check` say of the sentences as they stand in the folder now.

    They are stored before they are used. Doing it again with the same answers changes nothing.

    Args:
        folder: Of the draft.
        questions: What `write_check` wrote, answered by now.

    Raises:
        InputError: They are not of this draft's sentences, or there are no answers yet.
    """
    task, sentences = _sentences(folder)
    asked_of = read_questions(questions)[0].draft
    if asked_of is None:
        raise InputError(
            f"{questions} was not asked by a draft: see `volition draft --check --ask`"
        )
    if not (questions / JUDGMENTS_FILE).is_file():
        raise InputError(
            f"{questions} has no answers yet: run `volition answer {questions} FILE --judge NAME`"
        )
    recording = open_recording(questions, "", "", scenes_of(task.environment), task.view)
    known = {sentence.text for sentence in sentences}
    judged = [one for one in recording.judged() if one[1].principle in known]
    if not judged:
        raise InputError(
            f"{questions} asks about no sentence of {folder} as it stands now (it was asked by "
            f"{asked_of}): ask again in another folder"
        )
    with exclusively(folder):
        asked = _store(folder / FOLDER, recording.judge, sentences, judged)
        return _checked(folder, recording.judge, sentences, asked, 0.0)


def _sentences(folder: Path) -> tuple[Task, list[Principle]]:
    """A finished draft's task, as it is shown, and what it says now."""
    check_finished(folder)
    view = JudgeView.model_validate(open_draft(folder).subject.view)
    task = Task.read(folder).model_copy(update={"view": view})
    goal = task.goal_in_parts()
    vetoes = [Principle(text, veto=True) for text in goal.vetoes]
    sentences = [*map(Principle, goal.principles), *vetoes]
    if not sentences:
        raise InputError(f"{folder} has neither principles nor vetoes: there is nothing to check")
    return task, sentences


def _to_check(
    folder: Path, tell: Callable[[str], None]
) -> tuple[Task, list[Principle], list[tuple[Segment, Segment]]]:
    """Likewise, and the pairs that are judged by each sentence."""
    task, sentences = _sentences(folder)
    tell(f"choosing {PAIRS} pairs of {task.environment.id} ...")
    seed = open_draft(folder).subject.seed
    return task, sentences, covering_pairs(task.environment, task.view, PAIRS, seed)


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


def _store(
    folder: Path,
    judge: JudgeIdentity,
    sentences: Sequence[Principle],
    judged: Sequence[Judged],
) -> Asked:
    """Stores what was answered elsewhere, as what a live judge answers: all of it, or nothing."""
    pairs = {(c.first.id, c.second.id): (c.first, c.second) for c, _ in judged}
    with Store.create(folder) as store, store.transaction():
        goals = {s.text: store.add_goal(Goal(s.text)) for s in sentences}
        asked = [
            [Comparison.between(goal, *two) for two in pairs.values()] for goal in goals.values()
        ]
        for comparisons in asked:
            store.add_comparisons(comparisons)
        judgments = [
            replace(
                judgment,
                comparison_id=Comparison.between(
                    goals[judgment.principle or ""], comparison.first, comparison.second
                ).id,
            )
            for comparison, judgment in judged
        ]
        store.add_judge(judge)
        store.add_replies(judge.id, (judgment.reply for judgment in judgments))
        store.add_judgments(judgments)
    return [[(comparison, True) for comparison in comparisons] for comparisons in asked]


def _checked(
    folder: Path,
    judge: JudgeIdentity,
    sentences: Sequence[Principle],
    asked: Asked,
    probed_usd: float,
) -> Check:
    """What the answers in the draft's store say, kept with the draft."""
    check = _read(folder / FOLDER, judge, sentences, asked, probed_usd)
    save(folder, replace(open_draft(folder), check=check))
    return check


def _read(
    folder: Path,
    judge: JudgeIdentity,
    sentences: Sequence[Principle],
    asked: Asked,
    probed_usd: float,
) -> Check:
    with Store.open(folder) as store:
        store.check()
        judgments, cost = store.judgments(), store.cost_usd() + probed_usd
    verdicts = {
        judgment.comparison_id: (judgment.outcome, judgment.order)
        for judgment in judgments
        if judgment.judge_id == judge.id and isinstance(judgment.outcome, Verdict)
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
    return Check(judge.name, judge.simulated, len(asked[0]), cost, checked, agreements)
