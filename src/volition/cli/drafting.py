"""The verb that makes a goal of a wish: draft."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, arg

from volition.cli.options import (
    JUDGE_OPTIONS,
    NO_JUDGE,
    Env,
    Json,
    Kwargs,
    described,
    made_for,
    option,
    print_json,
    read_kwargs,
)
from volition.errors import InputError
from volition.judges.settings import JudgeSettings
from volition.tasks.numbers import check_counts

if TYPE_CHECKING:
    from volition.drafting.asking import Wanted
    from volition.drafting.draft import Draft

DRAFTS = Path("drafts")
OF_JUDGES = (
    *("base_url", "max_usd", "price_in", "price_out", "reasoning_tokens"),
    *("samples", "per_request", "concurrency"),
)
WRITER_OPTIONS = {
    "judge": option(
        "PROVIDER:MODEL", "Who writes, or compares with --check; with --answer the name of who did."
    ),
    **{name: JUDGE_OPTIONS[name] for name in OF_JUDGES},
    "patience": arg(
        metavar="SECONDS",
        help="Wait so long for a judge that does not answer. Then stop: the same command goes on.",
    ),
}
WriterOptions = Annotated[
    JudgeSettings, arg(name="", constructor=described(JudgeSettings, WRITER_OPTIONS))
]


def draft(
    subject: Annotated[
        Positional[str | None],
        option("TASK|DRAFT", "A task, whose environment is taken; or a draft, to approve it."),
    ] = None,
    *,
    env: Env = None,
    goal: Annotated[
        str | None,
        option("WISH", "What is wished, in words; of a TASK also one of its goals by name."),
    ] = None,
    kwargs: Kwargs = (),
    live: WriterOptions = NO_JUDGE,
    out: Annotated[
        Path | None, option("FOLDER", "The draft; by default one under drafts/.")
    ] = None,
    ask: Annotated[
        Path | None, option("FOLDER", "Write the request there, for others; with --check, sheets.")
    ] = None,
    answer: Annotated[
        Path | None, option("FOLDER|FILE", "Take in what came there, all of it or nothing.")
    ] = None,
    approve: Annotated[
        bool, arg(help="Approve a draft as it stands now.", help_behavior_hint="")
    ] = False,
    yes: Annotated[
        bool, arg(help="Approve it at once, unread: for scripts.", help_behavior_hint="")
    ] = False,
    check: Annotated[
        bool,
        arg(help="Have a few pairs judged by each principle of a draft.", help_behavior_hint=""),
    ] = False,
    pictures: Annotated[int, arg(metavar="N", help="How many are shown, at most.")] = 16,
    clip: Annotated[
        bool, arg(help="Show clips, also where the task does not say so.", help_behavior_hint="")
    ] = False,
    seed: Annotated[int, arg(help="Of which pictures.")] = 0,
    json: Json = False,
) -> int:
    """Let a model that sees an environment write what a wish means there, for you to edit.

    It becomes a task folder: one goal, principles and vetoes, each with the picture that led to
    it, and stages where the wish takes several things in turn. Nothing trains on it before it is
    approved.
    """
    check_counts(seed=seed, pictures=pictures)
    ways = {"--out": out, "--ask": ask, "--answer": answer, "--approve": approve, "--check": check}
    _check_ways([name for name, way in ways.items() if way not in (None, False)], live.judge)
    if approve or check:
        folder = _folder(subject, "--approve" if approve else "--check")
        return _approve(folder, json) if approve else _check(folder, live, ask, answer, json)
    if answer is not None:
        from volition.drafting.asking import take_answer

        folder, taken = take_answer(answer, live.judge)
        return _finish(folder, taken, yes, json)
    wanted = replace(_wanted(subject, env, goal, kwargs), count=pictures, seed=seed, clip=clip)
    if ask is not None:
        return _ask(ask, wanted, json)
    return _write(out or DRAFTS / wanted.task.name, wanted, live, yes, json)


def _check_ways(ways: Sequence[str], judge: str) -> None:
    """That one thing is to be done, with a judge where one is needed."""
    by_sheets = list(ways) in (["--ask", "--check"], ["--answer", "--check"])
    if len(ways) > 1 and not by_sheets:
        raise InputError(f"give one of {', '.join(ways)}")
    way = ways[0] if ways else "--out"
    if by_sheets or way in ("--ask", "--approve"):
        if judge:
            why = "the answers say who judged" if way == "--answer" else "nobody is asked then"
            raise InputError(f"--judge does not go with {' '.join(reversed(ways))}: {why}")
    elif not judge.strip():
        who = {"--answer": "who wrote it", "--check": "who compares: PROVIDER:MODEL"}
        raise InputError(
            f"--judge says {who[way]}"
            if way in who
            else "--judge says who writes: PROVIDER:MODEL; or let anybody write, by --ask FOLDER"
        )


def _folder(subject: str | None, way: str) -> Path:
    if not subject:
        raise InputError(f"{way} needs the folder of a draft: volition draft FOLDER {way}")
    return Path(subject)


def _wanted(
    subject: str | None, env: str | None, goal: str | None, kwargs: Sequence[str]
) -> Wanted:
    from volition.drafting.asking import Wanted
    from volition.drafting.draft import is_draft
    from volition.tasks.task import Task

    if bool(subject) == bool(env):
        raise InputError("give either a TASK or --env ID, with the wish as --goal")
    if env:
        task = made_for(env, goal)
    else:
        task = Task.find(str(subject))
        if is_draft(task.folder):
            raise InputError(f"{subject} is a draft: --check or --approve it")
        goals = Task.read_all(task.folder)
        task = goals.get(goal, task)
        goal = goal if goal is not None and goal not in goals else task.goal.text
    return Wanted(task.with_kwargs(read_kwargs(kwargs)), goal or "", count=0)


def _tell(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


def _ask(folder: Path, wanted: Wanted, as_json: bool) -> int:
    from volition.drafting.asking import README, draft_asked
    from volition.drafting.summary import summary

    asked = draft_asked(folder, wanted, _tell)
    print(f"{len(asked.shown)} pictures: {folder / README} says what is to be written")
    print(f"then: {shlex.join(['volition', 'draft', '--answer', str(folder), '--judge', 'NAME'])}")
    if as_json:
        print_json(summary(folder))
    return 0


def _write(folder: Path, wanted: Wanted, live: JudgeSettings, yes: bool, as_json: bool) -> int:
    from volition.drafting.asking import draft_live

    return _finish(folder, draft_live(folder, wanted, live, _tell), yes, as_json)


def _finish(folder: Path, done: Draft, yes: bool, as_json: bool) -> int:
    from volition.drafting.draft import CONSTITUTION, approve, is_approved
    from volition.drafting.summary import summary
    from volition.evidence.draft_page import write_page

    if yes:
        approve(folder)
    page = write_page(folder)
    _print_proposal(done)
    print(f"page: {page}")
    if is_approved(folder):
        print(f"approved; then: {shlex.join(['volition', 'train', str(folder)])} --judge ...")
    else:
        print(f"read and edit {folder / CONSTITUTION}")
        print(f"then: {shlex.join(['volition', 'draft', str(folder), '--approve'])}")
    if as_json:
        print_json(summary(folder))
    return 0


def _check(
    folder: Path, live: JudgeSettings, ask: Path | None, answer: Path | None, as_json: bool
) -> int:
    from volition.drafting.asking import README
    from volition.drafting.checking import check_draft, take_check, write_check
    from volition.drafting.summary import summary
    from volition.evidence.draft_page import write_page
    from volition.judging.folders import FORM_FILE

    if ask is not None:
        asked = write_check(folder, ask, _tell)
        print(f"{asked.pairs} pairs on {len(asked.sheets)} sheets: {ask / README} says what to do")
        filled = str(ask / FORM_FILE)
        print(f"then: {shlex.join(['volition', 'answer', str(ask), filled, '--judge', 'NAME'])}")
        then = ["volition", "draft", str(folder), "--check", "--answer", str(ask)]
        print(f"and: {shlex.join(then)}")
        return 0
    check = check_draft(folder, live, _tell) if answer is None else take_check(folder, answer)
    page = write_page(folder)
    by = f"the simulated judge {check.judge}" if check.simulated else check.judge
    print(f"{by} on {check.pairs} pairs by each, {check.ties_share:.0%} ties:")
    for sentence in check.sentences:
        print(f"{'veto' if sentence.veto else 'principle'}: {sentence.text}")
        for finding in sentence.findings or ("nothing found",):
            print(f"  {finding}")
    print(f"page: {page}")
    if as_json:
        print_json(summary(folder))
    return 0


def _approve(folder: Path, as_json: bool) -> int:
    from volition.drafting.draft import approve
    from volition.drafting.summary import summary
    from volition.evidence.draft_page import write_page

    goal = approve(folder)
    write_page(folder)
    for kind, text in (
        ("goal", goal.text),
        *(("principle", text) for text in goal.principles),
        *(("veto", text) for text in goal.vetoes),
        *(("stage", f"{stage.text} (done: {stage.done})") for stage in goal.stages),
    ):
        print(f"{kind}: {text}")
    print(f"approved; then: {shlex.join(['volition', 'train', str(folder)])} --judge ...")
    if as_json:
        print_json(summary(folder))
    return 0


def _print_proposal(done: Draft) -> None:
    proposal = done.proposal
    if proposal is None:
        return
    print(f"{done.writer} makes of {done.subject.wish!r}:")
    print(f"goal: {proposal.goal}")
    for kind, sentences in (("principle", proposal.principles), ("veto", proposal.vetoes)):
        for sentence in sentences:
            why = f": {sentence.why}" if sentence.why else ""
            print(f"{kind}: {sentence.text} (picture {sentence.picture}{why})")
    for stage in proposal.stages:
        print(f"stage: {stage.text} (done: {stage.done})")
    for question in proposal.questions:
        print(f"it asks: {question}")
