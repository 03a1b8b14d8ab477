"""Scenes of Box2D and MuJoCo: drawn as they were lived, and with what moves in the picture."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from PIL import Image

from volition.comparison import Pixels, State
from volition.envs.base import Scene
from volition.envs.scene import draw, make_env, open_scene
from volition.errors import EnvironmentUnsupported
from volition.questions.covering import covering_pairs
from volition.tasks.task import EnvironmentSection
from volition.tasks.view import JudgeView

SMALL = {"width": 128, "height": 128}
Mask = np.ndarray[Any, np.dtype[np.bool_]]


@pytest.fixture
def cheetah() -> Scene:
    scene = open_scene("HalfCheetah-v5", SMALL)
    try:
        scene.draw(dict.fromkeys(scene.fields, 0.0))
    except EnvironmentUnsupported as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))
    return scene


def state_of(scene: Scene, env: Any) -> State:
    return dict(zip(scene.fields, scene.capture(env).tolist(), strict=True))


def test_a_lander_is_drawn_as_gymnasium_draws_it() -> None:
    kwargs = {"continuous": True}
    scene = open_scene("LunarLander-v3", kwargs)
    env = make_env("LunarLander-v3", kwargs, render_mode="rgb_array")
    drawings = []
    for seed in (1, 2):
        env.reset(seed=seed)
        ended, steps = False, 0
        while not ended:
            *_, ended, _, _ = env.step(np.zeros(2, np.float32))  # no engine, so no flame
            steps += 1
            if steps % 20 == 0 or ended:
                drawings.append(scene.draw(state_of(scene, env)))
                np.testing.assert_array_equal(drawings[-1], env.render())
    assert len({drawing.tobytes() for drawing in drawings}) == len(drawings) > 5


def test_a_lander_that_is_set_down_falls_nearly_as_it_would_have() -> None:
    """Not exactly: what the bodies push against each other with is not part of the state."""
    scene = open_scene("LunarLander-v3")
    env = make_env("LunarLander-v3")
    env.reset(seed=5)
    states = []
    for _ in range(30):
        env.step(0)
        states.append(state_of(scene, env))
    scene.draw(states[19])
    other: Any = scene._env  # type: ignore[attr-defined]
    other.lander.linearVelocity = states[19]["x_dot"], states[19]["y_dot"]
    other.lander.angularVelocity = states[19]["angle_dot"]
    for leg in other.legs:
        leg.linearVelocity = other.lander.linearVelocity
    for _ in range(10):
        other.step(0)
    again = state_of(scene, other)
    for field in ("x", "y", "angle", "leg1_x", "leg2_y"):
        assert again[field] == pytest.approx(states[29][field], abs=0.05)


def body(drawing: Pixels) -> Mask:
    """Where the half-cheetah's colours are."""
    red, green, blue = drawing.astype(int).transpose(2, 0, 1)
    return (red > green) & (green > blue) & (red - blue > 30) & (red - blue < 110)


def test_a_running_cheetah_stays_in_the_picture(cheetah: Scene) -> None:
    standing = dict.fromkeys(cheetah.fields, 0.0)
    here, far = (cheetah.draw({**standing, "rootx": metres}) for metres in (0.0, 200.0))
    assert body(here).sum() > 300
    np.testing.assert_array_equal(body(here), body(far))
    floor = np.abs(here.astype(int) - far)[-20:]
    assert (floor.max(2) > 48).mean() < 0.02, "there is no floor so far away"


def test_how_far_something_has_come_shows(cheetah: Scene) -> None:
    standing = dict.fromkeys(cheetah.fields, 0.0)
    drawings = [cheetah.draw({**standing, "rootx": 0.25 * place}) for place in range(20)]
    assert len({drawing.tobytes() for drawing in drawings}) == 20
    changed = [
        (one != other).any(2).mean() for one, other in zip(drawings[:-4], drawings[4:], strict=True)
    ]
    assert min(changed) > 0.01, "a metre on, everything looks the same"


def test_whatever_thread_asks_is_drawn_for(cheetah: Scene) -> None:
    standing = dict.fromkeys(cheetah.fields, 0.0)
    with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(1) as other:
        for thread in (one, other, one):
            drawing = thread.submit(cheetah.draw, standing).result()
            np.testing.assert_array_equal(drawing, cheetah.draw(standing))


def test_a_live_environment_is_drawn_as_its_scene_is(cheetah: Scene) -> None:
    env = make_env("HalfCheetah-v5", SMALL, render_mode="rgb_array")
    env.reset(seed=0)
    env.action_space.seed(0)
    for _ in range(5):
        env.step(env.action_space.sample())
        large = draw(env)
        assert large.shape == (320, 320, 3)
        lived = np.asarray(Image.fromarray(large).resize((128, 128))).astype(int)
        again = cheetah.draw(state_of(cheetah, env)).astype(int)
        # The camera of a live environment is where it was at the start of MuJoCo's last step.
        assert (np.abs(lived - again).max(2) > 48).mean() < 0.05
        assert (body(lived.astype(np.uint8)) & body(again.astype(np.uint8))).sum() > 200


