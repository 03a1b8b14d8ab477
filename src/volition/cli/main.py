"""The command line: parse, call, print. Every verb imports what it needs when it is called."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro
from tyro.conf import Positional, arg

from volition.cli.options import (
    NO_JUDGE,
    Folder,
    Json,
    JudgeOptions,
    Kwargs,
    chosen_judge,
    option,
    read_kwargs,
    said_kwargs,
)
from volition.errors import InputError, Interrupted, VolitionError

if TYPE_CHECKING:
    from volition.evidence.scoring import Decided

STARTED = time.perf_counter()


def train(
    task: Annotated[
        Positional[str | None], option("TASK", "A bundled task, or a task folder.")
    ] = None,
    *,
    env: Annotated[
        str | None, option("ID", "In place of TASK: a Gymnasium environment's id.")
    ] = None,
    goal: Annotated[
        str | None,
        option(
            "NAME|TEXT", "One of the task's goals by name; with --env what is wanted, in words."
        ),
    ] = None,
    kwargs: Kwargs = (),
    judgments: Annotated[
        str | None,
        option(
            "SET|PATH",
            "Recorded judgments: one of the task's sets by name, a folder, or a JSONL file.",
        ),
    ] = None,
    live: JudgeOptions = NO_JUDGE,
    reuse: Annotated[
        Path | None, option("RUN", "Take over what the same judge answered in another run.")
    ] = None,
    dry_run: Annotated[
        bool, arg(help="Say what judging will take, and stop.", help_behavior_hint="")
    ] = False,
    symmetries: Annotated[
        bool,
        arg(
            help="Let the reward model use the symmetries that the task declares.",
            help_behavior_hint="",
        ),
    ] = False,
    steps: Annotated[
        int | None, option("N", "Environment steps; by default the task's own.")
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
    from volition.run.run import Run

    _check_numbers(seed, steps=steps)
    chosen = _find_task(task, env, goal).with_kwargs(read_kwargs(kwargs))
    settings = chosen_judge(live, reuse=reuse, dry_run=dry_run)
    if settings and dry_run:
        return _say_prediction(chosen, settings, seed, json)
    run = Run.create(
        chosen,
        judgments,
        out,
        live=settings,
        reuse=reuse,
        steps=steps,
        seed=seed,
        symmetric=symmetries,
    )
    return _advance(run, json)


def _find_task(task: str | None, env: str | None, goal: str | None) -> Any:
    """The task that is named, or one made of an environment's id and a goal in words."""
    from volition.goal import Goal
    from volition.run.creating import task_for
    from volition.tasks.task import Task

    if bool(task) == bool(env):
        raise InputError("give either a TASK or --env ID, not both or neither")
    if not env:
        return Task.find(str(task), goal)
    if not goal:
        raise InputError("--env needs --goal TEXT: what is wanted, in words")
    return task_for(env, Goal(goal))


def _say_prediction(task: Any, settings: Any, seed: int, as_json: bool) -> int:
    from volition.run.creating import predict_judging

    told = predict_judging(task, settings, seed)
    cost = "at a price that is not known" if told.cost_usd is None else f"${told.cost_usd:.4f}"
    long = f"{told.minutes:.0f} minutes" if told.minutes >= 2 else f"{told.minutes * 60:.0f} s"
    requests = "1 request" if told.requests == 1 else f"{told.requests} requests"
    print(
        f"{told.judgments} judgments in {requests} to {settings.judge}: at most "
        f"{told.prompt_tokens:,} tokens in and {told.completion_tokens:,} out, {cost}, about {long}"
    )
    if None not in (told.cost_usd, settings.max_usd) and told.cost_usd > settings.max_usd:
        print(f"that may be more than --max-usd {settings.max_usd:g}: judging would end there")
    if as_json:
        _print_json(told)
    return 0


