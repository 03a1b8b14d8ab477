"""Recorded judgments: what a file says becomes comparisons and verdicts, or one clear message."""

from __future__ import annotations

import json
import struct
import zlib
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from PIL import Image

from conftest import angles, judged, swing
from volition.comparison import Pixels, State
from volition.envs.scene import open_scene, scenes_of
from volition.envs.scenes.classic_control import ClassicControlScene
from volition.errors import InputError
from volition.goal import Goal
from volition.integrations.hugging_face.dataset import export
from volition.judging.folders import view_asked
from volition.judging.recordings import (
    Recording,
    import_recording,
    open_recording,
    read_recording,
)
from volition.judgment import Verdict, derive_preferences, undo_order
from volition.run.run import Run
from volition.storage.store import Store
from volition.tasks.task import EnvironmentSection, RewardSection, Task
from volition.tasks.view import ClipSection, JudgeView

VIEW = JudgeView(crop=(0.25, 0.25, 0.75, 0.75), size=(24, 24))
PENDULUM = EnvironmentSection(id="Pendulum-v1")
SCENES = scenes_of(PENDULUM)
CLIPS = VIEW.model_copy(update={"clip": ClipSection(steps=6, frames=3)})


def nothing_open() -> Task:
    """The pendulum, of which nothing has to be found out by drawing it."""
    said = {"view": VIEW, "reward": RewardSection(observations=(0, 1))}
    return Task.find("pendulum").model_copy(update=said)


def read(tmp_path: Path, *lines: dict[str, Any] | str, view: JudgeView = VIEW) -> Recording:
    text = "".join((x if isinstance(x, str) else json.dumps(x)) + "\n" for x in lines)
    (tmp_path / "judgments.jsonl").write_text(text)
    return read_recording(tmp_path, "test", "goal", scenes_of(PENDULUM), view)


def sheets_of(tmp_path: Path, *lines: dict[str, Any]) -> list[Path]:
    (tmp_path / "judgments.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return open_recording(tmp_path, "test", "goal", scenes_of(PENDULUM), VIEW).sheets()


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


@pytest.mark.parametrize("name", ["pendulum", "cartpole", "acrobot"])
def test_a_drawn_frame_is_the_one_that_was_recorded(name: str) -> None:
    task = Task.find(name)
    scene = open_scene(task.environment.id)
    scenes = scenes_of(task.environment)
    folder = task.judgments_folder(None)
    view = view_asked(folder)
    assert view is not None
    recording = read_recording(folder, "one-look", "goal", scenes, view)
    segment = recording.comparisons[0].first
    drawn = view.frame(scene.draw(segment.state)).pixels.astype(int)
    difference = np.abs(drawn - segment.frames[0].pixels)
    assert difference.mean() < 1.0  # of 255: the same picture, give or take a rasteriser


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ({**judged(0, 1, "first"), "winner": "first"}, "there is no key winner; allowed: first"),
        (
            judged(0, 1, "left"),
            "verdict: Input should be 'first', 'second' or 'tie' (it is 'left')",
        ),
        ({**judged(0, 1, "first"), "p_first": 1}, "either verdict or p_first"),
        (
            {**judged(0, 1, "first"), "first": {"theta": 1}},
            "first.theta_dot is missing: it must be a number",
        ),
        (
            {**judged(0, 1, "first"), "second": None},
            "second: Input should be an object (it is None)",
        ),
        (
            judged(float("inf"), 1, "first"),
            "first.theta: Input should be a finite number (it is inf)",
        ),
        (
            {**judged(0, 1, "first"), "first": {"theta": 1, "theta_dot": 0, "x": 1}},
            "there is no key first.x; allowed: frame, theta, theta_dot",
        ),
        (judged(1, 1, "first"), "two different segments"),
        ("{", "not valid JSON"),
        ("[]", "a judgment is a JSON object"),
        (
            {**judged(0, 1, "first"), "kwargs": 9.81},
            "kwargs: Input should be an object (it is 9.81)",
        ),
        (
            {**judged(0, 1, "first"), "kwargs": {"gravity": 1}},
            "Pendulum-v1 has no keyword argument 'gravity' to set; it has g, max_episode_steps",
        ),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, line: dict[str, Any] | str, told: str) -> None:
    with pytest.raises(InputError) as error:
        read(tmp_path, judged(0.1, 2.0, "first"), line)
    assert f"{tmp_path / 'judgments.jsonl'}:2: " in str(error.value)
    assert told in str(error.value)


