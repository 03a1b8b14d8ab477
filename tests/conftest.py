"""What several tests share: a small run, values to store, judgments to read."""

from __future__ import annotations

import gc
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from playwright.sync_api import Browser, sync_playwright

from volition.cli.program import GARBAGE
from volition.comparison import Comparison, Frame, Segment
from volition.run.run import Run, train
from volition.storage.compilation import enable_cache

SHORT = 1600  # environment steps: two sessions
Lines = list[dict[str, Any]]

settings.register_profile(
    "at any pace", deadline=None
)  # what fails on a busy machine shows nothing
settings.load_profile("at any pace")


@pytest.fixture(scope="session", autouse=True)
def _compiled_once() -> None:
    """What one worker has compiled no other compiles again, whether or not a run is made."""
    enable_cache()


@pytest.fixture(scope="session", autouse=True)
def _little_garbage() -> None:
    """Looks for garbage less often: tracing programs makes many objects and hardly any of it."""
    gc.freeze()
    gc.set_threshold(GARBAGE)


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A finished run on the bundled judgments, short. Tests must not change it."""
    return train("pendulum", out=tmp_path_factory.mktemp("shared") / "run", steps=SHORT)


QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    executable = shutil.which("chromium")
    if executable is None:
        reason = "there is no chromium: apt-get install chromium"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    with sync_playwright() as playwright:
        # Launched without a user-data folder it makes a fresh one and removes it.
        started = playwright.chromium.launch(executable_path=executable, args=list(QUIET))
        yield started
        started.close()


@pytest.fixture
def task_folder(tmp_path: Path) -> Callable[..., Path]:
    """Makes a task folder on Pendulum-v1 from judgments given by their angles.

    A line is as in judgments.jsonl, without frames: they are drawn.
    """

    def make(lines: Lines, name: str = "task", toml: str = "") -> Path:
        folder = tmp_path / name
        folder.mkdir()
        (folder / "judgments.jsonl").write_text("".join(json.dumps(x) + "\n" for x in lines))
        (folder / "task.toml").write_text(
            toml
            or 'name = "small"\n'
            'environment = { id = "Pendulum-v1" }\n'
            'goal = { text = "upright" }\n'
            "view = { crop = [0.25, 0.25, 0.75, 0.75], size = [24, 24] }\n"
            "reward = { observations = [0, 1] }\n"
            'judgments = { default = "all", sets = { all = "." } }\n'
            "training = { steps = 400 }\n"
        )
        return folder

    return make


def judged(first: float, second: float, verdict: str) -> dict[str, Any]:
    """A line of judgments.jsonl about two angles of a pendulum at rest."""
    return {
        "first": {"theta": first, "theta_dot": 0.0},
        "second": {"theta": second, "theta_dot": 0.0},
        "verdict": verdict,
    }


def swing(start: float, steps: int = 6, speed: float = 2.0) -> dict[str, Any]:
    """A side of a line of judgments.jsonl: a pendulum that turns at one speed."""
    thetas = start + 0.05 * speed * np.arange(steps)
    return {"states": [{"theta": float(theta), "theta_dot": speed} for theta in thetas]}


def angles(count: int, seed: int = 0) -> list[tuple[float, float]]:
    """Pairs of angles, uniform."""
    pairs = np.random.default_rng(seed).uniform(-np.pi, np.pi, (count, 2))
    return [(float(one), float(other)) for one, other in pairs]


def segment(value: float, shade: int | None = None) -> Segment:
    """A state with one observation, shown as a small grey picture."""
    grey = int(abs(value) * 20) % 256 if shade is None else shade
    frame = Frame(np.full((8, 8, 3), grey, np.uint8))
    return Segment(np.array([[value]], np.float32), (frame,))


def clip(value: float, steps: int = 5, frames: int = 3) -> Segment:
    """A clip of one observation that rises, each of its frames a shade lighter."""
    shades = (int(abs(value) * 20 + 3 * number) % 256 for number in range(frames))
    return Segment(
        np.linspace(value, value + 0.5, steps, dtype=np.float32)[:, None],
        tuple(Frame(np.full((8, 8, 3), shade, np.uint8)) for shade in shades),
        tuple({"height": value + step / 3} for step in range(steps)),
    )


def comparison(one: float, other: float, goal_id: str = "goal") -> Comparison:
    return Comparison.between(goal_id, segment(one), segment(other))
