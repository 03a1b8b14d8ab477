"""The contract of a learner, on probes whose answers are known. A new learner is one more line.

A probe is an environment with one or two states, given as the transitions it would yield, so that
a failure says what is wrong: the target, the bootstrapping, or the way to the policy.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import equinox as eqx
import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from volition import learners
from volition.errors import EnvironmentUnsupported
from volition.learners.base import Learner, Transitions
from volition.learners.ppo import PPO, PPOSettings
from volition.learners.sac import SAC, SACSettings
from volition.learners.spaces import Bounds, Choice
from volition.networks import AnyArray
from volition.storage.tensors import load_tree, save_tree

ENVS = 8
LOW, HIGH = (-2.0, -1.0), (4.0, 1.0)  # not symmetric: a learner must rescale
EVERY = 8  # iterations until any learner has learned again
LEAST = 136  # iterations that a run has room for: one size of replay, and its programs once

SOFT = SACSettings(
    hidden=(32, 32),
    batch_size=64,
    gamma=0.5,
    tau=0.1,
    random_steps=200,
    updates_per_iteration=8,
    replay_capacity=2048,
    initial_temperature=0.1,
)
PROXIMAL = PPOSettings(
    hidden=(32, 32),
    rollout_steps=EVERY,
    epochs=10,
    minibatch_size=32,
    learning_rate=5e-3,
    gamma=0.5,
)
LEARNERS: dict[str, Learner[Any]] = {
    "sac": SAC((1,), LOW, HIGH, ENVS, SOFT),
    "ppo, continuous": PPO((1,), Bounds(LOW, HIGH), ENVS, PROXIMAL),
    "ppo, discrete": PPO((1,), Choice(3, first=-1), ENVS, PROXIMAL),
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
        actions = jnp.asarray(transitions.action, jnp.float32).reshape(len(wanted), -1)
        off = jnp.square(actions - wanted).sum(-1)
        return self.bonus * jnp.asarray(transitions.next_observation)[:, 0] - 0.1 * off


def discrete(learner: Learner[Any]) -> bool:
    _, actions = learner.start(0, 1)
    return actions.ndim == 1


def probe(
    learner: Learner[Any], bonus: float = 0.0, best: float | None = None, slope: float = 0.0
) -> Probe:
    """The first entry of the best action may be chosen; it is the only one of discrete actions."""
    if discrete(learner):
        wanted, along = (1.0 if best is None else best,), (slope,)
    else:
        wanted, along = (3.0 if best is None else best, -0.5), (slope, 0.0)  # type: ignore[assignment]
    return Probe(*(jnp.array(value, jnp.float32) for value in (bonus, wanted, along)))


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
    state, actions = learner.start(seed, max(iterations, LEAST) * ENVS)
    return run_on(learner, state, actions, reward, iterations, end)


def run_on(
    learner: Learner[Any], state: Any, actions: Any, reward: Probe, iterations: int, end: bool
) -> tuple[Any, Any, dict[str, float]]:
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


def test_a_prolonged_learner_has_room_and_a_learning_rate_for_what_follows(
    learner: Learner[Any],
) -> None:
    """After half of the steps of the longer run it is as though it had always been one."""
    start = learner.start(0, 2 * EVERY * ENVS)
    begun, _, _ = run_on(learner, *start, probe(learner), 2 * EVERY, True)
    at_once, _ = learner.start(0, 4 * EVERY * ENVS)
    prolonged = learner.prolong(begun, 4 * EVERY * ENVS)
    shapes, wanted = ([leaf.shape for leaf in jax.tree.leaves(s)] for s in (prolonged, at_once))
    assert shapes == wanted
    assert int(prolonged.total_steps) == 4 * EVERY * ENVS
    assert int(prolonged.steps) == 2 * EVERY * ENVS
    stored = getattr(prolonged, "replay", None)
    if stored is not None:
        assert int(stored.added) == 2 * EVERY * ENVS
        kept = np.asarray(stored.transitions.observation)[:, 0]
        assert np.flatnonzero(kept).tolist() == [*range(2 * EVERY * ENVS)], "nothing is forgotten"


def test_a_renewed_learner_knows_nothing_and_remembers_what_it_visited(
    learner: Learner[Any],
) -> None:
    start = learner.start(0, 2 * EVERY * ENVS)
    begun, _, _ = run_on(learner, *start, probe(learner), 2 * EVERY, True)
    remembers = hasattr(begun, "replay")
    stored = jax.tree.map(np.array, getattr(begun, "replay", None))
    before = jax.tree.map(np.array, begun)
    renewed = learner.renewed(begun, 7)
    if not remembers:
        assert same(renewed, before)
        return
    assert same(renewed.replay, stored)
    assert int(renewed.steps) == int(before.steps)
    assert same(renewed.learned, learner.start(7, ENVS)[0].learned)


def test_actions_are_of_the_environments_kind(learner: Learner[Any]) -> None:
    state, first = learner.start(seed=0, total_steps=LEAST * ENVS)
    transitions = steps(1.0, first, 1.0, False)
    state, second, _ = learner.iterate(
        state, transitions, transitions.next_observation, probe(learner)
    )
    chosen = learner.policy(state)(transitions.observation)
    for actions in (first, second, chosen):
        if discrete(learner):
            assert actions.shape == (ENVS,)
            assert actions.dtype == jnp.int32
            assert set(np.asarray(actions).tolist()) <= {-1, 0, 1}
        else:
            assert actions.shape == (ENVS, 2)
            assert actions.dtype == jnp.float32
            assert bool((actions >= np.array(LOW)).all())
            assert bool((actions <= np.array(HIGH)).all())


def test_a_state_is_arrays_of_unchanging_form(learner: Learner[Any]) -> None:
    state, actions = learner.start(seed=0, total_steps=LEAST * ENVS)
    assert all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(state))
    before = jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), state)
    for _ in range(EVERY):
        transitions = steps(1.0, actions, 1.0, False)
        state, actions, _ = learner.iterate(
            state, transitions, transitions.next_observation, probe(learner)
        )
    assert jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), state) == before


def test_the_seed_decides_everything(learner: Learner[Any]) -> None:
    one, other = (run(learner, probe(learner), 40)[:2] for _ in range(2))
    assert same(one, other)
    assert not same(one, run(learner, probe(learner), 40, seed=1)[:2])


def test_a_state_written_and_read_goes_on_as_if_nothing_had_happened(
    learner: Learner[Any], tmp_path: Path
) -> None:
    state, actions = learner.start(seed=3, total_steps=LEAST * ENVS)
    for number in range(60):
        if number == 44:  # in the middle of a rollout
            save_tree(tmp_path / "position", (state, actions), {})
        transitions = steps(1.0, actions, 1.0, True)
        state, actions, _ = learner.iterate(
            state, transitions, transitions.next_observation, probe(learner)
        )
    again, again_actions = load_tree(tmp_path / "position", learner.start(0, LEAST * ENVS))
    for _ in range(44, 60):
        transitions = steps(1.0, again_actions, 1.0, True)
        again, again_actions, _ = learner.iterate(
            again, transitions, transitions.next_observation, probe(learner)
        )
    assert same((state, actions), (again, again_actions))


def test_a_policy_written_and_read_acts_the_same(learner: Learner[Any], tmp_path: Path) -> None:
    policy = learner.policy(run(learner, probe(learner), 80)[0])
    save_tree(tmp_path / "policy", policy, {})
    restored = load_tree(tmp_path / "policy", learner.policy(learner.start(9, 1)[0]))
    observations = np.linspace(-1, 1, 5, dtype=np.float32)[:, None]
    np.testing.assert_array_equal(policy(observations), restored(observations))


def test_the_policy_finds_the_rewarded_action(learner: Learner[Any]) -> None:
    state, _, _ = run(learner, probe(learner), 240)
    action = np.asarray(learner.policy(state)(np.ones((1, 1), np.float32)))
    wanted = [1] if discrete(learner) else [[3.0, -0.5]]
    np.testing.assert_allclose(action, wanted, atol=0.2)


def test_the_action_may_depend_on_the_observation(learner: Learner[Any]) -> None:
    reward = probe(learner, best=0.0, slope=1.0)
    state, actions = learner.start(0, 160 * ENVS)
    for number in range(160):
        here = 1.0 if number % 2 else -1.0
        transitions = steps(here, actions, -here, True)
        state, actions, _ = learner.iterate(
            state, transitions, transitions.next_observation, reward
        )
    chosen = np.asarray(learner.policy(state)(np.array([[-1.0], [1.0]], np.float32)))
    np.testing.assert_allclose(chosen.reshape(2, -1)[:, 0], [-1.0, 1.0], atol=0.3)


@pytest.mark.parametrize("bonus", [1.0, -1.0])
def test_an_ending_is_worth_what_staying_there_is(learner: Learner[Any], bonus: float) -> None:
    """The same reward at every step, discount 0.5: worth 1 / (1 - 0.5) of it, with an end or not.

    The action's own term is near zero at the best action, and so is what entropy is worth.
    """
    _, _, ended = run(learner, probe(learner, bonus), 160, end=True)
    _, _, cut = run(learner, probe(learner, bonus), 160, end=False)
    assert cut["value"] == pytest.approx(2.0 * bonus, abs=0.3)
    assert ended["value"] == pytest.approx(cut["value"], abs=0.2)


@pytest.mark.parametrize("bonus", [2.0, -2.0])
@pytest.mark.parametrize("best", [-1.0, 1.0])
def test_neither_dying_nor_living_is_an_end_in_itself(
    learner: Learner[Any], bonus: float, best: float
) -> None:
    """The state stays as good or as bad as it is; only actions above zero end the episode.

    If what follows an end were worth nothing, the bonus would decide, and not the better action.
    """
    reward = probe(learner, bonus, best)
    state, actions = learner.start(0, 200 * ENVS)
    for _ in range(200):
        dying = np.asarray(actions).reshape(ENVS, -1)[:, 0] > 0.0
        transitions = steps(1.0, actions, 1.0, False)._replace(terminated=dying)
        state, actions, _ = learner.iterate(
            state, transitions, transitions.next_observation, reward
        )
    chosen = np.asarray(learner.policy(state)(np.ones((1, 1), np.float32)))
    assert chosen.reshape(-1)[0] == pytest.approx(best, abs=0.4)


def test_a_new_reward_counts_at_once_for_old_transitions_and_compiles_nothing(
    learner: Learner[Any],
) -> None:
    state, actions, before = run(learner, probe(learner, bonus=1.0), 64)
    compiled = len(TRACES)
    for number in range(EVERY):
        bonus = 5.0 if number == EVERY - 1 else 1.0
        transitions = steps(1.0, actions, 1.0, True)
        state, actions, after = learner.iterate(
            state, transitions, transitions.next_observation, probe(learner, bonus)
        )
    assert len(TRACES) == compiled
    assert float(after["reward"]) - before["reward"] == pytest.approx(4.0, abs=0.1)


def test_a_learner_survives_a_reward_of_another_scale(learner: Learner[Any]) -> None:
    """A new reward model may speak in other units: the better action is still found."""
    state, actions = learner.start(0, 200 * ENVS)
    for number in range(200):
        bonus, best = (0.0, -1.0) if number < 40 else (4.0, 1.0)
        transitions = steps(1.0, actions, 1.0, False)
        state, actions, _ = learner.iterate(
            state, transitions, transitions.next_observation, probe(learner, bonus, best)
        )
    chosen = np.asarray(learner.policy(state)(np.ones((1, 1), np.float32)))
    assert chosen.reshape(-1)[0] == pytest.approx(1.0, abs=0.4)


def test_another_length_of_run_compiles_nothing(learner: Learner[Any]) -> None:
    """Of the same room for what was visited, whichever test came before this one."""
    starts = [learner.start(0, iterations * ENVS) for iterations in (LEAST, LEAST + EVERY)]
    run_on(learner, *starts[0], probe(learner), EVERY, True)
    compiled = len(TRACES)
    run_on(learner, *starts[1], probe(learner), EVERY, True)
    assert len(TRACES) == compiled


def test_a_policy_outlives_the_state_it_came_from(learner: Learner[Any]) -> None:
    state, actions = learner.start(seed=0, total_steps=LEAST * ENVS)
    policy = learner.policy(state)
    observations = np.linspace(-1, 1, 5, dtype=np.float32)[:, None]
    before = np.array(policy(observations))
    transitions = steps(1.0, actions, 1.0, False)
    learner.iterate(state, transitions, transitions.next_observation, probe(learner))
    np.testing.assert_array_equal(np.asarray(policy(observations)), before)


def test_there_must_be_a_transition_for_every_environment(learner: Learner[Any]) -> None:
    state, actions = learner.start(0, 1)
    one = jax.tree.map(lambda x: x[:1], steps(1.0, actions, 1.0, False))
    with pytest.raises(ValueError, match="8 envs"):
        learner.iterate(state, one, np.zeros((8, 1), np.float32), probe(learner))


FLAT = gymnasium.spaces.Box(-1, 1, (3,))
CHOICE, FORCE = gymnasium.spaces.Discrete(3), gymnasium.spaces.Box(-2, 2, (2,))


@pytest.mark.parametrize(
    ("algorithm", "action_space", "made"),
    [
        ("auto", CHOICE, PPO),
        ("auto", gymnasium.spaces.MultiDiscrete([3, 2]), PPO),
        ("auto", FORCE, SAC),
        ("ppo", FORCE, PPO),
        ("sac", FORCE, SAC),
    ],
)
def test_the_factory_chooses_by_the_actions(
    algorithm: learners.Algorithm, action_space: gymnasium.Space[Any], made: type[Any]
) -> None:
    learner = learners.make(algorithm, FLAT, action_space, 4, gamma=0.9)
    assert isinstance(learner, made)
    assert learner.settings.gamma == 0.9
    assert learner.observation_shape == (3,)
    assert learner.start(0, 1)[1].shape[0] == 4


@pytest.mark.parametrize(
    ("observation_space", "action_space", "message"),
    [
        (gymnasium.spaces.Discrete(4), CHOICE, "PPO needs flat observations"),
        (gymnasium.spaces.Discrete(4), FORCE, "SAC needs flat observations"),
        (FLAT, gymnasium.spaces.MultiBinary(3), "PPO needs continuous actions"),
        (FLAT, gymnasium.spaces.Box(-np.inf, 1, (1,)), "SAC needs bounded actions"),
    ],
)
def test_the_factory_refuses_spaces_nobody_can_act_in(
    observation_space: gymnasium.Space[Any], action_space: gymnasium.Space[Any], message: str
) -> None:
    with pytest.raises(EnvironmentUnsupported, match=message):
        learners.make("auto", observation_space, action_space, 1, gamma=0.9)


def test_sac_refuses_discrete_actions() -> None:
    with pytest.raises(EnvironmentUnsupported, match="SAC needs continuous actions"):
        learners.make("sac", FLAT, CHOICE, 1, gamma=0.9)
