"""What a judge's bias to what is shown first costs, once it is fitted together with the reward.

    python benchmarks/order_bias.py [--quick]

A simulated judge that errs like `simulated:strong` in all but its bias, which is set to 0, +2 and
-2 in logits, answers 100 comparisons of the pendulum, each put in a random order. A reward model is
fitted to its answers, and its preferences are compared with the truth on 4,000 other pairs. The
same again without the order of presentation, which shows what the fitted bias is worth; and with a
judge like `simulated:mid`. Everything here is simulated; the value is the mean over the seeds.
"""

from __future__ import annotations

import argparse

import jax.numpy as jnp
import numpy as np

from asked import comparisons, data, judged, opened
from claims import claim, run_benchmark
from volition.reward.fit import fit
from volition.reward.model import RewardModel
from volition.storage.compilation import enable_cache
from volition.tasks.task import Task

TASK = opened(Task.find("pendulum"))
JUDGMENTS = 100
BIASES = (0.0, 2.0, -2.0)
PAIRS = 4000


def accuracy(model: RewardModel) -> float:
    """Share of random pairs of which the reward prefers the higher one."""
    angles = np.random.default_rng(0).uniform(-np.pi, np.pi, (PAIRS, 2))
    observed = np.stack([np.cos(angles), np.sin(angles), 0 * angles], -1).astype(np.float32)
    rewards = np.asarray(model(jnp.asarray(observed)))
    higher = np.cos(angles[:, 0]) > np.cos(angles[:, 1])
    return float(((rewards[:, 0] > rewards[:, 1]) == higher).mean())


def measure(kind: str, bias: float, seed: int) -> tuple[float, float, float]:
    """Accuracy with the bias fitted and with the order withheld, and the fitted bias."""
    asked = comparisons(TASK.name, JUDGMENTS, seed)
    known = data(asked, judged(TASK, f"simulated:{kind}?seed={seed}&bias={bias}", asked, seed))
    fitted = fit(known, TASK.reward, symmetric=False, seed=seed)
    blind = fit(known._replace(answers=None), TASK.reward, symmetric=False, seed=seed)
    (traits,) = fitted.judges.values()
    return accuracy(fitted.model), accuracy(blind.model), traits.bias


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="three seeds")
    seeds = 3 if parser.parse_args().quick else 20
    enable_cache()
    for kind in ("mid", "strong"):
        rows = {b: np.array([measure(kind, b, s) for s in range(seeds)]) for b in BIASES}
        means = {bias: row.mean(0) for bias, row in rows.items()}
        cost = 100 * max(means[0.0][0] - means[bias][0] for bias in BIASES)
        withheld = 100 * max(means[0.0][0] - means[bias][1] for bias in BIASES)
        claim(
            f"A bias of +-2 to what is shown first, judge like simulated:{kind}: cost in accuracy",
            round(cost, 2),
            "points, mean of the seeds, the worse sign",
            "<= 2",
            cost <= 2,
            simulated=True,
            seeds=seeds,
            judgments=JUDGMENTS,
            accuracy={str(bias): round(float(mean[0]), 4) for bias, mean in means.items()},
            cost_if_not_fitted=round(withheld, 2),
            fitted_bias={str(bias): round(float(mean[2]), 2) for bias, mean in means.items()},
        )


if __name__ == "__main__":
    run_benchmark(main)
