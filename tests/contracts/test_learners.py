"""The contract of a learner, on probes whose answers are known. A new learner is one more line.

A probe is an environment with one or two states, given as the transitions it would yield, so that
a failure says what is wrong: the target, the bootstrapping, or the way to the policy.
"""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from volition.learners.base import AnyArray, Learner, Transitions
from volition.learners.sac import SAC, SACSettings

ENVS = 8
LOW, HIGH = (-2.0, -1.0), (4.0, 1.0)  # not symmetric: a learner must rescale

LEARNERS: dict[str, Learner[Any]] = {
    "sac": SAC(
        observation_dim=1,
        low=LOW,
        high=HIGH,
        envs=ENVS,
        settings=SACSettings(
            hidden=(32, 32),
            batch_size=64,
            gamma=0.5,
            tau=0.1,
            random_steps=200,
            updates_per_iteration=8,
            replay_capacity=2048,
            initial_temperature=0.1,
        ),
    ),
}

TRACES: list[str] = []  # one entry for every time a reward function was compiled


class Probe(eqx.Module):
    """bonus * next_observation - |action - best - slope * observation|^2 / 10."""

    bonus: jax.Array
    best: jax.Array
    slope: jax.Array

    def __call__(self, transitions: Transitions) -> jax.Array:
        TRACES.append("traced")
        wanted = self.best + self.slope * transitions.observation
        off = jnp.square(transitions.action - wanted).sum(-1)
        return self.bonus * jnp.asarray(transitions.next_observation)[:, 0] - 0.1 * off


def probe(
    bonus: float = 0.0, best: tuple[float, ...] = (3.0, -0.5), slope: tuple[float, ...] = (0.0, 0.0)
) -> Probe:
    return Probe(*(jnp.array(value, jnp.float32) for value in (bonus, best, slope)))


@pytest.fixture(params=LEARNERS)
def learner(request: pytest.FixtureRequest) -> Learner[Any]:
    return LEARNERS[request.param]


def steps(observation: float, actions: AnyArray, following: float, end: bool) -> Transitions:
    """One vector step from `observation` to `following` in every environment."""
    return Transitions(
        np.full((ENVS, 1), observation, np.float32),
        np.array(actions),
        np.full((ENVS, 1), following, np.float32),
        np.full(ENVS, end),
    )


def run(
    learner: Learner[Any], reward: Probe, iterations: int, end: bool = True, seed: int = 0
) -> tuple[Any, Any, dict[str, float]]:
    """Iterations on the state 1, which leads to itself."""
    state, actions = learner.start(seed, iterations * ENVS)
    metrics: Any = {}
    for _ in range(iterations):
        transitions = steps(1.0, actions, 1.0, end)
        state, actions, metrics = learner.iterate(
            state, transitions, transitions.next_observation, reward
        )
    return state, actions, {name: float(value) for name, value in metrics.items()}


def same(one: Any, other: Any) -> bool:
    """Whether two trees are equal to the bit."""
    pairs = zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    return all(np.array_equal(a, b) for a, b in pairs)


def test_actions_are_float32_within_the_bounds(learner: Learner[Any]) -> None:
    state, first = learner.start(seed=0, total_steps=10)
    transitions = steps(1.0, first, 1.0, False)
    _, second, _ = learner.iterate(state, transitions, transitions.next_observation, probe())
    for actions in (first, second):
        assert actions.shape == (ENVS, 2)
        assert actions.dtype == jnp.float32
        assert bool((actions >= np.array(LOW)).all())
        assert bool((actions <= np.array(HIGH)).all())


def test_a_state_is_arrays_of_unchanging_form(learner: Learner[Any]) -> None:
    state, actions = learner.start(seed=0, total_steps=10)
    assert all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(state))
    before = jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), state)
    transitions = steps(1.0, actions, 1.0, False)
    state, _, _ = learner.iterate(state, transitions, transitions.next_observation, probe())
    assert jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), state) == before


