"""Environments with one oddity each: learned in, or one line that names environment and value."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import gymnasium
import jax
import numpy as np
import pytest
from gymnasium.envs.classic_control import PendulumEnv
from PIL import Image

from odd import ODD, Dot, Rightmost, registered
from volition import Goal, Run, cli, train
from volition.comparison import Pixels
from volition.envs import making
from volition.envs.checking import Checked
from volition.envs.drawing import LARGEST, as_pixels, written
from volition.envs.making import make_env
from volition.envs.scene import find_scene, open_scene
from volition.errors import EnvironmentUnsupported, InputError, RunError, VolitionError
from volition.finding.spaces import find_spaces
from volition.learners.base import PolicyForm
from volition.learners.learned_reward import LearnedReward
from volition.learners.policies import load_policy, save_policy
from volition.learners.ppo import PPOPolicy
from volition.learners.rollout import AtRandom, Rollout
from volition.learners.spaces import ActionKind, Bounds, Choices, Mixed, action_kind, observed_shape
from volition.questions.covering import covering_pairs
from volition.questions.filming import Filming, filmed_pairs
from volition.reward.model import RewardModel
from volition.run.creating import task_for
from volition.storage.compilation import enable_cache
from volition.tasks.task import EnvironmentSection, Task
from volition.tasks.view import ClipSection, JudgeView

STEPS = 400
START = "at an episode's start"

LEARNED = (
    *("Plain", "AList", "Float64", "OneBuffer", "ActsInPlace", "Constant", "CannotBeClosed"),
    *(
        "RewardNan",
        "RewardNone",
        "OddInfo",
        "FirstStep",
        "FewStates",
        "TwoStates",
        "FloatFrame",
        "OddSizes",
        "Parts",
    ),
)
DRAWN = (  # in a way of its own, and nothing else: learning is the same
    *("ListRender", "Rgba", "Transparent", "Grey", "GreyInThree", "ChannelsFirst", "FloatBytes"),
    *("GreyFloats", "LongIntegers", "BlackAndWhite", "SizeOfItsOwn", "RewardArray", "Tiny"),
)

WEAK = Bounds((float(np.float32(-0.1)),), (float(np.float32(0.1)),))
SPACES: dict[str, tuple[tuple[int, ...], ActionKind]] = {
    "Strict": ((2,), WEAK),
    "Unbounded": ((2,), Bounds((-4.0, 0.0), (4.0, 1.0))),
    "Square": ((25,), Bounds((-1.0,) * 4, (1.0,) * 4)),
    "Whole": ((4,), Bounds((-2.0,), (2.0,))),
    "Counted": ((9,), Choices((3, 2))),
    "Switches": ((4 + 13,), Choices((2, 2))),
    "Everything": (
        (1 + 10 * 15 + 3 + 2,),
        Mixed(Choices((2, 3, 3)), Bounds((-1.0,), (1.0,))),
    ),
    "Stacked": ((20, 24, 4), WEAK),
    "Camera": ((20, 24, 1), WEAK),
    "Signed": ((20, 24, 3), WEAK),
    "Depth": ((20, 24, 1), WEAK),
    "Table": ((480,), WEAK),
}
"""What is made of what they observe, and what is learned of their actions."""
LEARNED_TOO = ("ListRender", "RewardArray")  # of those drawn: one for all, and one by its reward

TOLD = {
    "NanAfter": "at step 30 of an episode: what is observed is not finite: entry 0 is nan",
    "InfiniteVelocity": "at step 7 of an episode: what is observed is not finite: entry 1 is -inf",
    "NanAtReset": f"{START}: what is observed is not finite: entry 0 is nan",
    "TooLargeForFloat32": "at step 5 of an episode: what is observed is not finite: entry 1 is 1e",
    "WrongShape": f"{START}: what is observed is of shape (1,), and its space says (2,)",
    "ShapeChanges": "at step 12 of an episode: what is observed is of shape (2, 2), and its",
    "ObservesNone": "at step 9 of an episode: what is observed is None",
    "ObservesText": "at step 3 of an episode: what is observed is 'left'",
    "Ragged": "at step 4 of an episode: what is observed is [[1.0], [1.0, 2.0]]",
    "FractionsForBytes": f"{START}: what is observed holds 0.5, and its space is of uint8",
    "CannotBeMade": "OSError: no such device: /dev/robot (odd.py:",
    "CannotBeReset": f"{START}: reset raised KeyError: 'start' (odd.py:",
    "ResetOnce": f"{START}: reset raised AssertionError: already running (odd.py:",
    "ResetWithoutSeed": f"{START}: reset raised TypeError: ",
    "ResetGivesOne": f"{START}: reset gave array(",
    "StepGivesFour": "at step 1 of an episode: step raised ValueError: ",
    "StepGivesNothing": "at step 1 of an episode: step raised TypeError: ",
    "RaisesMid": "at step 28 of an episode: step raised RuntimeError: MuJoCo: the simulation is",
    "RaisesWordlessly": "at step 6 of an episode: step raised AssertionError: assert self.n < 5",
    "Exits": "at step 12 of an episode: step raised SystemExit: the window was closed",
    "NoMetadata": "gymnasium cannot make 'test/NoMetadata-v0': Expect the environment metadata",
    "NoRenderMode": "argument 'render_mode'",
    "SpacesDiffer": "to put 4 of it side by side raised RuntimeError: Sub-environment action space",
    "SpaceGrows": f"{START}: what is observed is of shape (3,), and its space says (2,)",
    "Strip": "of an episode: render gave a picture of 2400 x 1 pixels, which is too narrow to see",
    "NoSpace": "its observation_space is None",
    "EmptyList": "of an episode: render gave [], which is no picture",
    "NoRender": "of an episode: render gave None, and not a picture",
    "RenderNone": "of an episode: render gave None, and not a picture",
    "RenderRaises": "render raised RuntimeError: cannot open a window (odd.py:",
    "Silent": "of an episode: render gave None, and not a picture",
    "Growing": "its observation_space is of the kind Sequence in seen, of which nobody can make",
    "OnlyWords": "its observation_space holds nothing but text",
    "Speaks": "its action_space is of the kind Text, from which no learner can choose: Box, Disc",
    "NanPixel": "of an episode: render gave a picture with a pixel that is nan",
    "BeyondWhite": "render gave a picture with a pixel that is 382.5, and not within 0 to 255",
    "BelowBlack": "render gave a picture with a pixel that is -1.0, and not within 0 to 255",
    "TwoChannels": "render gave an array of shape (48, 48, 2), which is no picture",
    "NothingMoves": " that were drawn are of one colour, (0, 0, 0); either `render` does",
    "Faint": "what differs among them is too small or too faint",
}
"""What is told before anything is asked."""

LATER = {
    "NanLate": "what is observed is not finite: entry 1 is nan",
    "RaisesLate": "step raised ConnectionError: the simulator has gone (odd.py:",
    "Huge": "what it has learned is not finite. Numbers that the environment observes may",
}
"""What is told after the judge was asked."""


@pytest.fixture(autouse=True)
def _odd(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(enable_cache()))
    with registered():
        yield


def learn(name: str, out: Path, steps: int = STEPS) -> Run:
    task = task_for(f"test/{name}-v0", Goal("The dot is on the right."))
    return train(task, judge=Rightmost(), out=out, steps=steps)


def test_every_one_is_tried() -> None:
    assert {*LEARNED, *DRAWN, *SPACES, *TOLD, *LATER, "Large", "Text", "Prints"} == set(ODD)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", [*LEARNED, *LEARNED_TOO])
def test_what_can_be_understood_is_learned_in(name: str, tmp_path: Path) -> None:
    run = learn(name, tmp_path / "run")
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(run.policy))
    with run.folder.open_store() as store:
        check_drawn([c.first.frames[0].pixels for c in store.comparisons().values()])


@pytest.mark.parametrize("name", DRAWN)
def test_what_can_be_understood_is_drawn(name: str) -> None:
    pairs = covering_pairs(EnvironmentSection(id=f"test/{name}-v0"), JudgeView(), 10, 0)
    check_drawn([segment.frames[0].pixels for pair in pairs for segment in pair])


def check_drawn(frames: list[Pixels]) -> None:
    """A dark or red dot on white, always in one size."""
    assert len({pixels.shape for pixels in frames}) == 1
    for pixels in frames:
        assert (pixels[0, 0] == 255).all()
        assert 0 < (pixels[:, :, 1] < 50).sum() < 200


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", TOLD)
def test_what_cannot_is_told_before_anything_is_asked(name: str, tmp_path: Path) -> None:
    with pytest.raises(VolitionError) as error:
        learn(name, tmp_path / "run")
    told = str(error.value)
    assert f"test/{name}-v0" in told
    assert TOLD[name] in told
    assert "\n" not in told
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", LATER)
def test_what_fails_later_keeps_what_was_judged(name: str, tmp_path: Path) -> None:
    for go_on in (
        lambda: learn(name, tmp_path / "run", 2 * STEPS),
        lambda: Run.open(tmp_path / "run", Rightmost()).advance(),
    ):
        with pytest.raises(VolitionError) as error:
            go_on()
        told = str(error.value)
        assert told.startswith(f"test/{name}-v0, at ")
        assert LATER[name] in told
        assert told.endswith("; every answer is kept")
        assert "\n" not in told
    run = Run.open(tmp_path / "run")
    with run.folder.open_store() as store:
        assert len(store.judgments()) >= 30
    assert not run.folder.result.exists()


def test_the_command_line_says_it_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train", "--env", "test/NanAfter-v0", "--goal", "right", "--judge", "openai:x"]
    words += ["--base-url", "http://localhost:9", "--max-usd", "1", "--out", str(tmp_path / "run")]
    assert cli.main(words) == 1
    *_, line = capsys.readouterr().err.splitlines()
    assert line.startswith("error: test/NanAfter-v0, at step 30 of an episode: ")


# Spaces ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SPACES)
def test_every_space_is_one_vector_or_one_picture_and_every_action_a_row(name: str) -> None:
    shape, kind = SPACES[name]
    with closing(Rollout(EnvironmentSection(id=f"test/{name}-v0"), 2)) as rollout:
        assert observed_shape("it", rollout.observation_space) == shape
        assert action_kind("it", rollout.action_space) == kind
        seen = [rollout.reset(0)]
        act, rng = AtRandom(rollout, 0), np.random.default_rng(0)
        rows = [*(act(seen[0]) for _ in range(5)), *(kind.draw(rng, 2) for _ in range(5))]
        seen += [rollout.step(row).observations for row in rows]
    for observations in seen:
        assert observations.shape == (2, *shape)
        assert observations.dtype == (np.uint8 if len(shape) == 3 else np.float32)


def test_a_policy_says_its_form_whatever_it_chooses(tmp_path: Path) -> None:
    for _, kind in SPACES.values():
        form = PolicyForm("ppo", (3,), (8,), kind)
        policy = PPOPolicy.of_form(form)
        save_policy(tmp_path, policy)
        assert load_policy(tmp_path).form == form
        assert np.shape(policy(np.zeros((2, 3), np.float32))) == (2, *kind.shape)


def test_what_is_made_of_a_space_is_said_and_every_entry_has_a_name() -> None:
    with closing(make_env("test/Everything-v0")) as env:
        names, read = env.reading.names, env.reset(seed=1)[0]
        acted = env.acting([1, 2, 0, -0.25])
    assert len(names) == len(set(names)) == len(read)
    entries = dict(zip(names, read.tolist(), strict=True))
    assert entries["view.9.14"] == pytest.approx(0.2), "the mean of a block, from 0 to 1"
    assert (entries["gear.0=1"], entries["gear.0=2"], entries["gear.1.0"]) == (0, 1, 0)
    assert acted["gear"] == 0
    assert acted["force"][0] == np.float32(-0.25)
    assert acted["force"][1].tolist() == [[1, 2]]
    how = find_spaces(task_for("test/Everything-v0", Goal("Right.")))
    assert "view (a picture of 40 x 60 x 3)" in how["observations"]
    assert how["observations"].endswith("left out, being text: told")
    assert how["actions"] == "one each of 2, 3, 3 and then 1 between bounds, in a row"
    assert not find_spaces(task_for("test/Plain-v0", Goal("Right.")))
    said = find_spaces(task_for("test/Unbounded-v0", Goal("Right.")))["actions"]
    assert "action.0, which has no bounds, goes from -4 to 4: further makes no difference" in said
    assert "action.1, which has no bounds, goes from 0 to 1: no limit was seen" in said


def test_a_scene_observes_whatever_its_space() -> None:
    gymnasium.register("scene/Parts-v0", SettableParts, max_episode_steps=40)  # type: ignore[arg-type]
    try:
        scene = open_scene("scene/Parts-v0")
        assert scene.observe({"x": 1.5, "v": 0.5}).tolist() == [0.0, 1.0, 1.5]
    finally:
        del gymnasium.registry["scene/Parts-v0"]


def test_a_learned_reward_reads_whatever_its_space() -> None:
    env = LearnedReward(gymnasium.make("test/Counted-v0"), RewardModel.unfitted(tuple(range(9))))
    assert env.reset(seed=0)[0] in env.observation_space
    assert np.isfinite(float(env.step(env.action_space.sample())[1]))


# Text for pictures -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["Text", "Prints"])
def test_what_is_written_is_drawn(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with closing(make_env(f"test/{name}-v0", render_mode="rgb_array")) as env:
        env.reset(seed=0)
        frames = [env.render()]
        for _ in range(20):
            env.step(np.ones(1, np.float32))
            frames.append(env.render())
    assert {frame.shape for frame in frames} == {(6 * 18, 24 * 10, 3)}
    assert not np.array_equal(frames[0], frames[-1])
    red, green, _ = np.moveaxis(frames[-1].astype(int), 2, 0)
    assert (red - green > 80).any() == (name == "Text")
    assert capsys.readouterr().out == ""


def test_later_text_is_laid_into_the_room_of_the_first() -> None:
    small, large = written("x"), written("x" * 40)
    assert large.shape == (6 * 18, 48 * 10, 3)
    np.testing.assert_array_equal(written("x", *large.shape[:2])[:, : small.shape[1]], small)
    assert not np.array_equal(written("\N{WHITE CHESS KING}"), written("\N{WHITE CHESS QUEEN}"))
    np.testing.assert_array_equal(written("old\x1b[2J\x1b[Hx\x1b[1A"), small)


# Where environments come from --------------------------------------------------------------------


MODULE = """
import gymnasium
from odd import Dot
class Mine(Dot):
    pass
