"""An Atari game from its pictures alone: a submarine that stays deep down.

    python benchmarks/seaquest.py [--seeds N] [--first N] [--keep FOLDER]

A whole run for each seed on the 60 judgments of a multimodal LLM that come with
`examples/seaquest`; policy and reward model see the screen and nothing else. What is counted nobody
learned from: how deep the submarine is in the second half of 20 episodes, as the game's memory has
it, 0 at the surface and 1 at the sea floor, beside random actions in the same episodes. `--keep`
keeps the run of the first seed, for `volition compare FOLDER random --ask DIR`.

Needs `pip install ale-py`.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np

from claims import claim, run_benchmark
from volition.envs.scene import make_env
from volition.run.run import train
from volition.storage.compilation import enable_cache
from volition.tasks.task import Task

TASK = Path(__file__).parents[1] / "examples" / "seaquest"
STEPS = 20_000
EPISODES = 20
FIRST_EPISODE = 10_000  # its seed: neither learning nor evaluation met it
HEIGHT = 97  # where the game's memory has the submarine's place
SURFACE, FLOOR = 13, 108  # least and most that it can be

Act = Callable[[Any], Any]


def depth(env: Any, act: Act, seed: int) -> float:
    """Of the second half of an episode, on average."""
    observed, _ = env.reset(seed=seed)
    env.action_space.seed(seed)
    depths, over = [], False
    while not over:
        observed, _, ended, cut, _ = env.step(act(observed))
        depths.append((int(env.unwrapped.ale.getRAM()[HEIGHT]) - SURFACE) / (FLOOR - SURFACE))
        over = ended or cut
    return mean(depths[len(depths) // 2 :])


def depths(task: Task, policy: Any = None) -> list[float]:
    """Of every episode, with this policy or at random."""
    with closing(make_env(task.environment.id, task.environment.kwargs)) as env:

        def act(observed: Any) -> Any:
            if policy is None:
                return env.action_space.sample()
            return np.asarray(policy(observed[None]))[0]

        return [depth(env, act, FIRST_EPISODE + number) for number in range(EPISODES)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--keep", type=Path, help="where the run of the first seed is kept")
    arguments = parser.parse_args()
    enable_cache()
    task = Task.find(str(TASK))
    at_random = depths(task)
    reached, results = [], []
    for seed in range(arguments.first, arguments.first + arguments.seeds):
        with tempfile.TemporaryDirectory() as folder:
            first = seed == arguments.first
            out = arguments.keep if first and arguments.keep else Path(folder) / "run"
            run = train(task, seed=seed, steps=STEPS, out=out)
            reached.append(depths(task, run.policy))
            results.append(run.result)
    worst = min(map(mean, reached))
    claim(
        f"Seaquest, {len(results)} seeds: depth reached from 60 judgments of pictures",
        round(worst, 2),
        "worst seed, of 1 at the sea floor",
        ">= 0.7, and twice what random actions reach",
        worst >= max(0.7, 2 * mean(at_random)),
        judged=[round(mean(one), 2) for one in reached],
        worst_tenth=[round(float(np.quantile(one, 0.1)), 2) for one in reached],
        at_random=round(mean(at_random), 2),
        steps=[result.env_steps for result in results],
        seconds=[round(result.wall_s) for result in results],
        warnings=[result.warnings for result in results],
    )


if __name__ == "__main__":
    run_benchmark(main)
