"""Gymnasium's MuJoCo environments as scenes, drawn fast.

Shadows, reflections and multisampling are off, and what a judge sees is made of fewer triangles:
they are most of the time that a drawing takes on a processor. Where the environment moves along a
track, the camera goes with it, and coloured posts stand beside the track at every metre: without
them nobody could see in a storyboard how far something has come.
"""

from __future__ import annotations

import atexit
from collections.abc import Callable
from concurrent.futures import Future
from functools import cache
from queue import SimpleQueue
from threading import Thread, current_thread
from typing import Any
from weakref import WeakKeyDictionary, finalize

import mujoco
import numpy as np
import numpy.typing as npt

from volition.comparison import Observations, Pixels, State
from volition.envs.checking import explained, tried
from volition.envs.making import GL_PACKAGES
from volition.errors import EnvironmentUnsupported

LIVE = 320  # pixels at least, of the longer side of a drawing that people watch
TRACKING = "track"  # the name of the camera that follows, in Gymnasium's models
FLOOR = 20.0  # metres after which the tiles repeat under what runs in Gymnasium, and the posts do
POSTS = 3  # on either side of the camera, which sees two
POST_COLOURS = (
    (0.85, 0.1, 0.1),
    (0.95, 0.6, 0.1),
    (0.95, 0.9, 0.2),
    (0.1, 0.6, 0.2),
    (0.15, 0.3, 0.85),
)
SLICES, STACKS = 12, 6  # of a round body, of MuJoCo's 28 and 16: a judge's frames are small
POST_WIDTH, POST_HEIGHT, POST_DISTANCE = 0.07, 1.2, 1.0  # metres; behind what is watched


class Studio:
    """The one thread that draws, whoever asks: what OpenGL draws with belongs to a thread.

    It lives as long as Python does, so that what was drawn with can be given back at the end.
    """

    def __init__(self) -> None:
        self._asked: SimpleQueue[tuple[Future[Any], Callable[[], Any]]] = SimpleQueue()
        self._thread = Thread(target=self._work, name="drawing", daemon=True)
        self._thread.start()

    def do(self, work: Callable[[], Any]) -> Any:
        """What `work` returns or raises."""
        if current_thread() is self._thread:  # garbage is collected there, too
            return work()
        future: Future[Any] = Future()
        self._asked.put((future, work))
        return future.result()

    def _work(self) -> None:
        while True:
            future, work = self._asked.get()
            try:
                future.set_result(work())
            except BaseException as error:  # whoever asked is told
                future.set_exception(error)
            del future, work  # else the last drawing is kept until the next


@cache
def studio() -> Studio:
    return Studio()


class MujocoScene:
    """A MuJoCo environment that can be set to any positions and velocities. Implements
    `task.Scene`.

    What else MuJoCo keeps is left out: activations, and the forces of the last step. What is
    observed of them (the contact forces of Ant and Humanoid) is that of the state at rest from
    control.
    """

    ranges = None  # a random half-cheetah has its feet in the ground

    def __init__(self, env: Any) -> None:
        self._env = env.unwrapped
        env.reset(seed=0)
        self.fields = (*joint_names(self._env.model, ""), *joint_names(self._env.model, "_dot"))
        self._positions = self._env.model.nq
        self._painter: Painter | None = None

    def observe(self, state: State) -> Observations:
        self._set(state)
        return np.asarray(self._env._get_obs(), np.float32)

    def capture(self, env: Any) -> npt.NDArray[np.float64]:
        data = env.unwrapped.data
        return np.concatenate((data.qpos, data.qvel))

    def draw(self, state: State) -> Pixels:
        self._set(state)
        if self._painter is None:
            quality = self._env.model.vis.quality
            quality.numslices, quality.numstacks = SLICES, STACKS
            self._painter = Painter(self._env, self._env.width, self._env.height)
        return self._painter.draw()

    def _set(self, state: State) -> None:
        vector = np.array([state[field] for field in self.fields])
        model, data = self._env.model, self._env.data
        mujoco.mj_resetData(model, data)  # else the last solution's forces would start this one
        self._env.set_state(vector[: self._positions], vector[self._positions :])
        mujoco.mj_rnePostConstraint(model, data)


