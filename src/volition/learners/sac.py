"""Soft Actor-Critic as one compiled program, readable from top to bottom.

Haarnoja et al., "Soft Actor-Critic Algorithms and Applications", arXiv:1812.05905: twin critics,
a tanh-Gaussian actor, a learned temperature. One call of `SAC.iterate` is one vector step in two
dispatches: the next actions, and all the updates that belong to the step, which go on while the
environments take the next one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple, TypeVar

import equinox as eqx
import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array
from jaxtyping import Float, Int, UInt32

from volition.errors import EnvironmentUnsupported, InputError
from volition.learners import replay as ring
from volition.learners.base import (
    Metrics,
    PolicyForm,
    RewardFunction,
    Transitions,
    first_steps,
    held_value,
    relabelled,
)
from volition.learners.spaces import Bounds, bounds_of
from volition.networks import AnyArray, Layers, apply_layers, init_layers

Tree = TypeVar("Tree")

FIRST_STEPS = 8_000, 3  # of the first stage of learning, where so many entries are observed


@dataclass(frozen=True)
class SACSettings:
    """What SAC can be tuned by. The defaults suit small control tasks on a CPU."""

    hidden: tuple[int, ...] = (64, 64)
    batch_size: int = 128
    learning_rate: float = 3e-3
    final_learning_rate: float = 3e-4  # reached on a straight line at the end of the run
    tau: float = 0.02  # step of the target critics, and of the averaged actor
    gamma: float = 0.97
    random_steps: int = 400  # environment steps with uniform actions and without updates
    updates_per_iteration: int = 4  # an iteration is one step of every environment
    replay_capacity: int = 100_000
    initial_temperature: float = 1.0

    def __post_init__(self) -> None:
        for name in ("batch_size", "updates_per_iteration", "replay_capacity"):
            if getattr(self, name) < 1:
                raise InputError(f"SAC: {name} is {getattr(self, name)}, and must be at least 1")
        for name in ("learning_rate", "tau", "initial_temperature"):
            if not getattr(self, name) > 0.0:
                raise InputError(f"SAC: {name} is {getattr(self, name)}, and must be above 0")
        if not 0.0 <= self.gamma < 1.0:
            raise InputError(f"SAC: gamma is {self.gamma}, and must be in [0, 1)")


class Networks(NamedTuple):
    """Everything that gradients change."""

    actor: Layers
    critics: tuple[Layers, Layers]
    log_temperature: Float[Array, ""]


class SACLearned(NamedTuple):
    """Everything that one update changes."""

    networks: Networks
    target_critics: tuple[Layers, Layers]
    average_actor: Layers  # running average of the actor: what is evaluated and kept
    optimiser: optax.ScaleByAdamState


class SACState(eqx.Module):
    """All that SAC knows, as arrays only: a checkpoint is the leaves of this tree."""

    learned: SACLearned
    replay: ring.Replay
    key: UInt32[Array, " 2"]
    steps: Int[Array, ""]  # steps of the environments, all together
    total_steps: Int[Array, ""]  # data and not a setting: another length of run compiles nothing


class SACPolicy(eqx.Module):
    """A tanh-Gaussian actor and the bounds of its actions."""

    layers: Layers  # gives (mean, log of the standard deviation) for every entry of the action
    low: Float[Array, " action_dim"]
    high: Float[Array, " action_dim"]

    @property
    def form(self) -> PolicyForm:
        sizes = [layer.weight.shape[-1] for layer in self.layers]
        low, high = (tuple(np.asarray(bound).tolist()) for bound in (self.low, self.high))
        shape = (self.layers[0].weight.shape[-2],)
        return PolicyForm("sac", shape, tuple(sizes[:-1]), Bounds(low, high))

    @classmethod
    def of_form(cls, form: PolicyForm) -> SACPolicy:
        """One that knows nothing.

        Raises:
            ValueError: It acts in no bounds.
        """
        if not isinstance(form.actions, Bounds):
            raise ValueError(f"SAC acts in bounds, not in {form.actions}")
        sizes = (*form.observation_shape, *form.hidden, 2 * form.actions.outputs)
        layers = init_layers(np.random.default_rng(0), sizes)
        bounds = form.actions.low, form.actions.high
        low, high = jax.device_put(tuple(np.asarray(bound, np.float32) for bound in bounds))
        return cls(layers, low, high)

    @jax.jit
    def __call__(
        self, observations: Float[AnyArray, "batch obs_dim"]
    ) -> Float[Array, "batch action"]:
        """The action without noise, in the environment's units: float32 (batch, action_dim)."""
        mean, _ = _gaussian(self.layers, observations)
        return _to_bounds(jnp.tanh(mean), self.low, self.high)

    @jax.jit
    def sample(
        self, observations: Float[AnyArray, "batch obs_dim"], key: Array
    ) -> Float[Array, "batch action"]:
        """A random action, in the environment's units: float32 (batch, action_dim)."""
        noise = jax.random.normal(key, (observations.shape[0], self.low.shape[0]))
        action, _ = _sample_action(self.layers, observations, noise)
        return _to_bounds(action, self.low, self.high)


