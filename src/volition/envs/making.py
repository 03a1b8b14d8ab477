"""Environments are made here, with errors that say what to do, and also where no display is."""

from __future__ import annotations

import ctypes
import inspect
import io
import os
import re
import sys
import traceback
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, redirect_stdout, suppress
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import gymnasium

from volition.envs.checking import Checked, explained, hinted, tried
from volition.errors import EnvironmentUnsupported, VolitionError
from volition.tasks.task import Kwargs

EXTRAS = ("box2d", "mujoco")  # of this package, by the names of Gymnasium's
# MuJoCo's names for what draws without a display, and the libraries that each needs
HEADLESS = {"egl": ("libEGL.so.1", "libOpenGL.so.0"), "osmesa": ("libOSMesa.so.8",)}
# SDL's names for screens that are nowhere, of which the first that it has is taken. Not "dummy"
# alone: by that word highway-env knows that nobody looks, and draws nothing.
MEMORY = "offscreen,dummy"
OURS = ("render_mode",)  # the keyword arguments that are chosen here
DRAWING = ("OpenGL", "gl_context", "egl", "osmesa", "glfw")  # in the names of files that draw
HOMES = {
    "ale_py": ("ale-py", "ALE/"),
    "flappy_bird_gymnasium": ("flappy-bird-gymnasium", "FlappyBird-"),
    "gymnasium_robotics": (
        "gymnasium-robotics",
        "Adroit AntMaze_ Fetch FrankaKitchen HandManipulate HandReach PointMaze_",
    ),
    "highway_env": (
        "highway-env",
        "exit- highway- intersection- lane-keeping- merge- parking- racetrack- roundabout- "
        "two-way- u-turn-",
    ),
    "metaworld": ("metaworld", "Meta-World/"),
    "minigrid": ("minigrid", "BabyAI- MiniGrid-"),
    "miniworld": ("miniworld", "MiniWorld-"),
    "panda_gym": (
        "panda-gym",
        "PandaFlip PandaPickAndPlace PandaPush PandaReach PandaSlide PandaStack",
    ),
    "safety_gridworlds_gymnasium": ("safety-gridworlds-gymnasium", "safety_gridworlds/"),
    "shimmy": ("shimmy[dm-control]", "dm_control/"),
}
"""Modules that register environments, each with the package that has it and how the ids begin."""
GL_PACKAGES = "libegl1 libopengl0 libgl1-mesa-dri"  # of Debian


def make_env(env_id: str, kwargs: Kwargs | None = None, **more: Any) -> Any:
    """`gymnasium.make`, with errors that say what to do; all that comes in from it is checked.

    Raises:
        EnvironmentUnsupported: No environment has that id, it cannot be made with these keyword
            arguments, or something it needs is missing.
    """
    if more.get("render_mode") == "rgb_array":
        # Pygame opens a screen and a sound card even to draw into memory, and says so if it cannot.
        os.environ.setdefault("SDL_VIDEODRIVER", MEMORY)
        os.environ.setdefault("SDL_AUDIODRIVER", "dummy")
        # It also takes SIGTERM for a window that is closed, so that nobody could end the program.
        os.environ.setdefault("SDL_NO_SIGNAL_HANDLERS", "1")
    for name in filter((kwargs or {}).__contains__, OURS):
        raise EnvironmentUnsupported(
            f"{env_id}: {name} is no keyword argument to set: it is chosen here"
        )
    choose_gl()
    _import_module_of(env_id)
    printed = False
    if more.get("render_mode") == "rgb_array":
        more["render_mode"] = _drawn_by(env_id)
        printed = more["render_mode"] == "human"
    try:
        with _loaded_quietly(env_id):
            made = gymnasium.make(env_id, **(kwargs or {}), disable_env_checker=True, **more)
    except gymnasium.error.DependencyNotInstalled as error:
        raise EnvironmentUnsupported(f"{env_id} needs a package more: {_named(error)}") from error
    except VolitionError:
        raise
    except (Exception, SystemExit) as error:  # whatever somebody's environment does
        unknown = _unknown(env_id, kwargs or {}) if isinstance(error, TypeError) else None
        of_gymnasium = isinstance(error, gymnasium.error.Error)
        hint = f"{hinted(error)}{_comes_with(env_id, error)}"
        reason = f"{error}{hint}" if of_gymnasium else explained(error)
        raise EnvironmentUnsupported(
            unknown or f"gymnasium cannot make {env_id!r}: {reason}"
        ) from error
    return Checked(Printed(made) if printed else made, env_id, kwargs or {})


