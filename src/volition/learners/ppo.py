"""Proximal Policy Optimisation as compiled programs, readable from top to bottom.

Schulman et al., "Proximal Policy Optimization Algorithms", arXiv:1707.06347, with generalised
advantage estimation (arXiv:1506.02438). One call of `PPO.iterate` is one vector step in one
dispatch: the transitions go into the rollout, and the next actions come out. Every
`rollout_steps`-th call learns from the rollout first, and starts a new one.

Nothing of the rollout but its transitions is kept. Its rewards, values and likelihoods are computed
when it is learned from, by the reward function and the networks of that moment. The networks have
not changed since the actions were chosen, so the likelihoods are those of the choice.
"""

from __future__ import annotations

from collections.abc import Callable
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
from jaxtyping import Bool, Float, Int, Shaped, UInt32

from volition.comparison import reduced
from volition.errors import InputError
from volition.learners.base import (
    Metrics,
    PolicyForm,
    RewardFunction,
    Transitions,
    first_steps,
    held_value,
)
from volition.learners.spaces import ActionKind, action_kind, observed_shape
from volition.networks import AnyArray, Layers, apply_network, encoder_depth, init_network

Tree = TypeVar("Tree")

FIRST_STEPS = 48_000, 4  # of the first stage of learning, where so many entries are observed
SCALE_RATE = 0.2  # of the running scale of values, for one rollout
PICTURES_TOGETHER = 64  # of a rollout, that are looked at
PIXEL_DEVIATION = 64.0  # of 255, until it is known


@dataclass(frozen=True)
class PPOSettings:
    """What PPO can be tuned by. The defaults suit small control tasks on a CPU."""

    hidden: tuple[int, ...] = (64, 64)
    rollout_steps: int = 128  # vector steps that are learned from at once
    epochs: int = 10
    minibatch_size: int = 64  # transitions
    learning_rate: float = 5e-4
    final_learning_rate: float = 1e-5  # reached on a straight line at the end of the run
    gamma: float = 0.99
    trace: float = 0.95  # lambda of generalised advantage estimation
    clip: float = 0.2
    entropy_weight: float = 0.01
    max_gradient_norm: float = 0.5

    def __post_init__(self) -> None:
        for name in ("rollout_steps", "epochs", "minibatch_size"):
            if getattr(self, name) < 1:
                raise InputError(f"PPO: {name} is {getattr(self, name)}, and must be at least 1")
        for name in ("learning_rate", "clip", "max_gradient_norm"):
            if not getattr(self, name) > 0.0:
                raise InputError(f"PPO: {name} is {getattr(self, name)}, and must be above 0")
        if not 0.0 <= self.gamma < 1.0:
            raise InputError(f"PPO: gamma is {self.gamma}, and must be in [0, 1)")
        if not 0.0 <= self.trace <= 1.0:
            raise InputError(f"PPO: trace is {self.trace}, and must be in [0, 1]")


class Networks(NamedTuple):
    """Everything that gradients change."""

    actor: Layers  # gives the parameters of the distribution of actions
    critic: Layers  # gives the value in units of `Scale`
    log_std: Float[Array, " action_dim"]  # empty where actions are discrete


class Moments(NamedTuple):
    """Mean and variance of all observations learned from, by which the networks' inputs are scaled.

    Merged by Chan et al. (1979).
    """

    rows: Float[Array, ""]  # so many have been learned from
    mean: Float[Array, "..."]  # of every entry, or of every pixel
    variance: Float[Array, "..."]


class Scale(NamedTuple):
    """Running mean and variance of the value targets: the critic gives values in these units.

    A reward model that changes moves them by orders of magnitude. When they move, the critic's last
    layer is moved against them, so that what it says stays (PopArt, arXiv:1602.07714).
    """

    rollouts: Int[Array, ""]  # so many have been learned from
    mean: Float[Array, ""]
    variance: Float[Array, ""]

    @property
    def deviation(self) -> Float[Array, ""]:
        return jnp.sqrt(jnp.maximum(self.variance, 1e-6))


class PPOLearned(NamedTuple):
    """Everything that learning from a rollout changes."""

    networks: Networks
    optimiser: optax.ScaleByAdamState
    inputs: Moments
    values: Scale
    metrics: Metrics  # of the last rollout that was learned from


