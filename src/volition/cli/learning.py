"""The verbs that learn, and show what is learned: train, resume, watch, report, play."""

from __future__ import annotations

import shlex
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, arg

from volition.cli.options import (
    NO_JUDGE,
    Clip,
    Env,
    Folder,
    GoalOrText,
    Host,
    Json,
    JudgeOptions,
    Kwargs,
    Port,
    Token,
    chosen_judge,
    made_for,
    needs_pages,
    option,
    print_json,
    read_kwargs,
)
from volition.errors import InputError
from volition.goal import Change, Kind
from volition.tasks.numbers import check_counts

if TYPE_CHECKING:
    from volition.goal import Goal
    from volition.judges.settings import JudgeSettings
    from volition.run.correcting.saying import Plan
    from volition.run.folder import RunFolder
    from volition.run.run import Run
    from volition.tasks.task import Task

STARTED = time.perf_counter()


Recorded = Annotated[
    str | None,
    option(
        "SET|PATH",
        "Recorded judgments: one of the task's sets by name, a folder, or a JSONL file.",
    ),
]
Symmetries = Annotated[
    bool,
    arg(
        help="Let the reward model use the symmetries that the task declares.",
        help_behavior_hint="",
    ),
]


def train(
    task: Annotated[
        Positional[str | None], option("TASK", "A bundled task, or a task folder.")
    ] = None,
    *,
    env: Env = None,
    goal: GoalOrText = None,
    kwargs: Kwargs = (),
    judgments: Recorded = None,
    live: JudgeOptions = NO_JUDGE,
    reuse: Annotated[
        Path | None, option("RUN", "Take over what the same judge answered in another run.")
    ] = None,
    dry_run: Annotated[
        bool, arg(help="Say what judging will take, and stop.", help_behavior_hint="")
    ] = False,
    symmetries: Symmetries = False,
    clip: Clip = False,
    steps: Annotated[
        int | None, option("N", "Environment steps at most; by default the task's own.")
    ] = None,
    seed: Annotated[int, arg(help="Of everything random.")] = 0,
    out: Annotated[
        Path | None, option("FOLDER", "The run folder; by default a new one under runs/.")
    ] = None,
    json: Json = False,
) -> int:
    """Train an agent to reach a goal, on judgments alone.

    Judgments become preferences, preferences a reward model, and the reward model is the only
    signal the policy is trained on. The environment's own reward is measured, never used.
    """
    from volition.cli.display import told_if_slow
    from volition.run.run import Run

    check_counts(seed=seed, steps=steps)
    chosen = _find_task(task, env, goal, judgments).with_kwargs(read_kwargs(kwargs))
    settings = chosen_judge(live, reuse=reuse, dry_run=dry_run)
    if settings and dry_run:
        return _print_prediction(chosen, settings, seed, clip, json)
    what = "choosing what is asked first" if settings else "reading the judgments"
    with told_if_slow(f"trying {chosen.environment.id}, and {what} ..."):
        run = Run.create(
            chosen,
            judgments,
            out,
            live=settings,
            reuse=reuse,
            steps=steps,
            seed=seed,
            symmetric=symmetries,
            clip=clip,
        )
    return _advance(run, json)


def _find_task(task: str | None, env: str | None, goal: str | None, judgments: str | None) -> Task:
    """The task that is named, one made of an environment's id and a goal in words, or else the one
    that judgments were asked about."""
    from volition.drafting.draft import check_finished
    from volition.run.rounds import is_asked, task_asked_about
    from volition.tasks.task import Task

    if env and not task:
        return made_for(env, goal)
    if task and not env:
        check_finished(Path(task))
        return Task.find(task, goal)
    if env or goal or not (judgments and is_asked(Path(judgments))):
        raise InputError("give either a TASK or --env ID, not both or neither")
    return task_asked_about(Path(judgments))


def _print_prediction(
    task: Task, settings: JudgeSettings, seed: int, clip: bool, as_json: bool
) -> int:
    from volition.run.creating import predict_judging

    taken = predict_judging(task, settings, seed, clip)
    cost = "at a price that is not known" if taken.cost_usd is None else f"${taken.cost_usd:.4f}"
    long = f"{taken.minutes:.0f} minutes" if taken.minutes >= 2 else f"{taken.minutes * 60:.0f} s"
    requests = "1 request" if taken.requests == 1 else f"{taken.requests} requests"
    print(
        f"{taken.judgments} judgments in {requests} to {settings.judge}: at most "
        f"{taken.prompt_tokens:,} tokens in and {taken.completion_tokens:,} out, {cost}, "
        f"about {long}"
    )
    limit = settings.max_usd
    if taken.cost_usd is not None and limit is not None and taken.cost_usd > limit:
        print(f"that may be more than --max-usd {limit:g}: judging would end there")
    if as_json:
        print_json(taken)
    return 0