def resume(run: Folder, *, json: Json = False) -> int:
    """Go on with a run that was stopped or killed, from its last checkpoint."""
    from volition.run.run import Run

    return _advance(Run.open(run), json)


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

    _check_numbers(seed, episodes=episodes)
    played, more = Run.open(run), read_kwargs(kwargs)
    if out is None:
        returns = show_episodes(played, episodes, seed, more)
        for number, value in enumerate(returns):
            print(f"seed {seed + number}: true return {value:.1f} (evaluation only)")
    else:
        print(film_episodes(played, episodes, seed, out, more))
    return 0


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
        _print_json(scored)
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


def ask(
    subject: Annotated[
        Positional[str], option("TASK|RUN", "A bundled task, a task folder, or a run folder.")
    ],
    *,
    out: Annotated[Path, option("FOLDER", "A new folder for the questions.")],
    goal: Annotated[str | None, option("NAME", "One of the task's goals, by name.")] = None,
    kwargs: Kwargs = (),
    pairs: Annotated[int, arg(help="How many comparisons.")] = 60,
    per_sheet: Annotated[
        int | None,
        option("INT", "Comparisons on one sheet; by default 60, of clips fewer."),
    ] = None,
    seed: Annotated[int, arg(help="Of the states that are shown.")] = 0,
    batch: Annotated[
        tuple[str, ...],
        option("PROVIDER:MODEL ...", "Also write files for these models' batch endpoints."),
    ] = (),
    submit: Annotated[
        bool,
        arg(help="Hand the one batch in, at half the live price.", help_behavior_hint=""),
    ] = False,
    max_usd: Annotated[
        float | None, option("USD", "With --submit: what the batch may cost at most.")
    ] = None,
) -> int:
    """Write comparisons for a judge without a live connection: pictures and a form to fill in.

    Of a task they cover its states; of a run they are those that its reward model would learn most
    from.
    """
    from volition.judges.live.batch import check_key
    from volition.run.rounds import ask as ask_about
    from volition.run.rounds import hand_in

    _check_numbers(seed, pairs=pairs, per_sheet=per_sheet)
    if submit and len(batch) != 1:
        raise InputError("--submit hands one batch in: name one model with --batch PROVIDER:MODEL")
    if max_usd is not None and not submit:
        raise InputError("--max-usd limits a batch that is handed in with --submit")
    if submit:
        check_key(batch[0])
    asked = ask_about(
        subject,
        out,
        pairs=pairs,
        per_sheet=per_sheet,
        seed=seed,
        batches=batch,
        goal=goal,
        kwargs=read_kwargs(kwargs),
    )
    if asked.pairs < pairs:
        print(f"warning: a judge could tell only {asked.pairs} pairs apart", file=sys.stderr)
    sheets = "1 sheet" if len(asked.sheets) == 1 else f"{len(asked.sheets)} sheets"
    print(f"{asked.pairs} pairs on {sheets}: {out / 'README.md'} says how to judge them")
    if submit:
        print(f"handed in to {batch[0]} as {hand_in(asked, batch[0], max_usd)}")
        print(f"later: volition answer {out}")
    else:
        print(f"then: volition answer {out} {out / 'answers.csv'} --judge NAME")
    return 0


def answer(
    folder: Annotated[Positional[Path], option("FOLDER", "What `volition ask` wrote.")],
    file: Annotated[
        Positional[Path | None],
        option("FILE", "Answers as JSONL or CSV, or a batch's results; else they are fetched."),
    ] = None,
    *,
    judge: Annotated[
        str | None,
        option("NAME", "Who judged; shown with every result. A batch's results say it."),
    ] = None,
) -> int:
    """Take in the answers to what `ask` wrote: all of them, or none if one is wrong."""
    from volition.run.rounds import answer as take_in

    if judge is not None and not judge.strip():
        raise InputError("--judge needs a name: who judged?")
    answered = take_in(folder, file, judge and judge.strip())
    asked, failures = answered.asked, answered.failures
    print(f"{asked.pairs - len(failures)} answers of {answered.judge} in {folder}")
    for pair, failure in failures.items():
        print(f"warning: pair {pair} has none: {failure.kind}, {failure.message}", file=sys.stderr)
    if asked.contest is not None:
        from volition.evidence.contest import to_count

        print(f"count them: {to_count(asked)}")
    elif asked.run is None:
        named = f" --goal {asked.goal}" if asked.goal else ""
        named += f" --kwargs {said_kwargs(asked.kwargs)}" if asked.kwargs else ""
        print(f"train on them: volition train {asked.task}{named} --judgments {folder}")
        print(f"or measure a run by them: volition score RUN --judgments {folder}")
    else:
        print(f"the run that asked has them too: volition resume {asked.run}")
    return 0


