"""`volition say`: a correction in words makes the next version of a run, in the same folder.

What is written comes in this order, so that a kill at any moment leaves the version before whole:
that version's copy; which goals' judgments count in it; the answers, where they came before; and
then the change itself. What is asked and learned after it is done by `Run.advance`, as ever.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

from volition.envs.scene import scenes_of
from volition.errors import InputError, JudgeUnavailable, RunError
from volition.goal import Change, Goal
from volition.judges import make_judge
from volition.judges.base import Judge
from volition.judges.settings import JudgeSettings
from volition.judging.folders import (
    QuestionFolder,
    Said,
    check_new,
    read_questions,
    write_questions,
)
from volition.judging.recordings import JUDGMENTS_FILE, import_recording, open_recording
from volition.learners.checkpoint import Checkpoint
from volition.reward.learning import digest, read_fit
from volition.run.correcting.asking import JudgedAgain, known_before, overruled
from volition.run.correcting.changing import archive, change
from volition.run.correcting.choosing import most_again, sample_size
from volition.run.correcting.comparing import LEAST, PAIRS, SHARE, spent_usd
from volition.run.correcting.contrasting import contrasting_pairs
from volition.run.correcting.proposal.kept import is_proposal, open_proposal
from volition.run.correcting.proposal.writing import unexplained
from volition.run.correcting.proposing import propose
from volition.run.correcting.versions import is_to_be_compared
from volition.run.creating import OBJECT, assignment_of
from volition.run.folder import CONFIG, Correction, RunFolder, RunSettings
from volition.run.results import Result
from volition.run.rounds import spread_over
from volition.storage.files import exclusively, write_whole
from volition.storage.store import Store
from volition.tasks.task import Task

HALF = 2  # a correction takes one in so many of the steps that the run took when it was new


@dataclass(frozen=True, slots=True)
class Plan:
    """What a correction would do, before anything is written.

    Attributes:
        change: Of the goal.
        before, after: The goal.
        version: The number of the version that it would make.
        corrected: The number of the version of which it is said.
        judged: Pairs that were judged.
        sample: How many of them would be judged again first.
        most: How many in all, at most.
        questions: How many questions may be about what the policy does now.
        begun: Environment steps that were taken.
        ends: When learning would end at the latest.
        compare: On how many pairs of episodes it would be compared with the version before.
        proposal: The folder of the proposal by which it came to the change, if there was one.
    """

    change: Change
    before: Goal
    after: Goal
    version: int
    corrected: int
    judged: int
    sample: int
    most: int
    questions: int
    begun: int
    ends: int
    compare: int = 0
    proposal: Path | None = None


def is_under_way(folder: RunFolder, words: Change | None, proposal: str = "") -> bool:
    """Whether the run was corrected by this very change, and has not learned from it yet, was not
    compared with the version before as it was to be, or has no page of that.

    Without a change: whether it was corrected at all, and has not; or by that proposal, where one
    is named by its id.
    """
    said = folder.settings.correction
    if said is None or _is_done(folder):
        return False
    if proposal:
        return said.proposal == proposal
    return words is None or said.change == words


def _is_done(folder: RunFolder) -> bool:
    return folder.result.is_file() and folder.report.is_file() and not is_to_be_compared(folder)


def said_of(folder: RunFolder) -> str:
    """The words from which the last correction was proposed; empty where there were none."""
    said = folder.settings.correction
    if said is None or not said.proposal:
        return ""
    return open_proposal(folder.proposals / said.proposal).subject.words


def plan(
    folder: RunFolder,
    said: Change,
    steps: int | None,
    most: int | None = None,
    compare: int | None = None,
    proposal: Path | None = None,
) -> Plan:
    """What a correction of a finished run would do.

    Args:
        folder: Of the run.
        said: The change.
        steps: Environment steps at most; by default half of those that the run took when new.
        most: Questions in all, at most.
        compare: On how many pairs of episodes the version is compared with the one before, as far
            as there are so many questions; by default `PAIRS`, and a part of `most`.
        proposal: The folder of the proposal by which it came to the change, if there was one.

    Raises:
        RunError: The run is unfinished, or was given answers that it has not learned from.
        InputError: Nothing was judged that the correction could change.
    """
    result = _finished(folder)
    with folder.open_store() as store:
        if read_fit(folder.reward_model).preferences != digest(folder.preferences(store)):
            raise RunError(
                f"{folder.path} was given answers that it has not learned from: "
                f"go on with `volition resume {folder.path}` first"
            )
        told = overruled(store) | _overruled_in(folder, proposal)
        known = known_before(folder, store, folder.settings.goal_ids)
        judged = sum(one.pair not in told for one in known)
    if not judged:
        raise InputError(f"{folder.path} holds no judged pair that a correction could change")
    sample = sample_size(judged)
    goal = folder.task.stated_goal()
    compared = pairs_compared(compare, most, sample)
    further = most_again(judged) if most is None else max(0, most - sample - compared)
    return Plan(
        said,
        goal,
        said.of(goal),
        max([folder.settings.version, *_numbers(folder)]) + 1,
        folder.settings.version,
        judged,
        sample,
        most_again(judged),
        further,
        result.env_steps,
        result.env_steps + (steps or _half(folder, result)),
        compared,
        proposal,
    )


def pairs_compared(chosen: int | None, most: int | None, sample: int) -> int:
    """How many pairs of episodes a correction compares.

    Args:
        chosen: How many a person wants; by default `PAIRS`, and one question in `SHARE` at most.
        most: Questions in all, at most.
        sample: Of them that are asked before any other.
    """
    if most is None:
        return PAIRS if chosen is None else chosen
    if chosen is not None:
        return max(0, min(chosen, most - sample))
    part = min(PAIRS, most // SHARE)
    return part if part >= LEAST else 0


def _overruled_in(folder: RunFolder, proposal: Path | None) -> set[tuple[str, str]]:
    """The pairs that a proposal explains, since a person overruled them."""
    if proposal is None or not (proposal / JUDGMENTS_FILE).is_file():
        return set()
    scenes = scenes_of(folder.task.environment)
    recording = open_recording(proposal, "", "", scenes, folder.task.view)
    return {(c.first.id, c.second.id) for c, _ in recording.judged()}


def say(
    folder: RunFolder,
    planned: Plan,
    live: JudgeSettings | None = None,
    judge: Judge | None = None,
) -> None:
    """Makes a finished run the next version of itself, which a live judge is asked about.

    Args:
        folder: Of the run.
        planned: What is to be done, as it was shown.
        live: Another judge than the run's own.
        judge: The run's own, where that was an object.

    Raises:
        InputError: The run has no live judge and none is named, or nothing may be spent any more.
        JudgeUnavailable: The judge cannot be asked.
        RunError: The run is unfinished, in use, or not what was planned for.
    """
    with exclusively(folder.path):
        folder = _as_planned(folder, planned)
        task, settings = _corrected(folder.task, planned.after), folder.settings
        own = settings.judge
        chosen = live if live and live.judge else own and with_own(own, live)
        if chosen is None:
            raise InputError(
                f"{folder.path} learned from recorded judgments: name who judges with --judge "
                "PROVIDER:MODEL, or write sheets for somebody who is not connected with --ask DIR"
            )
        if live is not None and live.judge:
            tried = make_judge(live, assignment_of(task))
            spent = tried.capability.cost_usd if tried.capability else 0.0
            made = _correction(folder, planned, live, tried.identity.id, spent, live)
        else:
            _check_object(chosen, judge, settings.known_judge)
            made = _correction(folder, planned, chosen, settings.known_judge, 0.0, live)
        _make(folder, task, made, planned.version, _answers(planned.proposal))


def _answers(proposal: Path | None) -> list[Path]:
    """Where answers are that came with a proposal: what a person overruled."""
    return [proposal] if proposal and (proposal / JUDGMENTS_FILE).is_file() else []


def _check_object(chosen: JudgeSettings, judge: Judge | None, known_id: str | None) -> None:
    """That a judge which was an object of Python's is there."""
    if chosen.judge.startswith(OBJECT) and (judge is None or judge.identity.id != known_id):
        raise JudgeUnavailable(
            f"the run's judge was given as an object, {chosen.judge.removeprefix(OBJECT)}: name "
            "another with --judge PROVIDER:MODEL"
        )


