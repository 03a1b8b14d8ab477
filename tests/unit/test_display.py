"""The stages that the display lists are those that a run goes through."""

from __future__ import annotations

from pathlib import Path

from volition.cli.display import Display
from volition.run.results import STAGES, Progress
from volition.run.run import train


def test_every_stage_is_told_in_its_order(tmp_path: Path) -> None:
    told: list[str] = []
    with Display() as display:

        def listener(progress: Progress) -> None:
            told.append(progress.stage)
            display(progress)

        train(
            "pendulum",
            judge="simulated:exact",
            out=tmp_path / "run",
            steps=400,
            listener=listener,
        )
    assert tuple(dict.fromkeys(told)) == STAGES[:-1]  # the report is the command line's