class Printed(gymnasium.Wrapper[Any, Any, Any, Any]):
    """An environment that can only print what it looks like, as one that gives it as text."""

    render_mode = "ansi"

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        super().__init__(env)
        self._last: str | None = None

    def reset(self, **options: Any) -> Any:
        with self._heard():
            return self.env.reset(**options)

    def step(self, action: Any) -> Any:
        with self._heard():
            return self.env.step(action)

    def render(self) -> str | None:
        """What was printed last; None where it never prints."""
        with self._heard():
            self.env.render()
        return self._last

    @contextmanager
    def _heard(self) -> Iterator[None]:
        with redirect_stdout(io.StringIO()) as out:
            yield
        self._last = out.getvalue() or self._last


def _drawn_by(env_id: str) -> str:
    """The render mode that gives a picture, or else text; `rgb_array` where nothing is said."""
    metadata = getattr(_class_of(env_id), "metadata", None)
    modes = metadata.get("render_modes") or () if isinstance(metadata, dict) else ()
    named = [mode for mode in modes if isinstance(mode, str)]
    wanted = ("rgb_array", "rgb_array_list", *(m for m in named if "rgb" in m), "ansi", "human")
    return next((mode for mode in wanted if mode in named), "rgb_array")


def _import_module_of(env_id: str) -> None:
    """Imports the module that registers an environment: that of MODULE:NAME-v0, also from the
    working folder, which a program that is started by its own name does not look into; or else the
    one that is known to have it, or is called as its namespace, where it is installed."""
    module, colon, _ = env_id.partition(":")
    if not colon:
        if env_id not in gymnasium.registry and (home := _home_of(env_id)) is not None:
            tried(env_id, f"to import {home}", partial(import_module, home))
        elif not _is_known(env_id):
            _import_homes(env_id)
        return
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.append(here)
    try:
        import_module(module)
    except ModuleNotFoundError as error:
        raise EnvironmentUnsupported(
            f"{env_id!r}: there is no module {error.name!r}: it is not installed, and neither in "
            "this folder nor beside task.toml"
        ) from error
    except Exception as error:  # whatever its own code raises
        raise EnvironmentUnsupported(
            f"{env_id!r}: the module {module!r} cannot be imported: {explained(error)}"
        ) from error


def _home_of(env_id: str) -> str | None:
    """The module that registers an environment; None where none is known that is installed."""
    namespace = env_id.rpartition("/")[0]
    known = [module for module, _ in _known_homes(env_id)]
    called = [namespace, namespace.lower().replace("-", "_")]
    for module in (*known, *filter(str.isidentifier, called)):
        if find_spec(module) is not None:
            return module
    return None


def _is_known(env_id: str) -> bool:
    """Whether Gymnasium has it, if in another version, or could have nothing of that name."""
    try:
        space, name, _ = gymnasium.envs.registration.parse_env_id(env_id)
    except gymnasium.error.Error:
        return True
    return any((spec.namespace, spec.name) == (space, name) for spec in gymnasium.registry.values())


def _import_homes(env_id: str) -> None:
    """Imports the modules of `HOMES` that are installed, one after the other, until one has brought
    the environment: not every id begins as its others do, such as those of Atari before `ALE/`."""
    for module in HOMES:
        if find_spec(module) is not None:
            with suppress(Exception, SystemExit):  # whatever it does: nobody has asked for it
                import_module(module)
            if env_id in gymnasium.registry:
                return


def _known_homes(env_id: str) -> list[tuple[str, str]]:
    return [
        (module, package)
        for module, (package, begins) in HOMES.items()
        if env_id.startswith(tuple(begins.split()))
    ]


def _comes_with(env_id: str, error: BaseException) -> str:
    """How to get the environment, where it is known who has it and that is not installed: follows
    on what Gymnasium says."""
    missing = [package for module, package in _known_homes(env_id) if find_spec(module) is None]
    end = "" if str(error).endswith((".", "?")) else "."
    return f'{end} It comes with {missing[0]}: pip install "{missing[0]}"' if missing else ""


def check_alike(env_id: str, own: Kwargs, other: Kwargs) -> None:
    """That an environment observes and acts alike, whichever keyword arguments it is made with.

    Raises:
        EnvironmentUnsupported: It does not, or cannot be made with one of them.
    """
    spaces = []
    for kwargs in (own, other):
        with closing(make_env(env_id, kwargs)) as env:
            spaces.append(
                (
                    env.observation_space.shape,
                    type(env.action_space).__name__,
                    env.action_space.shape,
                )
            )
    if spaces[0] != spaces[1]:
        (observed, *acts), (observed_there, *acts_there) = spaces
        raise EnvironmentUnsupported(
            f"made with {other} {env_id} observes {observed_there} and acts in {acts_there}; here "
            f"it is made with {own}, observes {observed} and acts in {acts}"
        )


