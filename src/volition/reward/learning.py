"""From judgments to the reward model that a policy learns from, vetoes and alarms included."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from pydantic import ValidationError

from volition.comparison import Floats, Observations, ObservedPair, content_id
from volition.errors import RunError
from volition.goal import GoalStage
from volition.judgment import (
    Answers,
    JudgeIdentity,
    Judgment,
    Preference,
    Verdict,
    derive_preferences,
)
from volition.reward.calibration import Calibration
from volition.reward.examining import check_fit, foretold
from volition.reward.fit import Fit, JudgeTraits, fit
from volition.reward.inputs import sparse_inputs
from volition.reward.model import FILE, RewardModel, evenly_spread, opinions
from volition.reward.preferences import PreferenceData, Proportion
from volition.reward.principles import Alarm, Counted, Heed, alarms, heeded
from volition.storage.documents import from_document
from volition.storage.tensors import read_description
from volition.tasks.task import RewardSection

GOOD = 0.9  # of the judged states are worth less than a good one
LEAST_OF_A_VETO = 10  # comparisons that it decides, before it caps anything
PAIRED = 2  # pairs in which each moment is that nobody judged
TELLING = 0.75  # of pairs that observations decide as pictures do: with fewer a person is warned


class Judged(NamedTuple):
    """What was judged.

    Attributes:
        judgments: All of them.
        observed: What the reward model sees of every comparison, by its id.
        judges: Who judged, by id.
        beside: How many more verdicts they are than those of judges who are no people: what people
            said, less what they overruled.
    """

    judgments: Sequence[Judgment]
    observed: Mapping[str, ObservedPair]
    judges: Mapping[str, JudgeIdentity]
    beside: int = 0


class Seen(NamedTuple):
    """What was drawn of what was observed.

    Attributes:
        judged: The pictures of every comparison, each uint8 (1, height, width, 3), by its id.
        pictures: Of moments that nobody judged: uint8 (rows, height, width, 3).
        observations: Of the same moments: (rows, obs_dim).
    """

    judged: Mapping[str, ObservedPair]
    pictures: Observations
    observations: Observations


Look = Callable[[], Seen]


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a reward model is made of what was judged.

    Attributes:
        section: What it may see, and the symmetries that the task declares.
        vetoes: Principles that are learned by themselves and cap the reward.
        symmetric: Whether it uses the symmetries.
        seed: Of everything random.
        sparse: Whether it is given only those of the entries that it may see which held-out
            judgments speak for.
        said: Principles that a person added by correcting what was learned: they count as the goal
            does, and have no slope of their own, since they are to go against what was there.
        stages: What is wanted in turn, where the goal has stages: each is learned by itself.
    """

    section: RewardSection
    vetoes: tuple[str, ...] = ()
    symmetric: bool = False
    seed: int = 0
    sparse: bool = False
    said: tuple[str, ...] = ()
    stages: tuple[GoalStage, ...] = ()

    def as_counted(self, judgments: Sequence[Judgment]) -> list[Judgment]:
        """The judgments, those under what was said as if the goal as it is had been judged."""
        return [replace(j, principle=None) if j.principle in self.said else j for j in judgments]


@dataclass(frozen=True, slots=True)
class ChosenInputs:
    """Which observation entries a reward model is given, and what held-out judgments say of that.

    Attributes:
        shown: The entries that it may see.
        log_loss, heldout: With all of these, as of `Fit`; of the strengths the best.
        sparse: Fewer of them, that were tried; None where nothing spoke for fewer.
        sparse_log_loss, sparse_heldout: Likewise.
    """

    shown: tuple[int, ...]
    log_loss: float
    heldout: Counted
    sparse: tuple[int, ...] | None = None
    sparse_log_loss: float | None = None
    sparse_heldout: Counted | None = None

    @property
    def taken(self) -> tuple[int, ...]:
        """Fewer where the reward model itself foretells held-out judgments better with them."""
        if self.sparse is None or self.sparse_log_loss is None:
            return self.shown
        return self.sparse if self.sparse_log_loss < self.log_loss else self.shown


@dataclass(frozen=True, slots=True)
class VetoFit:
    """What is known of a veto as it was learned.

    Attributes:
        principle: Its words.
        caps: Whether it does anything; else the judgments say too little.
        judgments: Under it.
        heldout: As of `Fit`.
        inputs: As of `RewardFit`.
    """

    principle: str
    caps: bool
    judgments: int
    heldout: Counted
    inputs: ChosenInputs | None = None

    def alarms(self) -> list[Alarm]:
        """What a person should know before relying on it."""
        correct, total = self.heldout
        if not self.caps:
            trouble = f"caps nothing: {total} of its {self.judgments} judgments prefer one side"
        elif self.heldout.interval[0] <= 0.5:
            trouble = f"caps by chance: {correct} of {total} of its held-out judgments are foretold"
        else:
            return []
        reason = f"the veto “{self.principle}” {trouble}"
        return [Alarm("veto", (self.principle,), reason, self.judgments)]