class Trajectories(NamedTuple):
    """The rollout so far: every array is (rollout_steps, envs, ...), rows beyond `filled` old."""

    transitions: Transitions
    ended: Bool[Array, "steps envs"]  # an episode ended here, by itself or not
    filled: Int[Array, ""]


class PPOState(eqx.Module):
    """All that PPO knows, as arrays only: a checkpoint is the leaves of this tree."""

    learned: PPOLearned
    rollout: Trajectories
    key: UInt32[Array, " 2"]
    steps: Int[Array, ""]  # steps of the environments, all together
    total_steps: Int[Array, ""]  # data and not a setting: another length of run compiles nothing


class PPOPolicy(eqx.Module):
    """An actor with the scale of its inputs and the kind of its actions."""

    layers: Layers
    log_std: Float[Array, " action_dim"]
    inputs: Moments
    actions: ActionKind = eqx.field(static=True)

    @property
    def form(self) -> PolicyForm:
        shape = self.inputs.mean.shape
        sizes = [layer.weight.shape[-1] for layer in self.layers[encoder_depth(shape) :]]
        return PolicyForm("ppo", shape, tuple(sizes[:-1]), self.actions)

    @classmethod
    def of_form(cls, form: PolicyForm) -> PPOPolicy:
        """One that knows nothing."""
        shape, sizes = form.observation_shape, (*form.hidden, form.actions.outputs)
        layers = init_network(np.random.default_rng(0), shape, sizes)
        nothing = np.float32(0), np.zeros(shape, np.float32), np.zeros(shape, np.float32)
        log_std, moments = jax.device_put((form.actions.first_log_std, nothing))
        return cls(layers, log_std, Moments(*moments), form.actions)

    @jax.jit
    def __call__(self, observations: Float[AnyArray, "batch obs_dim"]) -> Array:
        """The most likely action (discrete), or the one without noise: (batch, ...)."""
        return self.actions.mode(_apply(self.layers, self.inputs, observations))

    @jax.jit
    def sample(self, observations: Float[AnyArray, "batch obs_dim"], key: Array) -> Array:
        """A random action: (batch, ...)."""
        outputs = _apply(self.layers, self.inputs, observations)
        return self.actions.sample(outputs, self.log_std, key)


