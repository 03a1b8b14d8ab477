"""Every bundled task: what is learned from a fallible judge, beside the same learner on the truth.

    python benchmarks/tasks.py [--tasks NAME ...] [--seeds N] [--judgments N] [--uniform]
                               [--keyless]

For each task and goal: a run with `simulated:strong` (a judge of its own for each seed) and the
task's own number of judgments, at most 1,000; the same learner, as many steps, with the task's
potential itself as its reward; and random actions. Compared is the mean potential of the states of
100 fixed-seed episodes: how much of the way from random acting to the learner on the truth the
judged one comes. With --uniform each run is also made with questions that are drawn uniformly, in
place of those that tell most. With --keyless the judged runs are of the task without the keys of
its sections `view`, `reward` and `training`: all these say is found out. Judges and potentials are
simulated; clips whose potential is not that of their states are left out.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from asked import learned_policy
from claims import claim, run_benchmark
from sentence import without, written
from volition.judges.settings import JudgeSettings
from volition.learners.base import Policy, RewardFunction, Transitions
from volition.learners.rollout import Rollout
from volition.learners.visited import Visited
from volition.questions import Querying
from volition.run.evaluation import FIRST_SEED, evaluate
from volition.run.run import train
from volition.storage.compilation import enable_cache
from volition.tasks.task import BUNDLED, Task, bundled_names
from volition.tasks.truth import TRUTHS, of_state

EPISODES = 100
KINDS: tuple[Querying, ...] = ("information", "uniform")
ALREADY = ("guest", "regatta")  # are examined by understanding.py


class TrueReward(eqx.Module):
    """The potential of the state that a step leads to, to about zero mean and unit scale."""

    potential: of_state = eqx.field(static=True)
    shift: jax.Array
    scale: jax.Array

    def __call__(self, transitions: Transitions) -> jax.Array:
        reached = jnp.asarray(transitions.next_observation)
        shape = jax.eval_shape(lambda: jnp.zeros(reached.shape[:1], jnp.float32))

        def of_each(observed: Any) -> Any:
            return np.asarray(self.potential.of_each(np.asarray(observed)), np.float32)

        values = jax.pure_callback(of_each, shape, reached)
        return (values - self.shift) / self.scale


def on_the_truth(task: Task, potential: of_state, seed: int) -> Policy:
    """The policy of the same learner, sessions and steps, on the potential."""

    def signal(visited: Visited) -> RewardFunction:
        states = visited.flat()
        if not len(states):
            return TrueReward(potential, jnp.zeros(()), jnp.ones(()))
        values = potential.of_each(states)
        return TrueReward(potential, jnp.float32(values.mean()), jnp.float32(values.std()))

    return learned_policy(task, signal, seed)


class AtRandom:
    """Acts at random."""

    def __init__(self, task: Task) -> None:
        with closing(Rollout(task.environment, 1)) as rollout:
            self._space = rollout.action_space
        self._space.seed(FIRST_SEED)

    def __call__(self, observations: Any) -> Any:
        return np.stack([self._space.sample() for _ in observations])


def mean_potential(policy: Any, task: Task, potential: of_state) -> float:
    """Over the states of the evaluation's episodes, each episode counting alike."""
    measured = evaluate(
        policy,
        lambda observations: 0 * observations[..., 0],
        task.environment,
        EPISODES,
        {"potential": potential},
    )
    return measured.measured["potential"]


def judged(
    task: Task,
    potential: of_state,
    seed: int,
    judgments: int = 0,
    querying: Querying = "information",
) -> dict[str, Any]:
    """A run, by what its policy reaches.

    With the task's own number of judgments by default, or where it has none so many as are found to
    be worth it.
    """
    said = judgments or task.training.max_judgments
    first = task.training.first_judgments
    live = JudgeSettings(
        f"simulated:strong:{seed}",
        said and min(1000, said),
        querying=querying,
        first=min(said, first) if said else first,
    )
    with tempfile.TemporaryDirectory() as folder:
        run = train(task, judge=live, out=Path(folder) / "run", seed=seed)
        result = run.result
        return {
            "reached": mean_potential(run.policy, task, potential),
            "judgments": result.judgments,
            "run_s": round(result.wall_s, 1),
            "measures": {name: round(value, 3) for name, value in result.measures.items()},
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", nargs="*", help="by default all but the guest and the race")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--judgments", type=int, default=0, help="in place of each task's own")
    parser.add_argument(
        "--uniform", action="store_true", help="uniform questions beside the others"
    )
    parser.add_argument("--keyless", action="store_true", help="without what task.toml says of it")
    arguments = parser.parse_args()
    enable_cache()
    held = []
    for name in arguments.tasks or [n for n in bundled_names() if n not in ALREADY]:
        for task in Task.read_all(BUNDLED / name).values():
            truth = TRUTHS.get(task.name)
            if truth is None or not isinstance(truth.potential, of_state):
                continue
            kinds = KINDS if arguments.uniform else KINDS[:1]
            asked = without(task, list(written(task))) if arguments.keyless else task
            held += _one(task, asked, truth.potential, arguments.seeds, arguments.judgments, kinds)
    claim(
        "Tasks learned from a fallible judge",
        sum(held),
        f"of {len(held)} claims hold",
        "all",
        all(held),
        simulated=True,
    )


def _one(
    task: Task,
    asked: Task,
    potential: of_state,
    seeds: int,
    judgments: int,
    kinds: Sequence[Querying],
) -> list[bool]:
    """What is learned of a judge that is asked about `asked`, beside the learner of `task`."""
    low = mean_potential(AtRandom(task), task, potential)
    high = [mean_potential(on_the_truth(task, potential, n), task, potential) for n in range(seeds)]
    # One learner on the truth may get stuck: it is no measure of the run beside it.
    way = statistics.median(high) - low
    held, shares = [], {}
    for kind in kinds:
        runs = [judged(asked, potential, seed, judgments, kind) for seed in range(seeds)]
        shares[kind] = [round((run["reached"] - low) / way, 3) for run in runs]
        share = statistics.median(shares[kind])
        held.append(
            claim(
                f"{task.name}, {kind}: of the way from random acting to the learner on the truth",
                share,
                "share, median of seeds",
                ">= 0.9",
                share >= 0.9,
                simulated=True,
                shares=shares[kind],
                at_random=round(low, 3),
                on_the_truth=[round(value, 3) for value in high],
                runs=runs,
            )
        )
    if len(kinds) == 1:
        return held
    told, uniform = (statistics.mean(shares[kind]) for kind in KINDS)
    lead = round(told - uniform, 3)
    held[1] = claim(
        f"{task.name}: what questions that tell most reach beyond uniform ones",
        lead,
        "of the way, means of seeds",
        ">= -0.05",
        lead >= -0.05,
        simulated=True,
    )
    return held


if __name__ == "__main__":
    run_benchmark(main)
