"""The verbs that examine: score, compare, export, verify."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, arg

from volition.cli.options import (
    Folder,
    Json,
    option,
    print_json,
)
from volition.errors import InputError
from volition.tasks.numbers import check_counts

if TYPE_CHECKING:
    from volition.evidence.comparing.contest import Contest
    from volition.evidence.scoring import Decided


def score(
    run: Folder,
    *,
    judgments: Annotated[
        Path, arg(help="A folder of recorded judgments, a JSONL file, or one of the task's sets.")
    ],
    json: Json = False,
) -> int:
    """Measure a run's reward model on judgments that it never saw."""
    from volition.evidence.scoring import score_run
    from volition.run.run import Run

    scored = score_run(Run.open(run), judgments)
    _print_score(scored)
    for veto in scored.vetoes:
        print(f"by the veto “{veto.principle}” alone:")
        _print_score(veto)
    if json:
        print_json(scored)
    return 0


def _print_score(scored: Decided) -> None:
    if scored.comparisons:
        low, high = scored.interval
        print(
            f"{scored.accuracy:.2%} of {scored.comparisons} comparisons decided as the judge "
            f"did (95% Wilson interval {low:.2%} to {high:.2%})"
        )
    print(
        f"left out: {scored.ties} ties of the judge, {scored.seen} comparisons that the run "
        "was trained on"
    )


OtherGoal = Annotated[
    str | None,
    option(
        "NAME|TEXT",
        "Another of the task's goals, one of its principles alone, or in words; by default that of "
        "RUN_A, all of it where that was corrected.",
    ),
]
KeptIn = Annotated[
    Path | None,
    option(
        "FOLDER", "What is kept; by default beside the run, named for both, of two versions in it."
    ),
]


def compare(
    run_a: Annotated[
        Positional[str], option("RUN_A", "A run folder, or any folder with a policy; or random.")
    ],
    run_b: Annotated[Positional[str], option("RUN_B", "Another; or random, the random policy.")],
    *,
    goal: OtherGoal = None,
    judge: Annotated[
        str | None, option("PROVIDER:MODEL", "Who compares; none that RUN_A or RUN_B learned from.")
    ] = None,
    base_url: Annotated[str | None, option("URL", "Ask there, as for train.")] = None,
    max_usd: Annotated[float | None, option("USD", "Spend no more than this, in all.")] = None,
    ask: Annotated[
        Path | None, option("FOLDER", "Write the pairs for a judge without a live connection.")
    ] = None,
    judgments: Annotated[
        Path | None, option("FOLDER", "Take the answers to it from here, after `volition answer`.")
    ] = None,
    same_judge: Annotated[
        bool,
        arg(help="Let a judge compare that one of the two learned from.", help_behavior_hint=""),
    ] = False,
    pairs: Annotated[
        int | None, option("N", "Episodes of each, from the same seeds; by default 40.")
    ] = None,
    seed: Annotated[int, arg(help="Of the sides, and of the random policy.")] = 0,
    out: KeptIn = None,
    json: Json = False,
) -> int:
    """Let a judge compare two policies, blind, by clips of their episodes from the same seeds."""
    from volition.cli.display import told_if_slow
    from volition.evidence.comparing.contest import Contest
    from volition.judges.settings import JudgeSettings

    check_counts(seed=seed, pairs=pairs)
    if [judge, ask, judgments].count(None) != 2:
        raise InputError(
            "say who judges: one of --judge PROVIDER:MODEL, --ask FOLDER or --judgments FOLDER"
        )
    with told_if_slow(f"{run_a} and {run_b} act, from the same seeds ..."):
        contest = Contest(run_a, run_b, goal, out=out, pairs=pairs, seed=seed)
    if ask is not None:
        questions = contest.ask(ask)
        print(f"{questions.pairs} pairs: {ask / 'README.md'} says how to judge them")
        print(f"then: volition answer {ask} {ask / 'answers.csv'} --judge NAME")
        return 0
    if judge is not None:
        settings = JudgeSettings(judge, len(contest.rows), max_usd, base_url)
        contest.put_to(settings, same_judge)
    elif judgments is not None:
        contest.take_in(judgments, same_judge)
    result = contest.conclude()
    print(result.summary)
    print(f"page: {contest.page}")
    _show_on_its_page(contest)
    if json:
        print_json(result)
    return 0


def _show_on_its_page(contest: Contest) -> None:
    """Writes the page of a run anew, of which two versions were compared."""
    from volition.evidence.report import write_report
    from volition.run.run import Run

    if contest.is_of_versions and contest.a.home is not None:
        run = Run.open(contest.a.home)
        if run.folder.result.is_file():
            print(f"report: {write_report(run)}")


def export(
    run: Folder,
    *,
    out: Annotated[Path | None, option("FOLDER", "A new folder; by default RUN/export.")] = None,
) -> int:
    """Write a run's judgments as JSONL and Parquet, one comparison a row."""
    from volition.evidence.export import export as export_run
    from volition.run.folder import RunFolder

    count, files = export_run(RunFolder.open(run), out or run / "export")
    print(f"{count} comparisons in {' and '.join(map(str, files))}")
    return 0


def verify(run: Folder) -> int:
    """Check a run: re-hash every frame, follow every reference, derive every preference again."""
    from volition.evidence.verification import verify as verify_run
    from volition.run.folder import RunFolder

    defects = verify_run(RunFolder.open(run))
    for defect in defects:
        print(defect, file=sys.stderr)
    print(f"{run}: {len(defects)} defects" if defects else f"{run}: all is well")
    return 1 if defects else 0
