"""A run's reward model measured on judgments that it never saw."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from volition.envs.scene import scenes_of
from volition.errors import InputError
from volition.judges.recorded import read_recording
from volition.judgment import derive_preferences
from volition.preference import PreferenceData
from volition.reward import score
from volition.reward_model import RewardModel
from volition.run_folder import RunFolder


def score_run(run: RunFolder, judgments: Path) -> dict[str, Any]:
    """Accuracy on the comparisons in `judgments` that are not in the run's own store.

    Returns:
        `accuracy`, its `interval` (Wilson, 95%), `correct` of `comparisons`, and how many were
        left out: `ties` of the judge, and those `seen` in training.

    Raises:
        InputError: The judgments will not do, or none is left.
    """
    if not judgments.exists():
        raise InputError(f"there are no judgments at {judgments}")
    with run.open_store() as store:
        goal_ids, seen = list(store.goal_texts()), set(store.comparisons())
    scenes = scenes_of(run.task.environment)
    recording = read_recording(judgments, judgments.name, goal_ids[0], scenes, run.task.view)
    preferences = derive_preferences(recording.judgments)
    unseen = [p for p in preferences if p.comparison_id not in seen]
    if not unseen:
        raise InputError(f"the run was trained on every comparison in {judgments}")
    data = PreferenceData.gather({c.id: c.observations for c in recording.comparisons}, unseen)
    result = score(RewardModel.load(run.reward_model), data)
    return {
        "run": str(run.path),
        "judgments": str(judgments),
        "accuracy": result.share,
        "interval": result.interval,
        "correct": result.successes,
        "comparisons": result.trials,
        "ties": len(unseen) - result.trials,
        "seen": len(preferences) - len(unseen),
    }
