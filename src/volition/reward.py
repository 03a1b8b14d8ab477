"""The reward model: an ensemble fitted to preferences by Bradley-Terry, and its held-out metrics.

P(first preferred) = sigmoid(r(first) - r(second)), r of a clip being the mean over its steps
(Bradley and Terry, 1952; Christiano et al., arXiv:1706.03741, eq. 1, with a mean for the sum).

The comparisons are dealt into as many folds as there are members, and each member leaves out one
fold: a cross-validation committee. So every comparison is judged by a member that never saw it,
which gives an honest held-out accuracy without setting judgments aside, and the members differ by
their data. The same held-out answers choose the strength of the weight decay.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
import optax
from jaxtyping import Array, Float, Int

from volition.errors import InputError
from volition.judgment import Preference
from volition.networks import Layers, apply_layers, init_layers
from volition.segment import Comparison
from volition.task import RewardSection, Symmetry
from volition.tensors import load_tree, read_description, save_tree

MEMBERS = 5
HIDDEN = (128,)
STEPS = 200
BATCH = 64
LEARNING_RATE = 2e-2
STRENGTHS = (0.1, 0.3, 1.0, 3.0, 6.0)  # of decoupled weight decay, before the learning rate
SPREAD_PENALTY = 0.5
NORMALISED_OVER = 1024
FILE = "model.safetensors"

Floats = npt.NDArray[np.float32]


class RewardModel(eqx.Module):
    """An ensemble r(observation) on the logit scale, and the normalised reward made from it."""

    layers: Layers  # stacked: (members, inputs, outputs)
    input_mean: Float[Array, " inputs"]
    input_scale: Float[Array, " inputs"]
    centre: Float[Array, " members"]  # each member's mean over the judged states: no meaning in it
    shift: Float[Array, ""]
    scale: Float[Array, ""]
    inputs: tuple[int, ...] = eqx.field(static=True)

    def members(
        self, observations: Float[Array, "*batch obs_dim"]
    ) -> Float[Array, "members *batch"]:
        """What every member says, in logits: (members, *batch)."""
        seen = observations[..., self.inputs]
        flat = ((seen - self.input_mean) / self.input_scale).reshape(-1, len(self.inputs))
        values = apply_layers(self.layers, flat, jnp.tanh)[..., 0] - self.centre[:, None]
        return values.reshape(len(values), *observations.shape[:-1])

    def cautious(self, observations: Float[Array, "*batch obs_dim"]) -> Float[Array, " *batch"]:
        """Ensemble mean minus `SPREAD_PENALTY` standard deviations, in logits: (*batch,)."""
        values = self.members(observations)
        return values.mean(0) - SPREAD_PENALTY * values.std(0)

    @jax.jit
    def __call__(self, observations: Float[Array, "*batch obs_dim"]) -> Float[Array, " *batch"]:
        """The reward that a learner gets: float32 (*batch,), zero mean and unit scale."""
        return (self.cautious(observations) - self.shift) / self.scale

    def normalised(self, observations: Floats) -> RewardModel:
        """The same model with zero mean and unit scale over `observations` (rows, obs_dim).

        `NORMALISED_OVER` rows of them are taken, evenly spread, so that any number of observations
        runs the same compiled program.
        """
        rows = np.linspace(0, len(observations) - 1, NORMALISED_OVER).astype(np.int64)
        shift, scale = _moments(self, jnp.asarray(observations[rows]))
        return eqx.tree_at(lambda m: (m.shift, m.scale), self, (shift, scale))

    def save(self, folder: Path, **description: object) -> None:
        """Writes the model as safetensors with JSON in its header."""
        folder.mkdir(exist_ok=True)
        sizes = [int(layer.weight.shape[-1]) for layer in self.layers]
        form = {"inputs": self.inputs, "members": len(self.centre), "sizes": sizes}
        save_tree(folder / FILE, self, {"form": form, **description})

    @classmethod
    def load(cls, folder: Path) -> RewardModel:
        """The model in `folder`.

        Raises:
            RunError: There is none, or it is damaged.
        """
        form = read_description(folder / FILE)["form"]
        like = cls.unfitted(tuple(form["inputs"]), form["members"], tuple(form["sizes"]))
        return load_tree(folder / FILE, like)

    @classmethod
    def unfitted(
        cls, inputs: tuple[int, ...], members: int = MEMBERS, sizes: tuple[int, ...] = (*HIDDEN, 1)
    ) -> RewardModel:
        """A model that knows nothing, of the shape that `fit` gives: programs are the same."""
        mean, centre, zero = jnp.zeros(len(inputs)), jnp.zeros(members), jnp.zeros(())
        layers = init_layers(np.random.default_rng(0), (len(inputs), *sizes), members)
        return cls(layers, mean, mean, centre, zero, zero, inputs)


@eqx.filter_jit
def _moments(model: RewardModel, observations: Array) -> tuple[Array, Array]:
    values = model.cautious(observations)
    return values.mean(), jnp.maximum(values.std(), 1e-6)


class PreferenceData(NamedTuple):
    """Preferences as arrays, a row for each comparison."""

    observations: Floats  # (rows, 2, T, obs_dim)
    p_first: Floats  # (rows,)
    weight: Floats  # (rows,)

    @classmethod
    def gather(
        cls, comparisons: Mapping[str, Comparison], preferences: Sequence[Preference]
    ) -> PreferenceData:
        """The arrays of `preferences`, in their order.

        Raises:
            InputError: There are none, or the segments differ in length.
        """
        if not preferences:
            raise InputError("there is no judgment with a verdict: there is nothing to learn from")
        pairs = [comparisons[preference.comparison_id] for preference in preferences]
        shapes = {segment.observations.shape for c in pairs for segment in (c.first, c.second)}
        if len(shapes) > 1:
            raise InputError(f"the judged segments differ in shape: {sorted(shapes)}")
        return cls(
            np.stack([np.stack([c.first.observations, c.second.observations]) for c in pairs]),
            np.array([preference.p_first for preference in preferences], np.float32),
            np.array([preference.weight for preference in preferences], np.float32),
        )

    def decided(self) -> npt.NDArray[np.bool_]:
        """(rows,): where one side is preferred at all."""
        return self.p_first != 0.5

    def check_decided(self) -> None:
        """That there is something to learn.

        Raises:
            InputError: No comparison prefers one side.
        """
        if not self.decided().any():
            raise InputError(
                f"none of the {len(self.p_first)} comparisons prefers one side: the judgments are "
                "all ties, or contradict each other completely. There is nothing to learn from them"
            )


class Proportion(NamedTuple):
    """A share of successes with its Wilson score interval at 95% (Wilson, 1927)."""

    successes: int
    trials: int

    @property
    def share(self) -> float:
        return self.successes / self.trials if self.trials else float("nan")

    @property
    def interval(self) -> tuple[float, float]:
        if not self.trials:
            return (0.0, 1.0)
        z, n, share = 1.959964, self.trials, self.share
        centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
        half = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
        return (max(0.0, float(centre - half)), min(1.0, float(centre + half)))


@dataclass(frozen=True, slots=True)
class Fit:
    """A fitted model and what held-out comparisons say of it.

    Attributes:
        model: The ensemble, normalised over the judged states.
        heldout: Comparisons decided as the judge did by the member that never saw them; ties of
            the judge do not count.
        log_loss: Of the same answers, in nats, for each strength tried.
        strength: The weight decay that was chosen.
    """

    model: RewardModel
    heldout: Proportion
    log_loss: dict[float, float]
    strength: float


def fit(data: PreferenceData, section: RewardSection, symmetric: bool, seed: int) -> Fit:
    """Fits the ensemble, the strength of its weight decay chosen by what each member left out.

    Of the strengths within one standard error of the best the strongest is taken (Breiman et al.,
    1984): noisy judgments are what a reward model overfits to.

    Args:
        data: The preferences.
        section: What the reward model may see, and the symmetries that the task declares.
        symmetric: Whether to use the symmetries, as further data.
        seed: Of initial weights, folds and batches.

    Raises:
        InputError: No comparison is decided, or an observation entry does not exist.
    """
    rng = np.random.default_rng(seed)
    inputs = check_inputs(section, data.observations.shape[-1])
    data.check_decided()
    folds = rng.permutation(len(data.weight)) % MEMBERS
    copies = [data.observations]
    copies += [_reflect(data.observations, s) for s in section.symmetries if symmetric]
    augmented = PreferenceData(
        np.concatenate(copies),
        np.tile(data.p_first, len(copies)),
        np.tile(data.weight, len(copies)),
    )
    candidates = _fit_all(rng, augmented, np.tile(folds, len(copies)), inputs)
    logits = _comparison_logits(candidates, data.observations)  # (strengths, members, rows)
    unseen = logits[:, folds, np.arange(len(folds))]  # (strengths, rows)
    losses = np.logaddexp(0, unseen) - data.p_first * unseen
    chosen = _one_standard_error(losses)
    decided = data.decided()
    agrees = ((unseen[chosen] > 0) == (data.p_first > 0.5))[decided]
    model = jax.tree.map(lambda leaf: leaf[chosen], candidates)
    return Fit(
        model.normalised(data.observations.reshape(-1, data.observations.shape[-1])),
        Proportion(int(agrees.sum()), int(decided.sum())),
        dict(zip(STRENGTHS, losses.mean(1).tolist(), strict=True)),
        STRENGTHS[chosen],
    )


def score(model: RewardModel, data: PreferenceData) -> Proportion:
    """How many decided comparisons the model decides as the judge did."""
    agrees = (preferred_logits(model, data.observations) > 0) == (data.p_first > 0.5)
    decided = data.decided()
    return Proportion(int(agrees[decided].sum()), int(decided.sum()))


def preferred_logits(model: RewardModel, observations: Floats) -> Floats:
    """Logit of P(first preferred) by the whole ensemble: (rows,) of (rows, 2, T, obs_dim)."""
    stacked = jax.tree.map(lambda leaf: leaf[None], model)
    return _comparison_logits(stacked, observations)[0].mean(0)


def check_inputs(section: RewardSection, observation_dim: int) -> tuple[int, ...]:
    """The observation entries that the reward model sees.

    Raises:
        InputError: The task names an entry that the environment does not have.
    """
    inputs = section.observations or tuple(range(observation_dim))
    negated = [entry for symmetry in section.symmetries for entry in symmetry.negate]
    for key, entries in (("observations", inputs), ("symmetries", negated)):
        for entry in entries:
            if entry >= observation_dim:
                raise InputError(
                    f"reward.{key} names the observation entry {entry}, and the environment has "
                    f"{observation_dim}: they count from 0"
                )
    return inputs


def _reflect(observations: Floats, symmetry: Symmetry) -> Floats:
    sign = np.ones(observations.shape[-1], np.float32)
    sign[list(symmetry.negate)] = -1
    return observations * sign


def _one_standard_error(losses: Floats) -> int:
    means = losses.mean(1)
    best = int(means.argmin())
    error = losses[best].std() / np.sqrt(losses.shape[1])
    return int(np.flatnonzero(means <= means[best] + error).max())


def _fit_all(
    rng: np.random.Generator, data: PreferenceData, folds: npt.NDArray[np.int64],
    inputs: tuple[int, ...],
) -> RewardModel:  # fmt: skip
    """Every member at every strength; each leaf of the result starts (strengths, members, ...)."""
    seen = data.observations[..., inputs]
    flat = seen.reshape(-1, len(inputs))
    mean, scale = flat.mean(0), np.maximum(flat.std(0), 1e-6)
    standardised = ((seen - mean) / scale).astype(np.float32)

    layers = init_layers(rng, (len(inputs), *HIDDEN, 1), MEMBERS)
    batches = np.stack(
        [rng.choice(np.flatnonzero(_kept(folds, m)), (STEPS, BATCH)) for m in range(MEMBERS)], 1
    )  # (steps, members, batch)
    rows = 1 << (len(folds) - 1).bit_length()  # a power of two, so that more data recompiles rarely
    padded = PreferenceData(*(_pad(x, rows) for x in (standardised, data.p_first, data.weight)))
    strengths = jnp.asarray(STRENGTHS, jnp.float32)
    fitted = _train(layers, padded, jnp.asarray(batches, jnp.int32), strengths)
    centre = _centres(fitted, jnp.asarray(standardised.reshape(-1, len(inputs))))

    def every(array: npt.ArrayLike) -> Array:
        return jnp.asarray(
            np.broadcast_to(np.asarray(array, np.float32), (len(STRENGTHS), *np.shape(array)))
        )

    return RewardModel(fitted, every(mean), every(scale), centre, every(0), every(1), inputs)


def _kept(folds: npt.NDArray[np.int64], member: int) -> npt.NDArray[np.bool_]:
    kept = folds != member
    return kept if kept.any() else np.ones_like(kept)


def _pad(array: Floats, rows: int) -> Floats:
    return np.pad(array, [(0, rows - len(array))] + [(0, 0)] * (array.ndim - 1))


@jax.jit
def _train(
    layers: Layers, data: PreferenceData, batches: Int[Array, "steps members batch"],
    strengths: Float[Array, " strengths"],
) -> Layers:  # fmt: skip
    """AdamW on the weighted Bradley-Terry loss; leaves come back as (strengths, members, ...)."""
    optimiser = optax.scale_by_adam()
    schedule = optax.cosine_decay_schedule(LEARNING_RATE, STEPS)

    def loss(layers: Layers, rows: Int[Array, "members batch"]) -> Array:
        pairs = data.observations[rows]  # (members, batch, 2, T, inputs)
        rewards = apply_layers(
            layers, pairs.reshape(*pairs.shape[:1], -1, pairs.shape[-1]), jnp.tanh
        )
        returns = rewards.reshape(pairs.shape[:-1]).mean(-1)  # (members, batch, 2)
        losses = optax.sigmoid_binary_cross_entropy(
            returns[..., 0] - returns[..., 1], data.p_first[rows]
        )
        weight = data.weight[rows]
        return (weight * losses).sum() / weight.sum() * len(rows)

    def fit_one(strength: Float[Array, ""]) -> Layers:
        def step(carry: tuple[Layers, optax.OptState], inputs: tuple[Array, Array]):  # type: ignore[no-untyped-def]
            layers, state = carry
            rows, count = inputs
            updates, state = optimiser.update(jax.grad(loss)(layers, rows), state)
            rate = schedule(count)
            layers = jax.tree.map(lambda p, u: p - rate * (u + strength * p), layers, updates)
            return (layers, state), None

        start = (layers, optimiser.init(layers))
        (fitted, _), _ = jax.lax.scan(step, start, (batches, jnp.arange(STEPS)))
        return fitted

    return jax.vmap(fit_one)(strengths)


@jax.jit
def _centres(layers: Layers, standardised: Float[Array, "rows inputs"]) -> Array:
    return apply_layers(layers, standardised, jnp.tanh)[..., 0].mean(-1)


def _comparison_logits(models: RewardModel, observations: Floats) -> Floats:
    """(models, members, rows): logit of P(first preferred) by every member of every model."""
    return np.asarray(_logits(models, jnp.asarray(observations)))


@eqx.filter_jit
def _logits(models: RewardModel, observations: Array) -> Array:
    values = jax.vmap(lambda model: model.members(observations))(models)
    returns = values.mean(-1)  # (models, members, rows, 2)
    return returns[..., 0] - returns[..., 1]
