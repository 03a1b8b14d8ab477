"""How many judgments until the reward's peak is right, by how the questions are chosen?

    python benchmarks/querying.py [--quick] [--seeds N]

A simulated judge (`simulated:strong`, a judge of its own for each seed) answers questions about the
pendulum's states. Two are chosen to cover, then one at a time by information (BALD), by
disagreement of the members, or uniformly, from the same pool of states; the mirror is declared.
Counted are the judgments after which the peak of the learned reward is, and stays, within five
degrees of upright. No policy is trained.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Sequence
from functools import partial

import numpy as np

from asked import data, judged, opened
from claims import claim, run_benchmark
from volition.comparison import Comparison, shown_together
from volition.envs.scene import open_scene
from volition.judgment import Judgment
from volition.learners.visited import Passages
from volition.questions import Querying
from volition.questions.candidates import Candidates, chosen_comparisons
from volition.questions.covering import covering_comparisons
from volition.reward.fit import fit
from volition.reward.model import RewardModel, opinions
from volition.storage.compilation import enable_cache
from volition.tasks.task import Task

TASK = opened(Task.find("pendulum"))
KINDS: tuple[Querying, ...] = ("information", "disagreement", "uniform")
FIRST, MORE, MOST = 2, 1, 40
POOL = 2048
WITHIN_DEGREES = 5.0


def pool(rng: np.random.Generator) -> Passages:
    """States all over the pendulum's, as a policy that has been everywhere has visited them."""
    theta, velocity = rng.uniform(-np.pi, np.pi, POOL), rng.uniform(-8, 8, POOL)
    observations = np.stack([np.cos(theta), np.sin(theta), velocity], 1).astype(np.float32)
    return Passages(observations[:, None], np.stack([theta, velocity], 1)[:, None])


def peak_degrees(model: RewardModel) -> float:
    """From upright to the highest reward around the circle."""
    degrees = np.linspace(-180, 180, 1441)
    circle = np.radians(degrees)
    observed = np.stack([np.cos(circle), np.sin(circle), 0 * circle], 1).astype(np.float32)
    return float(abs(degrees[int(np.asarray(model(observed)).argmax())]))


def judgments_needed(querying: Querying, seed: int) -> int:
    """Judgments after which the peak stays within the bound; `MOST` + `MORE` if it never does."""
    rng = np.random.default_rng(seed)
    scene = open_scene(TASK.environment.id)
    candidates = Candidates.drawn(*pool(rng), scene, TASK.view)
    comparisons: list[Comparison] = []
    answers: list[Judgment] = []
    needed = 0

    def answer(asked: Sequence[Comparison]) -> None:
        comparisons.extend(asked)
        answers.extend(judged(TASK, f"simulated:strong:{seed}", asked, len(answers)))

    answer(covering_comparisons(TASK.environment, TASK.view, "goal", FIRST, seed))
    while True:
        model = fit(data(comparisons, answers), TASK.reward, True, seed).model
        if peak_degrees(model) > WITHIN_DEGREES:
            needed = len(answers) + MORE
        if len(answers) >= MOST:
            return max(needed, FIRST)
        shown = {shown_together(c.first.frames, c.second.frames) for c in comparisons}
        doubt = partial(opinions, model)
        answer(chosen_comparisons(candidates, doubt, "goal", shown, MORE, rng, querying))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="three seeds")
    parser.add_argument("--seeds", type=int, default=15)
    arguments = parser.parse_args()
    seeds = 3 if arguments.quick else arguments.seeds
    enable_cache()
    needed: dict[str, list[int]] = {}
    for kind in KINDS:
        needed[kind] = [judgments_needed(kind, seed) for seed in range(seeds)]
        print(kind, needed[kind], flush=True)
    medians = {kind: statistics.median(counts) for kind, counts in needed.items()}
    means = {kind: round(statistics.mean(counts), 1) for kind, counts in needed.items()}
    ratio = round(means["uniform"] / means["information"], 2)
    claim(
        "judgments of simulated:strong to a peak within 5 degrees, mirror declared: uniform's "
        "over information's",
        ratio,
        "times",
        ">= 3",
        ratio >= 3,
        simulated=True,
        medians=medians,
        means=means,
        all=needed,
    )


if __name__ == "__main__":
    run_benchmark(main)
