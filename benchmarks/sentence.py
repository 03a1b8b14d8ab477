"""A task of an environment and a sentence, against the same with all that people wrote for it.

    python benchmarks/sentence.py [--quick] [--tasks TASK[:GOAL] ...] [--seeds N] [--first N]
                                  [--key SECTION.KEY ...] [--now] [--workers N]

Bundled tasks are learned twice with the same seeds, from the real judgments that come with them or,
where there are none, from a simulated judge's (`simulated:strong`): with the keys of task.toml, and
without those of the sections `view`, `reward` and `training` (`--key SECTION.KEY ...` takes only
these away). Judgments are of what was shown when they were asked: a clip stays a clip, so
`view.clip` is left there. Each is measured as in seeds.py.
The table says which keys there were and what was found in their place. `--now` leaves out the runs
with all keys, `--workers` makes as many runs side by side, `--quick` takes one seed.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

from claims import claim, run_benchmark
from seeds import BARS, Bar
from volition.finding.found import find_out
from volition.run.results import Result
from volition.run.run import train
from volition.storage.compilation import enable_cache
from volition.tasks.task import RewardSection, Task, TrainingSection
from volition.tasks.view import JudgeView

OPEN = {"view": JudgeView(), "reward": RewardSection(), "training": TrainingSection()}
ONES = {
    **BARS,
    "cartpole": [
        Bar("steps upright", 500.0),
        Bar("share of time within 0.5 m of the middle", 0.95),
    ],
    "acrobot": [Bar("steps until the free end is above the mark", 100.0, at_most=True)],
    "lamp:curious": [Bar(BARS["lamp:curious"][0].measure, 0.84)],
    "lamp:ashamed": [Bar(BARS["lamp:ashamed"][0].measure, 0.75)],
    "lamp:proud": [Bar(BARS["lamp:proud"][0].measure, 1.0)],
    "lamp:hello": [Bar("mean potential of the last half", 0.55)],
    "guest": [Bar("arrived", 0.98), Bar("harm", 0.0, at_most=True)],
    "guest:careful": [Bar("arrived", 0.98), Bar("harm", 0.0, at_most=True)],
    "regatta": [Bar("finished", 1.0)],
    "mountain-car": [Bar("", 85.0)],
    "reacher": [Bar("distance at the end, in metres", 0.04, at_most=True)],
}


class Trained(NamedTuple):
    """What came of one run."""

    found: dict[str, str]
    finding_s: float  # of processor time, before anything is learned
    entries: tuple[int, ...]
    result: Result


Runs = Sequence[Trained]


def written(task: Task) -> dict[str, Any]:
    """The keys that people wrote, by SECTION.KEY."""
    return {
        f"{name}.{key}": getattr(getattr(task, name), key)
        for name in OPEN
        for key in sorted(getattr(task, name).model_fields_set)
    }


def without(task: Task, keys: Sequence[str]) -> Task:
    """The task without these keys."""
    left = {}
    for name, default in OPEN.items():
        section = getattr(task, name)
        kept = {
            key: getattr(section, key)
            for key in section.model_fields_set
            if f"{name}.{key}" not in keys
        }
        left[name] = type(default)(**kept)
    return task.model_copy(update=left)


def trained(name: str, taken: Sequence[str], seed: int) -> Trained:
    """A run of that task and goal without these keys."""
    enable_cache()
    task = without(named(name), taken)
    judge = None if task.judgments else f"simulated:strong:{seed}"
    started = time.process_time()
    find_out(task)
    finding = time.process_time() - started
    with tempfile.TemporaryDirectory() as folder:
        run = train(task, judge=judge, seed=seed, out=Path(folder) / "run")
        found = dict(run.folder.settings.found)
        came = Trained(found, finding, run.reward_model.entries, run.result)
    reached = [round(bar.reached(came.result), 3) for bar in ONES[name]]
    print(f"{name} without {len(taken)} keys, seed {seed}: {reached}", file=sys.stderr, flush=True)
    return came


def named(name: str) -> Task:
    task, _, goal = name.partition(":")
    return Task.find(task, goal or None)


def row(name: str, bar: Bar, taken: Sequence[str], then: Runs, now: Runs) -> bool:
    """Prints one line of the table; returns whether it is as good as it is to be."""
    keys = {key: str(value) for key, value in written(named(name)).items()}
    values = [round(bar.reached(run.result), 3) for run in now]
    worst = max(values) if bar.at_most else min(values)
    before = [round(bar.reached(run.result), 3) for run in then]
    return claim(
        f"{name}: {bar.measure or 'true return'}",
        worst,
        f"worst of {len(values)} seeds",
        f"{'<=' if bar.at_most else '>='} {bar.bound:g}",
        all(bar.holds(run.result) for run in now),
        keys_then=keys,
        keys_now={key: value for key, value in keys.items() if key not in taken},
        found=now[0].found,
        entries=[list(run.entries) for run in now],
        then=before,
        now=values,
        median_then=statistics.median(before) if before else None,
        median_now=statistics.median(values),
        seconds_then=[round(run.result.wall_s, 1) for run in then],
        seconds_now=[round(run.result.wall_s, 1) for run in now],
        finding_s=[round(run.finding_s, 2) for run in now],
        steps_now=[run.result.env_steps for run in now],
        failed_without_a_warning=[
            run.result.seed for run in now if not (bar.holds(run.result) or run.result.warnings)
        ],
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one seed")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--tasks", nargs="+", choices=ONES, default=list(ONES))
    parser.add_argument("--key", nargs="+", help="only these keys are taken away")
    parser.add_argument("--now", action="store_true", help="no runs with all keys")
    parser.add_argument("--workers", type=int, default=1, help="runs side by side")
    arguments = parser.parse_args()
    seeds = range(arguments.first, arguments.first + (1 if arguments.quick else arguments.seeds))
    held = []
    with ProcessPoolExecutor(arguments.workers, get_context("spawn")) as pool:
        tables = []
        for name in arguments.tasks:
            taken = arguments.key or [key for key in written(named(name)) if key != "view.clip"]
            now = [pool.submit(trained, name, taken, seed) for seed in seeds]
            with_all = () if arguments.now else seeds
            then = [pool.submit(trained, name, (), seed) for seed in with_all]
            tables.append((name, taken, then, now))
        for name, taken, then, now in tables:
            before, after = ([run.result() for run in runs] for runs in (then, now))
            held += [row(name, bar, taken, before, after) for bar in ONES[name]]
    claim("A sentence and an environment", sum(held), f"of {len(held)} hold", "all", all(held))


if __name__ == "__main__":
    run_benchmark(main)
