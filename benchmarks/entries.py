"""What a reward model learns from a few hundred judgments, by which entries it is given.

    python benchmarks/entries.py [--quick] [--seeds N]

Simulated judges, an exact one and `simulated:strong`, compare states of the reacher: half of the
questions are about any, half about such where the tip is near the ball, as a policy that begins to
do it visits them. Of the eight entries that a frame shows two say how far the tip is from the ball,
and nothing else matters. The reward model is given all eight, those that are found to matter
(`reward.learning.fit_entries`), and the two that people wrote. Measured is how well it orders other
states near the ball, where a policy comes to rest: its rank correlation with the truth.
Nothing is drawn and no policy is trained.
"""

from __future__ import annotations

import argparse
import statistics
from contextlib import closing
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import spearmanr

from asked import data, judged
from claims import claim, run_benchmark
from volition.comparison import Comparison, Frame, Segment
from volition.envs.scene import make_env
from volition.reward.fit import fit
from volition.reward.learning import Recipe, fit_entries
from volition.reward.preferences import PreferenceData
from volition.storage.compilation import enable_cache
from volition.tasks.task import RewardSection, Task
from volition.tasks.truth import TRUTHS, of_state

TASK = Task.find("reacher")
SHOWN, WRITTEN = (0, 1, 2, 3, 4, 5, 8, 9), (8, 9)
COUNTS = (100, 200, 400)
POOL, MEASURED = 400, 1000  # states of either kind
NEAR = 0.04  # metres: deviation of the tip from the ball along either side of the table
UNSEEN = Frame(np.zeros((1, 1, 3), np.uint8))  # a simulated judge looks at no picture

States = npt.NDArray[np.float32]


def reached(count: int, near: bool, rng: np.random.Generator) -> States:
    """What is observed with the arm in any position; where asked, with the ball near its tip."""
    rows = []
    with closing(make_env(TASK.environment.id)) as env:
        body: Any = env.unwrapped
        for _ in range(count):
            env.reset(seed=int(rng.integers(2**31)))
            place, speed = body.data.qpos.copy(), body.data.qvel.copy()
            place[:2] = rng.uniform(-np.pi, np.pi, 2)
            body.set_state(place, speed)
            if near:
                place[2:] = body.get_body_com("fingertip")[:2] + NEAR * rng.normal(size=2)
                body.set_state(place, speed)
            rows.append(body._get_obs())
    return np.stack(rows).astype(np.float32)


def questions(rng: np.random.Generator) -> list[Comparison]:
    """Pairs of states without pictures, every second of any kind, and every other one near."""
    pools = [
        [Segment(state[None], (UNSEEN,)) for state in reached(POOL, near, rng)]
        for near in (False, True)
    ]
    return [
        Comparison.between("goal", *(pools[n % 2][place] for place in rng.choice(POOL, 2, False)))
        for n in range(max(COUNTS))
    ]


def ways(asked: PreferenceData, seed: int, near: States) -> dict[str, float]:
    """The rank correlation with the truth near the ball, by what is given."""
    section = RewardSection(observations=SHOWN)
    truth = TRUTHS[TASK.name].potential
    assert isinstance(truth, of_state)
    models = {
        "all": fit(asked, section, False, seed).model,
        "found": fit_entries(asked, Recipe(section, seed=seed, sparse=True))[0].model,
        "written": fit(asked, section, False, seed, WRITTEN).model,
    }
    true = truth.of_each(near)
    return {
        name: round(float(spearmanr(np.asarray(model(near)), true)[0]), 3)
        for name, model in models.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one seed")
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    seeds = 1 if arguments.quick else arguments.seeds
    enable_cache()
    near = reached(MEASURED, True, np.random.default_rng(0))
    held = []
    for kind in ("exact", "strong"):
        found: dict[int, list[dict[str, float]]] = {count: [] for count in COUNTS}
        for seed in range(seeds):
            asked = questions(np.random.default_rng([seed, 1]))
            judge = "simulated:exact" if kind == "exact" else f"simulated:strong:{seed}"
            answers = judged(TASK, judge, asked, seed)
            for count in COUNTS:
                found[count].append(ways(data(asked[:count], answers[:count]), seed, near))
        for count, each in found.items():
            medians = {way: statistics.median(one[way] for one in each) for way in each[0]}
            held.append(
                claim(
                    f"reacher, {count} judgments of simulated:{kind}: rank correlation with the "
                    "truth near the ball, with the entries that are found",
                    medians["found"],
                    "median of seeds",
                    ">= 0.9 of that with those that people wrote",
                    medians["found"] >= 0.9 * medians["written"],
                    simulated=True,
                    medians=medians,
                    all=each,
                )
            )
    claim("The entries that a goal depends on", sum(held), f"of {len(held)}", "all", all(held))


if __name__ == "__main__":
    run_benchmark(main)