@dataclass(frozen=True)
class PPO:
    """Proximal Policy Optimisation for `envs` environments side by side.

    Instances with equal fields share their compiled programs.
    """

    observation_shape: tuple[int, ...]
    actions: ActionKind
    envs: int
    settings: PPOSettings = PPOSettings()

    def __post_init__(self) -> None:
        if self.envs < 1:
            raise InputError(f"PPO: envs is {self.envs}, and must be at least 1")

    @classmethod
    def for_spaces(
        cls,
        observation_space: gymnasium.Space[Any],
        action_space: gymnasium.Space[Any],
        envs: int,
        settings: PPOSettings = PPOSettings(),
    ) -> PPO:
        """PPO for the spaces of a single environment.

        Raises EnvironmentUnsupported unless observations are a flat Box or pictures, and actions
        of a kind that `action_kind` knows.
        """
        shape = observed_shape("PPO", observation_space)
        return cls(shape, action_kind("PPO", action_space), envs, settings)

    @property
    def learns_every(self) -> int:
        """Iterations from one learning to the next."""
        return self.settings.rollout_steps

    @property
    def updates_per_iteration(self) -> float:
        """Gradient steps for a vector step, on average."""
        return self.settings.epochs * self._minibatches / self.settings.rollout_steps

    @property
    def _minibatches(self) -> int:
        """Of an epoch; what does not fill the last one is left out of the epoch."""
        return max(1, self.envs * self.settings.rollout_steps // self.settings.minibatch_size)

    @property
    def first_steps(self) -> int:
        """Environment steps after which most of what can be learned might be."""
        return first_steps(*FIRST_STEPS, self.observation_shape)

    def start(self, seed: int, total_steps: int) -> tuple[PPOState, Array]:
        """A new state, and the actions for the first vector step.

        `total_steps` is the length of the run in environment steps, all environments together: the
        learning rate comes down over it. Made by NumPy, so that nothing is compiled here.
        """
        rng = np.random.default_rng(seed)
        networks = self._networks(rng)
        zeros = jax.tree.map(np.zeros_like, networks)
        zero, one, none = jax.device_put((np.float32(0), np.float32(1), np.int32(0)))
        nothing = jax.device_put(np.zeros(self.observation_shape, np.float32))
        state = PPOState(
            learned=PPOLearned(
                networks,
                optax.ScaleByAdamState(none, mu=zeros, nu=zeros),
                Moments(zero, mean=nothing, variance=nothing),
                Scale(none, mean=zero, variance=one),
                dict.fromkeys(_METRICS, zero),
            ),
            rollout=self._empty_rollout(),
            key=jax.device_put(rng.integers(2**32, size=2, dtype=np.uint32)),
            steps=none,
            total_steps=jax.device_put(np.int32(total_steps)),
        )
        return _copy(state), jax.device_put(self.actions.draw(rng, self.envs))

    def prolong(self, state: PPOState, total_steps: int) -> PPOState:
        """The state of a run that is so long: its learning rate is another one."""
        return replace(state, total_steps=jax.device_put(np.int32(total_steps)))

    def renewed(self, state: PPOState, seed: int) -> PPOState:
        """The same: it remembers nothing that another policy could learn from."""
        return state

    def _networks(self, rng: np.random.Generator) -> Networks:
        hidden, shape = self.settings.hidden, self.observation_shape
        *layers, last = init_network(rng, shape, (*hidden, self.actions.outputs))
        # At first all actions are alike, wherever.
        last = last._replace(weight=0.01 * last.weight, bias=0.0 * last.bias)
        return Networks(
            actor=(*layers, last),
            critic=init_network(rng, shape, (*hidden, 1)),
            log_std=jax.device_put(self.actions.first_log_std),
        )

    def _empty_rollout(self) -> Trajectories:
        shape = (self.settings.rollout_steps, self.envs)
        dtype = np.uint8 if len(self.observation_shape) == 3 else np.float32
        observations = np.zeros((*shape, *self.observation_shape), dtype)
        actions = np.zeros((*shape, *self.actions.shape), self.actions.dtype)
        transitions = Transitions(observations, actions, observations, np.zeros(shape, np.bool_))
        return Trajectories(transitions, *jax.device_put((np.zeros(shape, np.bool_), np.int32(0))))

    def iterate(
        self,
        state: PPOState,
        transitions: Transitions,
        next_observations: Float[AnyArray, "envs obs_dim"],
        reward: RewardFunction,
    ) -> tuple[PPOState, Array, Metrics]:
        """One vector step: store, learn if the rollout is full, act. `state` is used up.

        The metrics are those of the last rollout that was learned from, and zero before.

        Raises ValueError unless there is one transition for every environment.
        """
        if transitions.terminated.shape != (self.envs,):
            raise ValueError(f"{transitions.terminated.shape} transitions for {self.envs} envs")
        if int(state.rollout.filled) + 1 < self.settings.rollout_steps:
            learned = state.learned
            rollout, (key, steps), actions = self._collect(
                learned.networks,
                learned.inputs,
                state.rollout,
                (state.key, state.steps),
                transitions,
                next_observations,
            )
            state = PPOState(learned, rollout, key, steps, state.total_steps)
        else:
            state, actions = self._learn(state, transitions, next_observations, reward)
        return state, actions, state.learned.metrics

    def policy(self, state: PPOState) -> PPOPolicy:
        """The actor, copied: the buffers of `state` go with the next iteration."""
        networks = state.learned.networks
        return _copy(
            PPOPolicy(networks.actor, networks.log_std, state.learned.inputs, self.actions)
        )

    @partial(jax.jit, static_argnames="self", donate_argnames="rollout")
    def _collect(
        self,
        networks: Networks,
        inputs: Moments,
        rollout: Trajectories,
        moving: tuple[UInt32[Array, " 2"], Int[Array, ""]],
        transitions: Transitions,
        next_observations: Float[AnyArray, "envs obs_dim"],
    ) -> tuple[Trajectories, tuple[UInt32[Array, " 2"], Int[Array, ""]], Array]:
        """Stores a vector step and chooses the next actions; `moving` is the key and the steps."""
        key, steps = moving
        rollout = _store(rollout, transitions, next_observations)
        actions, key = self._choose(networks, inputs, key, next_observations)
        return rollout, (key, steps + self.envs), actions

    @partial(jax.jit, static_argnames="self")
    def _learn(
        self,
        state: PPOState,
        transitions: Transitions,
        next_observations: Float[AnyArray, "envs obs_dim"],
        reward: RewardFunction,
    ) -> tuple[PPOState, Array]:
        """Stores a vector step, learns from the rollout, and chooses the next actions."""
        settings = self.settings
        rollout = _store(state.rollout, transitions, next_observations)
        steps = state.steps + self.envs
        fraction = jnp.minimum(steps / state.total_steps, 1.0)
        rate = settings.learning_rate * (1.0 - fraction) + settings.final_learning_rate * fraction

        own, shuffled = jax.random.split(_typed(state.key))
        learned, batch = _prepare(settings, self.actions, state.learned, rollout, reward)
        rows = _orders(shuffled, settings.epochs, self._minibatches, len(batch.target))
        update = partial(_update, settings, self.actions, rate, learned.inputs, batch)
        carried, losses = jax.lax.scan(update, (learned.networks, learned.optimiser), rows)
        learned = PPOLearned(
            *carried,
            _merge(learned.inputs, batch.observation),
            learned.values,
            learned.metrics | {name: loss.mean() for name, loss in losses.items()},
        )
        key = jax.random.key_data(own)
        actions, key = self._choose(learned.networks, learned.inputs, key, next_observations)
        empty = rollout._replace(filled=jnp.zeros_like(rollout.filled))
        return PPOState(learned, empty, key, steps, state.total_steps), actions

    def _choose(
        self,
        networks: Networks,
        inputs: Moments,
        key: UInt32[Array, " 2"],
        observations: Float[AnyArray, "envs obs_dim"],
    ) -> tuple[Array, UInt32[Array, " 2"]]:
        following, now = jax.random.split(_typed(key))
        outputs = _apply(networks.actor, inputs, observations)
        actions = self.actions.sample(outputs, networks.log_std, now)
        return actions, jax.random.key_data(following)


_ADAM = optax.scale_by_adam(eps=1e-5)
_METRICS = (
    "policy_loss",
    "value_loss",
    "entropy",
    "divergence",
    "clipped",
    "explained",
    "value",
    "reward",
)


class Batch(NamedTuple):
    """A rollout that was evaluated, its steps and environments laid end to end."""

    observation: Float[Array, "batch obs_dim"]
    action: Array  # (batch, ...)
    log_likelihood: Float[Array, " batch"]  # of the action, when it was chosen
    advantage: Float[Array, " batch"]  # zero mean, unit scale
    target: Float[Array, " batch"]  # of the critic, in its units


def _prepare(
    settings: PPOSettings,
    kind: ActionKind,
    learned: PPOLearned,
    rollout: Trajectories,
    reward: RewardFunction,
) -> tuple[PPOLearned, Batch]:
    """The rollout's rewards, values and advantages; the scale of values moved to the new ones."""
    networks, inputs = learned.networks, learned.inputs
    flat: Transitions = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), rollout.transitions)
    rewards = _rowwise(reward, flat)
    # A new critic knows nothing: it starts at the value of going on as in the first rollout.
    level = held_value(rewards.mean(), settings.gamma)
    scale = learned.values
    scale = scale._replace(mean=jnp.where(scale.rollouts > 0, scale.mean, level))

    def values(observations: AnyArray) -> Array:
        said = _rowwise(partial(_apply, networks.critic, inputs), observations)[:, 0]
        return scale.mean + scale.deviation * said

    value, following = (values(seen) for seen in (flat.observation, flat.next_observation))
    following = jnp.where(flat.terminated, held_value(rewards, settings.gamma), following)
    surprise = rewards + settings.gamma * following - value
    decay = settings.gamma * settings.trace * ~rollout.ended

    def backwards(later: Array, now: tuple[Array, Array]) -> tuple[Array, Array]:
        advantage = now[0] + now[1] * later
        return advantage, advantage

    surprises = surprise.reshape(decay.shape)
    _, advantages = jax.lax.scan(
        backwards, jnp.zeros(decay.shape[1]), (surprises, decay), reverse=True
    )
    advantage = advantages.reshape(-1)
    target = value + advantage
    critic, scale = _rescale(networks.critic, scale, target)
    outputs = _rowwise(partial(_apply, networks.actor, inputs), flat.observation)
    batch = Batch(
        jnp.asarray(flat.observation),
        jnp.asarray(flat.action),
        kind.log_likelihood(outputs, networks.log_std, flat.action),
        (advantage - advantage.mean()) / (advantage.std() + 1e-8),
        (target - scale.mean) / scale.deviation,
    )
    explained = 1.0 - advantage.var() / jnp.maximum(target.var(), 1e-8)
    measured = {"explained": explained, "value": value.mean(), "reward": rewards.mean()}
    learned = learned._replace(
        networks=networks._replace(critic=critic), values=scale, metrics=learned.metrics | measured
    )
    return learned, batch


