"""The reward model of a run: fitted to what its store says, and kept in its folder."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from volition.examining import check_fit, foretold
from volition.judgment import Judgment, Preference, Verdict, derive_preferences
from volition.preference import PreferenceData
from volition.reward import FILE, Fit, fit
from volition.run_folder import RunFolder
from volition.segment import content_id
from volition.store import Store
from volition.tensors import read_description


def learn_reward(folder: RunFolder, store: Store) -> dict[str, Any]:
    """Fits the reward model to the store's judgments, unless that has been done.

    Returns:
        What is known of the fit: `judgments`, `heldout`, `strength`, `preferences`, `judges`,
        `calibration`.

    Raises:
        JudgeUnfit: A judge's answers say nothing.
    """
    file, settings, judgments = folder.reward_model / FILE, folder.settings, store.judgments()
    preferences = derive_preferences(judgments)
    name = digest(preferences)
    if file.is_file() and (known := read_description(file))["preferences"] == name:
        return known
    data = PreferenceData.gather(store.observed(), preferences)
    fitted = fit(data, folder.task.reward, settings.symmetric, settings.seed)
    check_judges(store, judgments, preferences, fitted)
    correct, total = fitted.heldout
    fitted.model.save(
        folder.reward_model,
        judgments=sum(isinstance(judgment.outcome, Verdict) for judgment in judgments),
        preferences=name,
        symmetric=settings.symmetric,
        strength=fitted.strength,
        log_loss={str(strength): loss for strength, loss in fitted.log_loss.items()},
        heldout={"correct": correct, "total": total, "share": fitted.heldout.share,
                 "interval": fitted.heldout.interval},
        judges={judge_id: asdict(traits) for judge_id, traits in fitted.judges.items()},
        calibration=fitted.calibration.as_dict(),
    )  # fmt: skip
    return read_description(file)


def check_judges(
    store: Store, judgments: Sequence[Judgment], preferences: Sequence[Preference], fitted: Fit
) -> None:
    """That the judges' answers say something, by themselves and by what was fitted to them.

    Raises:
        JudgeUnfit: Those of one say nothing.
    """
    unseen = dict(zip((p.comparison_id for p in preferences), fitted.unseen.tolist(), strict=True))
    biases = {judge_id: traits.bias for judge_id, traits in fitted.judges.items()}
    names = {judge_id: judge.name for judge_id, judge in store.judges().items()}
    check_fit(judgments, names, foretold(judgments, unseen, biases))


def preference_data(store: Store) -> PreferenceData:
    """All that the store's judgments say, as arrays.

    Raises:
        InputError: They say nothing.
    """
    return PreferenceData.gather(store.observed(), store.preferences())


def digest(preferences: Sequence[Preference]) -> str:
    """Names what a reward model was fitted to, so that `verify` can derive it again."""
    rows = [
        (p.comparison_id, [(a.judge_id, a.order, a.p_first, a.count) for a in p.answers])
        for p in preferences
    ]
    return content_id(json.dumps(rows).encode())


def warnings(heldout: dict[str, Any]) -> list[str]:
    """What a person should know before believing the result."""
    if heldout["interval"][0] > 0.5:
        return []
    return [
        f"the reward model decides {heldout['correct']} of {heldout['total']} held-out comparisons "
        "as the judge did, which is no better than chance: the judgments may be too few, or "
        "contradict each other, or the reward model may not see what the judge saw"
    ]
