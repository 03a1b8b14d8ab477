"""Proximal Policy Optimisation's own parts; what holds for every learner is in tests/contracts."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from volition.errors import InputError
from volition.learners import ppo as module
from volition.learners.base import Transitions
from volition.learners.ppo import PPO, PPOSettings, PPOState
from volition.learners.spaces import Bounds, Choice, Choices, Mixed
from volition.networks import Linear

ENVS, STEPS = 4, 16
SETTINGS = PPOSettings(
    hidden=(16,), rollout_steps=STEPS, minibatch_size=16, gamma=0.9, trace=0.7, learning_rate=3e-3
)
SMALL = PPO((1,), Choice(2), ENVS, SETTINGS)


class Reached(eqx.Module):
    """What is reached is the reward."""

    def __call__(self, transitions: Transitions) -> jax.Array:
        return jnp.asarray(transitions.next_observation)[:, 0]


def a_rollout(rng: np.random.Generator) -> module.Trajectories:
    """Random numbers, random endings."""
    observation, reached = rng.normal(size=(2, STEPS, ENVS, 1)).astype(np.float32)
    terminated = rng.random((STEPS, ENVS)) < 0.2
    ended = terminated | (rng.random((STEPS, ENVS)) < 0.2)
    actions = rng.integers(2, size=(STEPS, ENVS), dtype=np.int32)
    transitions = Transitions(observation, actions, reached, terminated)
    filled = jnp.int32(STEPS)
    return jax.device_put(module.Trajectories(transitions, jnp.asarray(ended), filled))


def values_of(state: PPOState, observations: np.ndarray) -> np.ndarray:
    """What the critic says, in the units of the reward: (...,) of (..., 1)."""
    learned = state.learned
    said = module._apply(learned.networks.critic, learned.inputs, observations.reshape(-1, 1))
    values = learned.values.mean + learned.values.deviation * said[:, 0]
    return np.asarray(values).reshape(observations.shape[:-1])


def test_advantages_are_those_of_the_definition() -> None:
    """arXiv:1506.02438, equation 16, one step after the other, on a critic that says something."""
    rollout = a_rollout(np.random.default_rng(0))
    state = SMALL.start(0, 1000)[0]
    scale = module.Scale(jnp.int32(5), jnp.float32(3.0), jnp.float32(4.0))
    learned = state.learned._replace(values=scale)
    state = PPOState(learned, rollout, state.key, state.steps, state.total_steps)
    following = values_of(state, np.asarray(rollout.transitions.next_observation))
    value = values_of(state, np.asarray(rollout.transitions.observation))
    reward = np.asarray(rollout.transitions.next_observation)[..., 0]
    following = np.where(rollout.transitions.terminated, reward / (1 - 0.9), following)
    advantage, later = np.zeros((STEPS, ENVS)), np.zeros(ENVS)
    for step in reversed(range(STEPS)):
        surprise = reward[step] + 0.9 * following[step] - value[step]
        later = surprise + 0.9 * 0.7 * np.where(rollout.ended[step], 0.0, later)
        advantage[step] = later

    moved, batch = module._prepare(SETTINGS, SMALL.actions, learned, rollout, Reached())
    flat = advantage.reshape(-1)
    wanted = (flat - flat.mean()) / flat.std()
    np.testing.assert_allclose(batch.advantage, wanted, rtol=1e-3, atol=1e-4)
    target = moved.values.mean + moved.values.deviation * batch.target
    np.testing.assert_allclose(target, flat + value.reshape(-1), rtol=1e-3, atol=1e-3)


def test_the_critic_says_the_same_in_new_units() -> None:
    rollout = a_rollout(np.random.default_rng(1))
    state = SMALL.start(0, 1000)[0]
    grid = np.linspace(-2, 2, 9, dtype=np.float32)[:, None]
    scale = module.Scale(jnp.int32(1), jnp.float32(0.0), jnp.float32(1.0))
    state = eqx.tree_at(lambda s: s.learned.values, state, scale)
    before = values_of(state, grid)
    large = lambda transitions: 1000.0 * Reached()(transitions)  # noqa: E731
    learned, _ = module._prepare(SETTINGS, SMALL.actions, state.learned, rollout, large)
    assert float(learned.values.deviation) > 100.0
    moved = eqx.tree_at(lambda s: s.learned, state, learned)
    np.testing.assert_allclose(values_of(moved, grid), before, rtol=1e-3, atol=0.1)


def test_a_value_does_not_leak_into_the_episode_before() -> None:
    """Two states that lead to themselves, in turn, each cut by a time limit after a step."""
    state, actions = SMALL.start(0, 60 * STEPS * ENVS)
    for number in range(60 * STEPS):
        here = np.full((ENVS, 1), 1.0 if number % 2 else -1.0, np.float32)
        transitions = Transitions(here, np.asarray(actions), here, np.zeros(ENVS, np.bool_))
        state, actions, _ = SMALL.iterate(state, transitions, -here, Reached())
    values = values_of(state, np.array([[-1.0], [1.0]], np.float32))
    np.testing.assert_allclose(values, [-10.0, 10.0], atol=1.0)


def test_a_rollout_is_learned_from_when_it_is_full() -> None:
    state, actions = SMALL.start(0, 1000)
    first = [np.array(leaf) for leaf in jax.tree.leaves(state.learned.networks)]
    here = np.zeros((ENVS, 1), np.float32)
    for number in range(1, 2 * STEPS + 1):
        transitions = Transitions(here, np.asarray(actions), here, np.zeros(ENVS, np.bool_))
        state, actions, _ = SMALL.iterate(state, transitions, here, Reached())
        learned = int(state.learned.optimiser.count)
        assert learned == number // STEPS * SETTINGS.epochs * ENVS * STEPS // 16
        assert int(state.steps) == number * ENVS
    pairs = zip(first, jax.tree.leaves(state.learned.networks), strict=True)
    assert any((before != after).any() for before, after in pairs)
    assert SMALL.updates_per_iteration == SETTINGS.epochs * ENVS / 16
    assert SMALL.learns_every == STEPS


def test_in_every_epoch_every_row_comes_once() -> None:
    orders = np.asarray(module._orders(jax.random.key(0), epochs=3, minibatches=4, rows=20))
    assert orders.shape == (12, 5)
    for epoch in orders.reshape(3, 20):
        assert sorted(epoch) == list(range(20))
    assert (orders[:4] != orders[4:8]).any()


@pytest.mark.parametrize(("shape", "dtype"), [((2,), np.float32), ((3, 2, 1), np.uint8)])
def test_the_moments_of_parts_are_those_of_the_whole(shape: tuple[int, ...], dtype: type) -> None:
    drawn = np.random.default_rng(0).normal(100.0, 30.0, (300, *shape))
    rows: np.ndarray = drawn.clip(0, 255).astype(dtype)
    moments = module.Moments(jnp.zeros(()), jnp.zeros(shape), jnp.zeros(shape))
    for part in np.split(rows, [10, 120]):
        moments = module._merge(moments, jnp.asarray(part))
    assert float(moments.rows) == 300
    np.testing.assert_allclose(moments.mean, rows.mean(0), rtol=1e-5)
    np.testing.assert_allclose(moments.variance, rows.var(0), rtol=1e-4)


def test_the_likelihood_of_bounded_actions_integrates_to_one() -> None:
    kind, actions = Bounds((-2.0,), (4.0,)), np.linspace(-2, 4, 200_001, dtype=np.float32)[:, None]
    outputs = jnp.full((len(actions), 1), 0.4)
    density = np.exp(kind.log_likelihood(outputs, jnp.array([-0.5]), actions))
    area = np.trapezoid(density, (actions[:, 0] - 1.0) / 3.0)  # a density over [-1, 1]
    assert area == pytest.approx(1.0, abs=1e-3)


def test_random_actions_come_as_often_as_their_likelihood_says() -> None:
    kind, outputs = Choice(3, first=5), jnp.tile(jnp.array([0.0, 1.0, -1.0]), (20_000, 1))
    none = jnp.zeros(0)
    actions = np.asarray(kind.sample(outputs, none, jax.random.key(0)))
    likely = np.exp(kind.log_likelihood(outputs[:3], none, jnp.array([5, 6, 7])))
    assert likely.sum() == pytest.approx(1.0)
    counts = [np.mean(actions == action) for action in (5, 6, 7)]
    np.testing.assert_allclose(counts, likely, atol=0.015)
    assert float(kind.mode(outputs[:1])[0]) == 6
    entropy = float(kind.entropy(outputs[:1], none)[0])
    assert entropy == pytest.approx(-(likely * np.log(likely)).sum(), rel=1e-4)


def test_at_first_all_actions_are_alike() -> None:
    state, actions = SMALL.start(0, 1)
    assert set(np.asarray(actions).tolist()) <= {0, 1}
    last = state.learned.networks.actor[-1]
    assert isinstance(last, Linear)
    outputs = module._apply(
        state.learned.networks.actor, state.learned.inputs, np.array([[5.0]], np.float32)
    )
    assert np.abs(outputs).max() < 0.02


@pytest.mark.parametrize(
    "wrong", [{"gamma": 1.0}, {"epochs": 0}, {"trace": 1.1}, {"clip": 0.0}, {"rollout_steps": 0}]
)
def test_settings_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=next(iter(wrong))):
        PPOSettings(**wrong)


def test_there_must_be_an_environment() -> None:
    with pytest.raises(InputError, match="envs is 0"):
        PPO((1,), Choice(2), 0)


def test_several_choices_are_as_likely_as_each_of_them() -> None:
    kind, outputs = Choices((2, 3)), jnp.array([[0.3, -0.4, 1.0, 0.0, -2.0]])
    nothing, apart = jnp.zeros(0), (outputs[:, :2], outputs[:, 2:])
    each = [Choice(2), Choice(3)]
    for row in np.ndindex(2, 3):
        wanted = sum(
            one.log_likelihood(part, nothing, np.array([chosen]))
            for one, part, chosen in zip(each, apart, row, strict=True)
        )
        np.testing.assert_allclose(
            kind.log_likelihood(outputs, nothing, np.array([row])), wanted, rtol=1e-5
        )
    entropy = sum(one.entropy(part, nothing) for one, part in zip(each, apart, strict=True))
    np.testing.assert_allclose(kind.entropy(outputs, nothing), entropy, rtol=1e-5)
    assert kind.mode(outputs).tolist() == [[0, 0]]
    drawn = kind.sample(jnp.repeat(outputs, 2000, 0), nothing, jax.random.key(0))
    share = np.bincount(np.asarray(drawn)[:, 1], minlength=3) / 2000
    np.testing.assert_allclose(share, jax.nn.softmax(apart[1][0]), atol=0.04)


class Wanted(eqx.Module):
    """Of a row of choices and numbers the best is 1, 2, and 3.0."""

    def __call__(self, transitions: Transitions) -> jax.Array:
        off = jnp.asarray(transitions.action) - jnp.array([1.0, 2.0, 3.0])
        return -0.1 * jnp.square(off).sum(-1)


def test_choices_and_numbers_are_learned_together() -> None:
    kind = Mixed(Choices((2, 3)), Bounds((-2.0,), (4.0,)))
    settings = PPOSettings(
        hidden=(16,), rollout_steps=16, minibatch_size=16, gamma=0.5, learning_rate=5e-3
    )
    learner = PPO((1,), kind, ENVS, settings)
    state, actions = learner.start(0, 240 * ENVS)
    seen = np.ones((ENVS, 1), np.float32)
    for _ in range(240):
        transitions = Transitions(seen, np.asarray(actions), seen, np.ones(ENVS, np.bool_))
        state, actions, _ = learner.iterate(state, transitions, seen, Wanted())
    np.testing.assert_allclose(learner.policy(state)(seen[:1]), [[1, 2, 3]], atol=0.3)
