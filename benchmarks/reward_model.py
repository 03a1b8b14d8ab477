"""Why the reward model is as it is: the landscape it draws from the recorded judgments, by network.

    python benchmarks/reward_model.py [--quick]

For each network, number of steps, learning rate and size of the committee: degrees from upright to
the peak of the reward, and Spearman's correlation with height, the worst of the seeds.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import jax
import numpy as np

from claims import claim, run_benchmark
from pendulum import TASK, landscape
from volition.envs.scene import scenes_of
from volition.judging.recordings import read_recording
from volition.judgment import derive_preferences
from volition.reward import fit as reward
from volition.reward import model as reward_model
from volition.reward.preferences import PreferenceData
from volition.storage.compilation import enable_cache

CHOSEN = {
    "HIDDEN": reward_model.HIDDEN,
    "STEPS": reward.STEPS,
    "LEARNING_RATE": reward.LEARNING_RATE,
    "MEMBERS": reward_model.MEMBERS,
    "BATCH": reward.BATCH,
}
VARIANTS: tuple[dict[str, Any], ...] = (
    {},
    {"HIDDEN": (64, 64), "LEARNING_RATE": 1e-2},
    {"HIDDEN": (32, 32), "LEARNING_RATE": 1e-2},
    {"HIDDEN": (64,)},
    {"HIDDEN": (256,)},
    {"STEPS": 400},
    {"MEMBERS": 10},
    {"BATCH": 256},
)


def read(judgments: str) -> PreferenceData:
    folder, scenes = TASK.judgments_folder(judgments), scenes_of(TASK.environment)
    recording = read_recording(folder, judgments, "goal", scenes, TASK.view)
    return PreferenceData.gather(
        {comparison.id: comparison.observations for comparison in recording.comparisons},
        derive_preferences(recording.judgments),
    )


def measure(data: PreferenceData, variant: dict[str, Any], seeds: int) -> dict[str, float]:
    for name, value in {**CHOSEN, **variant}.items():
        setattr(reward, name, value)
    # The constants are baked into the compiled program.
    jax.clear_caches()  # type: ignore[no-untyped-call]
    reward.fit(data, TASK.reward, symmetric=False, seed=0)
    started = time.perf_counter()
    models = [reward.fit(data, TASK.reward, symmetric=False, seed=s).model for s in range(seeds)]
    seconds = (time.perf_counter() - started) / seeds
    peaks, correlations = zip(*map(landscape, models), strict=True)
    return {
        "peak": round(max(peaks), 2),
        "spearman": round(min(correlations), 4),
        "median_peak": round(float(np.median(peaks)), 2),
        "seconds": round(seconds, 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="two seeds")
    seeds = 2 if parser.parse_args().quick else 8
    enable_cache()
    sets = {name: read(name) for name in ("one-look", "full")}
    table = []
    for variant in VARIANTS:
        row = {name: measure(data, variant, seeds) for name, data in sets.items()}
        print(f"{variant or 'as chosen'}: {row}", flush=True)
        table.append(row)
    chosen = table[0]
    good = chosen["one-look"]["spearman"] >= 0.98 and chosen["full"]["peak"] <= 3
    claim(
        "The chosen reward model's landscape, full set",
        chosen["full"]["peak"],
        "degrees off upright, worst seed",
        "<= 3, and from one look Spearman >= 0.98",
        good,
        seeds=seeds,
        one_look=chosen["one-look"],
    )


if __name__ == "__main__":
    run_benchmark(main)
