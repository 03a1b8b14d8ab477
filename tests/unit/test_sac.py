"""Soft Actor-Critic's own parts; what holds for every learner is in tests/contracts."""

from __future__ import annotations

import equinox as eqx
import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from volition.errors import EnvironmentUnsupported, InputError
from volition.learners import remembered
from volition.learners import replay as ring
from volition.learners import sac as module
from volition.learners.base import Transitions
from volition.learners.sac import SAC, SACSettings, SACState
from volition.networks import apply_layers, init_layers

SETTINGS = SACSettings(
    hidden=(32, 32),
    batch_size=64,
    gamma=0.5,
    tau=0.1,
    random_steps=400,
    updates_per_iteration=8,
    replay_capacity=1024,
    initial_temperature=0.01,
)
SMALL = SAC(observation_shape=(1,), low=(-2.0,), high=(4.0,), envs=8, settings=SETTINGS)


class AtTheEnd(eqx.Module):
    """2 for a step that ends the task, else nothing."""

    def __call__(self, transitions: Transitions) -> jax.Array:
        return 2.0 * jnp.asarray(transitions.terminated, jnp.float32)


def rows(values: list[float]) -> Transitions:
    column = np.array(values, np.float32)[:, None]
    return Transitions(column, 10 * column, 100 * column, column[:, 0] < 0)


def critic_values(state: SACState, observations: list[float]) -> np.ndarray:
    """What both critics say of the observations, for the middle action: (2, batch)."""
    inputs = np.array([[observation, 0.0] for observation in observations], np.float32)
    critics = state.learned.networks.critics
    return np.stack(
        [np.asarray(apply_layers(c, jnp.asarray(inputs), jax.nn.relu))[:, 0] for c in critics]
    )


def test_the_ring_fills_then_forgets_the_oldest() -> None:
    replay = ring.empty(5, (1,), (1,))
    for values in ([1.0, 2.0], [3.0, -4.0], [5.0, 6.0]):
        replay = ring.add(replay, rows(values))
    kept = replay.transitions
    assert int(replay.added) == 6
    np.testing.assert_array_equal(kept.observation[:, 0], [6.0, 2.0, 3.0, -4.0, 5.0])
    np.testing.assert_array_equal(kept.action, 10 * kept.observation)
    np.testing.assert_array_equal(kept.next_observation, 100 * kept.observation)
    np.testing.assert_array_equal(kept.terminated, kept.observation[:, 0] < 0)


def test_sampling_takes_stored_rows_only_and_each_alike() -> None:
    replay = ring.add(ring.empty(10, (1,), (1,)), rows([1.0, 2.0, 3.0, 4.0]))
    uniform = np.linspace(0, 1, 4001, dtype=np.float32)  # 1 itself stands for rounding up
    drawn = np.asarray(ring.sample(replay, jnp.asarray(uniform)).observation)[:, 0]
    values, counts = np.unique(drawn, return_counts=True)
    np.testing.assert_array_equal(values, [1.0, 2.0, 3.0, 4.0])
    assert counts.max() - counts.min() <= 1


def test_a_value_two_steps_away_is_discounted_once() -> None:
    """0 leads to 1 without reward; 1 to an end whose reward of 2 is held: worth 0.5 * 4, and 4."""
    state, actions = SMALL.start(0, 200 * 8)
    here = np.tile([[0.0], [1.0]], (4, 1)).astype(np.float32)
    for _ in range(200):
        transitions = Transitions(here, np.array(actions), here + 1.0, here[:, 0] == 1.0)
        state, actions, _ = SMALL.iterate(state, transitions, here, AtTheEnd())
    values = critic_values(state, [0.0, 1.0])
    np.testing.assert_allclose(values, [[2.0, 4.0]] * 2, atol=0.2)


def test_at_first_actions_are_uniform_and_nothing_is_learned() -> None:
    state, actions = SMALL.start(0, 4000)
    initial = [np.array(leaf) for leaf in jax.tree.leaves(state.learned)]
    here = np.zeros((8, 1), np.float32)
    chosen = []
    for _ in range(50):  # 400 steps
        chosen.append(np.array(actions))
        transitions = Transitions(here, chosen[-1], here, np.zeros(8, np.bool_))
        state, actions, metrics = SMALL.iterate(state, transitions, here, AtTheEnd())
        assert float(metrics["critic_loss"]) == 0.0
    for leaf, before in zip(jax.tree.leaves(state.learned), initial, strict=True):
        np.testing.assert_array_equal(leaf, before)
    shares = np.histogram(np.concatenate(chosen), bins=6, range=(-2.0, 4.0))[0] / 400
    np.testing.assert_allclose(shares, 1 / 6, atol=0.06)

    state, _, _ = SMALL.iterate(state, transitions, here, AtTheEnd())
    assert int(state.learned.optimiser.count) == SETTINGS.updates_per_iteration


def test_the_likelihood_of_actions_integrates_to_one() -> None:
    actor = init_layers(np.random.default_rng(0), (1, 8, 2))
    noise = np.linspace(-8, 8, 20_001, dtype=np.float32)[:, None]
    same = np.full_like(noise, 0.7)
    action, log_likelihood = module._sample_action(actor, same, jnp.asarray(noise))
    area = np.trapezoid(np.exp(log_likelihood), np.asarray(action)[:, 0])
    assert area == pytest.approx(1.0, abs=1e-3)


def test_a_sampled_action_scatters_about_the_deterministic_one() -> None:
    policy = SMALL.policy(SMALL.start(0, 1)[0])
    observations = np.zeros((2000, 1), np.float32)
    sampled = np.asarray(policy.sample(observations, jax.random.key(0)))
    assert sampled.shape == (2000, 1)
    assert sampled.min() > -2.0
    assert sampled.max() < 4.0
    assert np.median(sampled) == pytest.approx(float(policy(observations[:1])[0, 0]), abs=0.15)


@pytest.mark.parametrize(
    ("observation_space", "action_space", "message"),
    [
        (gymnasium.spaces.Box(-1, 1, (3,)), gymnasium.spaces.Discrete(2), "continuous actions"),
        (gymnasium.spaces.Box(-1, 1, (3,)), gymnasium.spaces.Box(-np.inf, 1, (1,)), "bounded"),
        (gymnasium.spaces.Box(0, 255, (8, 8, 3)), gymnasium.spaces.Box(-1, 1, (1,)), "flat"),
        (gymnasium.spaces.Discrete(4), gymnasium.spaces.Box(-1, 1, (1,)), "flat"),
    ],
)
def test_spaces_it_cannot_act_in_are_refused(
    observation_space: gymnasium.Space[object],
    action_space: gymnasium.Space[object],
    message: str,
) -> None:
    with pytest.raises(EnvironmentUnsupported, match=message):
        SAC.for_spaces(observation_space, action_space, envs=1)


@pytest.mark.parametrize("wrong", [{"gamma": 1.0}, {"batch_size": 0}, {"tau": 0.0}])
def test_settings_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(InputError, match=next(iter(wrong))):
        SACSettings(**wrong)  # type: ignore[arg-type]


def test_what_is_very_wide_is_remembered_less_often() -> None:
    assert remembered((3,)) == remembered((348,)) == 1 << 20
    assert remembered((20_000,)) == 1 << 14, "two observations of a transition, 4 bytes an entry"
