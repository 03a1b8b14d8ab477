"""How fast the project's own environments are: steps and drawings a second, of one process.

    python benchmarks/environments.py [--quick]

Each is stepped as `gymnasium.make` gives it, with its time limit and Gymnasium's checks of the
first steps only, on random actions; episodes are begun anew where they end. The best of some
rounds counts, since what else a machine does can only slow a round down.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from typing import Any

from claims import claim, run_benchmark
from volition.envs.own.registration import ENVIRONMENTS
from volition.envs.scene import make_env

STEPS_A_SECOND = 20_000
DRAWING_MS = {"volition/Lamp-v0": 5.0}
"""What one drawing may take, in milliseconds, where a bar is set."""


def best(rounds: int, timed: Callable[[], float]) -> float:
    return min(timed() for _ in range(rounds))


def seconds_a_step(env: Any, steps: int) -> float:
    env.action_space.seed(0)
    actions = [env.action_space.sample() for _ in range(1000)]
    env.reset(seed=0)
    started = time.perf_counter()
    for number in range(steps):
        _, _, terminated, truncated, _ = env.step(actions[number % len(actions)])
        if terminated or truncated:
            env.reset()
    return (time.perf_counter() - started) / steps


def seconds_a_drawing(env: Any, drawings: int) -> float:
    env.reset(seed=0)
    env.render()
    started = time.perf_counter()
    for _ in range(drawings):
        env.render()
    return (time.perf_counter() - started) / drawings


def measure(env_id: str, rounds: int) -> list[bool]:
    env = make_env(env_id)
    rate = 1 / best(rounds, lambda: seconds_a_step(env, 5000))
    held = [
        claim(
            f"{env_id}: steps a second of one process, without drawing",
            round(rate),
            "steps/s",
            f">= {STEPS_A_SECOND}",
            rate >= STEPS_A_SECOND,
            cores=os.cpu_count(),
        )
    ]
    if env_id in DRAWING_MS:
        drawn = make_env(env_id, render_mode="rgb_array")
        taken = 1000 * best(rounds, lambda: seconds_a_drawing(drawn, 50))
        most = DRAWING_MS[env_id]
        held.append(
            claim(f"{env_id}: one drawing", round(taken, 2), "ms", f"<= {most:g}", taken <= most)
        )
    return held


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="two rounds in place of six")
    rounds = 2 if parser.parse_args().quick else 6
    held = [each for env_id in ENVIRONMENTS for each in measure(env_id, rounds)]
    claim("environments", sum(held), f"of {len(held)} claims hold", "all", all(held))


if __name__ == "__main__":
    run_benchmark(main)
