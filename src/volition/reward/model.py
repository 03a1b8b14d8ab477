"""The reward model: an ensemble of networks, saved, normalised, and capped by vetoes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from volition.comparison import Floats, reduced
from volition.errors import RunError
from volition.networks import Layers, Linear, apply_layers, init_layers
from volition.reward.features import NUMBERS, Features
from volition.storage.tensors import check_finite, load_tree, read_description, save_tree

MEMBERS = 5
HIDDEN = (128,)
SPREAD_PENALTY = 0.5
MORE_CAUTIOUS = 4.0  # times as much
CAP = 4.0  # standard deviations above the mean, which hardly any state exceeds
CLEAN = 0.9  # of the states judged under a veto are worse than what is clean
VIOLATING = 2.0  # units below what keeps to a veto is what was said to violate it
LEAST_UNIT = 1e-3  # logits
UNCAPPED = 1e6
NORMALISED_OVER, PICTURES_NORMALISED_OVER = 1024, 128  # of more pictures memory would run out
UNSEEN = 1e30  # the scale of an entry that is not to matter: it has no influence when it moves
FILE = "model.safetensors"


class RewardModel(eqx.Module):
    """An ensemble r(observation) on the logit scale, and the normalised reward made from it."""

    layers: Layers  # stacked: (members, inputs, outputs)
    input_mean: Float[Array, " inputs"]
    input_scale: Float[Array, " inputs"]
    centre: Float[Array, " members"]  # each member's mean over the judged states: no meaning in it
    shift: Float[Array, ""]
    scale: Float[Array, ""]
    inputs: tuple[int, ...] = eqx.field(static=True)  # none of pictures, of which features are
    picture: tuple[int, ...] = eqx.field(static=True, default=())  # height, width, channels
    features: Features | None = None  # of pictures
    vetoes: tuple[RewardModel, ...] = ()  # each scaled so that 0 is clean and -1 caps at the mean
    stages: tuple[RewardModel, ...] = ()  # of a goal in stages: what each wants
    done: tuple[RewardModel, ...] = ()  # whether each is done: above 0 it is
    penalty: float = eqx.field(static=True, default=SPREAD_PENALTY)

    @property
    def entries(self) -> tuple[int, ...]:
        """The observation entries on which it depends; none of pictures, which are seen whole."""
        if self.picture:
            return ()
        if self.stages:
            return tuple(sorted({entry for stage in self.stages for entry in stage.entries}))
        given = np.asarray(self.input_scale) < UNSEEN
        return tuple(np.array(self.inputs)[given].tolist())

    def members(
        self, observations: Float[Array, "*batch obs_dim"]
    ) -> Float[Array, "members *batch"]:
        """What every member says, in logits: (members, *batch); of the stage under way, where the
        goal has stages and the last entries say which that is."""
        if self.stages:
            told = jnp.stack([stage.members(observations) for stage in self.stages])
            return (jnp.moveaxis(self._under_way(observations), -1, 0)[:, None] * told).sum(0)
        if self.features is None:
            seen = observations[..., self.inputs]
        else:
            seen = self.features(reduced(observations))
        flat = ((seen - self.input_mean) / self.input_scale).reshape(-1, seen.shape[-1])
        values = apply_layers(self.layers, flat, jnp.tanh)[..., 0]
        return (values - self.centre[:, None]).reshape(len(values), *seen.shape[:-1])

    def cautious(self, observations: Float[Array, "*batch obs_dim"]) -> Float[Array, " *batch"]:
        """Ensemble mean minus `penalty` standard deviations, in logits: (*batch,)."""
        values = self.members(observations)
        return values.mean(0) - self.penalty * values.std(0)

    @jax.jit
    def __call__(self, observations: Float[Array, "*batch obs_dim"]) -> Float[Array, " *batch"]:
        """The reward that a learner gets: float32 (*batch,), zero mean and unit scale.

        Whatever it would be, a veto caps it at `CAP` (1 + v), v being what the veto's own model
        says: 0 of what keeps to it, -1 of what does so as much less as judged states differ.
        """
        reward = self._staged(observations) if self.stages else self._of_state(observations)
        for veto in self.vetoes:
            reward = jnp.minimum(reward, CAP * (1 + veto(observations)))
        return reward

    def normalised(self, observations: Floats) -> RewardModel:
        """The same model with zero mean and unit scale over `observations` (rows, obs_dim).

        `NORMALISED_OVER` of them are taken, of pictures fewer. Of a goal in stages it is the same
        whatever was visited: its reward is bounded.
        """
        if self.stages:
            return self
        shift, scale = _moments(self, jax.device_put(evenly_spread(observations)))
        return eqx.tree_at(lambda m: (m.shift, m.scale), self, (shift, scale))

    def _of_state(self, observations: Float[Array, "*batch obs_dim"]) -> Float[Array, " *batch"]:
        return (self.cautious(observations) - self.shift) / self.scale

    def _under_way(self, observations: Float[Array, "*batch obs_dim"]) -> Float[Array, "*batch n"]:
        """Which stage is under way, one-hot (*batch, stages); after all of them it is the last."""
        told = observations[..., -len(self.stages) - 1 :]
        return jnp.concatenate([told[..., :-2], told[..., -2:].sum(-1, keepdims=True)], -1)

    def _staged(self, observations: Float[Array, "*batch obs_dim"]) -> Float[Array, " *batch"]:
        """The number of stages that are done, and between 0 and 1 how well the state represents the
        one under way: so moving on never costs. Scaled as if every number were as likely."""
        count = len(self.stages)
        wanted = jnp.stack([stage._of_state(observations) for stage in self.stages], -1)
        share = jax.nn.sigmoid((self._under_way(observations) * wanted).sum(-1))
        number = observations[..., -count - 1 :] @ jnp.arange(count + 1.0)
        return self.worth_of(number + share)

    def worth_of(self, done: Any) -> Any:
        """The reward where so many stages are done, parts of one counted, and no veto caps it."""
        span = len(self.stages) + 1
        return (done - span / 2) / np.float32(span / np.sqrt(12))

    def moved_on(self, observations: Float[Array, "*batch obs_dim"]) -> Float[Array, "*batch d"]:
        """What is observed with the stage after the one that its last entries say, where that one
        is done: (*batch, obs_dim)."""
        done = jnp.stack([stage._of_state(observations) > 0 for stage in self.done], -1)
        stage = observations[..., -len(self.done) - 1 :]
        moves = stage[..., :-1] * done
        none = jnp.zeros_like(moves[..., :1])
        moved = stage - jnp.concatenate([moves, none], -1) + jnp.concatenate([none, moves], -1)
        return jnp.concatenate([observations[..., : -len(self.done) - 1], moved], -1)

    def scaled(self, factor: float) -> RewardModel:
        """The same model with every logit multiplied: surer or less sure, of the same mind."""
        *below, last = self.layers
        scaled = (np.asarray(leaf) * np.float32(factor) for leaf in (*last, self.centre))
        weight, bias, centre = jax.device_put(tuple(scaled))
        layers = (*below, Linear(weight, bias))
        return eqx.tree_at(lambda m: (m.layers, m.centre), self, (layers, centre))

    def more_cautious(self) -> RewardModel:
        """The same model, which makes less of what its members disagree about. It is not saved as
        such, and programs are compiled anew for it."""
        return replace(self, penalty=MORE_CAUTIOUS * SPREAD_PENALTY)

    def as_veto(self, observations: Floats) -> RewardModel:
        """The same model as a veto, 0 where `observations` (rows, obs_dim) are clean.

        Clean are the best tenth of them. The unit is their standard deviation, and at least one
        logit, since less is no difference that a judge is sure of.
        """
        values = np.asarray(self.cautious(jnp.asarray(evenly_spread(observations))))
        clean, unit = np.quantile(values, CLEAN), max(1.0, float(values.std()))
        unit_of_clean = jax.device_put((np.float32(clean), np.float32(unit)))
        return eqx.tree_at(lambda m: (m.shift, m.scale), self, unit_of_clean)

    def from_threshold(self, violating: Floats, place: float) -> RewardModel:
        """The same model as a veto, 0 where it is just kept to.

        Args:
            violating: Segments (rows, T, obs_dim) that violate it: by the unit they are 2 below, in
                the middle, so that none of the goal's reward is left of them.
            place: What is said, with caution, of what just keeps to it.
        """
        values, _ = opinions(self, violating)
        cautious = values.mean(0) - SPREAD_PENALTY * values.std(0)
        unit = max((place - float(np.median(cautious))) / VIOLATING, LEAST_UNIT)
        zero_and_unit = jax.device_put((np.float32(place), np.float32(unit)))
        return eqx.tree_at(lambda m: (m.shift, m.scale), self, zero_and_unit)

    def capped_by(self, vetoes: Sequence[RewardModel | None]) -> RewardModel:
        """The same model with these vetoes; None is one that caps nothing.

        It has the same shape as any other, so that a program that is compiled serves them all.
        """
        nothing = jax.device_put((np.float32(-UNCAPPED), np.float32(1)))
        plain = replace(self, vetoes=(), stages=(), done=())
        inert = eqx.tree_at(lambda m: (m.shift, m.scale), plain, nothing)
        return replace(self, vetoes=tuple(inert if veto is None else veto for veto in vetoes))

    def in_stages(
        self, stages: Sequence[RewardModel | None], done: Sequence[RewardModel | None]
    ) -> RewardModel:
        """The same model with these stages; None is one of which nothing is known, and which is
        never done. It has the same shape as any other."""
        plain = replace(self, vetoes=(), stages=(), done=())
        never = jax.device_put((np.float32(UNCAPPED), np.float32(1)))
        inert = eqx.tree_at(lambda m: (m.shift, m.scale), plain, never)
        return replace(
            self,
            stages=tuple(plain if stage is None else stage for stage in stages),
            done=tuple(inert if stage is None else stage for stage in done),
        )

    def save(self, folder: Path, description: Mapping[str, object] | None = None) -> None:
        """Writes the model as safetensors with JSON in its header: its form, and a description.

        Raises:
            RunError: It is not finite.
        """
        check_finite(self, "the reward model")
        folder.mkdir(exist_ok=True)
        form = {
            "features": NUMBERS if self.picture else 0,
            "inputs": self.inputs,
            "members": len(self.centre),
            "picture": self.picture,
            "sizes": [int(layer.weight.shape[-1]) for layer in self.layers],
            "stages": len(self.stages),
            "vetoes": len(self.vetoes),
        }
        save_tree(folder / FILE, self, {"form": form, **(description or {})})

    @classmethod
    def load(cls, folder: Path) -> RewardModel:
        """The model in `folder`.

        Raises:
            RunError: There is none, it is damaged, or an older version made it that saw pictures
                otherwise.
        """
        form = read_description(folder / FILE)["form"]
        if form.get("picture") and form.get("features") != NUMBERS:
            raise RunError(
                f"{folder / FILE} was learned by an older version, which saw pictures otherwise: "
                "train it again"
            )
        like = cls.unfitted(
            tuple(form["inputs"]),
            tuple(form.get("picture", ())),
            form["members"],
            tuple(form["sizes"]),
        )
        nothing = [None] * form.get("stages", 0)
        like = like.in_stages(nothing, nothing).capped_by([None] * form.get("vetoes", 0))
        return load_tree(folder / FILE, like)

    @classmethod
    def unfitted(
        cls,
        inputs: tuple[int, ...],
        picture: tuple[int, ...] = (),
        members: int = MEMBERS,
        sizes: tuple[int, ...] = (*HIDDEN, 1),
    ) -> RewardModel:
        """A model that knows nothing, of the shape that `fit` gives: programs are the same."""
        features = Features.unfound(picture) if picture else None
        seen = NUMBERS if picture else len(inputs)
        layers = init_layers(np.random.default_rng(0), (seen, *sizes), members)
        mean, scale, centre, zero, one = jax.device_put(
            (
                np.zeros(seen, np.float32),
                np.ones(seen, np.float32),
                np.zeros(members, np.float32),
                np.float32(0),
                np.float32(1),
            )
        )
        return cls(layers, mean, scale, centre, zero, one, inputs, picture, features)


@eqx.filter_jit
def _moments(model: RewardModel, observations: Array) -> tuple[Array, Array]:
    values = model.cautious(observations)
    return values.mean(), jnp.maximum(values.std(), 1e-6)


def evenly_spread(rows: Floats) -> Floats:
    """`NORMALISED_OVER` of the rows, evenly spread, so that any number of them runs one program."""
    count = PICTURES_NORMALISED_OVER if rows.ndim > 2 else NORMALISED_OVER
    return rows[np.linspace(0, len(rows) - 1, count).astype(np.int64)]


BLOCK, PICTURES_BLOCK = 2048, 64  # segments of one evaluation: a fixed shape compiles one program


def opinions(model: RewardModel, observations: Floats) -> tuple[Floats, Floats]:
    """What is made of segments (segments, T, ...), each by the mean over its steps.

    Returns:
        What every member says, in logits (members, segments), and the reward (segments,).
    """
    count = len(observations)
    size = max(1, PICTURES_BLOCK // observations.shape[1]) if model.picture else BLOCK
    places = np.arange(-(-count // size) * size) % count
    blocks = [
        _opinions(model, jax.device_put(observations[places[start : start + size]]))
        for start in range(0, len(places), size)
    ]
    values = np.concatenate([np.asarray(value) for value, _ in blocks], -1)
    reward = np.concatenate([np.asarray(reward) for _, reward in blocks], -1)
    return values[:, :count], reward[:count]


@jax.jit
def _opinions(model: RewardModel, observations: Array) -> tuple[Array, Array]:
    return model.members(observations).mean(-1), model(observations).mean(-1)
