"""What one look of a real judge at one picture is enough for: the bundled tasks with an ending."""

from __future__ import annotations

from pathlib import Path

import pytest

from volition.run.run import train


@pytest.mark.slow
def test_a_pole_is_balanced_in_the_middle_of_the_track(tmp_path: Path) -> None:
    """From 36 judgments; nobody said that the episode ends when the pole falls."""
    run = train("cartpole", out=tmp_path / "run", seed=0)
    measures = run.result.measures
    assert measures["steps upright"] >= 475
    assert measures["share of time within 0.5 m of the middle"] >= 0.9


@pytest.mark.slow
def test_an_acrobot_swings_its_free_end_up(tmp_path: Path) -> None:
    """From 60 judgments about heights; nobody said that there is a mark."""
    run = train("acrobot", out=tmp_path / "run", seed=0, steps=40_000)
    returns = run.evaluation.true_returns
    assert sorted(returns)[len(returns) // 2] >= -100  # minus a point for every step before it
