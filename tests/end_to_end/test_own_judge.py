"""A judge that is an object of one's own: asked, stored, and gone on with."""

from __future__ import annotations

from pathlib import Path

import pytest

from volition import Judge, JudgeSettings, Run, Task, cli, train
from volition.errors import JudgeUnavailable
from volition.judges import make_judge
from volition.run.creating import assignment_of
from volition.run.results import Progress
from volition.storage.compilation import enable_cache

STEPS = 1600


@pytest.fixture(autouse=True)
def _compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(enable_cache()))


def judge(variant: str = "exact") -> Judge:
    return make_judge(JudgeSettings(f"simulated:{variant}"), assignment_of(Task.find("pendulum")))


class Stopped(Exception):
    pass


def stop_when_learning(progress: Progress) -> None:
    if progress.stage == "policy" and progress.learned_return is not None:
        raise Stopped


def test_an_object_judges_a_run(tmp_path: Path) -> None:
    run = train("pendulum", judge=judge(), out=tmp_path / "run", steps=STEPS)
    assert run.result.judge == "simulated:exact"
    assert run.result.simulated
    assert run.result.judgments > 30
    settings = run.folder.settings
    assert settings.live is not None
    assert settings.live.judge == "object:simulated:exact"
    assert settings.judge_id == judge().identity.id


def test_a_run_goes_on_with_the_same_object_and_no_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "run"
    with pytest.raises(Stopped):
        train("pendulum", judge=judge(), out=path, steps=STEPS, listener=stop_when_learning)
    assert cli.main(["resume", str(path)]) == 1
    assert "given as an object, simulated:exact" in capsys.readouterr().err
    with pytest.raises(JudgeUnavailable, match="with that very one"):
        Run.open(path, judge("strong")).advance()
    result = Run.open(path, judge()).advance()
    assert (result.judge, result.env_steps) == ("simulated:exact", STEPS)
    assert result.judgments > 30
