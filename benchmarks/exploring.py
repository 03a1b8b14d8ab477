"""How much of an environment is seen before there is a policy, by how it is explored?

    python benchmarks/exploring.py [--quick] [--seeds N] [--environments ID ...]

As many environment steps are taken in two ways: with random actions, each held for up to 24 steps;
and as `questions.exploring` does it now, where holds differ from episode to episode, and half of
the episodes repeat what led to where few have been. Counted are the coarse cells that were visited:
what is observed is brought to its three main components, each divided into ten. And, of what would
be asked about, 120 states that lie far apart, how far each is from the nearest other, in standard
deviations. Nothing is drawn and nothing is asked. MiniGrid and Fetch need their packages.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from typing import Any

import numpy as np
import numpy.typing as npt

from claims import claim, run_benchmark
from volition.comparison import observed
from volition.envs.scene import make_env
from volition.questions.exploring import (
    LONGEST,
    LONGEST_HOLD,
    STRONG,
    acting,
    coarse,
    farthest,
    weakened,
)

Way = Callable[[Any, int, np.random.Generator, int], Iterator[tuple[Any, bool]]]
Points = npt.NDArray[np.float64]

ENVIRONMENTS = (
    "MountainCar-v0",
    "MountainCarContinuous-v0",
    "Acrobot-v1",
    "CartPole-v1",
    "LunarLander-v3",
    "BipedalWalker-v3",
    "Hopper-v5",
    "HalfCheetah-v5",
    "volition/Guest-v0",
    "volition/Regatta-v0",
    "FrozenLake8x8-v1",
    "Taxi-v4",
    "CarRacing-v3",
)
STEPS = 3000  # as for 60 questions
ASKED = 120
CELLS = 10  # of each of
COMPONENTS = 3


def held(
    env: Any, steps: int, rng: np.random.Generator, longest: int
) -> Iterator[tuple[Any, bool]]:
    """As `acting`, but for what is repeated and for shorter holds."""
    ended, length, hold, strength = True, 0, 0, 1.0
    for _ in range(steps):
        started = ended or length == longest
        if started:
            env.reset(seed=int(rng.integers(2**31)))
            length, hold = 0, 0
            strength = 1.0 if rng.random() < STRONG else rng.random() ** 2
        if hold == 0:
            action = weakened(env.action_space, env.action_space.sample(), strength)
            hold = int(rng.integers(1, LONGEST_HOLD + 1))
        observation, _, terminated, truncated, _ = env.step(action)
        ended, length, hold = terminated or truncated, length + 1, hold - 1
        yield observation, started


def explored(env_id: str, way: Way, seed: int) -> Points:
    """What is observed at every step: (steps, entries)."""
    rng = np.random.default_rng(seed)
    with closing(make_env(env_id)) as env:
        env.action_space.seed(seed)
        rows = [
            coarse(observed(observation)).ravel()
            for observation, _ in way(env, STEPS, rng, LONGEST)
        ]
    return np.stack(rows).astype(np.float64)


def in_units(seen: Sequence[Points]) -> list[Points]:
    """What several have seen, every entry in units of its standard deviation over all of it."""
    together = np.concatenate(seen)
    deviation = together.std(0)
    deviation = np.where(deviation > 0, deviation, np.inf)
    return [(one - together.mean(0)) / deviation for one in seen]


def cells(points: Sequence[Points]) -> list[int]:
    """How many cells each has visited."""
    together = np.concatenate(points)
    _, _, axes = np.linalg.svd(together - together.mean(0), full_matrices=False)
    main = axes[:COMPONENTS].T
    low, high = np.quantile(together @ main, [0.001, 0.999], axis=0)
    width = np.where(high > low, (high - low) / CELLS, np.inf)
    visited = [np.clip((one @ main - low) // width, 0, CELLS - 1) for one in points]
    return [len(np.unique(one, axis=0)) for one in visited]


def spread(points: Points, seed: int) -> float:
    """How far what would be asked about is from the nearest other, on average."""
    asked = points[farthest(points, ASKED, np.random.default_rng(seed))]
    squares = (asked**2).sum(1)
    distances = np.maximum(squares[:, None] + squares - 2 * asked @ asked.T, 0)
    np.fill_diagonal(distances, np.inf)
    return float(np.sqrt(distances.min(1)).mean())


def measure(env_id: str, seeds: int) -> tuple[float, float]:
    """Cells and spread as it is done now, in multiples of held actions alone."""
    more, wider = [], []
    for seed in range(seeds):
        points = in_units([explored(env_id, way, seed) for way in (held, acting)])
        visited, apart = cells(points), [spread(one, seed) for one in points]
        more.append(visited[1] / visited[0])
        wider.append(apart[1] / apart[0])
    print(
        f"{env_id}: cells x {np.mean(more):.2f} ({min(more):.2f} to {max(more):.2f}), spread x "
        f"{np.mean(wider):.2f} ({min(wider):.2f} to {max(wider):.2f})",
        flush=True,
    )
    return float(np.mean(more)), float(np.mean(wider))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one seed")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--environments", nargs="+", default=ENVIRONMENTS)
    arguments = parser.parse_args()
    seeds = 1 if arguments.quick else arguments.seeds
    results = {env_id: measure(env_id, seeds) for env_id in arguments.environments}
    cells_more, spread_more = np.exp(np.log(np.array([*results.values()])).mean(0)).tolist()
    claim(
        f"coarse cells that exploring visits in {STEPS} steps, against random actions held for up "
        "to 24 steps: geometric mean over environments",
        round(cells_more, 3),
        "times",
        "> 1",
        cells_more > 1,
        spread=round(spread_more, 3),
        environments={name: [round(v, 2) for v in values] for name, values in results.items()},
    )


if __name__ == "__main__":
    run_benchmark(main)
