"""Poses in MuJoCo: judged by what is true of them (a simulated judge), and learned for a while."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from volition.envs.scene import open_scene
from volition.errors import EnvironmentUnsupported
from volition.judges.settings import JudgeSettings
from volition.questions.distinct import look_different
from volition.run.rounds import ask
from volition.run.run import train
from volition.tasks.task import Task

POSES = {"humanoid-kneel": (1, 22), "hopper-flip": (75, 10)}  # steps of a segment, entries seen


@pytest.fixture(params=POSES)
def task(request: pytest.FixtureRequest) -> Task:
    found = Task.find(request.param)
    try:
        scene = open_scene(found.environment.id, found.environment.kwargs)
        scene.draw({**dict.fromkeys(scene.fields, 0.0)})
    except EnvironmentUnsupported as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))
    return found


@pytest.mark.slow
def test_a_pose_is_learned_for_a_while(
    task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("volition.run.run.LEAST_SECONDS", 0.0)  # for what little was learned
    judge = JudgeSettings("simulated:exact", 24, first=24)
    run = train(task, judge=judge, out=tmp_path / "run", steps=400)
    result = run.result
    assert result.simulated
    assert result.judgments == 24
    steps, seen = POSES[task.name]
    assert len(run.reward_model.inputs) == seen
    with run.folder.open_store() as store:
        comparisons = store.comparisons().values()
    for each in comparisons:
        assert len(each.first.observations) == steps
        assert look_different(each.first.frames, each.second.frames)
    observation = np.zeros((1, *next(iter(comparisons)).first.observations.shape[1:]))
    assert np.isfinite(np.asarray(run.policy(observation.astype(np.float32)))).all()


def test_sheets_of_a_pose_are_written(task: Task, tmp_path: Path) -> None:
    asked = ask(task.name, tmp_path / "asked", pairs=4)
    assert asked.pairs == 4
    assert asked.sheets