gymnasium.register("Mine-v0", Mine, max_episode_steps=40)
"""


def test_a_module_beside_task_toml_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "beside_task.py").write_text(MODULE)
    text = 'name = "mine"\nenvironment.id = "beside_task:Mine-v0"\ngoal.text = "Right."\n'
    (tmp_path / "task.toml").write_text(text)
    task = Task.read(tmp_path)
    assert task.environment.home == str(tmp_path)
    monkeypatch.setattr(sys, "path", [place for place in sys.path if place != str(tmp_path)])
    kept = EnvironmentSection.model_validate(task.environment.model_dump())  # as a run reads it
    try:
        make_env(kept.id).close()
    finally:
        gymnasium.registry.pop("Mine-v0", None)
        sys.modules.pop("beside_task", None)


def test_a_module_is_found_by_its_namespace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_robots.py").write_text(MODULE.replace('"Mine-v0"', '"My-Robots/Mine-v0"'))
    monkeypatch.syspath_prepend(tmp_path)
    try:
        make_env("My-Robots/Mine-v0").close()
    finally:
        gymnasium.registry.pop("My-Robots/Mine-v0", None)
        sys.modules.pop("my_robots", None)


@pytest.mark.parametrize(
    ("env_id", "package"),
    [
        ("ALE/Pong-v5", "ale-py"),
        ("MiniGrid-Empty-5x5-v0", "minigrid"),
        ("merge-v0", "highway-env"),
        ("safety_gridworlds/Sokoban-v0", "safety-gridworlds-gymnasium"),
        ("PandaReachDense-v3", "panda-gym"),
    ],
)
def test_what_is_not_installed_is_named(
    env_id: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(making, "find_spec", lambda _: None)
    with pytest.raises(EnvironmentUnsupported) as error:
        make_env(env_id)
    said = str(error.value)
    assert said.endswith(f'It comes with {package}: pip install "{package}"')
    assert ".." not in said


def test_an_id_that_begins_as_no_other_is_looked_for_in_what_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Atari's from before `ALE/`; one module there cannot even be imported."""
    (tmp_path / "my_broken.py").write_text("import no_such_library")
    (tmp_path / "my_arcade.py").write_text(MODULE.replace('"Mine-v0"', '"MineNoFrameskip-v4"'))
    monkeypatch.syspath_prepend(tmp_path)
    homes = {name: (name, "Theirs/") for name in ("my_broken", "my_arcade")}
    monkeypatch.setattr(making, "HOMES", homes)
    try:
        make_env("MineNoFrameskip-v4").close()
    finally:
        gymnasium.registry.pop("MineNoFrameskip-v4", None)
        sys.modules.pop("my_arcade", None)


