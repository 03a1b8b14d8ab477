"""What a frame shows, what a goal depends on, and what the entries of an observation are called."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt
import pytest

from volition.comparison import State
from volition.envs.scene import open_scene
from volition.finding.naming import entry_names
from volition.finding.shown import KEY, find_shown, hidden_in_film, hidden_in_scene
from volition.goal import Goal
from volition.reward.inputs import sparse_inputs
from volition.reward.preferences import PreferenceData
from volition.run.creating import task_for
from volition.tasks.task import EnvironmentSection, RewardSection, Task
from volition.tasks.view import ClipSection, JudgeView

ALL = RewardSection()


def left_open(name: str, goal: str | None = None) -> Task:
    """A bundled task without what it says of the reward model."""
    return Task.find(name, goal).model_copy(update={"reward": ALL})


# What a frame shows ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("pendulum", (0, 1)),
        ("cartpole", (0, 2)),
        ("acrobot", (0, 1, 2, 3)),
        ("mountain-car", (0,)),
        ("lamp", (0, 1, 2, 6)),
    ],
)
def test_it_is_found_what_people_wrote(name: str, written: tuple[int, ...]) -> None:
    reward, how = find_shown(left_open(name))
    assert reward.observations == written
    assert "no frame shows" in how[KEY]


def test_what_the_task_says_is_left_as_it_is() -> None:
    task = Task.find("pendulum").model_copy(update={"reward": RewardSection(observations=(2,))})
    assert find_shown(task) == (task.reward, {})


def test_a_clip_shows_how_things_move() -> None:
    task = left_open("pendulum")
    view = task.view.model_copy(update={"clip": ClipSection(steps=4, frames=2)})
    reward, how = find_shown(task.model_copy(update={"view": view}))
    assert reward.observations is None
    assert how[KEY].startswith("all 3: ")


class Hiding:
    """Observes three fields, their sum and a constant; only those that are named are drawn."""

    fields: tuple[str, ...] = ("a", "b", "c")
    ranges = None

    def __init__(self, *drawn: str) -> None:
        self.drawn, self.drawings = drawn, 0

    def observe(self, state: Any) -> npt.NDArray[np.float32]:
        return np.array([*state.values(), sum(state.values()), 7.0], np.float32)

    def draw(self, state: Any) -> npt.NDArray[np.uint8]:
        self.drawings += 1
        row = [round(40 * state[field]) if field in self.drawn else 0 for field in self.fields]
        return np.array([[[value] * 3 for value in row]] * 4, np.uint8)

    def capture(self, env: Any) -> npt.NDArray[np.float64]:
        raise AssertionError("nothing is captured of states that are given")


@pytest.mark.parametrize(
    ("drawn", "hidden"), [("abc", ()), ("ab", (2,)), ("c", (0, 1)), ("", ())], ids=str
)
def test_an_entry_is_hidden_that_changes_only_with_what_no_frame_shows(
    drawn: str, hidden: tuple[int, ...]
) -> None:
    scene: Any = Hiding(*drawn)
    rng = np.random.default_rng(0)
    rows = rng.uniform(0, 6, (5, 3)).tolist()
    states: list[State] = [dict(zip("abc", row, strict=True)) for row in rows]
    found, fields = hidden_in_scene(scene, JudgeView(), states)
    assert found == hidden
    assert fields == tuple("abc"[entry] for entry in hidden)


def filmed(episodes: int = 12, steps: int = 16) -> tuple[Any, Any, Any, Any]:
    """A dot that moves to and fro, its place and velocity, and something that nothing tells."""
    rng = np.random.default_rng(0)
    swing = rng.uniform(1, 2, (episodes, 1))
    phase = rng.uniform(0, 6.3, (episodes, 1)) + 0.5 * np.arange(steps + 1)
    place, velocity = swing * np.sin(phase), 0.5 * swing * np.cos(phase)
    noise = rng.normal(size=place.shape)
    observations = np.stack([place, velocity, noise], -1).astype(np.float32)
    across = np.arange(32) - 16
    looks = np.exp(-(((across - 2 * place[:, 1:, None]) / 6) ** 2)).reshape(-1, 1, 32)
    now, before = observations[:, 1:].reshape(-1, 3), observations[:, :-1].reshape(-1, 3)
    return looks, now, before, np.repeat(np.arange(episodes), steps)


def test_in_a_film_a_velocity_is_hidden_and_nothing_of_which_nobody_knows() -> None:
    looks, now, before, episodes = filmed()
    assert hidden_in_film(looks, now, before, episodes) == (1,)
    assert hidden_in_film(0 * looks, now, before, episodes) == ()
    assert hidden_in_film(looks, now, before, 0 * episodes) == ()


class Unset(gymnasium.Env[Any, Any]):
    """A dot whose state cannot be set."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 20}  # noqa: RUF012
    observation_space = gymnasium.spaces.Box(-10, 10, (2,), np.float32)
    action_space = gymnasium.spaces.Box(-1, 1, (1,), np.float32)

    def __init__(self, render_mode: str | None = None) -> None:
        self.render_mode, self.x, self.v = render_mode, 0.0, 0.0

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.x, self.v = self.np_random.uniform(-3, 3), 0.0
        return np.array([self.x, self.v], np.float32), {}

    def step(self, action: Any) -> Any:
        self.v = 0.5 * self.v + 0.5 * float(action[0])
        self.x += self.v
        if abs(self.x) > 4:
            self.x, self.v = np.sign(self.x) * 4, -self.v
        return np.array([self.x, self.v], np.float32), 0.0, False, False, {}

    def render(self) -> Any:
        across = np.arange(64) - 32
        line = 255 * np.exp(-(((across - 6 * self.x) / 8) ** 2))
        return np.repeat(np.tile(line, (16, 1))[..., None], 3, -1).astype(np.uint8)


