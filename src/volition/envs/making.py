"""Environments are made here, with errors that say what to do, and also where no display is."""

from __future__ import annotations

import ctypes
import inspect
import os
import re
import sys
import traceback
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import gymnasium

from volition.errors import EnvironmentUnsupported
from volition.tasks.task import Kwargs

EXTRAS = ("box2d", "mujoco")  # of this package, by the names of Gymnasium's
# MuJoCo's names for what draws without a display, and the libraries that each needs
HEADLESS = {"egl": ("libEGL.so.1", "libOpenGL.so.0"), "osmesa": ("libOSMesa.so.8",)}
OURS = ("render_mode",)  # the keyword arguments that are chosen here
GL_PACKAGES = "libegl1 libopengl0 libgl1-mesa-dri"  # of Debian


def make_env(env_id: str, kwargs: Kwargs | None = None, **more: Any) -> Any:
    """`gymnasium.make`, with errors that say what to do.

    Raises:
        EnvironmentUnsupported: No environment has that id, it cannot be made with these keyword
            arguments, or something it needs is missing.
    """
    if more.get("render_mode") == "rgb_array":
        # Pygame opens a screen and a sound card even to draw into memory, and says so if it cannot.
        os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
        os.environ.setdefault("SDL_AUDIODRIVER", "dummy")
    choose_gl()
    _import_module_of(env_id)
    try:
        with _loaded_quietly(env_id):
            return gymnasium.make(env_id, **(kwargs or {}), **more)
    except gymnasium.error.DependencyNotInstalled as error:
        raise EnvironmentUnsupported(f"{env_id} needs a package more: {_named(error)}") from error
    except EnvironmentUnsupported:
        raise
    except Exception as error:  # whatever the environment's own code raises
        reason = (
            _unknown(env_id, kwargs or {}) or f"gymnasium cannot make {env_id!r}: {said(error)}"
        )
        raise EnvironmentUnsupported(reason) from error


def said(error: Exception) -> str:
    """What somebody else's code says is wrong, in one line, and where in that code it was."""
    message = " ".join(str(error).split()) or "it does not say why"
    if isinstance(error, TypeError):
        message = "it cannot use a value of that kind"
    files = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith("<")]
    if isinstance(error, gymnasium.error.Error | SyntaxError) or not files:
        return message
    return f"{message} ({Path(files[-1].filename).name}, line {files[-1].lineno})"


def _import_module_of(env_id: str) -> None:
    """Imports the module that MODULE:NAME-v0 names, also from the working folder, which a program
    that is started by its own name does not look into."""
    module, colon, _ = env_id.partition(":")
    if not colon:
        return
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.append(here)
    try:
        import_module(module)
    except ModuleNotFoundError as error:
        raise EnvironmentUnsupported(
            f"{env_id!r}: there is no module {error.name!r}: it is not installed, and not in this "
            "folder"
        ) from error
    except Exception as error:  # whatever its own code raises
        raise EnvironmentUnsupported(
            f"{env_id!r}: the module {module!r} cannot be imported: {said(error)}"
        ) from error


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
    """Lets MuJoCo draw without a display, where there is none and the user has not chosen.

    MuJoCo looks at the environment variable when it is first imported, so this comes before.
    """
    display = any(map(os.environ.get, ("DISPLAY", "WAYLAND_DISPLAY")))
    if sys.platform == "linux" and "MUJOCO_GL" not in os.environ and not display:
        usable = [name for name, needed in HEADLESS.items() if all(map(_loads, needed))]
        if usable:
            os.environ["MUJOCO_GL"] = usable[0]


@contextmanager
def _loaded_quietly(env_id: str) -> Iterator[None]:
    """Makes an environment without what its libraries say of themselves at every start."""
    spec = gymnasium.registry.get(env_id)
    entry_point = str(getattr(spec, "entry_point", ""))
    if ".box2d." in entry_point and find_spec("Box2D") is not None:
        with warnings.catch_warnings():
            # Its bindings warn of their own types, and crash where that warning is an error.
            warnings.simplefilter("ignore", DeprecationWarning)
            import_module("Box2D")
    with ExitStack() as stack:
        if ".mujoco." in entry_point and find_spec("mujoco") is not None:
            stack.enter_context(_models_loaded_quietly())
        yield


@contextmanager
def _models_loaded_quietly() -> Iterator[None]:
    """MuJoCo warns about Gymnasium's own models whenever one is loaded, and writes that into a file
    in the current folder, too. What it says later, of a simulation, is still shown."""
    try:
        mujoco: Any = import_module("mujoco")
    except ImportError:
        raise
    except Exception as error:  # whatever the libraries that MUJOCO_GL names do
        raise EnvironmentUnsupported(
            f"MuJoCo cannot draw as MUJOCO_GL={os.environ.get('MUJOCO_GL')} says: unset it, or on "
            f"Debian apt-get install {GL_PACKAGES} ({error})"
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


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def _unknown(env_id: str, kwargs: Kwargs) -> str | None:
    """Which of the keyword arguments the environment does not have, where it says which it has."""
    entry_point: Any = getattr(gymnasium.registry.get(env_id), "entry_point", None)
    if isinstance(entry_point, str):
        entry_point = gymnasium.envs.registration.load_env_creator(entry_point)
    parameters = inspect.signature(entry_point).parameters if entry_point else {}
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