def test_a_program_that_draws_can_be_ended() -> None:
    """SDL takes SIGTERM for a window that is closed, which is none here."""
    program = (
        "import os, signal, time\n"
        "from volition.envs.making import make_env\n"
        "env = make_env('Pendulum-v1', render_mode='rgb_array')\n"
        "env.reset()\n"
        "env.render()\n"
        "os.kill(os.getpid(), signal.SIGTERM)\n"
        "time.sleep(20)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert done.returncode == -signal.SIGTERM, done.stderr


@pytest.mark.parametrize(
    ("name", "value"), [("Signed", 0), ("Depth", 255), ("Camera", 51), ("Stacked", 0)]
)
def test_a_picture_goes_from_black_to_white(name: str, value: int) -> None:
    with closing(make_env(f"test/{name}-v0")) as env:
        assert env.reset(seed=0)[0][0, 0, 0] == value


def test_what_is_observed_alike_is_asked_about_where_it_looks_different() -> None:
    rng = np.random.default_rng(0)
    pairs = filmed_pairs(EnvironmentSection(id="test/Camera-v0"), JudgeView(), 3, rng)
    assert len(pairs) == 3
    assert all((one.observations == other.observations).all() for one, other in pairs)


def test_so_much_is_filmed_as_may_be_asked_about() -> None:
    counts = []
    for questions in (0, 4, 1000):
        filming = Filming(JudgeView(), 1.0, np.random.default_rng(0))
        filming.spread_over(400, 800, questions)
        with closing(make_env("test/Plain-v0", render_mode="rgb_array")) as env:
            observation, _ = env.reset(seed=0)
            for _ in range(400):
                filming(env, observation, False)
        counts.append(len(filming.kept))
    assert counts[0] == 0
    assert 0.6 * 128 < counts[1] < 1.4 * 128, "thirty-two for each question"
    assert counts[2] == 400


# What is kept is a copy --------------------------------------------------------------------------


def test_a_buffer_that_is_used_again_changes_nothing_that_is_kept() -> None:
    one, other = (
        Rollout(EnvironmentSection(id=f"test/{name}-v0", kwargs={"max_episode_steps": 5}), 3)
        for name in ("OneBuffer", "Plain")
    )
    with closing(one), closing(other):
        np.testing.assert_array_equal(one.reset(0), other.reset(0))
        steps = []
        for number in range(12):
            actions = np.full((3, 1), 0.1 * (number % 7), np.float32)
            steps.append((one.step(actions), other.step(actions)))
    for step, plain in steps:
        np.testing.assert_array_equal(step.ended, plain.ended)
        for field in ("observation", "next_observation"):
            np.testing.assert_array_equal(
                getattr(step.transitions, field), getattr(plain.transitions, field)
            )


def test_an_action_that_is_changed_in_place_is_kept_as_it_was_chosen() -> None:
    with closing(Rollout(EnvironmentSection(id="test/ActsInPlace-v0"), 2)) as rollout:
        rollout.reset(0)
        actions = np.full((2, 1), 0.8, np.float32)
        actions.setflags(write=False)  # as JAX gives them
        step = rollout.step(actions)
    assert (step.transitions.action == np.float32(0.8)).all()


def test_a_drawing_that_is_drawn_over_is_kept_as_it_was() -> None:
    with closing(make_env("test/OneBuffer-v0", render_mode="rgb_array")) as env:
        env.reset(seed=0)
        first = env.render()
        before = first.copy()
        for _ in range(30):
            env.step(np.ones(1, np.float32))
        assert not np.array_equal(env.render(), before)
        np.testing.assert_array_equal(first, before)


# What is not finite is not saved -----------------------------------------------------------------


def test_a_policy_or_a_reward_model_that_is_not_finite_is_not_saved(
    run: Run, tmp_path: Path
) -> None:
    def spoilt(tree: Any) -> Any:
        leaves, form = jax.tree.flatten(tree)
        return jax.tree.unflatten(form, [leaves[0] * np.nan, *leaves[1:]])

    with pytest.raises(RunError, match=r"the policy is not finite and is not saved: .* holds nan"):
        save_policy(tmp_path / "policy", spoilt(run.policy))
    with pytest.raises(RunError, match="the reward model is not finite"):
        spoilt(run.reward_model).save(tmp_path / "reward_model")
    assert not [*tmp_path.rglob("*.safetensors")]


def test_a_learned_reward_of_what_is_not_finite_is_an_error() -> None:
    env = LearnedReward(gymnasium.make("test/NanAfter-v0"), RewardModel.unfitted((0, 1)))
    env.reset(seed=0)
    for _ in range(29):
        env.step(np.zeros(1, np.float32))
    with pytest.raises(EnvironmentUnsupported, match=r"NanAfter-v0.*entry 0 is nan"):
        env.step(np.zeros(1, np.float32))


# Pictures ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rendered", "colour"),
    [
        (np.full((4, 6), 7, np.uint8), (7, 7, 7)),
        (np.full((4, 6, 1), 1.0), (255, 255, 255)),
        (np.full((4, 6, 3), 0.5), (128, 128, 128)),
        (np.full((4, 6, 3), 2.0), (2, 2, 2)),
        (np.full((2, 4, 6, 3), 9, np.uint8), (9, 9, 9)),
        (np.full((3, 4, 6), 9, np.int32), (9, 9, 9)),
        (np.tile(np.array([200, 0, 0, 51], np.uint8), (4, 6, 1)), (244, 204, 204)),
        (([np.zeros((4, 6, 3)), np.ones((4, 6), np.bool_)]), (255, 255, 255)),
        ((Image.new("RGB", (6, 4), (1, 2, 3)),), (1, 2, 3)),
        (np.full((4, 6, 3), 5, np.uint8).tolist(), (5, 5, 5)),
    ],
)
def test_pictures_of_every_kind(rendered: Any, colour: tuple[int, ...]) -> None:
    pixels = as_pixels(rendered)
    assert pixels.dtype == np.uint8
    assert pixels.shape == (16, 24, 3), "it is enlarged"
    assert pixels[0, 0].tolist() == list(colour)
    assert (pixels == pixels[0, 0]).all()


