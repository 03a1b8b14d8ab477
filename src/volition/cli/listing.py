"""The verbs that list what there is: tasks, doctor."""

from __future__ import annotations

import importlib
import importlib.util
import os
import shutil
from collections.abc import Iterator
from contextlib import closing

KEYS = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "GOOGLE_API_KEY")
# What is tried of each module: an environment that it draws, or nothing but to import it
OPTIONAL = {
    "stable_baselines3": None,
    "torch": None,
    "mujoco": "InvertedPendulum-v5",
    "Box2D": "LunarLander-v3",
}


def tasks() -> int:
    """List the tasks that come with Volition."""
    from volition.tasks.task import BUNDLED, Task, bundled_names

    for name in bundled_names():
        goals = Task.read_all(BUNDLED / name)
        task = next(iter(goals.values()))
        print(f"{name:16} {task.environment.id:24} {task.summary}")
        for goal, stated in goals.items():
            if goal is not None:
                is_default = " (default)" if stated is task else ""
                print(f"{'':16} --goal {goal}{is_default}: {stated.goal.text}")
            if stated.judgments:
                default = stated.judgments.default
                others = ", ".join(sorted({*stated.judgments.sets} - {default})) or "none"
                print(f"{'':16} recorded judgments: {default} (default); others: {others}")
    return 0


def doctor() -> int:
    """Say what is installed, which devices JAX sees, and which judge keys are set."""
    for name, value in findings():
        print(f"{name:28} {value}")
    return 0


def findings() -> Iterator[tuple[str, str]]:
    """Pairs of a thing and its state. A key is never shown, only whether it is set."""
    import jax

    from volition.run.folder import current_versions
    from volition.storage.compilation import enable_cache

    yield from current_versions().items()

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
