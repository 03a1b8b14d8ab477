"""A task of an environment and a sentence, against the same with all that people wrote for it.

    python benchmarks/sentence.py [--quick] [--tasks TASK[:GOAL] ...] [--seeds N] [--first N]

Bundled tasks are learned twice with the same seeds, from the real judgments that come with them or,
where there are none, from a simulated judge's (`simulated:strong`): with the keys of task.toml, and
without those of the sections `view`, `reward` and `training` (`--key SECTION.KEY ...` takes only
these away). Judgments are of what was shown when they were asked: a clip stays a clip, so
`view.clip` is left there. Each is measured as in seeds.py.
The table says which keys there were and what was found in their place. `--quick` takes one seed.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from claims import claim, run_benchmark
from seeds import BARS, Bar
from volition.run.results import Result
from volition.run.run import Run, train
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


class Learned(NamedTuple):
    """What came of one task with some of its keys."""

    keys: dict[str, Any]
    found: dict[str, str]
    entries: tuple[int, ...]
    results: list[Result]


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


def learned(task: Task, seeds: Sequence[int]) -> Learned:
    """The task, learned with each seed."""
    results: list[Result] = []
    run: Run | None = None
    for seed in seeds:
        with tempfile.TemporaryDirectory() as folder:
            judge = None if task.judgments else f"simulated:strong:{seed}"
            run = train(task, judge=judge, seed=seed, out=Path(folder) / "run")
            results.append(run.result)
            found, entries = dict(run.folder.settings.found), run.reward_model.entries
    return Learned(written(task), found, entries, results)


def row(name: str, bar: Bar, then: Learned, now: Learned) -> bool:
    """Prints one line of the table; returns whether it is as good as before."""
    was, is_now = (
        [round(bar.reached(result), 3) for result in each.results] for each in (then, now)
    )
    worst = max if bar.at_most else min
    return claim(
        f"{name}: {bar.measure or 'true return'}",
        worst(is_now),
        f"worst of {len(is_now)} seeds",
        f"{'<=' if bar.at_most else '>='} {bar.bound:g}",
        all(bar.holds(result) for result in now.results),
        keys_then={key: str(value) for key, value in then.keys.items()},
        keys_now={key: str(value) for key, value in now.keys.items()},
        found=now.found,
        entries=now.entries,
        then=was,
        now=is_now,
        median_then=statistics.median(was),
        median_now=statistics.median(is_now),
        seconds_then=[round(result.wall_s, 1) for result in then.results],
        seconds_now=[round(result.wall_s, 1) for result in now.results],
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one seed")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--tasks", nargs="+", choices=ONES, default=list(ONES))
    parser.add_argument("--key", nargs="+", help="only these keys are taken away")
    arguments = parser.parse_args()
    seeds = range(arguments.first, arguments.first + (1 if arguments.quick else arguments.seeds))
    enable_cache()
    held = []
    for name in arguments.tasks:
        task_name, _, goal = name.partition(":")
        task = Task.find(task_name, goal or None)
        taken = arguments.key or [key for key in written(task) if key != "view.clip"]
        then, now = learned(task, seeds), learned(without(task, taken), seeds)
        held += [row(name, bar, then, now) for bar in ONES[name]]
    claim("A sentence and an environment", sum(held), f"of {len(held)} hold", "all", all(held))


if __name__ == "__main__":
    run_benchmark(main)