def test_a_picture_that_is_larger_than_anybody_looks_at_is_reduced() -> None:
    with closing(make_env("test/Large-v0", render_mode="rgb_array")) as env:
        env.reset(seed=0)
        assert env.env.render().shape == (1200, 1200, 3)
        assert max(env.render().shape) == 600 <= LARGEST
    wide = np.zeros((200, 10_000, 3), np.uint8)
    assert as_pixels(wide).shape == (20, 1000, 3)


@pytest.mark.parametrize(
    "rendered", [np.zeros((0, 5, 3)), 7, {"rgb": 1}, [1, 2], np.zeros((2, 2, 7))]
)
def test_what_is_no_picture(rendered: Any) -> None:
    with pytest.raises(ValueError, match="which is no picture"):
        as_pixels(rendered)


# Clips, and few states ---------------------------------------------------------------------------


def test_clips_that_are_longer_than_episodes() -> None:
    view = JudgeView(clip=ClipSection(steps=30, frames=3))
    short = EnvironmentSection(id="test/Plain-v0", kwargs={"max_episode_steps": 20})
    with pytest.raises(InputError, match="no episode of random acting in test/Plain-v0 has 30 st"):
        covering_pairs(short, view, 5, 0)


def test_few_states_are_asked_about_again_each_time_beside_another() -> None:
    pairs = covering_pairs(EnvironmentSection(id="test/FewStates-v0"), JudgeView(), 20, 0)
    assert len({frozenset((one.id, other.id)) for one, other in pairs}) == 20
    states = [segment.id for pair in pairs for segment in pair]
    assert max(states.count(state) for state in states) <= 8


