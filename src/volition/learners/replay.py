"""A ring of transitions on the device: plain arrays and three pure functions."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float, Int

from volition.learners.base import Transitions


class Replay(NamedTuple):
    """The last `capacity` transitions, in no particular order.

    `added` counts all the transitions ever added; the next one goes to row `added % capacity`.
    """

    transitions: Transitions  # every array is (capacity, ...)
    added: Int[Array, ""]  # int32

    @property
    def capacity(self) -> int:
        return int(self.transitions.terminated.shape[0])


def empty(
    capacity: int,
    observation_shape: tuple[int, ...],
    action_shape: tuple[int, ...],
    action_dtype: type[np.float32] | type[np.int32] = np.float32,
) -> Replay:
    """A replay with room for `capacity` transitions."""
    observation = np.zeros((capacity, *observation_shape), np.float32)
    action = np.zeros((capacity, *action_shape), action_dtype)
    rows = Transitions(observation, action, observation, np.zeros(capacity, np.bool_))
    return Replay(*jax.device_put((jax.tree.map(np.array, rows), np.int32(0))))


def grown(replay: Replay, capacity: int) -> Replay:
    """A replay with room for `capacity` transitions, and those that are there already.

    None may have been put over another one yet.
    """
    more = max(0, capacity - replay.capacity)

    def with_room(rows: Array) -> Array:
        return jax.device_put(np.pad(rows, [(0, more)] + [(0, 0)] * (rows.ndim - 1)))

    return Replay(jax.tree.map(with_room, replay.transitions), replay.added)


def add(replay: Replay, transitions: Transitions) -> Replay:
    """Put a batch into the ring, over the oldest rows. In place where `replay` is donated."""
    batch = transitions.terminated.shape[0]
    rows = (replay.added + jnp.arange(batch)) % replay.capacity
    stored = jax.tree.map(lambda ring, new: ring.at[rows].set(new), replay.transitions, transitions)
    return Replay(stored, replay.added + batch)


def sample(replay: Replay, uniform: Float[Array, " batch"]) -> Transitions:
    """The rows that numbers in [0, 1) choose: every stored transition is equally likely.

    The numbers come from the caller, so that one draw can serve a whole iteration.
    """
    stored = jnp.minimum(replay.added, replay.capacity)
    # In float32 the product of a number just below one may be rounded up to `stored` itself.
    rows = jnp.minimum((uniform * stored).astype(jnp.int32), stored - 1)
    return jax.tree.map(lambda ring: ring[rows], replay.transitions)
