"""What is installed, which devices there are, and which keys are set: for a person to read."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import shutil
from collections.abc import Iterator

from volition.run.folder import current_versions
from volition.storage.compilation import enable_cache

KEYS = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "GOOGLE_API_KEY")
OPTIONAL = ("stable_baselines3", "torch", "mujoco", "Box2D")


def findings() -> Iterator[tuple[str, str]]:
    """Pairs of a thing and its state. A key is never shown, only whether it is set."""
    yield from current_versions().items()
    import jax

    yield "devices", ", ".join(str(device) for device in jax.devices())
    yield "compilation cache", str(enable_cache())
    for module in OPTIONAL:
        installed = importlib.util.find_spec(module) is not None
        yield f"optional: {module}", "installed" if installed else "not installed"
    for key in KEYS:
        yield f"key: {key}", "set" if os.environ.get(key) else "not set"
    yield "chromium (for tests)", shutil.which("chromium") or "not found"