def test_a_view_that_crops_everything_away() -> None:
    view = JudgeView(crop=(0.0, 0.0, 0.005, 1.0))
    with pytest.raises(InputError, match=r"holds no pixel of a drawing of 48 x 48"):
        covering_pairs(EnvironmentSection(id="test/Plain-v0"), view, 5, 0)


# Scenes ------------------------------------------------------------------------------------------


class Hidden(Dot):
    """It can be set to a state, and where its goal is changes with every episode."""

    state_fields = ("x", "v")
    state_ranges = {"x": (-4.5, 4.5), "v": (-1.0, 1.0)}  # noqa: RUF012
    goal = 0.0

    def reset(self, **options: Any) -> Any:
        super().reset(**options)
        self.goal = self.x * self.told
        return self.obs(), {}

    told = 1.0

    def get_state(self) -> Any:
        return np.array([self.x, self.v])

    def set_state(self, vector: Any) -> None:
        self.x, self.v = vector

    def observe(self) -> Any:
        return np.array([self.x - self.goal, self.v], np.float32)

    def obs(self) -> Any:
        return self.observe()


class Faithful(Hidden):
    told = 0.0


class SettableParts(Faithful):
    observation_space = gymnasium.spaces.Dict(
        {"gear": gymnasium.spaces.Discrete(2), "x": gymnasium.spaces.Box(-9, 9, (1,))}
    )

    def observe(self) -> Any:
        return {"gear": int(self.v > 0), "x": np.array([self.x], np.float32)}


