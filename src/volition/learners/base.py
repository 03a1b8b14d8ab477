"""What every learner takes and gives.

A learner sees transitions without a reward. Rewards are computed when a batch is sampled, by a
reward function which is an *argument* of the compiled program: a new reward model is in force at
the very next update, for every transition ever stored, and nothing is compiled again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol, TypeVar

import numpy as np
from jax import Array
from jaxtyping import Bool, Float

AnyArray = Array | np.ndarray  # from the host, or on the device
Metrics = dict[str, Float[Array, ""]]
State = TypeVar("State")


class Transitions(NamedTuple):
    """A batch of steps of an environment. There is no reward here, on purpose.

    `next_observation` is what the step really led to: at the end of an episode the final
    observation, never the first one of the next episode. `terminated` says that the task itself
    ended there, so that nothing follows; an episode cut by a time limit is not terminated, and the
    value of its `next_observation` still counts.
    """

    observation: Float[AnyArray, "batch obs_dim"]  # float32
    action: Float[AnyArray, "batch action_dim"]  # float32, in the environment's units
    next_observation: Float[AnyArray, "batch obs_dim"]  # float32
    terminated: Bool[AnyArray, " batch"]


class RewardFunction(Protocol):
    """Anything that scores transitions: (batch, ...) to float32 (batch,).

    It must be a pytree whose leaves are all arrays (an `equinox.Module` with its settings marked
    static, for example), since it is passed into a compiled program. Two reward functions that
    differ only in the values of those arrays share one compilation.
    """

    def __call__(self, transitions: Transitions, /) -> Float[Array, " batch"]: ...


class Learner(Protocol[State]):
    """Turns transitions and a reward function into behaviour, one vector step at a time.

    A vector step is one step of every environment. `State` is a pytree of arrays, so that a
    checkpoint of it is its leaves.
    """

    def start(self, seed: int, total_steps: int) -> tuple[State, Float[Array, "envs action_dim"]]:
        """A new state, and the actions for the first vector step."""
        ...

    def iterate(
        self,
        state: State,
        transitions: Transitions,
        next_observations: Float[AnyArray, "envs obs_dim"],
        reward: RewardFunction,
    ) -> tuple[State, Float[Array, "envs action_dim"], Metrics]:
        """Learn from one vector step and choose the actions for `next_observations`.

        `next_observations` are what the environments show now: those of `transitions`, except
        where an episode ended and a new one began. `state` is used up: its buffers become the new
        one's.
        """
        ...

    def policy(self, state: State) -> Callable[[AnyArray], Array]:
        """What is learned so far, observations to actions: a copy that outlives `state`."""
        ...