LINE = json.dumps(judged(0, 1, "first"))


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (LINE.replace('"theta": 0', '"theta": 1' + 400 * "0"), "first.theta: "),
        (
            LINE.replace('"theta": 0', '"theta": true'),
            "first.theta: Input should be a valid number",
        ),
        (LINE.replace('"theta": 0', '"theta": "0"'), "first.theta: Input should be a valid number"),
        (LINE.replace('"theta": 0', '"theta": NaN'), "first.theta: Input should be a finite"),
        (LINE.replace('"theta": 0', '"theta": [0]'), "first.theta: Input should be a valid number"),
        (LINE.replace('"theta": 0', '"theta": 0, "theta": 1'), "the key theta is there twice"),
        (LINE.replace('"first"}', '["first"]}'), "verdict: "),
        (LINE.replace('"first"}', '{"first": 1}}'), "verdict: "),
        (
            LINE.replace('"first"}', '"first", "sheet": ["a"]}'),
            "sheet: Input should be a valid str",
        ),
        (
            LINE.replace('"first"}', '"first", "sheet": {}}'),
            "sheet: Input should be a valid string",
        ),
        (LINE.replace('"first"}', '"first", "judge": 7}'), "judge: Input should be a valid string"),
        (LINE.replace('"first"}', '"first", "judge": "\\ud800"}'), "not valid JSON"),
        (LINE.replace('"first"}', '"first", "principle": "\\udc00"}'), "not valid JSON"),
        (LINE.replace('"first"}', '"first", "pair": 1' + 5000 * "0" + "}"), ""),
        (LINE.replace('"first"}', f'"first", "kwargs": {"[" * 100_000}{"]" * 100_000}}}'), ""),
        ("[" * 100_000 + "]" * 100_000, ""),
        (
            LINE.replace('"verdict": "first"', '"p_first": 1.5'),
            "p_first: Input should be less than",
        ),
        (LINE.replace('"verdict": "first"', '"p_first": true'), "p_first: "),
        (LINE.replace('"verdict": "first"', '"p_first": "0.5"'), "p_first: "),
    ],
)
def test_a_hostile_line_is_one_clear_error(tmp_path: Path, line: str, reason: str) -> None:
    with pytest.raises(InputError) as error:
        read(tmp_path, judged(0.1, 2.0, "first"), line)
    message = str(error.value)
    assert message.startswith(f"{tmp_path / 'judgments.jsonl'}:2: {reason}")
    assert len(message.splitlines()) == 1
    assert len(message) < 500


@pytest.mark.parametrize("name", ["../secret.png", "/etc/passwd", "sheets/../../secret.png"])
def test_what_is_not_beside_the_file_is_not_shown(tmp_path: Path, name: str) -> None:
    """Whoever passes judgments on must not get another's files into a page that is passed on."""
    Image.new("RGB", (8, 8)).save(tmp_path / "secret.png")
    folder = tmp_path / "judgments"
    folder.mkdir()
    with_frame, with_sheet = judged(0.1, 2.0, "first"), judged(0.1, 2.0, "first")
    with_frame["first"]["frame"] = name
    with pytest.raises(InputError, match=r":1: .* is not in the folder of judgments\.jsonl"):
        read(folder, with_frame)
    with_sheet["sheet"] = name
    with pytest.raises(InputError, match=r":1: sheet: .* is not in the folder of"):
        sheets_of(folder, with_sheet)


def test_a_sheet_that_is_no_picture_is_refused(tmp_path: Path) -> None:
    line = judged(0.1, 2.0, "first")
    line["sheet"] = "judgments.jsonl"
    with pytest.raises(InputError, match=r":1: sheet: .* is not a picture"):
        sheets_of(tmp_path, line)


def test_a_picture_too_large_to_be_one_is_refused(tmp_path: Path) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(b""))
    (tmp_path / "huge.png").write_bytes(
        b"\x89PNG\r\n\x1a\n" + header + pixels + chunk(b"IEND", b"")
    )
    line = judged(0, 1, "first")
    line["first"]["frame"] = "huge.png"
    with pytest.raises(InputError, match=r":1: .*huge.png is not a picture that can be read"):
        read(tmp_path, line)


def test_a_byte_order_mark_is_no_part_of_a_line(tmp_path: Path) -> None:
    assert len(read(tmp_path, "\ufeff" + LINE).judgments) == 1


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