def test_the_seed_decides_everything(learner: Learner[Any]) -> None:
    one, other = (run(learner, probe(), 40)[:2] for _ in range(2))
    assert same(one, other)
    assert not same(one, run(learner, probe(), 40, seed=1)[:2])


def test_a_state_written_and_read_goes_on_as_if_nothing_had_happened(learner: Learner[Any]) -> None:
    state, actions = learner.start(seed=3, total_steps=400)
    restored: Any = None
    for number in range(50):
        if number == 40:
            leaves = [np.array(leaf) for leaf in jax.tree.leaves((state, actions))]
            form = jax.tree.structure((state, actions))
            restored = jax.tree.unflatten(form, [jnp.array(leaf) for leaf in leaves])
        transitions = steps(1.0, actions, 1.0, True)
        state, actions, _ = learner.iterate(
            state, transitions, transitions.next_observation, probe()
        )
    again, again_actions = restored
    for _ in range(40, 50):
        transitions = steps(1.0, again_actions, 1.0, True)
        again, again_actions, _ = learner.iterate(
            again, transitions, transitions.next_observation, probe()
        )
    assert same((state, actions), (again, again_actions))


def test_the_policy_finds_the_rewarded_action(learner: Learner[Any]) -> None:
    state, _, _ = run(learner, probe(best=(3.0, -0.5)), 120)
    action = learner.policy(state)(np.ones((1, 1), np.float32))
    np.testing.assert_allclose(np.asarray(action), [[3.0, -0.5]], atol=0.2)


def test_the_action_may_depend_on_the_observation(learner: Learner[Any]) -> None:
    reward = probe(best=(1.0, 0.0), slope=(1.0, 0.0))
    state, actions = learner.start(0, 150 * ENVS)
    for number in range(150):
        here = 1.0 if number % 2 else -1.0
        transitions = steps(here, actions, -here, True)
        state, actions, _ = learner.iterate(
            state, transitions, transitions.next_observation, reward
        )
    chosen = np.asarray(learner.policy(state)(np.array([[-1.0], [1.0]], np.float32)))
    np.testing.assert_allclose(chosen[:, 0], [0.0, 2.0], atol=0.3)


def test_a_termination_ends_the_value_and_a_time_limit_does_not(learner: Learner[Any]) -> None:
    """Reward 1 at every step, discount 0.5: worth 1 if that is the end, 1 / (1 - 0.5) = 2 if not.

    The action's own term is near zero at the best action, and so is what entropy is worth.
    """
    _, _, ended = run(learner, probe(bonus=1.0), 120, end=True)
    _, _, cut = run(learner, probe(bonus=1.0), 120, end=False)
    assert cut["value"] - ended["value"] == pytest.approx(1.0, abs=0.2)


def test_a_new_reward_counts_at_once_for_old_transitions_and_compiles_nothing(
    learner: Learner[Any],
) -> None:
    state, actions, before = run(learner, probe(bonus=1.0), 60)
    compiled = len(TRACES)
    transitions = steps(1.0, actions, 1.0, True)
    state, actions, after = learner.iterate(
        state, transitions, transitions.next_observation, probe(bonus=5.0)
    )
    assert len(TRACES) == compiled
    assert float(after["reward"]) - before["reward"] == pytest.approx(4.0, abs=0.1)


def test_another_length_of_run_compiles_nothing(learner: Learner[Any]) -> None:
    run(learner, probe(), 1)
    compiled = len(TRACES)
    run(learner, probe(), 2)
    assert len(TRACES) == compiled


def test_a_policy_outlives_the_state_it_came_from(learner: Learner[Any]) -> None:
    state, actions = learner.start(seed=0, total_steps=10)
    policy = learner.policy(state)
    observations = np.linspace(-1, 1, 5, dtype=np.float32)[:, None]
    before = np.array(policy(observations))
    transitions = steps(1.0, actions, 1.0, False)
    learner.iterate(state, transitions, transitions.next_observation, probe())
    np.testing.assert_array_equal(np.asarray(policy(observations)), before)
