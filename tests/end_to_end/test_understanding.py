"""The tasks whose goals a hand-written reward misses, from the first judgment to the policy."""

from __future__ import annotations

from pathlib import Path

import pytest

from volition.judges.settings import JudgeSettings
from volition.run.run import train

JUDGE = JudgeSettings("simulated:exact", max_judgments=120, first=100)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "goal", "measured"),
    [
        ("guest", "careful", {"harm", "arrived"}),
        ("regatta", None, {"points", "finished", "progress"}),
    ],
)
def test_a_short_run_learns_what_the_goal_means(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    task: str,
    goal: str | None,
    measured: set[str],
) -> None:
    monkeypatch.setattr("volition.run.run.LEAST_SECONDS", 0.0)  # for what little was learned
    run = train(task, goal, judge=JUDGE, steps=1600, out=tmp_path / "run")
    result = run.result
    assert result.judgments == 120
    assert result.simulated
    assert result.heldout_accuracy is not None
    assert result.heldout_accuracy > 0.7
    assert set(run.evaluation.measures) == measured
    stated = run.folder.task.stated_goal()
    slopes = {each.principle: each.slope for each in result.principles}
    assert set(slopes) == set(stated.principles)
    assert all(slope > 0 for slope in slopes.values())
    assert [each.caps for each in result.vetoes] == [True] * len(stated.vetoes)
