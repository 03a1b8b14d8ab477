"""What every learner takes and gives.

A learner sees transitions without a reward. Rewards are computed when a batch is sampled, by a
reward function which is an *argument* of the compiled program: a new reward model is in force at
the very next update, for every transition ever stored, and nothing is compiled again.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypeVar, runtime_checkable

from jax import Array
from jaxtyping import Bool, Float, Shaped

from volition.learners.spaces import ActionKind
from volition.networks import AnyArray

LONGEST_FIRST = 160_000  # steps of a first stage, however much is observed
Metrics = dict[str, Float[Array, ""]]
State = TypeVar("State")


@dataclass(frozen=True, slots=True)
class PolicyForm:
    """All that a policy's file must say beside its numbers.

    Attributes:
        learner: sac or ppo.
        observation_shape: Of one environment.
        hidden: Sizes of the hidden dense layers.
        actions: What it chooses among.
    """

    learner: str
    observation_shape: tuple[int, ...]
    hidden: tuple[int, ...]
    actions: ActionKind


class Acts(Protocol):
    """Anything that acts: observations (batch, ...) to actions (batch, ...)."""

    def __call__(self, observations: Any, /) -> Any: ...


class Policy(Protocol):
    """Behaviour that was learned: observations (batch, ...) to actions (batch, ...)."""

    @property
    def form(self) -> PolicyForm:
        """What its file says beside its numbers."""
        ...

    def __call__(self, observations: AnyArray, /) -> Array:
        """The actions without noise."""
        ...


class Transitions(NamedTuple):
    """A batch of steps of an environment. There is no reward here, on purpose.

    `next_observation` is what the step really led to: at the end of an episode the final
    observation, never the first one of the next episode. `terminated` says that the environment
    itself ended the episode there. For a learner that is as though the last state were held for
    ever: `held_value` of its reward is what follows. An episode cut by a time limit is not
    terminated, and what its `next_observation` is worth is learned as anywhere.
    """

    observation: Float[AnyArray, "batch obs_dim"]  # float32
    action: Shaped[AnyArray, "batch ..."]  # float32 (batch, action_dim), or int32 (batch,)
    next_observation: Float[AnyArray, "batch obs_dim"]  # float32
    terminated: Bool[AnyArray, " batch"]


def held_value(reward: Float[Array, "*batch"], gamma: float) -> Float[Array, "*batch"]:
    """What a state is worth in which an episode ended by itself: its reward at every later step.

    So ending early leaks nothing that the reward does not say, and neither dying nor living is good
    by itself (docs/decisions/0007-endings.md). `reward` is that of the state.
    """
    return reward / (1.0 - gamma)


def first_steps(steps: int, entries: int, observation_shape: tuple[int, ...]) -> int:
    """How long it takes until most of what can be learned might be: environment steps.

    As the square of what is observed, `steps` being for so many `entries`
    (docs/decisions/0017-found-out.md).
    """
    share = math.prod(observation_shape) / entries
    return min(LONGEST_FIRST, max(1, round(steps * share**2)))


class RewardFunction(Protocol):
    """Anything that scores transitions: (batch, ...) to float32 (batch,).

    It must be a pytree whose leaves are all arrays (an `equinox.Module` with its settings marked
    static, for example), since it is passed into a compiled program. Two reward functions that
    differ only in the values of those arrays share one compilation.
    """

    def __call__(self, transitions: Transitions, /) -> Float[Array, " batch"]: ...


@runtime_checkable
class Relabels(Protocol):
    """A reward function that knows better than what is stored which stage was under way."""

    def relabelled(self, transitions: Transitions) -> Transitions:
        """The same transitions as they would be observed now: (batch, ...)."""
        ...


def relabelled(transitions: Transitions, reward: RewardFunction) -> Transitions:
    """What is learned from, of what was stored; most reward functions leave it as it is."""
    return reward.relabelled(transitions) if isinstance(reward, Relabels) else transitions


class Learner(Protocol[State]):
    """Turns transitions and a reward function into behaviour, one vector step at a time.

    A vector step is one step of every environment. `State` is a pytree of arrays, so that a
    checkpoint of it is its leaves. Actions are float32 (envs, action_dim) in the environment's
    units where they are continuous, and int32 (envs,) where they are discrete.
    """

    @property
    def observation_shape(self) -> tuple[int, ...]:
        """Of one environment's observation."""
        ...

    @property
    def learns_every(self) -> int:
        """Iterations from one learning to the next: the state between them only grows."""
        ...

    @property
    def updates_per_iteration(self) -> float:
        """Gradient steps for a vector step, on average."""
        ...

    @property
    def first_steps(self) -> int:
        """Environment steps after which most of what can be learned here might be."""
        ...

    def start(self, seed: int, total_steps: int) -> tuple[State, Shaped[Array, "envs ..."]]:
        """A new state, and the actions for the first vector step.

        The learning rate comes down over `total_steps`, steps of all environments together.
        """
        ...

    def prolong(self, state: State, total_steps: int) -> State:
        """The state of a learner that goes on until so many steps in all.

        The learning rate is that of a run of this length from now on: it rises, and comes down
        again. `state` is used up.
        """
        ...

    def renewed(self, state: State, seed: int) -> State:
        """The state of a learner that knows nothing, and remembers all that it has visited.

        What was learned for another reward holds a policy where that was high (the primacy bias:
        Nikishin et al., arXiv:2205.07802). A learner that remembers nothing stays as it is. `state`
        is used up.
        """
        ...

    def iterate(
        self,
        state: State,
        transitions: Transitions,
        next_observations: Float[AnyArray, "envs obs_dim"],
        reward: RewardFunction,
    ) -> tuple[State, Shaped[Array, "envs ..."], Metrics]:
        """Learn from one vector step and choose the actions for `next_observations`.

        `next_observations` are what the environments show now: those of `transitions`, except
        where an episode ended and a new one began. `state` is used up: its buffers become the new
        one's.
        """
        ...

    def policy(self, state: State) -> Policy:
        """What is learned so far, observations to actions: a copy that outlives `state`."""
        ...