def resume(
    run: Folder,
    *,
    patience: Annotated[
        float | None,
        option("SECONDS", "Wait so long for a judge that does not answer; by default as before."),
    ] = None,
    judgments: Annotated[
        Path | None,
        option("FOLDER", "Take the answers to what `volition say RUN WORDS --ask FOLDER` wrote."),
    ] = None,
    json: Json = False,
) -> int:
    """Go on with a run that was stopped or killed, from its last checkpoint."""
    from volition.run.correcting.saying import take_answers
    from volition.run.folder import RunFolder
    from volition.run.run import Run

    if judgments is not None:
        _with_film_of_finished(RunFolder.open(run))
        take_answers(run, judgments)
    return _advance(Run.open(run, patience=patience), json)


def say(
    run: Folder,
    words: Annotated[
        Positional[str | None], option("WORDS", "What should be otherwise, in one sentence.")
    ] = None,
    *,
    become: Annotated[
        Kind, arg(name="as", help="What the words become: another sentence as the goal, if goal.")
    ] = "principle",
    live: JudgeOptions = NO_JUDGE,
    steps: Annotated[
        int | None, option("N", "Environment steps at most; by default half of the run's own.")
    ] = None,
    ask: Annotated[
        Path | None, option("FOLDER", "Write sheets for a judge who is not connected, and stop.")
    ] = None,
    undo: Annotated[
        bool, arg(help="Go back to the version before.", help_behavior_hint="")
    ] = False,
    list: Annotated[bool, arg(help="List the versions.", help_behavior_hint="")] = False,
    yes: Annotated[bool, arg(help="Do it without asking.", help_behavior_hint="")] = False,
    json: Json = False,
) -> int:
    """Correct a finished run in words: what should be otherwise becomes a part of its goal.

    Of the judgments there are, those that this may change are judged again, a sample of them first;
    the others stay. The run goes on from where it is, as its next version; the one before is kept.
    """
    from volition.cli.display import told_if_slow
    from volition.run.correcting.proposing import propose
    from volition.run.correcting.saying import is_under_way, plan
    from volition.run.correcting.saying import say as begin
    from volition.run.folder import RunFolder
    from volition.run.run import Run

    check_counts(steps=steps)
    folder = RunFolder.open(run)
    if words is None or undo or list:
        return _of_versions(folder, words, undo, list, json)
    last = folder.settings.correction
    said = Change(become, words.strip())
    if not (is_under_way(folder, said) and last is not None and last.live is not None):
        said = propose(folder.task.stated_goal(), words, become)
        planned = plan(folder, said, steps, live.max_judgments)
        if not _is_wanted(planned, yes):
            print("nothing was changed")
            return 0
        if ask is not None:
            return _write_sheets(folder, planned, ask)
        _with_film(folder)
        with told_if_slow(f"changing the goal of {run}, and trying its judge ..."):
            begin(folder, planned, live)
    return _advance(Run.open(run), json)


def _of_versions(
    folder: RunFolder, words: str | None, undo: bool, listed: bool, as_json: bool
) -> int:
    """What `say` does without a correction: goes back to the version before, or lists them."""
    from volition.run.correcting.saying import undo as go_back
    from volition.run.correcting.versions import Versions, told, versions_of

    if words is not None or undo == listed:
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


def _is_wanted(planned: Plan, yes: bool) -> bool:
    """Shows what a correction would do; whether a person wants it."""
    print(f"version {planned.corrected}: {planned.before.text}")
    print("\n".join(_listed(planned.before)), end="\n" if _listed(planned.before) else "")
    print(f"version {planned.version}: {planned.after.text}")
    print("\n".join(_listed(planned.after)), end="\n" if _listed(planned.after) else "")
    print(
        f"{planned.sample} of {planned.judged} judged pairs are judged again first, at most "
        f"{planned.most} in all; then at most {planned.questions} questions about what the policy "
        f"does now, and at most {planned.ends - planned.begun:,} steps"
    )
    if yes:
        return True
    if not sys.stdin.isatty():
        raise InputError("nobody is asked here whether that is meant: give --yes")
    return input("is that what you mean? [y/N] ").strip().lower() in ("y", "yes")


