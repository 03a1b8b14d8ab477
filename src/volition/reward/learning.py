"""The reward model of a run: fitted to what its store says, and kept in its folder."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from volition.comparison import ObservedPair, content_id
from volition.judgment import Judgment, Preference, Verdict, derive_preferences
from volition.reward.examining import check_fit, foretold
from volition.reward.fit import Fit, fit
from volition.reward.model import FILE, RewardModel
from volition.reward.preferences import PreferenceData, Proportion
from volition.reward.principles import Alarm, alarms, counted, heeded
from volition.run.folder import RunFolder
from volition.storage.store import Store
from volition.storage.tensors import read_description

LEAST_OF_A_VETO = 10  # comparisons that it decides, before it caps anything


def learn_reward(folder: RunFolder, store: Store) -> dict[str, Any]:
    """Fits the reward model to the store's judgments, unless that has been done.

    Returns:
        What is known of the fit: `judgments`, `heldout`, `strength`, `preferences`, `judges`,
        `calibration`, `principles`, `vetoes`, `alarms`.

    Raises:
        JudgeUnfit: A judge's answers say nothing.
    """
    file, settings, judgments = folder.reward_model / FILE, folder.settings, store.judgments()
    name = digest(derive_preferences(judgments))
    if file.is_file() and (known := read_description(file))["preferences"] == name:
        return known
    observed, vetoes = store.observed(), folder.task.stated_goal().vetoes
    ordinary = [judgment for judgment in judgments if judgment.principle not in vetoes]
    preferences = derive_preferences(ordinary)
    data = PreferenceData.gather(observed, preferences)
    fitted = fit(data, folder.task.reward, settings.symmetric, settings.seed)
    check_judges(store, ordinary, preferences, fitted)
    heeds = heeded(data, fitted.unseen, {name: each.bias for name, each in fitted.judges.items()})
    fitted_vetoes = [
        fit_veto(folder, observed, veto, [j for j in judgments if j.principle == veto])
        for veto in vetoes
    ]
    found = [*alarms(heeds, ordinary), *(a for veto in fitted_vetoes for a in veto.alarms())]
    fitted.model.capped_by([veto.model for veto in fitted_vetoes]).save(
        folder.reward_model,
        judgments=sum(isinstance(judgment.outcome, Verdict) for judgment in judgments),
        preferences=name,
        symmetric=settings.symmetric,
        strength=fitted.strength,
        log_loss={str(strength): loss for strength, loss in fitted.log_loss.items()},
        heldout=counted(fitted.heldout),
        judges={judge_id: asdict(traits) for judge_id, traits in fitted.judges.items()},
        calibration=fitted.calibration.as_dict(),
        principles=[heed.as_dict() for heed in heeds],
        vetoes=[veto.as_dict() for veto in fitted_vetoes],
        alarms=[alarm.as_dict() for alarm in found],
    )
    return read_description(file)


@dataclass(frozen=True, slots=True)
class FittedVeto:
    """A veto as it was learned.

    Attributes:
        principle: Its words.
        model: What says how far a state keeps to it; None where the judgments say too little.
        judgments: Under it.
        heldout: As of `Fit`.
    """

    principle: str
    model: RewardModel | None
    judgments: int
    heldout: Proportion

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "principle": self.principle,
            "caps": self.model is not None,
            "judgments": self.judgments,
            "heldout": counted(self.heldout),
        }

    def alarms(self) -> list[Alarm]:
        """What a person should know before relying on it."""
        correct, total = self.heldout
        if self.model is None:
            said = f"caps nothing: {total} of its {self.judgments} judgments prefer one side"
        elif self.heldout.interval[0] <= 0.5:
            said = f"caps by chance: {correct} of {total} of its held-out judgments are foretold"
        else:
            return []
        reason = f"the veto “{self.principle}” {said}"
        return [Alarm("veto", (self.principle,), reason, self.judgments)]


def fit_veto(
    folder: RunFolder,
    observed: Mapping[str, ObservedPair],
    principle: str,
    judgments: Sequence[Judgment],
) -> FittedVeto:
    """What the judgments under a veto say, as a reward model of its own."""
    settings, preferences = folder.settings, derive_preferences(judgments)
    decided = sum(preference.p_first != 0.5 for preference in preferences)
    count = sum(isinstance(judgment.outcome, Verdict) for judgment in judgments)
    if decided < LEAST_OF_A_VETO:
        return FittedVeto(principle, None, count, Proportion(0, decided))
    data = PreferenceData.gather(observed, preferences)
    fitted = fit(data, folder.task.reward, settings.symmetric, settings.seed)
    states = data.observations.reshape(-1, *data.observations.shape[3:])
    return FittedVeto(principle, fitted.model.as_veto(states), count, fitted.heldout)


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
        (
            p.comparison_id,
            [
                (
                    a.judge_id,
                    a.order,
                    a.p_first,
                    a.count,
                    *([a.principle] if a.principle is not None else []),
                )
                for a in p.answers
            ],
        )
        for p in preferences
    ]
    return content_id(json.dumps(rows).encode())


def warnings(known: Mapping[str, Any]) -> list[str]:
    """What a person should know before believing the result, by what is known of the fit."""
    heldout, found = known["heldout"], [alarm["reason"] for alarm in known.get("alarms", ())]
    if heldout["interval"][0] > 0.5:
        return found
    return [
        *found,
        f"the reward model decides {heldout['correct']} of {heldout['total']} held-out comparisons "
        "as the judge did, which is no better than chance: the judgments may be too few, or "
        "contradict each other, or the reward model may not see what the judge saw",
    ]
