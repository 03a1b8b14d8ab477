"""Having a proposal written: by a live model, by anybody who is given a folder, or simulated."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from volition.comparison import Comparison
from volition.drafting.draft import GivenReply
from volition.drafting.replying import Replies
from volition.drafting.strict import Unreadable, written_in
from volition.errors import InputError
from volition.goal import Goal, Principle
from volition.judges import make_judge
from volition.judges.base import Judge
from volition.judges.live.judge import LiveJudge
from volition.judges.settings import JudgeSettings
from volition.judges.writing import writers
from volition.judging.answers import read_name
from volition.judging.limits import Limits, check_price
from volition.judging.recordings import JUDGMENTS_FILE
from volition.judging.thread import Judging
from volition.judgment import TELLS, Verdict, derive_preferences, undo_order
from volition.run.correcting.proposal.kept import (
    PAGES,
    PROPOSAL,
    STOOD,
    Explained,
    Proposal,
    Tell,
    open_proposal,
    page_name,
    read_pages,
    read_preferred,
    save,
    shown_with,
    some,
)
from volition.run.correcting.proposal.request import VERSION, empty_answer, read_proposal
from volition.run.correcting.proposal.simulated import WRITER, write_simulated
from volition.run.creating import assignment_of
from volition.run.folder import RunFolder
from volition.storage.documents import read_document, write_document
from volition.storage.files import exclusively, is_free, new_folder, write_whole
from volition.storage.store import Store

ANSWER, README, REQUEST = "answer.json", "README.md", "request.json"
MOST_TOKENS = 1000  # of what is written
CHECK = "check"  # of the store with what was asked of the overruled pairs
TICK_S = 0.2


@dataclass(frozen=True, slots=True)
class Request:
    """Of which proposal a folder for somebody without a connection is."""

    id: str


# Live ----------------------------------------------------------------------------------------


def write_live(run: RunFolder, folder: Path, settings: JudgeSettings, tell: Tell) -> Proposal:
    """Has a live model write a proposal, or goes on with one.

    Args:
        run: Of whose goal.
        folder: Of the proposal.
        settings: Who writes, and what that may use.
        tell: Is told what is under way.

    Raises:
        InputError: The judge cannot write, or the money does not suffice.
        JudgeUnavailable: The judge cannot be asked, or wrote nothing that can be used; what it
            wrote is kept.
        Interrupted: Ctrl-C was pressed.
    """
    with exclusively(folder):
        proposal = open_proposal(folder)
        if proposal.change is not None:
            return proposal
        shown = shown_with(run.task, proposal)
        judges = writers(settings, shown.schema(), MOST_TOKENS)
        if proposal.unread is None:
            _have_written(run, folder, judges, settings, tell)
        return _read_live(run, folder, judges)


def _replies(folder: Path) -> Replies[Proposal]:
    return Replies(folder / PROPOSAL, open_proposal, save, VERSION)


def _have_written(
    run: RunFolder, folder: Path, judges: list[LiveJudge], settings: JudgeSettings, tell: Tell
) -> None:
    proposal = open_proposal(folder)
    prompt = shown_with(run.task, proposal).prompt(read_pages(folder, proposal))
    tell(f"asking {settings.judge} what that means in this goal ...")
    _replies(folder).have_written(judges, prompt, settings)


def _read_live(run: RunFolder, folder: Path, judges: list[LiveJudge]) -> Proposal:
    """What the reply on disk proposes."""
    proposal = open_proposal(folder)
    shown = shown_with(run.task, proposal)
    change, why = _replies(folder).read(judges[0], lambda text: read_proposal(text, shown))
    return _finished(folder, replace(proposal, change=change, why=why))


def _finished(folder: Path, proposal: Proposal) -> Proposal:
    save(folder, proposal)
    return proposal


# Without a connection ------------------------------------------------------------------------


def write_request(run: RunFolder, folder: Path, out: Path) -> None:
    """Writes the request into a folder, for whoever writes without a connection.

    Doing it again changes nothing.

    Raises:
        InputError: The folder is there already, and not of the same request.
    """
    proposal = open_proposal(folder)
    if (out / REQUEST).is_file() and read_document(out / REQUEST, Request).id == folder.name:
        return
    if not is_free(out):
        raise InputError(f"{out} is there already: choose another folder with --propose")
    pages = [page_name(number) for number in range(1, len(proposal.shown) + 1)]
    read_pages(folder, proposal)
    with new_folder(out) as partial:
        for page in pages:
            shutil.copyfile(folder / PAGES / page, partial / page)
        text = shown_with(run.task, proposal).page(pages, str(run.path))
        write_whole(partial / README, text)
        write_whole(partial / ANSWER, empty_answer())
        write_document(partial / REQUEST, Request(folder.name))


def asked_by(path: Path) -> str:
    """The id of the proposal that a folder, or a file in it, answers; empty where it is none."""
    file = (path if path.is_dir() else path.parent) / REQUEST
    return read_document(file, Request).id if file.is_file() else ""


def take_answer(run: RunFolder, path: Path, writer: str) -> tuple[Path, Proposal]:
    """Makes a proposal of what was written: all of it, or nothing where a fault is in it.

    It takes the place of what was written before; every reply is kept.

    Args:
        run: Of whose goal.
        path: The folder of the request, or a file in it.
        writer: Who wrote.

    Returns:
        The folder of the proposal, and the proposal.

    Raises:
        InputError: There is no such folder or file, or it is of another run; or a line for each
            fault, with the file, the place and the value.
    """
    file = path / ANSWER if path.is_dir() else path
    name = read_name(writer, "--by")
    if not (file.parent / REQUEST).is_file():
        raise InputError(
            f"{file.parent} holds no {REQUEST}: it is not a folder that `volition say RUN "
            "--propose` wrote"
        )
    folder = run.proposals / Path(read_document(file.parent / REQUEST, Request).id).name
    if not (folder / PROPOSAL).is_file():
        raise InputError(f"{file.parent} was not asked of {run.path}: name the run that asked")
    text = written_in(file)
    with exclusively(folder):
        proposal = open_proposal(folder)
        if proposal.change and proposal.replies[-1].raw == text and proposal.writer == name:
            return folder, proposal
        try:
            change, why = read_proposal(text, shown_with(run.task, proposal))
        except Unreadable as faults:
            lines = [f"{file}: {line}" for line in str(faults).splitlines()]
            raise InputError("\n".join(lines)) from None
        replies = (*proposal.replies, GivenReply(name, text))
        done = replace(
            proposal, replies=replies, change=change, why=why, simulated=False, explained=None
        )
        return folder, _finished(folder, done)


# Simulated -----------------------------------------------------------------------------------


def write_by_simulation(run: RunFolder, folder: Path) -> Proposal:
    """Has the simulated writer write, which is for counting alone.

    Raises:
        InputError: It knows no sentence that explains what was overruled.
    """
    with exclusively(folder):
        proposal = open_proposal(folder)
        if proposal.change is not None:
            return proposal
        goal = run.task.goal_in_parts()
        change = write_simulated(
            some(read_preferred(run, folder, JUDGMENTS_FILE)),
            some(read_preferred(run, folder, STOOD)),
            run.task.goal.truth or "",
            (*goal.principles, *goal.vetoes),
        )
        replies = (*proposal.replies, GivenReply(WRITER, change.text))
        return _finished(folder, replace(proposal, change=change, replies=replies, simulated=True))


# Whether it explains what was overruled ------------------------------------------------------


def explain(run: RunFolder, folder: Path, settings: JudgeSettings, tell: Tell) -> Explained:
    """Has the overruled pairs judged by the proposal alone. What was answered is not asked again.

    Args:
        run: Of whose goal.
        folder: Of the proposal, which somebody has written.
        settings: Who judges, and what all of the proposal may cost.
        tell: Is told what is under way.

    Raises:
        InputError: The judge will not do, or the money does not suffice.
        JudgeUnavailable: The judge cannot be asked. What it answered is stored.
    """
    proposal = open_proposal(folder)
    assert proposal.change is not None, "somebody has written"
    judge = make_judge(settings, assignment_of(run.task))
    if proposal.explained is not None and proposal.explained.judge == judge.identity.name:
        return proposal.explained
    preferred = read_preferred(run, folder, JUDGMENTS_FILE)
    sentence = Principle(proposal.change.text, veto=True)
    with exclusively(folder):
        with Store.create(folder / CHECK) as store:
            goal_id = store.add_goal(Goal(sentence.text))
        comparisons = [Comparison.between(goal_id, *pair) for pair in preferred]
        probed = judge.capability.cost_usd if judge.capability else 0.0
        spent = proposal.spent_usd + probed
        _put(folder / CHECK, judge, settings, comparisons, sentence, spent, tell)
        better = [pair[0] == c.first for pair, c in zip(preferred, comparisons, strict=True)]
        explained = _counted(folder / CHECK, judge, comparisons, better, probed)
        save(folder, replace(open_proposal(folder), explained=explained))
    return explained


def _put(
    folder: Path,
    judge: Judge,
    settings: JudgeSettings,
    comparisons: list[Comparison],
    sentence: Principle,
    spent_usd: float,
    tell: Tell,
) -> None:
    most = None if settings.max_usd is None else max(0.0, settings.max_usd - spent_usd)
    limits = Limits(most, None, settings.concurrency, patience_s=settings.patience)
    check_price(judge, limits, comparisons[:1])
    tell(f"asking {settings.judge} about {len(comparisons)} overruled pairs by it alone ...")
    with Judging(folder, limits) as judging:
        judging.ask(judge, comparisons, [sentence])
        waited = ""
        while not judging.wait(TICK_S):
            waiting = judging.standing().waiting_for
            if waiting and not waited:
                tell(waiting)
            waited = waiting


def unexplained(run: RunFolder, folder: Path) -> set[tuple[str, str]]:
    """The overruled pairs, by the ids of their segments, that the proposal alone does not decide as
    the person does, as far as somebody was asked."""
    if not (folder / CHECK).is_dir():
        return set()
    with Store.open(folder / CHECK) as store:
        said = {put.pair: name for name, put in store.put().items()}
        p_first = {p.comparison_id: p.p_first for p in derive_preferences(store.judgments())}
    pairs = set()
    for better, worse in read_preferred(run, folder, JUDGMENTS_FILE):
        comparison = Comparison.between("", better, worse)
        pair = comparison.first.id, comparison.second.id
        if (told := p_first.get(said.get(pair, ""))) is None:
            continue
        if (told if comparison.first == better else 1 - told) < 0.5 + TELLS:
            pairs.add(pair)
    return pairs


def _counted(
    folder: Path,
    judge: Judge,
    comparisons: list[Comparison],
    better: list[bool],
    probed_usd: float,
) -> Explained:
    with Store.open(folder) as store:
        store.check()
        judgments, cost = store.judgments(), store.cost_usd() + probed_usd
    p_first = {
        judgment.comparison_id: undo_order(judgment.outcome, judgment.order)
        for judgment in judgments
        if judgment.judge_id == judge.identity.id and isinstance(judgment.outcome, Verdict)
    }
    pairs = zip(comparisons, better, strict=True)
    p_better = np.array(
        [p_first[c.id] if first else 1 - p_first[c.id] for c, first in pairs if c.id in p_first]
    )
    same, other = int((p_better >= 0.5 + TELLS).sum()), int((p_better <= 0.5 - TELLS).sum())
    ties = len(p_better) - same - other
    name, simulated = judge.identity.name, judge.identity.simulated
    return Explained(name, simulated, same, other, ties, len(comparisons), cost)