@dataclass(frozen=True, slots=True)
class StageFit:
    """What is known of one stage of a goal as it was learned.

    Attributes:
        text: What it wants.
        done: What is so when it is done.
        judgments, heldout: Of what it wants, as of `Fit`; no judgments where too little is known.
        inputs: Likewise as of `RewardFit`.
        done_judgments: Of whether it is done.
        done_least: How many of them say the rarer of the two.
        known: Share of them with which the learned threshold agrees, not held out; None where too
            little is known, and then the stage is never done.
    """

    text: str
    done: str
    judgments: int
    heldout: Counted
    done_judgments: int
    done_least: int
    known: float | None = None
    inputs: ChosenInputs | None = None

    @property
    def warnings(self) -> list[str]:
        """What a person should know before relying on it."""
        if self.known is None:
            return [
                f"nobody can tell when the stage “{self.text}” is done: of {self.done_judgments} "
                f"judgments about that {self.done_least} say the rarer of yes and no, so no stage "
                "after it is ever reached; more --max-judgments may help, or other words for when "
                "it is done"
            ]
        if not self.heldout.trials:
            return [f"too few judgments say what the stage “{self.text}” wants"]
        return []


@dataclass(frozen=True, slots=True)
class RewardFit:
    """What is known of a reward model's fit; it is kept in the model's file.

    Attributes:
        judgments: With a verdict.
        preferences: Names what it was fitted to, as `digest` does.
        symmetric: Whether it used the symmetries of the task.
        strength: The weight decay that was chosen.
        log_loss: In nats, of held-out answers, for each strength tried.
        heldout: Comparisons decided as the judge did by the member that never saw them.
        judges: How each judge answers, by its id.
        calibration: Whether held-out answers are as probable as they were said to be.
        principles: How far each is heeded.
        vetoes: What became of each, in the order of the goal.
        alarms: What speaks for a goal that is ambiguous.
        good: What the best tenth of the judged states is worth at least, as a learner is rewarded;
            None where an older version fitted.
        inputs: Which observation entries it is given; None where the task says it, and of pictures.
        beside: As of `Judged`.
        told: Pairs of moments that nobody judged, decided from observations as from their pictures,
            where the judgments were learned from pictures.
        stages: What became of each stage of the goal, in their order.
    """

    judgments: int
    preferences: str
    symmetric: bool
    strength: float
    log_loss: dict[float, float]
    heldout: Counted
    judges: dict[str, JudgeTraits]
    calibration: Calibration
    principles: tuple[Heed, ...] = field(default=())
    vetoes: tuple[VetoFit, ...] = field(default=())
    alarms: tuple[Alarm, ...] = field(default=())
    good: float | None = None
    inputs: ChosenInputs | None = None
    told: Counted | None = None
    stages: tuple[StageFit, ...] = field(default=())
    beside: int = 0

    @property
    def heldout_accuracy(self) -> float | None:
        """Of the reward model, on comparisons that it did not see; None where there are none."""
        return self.heldout.share if self.heldout.trials else None

    @property
    def warnings(self) -> list[str]:
        """What a person should know before believing what is learned from it."""
        reasons = [alarm.reason for alarm in self.alarms]
        reasons += [warning for stage in self.stages for warning in stage.warnings]
        if self.told is not None and self.told.share < TELLING:
            correct, total = self.told
            reasons.append(
                "the goal was learned from pictures, and what is observed decides only "
                f"{correct} of {total} pairs as their pictures do: it does not show what the "
                "judge saw"
            )
        if self.heldout.interval[0] > 0.5:
            return reasons
        correct, total = self.heldout
        return [
            *reasons,
            f"the reward model decides {correct} of {total} held-out comparisons as the judge did, "
            "which is no better than chance: the judgments may be too few, or contradict each "
            "other, or the reward model may not see what the judge saw",
        ]


