"""Goals in stages: a reward model of what each wants, and a threshold that says when it is done.

Whether a stage is done is judged in pairs, too: in which of the two is it done? Where it is in both
or in neither the answer is a tie, or as good as thrown. So the mean answer for the first is

    1/2 + (D(first) - D(second)) / 2,    D(s) = sigmoid((h(s) - c) / u)

with h an ensemble that is fitted to the same answers as any reward model. The threshold c and the
width u are those under which the answers are most probable; a stage is done where h exceeds c.

Which stage is under way is observed: it is appended to what the environment observes, one-hot, with
one entry more for when all are done. What the ensembles are given are the entries before that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import equinox as eqx
import jax
import numpy as np

from volition.comparison import Array, Floats
from volition.errors import EnvironmentUnsupported, InputError
from volition.goal import GoalStage
from volition.judgment import Judgment, Preference, derive_preferences
from volition.networks import apply_layers
from volition.reward.calibration import calibrate
from volition.reward.fit import Fit, JudgeTraits, check_inputs, fit
from volition.reward.learning import (
    ChosenInputs,
    Doubling,
    Judged,
    Look,
    Recipe,
    RewardFit,
    StageFit,
    check_judges,
    digest,
    fit_seen,
    fit_veto,
    learn_reward,
    members_say,
    verdicts,
)
from volition.reward.model import SPREAD_PENALTY, RewardModel, opinions
from volition.reward.preferences import PreferenceData, Proportion
from volition.tasks.task import RewardSection

LEAST = 6  # comparisons that are decided, before anything is learned of a stage
THRESHOLDS, WIDTHS = 101, (0.03, 0.1, 0.3, 0.6)  # that are tried; widths in deviations of h
CERTAIN = 0.02  # from 0 and 1: no answer is surer, or a single slip would decide all


class Staging(NamedTuple):
    """Moves on from stage to stage, on the host: it is asked at every step.

    Attributes:
        done: Of each stage, its ensemble as arrays.
    """

    done: tuple[RewardModel, ...]

    @classmethod
    def of(cls, model: RewardModel) -> Staging | None:
        """As a reward model knows when stages are done; None of a goal that has none."""
        if not model.stages:
            return None
        return cls(tuple(jax.tree.map(np.asarray, done) for done in model.done))

    @property
    def entries(self) -> int:
        """How many are appended to what is observed."""
        return len(self.done) + 1

    def begun(self, observed: Array) -> Array:
        """What is observed (rows, obs_dim) with the first stage under way: (rows, obs_dim + n)."""
        return self._appended(observed, np.zeros(len(observed), np.int64))

    def after(self, before: Array, reached: Array) -> Array:
        """What a step led to (rows, obs_dim), with the stage under way: the one of `before`
        (rows, obs_dim + n), or the next where that one is done."""
        stages = before[:, -self.entries :].argmax(1)
        for number, done in enumerate(self.done):
            rows = np.flatnonzero(before[:, number - self.entries] > 0.5)
            if len(rows):
                stages[rows] += _exceeds(done, reached[rows])
        return self._appended(reached, stages)

    def _appended(self, observed: Array, stages: Array) -> Array:
        return np.hstack([observed, np.eye(self.entries, dtype=np.float32)[stages]])


def _exceeds(done: RewardModel, observed: Array) -> Array:
    """Where the threshold is exceeded: bool (rows,). As of `RewardModel.cautious`, in NumPy."""
    seen: Any = (observed[:, done.inputs] - done.input_mean) / done.input_scale
    activation: Any = np.tanh
    said = np.asarray(apply_layers(done.layers, seen, activation))[..., 0]
    said = said - np.asarray(done.centre)[:, None]  # (members, rows)
    return np.asarray(said.mean(0) - SPREAD_PENALTY * said.std(0) > done.shift)


def check_observed(shape: tuple[int, ...] | None, name: str) -> None:
    """That which stage is under way can be appended to what is observed.

    Raises:
        EnvironmentUnsupported: It is no vector.
    """
    if len(shape or ()) != 1:
        raise EnvironmentUnsupported(
            f"{name}: a goal in stages needs observations that are vectors of numbers, and here "
            f"they have the shape {shape}: leave goal.stages out"
        )


def unfitted(section: RewardSection, shape: tuple[int, ...], stages: int) -> RewardModel:
    """A model that knows nothing, of the shape that learning gives: programs are the same."""
    inputs = check_inputs(section, shape)
    blank = RewardModel.unfitted(inputs, shape if len(shape) == 3 else ())
    return blank.in_stages([None] * stages, [None] * stages) if stages else blank


# Learning --------------------------------------------------------------------------------------


def learn(
    judged: Judged, recipe: Recipe, look: Look | None = None
) -> tuple[RewardModel, RewardFit]:
    """As `learn_reward`; of a goal in stages each by itself.

    Raises:
        InputError: The judgments say nothing.
        JudgeUnfit: A judge's answers say nothing.
    """
    if not recipe.stages:
        return learn_reward(judged, recipe, look)
    learned = [_learn_stage(judged, stage, recipe, look) for stage in recipe.stages]
    wanted = [stage.wanted for stage in learned if stage.wanted is not None]
    if not wanted:
        raise InputError(
            f"none of the {len(recipe.stages)} stages has {LEAST} judgments that prefer one side: "
            "there is nothing to learn from them"
        )
    pooled, preferences = _pooled(wanted)
    judgments = [j for stage in learned for j in stage.judgments]
    check_judges(judged.judges, judgments, preferences, pooled)
    vetoes = [fit_veto(judged, veto, recipe, look) for veto in recipe.vetoes]
    blank = unfitted(recipe.section, _shape(judged), 0)
    model = blank.in_stages(
        [stage.wanted and stage.wanted.fit.model for stage in learned],
        [stage.done for stage in learned],
    ).capped_by([veto for veto, _ in vetoes])
    return model, RewardFit(
        judgments=verdicts(judged.judgments),
        preferences=digest(derive_preferences(judged.judgments)),
        symmetric=recipe.symmetric,
        strength=pooled.strength,
        log_loss=pooled.log_loss,
        heldout=pooled.heldout,
        judges=pooled.judges,
        calibration=pooled.calibration,
        vetoes=tuple(veto for _, veto in vetoes),
        alarms=tuple(alarm for _, veto in vetoes for alarm in veto.alarms()),
        good=float(model.worth_of(len(recipe.stages))),
        stages=tuple(stage.known for stage in learned),
    )


def weigh(judged: Judged, recipe: Recipe) -> Doubling:
    """As `doubling`: of a goal in stages, of what each wants, and of all together.

    Raises:
        InputError: The judgments say nothing.
    """
    halves, wholes = Proportion(0, 0), Proportion(0, 0)
    for stage in recipe.stages:
        wants, _ = stage.asked
        judgments = [j for j in judged.judgments if j.principle == wants.text]
        preferences = derive_preferences(judgments)
        order = np.random.default_rng(recipe.seed).permutation(len(preferences))
        dealt = [[preferences[place] for place in order[start::2]] for start in (0, 1)]
        if not all(_decided(half) for half in dealt):
            return Doubling(0.0, 1.0)
        data = [PreferenceData.gather(judged.observed, half) for half in dealt]
        for mine, others in (data, data[::-1]):
            said = members_say(
                fit(mine, recipe.section, recipe.symmetric, recipe.seed).model, others
            )
            agrees = ((said > 0) == (others.p_first > 0.5))[:, others.decided()]
            halves = _added(halves, Proportion(int(agrees.sum()), agrees.size))
        whole = PreferenceData.gather(judged.observed, [p for half in dealt for p in half])
        wholes = _added(wholes, fit(whole, recipe.section, recipe.symmetric, recipe.seed).heldout)
    return Doubling(halves.share, wholes.share)


class _Wanted(NamedTuple):
    """What was learned of what a stage wants."""

    fit: Fit
    preferences: list[Preference]
    data: PreferenceData
    inputs: ChosenInputs | None


class _Learned(NamedTuple):
    """What was learned of a stage; None: too little."""

    wanted: _Wanted | None
    done: RewardModel | None
    known: StageFit
    judgments: list[Judgment]


def _learn_stage(judged: Judged, stage: GoalStage, recipe: Recipe, look: Look | None) -> _Learned:
    wants, is_done = stage.asked
    judgments, of_done = (
        [j for j in judged.judgments if j.principle == asked.text] for asked in (wants, is_done)
    )
    wanted, told = (_fitted(judged, some, recipe, look) for some in (judgments, of_done))
    none, threshold = Proportion(0, 0), told and _threshold(told)
    known = StageFit(
        stage.text,
        stage.done,
        verdicts(judgments),
        wanted.fit.heldout if wanted else none,
        verdicts(of_done),
        told.fit.heldout if told else Proportion(0, _decided(derive_preferences(of_done))),
        threshold and threshold.known,
        wanted and wanted.inputs,
    )
    return _Learned(wanted, threshold and threshold.model, known, judgments)


def _fitted(
    judged: Judged, judgments: Sequence[Judgment], recipe: Recipe, look: Look | None
) -> _Wanted | None:
    preferences = derive_preferences(judgments)
    if _decided(preferences) < LEAST:
        return None
    data = PreferenceData.gather(judged.observed, preferences)
    fitted, inputs, _ = fit_seen(data, preferences, recipe, look)
    return _Wanted(fitted, preferences, data, inputs)


class _Threshold(NamedTuple):
    """A model that is above 0 where a stage is done, and the share of answers that it foretells."""

    model: RewardModel
    known: float


def _threshold(told: _Wanted) -> _Threshold:
    """The threshold and the width under which the answers are most probable."""
    observations = told.data.observations
    values, _ = opinions(told.fit.model, observations.reshape(-1, *observations.shape[2:]))
    cautious = values.mean(0) - SPREAD_PENALTY * values.std(0)
    place, width = best_threshold(cautious.reshape(-1, 2), told.data.p_first, told.data.weight)
    done = cautious.reshape(-1, 2) > place
    foretold = 0.5 + (done[:, 0] * 1.0 - done[:, 1]) / 2
    known = np.average(1 - np.abs(foretold - told.data.p_first), weights=told.data.weight)
    scaled = jax.device_put((np.float32(place), np.float32(width)))
    model = eqx.tree_at(lambda m: (m.shift, m.scale), told.fit.model, scaled)
    return _Threshold(model, float(known))


def best_threshold(values: Floats, p_first: Floats, weight: Floats) -> tuple[float, float]:
    """Where what is done begins, and how wide the doubt is.

    Args:
        values: Of both sides of each comparison, by the ensemble: (rows, 2).
        p_first: What was answered: (rows,).
        weight: (rows,).
    """
    places = np.quantile(values, np.linspace(0.0, 1.0, THRESHOLDS))
    deviation = max(1e-6, float(values.std()))
    best, found = np.inf, (float(places[0]), deviation)
    for width in WIDTHS:
        scaled = (values[None] - places[:, None, None]) / (width * deviation)
        done = 1 / (1 + np.exp(-np.clip(scaled, -30, 30)))  # (places, rows, 2)
        mean = np.clip(0.5 + (done[..., 0] - done[..., 1]) / 2, CERTAIN, 1 - CERTAIN)
        losses = -(weight * (p_first * np.log(mean) + (1 - p_first) * np.log1p(-mean))).sum(1)
        place = int(losses.argmin())
        if losses[place] < best:
            best, found = float(losses[place]), (float(places[place]), width * deviation)
    return found


def _pooled(wanted: Sequence[_Wanted]) -> tuple[Fit, list[Preference]]:
    """All stages' fits as one, but for its model; and what they were fitted to."""
    fits = [one.fit for one in wanted]
    unseen = np.concatenate([each.unseen for each in fits])
    p_first = np.concatenate([one.data.p_first for one in wanted])
    weight = np.concatenate([one.data.weight for one in wanted])
    heldout = Proportion(0, 0)
    for each in fits:
        heldout = _added(heldout, each.heldout)
    names = dict.fromkeys(name for each in fits for name in each.judges)
    traits = {name: [each.judges[name] for each in fits if name in each.judges] for name in names}
    pooled = replace(
        fits[0],
        heldout=heldout,
        log_loss={
            strength: float(np.mean([each.log_loss[strength] for each in fits]))
            for strength in fits[0].log_loss
        },
        strength=float(np.median([each.strength for each in fits])),
        judges={
            name: JudgeTraits(
                float(np.mean([one.bias for one in some])),
                float(np.mean([one.slope for one in some])),
            )
            for name, some in traits.items()
        },
        calibration=calibrate(unseen, np.zeros_like(unseen), p_first, weight),
        unseen=unseen,
    )
    return pooled, [preference for one in wanted for preference in one.preferences]


def _shape(judged: Judged) -> tuple[int, ...]:
    one, _ = next(iter(judged.observed.values()))
    return one.shape[1:]


def _decided(preferences: Sequence[Preference]) -> int:
    return sum(preference.p_first != 0.5 for preference in preferences)


def _added(one: Proportion, other: Proportion) -> Proportion:
    return Proportion(one.successes + other.successes, one.trials + other.trials)
