"""What is installed and works, which devices there are, and which keys are set: for a person."""

from __future__ import annotations

import importlib
import importlib.util
import os
import shutil
from collections.abc import Iterator
from contextlib import closing

from volition.run.folder import current_versions
from volition.storage.compilation import enable_cache

KEYS = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "GOOGLE_API_KEY")
# What is tried of each module: an environment that it draws, or nothing but to import it
OPTIONAL = {
    "stable_baselines3": None,
    "torch": None,
    "mujoco": "InvertedPendulum-v5",
    "Box2D": "LunarLander-v3",
}


def findings() -> Iterator[tuple[str, str]]:
    """Pairs of a thing and its state. A key is never shown, only whether it is set."""
    yield from current_versions().items()
    import jax

    yield "devices", ", ".join(str(device) for device in jax.devices())
    yield "compilation cache", str(enable_cache())
    yield "drawing", _tried("Pendulum-v1")
    for module, environment in OPTIONAL.items():
        yield f"optional: {module}", _standing(module, environment)
    for key in KEYS:
        yield f"key: {key}", "set" if os.environ.get(key) else "not set"
    yield "chromium (for tests)", shutil.which("chromium") or "not found"


def _standing(module: str, environment: str | None) -> str:
    """Whether a module is there and does what it is there for, which is tried."""
    from volition.envs.checking import explained
    from volition.envs.making import choose_gl

    if importlib.util.find_spec(module) is None:
        return "not installed"
    if environment is not None:
        return f"installed, {_tried(environment)}"
    choose_gl()
    try:
        importlib.import_module(module)
    except Exception as error:  # whatever somebody's library does
        return f"installed, and cannot be imported: {explained(error)}"
    return "installed"


def _tried(environment: str) -> str:
    """Whether this environment can be drawn."""
    from volition.envs.scene import draw, make_env
    from volition.errors import EnvironmentUnsupported

    try:
        with closing(make_env(environment, render_mode="rgb_array")) as env:
            env.reset(seed=0)
            if draw(env).std() > 0:
                return f"{environment} is drawn"
    except EnvironmentUnsupported as error:
        return f"{environment} fails: {error}"
    return f"{environment} is drawn in one colour: nothing would be seen"