def _correction(
    folder: RunFolder,
    planned: Plan,
    judge: JudgeSettings,
    judge_id: str | None,
    probe_usd: float,
    limits: JudgeSettings | None,
) -> Correction:
    """What is kept of it, with what may have been used by its end.

    Raises:
        InputError: Nothing may be spent any more.
    """
    if planned.proposal is not None:
        probe_usd += open_proposal(planned.proposal).cost_usd
    with folder.open_store() as store:
        asked, spent = store.judged_live(), store.spent_usd() + spent_usd(folder.path)
    most = planned.most + planned.questions + planned.compare
    usd = _most_usd(folder.settings)
    if limits is not None and limits.max_judgments is not None:
        most = limits.max_judgments
    if limits is not None and limits.max_usd is not None:
        usd = spent + max(0.0, limits.max_usd - probe_usd)
    elif usd is not None and planned.proposal is not None:
        usd -= probe_usd
    if usd is not None and usd <= spent:
        raise InputError(
            f"${spent:.4f} were spent, which is all that may be: say with --max-usd how much the "
            "correction may cost"
        )
    said, begun, ends = planned.change, planned.begun, planned.ends
    return Correction(
        said.kind,
        said.text,
        planned.corrected,
        begun,
        ends,
        judge,
        judge_id,
        probe_usd,
        asked + most,
        usd,
        planned.questions,
        planned.compare,
        planned.proposal.name if planned.proposal else "",
    )


