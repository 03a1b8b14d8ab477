"""The verbs that learn, and show what is learned: train, resume, watch, report, play."""

from __future__ import annotations

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
from volition.errors import InputError, JudgeUnavailable
from volition.tasks.numbers import check_counts

if TYPE_CHECKING:
    from volition.judges.settings import JudgeSettings
    from volition.run.folder import RunFolder
    from volition.run.results import Listener, Result
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
Force = Annotated[
    bool, arg(help="Train also on a judge that is certified RED.", help_behavior_hint="")
]
Track = Annotated[
    tuple[str, ...],
    option("NAME ...", "Also tell its curves to wandb or trackio; TensorBoard's are kept."),
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
    force: Force = False,
    clip: Clip = False,
    steps: Annotated[
        int | None, option("N", "Environment steps at most; by default the task's own.")
    ] = None,
    track: Track = (),
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
    if settings:
        _warn_of_judge(chosen, settings, force)
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
            track=track,
        )
    return advance(run, json)


def _warn_of_judge(task: Task, settings: JudgeSettings, forced: bool) -> None:
    """Says what its certificate has against a judge, and refuses one that is RED."""
    from volition.certifying.standing import check

    if warning := check(task, settings, forced):
        print(f"warning: {warning}", file=sys.stderr)


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
        option(
            "FOLDER",
            "Take the answers to what `volition say RUN WORDS --ask FOLDER` wrote, or to what "
            "another run of the same goal asked.",
        ),
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
    return advance(Run.open(run, patience=patience), json)


def _with_film_of_finished(folder: RunFolder) -> None:
    if folder.result.is_file():
        with_film(folder)


def with_film(folder: RunFolder) -> None:
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
        for number, (value, done) in enumerate(show_episodes(played, episodes, seed, more)):
            stages = (
                "" if done is None else f", {done} of {len(played.folder.task.goal.stages)} stages"
            )
            print(f"seed {seed + number}: true return {value:.1f} (evaluation only){stages}")
    else:
        print(film_episodes(played, episodes, seed, out, more))
    return 0


def advance(run: Run, as_json: bool) -> int:
    """Goes on with a run, writes its report, and says what came of it."""
    from volition.cli.display import Display

    print(f"run folder: {run.folder.path}", file=sys.stderr)
    with Display() as display:
        result = run.advance(display)
        compared, failed = _compare_versions(run, display)
        page = _show_report(run, result, display)
    for warning in result.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    print(
        f"{result.task}: true return {result.return_mean:.1f} ± {result.return_std:.1f} "
        f"over {result.episodes} episodes (evaluation only), learned from "
        f"{result.judgments} judgments of {result.judge}, ${result.cost_usd:.2f}"
    )
    for name, mean in result.measures.items():
        print(f"{name}: {mean:.4g} on average (evaluation only)")
    if result.stages_done is not None:
        stages = len(run.folder.task.goal.stages)
        print(f"stages done: {result.stages_done:.4g} of {stages} on average, as was learned")
    if compared:
        print(compared)
    print(f"report: {page}")
    if failed is not None:
        raise failed
    if as_json:
        print_json(replace(result, wall_s=time.perf_counter() - STARTED))
    return 0


def _compare_versions(run: Run, listener: Listener) -> tuple[str, JudgeUnavailable | None]:
    """What came of comparing a corrected run with the version before, as a line; or why it stopped,
    which is no reason not to show what was learned."""
    if not run.folder.settings.corrections:
        return "", None
    from volition.evidence.comparing.versions import compare_with_before

    try:
        compared = compare_with_before(run, listener)
    except JudgeUnavailable as error:
        return "", error
    return compared.told if compared else "", None


def _show_report(run: Run, result: Result, listener: Listener) -> Path:
    from volition.evidence.report import write_report
    from volition.run.results import Progress

    listener(
        Progress(
            "report",
            judgments=result.judgments,
            env_steps=result.env_steps,
            total_steps=result.env_steps,
            heldout_accuracy=result.heldout_accuracy,
        )
    )
    return write_report(run)
