"""The command line: parse, call, print. Every verb imports what it needs when it is called."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro
from tyro.conf import Positional, arg

from volition.errors import InputError, Interrupted, VolitionError


def option(metavar: str, help: str) -> Any:
    """An option whose help shows neither Python's types nor an absent default."""
    return arg(metavar=metavar, help=help, help_behavior_hint="")


Json = Annotated[
    bool,
    arg(help="Make the last line of standard output one JSON object.", help_behavior_hint=""),
]
STARTED = time.perf_counter()

Folder = Annotated[Positional[Path], arg(metavar="RUN", help="A run folder.")]


@dataclass(frozen=True)
class Live:
    """A judge that is asked while you wait, in place of recorded judgments."""

    judge: Annotated[
        str | None,
        option(
            "PROVIDER:MODEL",
            "Such as openai:gpt-6-luna; providers: openai, anthropic, gemini, local, simulated.",
        ),
    ] = None
    base_url: Annotated[
        str | None, option("URL", "Ask there: any server that speaks the provider's protocol.")
    ] = None
    max_usd: Annotated[float | None, option("USD", "Spend no more than this, in all.")] = None
    max_judgments: Annotated[
        int | None, option("N", "Ask no more than this; by default the task's own number.")
    ] = None
    price_in: Annotated[
        float | None, option("USD", "Price of a million tokens that go in, if it is not known.")
    ] = None
    price_out: Annotated[float | None, option("USD", "Likewise of those that come out.")] = None
    per_request: Annotated[
        int,
        arg(metavar="N", help="Put so many comparisons into one request, on one contact sheet."),
    ] = 1
    samples: Annotated[
        int,
        arg(
            metavar="N", help="Ask so often where a judge gives no probabilities: the share counts."
        ),
    ] = 1
    concurrency: Annotated[int, arg(metavar="N", help="Requests under way at once, at most.")] = 32
    explain: Annotated[bool, arg(help="Let the judge say why.", help_behavior_hint="")] = False
    first: Annotated[
        int | None,
        option("N", "Judge so many before learning begins, the others meanwhile; by default the "
               "task's own number."),
    ] = None  # fmt: skip
    querying: Annotated[
        Literal["information", "disagreement", "uniform"],
        arg(help="How the others are chosen from what the policy reaches."),
    ] = "information"
    reuse: Annotated[
        Path | None, option("RUN", "Take over what the same judge answered in another run.")
    ] = None
    dry_run: Annotated[
        bool, arg(help="Say what judging will take, and stop.", help_behavior_hint="")
    ] = False


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
    judgments: Annotated[
        str | None,
        option(
            "SET|PATH",
            "Recorded judgments: one of the task's sets by name, a folder, or a JSONL file.",
        ),
    ] = None,
    live: Annotated[Live, arg(name="")] = Live(),
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
    from volition.goal import Goal
    from volition.loop import Run, task_for
    from volition.task import Task

    if (task is None) == (env is None):
        raise InputError("give either a TASK or --env ID, not both or neither")
    if env is not None and goal is None:
        raise InputError("--env needs --goal TEXT: what is wanted, in words")
    if steps is not None and steps < 1:
        raise InputError(f"--steps must be at least 1, not {steps}")
    if seed < 0:
        raise InputError(f"--seed must not be negative: {seed}")
    chosen = task_for(env, Goal(goal)) if env and goal else Task.find(str(task), goal)
    settings = _live_settings(live, chosen)
    if settings and live.dry_run:
        return _say_prediction(chosen, settings, seed, json)
    run = Run.create(chosen, judgments, out, live=settings, reuse=live.reuse, steps=steps,
                     seed=seed, symmetric=symmetries)  # fmt: skip
    return _advance(run, json)


def _live_settings(live: Live, task: Any) -> Any:
    """What was chosen about a live judge; None where none was."""
    from volition.run_folder import LiveSettings

    if live.judge is None:
        if given := [field.name for field in fields(Live)
                     if getattr(live, field.name) != field.default]:  # fmt: skip
            raise InputError(f"--{given[0].replace('_', '-')} needs a judge: name it with --judge")
        return None
    training = task.training
    first = training.first_judgments if live.first is None else live.first
    return LiveSettings(
        live.judge,
        training.max_judgments if live.max_judgments is None else live.max_judgments,
        live.max_usd, live.base_url, live.price_in, live.price_out, live.per_request,
        live.samples, live.concurrency, live.explain, first, live.querying,
    )  # fmt: skip


def _say_prediction(task: Any, settings: Any, seed: int, as_json: bool) -> int:
    from volition.live_judging import predict_judging

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
        _print_json(asdict(told))
    return 0


def resume(run: Folder, *, json: Json = False) -> int:
    """Go on with a run that was stopped or killed, from its last checkpoint."""
    from volition.loop import Run

    return _advance(Run.open(run), json)


def report(run: Folder) -> int:
    """Write a run's report.html and film anew."""
    from volition.report import write_report
    from volition.run_folder import RunFolder

    print(write_report(RunFolder.open(run)))
    return 0


def play(
    run: Folder,
    *,
    episodes: Annotated[int, arg(help="How many.")] = 1,
    seed: Annotated[int, arg(help="Of the first episode.")] = 0,
    out: Annotated[
        Path | None, option("FILE", "Write an MP4 film instead of opening a window.")
    ] = None,
) -> int:
    """Watch the learned policy act."""
    from volition.playing import film_episodes, show_episodes
    from volition.run_folder import RunFolder

    if episodes < 1:
        raise InputError(f"--episodes must be at least 1, not {episodes}")
    folder = RunFolder.open(run)
    if out is None:
        returns = show_episodes(folder, episodes, seed)
        for number, value in enumerate(returns):
            print(f"seed {seed + number}: true return {value:.1f} (evaluation only)")
    else:
        print(film_episodes(folder, episodes, seed, out))
    return 0


