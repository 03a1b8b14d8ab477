"""Clips from the first question to the report: what is wanted shows in no single state."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import av
import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from volition import cli
from volition.envs.scene import open_scene, scenes_of
from volition.evidence.report import write_report
from volition.judges.settings import JudgeSettings
from volition.judges.sheets import STEP, choose_layout
from volition.judging.folders import QuestionFolder
from volition.judging.recordings import read_recording
from volition.questions.seeing import see
from volition.run.rounds import ask
from volition.run.run import Run, train
from volition.storage.pictures import read_frame
from volition.tasks.task import Task

STEPS, FRAMES, SIZE = 10, 3, (40, 40)
TASK = f"""\
name = "spinning"

[environment]
id = "Pendulum-v1"

[goal]
text = "The rod turns fast."

[view]
crop = [0.2, 0.2, 0.8, 0.8]
size = [{SIZE[0]}, {SIZE[1]}]
clip = {{ steps = {STEPS}, frames = {FRAMES} }}

[training]
steps = 400
"""
Row = dict[str, Any]


def rows(file: Path) -> list[Row]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def speed(side: Row) -> float:
    """How fast the rod turns in a clip, on average."""
    return float(np.mean([abs(state["theta_dot"]) for state in side["states"]]))


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tasks") / "spinning"
    folder.mkdir()
    (folder / "task.toml").write_text(TASK)
    return folder


@pytest.fixture(scope="module")
def questions(task: Path) -> QuestionFolder:
    """Forty pairs of clips, on sheets of sixteen."""
    return ask(str(task), task.parent / "questions", pairs=40, batches=["openai:gpt-4.1-mini"])


@pytest.fixture(scope="module")
def answered(questions: QuestionFolder) -> Path:
    """The same, judged by who prefers the faster clip."""
    lines = [
        {"pair": row["pair"], "choice": "A" if speed(row["first"]) > speed(row["second"]) else "B"}
        for row in rows(questions.folder / "pairs.jsonl")
    ]
    file = questions.folder.parent / "answers.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert cli.main(["answer", str(questions.folder), str(file), "--judge", "speed"]) == 0
    return questions.folder


@pytest.fixture(scope="module")
def run(task: Path, answered: Path) -> Run:
    return train(str(task), judgments=answered, out=task.parent / "run")


def test_questions_about_clips_say_how_they_are_shown(questions: QuestionFolder) -> None:
    page = (questions.folder / "README.md").read_text()
    assert "two clips, A above and B below" in page
    assert [row["sheet"] for row in rows(questions.folder / "pairs.jsonl")] == [
        f"sheets/sheet-{number}.png" for number in (1, 2, 3) for _ in range(16)
    ][:40]


def test_the_sheets_show_every_frame_of_every_clip_in_its_order(questions: QuestionFolder) -> None:
    layout = choose_layout(SIZE, 16, FRAMES)
    scale = layout.frame[0] // SIZE[0]
    for number, row in enumerate(rows(questions.folder / "pairs.jsonl")):
        sheet = np.asarray(Image.open(questions.folder / row["sheet"]).convert("RGB"))
        left, top = layout.corner(number % 16)
        for side, x, y in zip(("first", "second"), layout.lefts, layout.tops, strict=True):
            assert len(row[side]["frames"]) == FRAMES
            for place, path in enumerate(row[side]["frames"]):
                start = left + x + place * (layout.frame[0] + STEP)
                shown = sheet[top + y : top + y + layout.frame[1], start : start + layout.frame[0]]
                small = np.asarray(Image.fromarray(shown).resize(SIZE, Image.Resampling.BOX))
                frame = read_frame(questions.folder / path).pixels
                assert np.abs(small.astype(int) - frame).mean() < 4 * scale


def test_a_batch_asks_about_the_clips_of_each_sheet(questions: QuestionFolder) -> None:
    (file,) = (questions.folder / "batch").glob("*.jsonl")
    requests = rows(file)
    assert [request["custom_id"] for request in requests] == ["sheet-1", "sheet-2", "sheet-3"]
    assert "16 numbered pairs of clips, A above and B below" in json.dumps(requests[0])


def test_answers_are_the_judgments_of_the_same_clips(answered: Path, task: Path) -> None:
    read = Task.find(str(task))
    scenes = scenes_of(read.environment)
    recording = read_recording(answered, "x", "goal", scenes, read.view)
    for row, comparison in zip(rows(answered / "pairs.jsonl"), recording.comparisons, strict=True):
        sides = {segment.id: segment for segment in (comparison.first, comparison.second)}
        stated = {json.dumps([dict(state) for state in side.states]) for side in sides.values()}
        assert stated == {json.dumps(row[side]["states"]) for side in ("first", "second")}


def test_a_run_learns_from_clips_what_no_frame_shows(run: Run, task: Path) -> None:
    result = run.result
    assert result.judgments == 40
    assert result.heldout_accuracy is not None
    assert result.heldout_accuracy >= 0.8
    slow, fast = (
        run.reward_model(np.array([[1, 0, v], [-1, 0, v], [0, 1, -v]], np.float32)).mean()
        for v in (0.5, 6.0)
    )
    assert fast > slow + 0.5
    with run.folder.open_store() as store:
        assert store.verify() == []
        assert {len(segment.states) for segment in store.segments().values()} == {STEPS}
    assert cli.main(["verify", str(run.folder.path)]) == 0


def test_an_export_holds_the_storyboards_and_their_frames(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "export"
    assert cli.main(["export", str(run.folder.path), "--out", str(out)]) == 0
    table = pq.read_table(out / "comparisons.parquet")
    features = json.loads(table.schema.metadata[b"huggingface"])["info"]["features"]
    assert features["storyboard_a"] == {"_type": "Image"}
    assert features["image_b"] == {"_type": "List", "feature": {"_type": "Image"}}
    for row, columns in zip(rows(out / "comparisons.jsonl"), table.to_pylist(), strict=True):
        frames = [read_frame(out / path) for path in row["image_a"]]
        assert len(frames) == FRAMES
        board = read_frame(out / row["storyboard_a"]).pixels
        width = SIZE[0]
        for place, frame in enumerate(frames):
            start = place * (width + STEP)
            np.testing.assert_array_equal(board[-SIZE[1] :, start : start + width], frame.pixels)
        assert columns["storyboard_a"]["bytes"] == (out / row["storyboard_a"]).read_bytes()
        assert [each["path"] for each in columns["image_a"]] == row["image_a"]
        assert len(json.loads(row["states_a"])) == len(row["observations_a"]) == STEPS


def test_a_score_on_clips_that_the_run_never_saw(
    run: Run, task: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ask(str(task), tmp_path / "asked", pairs=20, seed=1)
    lines = [
        {
            "first": row["first"],
            "second": row["second"],
            "verdict": "first" if speed(row["first"]) > speed(row["second"]) else "second",
        }
        for row in rows(asked.folder / "pairs.jsonl")
    ]
    for line in lines[::2]:  # drawn again where the frames are left out
        del line["first"]["frames"]
    file = asked.folder / "judgments.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert cli.main(["score", str(run.folder.path), "--judgments", str(file), "--json"]) == 0
    scored = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert scored["comparisons"] + scored["seen"] == 20
    assert scored["accuracy"] >= 0.8


def test_the_report_shows_every_storyboard_and_the_film(run: Run) -> None:
    page = write_report(run).read_text()
    assert page.count('class="board"') == 2 * 40
    boards = re.findall(r'<div class="board">(.*?)</div>', page, flags=re.DOTALL)
    with run.folder.open_store() as store:
        stored = {tuple(frame.id for frame in s.frames) for s in store.segments().values()}
    for board in boards:
        assert tuple(re.findall(r'data-frame="(\w+)" alt="Step', board)) in stored
        assert re.findall(r'alt="Step (\d+)"', board) == ["1", "5", "10"]
    assert "compared 40 pairs of clips" in page
    with av.open(str(run.folder.film)) as container:
        assert sum(1 for _ in container.decode(video=0)) >= 200


@pytest.mark.slow
def test_a_live_judge_is_asked_about_clips_of_the_policy(task: Path, tmp_path: Path) -> None:
    """By a simulated judge, which answers from what is true of the pendulum."""
    folder = tmp_path / "pendulum"
    folder.mkdir()
    (folder / "task.toml").write_text(TASK.replace("[goal]\n", '[goal]\ntruth = "pendulum"\n'))
    live = train(
        folder, judge=JudgeSettings("simulated:exact", 40), out=tmp_path / "run", steps=800
    )
    assert live.result.judgments == 40
    scene, view = open_scene("Pendulum-v1"), live.folder.task.view
    with live.folder.open_store() as store:
        assert store.verify() == []
        for clip in store.segments().values():
            states = np.array([list(state.values()) for state in clip.states])
            assert see(scene, view, states).id == clip.id, "it is drawn and observed the same again"
            ahead = np.diff(states[:, 0]) - 0.05 * states[1:, 1]  # whole turns, and nothing else
            np.testing.assert_allclose(np.cos(ahead), 1, atol=1e-6)
    asked = ask(str(live.folder.path), tmp_path / "asked", pairs=4)
    assert len(rows(asked.folder / "pairs.jsonl")[0]["first"]["states"]) == STEPS
