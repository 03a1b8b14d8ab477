"""Distributions over actions, for a learner that needs the likelihood of actions already taken.

A network gives `outputs`; what they mean depends on the kind of action. Continuous actions are a
Gaussian squashed by tanh into their bounds, not one clipped at them: of a clipped action nobody
knows any more what was drawn, while a squashed one has a likelihood of its own, so that a stored
transition is enough.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

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


ActionKind = Choice | Bounds
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
        EnvironmentUnsupported: They are neither Discrete nor a flat Box with finite bounds; the
            message names `learner`.
    """
    if isinstance(space, gymnasium.spaces.Discrete):
        return Choice(int(space.n), int(space.start))
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
