"""A run whose goal has a constitution with a veto in it, judged by a judge that knows the truth."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from volition.comparison import Observations
from volition.evidence.report import write_report
from volition.evidence.scoring import score_run
from volition.evidence.verification import verify
from volition.judges.settings import JudgeSettings
from volition.judging.folders import QuestionFolder
from volition.run.folder import RunFolder
from volition.run.rounds import answer, ask
from volition.run.run import Run, train
from volition.storage.compilation import enable_cache
from volition.tasks.task import Task
from volition.tasks.truth import TRUTHS, Truth

UP, DOWN, LEFT = "Higher is better.", "Lower is better.", "It never leans to the right."
TASK = """\
name = "leaning"
environment = { id = "Pendulum-v1" }
view = { crop = [0.25, 0.25, 0.75, 0.75], size = [32, 32] }
reward = { observations = [0, 1] }
training = { steps = 800, first_judgments = 150 }

[goal]
text = "The rod points up."
truth = "leaning"
principles = ["Higher is better."]
constitution = "law.txt"
"""
LAW = "# what else\nThe rod is up.\nLower is better.\nveto: It never leans to the right.\n"


def height(observed: Observations) -> float:
    return float(observed[:, 0].mean() + 1) / 2


def leans_left(observed: Observations) -> float:
    return float((observed[:, 1] > 0).mean())


def write_task(folder: Path, law: str = LAW) -> Path:
    folder.mkdir()
    (folder / "task.toml").write_text(TASK)
    (folder / "law.txt").write_text(law)
    return folder


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A run on the goal, and on what is true of it and of its principles."""
    truth = Truth(height, (0, 1), principles={DOWN: lambda o: 1 - height(o), LEFT: leans_left})
    monkeypatch.setitem(TRUTHS, "leaning", truth)
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(enable_cache()))
    folder = write_task(tmp_path / "task")
    judge = JudgeSettings("simulated:noisy:0.05", 150, first=150)
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
    result = run.result
    slopes = {heed.principle: heed.slope for heed in result.principles}
    assert slopes[DOWN] < 0 < min(slopes[UP], slopes["The rod is up."])
    assert [(a.kind, a.principles) for a in result.alarms] == [("contradicts", (DOWN,))]
    assert any("contradicts the other principles" in warning for warning in result.warnings)
    (veto,) = result.vetoes
    assert veto.caps
    assert veto.heldout.share > 0.6
    angles = np.linspace(-np.pi, np.pi, 180)
    states = jnp.asarray(np.stack([np.cos(angles), np.sin(angles), 0 * angles], -1))
    rewards = np.asarray(run.reward_model(states))
    assert 0 < np.degrees(angles[rewards.argmax()]) < 90, "up, and on the side that is allowed"
    assert verify(folder) == []
    page = write_report(run).read_text(encoding="utf-8")
    assert "What the judge went by" in page
    assert "A contradiction" in page
    assert page.count("simulated judge") > 3
    assert f"under “{LEFT}”" in page


def judged_offline(asked: QuestionFolder, answers: Path) -> list[dict[str, Any]]:
    """Answers to the pairs of the leaning rod; returns the pairs."""
    rows = [json.loads(line) for line in (asked.folder / "pairs.jsonl").read_text().splitlines()]
    lines = ["pair,choice"]
    for row in rows:
        first, second = (row[side]["theta"] for side in ("first", "second"))
        if "principle" not in row:
            choice = "A" if np.cos(first) > np.cos(second) else "B"
        elif (np.sin(first) > 0) == (np.sin(second) > 0):
            choice = "tie"
        else:
            choice = "A" if np.sin(first) > 0 else "B"
        lines.append(f"{row['pair']},{choice}")
    answers.write_text("\n".join(lines) + "\n")
    answer(asked.folder, answers, "somebody")
    return rows


def test_a_veto_is_judged_without_a_connection(tmp_path: Path) -> None:
    """The last third of the pairs is about the veto, and what is said of it caps the reward."""
    task = write_task(tmp_path / "task", f"veto: {LEFT}\n")
    toml = TASK.replace(f'principles = ["{UP}"]\n', "").replace('truth = "leaning"\n', "")
    (task / "task.toml").write_text(toml)
    asked = ask(str(task), tmp_path / "asked", pairs=90)
    told = " ".join((asked.folder / "README.md").read_text().split())
    assert "Judge the pairs 61 to 90 by this principle alone, whatever the goal says, and" in told
    assert f"> {LEFT}" in told
    rows = judged_offline(asked, tmp_path / "answers.csv")
    assert [row.get("principle") for row in rows] == [None] * 60 + [LEFT] * 30
    run = train(str(task), judgments=asked.folder, out=tmp_path / "run", steps=400)
    (veto,) = run.result.vetoes
    assert (veto.principle, veto.judgments, veto.caps) == (LEFT, 30, True)
    right = jnp.asarray([[np.cos(a), np.sin(a), 0] for a in (-0.5, -1.0, -1.5)])
    left = right * jnp.asarray([1.0, -1.0, 1.0])
    assert float(run.reward_model(right).max()) < float(run.reward_model(left).min())

    others = ask(str(task), tmp_path / "others", pairs=60, seed=1)
    judged_offline(others, tmp_path / "other answers.csv")
    scored = score_run(run, others.folder)
    (of_veto,) = scored.vetoes
    assert (scored.comparisons, of_veto.principle) == (40, LEFT)
    assert of_veto.comparisons + of_veto.ties == 20
    assert scored.accuracy is not None
    assert of_veto.accuracy is not None
    assert min(scored.accuracy, of_veto.accuracy) > 0.8


def test_each_sheet_is_judged_under_one_principle(tmp_path: Path) -> None:
    quick, all_the_way = Task.find("guest", "careful").stated_goal().principles
    (veto,) = Task.find("guest", "careful").stated_goal().vetoes
    asked = ask(
        "guest",
        tmp_path / "asked",
        pairs=12,
        per_sheet=3,
        goal="careful",
        batches=["openai:gpt-4o-mini"],
    )
    rows = [json.loads(line) for line in (asked.folder / "pairs.jsonl").read_text().splitlines()]
    assert [row["principle"] for row in rows] == [quick] * 4 + [all_the_way] * 4 + [veto] * 4
    sheets = [f"sheets/sheet-{number}.png" for number in (1, 1, 1, 2, 3, 3, 3, 4, 5, 5, 5, 6)]
    assert [row["sheet"] for row in rows] == sheets
    assert len(asked.sheets) == len([*(asked.folder / "sheets").iterdir()]) == 6
    page = (asked.folder / "README.md").read_text()
    of_veto = page[page.index("Judge the pairs 9 to 12 by this principle alone") :]
    assert f"> {veto}\n\n- [sheets/sheet-5.png](sheets/sheet-5.png): pairs 9 to 11\n" in of_veto
    assert f"Judge the pairs 5 to 8 under this principle of the goal:\n\n> {all_the_way}" in page
    (batch,) = (asked.folder / "batch").glob("*.jsonl")
    requests = batch.read_text().splitlines()
    assert [quick in each for each in requests] == [True, True, *[False] * 4]
    assert ["by this principle alone" in each for each in requests] == [*[False] * 4, True, True]