def test_where_no_state_can_be_set_it_is_found_from_a_film_twice_alike() -> None:
    gymnasium.register("test/Unset-v0", Unset)  # type: ignore[arg-type]
    try:
        found = [find_shown(task_for("test/Unset-v0", Goal("On the left."))) for _ in range(2)]
    finally:
        del gymnasium.registry["test/Unset-v0"]
    assert found[0] == found[1]
    reward, how = found[0]
    assert reward.observations in (None, (0,))
    assert "96 frames filmed" in how[KEY]


# What a goal depends on --------------------------------------------------------------------------


def judged(count: int, entries: int, *, flipped: float = 0.1, seed: int = 0) -> PreferenceData:
    """The first two entries say who wins; all others are noise."""
    rng = np.random.default_rng(seed)
    observations = rng.normal(size=(count, 2, 1, entries)).astype(np.float32)
    value = observations[..., 0].sum(-1) - np.abs(observations[..., 1]).sum(-1)
    first = (value[:, 0] > value[:, 1]) != (rng.random(count) < flipped)
    return PreferenceData(observations, first.astype(np.float32), np.ones(count, np.float32))


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_what_says_nothing_is_left_out_and_what_says_something_is_kept(seed: int) -> None:
    taken = sparse_inputs(judged(120, 8, seed=seed), tuple(range(8)))
    assert {0, 1} <= set(taken)
    assert len(taken) < 8


def test_of_few_judgments_nothing_is_concluded() -> None:
    assert sparse_inputs(judged(28, 4), tuple(range(4))) == tuple(range(4))
    assert sparse_inputs(judged(60, 4, flipped=0.5), (3,)) == (3,)


def test_entries_are_named_by_their_place_in_the_observation() -> None:
    data = judged(80, 4)
    moved = data._replace(observations=data.observations[..., [1, 0, 3, 2]])
    taken = sparse_inputs(moved, (1, 2, 3))
    assert 1 in taken  # where the first entry is now; the second is not offered
    assert set(taken) <= {1, 2, 3}


# What entries are called -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("env_id", "names"),
    [
        ("Pendulum-v1", ("cos theta", "sin theta", "theta_dot")),
        ("CartPole-v1", ("x", "x_dot", "theta", "theta_dot")),
        ("FrozenLake-v1", tuple(f"observation {n}" for n in range(16))),
    ],
)
def test_entries_have_the_environments_own_names(env_id: str, names: tuple[str, ...]) -> None:
    assert entry_names(EnvironmentSection(id=env_id)) == names


@pytest.mark.parametrize("env_id", ["volition/Lamp-v0", "volition/Guest-v0", "volition/Regatta-v0"])
def test_the_projects_own_environments_name_each_entry_once(env_id: str) -> None:
    names = entry_names(EnvironmentSection(id=env_id))
    assert len(set(names)) == len(names)
    assert "observation 0" not in names
    scene = open_scene(env_id)
    assert scene.ranges is not None
    state = {field: sum(ends) / 2 for field, ends in scene.ranges.items()}
    assert len(names) == len(scene.observe(state))