def choose_gl() -> None:
    """Lets MuJoCo and pyglet draw without a display, where there is none and the user has not
    chosen.

    They look at the environment's variables when they are first imported, so this comes before.
    """
    if sys.platform != "linux" or any(map(os.environ.get, ("DISPLAY", "WAYLAND_DISPLAY"))):
        return
    os.environ.setdefault("PYGLET_HEADLESS", "1")  # which MiniWorld draws with
    if "MUJOCO_GL" not in os.environ:
        usable = [name for name, needed in HEADLESS.items() if all(map(_loads, needed))]
        if usable:
            os.environ["MUJOCO_GL"] = usable[0]


@contextmanager
def _loaded_quietly(env_id: str) -> Iterator[None]:
    """Makes an environment without what its libraries say of themselves at every start."""
    comes_from = str(entry_point(env_id) or "")
    if ".box2d." in comes_from and find_spec("Box2D") is not None:
        with warnings.catch_warnings():
            # Its bindings warn of their own types, and crash where that warning is an error.
            warnings.simplefilter("ignore", DeprecationWarning)
            import_module("Box2D")
    with ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        # Gymnasium says at every start, and of every copy, what it thinks of a version or a space.
        warnings.filterwarnings("ignore", module=r"gymnasium\.")
        if ".mujoco." in comes_from and find_spec("mujoco") is not None:
            stack.enter_context(_models_loaded_quietly())
        yield


@contextmanager
def _models_loaded_quietly() -> Iterator[None]:
    """MuJoCo warns about Gymnasium's own models whenever one is loaded, and writes that into a file
    in the current folder, too. What it says later, of a simulation, is still shown."""
    try:
        mujoco: Any = import_module("mujoco")
    except Exception as error:  # whatever its libraries do
        raise EnvironmentUnsupported(
            f"mujoco cannot be imported: {explained(error)}{_of_drawing(error)}"
        ) from error
    if not hasattr(mujoco, "MjLogConfig"):  # of versions before 4
        yield
        return
    config = mujoco.MjLogConfig.get()
    config.logto_file, shown = False, config.logto_console
    config.logto_console = False
    mujoco.MjLogConfig.set(config)
    try:
        yield
    finally:
        config.logto_console = shown
        mujoco.MjLogConfig.set(config)


def _of_drawing(error: Exception) -> str:
    """What to do about an error of the library that MuJoCo draws with, as MUJOCO_GL says; nothing
    where it comes of something else."""
    files = [frame.filename for frame in traceback.extract_tb(error.__traceback__)]
    chosen = os.environ.get("MUJOCO_GL")
    if not chosen or not any(part in file for part in DRAWING for file in files):
        return ""
    return f"; MUJOCO_GL is {chosen}: unset it, or on Debian apt-get install {GL_PACKAGES}"


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def entry_point(env_id: str) -> Any:
    """Where the environment comes from; None before its module has been imported."""
    return getattr(gymnasium.registry.get(env_id.rpartition(":")[2]), "entry_point", None)


def _class_of(env_id: str) -> Any:
    """What makes the environment, mostly its class; None where that is not to be had."""
    creator = entry_point(env_id)
    if not isinstance(creator, str):
        return creator
    try:
        with _loaded_quietly(env_id):
            return gymnasium.envs.registration.load_env_creator(creator)
    except Exception:  # what is missing is told where it is made
        return None


def _unknown(env_id: str, kwargs: Kwargs) -> str | None:
    """Which of the keyword arguments the environment does not have, where it says which it has."""
    creator = _class_of(env_id)
    parameters = inspect.signature(creator).parameters if creator else {}
    if not parameters or any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return None
    has = [*(name for name in parameters if name not in OURS), "max_episode_steps"]
    unknown = [name for name in kwargs if name not in has]
    if not unknown:
        return None
    return f"{env_id} has no keyword argument {unknown[0]!r} to set; it has {', '.join(has)}"


def _named(error: Exception) -> str:
    """What Gymnasium says is missing, and how it is installed: with an extra of this package."""
    extra = re.search(rf"gymnasium\[({'|'.join(EXTRAS)})\]", str(error))
    if extra is None:
        return str(error)
    missing = str(error).split(",")[0]
    return f'{missing}: pip install "volition[{extra.group(1)}]"'