def compare(
    run_a: Annotated[
        Positional[str], option("RUN_A", "A run folder, or any folder with a policy; or random.")
    ],
    run_b: Annotated[Positional[str], option("RUN_B", "Another; or random, the random policy.")],
    *,
    goal: Annotated[
        str | None,
        option("NAME|TEXT", "Another of the task's goals, or in words; by default that of RUN_A."),
    ] = None,
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
    out: Annotated[
        Path | None, option("FOLDER", "What is kept; by default beside the run, named for both.")
    ] = None,
    json: Json = False,
) -> int:
    """Let a judge compare two policies, blind, by clips of their episodes from the same seeds."""
    from volition.evidence.contest import Contest
    from volition.judges.settings import JudgeSettings

    _check_numbers(seed, pairs=pairs)
    if [judge, ask, judgments].count(None) != 2:
        raise InputError(
            "say who judges: one of --judge PROVIDER:MODEL, --ask FOLDER or --judgments FOLDER"
        )
    contest = Contest(run_a, run_b, goal, out=out, pairs=pairs, seed=seed)
    if ask is not None:
        asked = contest.ask(ask)
        print(f"{asked.pairs} pairs: {ask / 'README.md'} says how to judge them")
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
    if json:
        _print_json(result)
    return 0


def tasks() -> int:
    """List the tasks that come with Volition."""
    from volition.tasks.task import BUNDLED, Task, bundled_names

    for name in bundled_names():
        goals = Task.read_all(BUNDLED / name)
        task = next(iter(goals.values()))
        print(f"{name:16} {task.environment.id:24} {task.summary}")
        for goal, each in goals.items():
            if goal is not None:
                is_default = " (default)" if each is task else ""
                print(f"{'':16} --goal {goal}{is_default}: {each.goal.text}")
            if each.judgments:
                default = each.judgments.default
                others = ", ".join(sorted({*each.judgments.sets} - {default})) or "none"
                print(f"{'':16} recorded judgments: {default} (default); others: {others}")
    return 0


def doctor() -> int:
    """Say what is installed, which devices JAX sees, and which judge keys are set."""
    from volition.cli.doctor import findings

    for name, value in findings():
        print(f"{name:28} {value}")
    return 0


VERBS: dict[str, Callable[..., int]] = {
    verb.__name__: verb
    for verb in (
        train,
        resume,
        report,
        play,
        score,
        compare,
        export,
        verify,
        ask,
        answer,
        tasks,
        doctor,
    )
}


def main(arguments: list[str] | None = None) -> int:
    """Entry point; returns the exit code.

    0: done. 1: a clear error. 2: the command line is wrong. 130: stopped by Ctrl-C.
    """
    try:
        code = tyro.extras.subcommand_cli_from_dict(
            VERBS,
            args=arguments,
            prog="volition",
            description="Train agents to do what people mean: judgments in, behaviour out.",
            config=(tyro.conf.FlagCreatePairsOff,),
        )
    except Interrupted as stopped:
        print(stopped, file=sys.stderr)
        return 130
    except VolitionError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:
        return 1
    return int(code)


def _advance(run: Any, as_json: bool) -> int:
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
        _print_json(replace(result, wall_s=time.perf_counter() - STARTED))
    return 0


def _check_numbers(seed: int, **counts: int | None) -> None:
    """That there is at least one of whatever is counted, and that a seed can be used."""
    for name, value in counts.items():
        if value is not None and value < 1:
            raise InputError(f"--{name.replace('_', '-')} must be at least 1, not {value}")
    if seed < 0:
        raise InputError(f"--seed must not be negative: {seed}")


def _print_json(value: object) -> None:
    from volition.storage.documents import as_document

    print(json.dumps(as_document(value)))


if __name__ == "__main__":
    sys.exit(main())