class BrokenSetter(Faithful):
    def set_state(self, vector: Any) -> None:
        raise NotImplementedError


class StateOfOne(Faithful):
    def get_state(self) -> Any:
        return np.array([self.x])


SCENES = (Hidden, Faithful, BrokenSetter, StateOfOne)


@pytest.fixture
def _scenes() -> Iterator[None]:
    for kind in SCENES:
        gymnasium.register(f"scene/{kind.__name__}-v0", kind, max_episode_steps=40)  # type: ignore[arg-type]
    yield
    for kind in SCENES:
        del gymnasium.registry[f"scene/{kind.__name__}-v0"]


@pytest.mark.usefixtures("_scenes")
@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("Faithful", None),
        ("Hidden", r"depends on more than its state \(entry 0 is off by"),
        ("BrokenSetter", "BrokenSetter: set_state raised NotImplementedError"),
        ("StateOfOne", "StateOfOne: get_state gave .*, and not a finite number for each of x, v"),
    ],
)
def test_a_scene_proves_itself_or_is_filmed(name: str, told: str | None) -> None:
    environment = EnvironmentSection(id=f"scene/{name}-v0")
    if told is None:
        assert find_scene(environment) is not None
        return
    assert find_scene(environment) is None
    with pytest.raises(EnvironmentUnsupported, match=told):
        open_scene(environment.id)
    assert len(covering_pairs(environment, JudgeView(), 3, 0)) == 3, "it is filmed"


