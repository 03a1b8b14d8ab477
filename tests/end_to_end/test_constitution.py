"""A run whose goal has a constitution with a veto in it, judged by a judge that knows the truth."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from volition.compilation import enable_cache
from volition.loop import Run, train
from volition.report import write_report
from volition.run_folder import LiveSettings, RunFolder
from volition.segment import Observations
from volition.truth import TRUTHS, Truth
from volition.verification import verify

UP, DOWN, LEFT = "Higher is better.", "Lower is better.", "It never leans to the right."
TASK = """\
name = "leaning"
environment = { id = "Pendulum-v1" }
view = { crop = [0.25, 0.25, 0.75, 0.75], size = [32, 32] }
reward = { observations = [0, 1] }
training = { steps = 800, first_judgments = 150 }

[goal]
text = "The rod points up."
principles = ["Higher is better."]
constitution = "law.txt"
"""
LAW = "# what else\nThe rod is up.\nLower is better.\nveto: It never leans to the right.\n"


def height(observed: Observations) -> float:
    return float(observed[:, 0].mean() + 1) / 2


def leans_left(observed: Observations) -> float:
    return float((observed[:, 1] > 0).mean())


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A run on the goal, and on what is true of it and of its principles."""
    truth = Truth(height, (0, 1), principles={DOWN: lambda o: 1 - height(o), LEFT: leans_left})
    monkeypatch.setitem(TRUTHS, "leaning", truth)
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(enable_cache()))
    folder = tmp_path / "task"
    folder.mkdir()
    (folder / "task.toml").write_text(TASK)
    (folder / "law.txt").write_text(LAW)
    judge = LiveSettings("simulated:noisy:0.05", 150, first=150)
    made = train(str(folder), judge=judge, out=tmp_path / "run")
    for file in folder.iterdir():
        file.unlink()
    return made


def test_principles_are_drawn_measured_and_shown_and_the_veto_caps(run: Run) -> None:
    folder = RunFolder.open(run.folder.path)
    goal = folder.task.stated_goal()
    assert goal.principles == (UP, "The rod is up.", DOWN), "the constitution is kept in the run"
    assert goal.vetoes == (LEFT,)
    with folder.open_store() as store:
        used = Counter(judgment.principle for judgment in store.judgments())
    assert set(used) == {*goal.principles, LEFT}
    assert 35 <= used[LEFT] <= 65
    result = folder.read(folder.result)
    slopes = {each["principle"]: each["slope"] for each in result["principles"]}
    assert slopes[DOWN] < 0 < min(slopes[UP], slopes["The rod is up."])
    assert [(a["kind"], a["principles"]) for a in result["alarms"]] == [("contradicts", [DOWN])]
    assert any("contradicts the other principles" in warning for warning in result["warnings"])
    (veto,) = result["vetoes"]
    assert veto["caps"]
    assert veto["heldout"]["share"] > 0.6
    angles = np.linspace(-np.pi, np.pi, 180)
    states = jnp.asarray(np.stack([np.cos(angles), np.sin(angles), 0 * angles], -1))
    rewards = np.asarray(run.reward_model(states))
    assert 0 < np.degrees(angles[rewards.argmax()]) < 90, "up, and on the side that is allowed"
    assert verify(folder) == []
    page = write_report(folder).read_text(encoding="utf-8")
    assert "What the judge went by" in page
    assert "A contradiction" in page
    assert page.count("simulated judge") > 3
    assert f"under “{LEFT}”" in page