def score(
    run: Folder,
    *,
    judgments: Annotated[Path, arg(help="A folder of recorded judgments, or a JSONL file.")],
    json: Json = False,
) -> int:
    """Measure a run's reward model on judgments that it never saw."""
    from volition.run_folder import RunFolder
    from volition.scoring import score_run

    scored = score_run(RunFolder.open(run), judgments)
    low, high = scored["interval"]
    print(
        f"{scored['accuracy']:.2%} of {scored['comparisons']} comparisons decided as the judge did "
        f"(95% Wilson interval {low:.2%} to {high:.2%})"
    )
    print(
        f"left out: {scored['ties']} ties of the judge, {scored['seen']} comparisons that the run "
        "was trained on"
    )
    if json:
        _print_json(scored)
    return 0


def export(
    run: Folder,
    *,
    out: Annotated[Path | None, option("FOLDER", "A new folder; by default RUN/export.")] = None,
) -> int:
    """Write a run's judgments as JSONL and Parquet, one comparison a row."""
    from volition.export import export as export_run
    from volition.run_folder import RunFolder

    count, files = export_run(RunFolder.open(run), out or run / "export")
    print(f"{count} comparisons in {' and '.join(map(str, files))}")
    return 0


def verify(run: Folder) -> int:
    """Check a run: re-hash every frame, follow every reference, derive every preference again."""
    from volition.run_folder import RunFolder
    from volition.verification import verify as verify_run

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
    from volition.asking import ask as ask_about
    from volition.asking import hand_in
    from volition.judges.batch import check_key

    for name, value in (("--pairs", pairs), ("--per-sheet", per_sheet)):
        if value is not None and value < 1:
            raise InputError(f"{name} must be at least 1, not {value}")
    if seed < 0:
        raise InputError(f"--seed must not be negative: {seed}")
    if submit and len(batch) != 1:
        raise InputError("--submit hands one batch in: name one model with --batch PROVIDER:MODEL")
    if max_usd is not None and not submit:
        raise InputError("--max-usd limits a batch that is handed in with --submit")
    if submit:
        check_key(batch[0])
    asked = ask_about(
        subject, out, pairs=pairs, per_sheet=per_sheet, seed=seed, batches=batch, goal=goal
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
    from volition.asking import answer as take_in

    if judge is not None and not judge.strip():
        raise InputError("--judge needs a name: who judged?")
    answered = take_in(folder, file, judge and judge.strip())
    asked, failures = answered.asked, answered.failures
    print(f"{asked.pairs - len(failures)} answers of {answered.judge} in {folder}")
    for pair, failure in failures.items():
        print(f"warning: pair {pair} has none: {failure.kind}, {failure.message}", file=sys.stderr)
    if asked.run is None:
        named = f" --goal {asked.goal}" if asked.goal else ""
        print(f"train on them: volition train {asked.task}{named} --judgments {folder}")
    else:
        print(f"the run that asked has them too: volition resume {asked.run}")
    return 0


def tasks() -> int:
    """List the tasks that come with Volition."""
    from volition.task import BUNDLED, Task, bundled_names

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
    from volition.doctor import findings

    for name, value in findings():
        print(f"{name:28} {value}")
    return 0


VERBS: dict[str, Callable[..., int]] = {
    verb.__name__: verb
    for verb in (train, resume, report, play, score, export, verify, ask, answer, tasks, doctor)
}


def main(arguments: list[str] | None = None) -> int:
    """Entry point; returns the exit code.

    0: done. 1: a clear error. 2: the command line is wrong. 130: stopped by Ctrl-C.
    """
    try:
        code = tyro.extras.subcommand_cli_from_dict(
            VERBS, args=arguments, prog="volition",
            description="Train agents to do what people mean: judgments in, behaviour out.",
            config=(tyro.conf.FlagCreatePairsOff,),
        )  # fmt: skip
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
    from volition.display import Display
    from volition.progress import Progress
    from volition.report import write_report

    print(f"run folder: {run.folder.path}", file=sys.stderr)
    with Display() as display:
        result = run.advance(display)
        display(Progress("report", judgments=result["judgments"], env_steps=result["env_steps"],
                         total_steps=result["env_steps"],
                         heldout_accuracy=result["heldout_accuracy"]))  # fmt: skip
        page = write_report(run.folder)
    for warning in result["warnings"]:
        print(f"warning: {warning}", file=sys.stderr)
    print(
        f"{result['task']}: true return {result['return_mean']:.1f} ± {result['return_std']:.1f} "
        f"over {result['episodes']} episodes (evaluation only), learned from "
        f"{result['judgments']} judgments of {result['judge']}, ${result['cost_usd']:.2f}"
    )
    for name, mean in result.get("measures", {}).items():
        print(f"{name}: {mean:.4g} on average (evaluation only)")
    print(f"report: {page}")
    if as_json:
        _print_json(result | {"wall_s": time.perf_counter() - STARTED})
    return 0


def _print_json(document: dict[str, Any]) -> None:
    print(json.dumps(document))


if __name__ == "__main__":
    sys.exit(main())
