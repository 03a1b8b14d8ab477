"""Distributions over actions, for a learner that needs the likelihood of actions already taken.

A network gives `outputs`; what they mean depends on the kind of action. Continuous actions are a
Gaussian squashed by tanh into their bounds, not one clipped at them: of a clipped action nobody
knows any more what was drawn, while a squashed one has a likelihood of its own, so that a stored
transition is enough.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
from jax import Array
from jaxtyping import Float, Int

from volition.errors import EnvironmentUnsupported
from volition.networks import AnyArray

EDGE = 1.0 - 1e-6  # squashed actions are taken to be no nearer to their bounds
NEVER = -1e9  # the logit of what cannot be chosen; finite, so that 0 times it is 0


@dataclass(frozen=True)
class Choice:
    """One of `count` actions, called first, first + 1, and so on: int32 (batch,)."""

    count: int
    first: int = 0

    @property
    def outputs(self) -> int:
        return self.count

    @property
    def shape(self) -> tuple[int, ...]:
        return ()

    @property
    def dtype(self) -> type[np.int32]:
        return np.int32

    @property
    def first_log_std(self) -> npt.NDArray[np.float32]:
        return np.zeros(0, np.float32)

    def draw(self, rng: np.random.Generator, rows: int) -> npt.NDArray[np.int32]:
        """Actions by chance, each alike: (rows,)."""
        return rng.integers(self.first, self.first + self.count, rows, np.int32)

    def mode(self, outputs: Float[Array, "batch count"]) -> Int[Array, " batch"]:
        """The likeliest action."""
        return self.first + outputs.argmax(-1).astype(jnp.int32)

    def sample(
        self, outputs: Float[Array, "batch count"], _log_std: Array, key: Array
    ) -> Int[Array, " batch"]:
        """A random action for every row."""
        return self.first + jax.random.categorical(key, outputs).astype(jnp.int32)

    def log_likelihood(
        self,
        outputs: Float[Array, "batch count"],
        _log_std: Array,
        actions: Int[AnyArray, " batch"],
    ) -> Float[Array, " batch"]:
        chosen = (actions - self.first)[:, None]
        return jnp.take_along_axis(jax.nn.log_softmax(outputs), chosen, axis=-1)[:, 0]

    def entropy(
        self, outputs: Float[Array, "batch count"], _log_std: Array
    ) -> Float[Array, " batch"]:
        """In nats, from 0 to log(count)."""
        return -(jax.nn.softmax(outputs) * jax.nn.log_softmax(outputs)).sum(-1)


@dataclass(frozen=True)
class Bounds:
    """Numbers between `low` and `high`, in the environment's units: float32 (batch, action_dim).

    The outputs are the mean before the tanh; the standard deviation is the same in every state.
    """

    low: tuple[float, ...]
    high: tuple[float, ...]

    @property
    def outputs(self) -> int:
        return len(self.low)

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.low),)

    @property
    def dtype(self) -> type[np.float32]:
        return np.float32

    @property
    def first_log_std(self) -> npt.NDArray[np.float32]:
        return np.zeros(len(self.low), np.float32)

    def draw(self, rng: np.random.Generator, rows: int) -> npt.NDArray[np.float32]:
        """Actions by chance, of the distribution that a new network gives: (rows, action_dim)."""
        noise = rng.normal(size=(rows, len(self.low)))
        return self._to_bounds(np.tanh(noise)).astype(np.float32)

    def mode(self, outputs: Float[Array, "batch dim"]) -> Float[Array, "batch dim"]:
        """The action without noise."""
        return self._to_bounds(jnp.tanh(outputs))

    def sample(
        self, outputs: Float[Array, "batch dim"], log_std: Float[Array, " dim"], key: Array
    ) -> Float[Array, "batch dim"]:
        """A random action for every row."""
        noise = jax.random.normal(key, outputs.shape)
        return self._to_bounds(jnp.tanh(outputs + jnp.exp(log_std) * noise))

    def log_likelihood(
        self,
        outputs: Float[Array, "batch dim"],
        log_std: Float[Array, " dim"],
        actions: Float[AnyArray, "batch dim"],
    ) -> Float[Array, " batch"]:
        """Of the squashed action in [-1, 1]: arXiv:1812.05905, appendix C."""
        low, high = self._bounds()
        squashed = jnp.clip(2.0 * (actions - low) / (high - low) - 1.0, -EDGE, EDGE)
        z = (jnp.arctanh(squashed) - outputs) * jnp.exp(-log_std)
        log_normal = -0.5 * jnp.square(z) - log_std - 0.5 * np.log(2.0 * np.pi)
        return (log_normal - jnp.log1p(-jnp.square(squashed))).sum(-1)

    def entropy(
        self, outputs: Float[Array, "batch dim"], log_std: Float[Array, " dim"]
    ) -> Float[Array, " batch"]:
        """In nats, before the tanh: that of the squashed action has no closed form."""
        one = (log_std + 0.5 * np.log(2.0 * np.pi * np.e)).sum()
        return jnp.broadcast_to(one, outputs.shape[:1])

    def _to_bounds(self, squashed: Any) -> Any:
        low, high = self._bounds()
        return low + 0.5 * (squashed + 1.0) * (high - low)

    def _bounds(self) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        return np.array(self.low, np.float32), np.array(self.high, np.float32)


@dataclass(frozen=True)
class Choices:
    """Several choices at once, each independent of the others: int32 (batch, choices).

    One of `counts[n]` possibilities, called 0, 1, and so on, is the nth. The outputs are those of
    all choices laid end to end.
    """

    counts: tuple[int, ...]

    @property
    def outputs(self) -> int:
        return sum(self.counts)

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.counts),)

    @property
    def dtype(self) -> type[np.int32]:
        return np.int32

    @property
    def first_log_std(self) -> npt.NDArray[np.float32]:
        return np.zeros(0, np.float32)

    def draw(self, rng: np.random.Generator, rows: int) -> npt.NDArray[np.int32]:
        """Actions by chance, each alike: (rows, choices)."""
        return rng.integers(self.counts, size=(rows, len(self.counts))).astype(np.int32)

    def mode(self, outputs: Float[Array, "batch outputs"]) -> Int[Array, "batch choices"]:
        """The likeliest action."""
        return self._apart(outputs).argmax(-1).astype(jnp.int32)

    def sample(
        self, outputs: Float[Array, "batch outputs"], _log_std: Array, key: Array
    ) -> Int[Array, "batch choices"]:
        """A random action for every row."""
        return jax.random.categorical(key, self._apart(outputs)).astype(jnp.int32)

    def log_likelihood(
        self,
        outputs: Float[Array, "batch outputs"],
        _log_std: Array,
        actions: Int[AnyArray, "batch choices"],
    ) -> Float[Array, " batch"]:
        each = jax.nn.log_softmax(self._apart(outputs))
        return jnp.take_along_axis(each, jnp.asarray(actions)[..., None], -1)[..., 0].sum(-1)

    def entropy(
        self, outputs: Float[Array, "batch outputs"], _log_std: Array
    ) -> Float[Array, " batch"]:
        """In nats, of all choices together."""
        apart = self._apart(outputs)
        each = jax.nn.softmax(apart) * jax.nn.log_softmax(apart)
        return -each.sum((-2, -1))

    def _apart(self, outputs: Float[Array, "batch outputs"]) -> Float[Array, "batch choices most"]:
        """The outputs of each choice; of what it does not have, as good as never."""
        places = np.arange(max(self.counts))
        there = places < np.array(self.counts)[:, None]
        first = np.cumsum(self.counts) - self.counts
        return jnp.where(there, outputs[:, np.where(there, first[:, None] + places, 0)], NEVER)


@dataclass(frozen=True)
class Mixed:
    """Choices, and numbers between bounds after them: float32 (batch, choices + action_dim)."""

    choices: Choices
    bounds: Bounds

    @property
    def outputs(self) -> int:
        return self.choices.outputs + self.bounds.outputs

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.choices.counts) + len(self.bounds.low),)

    @property
    def dtype(self) -> type[np.float32]:
        return np.float32

    @property
    def first_log_std(self) -> npt.NDArray[np.float32]:
        return self.bounds.first_log_std

    def draw(self, rng: np.random.Generator, rows: int) -> npt.NDArray[np.float32]:
        """Actions by chance: (rows, choices + action_dim)."""
        both = self.choices.draw(rng, rows), self.bounds.draw(rng, rows)
        return np.concatenate(both, 1, dtype=np.float32)

    def mode(self, outputs: Float[Array, "batch outputs"]) -> Float[Array, "batch entries"]:
        """The likeliest choices, and the numbers without noise."""
        of_choices, of_bounds = self._apart(outputs)
        return _joined(self.choices.mode(of_choices), self.bounds.mode(of_bounds))

    def sample(
        self, outputs: Float[Array, "batch outputs"], log_std: Float[Array, " dim"], key: Array
    ) -> Float[Array, "batch entries"]:
        """A random action for every row."""
        (of_choices, of_bounds), (one, other) = self._apart(outputs), jax.random.split(key)
        choices = self.choices.sample(of_choices, log_std, one)
        return _joined(choices, self.bounds.sample(of_bounds, log_std, other))

    def log_likelihood(
        self,
        outputs: Float[Array, "batch outputs"],
        log_std: Float[Array, " dim"],
        actions: Float[AnyArray, "batch entries"],
    ) -> Float[Array, " batch"]:
        count = len(self.choices.counts)
        of_choices, of_bounds = self._apart(outputs)
        chosen = jnp.asarray(actions[:, :count]).astype(jnp.int32)
        return self.choices.log_likelihood(
            of_choices, log_std, chosen
        ) + self.bounds.log_likelihood(of_bounds, log_std, actions[:, count:])

    def entropy(
        self, outputs: Float[Array, "batch outputs"], log_std: Float[Array, " dim"]
    ) -> Float[Array, " batch"]:
        """In nats: that of the choices, and of the numbers before the tanh."""
        of_choices, of_bounds = self._apart(outputs)
        return self.choices.entropy(of_choices, log_std) + self.bounds.entropy(of_bounds, log_std)

    def _apart(self, outputs: Array) -> tuple[Array, Array]:
        return outputs[:, : self.choices.outputs], outputs[:, self.choices.outputs :]


def _joined(choices: Array, numbers: Array) -> Array:
    return jnp.concatenate([choices.astype(jnp.float32), numbers], axis=1)


ActionKind = Choice | Bounds | Choices | Mixed


@runtime_checkable
class MixedSpace(Protocol):
    """A space of choices, and numbers after them, as `envs.acting` makes it."""

    counts: tuple[int, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


SMALLEST = 16  # pixels, of a picture's shorter side


def observed_shape(learner: str, space: gymnasium.Space[Any]) -> tuple[int, ...]:
    """The shape of a single environment's observations: (obs_dim,), or (height, width, channels).

    Raises:
        EnvironmentUnsupported: They are neither numbers in a row nor pictures in uint8; the message
            names `learner`.
    """
    if isinstance(space, gymnasium.spaces.Box):
        shape = space.shape
        if len(shape) == 1:
            return shape
        if len(shape) == 3 and space.dtype == np.uint8 and min(shape[:2]) >= SMALLEST:
            return shape
    raise EnvironmentUnsupported(
        f"{learner} needs flat observations, or pictures in uint8 (height, width, channels) of at "
        f"least {SMALLEST} pixels, not {space}"
    )


def action_kind(learner: str, space: gymnasium.Space[Any]) -> ActionKind:
    """The kind of a single environment's actions.

    Raises:
        EnvironmentUnsupported: They are none of Discrete, MultiDiscrete in a row from 0 on, a flat
            Box with finite bounds, and choices with numbers; the message names `learner`.
    """
    if isinstance(space, gymnasium.spaces.Discrete):
        return Choice(int(space.n), int(space.start))
    if isinstance(space, gymnasium.spaces.MultiDiscrete):
        if space.nvec.ndim != 1 or space.start.any():
            raise EnvironmentUnsupported(f"{learner} needs choices in a row from 0 on, not {space}")
        return Choices(tuple(space.nvec.tolist()))
    if isinstance(space, MixedSpace):
        return Mixed(Choices(space.counts), Bounds(space.low, space.high))
    return bounds_of(learner, space)


def bounds_of(learner: str, space: gymnasium.Space[Any]) -> Bounds:
    """The bounds of a single environment's continuous actions.

    Raises:
        EnvironmentUnsupported: They are not a flat Box with finite bounds.
    """
    if not isinstance(space, gymnasium.spaces.Box) or len(space.shape) != 1:
        raise EnvironmentUnsupported(f"{learner} needs continuous actions, not {space}")
    if not space.is_bounded():
        raise EnvironmentUnsupported(f"{learner} needs bounded actions, not {space}")
    low, high = (tuple(map(float, bound)) for bound in (space.low, space.high))
    return Bounds(low, high)
