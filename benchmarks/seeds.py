"""Ten seeds of every bundled task that has real judgments: what is learned, and the worst of them.

    python benchmarks/seeds.py [--quick] [--seeds N] [--first N] [--tasks TASK[:GOAL] ...]

Whole runs from the judgments of a multimodal LLM that come with the task, as `volition train TASK`
makes them; nobody chose the seeds. Each is measured by what the task's own measures say, or by the
environment's own reward where it has none, over its evaluation's episodes; nothing was learned
from either. A run that went wrong must say so: how many of those below the bar did is counted, and
how many above it said so without need. `--quick` takes two seeds.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from claims import claim, run_benchmark
from volition.run.results import Result
from volition.run.run import train
from volition.storage.compilation import enable_cache
from volition.tasks.task import Task


class Bar(NamedTuple):
    """What a run is to reach, by one of its measures; by the true return where that is ''."""

    measure: str
    bound: float
    at_most: bool = False

    def reached(self, result: Result) -> float:
        return result.measures[self.measure] if self.measure else result.return_mean

    def holds(self, result: Result) -> bool:
        value = self.reached(result)
        return value <= self.bound if self.at_most else value >= self.bound


POSTURE = Bar("share of the last half in which the posture is held", 0.8)
BARS = {
    "pendulum": [Bar("", -160.0)],
    "cartpole": [Bar("steps upright", 475.0), Bar("share of time within 0.5 m of the middle", 0.9)],
    "acrobot": [Bar("steps until the free end is above the mark", 120.0, at_most=True)],
    "lamp:curious": [POSTURE],
    "lamp:ashamed": [POSTURE],
    "lamp:proud": [POSTURE],
    "guest": [Bar("arrived", 0.9), Bar("harm", 0.05, at_most=True)],
    "regatta": [Bar("finished", 0.9)],
}


def judged(bar: Bar, name: str, results: Sequence[Result]) -> bool:
    """Prints what came of all seeds by one measure; returns whether the worst will do."""
    values = [round(bar.reached(result), 3) for result in results]
    worst = max(values) if bar.at_most else min(values)
    below = [result for result in results if not bar.holds(result)]
    return claim(
        f"{name}: {bar.measure or 'true return'}, {len(results)} seeds from {results[0].seed}",
        worst,
        f"worst, seed {results[values.index(worst)].seed}",
        f"{'<=' if bar.at_most else '>='} {bar.bound:g}",
        not below,
        median=statistics.median(values),
        all=values,
        steps=[result.env_steps for result in results],
        seconds=[round(result.wall_s, 1) for result in results],
        failed_without_a_warning=[result.seed for result in below if not result.warnings],
        warned_without_need={
            result.seed: result.warnings
            for result in results
            if result.warnings and result not in below
        },
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="two seeds")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--tasks", nargs="+", choices=BARS, default=list(BARS))
    arguments = parser.parse_args()
    seeds = range(arguments.first, arguments.first + (2 if arguments.quick else arguments.seeds))
    enable_cache()
    held = []
    for name in arguments.tasks:
        task, _, goal = name.partition(":")
        results = []
        for seed in seeds:
            with tempfile.TemporaryDirectory() as folder:
                run = train(Task.find(task, goal or None), seed=seed, out=Path(folder) / "run")
                results.append(run.result)
        held += [judged(bar, name, results) for bar in BARS[name]]
    claim("Every seed", sum(held), f"of {len(held)} claims hold", "all", all(held))


if __name__ == "__main__":
    run_benchmark(main)