class Painter:
    """Draws the state that an environment is in, so wide and high in pixels.

    Raises:
        EnvironmentUnsupported: There is no OpenGL.
    """

    def __init__(self, env: Any, width: int, height: int) -> None:
        self._model, self._data = env.model, env.data
        self._model.vis.quality.offsamples = 0
        try:
            renderer = studio().do(lambda: mujoco.Renderer(self._model, height, width))
        except Exception as error:  # each way of drawing has errors of its own
            raise EnvironmentUnsupported(
                f"MuJoCo cannot draw: {explained(error)}. It needs OpenGL: without a display, on "
                f"Debian, apt-get install {GL_PACKAGES}; and if mujoco was imported before "
                "volition, set MUJOCO_GL=egl before that"
            ) from error
        self._renderer = renderer
        close = finalize(self, studio().do, renderer.close)
        close.atexit = False
        atexit.register(close)  # before MuJoCo's own, which takes the display away
        for flag in (mujoco.mjtRndFlag.mjRND_SHADOW, mujoco.mjtRndFlag.mjRND_REFLECTION):
            self._renderer.scene.flags[flag] = False
        self._camera = _camera(env)
        self._tracks = self._camera.type != mujoco.mjtCamera.mjCAMERA_FREE

    def draw(self) -> Pixels:
        """uint8 (height, width, 3)."""
        drawn = tried("MuJoCo", "to draw", lambda: studio().do(self._draw))
        return np.asarray(drawn, np.uint8)

    def _draw(self) -> Any:
        self._renderer.update_scene(self._data, self._camera)
        if self._tracks:
            self._lay_floor()
            self._plant_posts()
        return self._renderer.render()

    def _lay_floor(self) -> None:
        """Moves the floor along, by whole repetitions of its tiles: it is drawn for some 20 to 40
        metres only, and a body that runs beyond would run over nothing."""
        moved = FLOOR * np.round(self._data.subtree_com[0][:2] / FLOOR)
        for geom in self._renderer.scene.geoms[: self._renderer.scene.ngeom]:
            if geom.type == mujoco.mjtGeom.mjGEOM_PLANE:
                geom.pos[:2] += moved

    def _plant_posts(self) -> None:
        scene = self._renderer.scene
        middle, depth = self._data.subtree_com[0][:2]
        size = np.array([POST_WIDTH / 2, POST_WIDTH / 2, POST_HEIGHT / 2])
        for metre in range(round(middle) - POSTS, round(middle) + POSTS + 1):
            colour = np.array([*POST_COLOURS[metre % len(POST_COLOURS)], 1.0], np.float32)
            place = np.array([metre, depth + POST_DISTANCE, POST_HEIGHT / 2])
            mujoco.mjv_initGeom(
                scene.geoms[scene.ngeom],
                mujoco.mjtGeom.mjGEOM_BOX,
                size,
                place,
                np.eye(3).ravel(),
                colour,
            )
            scene.ngeom += 1


def draws_itself(env: Any) -> bool:
    """Whether a MuJoCo environment draws in a way of its own."""
    from gymnasium.envs.mujoco import MujocoEnv

    return type(env).render is not MujocoEnv.render


def draw_mujoco(env: Any) -> Pixels:
    """What a live environment looks like now, large enough for a film: uint8 (height, width, 3)."""
    if env not in _PAINTERS:
        larger = max(1.0, LIVE / max(env.width, env.height))
        _PAINTERS[env] = Painter(env, round(larger * env.width), round(larger * env.height))
    return _PAINTERS[env].draw()


_PAINTERS: WeakKeyDictionary[Any, Painter] = WeakKeyDictionary()


def _camera(env: Any) -> Any:
    """The camera that follows, if the model has one or the environment names a body to follow."""
    camera, config = mujoco.MjvCamera(), env.mujoco_renderer.default_cam_config or {}
    chosen = env.camera_name or TRACKING
    fixed = mujoco.mj_name2id(env.model, mujoco.mjtObj.mjOBJ_CAMERA, chosen)
    if env.camera_id is not None:
        fixed = env.camera_id
    if fixed >= 0:
        camera.type, camera.fixedcamid = mujoco.mjtCamera.mjCAMERA_FIXED, fixed
        return camera
    mujoco.mjv_defaultFreeCamera(env.model, camera)
    for key, value in config.items():
        if np.ndim(value):
            getattr(camera, key)[:] = value
        else:
            setattr(camera, key, value)
    if config.get("trackbodyid", 0) > 0:
        camera.type = mujoco.mjtCamera.mjCAMERA_TRACKING
    return camera


def joint_names(model: Any, suffix: str) -> list[str]:
    """A name for every entry of qpos, or of qvel: its joint's, numbered where it has several."""
    starts, total = (model.jnt_dofadr, model.nv) if suffix else (model.jnt_qposadr, model.nq)
    ends = [*starts[1:], total]
    names = []
    for joint, (start, end) in enumerate(zip(starts, ends, strict=True)):
        name = mujoco.mj_id2name(model, mujoco.mjtObj.mjOBJ_JOINT, joint) or f"joint{joint}"
        names += [
            f"{name}{suffix}" if end - start == 1 else f"{name}{suffix}_{entry}"
            for entry in range(end - start)
        ]
    return names
