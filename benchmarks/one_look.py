"""Cart-pole and acrobot from what a multimodal LLM said of one picture each.

    python benchmarks/one_look.py [--quick] [--seeds N]

Whole runs on the bundled judgments, 36 and 60, without a live judge. Per seed: of 100 fixed-seed
episodes the mean number of steps that the pole stayed up, and the share of the time that the cart
was within 0.5 m of the middle; the median number of steps until the acrobot's free end was above
the mark.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from pathlib import Path

from claims import claim, run_benchmark
from volition.run.run import train
from volition.storage.compilation import enable_cache

UPRIGHT, MIDDLE = "steps upright", "share of time within 0.5 m of the middle"
ABOVE = "steps until the free end is above the mark"


def measured(task: str, seed: int, folder: Path) -> dict[str, list[float]]:
    """Every measure of a run, one number an episode."""
    run = train(task, seed=seed, out=folder / f"{task}-{seed}")
    measures: dict[str, list[float]] = json.loads(run.folder.evaluation.read_text())["measures"]
    return measures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="two seeds")
    parser.add_argument("--seeds", type=int, default=5)
    arguments = parser.parse_args()
    seeds = range(2 if arguments.quick else arguments.seeds)
    enable_cache()
    with tempfile.TemporaryDirectory() as folder:
        poles = [measured("cartpole", seed, Path(folder)) for seed in seeds]
        acrobots = [measured("acrobot", seed, Path(folder)) for seed in seeds]
    upright = [round(statistics.mean(each[UPRIGHT]), 1) for each in poles]
    middle = [round(statistics.mean(each[MIDDLE]), 3) for each in poles]
    above = [statistics.median(each[ABOVE]) for each in acrobots]
    held = [
        claim(
            "cart-pole from 36 judgments of one look: steps upright, mean of 100 episodes",
            min(upright),
            "worst seed",
            ">= 475",
            min(upright) >= 475,
            all=upright,
        ),
        claim(
            "cart-pole: share of the time within 0.5 m of the middle",
            min(middle),
            "worst seed",
            ">= 0.9",
            min(middle) >= 0.9,
            all=middle,
        ),
        claim(
            "acrobot from 60 judgments of one look: steps until its free end is above the mark, "
            "median of 100 episodes",
            max(above),
            "worst seed",
            "<= 100",
            max(above) <= 100,
            all=above,
        ),
    ]
    claim(
        "One look is enough for cart-pole and acrobot",
        sum(held),
        f"of {len(held)} claims hold",
        "all",
        all(held),
    )


if __name__ == "__main__":
    run_benchmark(main)
