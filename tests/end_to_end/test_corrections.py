"""A correction in words: `volition say`, from the sentence to the next version and back.

The judges are simulated, and know what is true of the goal and of the planted principle.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from volition import cli
from volition.comparison import Observations
from volition.errors import InputError, RunError
from volition.evidence.export import export
from volition.evidence.verification import verify
from volition.goal import Change, Goal
from volition.judges.settings import JudgeSettings
from volition.judgment import Verdict
from volition.run.correcting import changing
from volition.run.correcting.proposing import LONGEST, propose
from volition.run.correcting.saying import plan, say, undo
from volition.run.correcting.versions import versions_of
from volition.run.folder import RunFolder
from volition.run.run import Run, train
from volition.storage.compilation import enable_cache
from volition.tasks.truth import TRUTHS, Truth

LEFT = "It never leans to the right."
PAIRS = 60
TASK = """\
name = "leaning"
environment = { id = "Pendulum-v1" }
goal = { text = "The rod points up.", truth = "leaning" }
view = { crop = [0.25, 0.25, 0.75, 0.75], size = [32, 32] }
reward = { observations = [0, 1] }
training = { steps = 1600 }
"""


def height(observed: Observations) -> float:
    return float(observed[:, 0].mean() + 1) / 2


def up_and_left(observed: Observations) -> float:
    """Up, but to the right of it nothing is worth much."""
    return height(observed) - 2 * float((observed[:, 1] < 0).mean())


def truth() -> Truth:
    return Truth(height, (0, 1), principles={LEFT: up_and_left})


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run, its film and its page. Tests must not change it."""
    enable_cache()
    folder = tmp_path_factory.mktemp("first")
    (folder / "task").mkdir()
    (folder / "task" / "task.toml").write_text(TASK)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(TRUTHS, "leaning", truth())
        words = ["train", str(folder / "task"), "--judge", "simulated:exact", "--out"]
        limits = ["--max-judgments", str(PAIRS), "--first", str(PAIRS), "--max-usd", "1"]
        assert cli.main([*words, str(folder / "run"), *limits]) == 0
    return folder / "run"


@pytest.fixture
def run(first: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Likewise one that a test may change."""
    monkeypatch.setitem(TRUTHS, "leaning", truth())
    shutil.copytree(first, tmp_path / "run")
    return tmp_path / "run"


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def version_of(folder: Path) -> dict[str, bytes]:
    """What a run holds of its version, but for the curves and the configuration."""
    named = (*changing.OUTCOME, "checkpoint.safetensors", "kept")
    return {n: held for n, held in contents(folder).items() if n.split("/")[0] in named}


def answers(folder: Path) -> int:
    with RunFolder.open(folder).open_store() as store:
        return sum(isinstance(judgment.outcome, Verdict) for judgment in store.judgments())


def rewards(folder: Path) -> tuple[float, float]:
    """Of leaning 20 degrees to the left, and to the right."""
    angles = np.radians([20.0, -20.0])
    states = jnp.asarray(np.stack([np.cos(angles), np.sin(angles), 0 * angles], -1))
    left, right = np.asarray(Run.open(folder).reward_model(states)).tolist()
    return left, right


def test_a_principle_makes_the_next_version_and_goes_back(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before, steps = version_of(run), Run.open(run).result.env_steps
    assert cli.main(["say", str(run), LEFT, "--yes", "--json"]) == 0
    out, err = capsys.readouterr()
    assert f"version 1: The rod points up.\nversion 2: The rod points up.\n  - {LEFT}\n" in out
    assert "10 of 60 judged pairs are judged again first, at most 20 in all" in out
    assert "answers of the sample are others now" in err
    result = json.loads(out.splitlines()[-1])
    assert result["version"] == 2
    assert result["env_steps"] <= steps * 1.5
    assert rewards(run)[0] > rewards(run)[1] + 0.5, "what was said is in the reward"
    assert version_of(run / "versions" / "1") == before
    folder = RunFolder.open(run)
    with folder.open_store() as store:
        old, new = versions_of(folder, store)
        asked = [judgment.principle for judgment in store.judgments()][PAIRS:]
        counting = folder.judgments(store)
        put = store.put()
    assert (old.number, new.number, new.now, old.undone) == (1, 2, True, False)
    assert old.film == "versions/1/policy.mp4"
    assert 10 < asked.count(LEFT) <= 20 + 20
    pairs = [put[judgment.comparison_id].pair for judgment in counting]
    assert len(pairs) == len(set(pairs)), "what was asked again counts once"
    assert verify(folder) == []
    page = folder.report.read_text(encoding="utf-8")
    assert "What was said of it" in page
    assert 'href="versions/1/policy.mp4"' in page
    paid = answers(run)
    after = version_of(run)

    assert cli.main(["say", str(run), "--undo"]) == 0
    assert "is version 1 again" in capsys.readouterr().out
    assert version_of(run) == before
    assert Run.open(run).advance() == Run.open(run).result, "nothing is learned anew"
    assert version_of(run) == before
    assert verify(RunFolder.open(run)) == []
    assert version_of(run / "versions" / "2") == after
    assert answers(run) == paid, "nothing that was paid for is deleted"
    assert cli.main(["say", str(run), "--list"]) == 0
    listed = capsys.readouterr().out
    assert "version 1 (now)" in listed
    assert "version 2 (taken back)" in listed