def write_sheets(
    folder: RunFolder,
    planned: Plan,
    out: Path,
    per_sheet: int | None = None,
    batches: Sequence[str] = (),
    seed: int = 0,
) -> QuestionFolder:
    """Writes a correction's questions for a judge who is not connected; the run stays as it is.

    They are the sample, and pairs of what the policy does now and of what else there is.
    `per_sheet` and `batches` are as of `write_questions`.

    Raises:
        InputError: The folder is there already, or cannot be written.
        RunError: The run is unfinished.
    """
    check_new(out)
    task = _corrected(folder.task, planned.after)
    as_it_would_be = RunFolder(folder.path, task, _settings_after(folder, planned))
    with folder.open_store() as store:
        again = JudgedAgain(as_it_would_be, store)
        pairs = [again.sides(place) for place in again.sample]
        under = [again.under(place) for place in again.sample]
        now = contrasting_pairs(folder, planned.questions, seed) if planned.questions else []
        asked = [*pairs, *now]
        put = [*under, *spread_over(as_it_would_be.put_under(), len(now))]
        order = sorted(range(len(asked)), key=lambda place: put.index(put[place]))
        return write_questions(
            [asked[place] for place in order],
            task,
            out,
            per_sheet,
            folder.path.absolute(),
            batches,
            given=folder.settings.given,
            under=[put[place] for place in order],
            said=Said(
                planned.change,
                planned.corrected,
                planned.ends - planned.begun,
                planned.proposal.name if planned.proposal else "",
            ),
        )


def take_answers(path: Path, questions: Path) -> RunFolder:
    """Gives a run the answers to questions, which make it the next version of itself if they were
    asked of a correction; others were asked of another run with the same goal.

    Doing it again with the same folder changes nothing.

    Raises:
        InputError: They were asked under another goal, or there are no answers yet.
        RunError: The run is unfinished, in use, or another version by now.
    """
    asked, _ = read_questions(questions)
    if not (questions / JUDGMENTS_FILE).is_file():
        raise InputError(f"{questions} has no answers yet: run `volition answer {questions} FILE`")
    with exclusively(path):
        folder = RunFolder.open(path)
        made, said = folder.settings.correction, asked.said
        if said is None:
            _take_further(questions, asked.goal, folder)
            return folder
        if made is None or (made.change, made.corrected) != (said.change, said.version):
            if said.version != folder.settings.version:
                raise RunError(
                    f"{questions} was asked of version {said.version}, and {path} is version "
                    f"{folder.settings.version} by now: ask again, or go back with --undo"
                )
            words = propose(folder.task.stated_goal(), said.change.text, said.change.kind)
            proposal = folder.proposals / Path(said.proposal).name if said.proposal else None
            planned = plan(folder, words, said.steps, proposal=proposal)
            correction = Correction(
                words.kind,
                words.text,
                planned.corrected,
                planned.begun,
                planned.ends,
                probe_usd=open_proposal(proposal).cost_usd if proposal else 0.0,
                proposal=proposal.name if proposal else "",
            )
            task = _corrected(folder.task, planned.after)
            _make(folder, task, correction, planned.version, [questions, *_answers(proposal)])
            return RunFolder.open(path)
        with folder.open_store() as store:
            _import(questions, folder, folder.task, store)
    return folder


def _take_further(questions: Path, goal: str, folder: RunFolder) -> None:
    own = folder.task.goal.text
    if goal != own:
        raise InputError(
            f"{questions} was asked under another goal, {goal!r}; the run's is {own!r}"
        )
    with folder.open_store() as store:
        _import(questions, folder, folder.task, store)


def undo(path: Path) -> RunFolder:
    """Makes a run the version again that it was before the last correction.

    The version that is left stays in `versions/`, and what was answered stays in the store.

    Raises:
        RunError: The run was never corrected, or it is in use.
    """
    with exclusively(path):
        folder = RunFolder.open(path)
        said = folder.settings.correction
        if said is None:
            raise RunError(f"{path} is at its first version: there is nothing to go back to")
        before = folder.versions_before / str(said.corrected) / CONFIG
        if not before.is_file():
            raise RunError(f"{before} is missing: restore it from a copy")
        archive(path, folder.settings.version)
        change(path, before.read_text(encoding="utf-8"), said.corrected)
    return RunFolder.open(path)