def test_a_clip_is_observed_at_every_step_and_drawn_at_some(tmp_path: Path) -> None:
    states = swing(0.1)["states"]
    line = {"first": {"states": states}, "second": swing(2.0), "verdict": "first"}
    (comparison,) = read(tmp_path, line, view=CLIPS).comparisons
    clip = min(comparison.first, comparison.second, key=lambda side: side.states[0]["theta"])
    thetas = np.array([state["theta"] for state in states])
    expected = np.stack([np.cos(thetas), np.sin(thetas), np.full(6, 2.0)], 1)
    np.testing.assert_allclose(clip.observations, expected, atol=1e-6)
    assert clip.states == tuple(states)
    scene = open_scene("Pendulum-v1")
    assert [frame.id for frame in clip.frames] == [
        CLIPS.frame(scene.draw(states[step])).id for step in (0, 2, 5)
    ]


def test_the_frames_of_a_clip_may_be_given(tmp_path: Path) -> None:
    for shade in range(3):
        Image.fromarray(np.full((24, 24, 3), shade, np.uint8)).save(tmp_path / f"{shade}.png")
    side = {**swing(0.1), "frames": ["0.png", "1.png", "2.png"]}
    line = {"first": side, "second": swing(2.0), "verdict": "first"}
    (comparison,) = read(tmp_path, line, view=CLIPS).comparisons
    shades = [
        {int(f.pixels.max()) for f in s.frames} for s in (comparison.first, comparison.second)
    ]
    assert {0, 1, 2} in shades


@pytest.mark.parametrize(
    ("side", "told"),
    [
        (swing(0.1, steps=5), "first: a segment has 6 states, not 5"),
        ({"theta": 0.1, "theta_dot": 0}, "no key first.theta; allowed: frames, states"),
        ({}, "first.states is missing"),
        ({"states": [1] * 6}, "first.states[0]: Input should be a valid dictionary (it is 1)"),
        (
            {"states": [{"theta": 1, "theta_dot": 0}] * 5 + [{"theta": 1}]},
            "first.states[5].theta_dot is missing: it must be a number",
        ),
        ({"states": [{"theta": 1, "theta_dot": 0, "x": 1}] * 6}, "no key first.states[0].x"),
        ({**swing(0.1), "frames": []}, "first: a segment is shown in 3 frames, not 0"),
        (
            {**swing(0.1), "frames": "0.png"},
            "first.frames: Input should be a valid list (it is '0.png')",
        ),
        (
            {**swing(0.1), "frames": [7, 8, 9]},
            "first.frames[0]: Input should be a valid string (it is 7)",
        ),
        ({**swing(0.1), "frames": ["no.png"] * 3}, "no.png: the picture is missing"),
    ],
)
def test_a_wrong_clip_is_named(tmp_path: Path, side: dict[str, Any], told: str) -> None:
    line = {"first": side, "second": swing(2.0), "verdict": "first"}
    with pytest.raises(InputError) as error:
        read(tmp_path, line, view=CLIPS)
    assert f"{tmp_path / 'judgments.jsonl'}:1: " in str(error.value)
    assert told in str(error.value)


