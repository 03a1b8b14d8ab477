"""Recorded judgments: what a file says becomes comparisons and verdicts, or one clear message."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from conftest import judged
from volition.envs.scene import open_scene
from volition.errors import InputError
from volition.judges.recorded import Recording, read_recording
from volition.judgment import Verdict, derive_preferences, undo_order
from volition.task import JudgeView, Task

VIEW = JudgeView(crop=(0.25, 0.25, 0.75, 0.75), size=(24, 24))


def read(tmp_path: Path, *lines: dict[str, Any] | str) -> Recording:
    text = "".join((x if isinstance(x, str) else json.dumps(x)) + "\n" for x in lines)
    (tmp_path / "judgments.jsonl").write_text(text)
    return read_recording(tmp_path, "test", "goal", open_scene("Pendulum-v1"), VIEW)


def p_lower_angle(recording: Recording) -> list[float]:
    """P(the segment with the smaller angle is preferred) for each judgment."""
    probabilities = []
    for comparison, judgment in zip(recording.comparisons, recording.judgments, strict=True):
        assert isinstance(judgment.outcome, Verdict)
        p_first = undo_order(judgment.outcome, judgment.order)
        lower = comparison.first.state["theta"] < comparison.second.state["theta"]
        probabilities.append(p_first if lower else 1 - p_first)
    return probabilities


def test_verdicts_survive_the_order_of_presentation(tmp_path: Path) -> None:
    recording = read(
        tmp_path,
        judged(0.1, 2.0, "first"),
        judged(2.0, 0.1, "second"),
        judged(2.0, 0.1, "first"),
        judged(0.1, 2.0, "tie"),
        {**judged(0.3, 1.0, ""), "verdict": "second"},
    )
    assert p_lower_angle(recording) == [1.0, 1.0, 0.0, 0.5, 0.0]
    first, second = derive_preferences(recording.judgments)
    assert (first.weight, second.weight) == (4.0, 1.0)


def test_a_line_may_give_a_probability(tmp_path: Path) -> None:
    line = judged(0.1, 2.0, "")
    del line["verdict"]
    assert p_lower_angle(read(tmp_path, {**line, "p_first": 0.7})) == [pytest.approx(0.7)]


def test_the_same_answer_twice_counts_twice(tmp_path: Path) -> None:
    recording = read(tmp_path, judged(0.1, 2.0, "first"), judged(0.1, 2.0, "first"))
    assert len({judgment.id for judgment in recording.judgments}) == 2


def test_observations_are_those_of_the_environment(tmp_path: Path) -> None:
    (comparison,) = read(tmp_path, judged(0.5, 2.0, "first")).comparisons
    for segment in (comparison.first, comparison.second):
        theta = segment.state["theta"]
        np.testing.assert_allclose(
            segment.observations, [[np.cos(theta), np.sin(theta), 0]], atol=1e-6
        )


def test_a_drawn_frame_is_the_one_that_was_recorded() -> None:
    task, scene = Task.find("pendulum"), open_scene("Pendulum-v1")
    recording = read_recording(task.judgments_folder(None), "one-look", "goal", scene, task.view)
    segment = recording.comparisons[0].first
    drawn = task.view.frame(scene.draw(segment.state)).pixels.astype(int)
    difference = np.abs(drawn - segment.frames[0].pixels)
    assert difference.mean() < 1.0  # of 255: the same picture, give or take a rasteriser


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ({**judged(0, 1, "first"), "winner": "first"}, "there is no key winner; allowed: first"),
        (judged(0, 1, "left"), 'verdict must be one of first, second, tie, not "left"'),
        ({**judged(0, 1, "first"), "p_first": 1}, "either verdict or p_first"),
        ({**judged(0, 1, "first"), "first": {"theta": 1}}, "first.theta_dot must be a number"),
        ({**judged(0, 1, "first"), "second": None}, "second is missing"),
        (judged(float("inf"), 1, "first"), "first.theta must be a finite number"),
        ({**judged(0, 1, "first"), "first": {"theta": 1, "theta_dot": 0, "x": 1}},
         "there is no key first.x; allowed: frame, theta, theta_dot"),
        (judged(1, 1, "first"), "two different segments"),
        ("{", "not valid JSON"),
        ("[]", "a judgment is a JSON object"),
    ],
)  # fmt: skip
def test_a_wrong_line_is_named(tmp_path: Path, line: dict[str, Any] | str, told: str) -> None:
    with pytest.raises(InputError) as error:
        read(tmp_path, judged(0.1, 2.0, "first"), line)
    assert f"{tmp_path / 'judgments.jsonl'}:2: " in str(error.value)
    assert told in str(error.value)


def test_a_missing_frame_and_a_changed_frame_are_named(tmp_path: Path) -> None:
    line = judged(0, 1, "first")
    line["first"]["frame"] = "0123456789abcdef.png"
    with pytest.raises(InputError, match=r":1: .*0123456789abcdef.png: the picture is missing"):
        read(tmp_path, line)
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / "0123456789abcdef.png")
    with pytest.raises(InputError, match=r"its pixels hash to .* not the picture that was judged"):
        read(tmp_path, line)
    (tmp_path / "0123456789abcdef.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match="is not a picture"):
        read(tmp_path, line)


def test_no_judgments_at_all(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no judgments"):
        read(tmp_path)