def _make(
    folder: RunFolder,
    task: Task,
    correction: Correction,
    version: int,
    answers: Sequence[Path] = (),
) -> None:
    """Does it, in the order that the top of this file says."""
    with folder.open_store() as store:
        goal_ids = folder.settings.goal_ids or tuple(store.goal_texts())
        settings = replace(folder.settings, goal_ids=goal_ids)
        folder = RunFolder(folder.path, folder.task, settings)
        write_whole(folder.path / CONFIG, folder.written())
        archive(folder.path, settings.version)
        goal_id = store.add_goal(task.stated_goal())
        for path in answers:
            _import(path, folder, task, store, correction)
        after = replace(
            settings,
            version=version,
            corrections=(*settings.corrections, correction),
            goal_ids=(*(known for known in goal_ids if known != goal_id), goal_id),
        )
    change(folder.path, RunFolder(folder.path, task, after).written())


def _import(
    answers: Path,
    folder: RunFolder,
    task: Task,
    store: Store,
    correction: Correction | None = None,
) -> None:
    scenes = scenes_of(task.environment)
    goal_id = store.add_goal(task.stated_goal())
    recording = open_recording(answers, answers.name, goal_id, scenes, folder.task.view)
    if correction is not None and correction.kind == "veto" and is_proposal(answers):
        recording = recording.put_under(correction.said, unexplained(folder, answers))
    import_recording(recording, store)


def _as_planned(folder: RunFolder, planned: Plan) -> RunFolder:
    """The run as it is now, which must be what was planned for."""
    folder = RunFolder.open(folder.path)
    result = _finished(folder)
    if (folder.settings.version, result.env_steps) != (planned.corrected, planned.begun):
        raise RunError(f"{folder.path} is another version by now: say it again")
    return folder


def _finished(folder: RunFolder) -> Result:
    result: Result = folder.read(folder.result, Result)
    if not folder.checkpoint.is_file():
        raise RunError(f"{folder.checkpoint} is missing: restore it from a copy")
    return result


def _corrected(task: Task, goal: Goal) -> Task:
    """The task with what another goal says; what is true of it stays."""
    was = task.stated_goal()
    other = goal.text != was.text
    added = {
        "text": goal.text if other else task.goal.text,
        "images": () if other else task.goal.images,
        "counterexamples": () if other else task.goal.counterexamples,
        "principles": (*task.goal.principles, *goal.principles[len(was.principles) :]),
        "vetoes": (*task.goal.vetoes, *goal.vetoes[len(was.vetoes) :]),
    }
    return task.model_copy(update={"goal": task.goal.model_copy(update=added)})


def _settings_after(folder: RunFolder, planned: Plan) -> RunSettings:
    """The settings that the version would have, before its goal is in the store."""
    with folder.open_store() as store:
        goal_ids = folder.settings.goal_ids or tuple(store.goal_texts())
    said, begun, ends = planned.change, planned.begun, planned.ends
    correction = Correction(said.kind, said.text, planned.corrected, begun, ends)
    corrections = (*folder.settings.corrections, correction)
    return replace(folder.settings, corrections=corrections, goal_ids=(*goal_ids, "to come"))


def with_own(own: JudgeSettings, chosen: JudgeSettings | None) -> JudgeSettings:
    """The run's own judge, with what else was chosen this time."""
    if chosen is None:
        return own
    names = [setting.name for setting in fields(JudgeSettings) if setting.name != "judge"]
    given = {name: getattr(chosen, name) for name in names}
    default = JudgeSettings("")
    return replace(own, **{n: value for n, value in given.items() if value != getattr(default, n)})


def left_usd(folder: RunFolder) -> float | None:
    """What may be spent on a correction where nothing is said of it; None is no limit."""
    most = _most_usd(folder.settings)
    if most is None:
        return None
    with folder.open_store() as store:
        return max(0.0, most - store.spent_usd())


def _most_usd(settings: RunSettings) -> float | None:
    """What may be spent in all by what was said before; None is no limit."""
    if settings.correction is not None:
        return settings.correction.most_usd
    live = settings.live
    if live is None or live.max_usd is None:
        return None
    return max(0.0, live.max_usd - settings.probe_usd)


def _half(folder: RunFolder, result: Result) -> int:
    """Half of the steps that the run took when it was new, in whole sessions."""
    corrections = folder.settings.corrections
    new = corrections[0].begun if corrections else result.env_steps
    history = Checkpoint(folder.checkpoint, folder.kept).history()
    session = round(history[0]["env_steps"])
    return max(1, new // (HALF * session)) * session


def _numbers(folder: RunFolder) -> Sequence[int]:
    """Of the versions that were left."""
    return [int(path.name) for path in folder.versions_before.glob("*") if path.name.isdigit()]
