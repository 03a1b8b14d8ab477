"""Run folders of version 0.1, as it wrote them: opened, shown, examined and gone on with."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from volition import cli
from volition.run.run import Run

FIXTURES = Path(__file__).parents[1] / "fixtures"


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    return Path(shutil.copytree(FIXTURES / "recorded-0.1", tmp_path / "recorded"))


@pytest.fixture
def live(tmp_path: Path) -> Path:
    return Path(shutil.copytree(FIXTURES / "live-0.1", tmp_path / "live"))


def test_a_finished_run_is_read(recorded: Path) -> None:
    run = Run.open(recorded)
    result = run.advance()
    assert (result.judgments, result.env_steps, result.seed) == (24, 800, 3)
    assert result.return_mean == pytest.approx(-1221.9, abs=0.1)
    assert result.heldout_accuracy == pytest.approx(23 / 24)
    assert len(run.evaluation.true_returns) == 100
    assert [session.env_steps for session in run.history] == [800]
    assert run.reward_fit.heldout == (23, 24)
    assert run.folder.task.goal.truth == "pendulum", "which its configuration does not say"
    assert run.reward_fit.calibration.bins
    upright, down = np.array([[1, 0, 0], [-1, 0, 0]], np.float32)
    assert run.reward_model(upright) > run.reward_model(down)
    assert run.policy(np.zeros((2, 3), np.float32)).shape == (2, 1)


def test_a_finished_run_is_shown_and_examined(recorded: Path, tmp_path: Path) -> None:
    for words in (
        ["report", recorded],
        ["verify", recorded],
        ["score", recorded, "--judgments", "full"],
        ["export", recorded, "--out", tmp_path / "export"],
        ["play", recorded, "--out", tmp_path / "film.mp4"],
        ["ask", recorded, "--pairs", "5", "--out", tmp_path / "asked"],
        ["compare", recorded, "random", "--pairs", "2", "--ask", tmp_path / "pairs"],
    ):
        assert cli.main([str(word) for word in words]) == 0, words
    assert (recorded / "report.html").stat().st_size > 1e6


def test_an_unfinished_run_goes_on_where_it_was(live: Path) -> None:
    before = Run.open(live).history
    assert [session.env_steps for session in before] == [800]
    assert cli.main(["resume", str(live)]) == 0
    run = Run.open(live)
    assert run.result.env_steps == 1600
    assert run.result.judge == "simulated:strong"
    assert 12 < run.result.judgments <= 20
    assert run.history[0] == before[0], "what was learned is not learned again"
    assert cli.main(["verify", str(live)]) == 0
