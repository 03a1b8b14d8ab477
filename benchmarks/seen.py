"""What a reward model can be given: judgments that it did not see, foretold from observations and
from the pictures that were judged.

    python benchmarks/seen.py [--tasks guest:thoughtful ...]

On the recorded judgments of the bundled tasks that are judged by single states, each fitted four
times: to the entries of the observation that the task names, to all of them, to the pictures as
Volition sees them (`reward/features.py`), and to as many principal components of the same pictures,
the baseline. The fits differ in nothing else, and no judgment is used to find either kind of
features. The last line holds where pictures foretell more than their principal components in the
median.
"""

from __future__ import annotations

import argparse
import json
import time

import numpy as np

from asked import opened
from claims import claim, run_benchmark
from volition.comparison import Floats, ObservedPair, reduced
from volition.envs.scene import scenes_of
from volition.judging.folders import view_asked
from volition.judging.recordings import open_recording
from volition.judgment import derive_preferences
from volition.reward.features import NUMBERS, SIDE
from volition.reward.fit import fit
from volition.reward.preferences import PreferenceData
from volition.storage.compilation import enable_cache
from volition.tasks.task import RewardSection, Task

TASKS = (
    "guest:thoughtful",
    "regatta:",
    "lamp:curious",
    "lamp:ashamed",
    "lamp:proud",
    "pendulum:",
    "cartpole:",
    "acrobot:",
)
COARSE = 24  # pixels of a side, of which principal components are taken


def principal(pictures: PreferenceData) -> PreferenceData:
    """The same with `NUMBERS` principal components in place of each picture."""
    shape = pictures.observations.shape
    seen = reduced(pictures.observations.reshape(-1, *shape[3:]), COARSE)
    rows: Floats = seen.reshape(len(seen), -1).astype(np.float32)
    rows -= rows.mean(0)
    _, _, axes = np.linalg.svd(rows, full_matrices=False)
    return pictures._replace(observations=(rows @ axes[:NUMBERS].T).reshape(*shape[:3], -1))


def measured(name: str) -> dict[str, float]:
    """Held-out accuracy of each fit, by what the reward model is given, and seconds of the last."""
    task_name, _, goal = name.partition(":")
    task = opened(Task.find(task_name, goal or None))
    source = task.judgments_folder(None)
    view = view_asked(source) or task.view
    scenes = scenes_of(task.environment)
    observed: dict[str, ObservedPair] = {}
    seen: dict[str, ObservedPair] = {}
    judgments = []
    for comparison, judgment in open_recording(source, "", "", scenes, view).judged():
        sides = comparison.first, comparison.second
        one, other = (reduced(side.frames[0].pixels)[None] for side in sides)
        observed[comparison.id], seen[comparison.id] = comparison.observations, (one, other)
        judgments.append(judgment)
    preferences = derive_preferences(judgments)
    vectors = PreferenceData.gather(observed, preferences)
    pictures = PreferenceData.gather(seen, preferences)
    everything = RewardSection()
    named = fit(vectors, task.reward, False, 0).heldout.share
    whole = fit(vectors, everything, False, 0).heldout.share
    components = fit(principal(pictures), everything, False, 0).heldout.share
    started = time.perf_counter()
    of_pictures = fit(pictures, everything, False, 0).heldout.share
    return {
        "judgments": len(preferences),
        "named entries": named,
        "all entries": whole,
        "principal components": components,
        "pictures": of_pictures,
        "seconds": time.perf_counter() - started,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", nargs="+", default=TASKS, metavar="TASK:GOAL")
    arguments = parser.parse_args()
    enable_cache()
    results = {}
    for name in arguments.tasks:
        results[name] = {key: round(value, 3) for key, value in measured(name).items()}
        print(json.dumps({name: results[name]}), flush=True)
    gain = np.median([r["pictures"] - r["principal components"] for r in results.values()])
    claim(
        f"held-out judgments foretold from pictures, {SIDE} pixels a side at most",
        round(float(gain), 3),
        "above as many principal components, median of tasks",
        "> 0",
        gain > 0,
        all=results,
    )


if __name__ == "__main__":
    run_benchmark(main)