def _rescale(critic: Layers, scale: Scale, targets: Float[Array, " batch"]) -> tuple[Layers, Scale]:
    """The scale moved towards `targets`, and the critic against it: it says what it said before."""
    rate = jnp.maximum(1.0 / (scale.rollouts + 1), SCALE_RATE)
    mean = scale.mean + rate * (targets.mean() - scale.mean)
    old, new = (jnp.square(values - mean).mean() for values in (scale.mean, targets))
    moved = Scale(scale.rollouts + 1, mean, (1.0 - rate) * (scale.variance + old) + rate * new)
    last = critic[-1]
    weight = last.weight * scale.deviation / moved.deviation
    bias = (last.bias * scale.deviation + scale.mean - mean) / moved.deviation
    return (*critic[:-1], last._replace(weight=weight, bias=bias)), moved


def _orders(
    key: Array, epochs: int, minibatches: int, rows: int
) -> Int[Array, "updates minibatch"]:
    """The rows of every minibatch: in every epoch each once, in an order of the epoch's own."""
    orders = jax.vmap(lambda own: jax.random.permutation(own, rows))(jax.random.split(key, epochs))
    size = rows // minibatches
    return orders[:, : minibatches * size].reshape(epochs * minibatches, size)


def _update(
    settings: PPOSettings,
    kind: ActionKind,
    learning_rate: Array,
    inputs: Moments,
    batch: Batch,
    carried: tuple[Networks, optax.ScaleByAdamState],
    rows: Int[Array, " minibatch"],
) -> tuple[tuple[Networks, optax.ScaleByAdamState], Metrics]:
    """One gradient step on everything."""
    networks, optimiser = carried
    minibatch = jax.tree.map(lambda x: x[rows], batch)
    grads, metrics = jax.grad(_loss, has_aux=True)(networks, settings, kind, inputs, minibatch)
    clip = optax.clip_by_global_norm(settings.max_gradient_norm)
    grads, _ = clip.update(grads, optax.EmptyState())
    directions, optimiser = _ADAM.update(grads, optimiser)
    networks = jax.tree.map(lambda p, d: p - learning_rate * d, networks, directions)
    return (networks, optimiser), metrics