def learn_reward(
    judged: Judged, recipe: Recipe, look: Look | None = None
) -> tuple[RewardModel, RewardFit]:
    """Fits the reward model to what was judged, each veto by itself.

    Args:
        judged: What was judged.
        recipe: How it is made.
        look: Draws what was observed, where the recipe's section wants to see it.

    Raises:
        InputError: The judgments say nothing.
        JudgeUnfit: A judge's answers say nothing.
    """
    ordinary = [j for j in judged.judgments if j.principle not in recipe.vetoes]
    preferences = preferences_of(judged, recipe, recipe.as_counted(ordinary))
    data = PreferenceData.gather(judged.observed, preferences)
    fitted, inputs, told = fit_seen(data, preferences, recipe, look)
    check_judges(judged.judges, ordinary, preferences, fitted)
    biases = {judge_id: traits.bias for judge_id, traits in fitted.judges.items()}
    as_asked = PreferenceData.gather(judged.observed, preferences_of(judged, recipe, ordinary))
    heeds = heeded(as_asked, fitted.unseen, biases)
    doubtful = [heed for heed in heeds if heed.principle not in recipe.said]
    unsaid = [j for j in ordinary if j.principle not in recipe.said]
    vetoes = [fit_veto(judged, veto, recipe, look) for veto in recipe.vetoes]
    warned = [alarm for _, veto in vetoes for alarm in veto.alarms()]
    model = fitted.model.capped_by([model for model, _ in vetoes])
    states = data.observations.reshape(-1, *data.observations.shape[3:])
    return model, RewardFit(
        judgments=verdicts(judged.judgments),
        preferences=digest(derive_preferences(judged.judgments)),
        symmetric=recipe.symmetric,
        strength=fitted.strength,
        log_loss=fitted.log_loss,
        heldout=fitted.heldout,
        judges=fitted.judges,
        calibration=fitted.calibration,
        principles=tuple(heeds),
        vetoes=tuple(veto for _, veto in vetoes),
        alarms=(*alarms(doubtful, unsaid), *warned),
        good=float(np.quantile(model(evenly_spread(states)), GOOD)),
        inputs=inputs,
        told=told,
        beside=judged.beside,
    )


class Doubling(NamedTuple):
    """What twice as many judgments taught.

    Attributes:
        half: Share of held-out comparisons that half of the judgments decide as the judge did.
        whole: Likewise all of them.
    """

    half: float
    whole: float


def doubling(judged: Judged, recipe: Recipe) -> Doubling:
    """How well half of the judgments foretell the others, and how well all do.

    Where there is hardly a difference, twice as many will hardly teach more. Each half of them,
    dealt at random, foretells the other; with all of them each is foretold by the member that never
    saw it. Members are compared with members, since an ensemble foretells better than one. Counted
    is who is preferred and not how probable that was: of few answers nobody knows how sure to be.

    Raises:
        InputError: The judgments say nothing.
    """
    ordinary = [j for j in judged.judgments if j.principle not in recipe.vetoes]
    preferences = preferences_of(judged, recipe, recipe.as_counted(ordinary))
    order = np.random.default_rng(recipe.seed).permutation(len(preferences))
    halves = [[preferences[place] for place in order[start::2]] for start in (0, 1)]
    data = [PreferenceData.gather(judged.observed, half) for half in halves]
    if not all(half.decided().any() for half in data):
        return Doubling(0.0, 1.0)
    whole = PreferenceData.gather(judged.observed, [p for half in halves for p in half])
    fitted = fit(whole, recipe.section, recipe.symmetric, recipe.seed)
    by_halves = [
        members_say(fit(mine, recipe.section, recipe.symmetric, recipe.seed).model, others)
        for mine, others in (data, data[::-1])
    ]
    agrees = (np.concatenate(by_halves[::-1], -1) > 0) == (whole.p_first > 0.5)  # (members, rows)
    return Doubling(float(agrees[:, whole.decided()].mean()), fitted.heldout.share)


def read_fit(folder: Path) -> RewardFit:
    """What is known of the reward model in `folder`.

    Raises:
        RunError: There is none, or it is damaged.
    """
    try:
        return from_document(RewardFit, read_description(folder / FILE))
    except ValidationError as error:
        raise RunError(f"{folder / FILE} is not a fitted reward model: {error}") from error


def preferences_of(
    judged: Judged, recipe: Recipe, judgments: Sequence[Judgment]
) -> list[Preference]:
    """Those of these judgments, a person's answer counting as often as the task says."""
    weight = recipe.section.person_weight
    people = {name: weight for name, judge in judged.judges.items() if judge.is_person}
    return derive_preferences(judgments, people)


def members_say(model: RewardModel, data: PreferenceData) -> Floats:
    """Logit of P(first preferred) by each member: (members, rows)."""
    observations = data.observations
    values, _ = opinions(model, observations.reshape(-1, *observations.shape[2:]))
    first, second = np.moveaxis(values.reshape(len(values), -1, 2), -1, 0)
    return np.asarray(first - second)