def test_states_are_no_clips(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no key first\.states; allowed: frame, theta"):
        read(tmp_path, {"first": swing(0.1), "second": swing(2.0), "verdict": "first"})


def test_states_are_of_the_environment_as_it_was_made(tmp_path: Path) -> None:
    """Held-out things are drawn, and touched, as what they are, whoever reads of them."""
    environment = Task.find("guest").environment
    made = {"layouts": "heldout"}
    scene = open_scene(environment.id, made)
    assert scene.ranges is not None
    low, high = np.array(list(scene.ranges.values())).T
    sides = [
        dict(
            zip(scene.fields, np.random.default_rng(seed).uniform(low, high).tolist(), strict=True)
        )
        for seed in range(2)
    ]
    line = {"first": sides[0], "second": sides[1], "verdict": "first", "kwargs": made}
    (tmp_path / "judgments.jsonl").write_text(json.dumps(line) + "\n")
    view = Task.find("guest").view
    recording = read_recording(tmp_path, "test", "goal", scenes_of(environment), view)
    (comparison,) = recording.comparisons
    for segment in (comparison.first, comparison.second):
        assert segment.frames[0].id == view.frame(scene.draw(segment.state)).id
        np.testing.assert_array_equal(segment.observations[0], scene.observe(segment.state))
    del line["kwargs"]
    (tmp_path / "judgments.jsonl").write_text(json.dumps(line) + "\n")
    as_seen = read_recording(tmp_path, "test", "goal", scenes_of(environment), view)
    assert as_seen.comparisons[0].id != comparison.id


def test_an_environment_that_observes_something_else_is_refused(tmp_path: Path) -> None:
    lamp = Task.find("lamp")
    line = {"first": {}, "second": {}, "verdict": "first", "kwargs": {"rolling": True}}
    (tmp_path / "judgments.jsonl").write_text(json.dumps(line) + "\n")
    with pytest.raises(InputError, match=r":1: made with {'rolling': True} .* observes \(8,\)"):
        read_recording(tmp_path, "test", "goal", scenes_of(lamp.environment), lamp.view)


def test_nothing_is_drawn_before_somebody_looks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And then it is what would have been drawn before: the goal's environment as each was made."""
    drawn = []

    def draw(scene: ClassicControlScene, state: State) -> Pixels:
        drawn.append(state)
        return draw_it(scene, state)

    draw_it = ClassicControlScene.draw
    monkeypatch.setattr(ClassicControlScene, "draw", draw)
    made = {"g": 5.0}
    lines = [judged(one, other, "first") for one, other in angles(8)]
    lines += [{**judged(0.1, 0.2, "first"), "kwargs": made}]
    file = tmp_path / "judgments.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    task = nothing_open()
    run = Run.create(task, file, tmp_path / "run")
    with run.folder.open_store() as store:
        assert store.verify() == []
        comparisons = store.comparisons().values()
        assert not drawn
        scenes = scenes_of(task.environment)
        for comparison in comparisons:
            for segment in (comparison.first, comparison.second):
                (frame,) = segment.frames
                kwargs = json.loads(segment.drawn_with or "")
                assert kwargs in (None, made)
                scene = cast(ClassicControlScene, scenes(kwargs))
                expected = task.view.frame(draw_it(scene, segment.state))
                np.testing.assert_array_equal(frame.pixels, expected.pixels)
    assert len(drawn) == 18


def test_export_draws_every_frame_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Though there be more than are remembered."""
    drawn = []

    def draw(scene: ClassicControlScene, state: State) -> Pixels:
        drawn.append(state)
        return draw_it(scene, state)

    draw_it = ClassicControlScene.draw
    monkeypatch.setattr(ClassicControlScene, "draw", draw)
    monkeypatch.setattr("volition.questions.seeing.LOOKED_AT", 2)
    lines = [json.dumps(judged(one, other, "first")) for one, other in angles(20)]
    (tmp_path / "judgments.jsonl").write_text("\n".join(lines))
    run = Run.create(nothing_open(), tmp_path / "judgments.jsonl", tmp_path / "run")
    export(run.folder, tmp_path / "export")
    assert len(drawn) == 40


def test_a_frame_that_is_given_is_kept_as_it_was(tmp_path: Path) -> None:
    Image.fromarray(np.full((24, 24, 3), 7, np.uint8)).save(tmp_path / "seen.png")
    line = judged(0, 1, "first")
    line["first"]["frame"] = "seen.png"
    (comparison,) = read(tmp_path, line).comparisons
    kept = {
        segment.state["theta"]: segment.drawn_with
        for segment in (comparison.first, comparison.second)
    }
    assert kept == {0: None, 1: "null"}
    sides = (comparison.first, comparison.second)
    assert all(callable(side.frames[0].source) for side in sides), "none is held in memory"
    with Store.create(tmp_path / "store") as store:
        recording = open_recording(tmp_path, "test", store.add_goal(Goal("up")), SCENES, VIEW)
        for _ in range(2):
            import_recording(recording, store)
        assert len(store.judgments()) == 1
        assert len([*(tmp_path / "store" / "frames").iterdir()]) == 1


def test_a_file_is_imported_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("volition.judging.recordings.TOGETHER", 2)
    lines = [json.dumps(judged(one, other, "first")) for one, other in angles(5)]
    with Store.create(tmp_path / "store") as store:
        goal_id = store.add_goal(Goal("up"))
        for last in ("{", lines[-1]):
            text = "\n".join([*lines[:-1], last])
            (tmp_path / "judgments.jsonl").write_text(text)
            recording = open_recording(tmp_path, "test", goal_id, SCENES, VIEW)
            if last == "{":
                with pytest.raises(InputError, match=":5: not valid JSON"):
                    import_recording(recording, store)
                assert not store.judges()
                assert not store.comparisons()
        import_recording(recording, store)
        assert len(store.judgments()) == len(store.comparisons()) == 5


def test_no_judgments_at_all(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no judgments"):
        read(tmp_path)
