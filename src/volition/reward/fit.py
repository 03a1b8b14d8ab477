"""The reward model fitted to preferences by Bradley-Terry, and its held-out metrics.

P(first preferred) = sigmoid(slope (r(first) - r(second)) + bias s), r of a clip being the mean over
its steps (Bradley and Terry, 1952; Christiano et al., arXiv:1706.03741, eq. 1, with a mean for the
sum), and s = 1 where the first was shown first, -1 where the second was (Davidson and
Beaver, 1977). Every judge has a bias of its own, and a slope: how sure it is. Both are fitted with
the rest, and priors hold them to 0 and 1 as long as nothing speaks for more. So does every
principle of the goal under which a judgment was asked: its slope, never below 0, says how much its
answers have in common with the others.

The comparisons are dealt into as many folds as there are members, and each member leaves out one
fold: a cross-validation committee. So every comparison is judged by a member that never saw it,
which gives an honest held-out accuracy without setting judgments aside, and the members differ by
their data. The same held-out answers choose the strength of the weight decay.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
import optax
from jaxtyping import Array, Float, Int

from volition.comparison import Floats
from volition.errors import InputError
from volition.networks import Layers, apply_layers, init_layers
from volition.reward.calibration import Calibration, calibrate
from volition.reward.features import Features
from volition.reward.model import HIDDEN, MEMBERS, UNSEEN, RewardModel, evenly_spread
from volition.reward.preferences import AnswerData, PreferenceData, Proportion
from volition.tasks.task import RewardSection

STEPS = 200
BATCH = 64
LEARNING_RATE = 2e-2
STRENGTHS = (0.1, 0.3, 1.0, 3.0, 6.0)  # of decoupled weight decay, before the learning rate
JUDGE_LEARNING_RATE = 0.1
BIAS_SD = 2.0  # of the prior on a judge's bias to what is shown first, in logits
LOG_SLOPE_SD = 1.0  # of the prior on the logarithm of its slope
CLIP_STEPS = 6  # of each clip in one batch
BLOCK = 1 << 13  # observations that all members look at together: of more, memory would run out
PICTURES_BLOCK = 64  # likewise, of pictures
STILL = 1e-6  # an entry that deviates by less, in units of 1 or of its mean, has never varied
LARGE = 1e18  # the square of a larger number is none in float32
LEAST_ROOM = 256  # rows for which programs are compiled, though there be fewer

Tree = TypeVar("Tree")


@dataclass(frozen=True, slots=True)
class JudgeTraits:
    """How one judge answers, as fitted.

    Attributes:
        bias: To what is shown first, in logits: 0 is none, 2 is 88% of what it cannot decide.
        slope: How sure it is of a difference in reward, against the judges' geometric mean.
    """

    bias: float
    slope: float


@dataclass(frozen=True, slots=True)
class Fit:
    """A fitted model and what held-out comparisons say of it.

    Attributes:
        model: The ensemble, normalised over the judged states; its logits are calibrated.
        heldout: Comparisons decided as the judge did by the member that never saw them; ties of
            the judge do not count.
        log_loss: Of the same answers, in nats, for each strength tried.
        strength: The weight decay that was chosen.
        judges: How each judge answers, by its id.
        calibration: Whether held-out answers are as probable as they were said to be.
        unseen: Logit of P(first preferred), of each comparison by the member that never saw it.
    """

    model: RewardModel
    heldout: Proportion
    log_loss: dict[float, float]
    strength: float
    judges: dict[str, JudgeTraits]
    calibration: Calibration
    unseen: Floats


def fit(
    data: PreferenceData,
    section: RewardSection,
    symmetric: bool,
    seed: int,
    taken: Sequence[int] | None = None,
) -> Fit:
    """Fits the ensemble, the strength of its weight decay chosen by what each member left out.

    Of the strengths within one standard error of the best the strongest is taken (Breiman et al.,
    1984): noisy judgments are what a reward model overfits to.

    Args:
        data: The preferences.
        section: What the reward model may see, and the symmetries that the task declares.
        symmetric: Whether to use the symmetries, as further data.
        seed: Of initial weights, folds and batches.
        taken: Those of the entries that it may see which it is given; all by default. Programs are
            the same for any of them.

    Raises:
        InputError: No comparison is decided, or an observation entry does not exist.
    """
    observation_shape = data.observations.shape[3:]
    inputs = check_inputs(section, observation_shape)
    data.check_decided()
    if not inputs:
        return _fit_pictures(data, seed)
    rng = np.random.default_rng(seed)
    folds = rng.permutation(len(data.weight)) % MEMBERS
    symmetries = section.symmetries if symmetric else ()
    copied = data.mirrored([s.negate for s in symmetries])
    candidates, traits = _fit_all(rng, copied, folds, inputs, taken)
    answers = data.answer_data()
    logits = _comparison_logits(candidates, data.observations)  # (strengths, members, rows)
    unseen = logits[:, folds, np.arange(len(folds))]  # (strengths, rows)
    biased = _as_answered(unseen, answers, traits, folds)  # (strengths, answers)
    losses = np.logaddexp(0, biased) - answers.p_first * biased
    chosen = _one_standard_error(_per_comparison(losses, answers))
    decided = data.decided()
    agrees = ((unseen[chosen] > 0) == (data.p_first > 0.5))[decided]
    model = _nth(candidates, chosen)
    of_order = _as_answered(0 * unseen, answers, traits, folds)[chosen]
    calibration = calibrate(biased[chosen] - of_order, of_order, answers.p_first, answers.weight)
    model = model.scaled(calibration.temperature)
    return Fit(
        model.normalised(data.observations.reshape(-1, *observation_shape)),
        Proportion(int(agrees.sum()), int(decided.sum())),
        dict(zip(STRENGTHS, _per_comparison(losses, answers).mean(1).tolist(), strict=True)),
        STRENGTHS[chosen],
        _describe(data.judges, _nth(traits, chosen)),
        calibration,
        unseen[chosen] * calibration.temperature,
    )


def _fit_pictures(data: PreferenceData, seed: int) -> Fit:
    """A fit to what is found in pictures without a judgment, by which alone the model sees them."""
    *rows, height, width, channels = data.observations.shape
    pictures = data.observations.reshape(-1, height, width, channels)
    features = Features.found(pictures, np.random.default_rng(seed))
    seen = features.of_host(pictures).reshape(*rows, -1)
    fitted = fit(data._replace(observations=seen), RewardSection(), False, seed)
    shape = height, width, channels
    model = replace(fitted.model, inputs=(), picture=shape, features=features)
    return replace(fitted, model=model)


def score(model: RewardModel, data: PreferenceData) -> Proportion:
    """How many decided comparisons the model decides as the judge did."""
    agrees = (preferred_logits(model, data.observations) > 0) == (data.p_first > 0.5)
    decided = data.decided()
    return Proportion(int(agrees[decided].sum()), int(decided.sum()))


def preferred_logits(model: RewardModel, observations: Floats) -> Floats:
    """Logit of P(first preferred) by the whole ensemble: (rows,) of (rows, 2, T, obs_dim)."""
    stacked = jax.tree.map(lambda leaf: leaf[None], model)
    return _comparison_logits(stacked, observations)[0].mean(0)


def check_inputs(section: RewardSection, observation_shape: tuple[int, ...]) -> tuple[int, ...]:
    """The observation entries that the reward model sees; none of a picture.

    Raises:
        InputError: The task names an entry that the environment does not have.
    """
    negated = [entry for symmetry in section.symmetries for entry in symmetry.negate]
    if len(observation_shape) == 3:
        if section.observations or negated:
            raise InputError(
                "reward.observations and reward.symmetries name entries of a vector, and what is "
                f"observed here is a picture, {observation_shape}: leave them out"
            )
        return ()
    (observation_dim,) = observation_shape
    inputs = section.observations or tuple(range(observation_dim))
    for key, entries in (("observations", inputs), ("symmetries", negated)):
        for entry in entries:
            if entry >= observation_dim:
                raise InputError(
                    f"reward.{key} names the observation entry {entry}, and the environment has "
                    f"{observation_dim}: they count from 0"
                )
    return inputs


def _as_answered(
    logits: Floats, answers: AnswerData, traits: Traits, folds: npt.NDArray[np.int64]
) -> Floats:
    """(strengths, answers): the logits (strengths, rows) as the judges say them, each judge as the
    member knows it that left the comparison out."""
    member = folds[answers.comparison]
    slope = np.exp(
        np.asarray(traits.log_slope)[:, member, answers.judge]
        + np.asarray(traits.log_heed)[:, member, answers.principle]
    )
    bias = np.asarray(traits.bias)[:, member, answers.judge]
    return slope * logits[:, answers.comparison] + bias * answers.sign


def _per_comparison(losses: Floats, answers: AnswerData) -> Floats:
    """(strengths, rows): mean over the judgments of each comparison."""
    rows = int(answers.comparison.max()) + 1
    counts = np.bincount(answers.comparison, answers.weight, rows)
    sums = [np.bincount(answers.comparison, answers.weight * loss, rows) for loss in losses]
    return (np.stack(sums) / counts).astype(np.float32)


def _nth(stack: Tree, place: int) -> Tree:
    """One of a stack of models, taken on the host: every shape on the device is two programs."""
    return jax.device_put(jax.tree.map(lambda leaf: np.asarray(leaf)[place], stack))


def _one_standard_error(losses: Floats) -> int:
    means = losses.mean(1)
    best = int(means.argmin())
    error = losses[best].std() / np.sqrt(losses.shape[1])
    return int(np.flatnonzero(means <= means[best] + error).max())


def _describe(judges: tuple[str, ...], traits: Traits) -> dict[str, JudgeTraits]:
    """Each judge's traits: the members' mean."""
    bias = np.asarray(traits.bias).mean(0)
    slope = np.exp(np.asarray(traits.log_slope).mean(0))
    return {name: JudgeTraits(float(bias[n]), float(slope[n])) for n, name in enumerate(judges)}


def _fit_all(
    rng: np.random.Generator,
    data: PreferenceData,
    folds: npt.NDArray[np.int64],
    inputs: tuple[int, ...],
    taken: Sequence[int] | None,
) -> tuple[RewardModel, Traits]:
    """Every member at every strength; each leaf of the result starts (strengths, members, ...).

    Args:
        data: The preferences, and copies of them by symmetries: `folds` for each.
        folds: Of the comparisons before they were copied.
    """
    seen = data.observations[..., inputs]
    flat = seen.reshape(-1, len(inputs))
    precision = np.float64 if np.abs(flat).max() > LARGE else np.float32
    mean, deviation = flat.mean(0, precision), flat.std(0, precision)
    varied = deviation > STILL * np.maximum(1.0, np.abs(mean))
    given = varied if taken is None else varied & np.isin(inputs, taken)
    scale = np.where(given, deviation, UNSEEN)

    layers = init_layers(rng, (len(inputs), *HIDDEN, 1), MEMBERS)
    answers = data.answer_data()
    of_answer = folds[answers.comparison % len(folds)]
    batches = np.stack(
        [rng.choice(np.flatnonzero(_kept(of_answer, m)), (STEPS, BATCH)) for m in range(MEMBERS)],
        1,
    )  # (steps, members, batch)
    padded = _Padded(
        jax.device_put(_pad(seen, room(len(seen)))),
        _Standard(*jax.device_put((mean, scale))),
        AnswerData(*(_pad(column, room(len(of_answer))) for column in answers)),
        jax.device_put(answers.weight.sum() * len(folds) / len(data.weight)),
        _present(data.judges),
        _present(data.principles),
    )
    strengths = jax.device_put(np.asarray(STRENGTHS, np.float32))
    moments = _moments_of_clips(rng, seen.shape[2])
    fitted, traits = _train(
        layers, padded, jax.device_put(batches.astype(np.int32)), moments, strengths
    )
    centre = _centres(fitted, padded.standard, jax.device_put(evenly_spread(flat)))

    def every(array: npt.ArrayLike) -> Array:
        single = np.asarray(array, np.float32)
        return jax.device_put(np.repeat(single[None], len(STRENGTHS), 0))

    model = RewardModel(fitted, every(mean), every(scale), centre, every(0), every(1), inputs)
    return model, traits


def _kept(folds: npt.NDArray[np.int64], member: int) -> npt.NDArray[np.bool_]:
    kept = folds != member
    return kept if kept.any() else np.ones_like(kept)


def _moments_of_clips(
    rng: np.random.Generator, length: int
) -> Int[Array, "steps clip_steps"] | None:
    """The steps of clips that each batch holds: one out of each of `CLIP_STEPS` parts of a clip,
    another one in every batch, so that their mean is right on average. None where all are held."""
    if length <= CLIP_STEPS:
        return None
    places = (np.arange(CLIP_STEPS) + rng.random((STEPS, CLIP_STEPS))) * length / CLIP_STEPS
    return jax.device_put(places.astype(np.int32))


def room(rows: int, least: int = LEAST_ROOM) -> int:
    """For at least so many rows: four times as many each time, so that more data recompiles
    rarely."""
    while least < rows:
        least *= 4
    return least


def _present(names: Sequence[object]) -> Array:
    """1 for each of the names, padded with 0."""
    return jax.device_put(_pad(np.ones(len(names), np.float32), room(len(names), 1)))


def _pad(array: npt.NDArray[Any], rows: int) -> npt.NDArray[Any]:
    return np.pad(array, [(0, rows - len(array))] + [(0, 0)] * (array.ndim - 1))


class Traits(NamedTuple):
    """How judges answer and principles are heeded, as every member knows it."""

    bias: Float[Array, "*stack judges"]
    log_slope: Float[Array, "*stack judges"]
    log_heed: Float[Array, "*stack principles"]


class _Standard(NamedTuple):
    """What makes observations of zero mean and unit scale."""

    mean: Float[Array, " inputs"]
    scale: Float[Array, " inputs"]

    def __call__(self, observations: Array) -> Array:
        return (observations - self.mean) / self.scale


class _Padded(NamedTuple):
    observations: Array  # (rows, 2, T, *inputs), as they are observed
    standard: _Standard
    answers: AnswerData
    judgments: Float[Array, ""]  # how many there are in all
    judges: Float[Array, " judges"]  # 1 for a judge, 0 where there is none
    principles: Float[Array, " principles"]  # likewise


def _relative(log_slope: Float[Array, "members names"], present: Float[Array, " names"]) -> Array:
    """Logarithms of the slopes against their mean, since the reward has a scale already."""
    mean = (log_slope * present).sum(-1, keepdims=True) / present.sum()
    return (log_slope - mean) * present


class _Fitted(NamedTuple):
    """What is fitted, for every strength of the weight decay."""

    layers: Layers  # (strengths, members, ...)
    traits: Traits  # (strengths, members, ...)


def _loss_of_one(
    layers: Layers,
    traits: Traits,
    seen: Float[Array, "members seen inputs"],
    answers: AnswerData,
    data: _Padded,
    shape: tuple[int, ...],
) -> Array:
    """The weighted Bradley-Terry loss of every member at one strength, in all.

    `shape` is (members, batch, 2, T), that of the observations that are `seen`.
    """
    returns = apply_layers(layers, seen, jnp.tanh).reshape(shape).mean(-1)
    log_slope = jnp.take_along_axis(_relative(traits.log_slope, data.judges), answers.judge, 1)
    log_heed = _relative(traits.log_heed, data.principles)
    slope = jnp.exp(log_slope + jnp.take_along_axis(log_heed, answers.principle, 1))
    bias = jnp.take_along_axis(traits.bias, answers.judge, 1)
    logits = slope * (returns[..., 0] - returns[..., 1]) + bias * answers.sign
    losses = optax.sigmoid_binary_cross_entropy(logits, answers.p_first)
    scaled = traits.bias / BIAS_SD, *(trait / LOG_SLOPE_SD for trait in traits[1:])
    prior = sum((trait**2).sum() for trait in scaled) / 2
    mean = (answers.weight * losses).sum() / answers.weight.sum()
    return mean * len(answers.weight) + prior / data.judgments


def _loss(
    fitted: _Fitted,
    data: _Padded,
    rows: Int[Array, "members batch"],
    moments: Int[Array, " clip_steps"] | None,
) -> Array:
    """Of a batch for every member, at all strengths together."""
    answers = AnswerData(*(column[rows] for column in data.answers))
    pairs = data.observations[answers.comparison]  # (members, batch, 2, T, ...)
    pairs = pairs if moments is None else pairs[:, :, :, moments]
    seen = data.standard(pairs.reshape(len(pairs), -1, *pairs.shape[4:]))
    one = partial(_loss_of_one, seen=seen, answers=answers, data=data, shape=pairs.shape[:4])
    return jax.vmap(one)(fitted.layers, fitted.traits).sum()


def _decayed(layers: Layers, down: Layers, rate: Array, strength: Array) -> Layers:
    """A step down, with weight decay: of a strength for each along the first axis."""

    def less(leaf: Array, update: Array) -> Array:
        return leaf - rate * (update + jnp.reshape(strength, (-1, *[1] * (leaf.ndim - 1))) * leaf)

    return jax.tree.map(less, layers, down)


@jax.jit
def _train(
    layers: Layers,
    data: _Padded,
    batches: Int[Array, "steps members batch"],
    moments: Int[Array, "steps clip_steps"] | None,
    strengths: Float[Array, " strengths"],
) -> tuple[Layers, Traits]:
    """AdamW on the weighted Bradley-Terry loss; leaves come back as (strengths, members, ...)."""
    optimiser = optax.scale_by_adam()
    schedule = optax.cosine_decay_schedule(1.0, STEPS)

    def step(carry: Any, inputs: tuple[Array, Array, Array | None]) -> tuple[Any, None]:
        fitted, state = carry
        rows, count, moments = inputs
        down, state = optimiser.update(jax.grad(_loss)(fitted, data, rows, moments), state)
        rate, quick = schedule(count) * LEARNING_RATE, schedule(count) * JUDGE_LEARNING_RATE
        layers = _decayed(fitted.layers, down.layers, rate, strengths)
        traits = jax.tree.map(lambda p, u: p - quick * u, fitted.traits, down.traits)
        return (_Fitted(layers, traits), state), None

    def every(leaf: Array) -> Array:
        return jnp.broadcast_to(leaf, (len(strengths), *leaf.shape))

    nothing = jnp.zeros((batches.shape[1], len(data.judges)))
    heeded = jnp.zeros((batches.shape[1], len(data.principles)))
    traits = Traits(nothing, nothing, heeded)
    start = _Fitted(*jax.tree.map(every, (layers, traits)))
    carry = start, optimiser.init(start)
    (fitted, _), _ = jax.lax.scan(step, carry, (batches, jnp.arange(STEPS), moments))
    return fitted.layers, Traits(
        fitted.traits.bias,
        _relative(fitted.traits.log_slope, data.judges),
        _relative(fitted.traits.log_heed, data.principles),
    )


@jax.jit
def _centres(layers: Layers, standard: _Standard, observations: Array) -> Array:
    return apply_layers(layers, standard(observations), jnp.tanh)[..., 0].mean(-1)


def _comparison_logits(models: RewardModel, observations: Floats) -> Floats:
    """(models, members, rows): logit of P(first preferred) by every member of every model."""
    block = PICTURES_BLOCK if models.picture else BLOCK
    rows = min(room(len(observations)), max(1, block // (2 * observations.shape[2])))
    padded = _pad(observations, -(-len(observations) // rows) * rows)
    blocks = [padded[start : start + rows] for start in range(0, len(padded), rows)]
    logits = [np.asarray(_logits(models, jax.device_put(block))) for block in blocks]
    return np.concatenate(logits, -1)[..., : len(observations)]


@eqx.filter_jit
def _logits(models: RewardModel, observations: Array) -> Array:
    values = jax.vmap(lambda model: model.members(observations))(models)
    returns = values.mean(-1)  # (models, members, rows, 2)
    return returns[..., 0] - returns[..., 1]