def test_an_environment_is_reset_through_its_wrappers(monkeypatch: pytest.MonkeyPatch) -> None:
    """As Meta-World: the environment itself refuses to be reset before a wrapper has set a task."""
    inner = PendulumEnv
    reset = inner.reset

    def refuses(self: Any, **options: Any) -> Any:
        assert getattr(self, "task", None), "no task has been set"
        return reset(self, **options)

    class SetsTask(gymnasium.Wrapper[Any, Any, Any, Any]):
        def reset(self, **options: Any) -> Any:
            self.unwrapped.task = "reach"  # type: ignore[attr-defined]
            return super().reset(**options)

    monkeypatch.setattr(inner, "reset", refuses)
    gymnasium.register("scene/Tasks-v0", lambda **kwargs: SetsTask(inner(**kwargs)))
    try:
        scene = open_scene("scene/Tasks-v0")
        assert scene.draw({"theta": 0.0, "theta_dot": 0.0}).std() > 0
    finally:
        del gymnasium.registry["scene/Tasks-v0"]


class OnItsOwnScreen(Dot):
    """As highway-env: it draws nothing where SDL is told that nobody looks."""

    def render(self) -> Any:
        blind = os.environ.get("SDL_VIDEODRIVER") == "dummy"
        return super().render() * (not blind)


