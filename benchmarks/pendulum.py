"""The pendulum from a multimodal LLM's recorded judgments: the policy, the reward, the accuracy.

    python benchmarks/pendulum.py [--quick] [--seeds N]

For each seed and each set of judgments a whole run is made. Beside it the same learner, with the
same number of steps, learns from the environment's true reward: the ceiling that judging is
measured against. The reward's landscape is taken around the circle of angles, with and without the
declared mirror symmetry; the true height of the pendulum's end is its cosine.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from asked import learned_return, opened
from claims import claim, run_benchmark
from volition.evidence.report.landscapes import landscape as report_landscape
from volition.evidence.scoring import score_run
from volition.learners.base import Transitions
from volition.reward.model import RewardModel
from volition.run.run import Run, train
from volition.storage.compilation import enable_cache
from volition.tasks.task import Task

TASK = opened(Task.find("pendulum"))


class TrueReward(eqx.Module):
    """Gymnasium's own reward of Pendulum-v1: -(angle^2 + 0.1 velocity^2 + 0.001 torque^2)."""

    def __call__(self, transitions: Transitions) -> jax.Array:
        observation = jnp.asarray(transitions.observation)
        angle = jnp.arctan2(observation[:, 1], observation[:, 0])
        torque = jnp.clip(jnp.asarray(transitions.action)[:, 0], -2.0, 2.0)
        return -(angle**2 + 0.1 * observation[:, 2] ** 2 + 0.001 * torque**2)


def landscape(model: RewardModel) -> tuple[float, float]:
    """Degrees from upright to the peak of the reward, and Spearman's correlation with height."""
    circle = report_landscape(model, TASK)
    assert circle is not None
    return abs(circle.peak_degrees), circle.spearman


def fitted(judgments: str, symmetric: bool, seed: int, folder: Path) -> Run:
    """A run of which only the reward model is made."""
    run = Run.create(
        TASK,
        judgments,
        folder / f"fit-{judgments}-{symmetric}-{seed}",
        seed=seed,
        symmetric=symmetric,
    )
    with run.folder.open_store() as store:
        run.fit_reward(store)
    return run


def policies(seeds: int, folder: Path) -> list[bool]:
    steps = TASK.training.steps
    ceiling = [learned_return(TASK, TrueReward(), seed) for seed in range(seeds)]
    held = []
    for judgments in ("one-look", "full"):
        runs = [
            train(TASK, judgments=judgments, out=folder / f"{judgments}-{seed}", seed=seed)
            for seed in range(seeds)
        ]
        returns = [run.result.return_mean for run in runs]
        median, worst, best = np.median(returns), min(returns), np.median(ceiling)
        held.append(
            claim(
                f"Pendulum-v1 from the {judgments} judgments: true return over 100 episodes",
                round(float(median), 1),
                "median of the seeds' means",
                "median >= -150, worst >= -165, within 5% of the same learner on the true reward",
                bool(median >= -150 and worst >= -165 and median >= best * 1.05),
                returns=[round(value, 1) for value in returns],
                true_reward_returns=[round(value, 1) for value in ceiling],
                steps=steps,
            )
        )
    return held


def landscapes(seeds: int, folder: Path) -> list[bool]:
    held = []
    for judgments, symmetric, degrees, spearman in (
        ("one-look", False, 6.0, 0.98),
        ("one-look", True, 2.0, 0.995),
        ("full", False, 3.0, 0.99),
        ("full", True, 3.0, 0.99),
    ):
        models = [fitted(judgments, symmetric, seed, folder).reward_model for seed in range(seeds)]
        peaks, correlations = zip(*map(landscape, models), strict=True)
        mirror = "with" if symmetric else "without"
        held.append(
            claim(
                f"Learned reward from the {judgments} judgments, {mirror} the mirror: peak",
                max(peaks),
                "degrees off upright, worst seed",
                f"<= {degrees:g} degrees and Spearman with height >= {spearman:g}, every seed",
                max(peaks) <= degrees and min(correlations) >= spearman,
                peaks=peaks,
                spearman=[round(value, 4) for value in correlations],
            )
        )
    return held


def accuracies(seeds: int, folder: Path) -> list[bool]:
    full = [fitted("full", False, seed, folder / "accuracy") for seed in range(seeds)]
    heldout = []
    for run in full:
        with run.folder.open_store() as store:
            heldout.append(run.fit_reward(store)[1].heldout.share)
    looked = [fitted("one-look", False, seed, folder / "accuracy") for seed in range(seeds)]
    scored = [score_run(run, TASK.judgments_folder("full")).accuracy or 0.0 for run in looked]
    return [
        claim(
            "Held-out accuracy, full set",
            round(min(heldout), 4),
            "worst seed",
            ">= 0.97",
            min(heldout) >= 0.97,
            all=heldout,
        ),
        claim(
            "Accuracy of the one-look reward on the full set's pairs",
            round(min(scored), 4),
            "worst seed",
            ">= 0.95",
            min(scored) >= 0.95,
            all=scored,
        ),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="two seeds")
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    seeds = 2 if options.quick else options.seeds
    enable_cache()
    with tempfile.TemporaryDirectory() as folder:
        held = [
            *landscapes(seeds, Path(folder)),
            *accuracies(seeds, Path(folder)),
            *policies(seeds, Path(folder)),
        ]
    claim("The pendulum's bars", sum(held), f"of {len(held)} claims hold", "all", all(held))


if __name__ == "__main__":
    run_benchmark(main)