def _listed(goal: Goal) -> list[str]:
    principles = [f"  - {text}" for text in goal.principles]
    return [*principles, *(f"  - veto: {text}" for text in goal.vetoes)]


def _write_sheets(folder: RunFolder, planned: Plan, out: Path) -> int:
    from volition.run.correcting.saying import write_sheets

    questions = write_sheets(folder, planned, out)
    sheets = "1 sheet" if len(questions.sheets) == 1 else f"{len(questions.sheets)} sheets"
    print(f"{questions.pairs} pairs on {sheets}: {out / 'README.md'} says how to judge them")
    then = ["volition", "answer", str(out), str(out / "answers.csv"), "--judge", "NAME"]
    print(f"then: {shlex.join(then)}")
    print(f"and: {shlex.join(['volition', 'resume', str(folder.path), '--judgments', str(out)])}")
    return 0


def _with_film_of_finished(folder: RunFolder) -> None:
    if folder.result.is_file():
        _with_film(folder)


def _with_film(folder: RunFolder) -> None:
    """Films what is left, where nobody has: every version keeps its film."""
    from volition.evidence.report import write_report
    from volition.run.run import Run

    if not (folder.film.is_file() and folder.report.is_file()):
        write_report(Run(folder))


def watch(
    run: Annotated[
        Positional[Path], option("RUN|FOLDER", "A run, or a folder of runs; by default runs/.")
    ] = Path("runs"),
    *,
    host: Host = "127.0.0.1",
    port: Port = None,
    token: Token = "",
) -> int:
    """Watch runs in the browser while they learn, compare them, pause or stop them, until Ctrl-C.

    Ending it stops no run.
    """
    serving = needs_pages()
    from volition.web.watching import watch as serve_runs

    def tell(address: str) -> None:
        print(f"open {address}", flush=True)
        print("Ctrl-C ends the page, and stops no run", file=sys.stderr)

    serve_runs(run, serving.Address(host, port, token), tell)
    return 0


def report(run: Folder) -> int:
    """Write a run's report.html and film anew."""
    from volition.evidence.report import write_report
    from volition.run.run import Run

    print(write_report(Run.open(run)))
    return 0


def play(
    run: Folder,
    *,
    episodes: Annotated[int, arg(help="How many.")] = 1,
    seed: Annotated[int, arg(help="Of the first episode.")] = 0,
    out: Annotated[
        Path | None, option("FILE", "Write an MP4 film instead of opening a window.")
    ] = None,
    kwargs: Kwargs = (),
) -> int:
    """Watch the learned policy act."""
    from volition.evidence.playing import film_episodes, show_episodes
    from volition.run.run import Run

    check_counts(seed=seed, episodes=episodes)
    played, more = Run.open(run), read_kwargs(kwargs)
    if out is None:
        returns = show_episodes(played, episodes, seed, more)
        for number, value in enumerate(returns):
            print(f"seed {seed + number}: true return {value:.1f} (evaluation only)")
    else:
        print(film_episodes(played, episodes, seed, out, more))
    return 0


def _advance(run: Run, as_json: bool) -> int:
    from volition.cli.display import Display
    from volition.evidence.report import write_report
    from volition.run.results import Progress

    print(f"run folder: {run.folder.path}", file=sys.stderr)
    with Display() as display:
        result = run.advance(display)
        display(
            Progress(
                "report",
                judgments=result.judgments,
                env_steps=result.env_steps,
                total_steps=result.env_steps,
                heldout_accuracy=result.heldout_accuracy,
            )
        )
        page = write_report(run)
    for warning in result.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    print(
        f"{result.task}: true return {result.return_mean:.1f} ± {result.return_std:.1f} "
        f"over {result.episodes} episodes (evaluation only), learned from "
        f"{result.judgments} judgments of {result.judge}, ${result.cost_usd:.2f}"
    )
    for name, mean in result.measures.items():
        print(f"{name}: {mean:.4g} on average (evaluation only)")
    print(f"report: {page}")
    if as_json:
        print_json(replace(result, wall_s=time.perf_counter() - STARTED))
    return 0
