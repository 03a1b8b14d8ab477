"""A run's reward model measured on judgments that it never saw."""

from __future__ import annotations

from collections.abc import Container, Sequence
from pathlib import Path
from typing import Any

from volition.envs.scene import scenes_of
from volition.errors import InputError
from volition.judging.recordings import Recording, read_recording
from volition.judgment import Judgment, derive_preferences
from volition.reward.fit import score
from volition.reward.model import FILE, RewardModel
from volition.reward.preferences import PreferenceData, Proportion
from volition.run.folder import RunFolder
from volition.storage.tensors import read_description
from volition.tasks.task import Task, bundled_tasks


def score_run(run: RunFolder, judgments: Path) -> dict[str, Any]:
    """Accuracy on the comparisons in `judgments` that are not in the run's own store.

    They are a path, or the name of a set that the bundled task has which the run is of.

    Each is placed in the environment as it was made when it was asked.

    Returns:
        `accuracy`, its `interval` (Wilson, 95%), `correct` of `comparisons`, and how many were
        left out: `ties` of the judge, and those `seen` in training. In `vetoes` likewise, of each
        that caps, what its own model decides of the comparisons that were judged by it alone.

    Raises:
        InputError: The judgments will not do, or none is left.
    """
    judgments = _found(judgments, run.task)
    task, scenes = run.task, scenes_of(run.task.environment)
    with run.open_store() as store:
        goal_ids, seen = list(store.goal_texts()), set(store.comparisons())
    recording = read_recording(judgments, judgments.name, goal_ids[0], scenes, task.view)
    if all(comparison.id in seen for comparison in recording.comparisons):
        raise InputError(f"the run was trained on every comparison in {judgments}")
    model, vetoes = RewardModel.load(run.reward_model), task.stated_goal().vetoes
    fitted = read_description(run.reward_model / FILE).get("vetoes", [])
    ordinary = [j for j in recording.judgments if j.principle not in vetoes]
    return {
        "run": str(run.path),
        "judgments": str(judgments),
        **_scored(model, recording, ordinary, seen),
        "vetoes": [
            {"principle": veto["principle"], **_scored(of_veto, recording, judged, seen)}
            for veto, of_veto in zip(fitted, model.vetoes, strict=True)
            if veto["caps"]
            and (judged := [j for j in recording.judgments if j.principle == veto["principle"]])
        ],
    }


def _found(judgments: Path, task: Task) -> Path:
    """Where the judgments are."""
    if judgments.exists():
        return judgments
    bundled = next((other for other in bundled_tasks() if other.name == task.name), task)
    return bundled.judgments_folder(str(judgments))


def _scored(
    model: RewardModel, recording: Recording, judgments: Sequence[Judgment], seen: Container[str]
) -> dict[str, Any]:
    preferences = derive_preferences(judgments)
    unseen = [p for p in preferences if p.comparison_id not in seen]
    observed = {c.id: c.observations for c in recording.comparisons}
    result = score(model, PreferenceData.gather(observed, unseen)) if unseen else Proportion(0, 0)
    return {
        "accuracy": result.share if result.trials else None,
        "interval": result.interval,
        "correct": result.successes,
        "comparisons": result.trials,
        "ties": len(unseen) - result.trials,
        "seen": len(preferences) - len(unseen),
    }
