"""The verb that corrects a run: say."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, arg

from volition.cli.correcting.proposing import Remark, proposed
from volition.cli.learning import advance, with_film
from volition.cli.options import (
    NO_JUDGE,
    Batches,
    Folder,
    Json,
    JudgeOptions,
    PerSheet,
    option,
    print_json,
)
from volition.errors import InputError
from volition.goal import Kind
from volition.judges.settings import JudgeSettings
from volition.tasks.numbers import check_counts

if TYPE_CHECKING:
    from volition.goal import Goal
    from volition.run.correcting.saying import Plan
    from volition.run.folder import RunFolder


Compare = Annotated[
    int | None,
    option(
        "N",
        "Let the judge compare it with the version before on so many pairs of episodes, blind; by "
        "default 40, of --max-judgments a quarter at most; 0 for none.",
    ),
]
Overruled = Annotated[
    Path | None,
    option(
        "FOLDER|FILE",
        "In place of WORDS: what you overruled in what `volition ask RUN --verdicts` wrote. "
        "The shortest sentence that explains it is proposed.",
    ),
]


def say(
    run: Folder,
    words: Annotated[
        Positional[str | None], option("WORDS", "What should be otherwise, in one sentence.")
    ] = None,
    *,
    become: Annotated[
        Kind | None,
        arg(
            name="as",
            metavar="{principle,veto,goal}",
            help="What the words become, as they stand: another sentence as the goal, if goal. "
            "Left out, a live judge proposes that and the sentence; else it is a principle. With "
            "--overruled or --answer another kind than is proposed.",
            help_behavior_hint="",
        ),
    ] = None,
    overruled: Overruled = None,
    by: Annotated[str, option("NAME", "Who overrules; with --answer who wrote it.")] = "",
    propose: Annotated[
        Path | None,
        option("FOLDER", "Write what a proposal takes there, for whoever is not connected."),
    ] = None,
    answer: Annotated[
        Path | None, option("FOLDER|FILE", "Take what was written there as the proposal.")
    ] = None,
    live: JudgeOptions = NO_JUDGE,
    steps: Annotated[
        int | None, option("N", "Environment steps at most; by default half of the run's own.")
    ] = None,
    compare: Compare = None,
    ask: Annotated[
        Path | None, option("FOLDER", "Write sheets for a judge who is not connected, and stop.")
    ] = None,
    per_sheet: PerSheet = None,
    batch: Batches = (),
    undo: Annotated[
        bool, arg(help="Go back to the version before.", help_behavior_hint="")
    ] = False,
    list: Annotated[bool, arg(help="List the versions.", help_behavior_hint="")] = False,
    yes: Annotated[bool, arg(help="Do it without asking.", help_behavior_hint="")] = False,
    json: Json = False,
) -> int:
    """Correct a finished run in words: what should be otherwise becomes a part of its goal.

    Of the judgments there are, those that this may change are judged again, a sample of them first;
    the others stay. The run goes on from where it is, as its next version; the one before is kept,
    and the judge compares the two, blind.
    """
    from volition.run.folder import RunFolder

    check_counts(steps=steps, per_sheet=per_sheet)
    _check_said(compare, ask, per_sheet, batch)
    folder = RunFolder.open(run)
    said = Remark(words, become, overruled, by, propose, answer)
    if said.ways == [] or undo or list:
        return _of_versions(folder, said.ways, undo, list, json)
    said.check()
    return _say(folder, said, Taken(live, steps, compare, ask, per_sheet, batch, yes), json)


@dataclass(frozen=True, slots=True)
class Taken:
    """What a correction may take, and how far it goes, as options have it."""

    live: JudgeSettings
    steps: int | None
    compare: int | None
    ask: Path | None
    per_sheet: int | None
    batch: Sequence[str]
    yes: bool


def _say(folder: RunFolder, remark: Remark, taken: Taken, as_json: bool) -> int:
    from volition.cli.display import told_if_slow
    from volition.run.correcting.saying import is_under_way, plan
    from volition.run.correcting.saying import say as begin
    from volition.run.run import Run

    said, proposal = proposed(folder, remark, taken.live, taken.ask is not None)
    if said is None:
        return 0
    last = folder.settings.correction
    known = proposal.name if proposal else ""
    if not (is_under_way(folder, said, known) and last is not None and last.live is not None):
        most, compare = taken.live.max_judgments, taken.compare
        planned = plan(folder, said, taken.steps, most, compare, proposal)
        then = "" if taken.ask is not None else _then_compared(planned, compare)
        if not _is_wanted(planned, then, taken.yes):
            print("nothing was changed")
            return 0
        if taken.ask is not None:
            return _write_sheets(folder, planned, taken.ask, taken.per_sheet, taken.batch)
        with_film(folder)
        with told_if_slow(f"changing the goal of {folder.path}, and trying its judge ..."):
            begin(folder, planned, taken.live)
    return advance(Run.open(folder.path), as_json)


def _check_said(
    compare: int | None, ask: Path | None, per_sheet: int | None, batch: Sequence[str]
) -> None:
    """That options of sheets come with sheets, and a number of pairs is one."""
    if compare is not None and compare < 0:
        raise InputError(f"--compare must be at least 0, not {compare}: 0 compares nothing")
    if ask is None and (per_sheet or batch):
        name = "--per-sheet" if per_sheet else "--batch"
        raise InputError(f"{name} is of the sheets that --ask FOLDER writes: give --ask, too")
    if ask is not None and compare:
        raise InputError(
            "--compare needs a judge that is connected: without one, compare the versions later "
            "with volition compare RUN RUN/versions/N --ask FOLDER"
        )


def _of_versions(
    folder: RunFolder, ways: Sequence[str], undo: bool, listed: bool, as_json: bool
) -> int:
    """What `say` does without a correction: goes back to the version before, or lists them."""
    from volition.run.correcting.saying import undo as go_back
    from volition.run.correcting.versions import Versions, told, versions_of

    if ways or undo == listed:
        raise InputError(
            'say what should be otherwise, as in volition say RUN "not so close", or else give '
            "--undo or --list"
        )
    if undo:
        folder = go_back(folder.path)
    with folder.open_store() as store:
        versions = versions_of(folder, store)
    if undo:
        print(f"{folder.path} is version {folder.settings.version} again")
    elif not versions:
        print(f"{folder.path} has one version: nothing was said of it")
    else:
        print("\n".join(told(versions)))
    if as_json:
        print_json(Versions(folder.settings.version, tuple(versions)))
    return 0


def _then_compared(planned: Plan, chosen: int | None) -> str:
    """What a person is told of comparing the version that a correction would make."""
    both = f"version {planned.version} and version {planned.corrected}"
    if planned.compare:
        return f"then at most {planned.compare} pairs of episodes of {both}, blind"
    if chosen == 0:
        return ""
    few = "too few judgments are left for that; give more, or say how many with --compare N"
    return f"{both} are not compared then: {few}"


def _is_wanted(planned: Plan, then: str, yes: bool) -> bool:
    """Shows what a correction would do; whether a person wants it."""
    print(f"version {planned.corrected}: {planned.before.text}")
    print("\n".join(_listed(planned.before)), end="\n" if _listed(planned.before) else "")
    print(f"version {planned.version}: {planned.after.text}")
    print("\n".join(_listed(planned.after)), end="\n" if _listed(planned.after) else "")
    if planned.before.pictures and not planned.after.pictures:
        print("without its goal pictures, since they show what was meant before")
    print(
        f"{planned.sample} of {planned.judged} judged pairs are judged again first, at most "
        f"{planned.most} in all; then at most {planned.questions} questions about what the policy "
        f"does now, and at most {planned.ends - planned.begun:,} steps"
    )
    if then:
        print(then)
    if yes:
        return True
    if not sys.stdin.isatty():
        raise InputError("nobody is asked here whether that is meant: give --yes")
    return input("is that what you mean? [y/N] ").strip().lower() in ("y", "yes")


def _listed(goal: Goal) -> list[str]:
    principles = [f"  - {text}" for text in goal.principles]
    return [*principles, *(f"  - veto: {text}" for text in goal.vetoes)]


def _write_sheets(
    folder: RunFolder, planned: Plan, out: Path, per_sheet: int | None, batch: Sequence[str]
) -> int:
    from volition.run.correcting.saying import write_sheets

    questions = write_sheets(folder, planned, out, per_sheet, batch)
    sheets = "1 sheet" if len(questions.sheets) == 1 else f"{len(questions.sheets)} sheets"
    print(f"{questions.pairs} pairs on {sheets}: {out / 'README.md'} says how to judge them")
    then = ["volition", "answer", str(out), str(out / "answers.csv"), "--judge", "NAME"]
    print(f"then: {shlex.join(then)}")
    print(f"and: {shlex.join(['volition', 'resume', str(folder.path), '--judgments', str(out)])}")
    return 0