@dataclass(frozen=True)
class SAC:
    """Soft Actor-Critic for `envs` environments side by side, with bounded continuous actions.

    Instances with equal fields share their compiled programs.
    """

    observation_shape: tuple[int, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    envs: int
    settings: SACSettings = SACSettings()

    def __post_init__(self) -> None:
        if not 1 <= self.envs <= self.settings.replay_capacity:
            raise InputError(
                f"SAC: envs is {self.envs}, and must be between 1 and the replay's capacity, "
                f"{self.settings.replay_capacity}"
            )

    @classmethod
    def for_spaces(
        cls,
        observation_space: gymnasium.Space[Any],
        action_space: gymnasium.Space[Any],
        envs: int,
        settings: SACSettings = SACSettings(),
    ) -> SAC:
        """SAC for the spaces of a single environment.

        Raises EnvironmentUnsupported unless observations are a flat Box, and actions a flat Box
        with finite bounds.
        """
        box = gymnasium.spaces.Box
        if not isinstance(observation_space, box) or len(observation_space.shape) != 1:
            raise EnvironmentUnsupported(f"SAC needs flat observations, not {observation_space}")
        bounds = bounds_of("SAC", action_space)
        return cls(observation_space.shape, bounds.low, bounds.high, envs, settings)

    @property
    def learns_every(self) -> int:
        """It learns at every iteration."""
        return 1

    @property
    def updates_per_iteration(self) -> float:
        """Gradient steps for a vector step."""
        return self.settings.updates_per_iteration

    @property
    def first_steps(self) -> int:
        """Environment steps after which most of what can be learned might be."""
        return first_steps(*FIRST_STEPS, self.observation_shape)

    def _room(self, total_steps: int) -> int:
        """Transitions of the replay: a power of two, so that there are few sizes to compile."""
        wanted = max(self.envs, 1 << (total_steps - 1).bit_length())
        return min(self.settings.replay_capacity, wanted)

    def start(
        self, seed: int, total_steps: int
    ) -> tuple[SACState, Float[Array, "envs action_dim"]]:
        """A new state, and uniformly random actions for the first vector step.

        `total_steps` is the length of the run in environment steps, all environments together: the
        learning rate comes down over it, and the replay has room for so many. Made by NumPy, so
        that nothing is compiled here.
        """
        rng = np.random.default_rng(seed)
        settings, actions, (inputs,) = self.settings, len(self.low), self.observation_shape
        actor_sizes = (inputs, *settings.hidden, 2 * actions)
        critic_sizes = (inputs + actions, *settings.hidden, 1)
        networks = Networks(
            actor=init_layers(rng, actor_sizes),
            critics=(init_layers(rng, critic_sizes), init_layers(rng, critic_sizes)),
            log_temperature=jax.device_put(np.float32(np.log(settings.initial_temperature))),
        )
        zeros = jax.tree.map(np.zeros_like, networks)
        state = SACState(
            learned=SACLearned(
                networks,
                target_critics=networks.critics,
                average_actor=networks.actor,
                optimiser=optax.ScaleByAdamState(np.int32(0), mu=zeros, nu=zeros),
            ),
            replay=ring.empty(self._room(total_steps), (inputs,), (actions,)),
            key=jax.device_put(rng.integers(2**32, size=2, dtype=np.uint32)),
            steps=jax.device_put(np.int32(0)),
            total_steps=jax.device_put(np.int32(total_steps)),
        )
        first = rng.uniform(self.low, self.high, (self.envs, actions))
        return _copy(state), jax.device_put(first.astype(np.float32))

    def prolong(self, state: SACState, total_steps: int) -> SACState:
        """The state of a run that is so long: room for its steps, and its learning rate."""
        grown = ring.grown(state.replay, self._room(total_steps))
        total = jax.device_put(np.int32(total_steps))
        return replace(state, replay=grown, total_steps=total)

    def renewed(self, state: SACState, seed: int) -> SACState:
        """The state with networks that know nothing, and the replay that there is."""
        return replace(state, learned=self.start(seed, self.envs)[0].learned)

    def iterate(
        self,
        state: SACState,
        transitions: Transitions,
        next_observations: Float[AnyArray, "envs obs_dim"],
        reward: RewardFunction,
    ) -> tuple[SACState, Float[Array, "envs action_dim"], Metrics]:
        """One vector step: act, store, update. `state` is used up.

        The actions are those of the policy before the updates: they are there while the updates
        still go on, and the environments take their step meanwhile.
        The rewards of the sampled transitions are computed here, by the reward function of now.
        The metrics are means over the updates made, and zero while actions are still random.

        Raises ValueError unless there is one transition for every environment.
        """
        if transitions.terminated.shape != (self.envs,):
            raise ValueError(f"{transitions.terminated.shape} transitions for {self.envs} envs")
        actor = state.learned.networks.actor
        actions = self._act(actor, state.key, state.steps, next_observations)
        state, metrics = self._learn(state, transitions, reward)
        return state, actions, metrics

    @partial(jax.jit, static_argnames="self")
    def _act(
        self,
        actor: Layers,
        key: UInt32[Array, " 2"],
        steps: Int[Array, ""],
        observations: Float[AnyArray, "envs obs_dim"],
    ) -> Float[Array, "envs action_dim"]:
        """Random actions of the policy, or uniform ones while there are too few steps."""
        noise = jax.random.normal(_streams(key).action, (self.envs, len(self.low)))
        chosen, _ = _sample_action(actor, observations, noise)
        # The error function makes a normal number uniform: the same draw serves both.
        uniform = jax.scipy.special.erf(noise / np.sqrt(2.0))
        ready = steps + self.envs > self.settings.random_steps
        return _to_bounds(jnp.where(ready, chosen, uniform), *self._bounds())

    @partial(jax.jit, static_argnames="self", donate_argnames="state")
    def _learn(
        self, state: SACState, transitions: Transitions, reward: RewardFunction
    ) -> tuple[SACState, Metrics]:
        """Stores the transitions and makes the updates that belong to them."""
        settings, (low, high) = self.settings, self._bounds()
        draws = settings.updates_per_iteration * settings.batch_size
        streams = _streams(state.key)
        steps = state.steps + self.envs
        replay = ring.add(state.replay, transitions)

        batch = ring.sample(replay, jax.random.uniform(streams.rows, (draws,)))
        batch = relabelled(batch, reward)
        rewards = reward(batch)
        batch = batch._replace(action=2.0 * (batch.action - low) / (high - low) - 1.0)
        noise = jax.random.normal(streams.noise, (draws, 2, len(self.low)))
        minibatches = jax.tree.map(
            lambda x: x.reshape(-1, settings.batch_size, *x.shape[1:]), (batch, rewards, noise)
        )
        fraction = jnp.minimum(steps / state.total_steps, 1.0)
        rate = settings.learning_rate * (1.0 - fraction) + settings.final_learning_rate * fraction
        update = partial(_update, settings, -float(len(self.low)), rate)
        nothing = jnp.zeros(settings.updates_per_iteration)
        learned, metrics = jax.lax.cond(
            steps > settings.random_steps,
            lambda: jax.lax.scan(update, state.learned, minibatches),
            lambda: (state.learned, dict.fromkeys(_METRICS, nothing)),
        )
        key = jax.random.key_data(streams.next)
        state = SACState(learned, replay, key, steps, state.total_steps)
        return state, jax.tree.map(jnp.mean, metrics)

    def policy(self, state: SACState) -> SACPolicy:
        """The averaged actor, copied: the buffers of `state` go with the next iteration."""
        return _copy(SACPolicy(state.learned.average_actor, *self._bounds()))

    def _bounds(self) -> tuple[Array, Array]:
        return jax.device_put((np.array(self.low, np.float32), np.array(self.high, np.float32)))


class _Streams(NamedTuple):
    """The random numbers of one iteration."""

    next: Array  # the key of the next iteration
    rows: Array
    noise: Array
    action: Array


def _streams(key: UInt32[Array, " 2"]) -> _Streams:
    return _Streams(*jax.random.split(jax.random.wrap_key_data(key, impl="threefry2x32"), 4))


_ADAM = optax.scale_by_adam()
_METRICS = ("critic_loss", "actor_loss", "entropy", "temperature", "value", "reward")


def _update(
    settings: SACSettings,
    target_entropy: float,
    learning_rate: Array,
    learned: SACLearned,
    minibatch: tuple[Transitions, Array, Array],
) -> tuple[SACLearned, Metrics]:
    """One gradient step on everything, then the two slow copies follow."""
    networks, target_critics, average_actor, optimiser = learned
    grads, metrics = jax.grad(_loss, has_aux=True)(
        networks, target_critics, *minibatch, settings.gamma, target_entropy
    )
    directions, optimiser = _ADAM.update(grads, optimiser)
    networks = jax.tree.map(lambda p, d: p - learning_rate * d, networks, directions)
    follow = partial(optax.incremental_update, step_size=settings.tau)
    learned = SACLearned(
        networks,
        follow(networks.critics, target_critics),
        follow(networks.actor, average_actor),
        optimiser,
    )
    return learned, metrics


def _loss(
    networks: Networks,
    target_critics: tuple[Layers, Layers],
    batch: Transitions,
    rewards: Float[Array, " batch"],
    noise: Float[Array, "batch 2 action_dim"],
    gamma: float,
    target_entropy: float,
) -> tuple[Float[Array, ""], Metrics]:
    """The losses of arXiv:1812.05905 added up: critics (eq. 5, 6), actor (7, 9), temperature (18).

    Each depends on its own parameters only, the others being held constant, so that the gradient
    of the sum is the three gradients. Actions are in [-1, 1] here.
    """
    constant = jax.lax.stop_gradient(networks)
    temperature = jnp.exp(constant.log_temperature)

    next_action, next_log_prob = _sample_action(constant.actor, batch.next_observation, noise[:, 0])
    next_value = _values(target_critics, batch.next_observation, next_action).min(0)
    soft_value = next_value - temperature * next_log_prob  # (batch,)
    # Where the last state is held for ever, so is the bonus for entropy: else an entropy below
    # zero, which is usual, would make ending a way out of it.
    held = held_value(rewards - temperature * next_log_prob.mean(), gamma)
    target = rewards + gamma * jnp.where(batch.terminated, held, soft_value)
    values = _values(networks.critics, batch.observation, batch.action)  # (2, batch)
    critic_loss = 0.5 * jnp.square(values - target).mean(1).sum()

    action, log_prob = _sample_action(networks.actor, batch.observation, noise[:, 1])
    value = _values(constant.critics, batch.observation, action).min(0)
    actor_loss = (temperature * log_prob - value).mean()
    entropy = -jax.lax.stop_gradient(log_prob).mean()
    temperature_loss = networks.log_temperature * (entropy - target_entropy)
    measured = (critic_loss, actor_loss, entropy, temperature, values.mean(), rewards.mean())
    return critic_loss + actor_loss + temperature_loss, dict(zip(_METRICS, measured, strict=True))


def _values(
    critics: tuple[Layers, Layers],
    observations: Float[AnyArray, "batch obs_dim"],
    actions: Float[AnyArray, "batch action_dim"],
) -> Float[Array, "2 batch"]:
    inputs = jnp.concatenate([observations, actions], axis=-1)
    return jnp.stack([apply_layers(critic, inputs, jax.nn.relu)[:, 0] for critic in critics])


def _sample_action(
    actor: Layers,
    observations: Float[AnyArray, "batch obs_dim"],
    noise: Float[Array, "batch action_dim"],
) -> tuple[Float[Array, "batch action_dim"], Float[Array, " batch"]]:
    """Actions in [-1, 1] and their log-likelihood: arXiv:1812.05905, appendix C.

    log(1 - tanh(u)^2) is written as 2 (log 2 - u - softplus(-2u)), which does not underflow.
    """
    mean, log_std = _gaussian(actor, observations)
    u = mean + jnp.exp(log_std) * noise
    log_normal = -0.5 * jnp.square(noise) - log_std - 0.5 * np.log(2.0 * np.pi)
    log_slope = 2.0 * (np.log(2.0) - u - jax.nn.softplus(-2.0 * u))
    return jnp.tanh(u), (log_normal - log_slope).sum(-1)


def _gaussian(actor: Layers, observations: Float[AnyArray, "batch obs_dim"]) -> tuple[Array, Array]:
    """Mean and log of the standard deviation, (batch, action_dim) each, before the tanh."""
    outputs = apply_layers(actor, jnp.asarray(observations), jax.nn.relu)
    mean, log_std = jnp.split(outputs, 2, axis=-1)
    return mean, jnp.clip(log_std, -20.0, 2.0)


def _to_bounds(action: Array, low: Array, high: Array) -> Array:
    return low + 0.5 * (action + 1.0) * (high - low)


def _copy(tree: Tree) -> Tree:
    """Arrays of their own: a buffer that is shared cannot be donated."""
    return jax.device_put(jax.tree.map(np.array, tree))