def test_gl_is_chosen_where_there_is_no_display() -> None:
    program = (
        "import os; from volition.envs.making import choose_gl, HEADLESS, _loads; choose_gl(); "
        "there = [name for name, needed in HEADLESS.items() if all(map(_loads, needed))]; "
        "print(os.environ.get('MUJOCO_GL'), *there)"
    )

    def chosen(**given: str) -> list[str]:
        hidden = {"DISPLAY", "WAYLAND_DISPLAY", "MUJOCO_GL"}
        env = {k: v for k, v in os.environ.items() if k not in hidden} | given
        told = subprocess.run(
            [sys.executable, "-c", program], env=env, text=True, check=True, capture_output=True
        ).stdout
        return told.split()

    name, *there = chosen()
    assert name == (there[0] if there else "None")
    assert chosen(DISPLAY=":0")[0] == "None"
    assert chosen(MUJOCO_GL="glfw")[0] == "glfw"


@pytest.mark.parametrize(
    ("env_id", "package", "extra"),
    [("HalfCheetah-v5", "mujoco", "mujoco"), ("LunarLander-v3", "Box2D", "box2d")],
)
def test_a_missing_package_is_told_with_the_extra_that_brings_it(
    env_id: str, package: str, extra: str, tmp_path: Path
) -> None:
    program = (
        f"import sys; sys.modules[{package!r}] = None\n"
        "import importlib.util as u; find = u.find_spec\n"
        f"u.find_spec = lambda name, *more: None if name == {package!r} else find(name, *more)\n"
        "from volition.envs.scene import open_scene\n"
        f"open_scene({env_id!r})"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, text=True, capture_output=True
    )
    assert done.returncode == 1
    told = done.stderr.splitlines()[-1]
    assert told.startswith("volition.errors.EnvironmentUnsupported: ")
    assert told.endswith(f'pip install "volition[{extra}]"')


def test_libraries_that_are_not_there_are_told(tmp_path: Path) -> None:
    """As though the user had chosen OSMesa where there is none."""
    program = (
        "import sys, ctypes, ctypes.util; ctypes.util.find_library = lambda name: None\n"
        "load = ctypes.CDLL.__init__\n"
        "def refuse(self, name, *more, **kwargs):\n"
        "    if 'OSMesa' in str(name): raise OSError(name)\n"
        "    load(self, name, *more, **kwargs)\n"
        "ctypes.CDLL.__init__ = refuse\n"
        "from volition.envs.scene import open_scene\n"
        "scene = open_scene('Reacher-v5')\n"
        "scene.draw(dict.fromkeys(scene.fields, 0.0))"
    )
    env = os.environ | {"MUJOCO_GL": "osmesa"}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=env, text=True, capture_output=True
    )
    told = done.stderr.splitlines()[-1]
    assert told.startswith("volition.errors.EnvironmentUnsupported: MuJoCo")
    assert "apt-get install libegl1" in told


def test_an_import_that_fails_is_told_as_it_is(tmp_path: Path) -> None:
    """As of a library of another NumPy's: nobody has chosen a way of drawing."""
    (tmp_path / "mujoco").mkdir()
    (tmp_path / "mujoco" / "__init__.py").write_text("raise ValueError('dtype size changed')")
    program = "from volition.envs.scene import make_env; make_env('HalfCheetah-v5')"
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"PYTHONPATH": path},
        text=True,
        capture_output=True,
    )
    told = done.stderr.splitlines()[-1]
    assert "mujoco cannot be imported: ValueError: dtype size changed (__init__.py:1)" in told
    assert "MUJOCO_GL" not in told


@pytest.mark.usefixtures("cheetah")
def test_a_model_that_changes_with_a_reset_is_filmed() -> None:
    from gymnasium.envs.mujoco.inverted_pendulum_v5 import InvertedPendulumEnv

    class Shelf(InvertedPendulumEnv):
        """It puts its cart elsewhere at every reset, as AdroitHand its objects."""

        def reset_model(self) -> Any:
            self.model.body_pos[1, 2] = self.np_random.uniform(-0.2, 0.2)
            return super().reset_model()  # type: ignore[no-untyped-call]

        def _get_obs(self) -> Any:
            observation = super()._get_obs()  # type: ignore[no-untyped-call]
            return np.append(observation[:3], self.model.body_pos[1, 2])

    gymnasium.register("test/Shelf-v0", Shelf, max_episode_steps=30)
    try:
        with pytest.raises(EnvironmentUnsupported, match=r"than its state \(entry 3 is off"):
            open_scene("test/Shelf-v0")
        pairs = covering_pairs(EnvironmentSection(id="test/Shelf-v0"), JudgeView(), 3, 0)
    finally:
        del gymnasium.registry["test/Shelf-v0"]
    assert all(not segment.states for pair in pairs for segment in pair)


@pytest.mark.parametrize("env_id", ["Ant-v5", "Humanoid-v5", "Pusher-v5"])
def test_forces_of_the_last_step_are_no_part_of_a_state(env_id: str) -> None:
    assert open_scene(env_id).fields


@pytest.mark.usefixtures("cheetah")
def test_a_program_that_draws_ends_quietly_and_leaves_no_log_behind(tmp_path: Path) -> None:
    program = (
        "from volition.envs.scene import draw, make_env, open_scene\n"
        "kept, dropped = open_scene('HalfCheetah-v5'), open_scene('Hopper-v5')\n"
        "for scene in (kept, dropped): scene.draw(dict.fromkeys(scene.fields, 0.0))\n"
        "del dropped, scene\n"
        "env = make_env('Reacher-v5', render_mode='rgb_array')\n"
        "env.reset()\n"
        "draw(env)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, text=True, check=True, capture_output=True
    )
    assert done.stderr == ""
    assert list(tmp_path.iterdir()) == []
