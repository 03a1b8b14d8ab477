"""Goals in stages: a reward model of what each wants, and one that says when it is done.

What a stage wants is judged in pairs, like any goal. Whether it is done is a question about one
picture, the one that is shown first, and the other is there to compare it with: an answer is a
label. Of the labels an ensemble is fitted like any reward model, what is done being preferred to
what is not; a stage is done where it exceeds a threshold, under which the labels are probable.

Which stage is under way is observed: it is appended to what the environment observes, one-hot, with
one entry more for when all are done. What the ensembles are given are the entries before that.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import equinox as eqx
import jax
import numpy as np

from volition.comparison import Array, Floats, Observations
from volition.errors import EnvironmentUnsupported, InputError
from volition.goal import GoalStage, Principles
from volition.judgment import Judgment, Preference, derive_preferences
from volition.networks import apply_layers
from volition.reward.calibration import calibrate
from volition.reward.fit import Fit, JudgeTraits, check_inputs, fit
from volition.reward.learning import (
    LEAST_LABELS,
    Doubling,
    Judged,
    Look,
    Recipe,
    RewardFit,
    StageFit,
    check_judges,
    digest,
    fit_labels,
    fit_seen,
    fit_veto,
    learn_reward,
    members_say,
    preferences_of,
    verdicts,
)
from volition.reward.model import SPREAD_PENALTY, UNCAPPED, RewardModel, opinions
from volition.reward.preferences import Labels, PreferenceData, Proportion
from volition.tasks.task import RewardSection

FEW_VISITED = 64  # of what was visited
LEAST = 6  # comparisons that are decided, before anything is learned of what a stage wants
DOUBTS = np.linspace(-2.0, 1.0, 5, dtype=np.float32)  # where the threshold may be, in its doubt
STEEP, TOLD = 4.0, 3.0  # of a threshold; logits by which a judge is sure of what is done


class Topic(NamedTuple):
    """Something to ask about.

    Attributes:
        under: What it is put under: one of these.
        model: Of what is asked.
        questions: How many.
        entries: Of what is observed, which say that a stage is under way of which it is about, from
            the last on; none where it is about whatever was visited.
        of_done: Whether it asks if a stage is done.
        rewarded: The reward model, where it asks if the veto that `model` is of is kept to.
    """

    under: Principles
    model: RewardModel
    questions: int
    entries: tuple[int, ...] = ()
    of_done: bool = False
    rewarded: RewardModel | None = None

    def opinions(self, observations: Observations) -> tuple[Floats, Floats]:
        """As of `opinions`, by which questions are chosen. Of whether a stage is done the members
        differ in where its threshold is. Since either of two may be the one that is asked about,
        two that are near it tell most: every other one is counted the other way round. Likewise of
        whether a veto is kept to, where the members themselves differ; what is rewarded most is to
        be checked."""
        values, reward = opinions(self.model, observations)
        if self.rewarded is not None:
            beyond = (values - float(self.model.shift)) / float(self.model.scale)
            told = TOLD * np.tanh(STEEP / 2 * beyond)
            turned = np.where(np.arange(len(reward)) % 2, 1.0, -1.0)
            return turned * told, opinions(self.rewarded, observations)[1]
        if not self.of_done:
            return values, reward
        beyond = np.clip(STEEP * (DOUBTS[:, None] - reward), -30, 30)  # (thresholds, rows)
        turned = np.where(np.arange(len(reward)) % 2, 1.0, -1.0)
        return TOLD * turned / (1 + np.exp(beyond)), reward

    def among(self, observations: Observations) -> Any:
        """Which of what was visited (rows, T, obs_dim) it is about: bool (rows,). All where hardly
        anything was visited in its stage."""
        if not self.entries:
            return np.ones(len(observations), np.bool_)
        under_way = observations[:, -1, self.entries].any(-1)
        return under_way if under_way.sum() >= FEW_VISITED else np.ones_like(under_way)


def topics(
    model: RewardModel, goal_stages: Sequence[GoalStage], under: Principles, count: int, first: int
) -> list[Topic]:
    """What so many questions are about: of a goal in stages each is put under one principle, and
    chosen by the model of that.

    Args:
        model: The reward model.
        goal_stages: Of the goal.
        under: As of `Goal.put_under`.
        count: How many questions.
        first: How many were asked before: so each principle has its turn.
    """
    if not goal_stages:
        return _topics_of_vetoes(model, under, count, first)
    models: dict[str, tuple[RewardModel, tuple[int, ...], bool]] = {}
    for number, stage in enumerate(goal_stages):
        wants, done = stage.asked
        begun = number - len(goal_stages) - 1
        models[wants.text] = model.stages[number], (begun, begun + 1), False
        # Where nobody knows yet when it is done, what it wants says what is worth asking.
        told = model.done[number]
        known = float(told.shift) < UNCAPPED
        of_it = told if known else model.stages[number]
        models[done.text] = of_it, (begun, begun + 1), known
    vetoes = [one.text for one in dict.fromkeys(under) if one is not None and one.veto]
    models |= {text: (veto, (), False) for text, veto in zip(vetoes, model.vetoes, strict=True)}
    turns = Counter(under[(first + place) % len(under)] for place in range(count))
    return [
        Topic((one,), told, share, entries, of_done)
        for one, share in turns.items()
        if one is not None
        for told, entries, of_done in [models[one.text]]
    ]


def _topics_of_vetoes(model: RewardModel, under: Principles, count: int, first: int) -> list[Topic]:
    """Of a goal without stages: whether a veto is kept to is a topic of its own, once anything is
    known of it."""
    vetoes = list(dict.fromkeys(one for one in under if one is not None and one.veto))
    known = {
        one: veto
        for one, veto in zip(vetoes, model.vetoes, strict=True)
        if one.asks == "kept" and float(veto.shift) > -UNCAPPED
    }
    if not known:
        return [Topic(under, model, count)]
    turns = Counter(under[(first + place) % len(under)] for place in range(count))
    apart = [
        Topic((one,), veto, turns[one], rewarded=model) for one, veto in known.items() if turns[one]
    ]
    others = tuple(one for one in under if one not in known)
    left = count - sum(topic.questions for topic in apart)
    return [*([Topic(others, model, left)] if left else []), *apart]


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

    def passed(self, observed: Array) -> Array:
        """How many stages are done, of what is observed (rows, obs_dim + n): int (rows,)."""
        return np.asarray(observed[:, -self.entries :].argmax(1))

    def begun(self, observed: Array) -> Array:
        """What is observed (rows, obs_dim) with the first stage under way: (rows, obs_dim + n)."""
        return self._appended(observed, np.zeros(len(observed), np.int64))

    def after(self, before: Array, reached: Array) -> Array:
        """What a step led to (rows, obs_dim), with the stage under way: the one of `before`
        (rows, obs_dim + n), or the next where that one is done."""
        stages = self.passed(before)
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
    if all(stage.fit is None for stage in learned):
        raise InputError(
            f"none of the {len(recipe.stages)} stages has {LEAST} judgments that prefer one side: "
            "there is nothing to learn from them"
        )
    pooled, preferences = _pooled(learned)
    judgments = [j for stage in learned for j in stage.judgments]
    check_judges(judged.judges, judgments, preferences, pooled)
    vetoes = [fit_veto(judged, veto, recipe, look) for veto in recipe.vetoes]
    blank = unfitted(recipe.section, _shape(judged), 0)
    model = blank.in_stages(
        [stage.fit.model if stage.fit else None for stage in learned],
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
        preferences = preferences_of(judged, recipe, judgments)
        order = np.random.default_rng(recipe.seed).permutation(len(preferences))
        dealt = [[preferences[place] for place in order[start::2]] for start in (0, 1)]
        if not all(any(p.p_first != 0.5 for p in half) for half in dealt):
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


class _Learned(NamedTuple):
    """What was learned of a stage.

    Attributes:
        fit: To what it wants; None where too little was judged.
        preferences, data: What that was fitted to.
        done: Above 0 where it is done; None where too little is known.
        known: What is known of it.
        judgments: Of what it wants.
    """

    fit: Fit | None
    preferences: list[Preference]
    data: PreferenceData | None
    done: RewardModel | None
    known: StageFit
    judgments: list[Judgment]


def _learn_stage(judged: Judged, stage: GoalStage, recipe: Recipe, look: Look | None) -> _Learned:
    wants, is_done = (
        [j for j in judged.judgments if j.principle == asked.text] for asked in stage.asked
    )
    labels = Labels.of(judged.observed, is_done)
    done, known_done = _learn_done(labels, recipe) or (None, None)
    preferences, nothing = preferences_of(judged, recipe, wants), Proportion(0, 0)
    known = StageFit(
        stage.text, stage.done, verdicts(wants), nothing, len(labels.done), labels.least, known_done
    )
    if sum(preference.p_first != 0.5 for preference in preferences) < LEAST:
        return _Learned(None, [], None, done, known, [])
    data = PreferenceData.gather(judged.observed, preferences)
    fitted, inputs, _ = fit_seen(data, preferences, recipe, look)
    known = replace(known, heldout=fitted.heldout, inputs=inputs)
    return _Learned(fitted, preferences, data, done, known, wants)


def _learn_done(labels: Labels, recipe: Recipe) -> tuple[RewardModel, float] | None:
    """What is above 0 where a stage is done, and the share of the labels that it agrees with; None
    of too few labels."""
    if labels.least < LEAST_LABELS:
        return None
    learned = fit_labels(labels, recipe)
    scaled = jax.device_put((np.float32(learned.place), np.float32(learned.doubt)))
    model = eqx.tree_at(lambda m: (m.shift, m.scale), learned.fit.model, scaled)
    return model, learned.agrees


def _pooled(learned: Sequence[_Learned]) -> tuple[Fit, list[Preference]]:
    """All stages' fits as one, but for its model; and what they are of."""
    fits = [stage.fit for stage in learned if stage.fit is not None]
    data = [stage.data for stage in learned if stage.data is not None]
    unseen = np.concatenate([each.unseen for each in fits])
    p_first = np.concatenate([each.p_first for each in data])
    weight = np.concatenate([each.weight for each in data])
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
    return pooled, [preference for stage in learned for preference in stage.preferences]


def _shape(judged: Judged) -> tuple[int, ...]:
    one, _ = next(iter(judged.observed.values()))
    return one.shape[1:]


def _added(one: Proportion, other: Proportion) -> Proportion:
    return Proportion(one.successes + other.successes, one.trials + other.trials)
