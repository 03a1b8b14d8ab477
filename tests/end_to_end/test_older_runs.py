"""Run folders of version 0.1, as it wrote them: opened, shown, examined and gone on with. Runs and
tasks of a version to come are refused."""

from __future__ import annotations

import shutil
import sqlite3
import tomllib
from pathlib import Path

import numpy as np
import pytest
import tomli_w

from volition import cli
from volition.run.folder import FORMAT
from volition.run.run import Run
from volition.storage.documents import sealed
from volition.storage.schema import MIGRATIONS

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


def test_an_older_store_is_brought_to_the_newest_form(recorded: Path) -> None:
    def form() -> int:
        with sqlite3.connect(recorded / "judgments.sqlite") as connection:
            (number,) = connection.execute("PRAGMA user_version").fetchone()
        connection.close()
        return int(number)

    assert form() < len(MIGRATIONS), "the fixture is of 0.1"
    assert cli.main(["verify", str(recorded)]) == 0
    assert form() == len(MIGRATIONS)


def test_a_run_of_a_version_to_come_is_refused(
    recorded: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document = tomllib.loads((recorded / "config.toml").read_text())
    assert "format" not in document
    document["settings"]["what_0_9_chose"] = True
    document["versions"]["volition"] = "0.9.0"
    newer = sealed({"format": FORMAT + 1, **document})
    (recorded / "config.toml").write_text(tomli_w.dumps(newer))
    assert cli.main(["report", str(recorded)]) == 1
    told = capsys.readouterr().err.splitlines()
    assert told == [
        f"error: {recorded} is a run of format 3, made by Volition 0.9.0, and this one reads up to "
        "2: install that version"
    ]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("format = 2", "2 is newer than this Volition, which reads up to 1: install a newer one"),
        ("format = 0", "it is a whole number from 1 on (it is 0)"),
        ("format = true", "it is a whole number from 1 on (it is True)"),
        ("format = 1", ""),
    ],
)
def test_a_task_says_its_format(
    line: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    toml = (
        f'name = "new"\n{line}\nenvironment = {{ id = "Pendulum-v1" }}\ngoal = {{ text = "up" }}\n'
    )
    (tmp_path / "task.toml").write_text(toml)
    out = tmp_path / "asked"
    code = cli.main(["ask", str(tmp_path), "--pairs", "2", "--out", str(out)])
    assert code == (1 if told else 0)
    assert capsys.readouterr().err == (
        f"error: {tmp_path}/task.toml:2: format: {told}\n" if told else ""
    )


def test_a_new_run_says_its_format(run: Run) -> None:
    document = tomllib.loads((run.folder.path / "config.toml").read_text())
    assert document["format"] == FORMAT