def test_nobody_is_told_that_nobody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SDL_VIDEODRIVER", raising=False)
    gymnasium.register("scene/Screen-v0", OnItsOwnScreen)  # type: ignore[arg-type]
    try:
        with closing(make_env("scene/Screen-v0", render_mode="rgb_array")) as env:
            env.reset(seed=0)
            assert env.render().max() == 255
    finally:
        del gymnasium.registry["scene/Screen-v0"]


def test_a_screen_can_be_opened_where_there_is_none() -> None:
    program = (
        "from volition.envs.making import make_env\n"
        "make_env('CartPole-v1', render_mode='rgb_array')\n"
        "import pygame; pygame.display.init(); pygame.display.set_mode((20, 20))"
    )
    hidden = {"SDL_VIDEODRIVER", "DISPLAY", "WAYLAND_DISPLAY"}
    environ = {name: value for name, value in os.environ.items() if name not in hidden}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environ, text=True, capture_output=True, check=True
    )
    assert done.stderr == ""


def test_errors_of_gymnasium_are_told_in_one_line() -> None:
    with pytest.raises(EnvironmentUnsupported) as error:
        make_env("no_such_module:Dot-v0")
    assert re.search(r"there is no module 'no_such_module'", str(error.value))
    assert "\n" not in str(error.value)


def test_parts_of_what_is_observed_are_named() -> None:
    class Parts(Dot):
        observation_space = gymnasium.spaces.Dict(
            {"place": gymnasium.spaces.Box(-9, 9, (1,)), "gear": gymnasium.spaces.Discrete(3)}
        )

        def obs(self) -> Any:
            return {"place": np.full(1, np.nan if self.n else 0.0), "gear": 7 if self.n else 2}

    env = Checked(Parts(), "Parts", {})
    env.reset(seed=0)
    with pytest.raises(EnvironmentUnsupported, match="in gear is 7, and its space is Discrete"):
        env.step(np.zeros(1, np.float32))
