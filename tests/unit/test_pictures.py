"""Pictures as observations: a reward model is fitted to them, and a policy acts on them.

The environment is a dot on a grey wall, which can be moved left and right; what is wanted is that
it is far to the right. Nothing but its pictures is told.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import equinox as eqx
import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
import pytest

from volition import learners
from volition.comparison import LARGEST, Comparison, Frame, Segment, observed, reduced
from volition.envs.checking import Checked
from volition.errors import EnvironmentUnsupported, InputError, RunError
from volition.goal import Goal
from volition.judgment import JudgeIdentity, Judgment, Order, Preference, Reply, Verdict
from volition.learners.base import Transitions
from volition.learners.policies import load_policy, save_policy
from volition.learners.ppo import PPO, PPOSettings
from volition.learners.spaces import Choice
from volition.networks import PATCHES, apply_network, encode, encoder_depth, init_network
from volition.reward.fit import check_inputs, fit
from volition.reward.learning import Judged, Recipe, Seen, learn_reward
from volition.reward.model import FILE, RewardModel
from volition.reward.preferences import PreferenceData
from volition.run import fitting
from volition.run.run import Run
from volition.storage.store import Store
from volition.storage.tensors import save_tree
from volition.tasks.task import RewardSection, Symmetry, Task

SIDE, LAST, ENVS = 24, 5, 8
SHAPE = (SIDE, SIDE, 3)
Places = npt.NDArray[np.int64]


def pictures(columns: Places, rows: Places) -> npt.NDArray[np.uint8]:
    """(places, 24, 24, 3): a white dot of 4 by 4 pixels, in one of six columns and rows."""
    drawn = np.full((len(columns), *SHAPE), 90, np.uint8)
    for picture, column, row in zip(drawn, columns, rows, strict=True):
        picture[4 * row : 4 * row + 4, 4 * column : 4 * column + 4] = 255
    return drawn


@pytest.fixture(scope="module")
def model() -> RewardModel:
    """Fitted to 100 pairs of pictures of which the one with the dot further right is preferred."""
    columns, rows = np.random.default_rng(0).integers(LAST + 1, size=(2, 200))
    seen = pictures(columns, rows).reshape(100, 2, 1, *SHAPE)
    first, second = columns.reshape(100, 2).T
    p_first = np.where(first == second, 0.5, first > second)
    comparisons, preferences = {}, []
    for (one, other), preferred in zip(seen, p_first, strict=True):
        sides = [Segment(x, (Frame(x[0]),)) for x in (one, other)]
        if sides[0].id == sides[1].id:
            continue
        comparison = Comparison.between("goal", *sides)
        said = float(preferred) if comparison.first is sides[0] else 1.0 - float(preferred)
        sides_seen = comparison.first.observations, comparison.second.observations
        comparisons[comparison.id] = sides_seen
        preferences.append(Preference(comparison.id, said, 1.0))
    data = PreferenceData.gather(comparisons, preferences)
    assert data.observations.dtype == np.uint8
    fitted = fit(data, RewardSection(), False, 0)
    assert fitted.heldout.share > 0.85
    return fitted.model


def test_the_reward_model_finds_the_dot(model: RewardModel) -> None:
    columns, rows = (grid.reshape(-1) for grid in np.indices((LAST + 1, LAST + 1)))
    reward = np.asarray(model(pictures(columns, rows)))
    assert np.corrcoef(reward, columns)[0, 1] > 0.9
    stacked = np.asarray(model(pictures(columns, rows).reshape(6, 6, *SHAPE)))
    np.testing.assert_allclose(stacked.reshape(-1), reward, atol=1e-4)


def test_a_reward_model_of_pictures_survives_the_disk(model: RewardModel, tmp_path: Path) -> None:
    model.save(tmp_path / "model")
    seen = pictures(np.array([0, 3]), np.array([1, 4]))
    np.testing.assert_array_equal(RewardModel.load(tmp_path / "model")(seen), model(seen))


class StateReward(eqx.Module):
    model: RewardModel

    def __call__(self, transitions: Transitions) -> jax.Array:
        return self.model(jnp.asarray(transitions.next_observation))


def dots(count: int, seed: int) -> tuple[Places, Places]:
    columns, rows = np.random.default_rng(seed).integers(LAST + 1, size=(2, count))
    return columns, rows


@pytest.mark.parametrize("sees", ["pictures", "auto"])
def test_observations_are_told_what_was_learned_from_pictures(
    sees: Literal["pictures", "auto"],
) -> None:
    """Among noise, from fewer judgments than would find it there."""
    columns, rows = dots(80, 1)
    noise = np.random.default_rng(2).normal(size=(480, 12))
    observed = np.column_stack([columns, rows, noise[:80]]).astype(np.float32)
    seen, pairs = pictures(columns, rows), np.arange(80).reshape(-1, 2)
    judge = JudgeIdentity("a judge")
    judgments, of_vectors, of_pictures = [], {}, {}
    for number, (one, other) in enumerate(pairs):
        name, better = str(number), float(columns[one] > columns[other])
        of_vectors[name] = observed[[one]], observed[[other]]
        of_pictures[name] = seen[[one]], seen[[other]]
        said = Verdict(0.5 if columns[one] == columns[other] else better)
        judgments.append(Judgment(name, judge.id, Order.FORWARD, said, Reply(name, "")))
    columns, rows = dots(400, 3)
    unjudged = np.column_stack([columns, rows, noise[80:]]).astype(np.float32)
    drawn = Seen(of_pictures, pictures(columns, rows), unjudged)
    judged = Judged(judgments, of_vectors, {judge.id: judge})
    recipe = Recipe(RewardSection(sees=sees))
    model, learned = learn_reward(judged, recipe, lambda: drawn)
    assert learned.told is not None
    assert learned.told.share > 0.8
    assert model.inputs == tuple(range(14))
    assert np.corrcoef(model(unjudged), columns)[0, 1] > 0.9


def seeing(task: Task) -> Task:
    reward = task.reward.model_copy(update={"sees": "pictures", "observations": None})
    return task.model_copy(update={"reward": reward})


def test_a_run_learns_from_the_pictures_of_what_was_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fitting, "UNJUDGED", 200)
    made = Run.create(seeing(Task.find("pendulum")), out=tmp_path / "run")
    with made.folder.open_store() as store:
        model, learned = made.fit_reward(store)
    assert learned.told is not None
    angles = np.linspace(0, np.pi, 20, dtype=np.float32)
    reward = model(np.stack([np.cos(angles), np.sin(angles), 0 * angles], 1))
    assert np.corrcoef(reward, np.cos(angles))[0, 1] > 0.9


def test_pictures_of_clips_are_not_learned_from(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"reward\.sees is 'pictures', .* judged by clips"):
        Run.create(seeing(Task.find("lamp", "hello")), out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_policy_learns_from_pictures_alone(model: RewardModel) -> None:
    """It goes right from anywhere, and stays there."""
    settings = PPOSettings(rollout_steps=16, epochs=4, learning_rate=2e-3, gamma=0.9)
    space = gymnasium.spaces.Box(0, 255, SHAPE, np.uint8)
    learner = PPO.for_spaces(space, gymnasium.spaces.Discrete(3), ENVS, settings)
    iterations, rng = 40 * 16, np.random.default_rng(1)
    state, actions = learner.start(0, iterations * ENVS)
    assert state.rollout.transitions.observation.dtype == np.uint8
    columns, rows = rng.integers(LAST + 1, size=(2, ENVS))
    here = pictures(columns, rows)
    for number in range(iterations):
        columns = np.clip(columns + np.asarray(actions) - 1, 0, LAST)
        reached = following = pictures(columns, rows)
        if number % 16 == 9:  # a time limit
            columns, rows = rng.integers(LAST + 1, size=(2, ENVS))
            following = pictures(columns, rows)
        transitions = Transitions(here, np.asarray(actions), reached, np.zeros(ENVS, np.bool_))
        state, actions, _ = learner.iterate(state, transitions, following, StateReward(model))
        here = following
    columns, rows = (grid.reshape(-1) for grid in np.indices((LAST, LAST + 1)))
    chosen = np.asarray(learner.policy(state)(pictures(columns, rows)))
    assert (chosen == 2).mean() > 0.9


def test_a_stack_of_networks_is_the_networks_one_by_one() -> None:
    rng, shape = np.random.default_rng(0), (37, 26, 2)
    stack = init_network(rng, shape, (8, 3), 4)
    seen = jnp.asarray(rng.normal(size=(5, *shape)).astype(np.float32))
    together = apply_network(stack, seen, encoder_depth(shape), jnp.tanh)
    assert together.shape == (4, 5, 3)
    for number in range(4):
        one = jax.tree.map(lambda leaf, n=number: leaf[n], stack)
        alone = apply_network(one, seen, encoder_depth(shape), jnp.tanh)
        np.testing.assert_allclose(together[number], alone, atol=1e-5)


@pytest.mark.parametrize("shape", [(32, 16, 3), (37, 26, 2)])
def test_an_encoder_is_convolutions_as_wide_as_their_strides(shape: tuple[int, ...]) -> None:
    """What does not fill a patch is filled up with zeros, at every stage of its own."""
    rng = np.random.default_rng(0)
    drawn = init_network(rng, shape, (3,))[: encoder_depth(shape)]
    layers = tuple(layer._replace(bias=layer.bias + 0.3) for layer in drawn)  # not lost by a relu
    seen = jnp.asarray(rng.normal(size=(5, *shape)).astype(np.float32))
    wanted = seen
    for (weight, bias), side in zip(layers[:-1], PATCHES, strict=True):
        kernel = weight.reshape(side, side, wanted.shape[-1], -1)
        wide = [(0, -size % side) for size in wanted.shape[1:3]]
        form = ("NHWC", "HWIO", "NHWC")
        stride = (side, side)
        sums = jax.lax.conv_general_dilated(wanted, kernel, stride, wide, dimension_numbers=form)
        wanted = jax.nn.relu(sums + bias)
    features = jax.nn.relu(wanted.reshape(5, -1) @ layers[-1].weight + layers[-1].bias)
    assert float(features.std()) > 0.1
    np.testing.assert_allclose(encode(layers, seen), features, atol=1e-4)


def test_a_picture_is_kept_as_it_is_in_the_store(tmp_path: Path) -> None:
    seen = pictures(np.array([1, 4]), np.array([2, 2]))
    with Store.create(tmp_path) as store:
        goal_id = store.add_goal(Goal("to the right"))
        comparison = Comparison.between(goal_id, *(Segment(x[None], (Frame(x),)) for x in seen))
        store.add_comparisons([comparison])
        kept = store.comparisons()[comparison.id]
    assert kept == comparison
    assert kept.first.observations.dtype == np.uint8


def test_what_is_observed_is_float32_or_a_picture() -> None:
    assert observed(np.zeros((2, 3))).dtype == np.float32
    assert observed(np.zeros(SHAPE, np.uint8)).dtype == np.uint8


class Large(gymnasium.Env[Any, Any]):
    """Noise in a picture that is larger than is looked at."""

    observation_space = gymnasium.spaces.Box(0, 255, (2 * LARGEST + 1, 33, 3), np.uint8)
    action_space = gymnasium.spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        shape = self.observation_space.shape
        return self.np_random.integers(0, 256, shape, np.uint8), {}


def test_of_a_large_picture_the_means_of_blocks_are_observed() -> None:
    whole, _ = Large().reset(seed=0)
    env = Checked(Large(), "Large", {})
    seen, _ = env.reset(seed=0)
    blocks = whole[: 3 * 85, :33].reshape(85, 3, 33, 1, 3).mean((1, 3))
    assert seen.dtype == np.uint8
    assert np.abs(seen - blocks).max() <= 0.5
    assert env.observation_space.contains(seen)
    np.testing.assert_array_equal(reduced(jnp.asarray(whole)), seen)
    assert reduced(seen) is seen


def test_whatever_learned_from_reduced_pictures_takes_whole_ones() -> None:
    whole = Large().reset(seed=0)[0][None]
    seen = reduced(whole)
    model = RewardModel.unfitted((), seen.shape[1:])
    np.testing.assert_array_equal(model(whole), model(seen))
    learner = PPO(seen.shape[1:], Choice(2), 1)
    policy = learner.policy(learner.start(0, 100)[0])
    np.testing.assert_array_equal(policy(whole), policy(seen))


def test_what_an_older_version_learned_from_pictures_is_refused(tmp_path: Path) -> None:
    form = {"inputs": [], "members": 5, "picture": SHAPE, "sizes": [128, 1], "vetoes": 0}
    save_tree(tmp_path / FILE, {}, {"form": form})
    with pytest.raises(RunError, match="which saw pictures otherwise: train it again"):
        RewardModel.load(tmp_path)
    learner = PPO((LARGEST + 1, 16, 1), Choice(2), 1)
    save_policy(tmp_path, learner.policy(learner.start(0, 100)[0]))
    with pytest.raises(RunError, match="129 x 16 pixels: train it again"):
        load_policy(tmp_path)


def test_entries_of_a_picture_cannot_be_named() -> None:
    mirror = Symmetry(name="mirror", negate=(0,))
    for section in (RewardSection(observations=(0,)), RewardSection(symmetries=(mirror,))):
        with pytest.raises(InputError, match="what is observed here is a picture"):
            check_inputs(section, SHAPE)


def test_whoever_acts_on_pictures_is_chosen_for_them() -> None:
    space, force = gymnasium.spaces.Box(0, 255, SHAPE, np.uint8), gymnasium.spaces.Box(-1, 1, (2,))
    learner = learners.make("auto", space, force, 1, gamma=0.9)
    assert isinstance(learner, PPO)
    state, _ = learner.start(0, 100)
    assert learner.policy(state)(np.zeros((3, *SHAPE), np.uint8)).shape == (3, 2)


@pytest.mark.parametrize(
    "space",
    [gymnasium.spaces.Box(0, 255, (8, 8, 3), np.uint8), gymnasium.spaces.Box(0, 1, (32, 32, 3))],
)
def test_pictures_too_small_or_not_in_bytes_are_refused(space: gymnasium.Space[object]) -> None:
    with pytest.raises(EnvironmentUnsupported, match="pictures in uint8"):
        learners.make("auto", space, gymnasium.spaces.Discrete(2), 1, gamma=0.9)