def fit_veto(
    judged: Judged, principle: str, recipe: Recipe, look: Look | None
) -> tuple[RewardModel | None, VetoFit]:
    """What the judgments under a veto say, as a reward model of its own; None: too little."""
    judgments = [j for j in judged.judgments if j.principle == principle]
    preferences = preferences_of(judged, recipe, judgments)
    decided = sum(preference.p_first != 0.5 for preference in preferences)
    count = verdicts(judgments)
    if decided < LEAST_OF_A_VETO:
        return None, VetoFit(principle, False, count, Proportion(0, decided))
    data = PreferenceData.gather(judged.observed, preferences)
    fitted, inputs, _ = fit_seen(data, preferences, recipe, look)
    states = data.observations.reshape(-1, *data.observations.shape[3:])
    return fitted.model.as_veto(states), VetoFit(principle, True, count, fitted.heldout, inputs)


def fit_seen(
    data: PreferenceData, preferences: Sequence[Preference], recipe: Recipe, look: Look | None
) -> tuple[Fit, ChosenInputs | None, Counted | None]:
    """The fit; which entries it is given; and where it learned from pictures, as of `told`."""
    sees = recipe.section.sees
    if sees == "observations" or look is None or data.observations.dtype == np.uint8:
        return (*fit_entries(data, recipe), None)
    seen = look()
    pictures = PreferenceData.gather(seen.judged, preferences)
    of_pictures = fit(pictures, RewardSection(), False, recipe.seed)
    if sees == "auto":
        fitted, inputs = fit_entries(data, recipe)
        if min(fitted.log_loss.values()) <= min(of_pictures.log_loss.values()):
            return fitted, inputs, None
    told = _distilled(of_pictures.model, seen, recipe)
    return replace(of_pictures, model=told.model), None, told.heldout


def _distilled(model: RewardModel, seen: Seen, recipe: Recipe) -> Fit:
    """What a model of pictures says of moments that nobody judged, fitted to their observations
    (Hinton et al., arXiv:1503.02531): a learner has no pictures, and they cost drawing."""
    rng, rows = np.random.default_rng(recipe.seed), len(seen.pictures)
    pairs = np.concatenate([rng.permutation(rows) for _ in range(PAIRED)])
    pairs = pairs[: len(pairs) // 2 * 2].reshape(-1, 2)
    pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    values, _ = opinions(model, seen.pictures[:, None])
    first, second = values.mean(0)[pairs].T
    said = 1.0 / (1.0 + np.exp(second - first))
    weight = np.ones(len(pairs), np.float32)
    data = PreferenceData(seen.observations[pairs][:, :, None], said.astype(np.float32), weight)
    return fit(data, recipe.section, recipe.symmetric, recipe.seed)


def fit_entries(data: PreferenceData, recipe: Recipe) -> tuple[Fit, ChosenInputs | None]:
    """The fit, of fewer entries where held-out judgments speak for that."""
    every = fit(data, recipe.section, recipe.symmetric, recipe.seed)
    shown = every.model.inputs
    if not recipe.sparse or not shown:
        return every, None
    inputs = ChosenInputs(shown, min(every.log_loss.values()), every.heldout)
    sparse = sparse_inputs(data, shown)
    if sparse == shown:
        return every, inputs
    fewer = fit(data, recipe.section, recipe.symmetric, recipe.seed, sparse)
    best = min(fewer.log_loss.values())
    inputs = replace(inputs, sparse=sparse, sparse_log_loss=best, sparse_heldout=fewer.heldout)
    return (fewer if inputs.taken == sparse else every), inputs


def check_judges(
    judges: Mapping[str, JudgeIdentity],
    judgments: Sequence[Judgment],
    preferences: Sequence[Preference],
    fitted: Fit,
) -> None:
    """That the judges' answers say something, by themselves and by what was fitted to them.

    Raises:
        JudgeUnfit: Those of one say nothing.
    """
    unseen = dict(zip((p.comparison_id for p in preferences), fitted.unseen.tolist(), strict=True))
    biases = {judge_id: traits.bias for judge_id, traits in fitted.judges.items()}
    names = {judge_id: judge.name for judge_id, judge in judges.items()}
    check_fit(judgments, names, foretold(judgments, unseen, biases))


def verdicts(judgments: Iterable[Judgment]) -> int:
    """How many of them prefer a side, or neither."""
    return sum(isinstance(judgment.outcome, Verdict) for judgment in judgments)


def digest(preferences: Sequence[Preference]) -> str:
    """Names what a reward model was fitted to, so that `verify` can derive it again."""
    rows = [(p.comparison_id, [_row(answers) for answers in p.answers]) for p in preferences]
    return content_id(json.dumps(rows).encode())


def _row(answers: Answers) -> list[object]:
    under = [] if answers.principle is None else [answers.principle]
    return [answers.judge_id, answers.order, answers.p_first, answers.count, *under]