def _loss(
    networks: Networks,
    settings: PPOSettings,
    kind: ActionKind,
    inputs: Moments,
    batch: Batch,
) -> tuple[Float[Array, ""], Metrics]:
    """arXiv:1707.06347, equation 9: clipped surrogate (7), squared error of values, entropy."""
    outputs = _apply(networks.actor, inputs, batch.observation)
    log_ratio = kind.log_likelihood(outputs, networks.log_std, batch.action) - batch.log_likelihood
    ratio = jnp.exp(log_ratio)
    clipped = jnp.clip(ratio, 1.0 - settings.clip, 1.0 + settings.clip)
    policy_loss = -jnp.minimum(ratio * batch.advantage, clipped * batch.advantage).mean()
    entropy = kind.entropy(outputs, networks.log_std).mean()
    value = _apply(networks.critic, inputs, batch.observation)[:, 0]
    value_loss = 0.5 * jnp.square(value - batch.target).mean()
    metrics = {
        "policy_loss": policy_loss,
        "value_loss": value_loss,
        "entropy": entropy,
        "divergence": (ratio - 1.0 - log_ratio).mean(),  # of the old policy from the new, in nats
        "clipped": (ratio != clipped).mean(),
    }
    return policy_loss + value_loss - settings.entropy_weight * entropy, metrics


def _store(
    rollout: Trajectories,
    transitions: Transitions,
    next_observations: Float[AnyArray, "envs obs_dim"],
) -> Trajectories:
    """The rollout with one vector step more.

    An episode ended where what is observed next is not what the step led to.
    """
    entries = tuple(range(1, transitions.observation.ndim))
    elsewhere = (jnp.asarray(transitions.next_observation) != next_observations).any(entries)
    stored, ended = jax.tree.map(
        lambda rows, new: rows.at[rollout.filled].set(new),
        (rollout.transitions, rollout.ended),
        (transitions, transitions.terminated | elsewhere),
    )
    return Trajectories(stored, ended, rollout.filled + 1)


def _merge(old: Moments, observations: Shaped[Array, "batch ..."]) -> Moments:
    """The moments with more observations in them."""
    rows = old.rows + len(observations)
    share = len(observations) / rows
    mean, new = _mean_and_variance(observations)
    moved = mean - old.mean
    variance = (1.0 - share) * old.variance + share * new
    variance += share * (1.0 - share) * jnp.square(moved)
    return Moments(rows, old.mean + share * moved, variance)


def _mean_and_variance(rows: Shaped[Array, "batch ..."]) -> tuple[Array, Array]:
    """Of every entry, or of every pixel. Pictures are added one by one: on a CPU that is 50 times
    as fast as to sum up, for one pixel after the other, what lies far apart in memory."""
    if rows.ndim < 4:
        numbers = rows.astype(jnp.float32)
        return numbers.mean(0), numbers.var(0)

    def average(of_one: Callable[[Array], Array]) -> Array:
        def add(total: Array, row: Array) -> tuple[Array, None]:
            return total + of_one(row.astype(jnp.float32)), None

        return jax.lax.scan(add, jnp.zeros(rows.shape[1:]), rows)[0] / len(rows)

    mean = average(lambda row: row)
    return mean, average(lambda row: jnp.square(row - mean))


def _apply(layers: Layers, inputs: Moments, observations: Shaped[AnyArray, "batch ..."]) -> Array:
    """A network's outputs, (batch, outputs), for observations in the environment's units.

    A picture has the mean picture taken away, and one scale for all of its pixels.
    """
    shape = inputs.mean.shape
    if len(shape) == 3 and observations.shape[1:] != shape:
        observations = reduced(observations)
    variance = inputs.variance.mean() if len(shape) == 3 else inputs.variance
    # Before the first rollout nothing is known of them.
    unknown = PIXEL_DEVIATION if len(shape) == 3 else 1.0
    deviation = jnp.where(inputs.rows > 0, jnp.sqrt(variance + 1e-8), unknown)
    scaled = jnp.clip((observations - inputs.mean) / deviation, -10.0, 10.0)
    return apply_network(layers, scaled, encoder_depth(shape), jnp.tanh)


def _rowwise(function: Callable[[Any], Array], rows: Any) -> Array:
    """What is made of a tree of rows: of pictures a few at a time, since they are kept in bytes,
    and as numbers take four times the room and more."""
    if jax.tree.leaves(rows)[0].ndim < 4:
        return function(rows)

    def of_one(row: Any) -> Array:
        return function(jax.tree.map(lambda leaf: leaf[None], row))[0]

    return jax.lax.map(of_one, rows, batch_size=PICTURES_TOGETHER)


def _typed(key: UInt32[Array, " 2"]) -> Array:
    return jax.random.wrap_key_data(key, impl="threefry2x32")


def _copy(tree: Tree) -> Tree:
    """Arrays of their own: a buffer that is shared cannot be donated."""
    return jax.device_put(jax.tree.map(np.array, tree))
