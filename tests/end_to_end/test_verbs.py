"""The verbs that look at a finished run."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import av
import gymnasium
import jax.numpy as jnp
import numpy as np
import pyarrow.parquet as pq
import pytest

from conftest import angles, judged, swing
from volition import LearnedReward, cli
from volition.cli.listing import findings
from volition.envs.own.guest import LAYOUTS
from volition.envs.scene import open_scene
from volition.integrations.hugging_face.dataset import export
from volition.judging.folders import view_asked
from volition.run.run import Run, train
from volition.storage.pictures import read_frame
from volition.tasks.task import BUNDLED, Task

CLIPPED = """
name = "clipped"
environment = { id = "Pendulum-v1" }
goal = { text = "upright" }
judgments = { default = "all", sets = { all = "." } }
view = { crop = [0.25, 0.25, 0.75, 0.75], size = [24, 24], clip = { steps = 6, frames = 3 } }
"""


def lines_of(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> list[str]:
    assert cli.main([str(argument) for argument in arguments]) == 0
    return capsys.readouterr().out.splitlines()


def test_score_leaves_out_what_the_run_was_trained_on(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = BUNDLED / "pendulum" / "judgments" / "full"
    printed = lines_of(capsys, "score", run.folder.path, "--judgments", folder, "--json")
    scored = json.loads(printed[-1])
    assert scored["comparisons"] + scored["ties"] + scored["seen"] == 264
    assert scored["accuracy"] >= 0.95
    assert scored["interval"][0] < scored["accuracy"] <= scored["interval"][1]
    by_name = json.loads(
        lines_of(capsys, "score", run.folder.path, "--judgments", "full", "--json")[-1]
    )
    assert by_name["correct"] == scored["correct"]
    assert cli.main(["score", str(run.folder.path), "--judgments", "fool"]) == 1
    assert "one of the task's sets (one-look, full)" in capsys.readouterr().err
    trained_on = BUNDLED / "pendulum" / "judgments" / "one-look"
    assert cli.main(["score", str(run.folder.path), "--judgments", str(trained_on)]) == 1
    assert "was trained on every comparison" in capsys.readouterr().err


def test_score_knows_what_was_trained_on_whether_or_not_it_was_drawn(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trained_on = BUNDLED / "pendulum" / "judgments" / "one-look" / "judgments.jsonl"
    rows = [json.loads(line) for line in trained_on.read_text().splitlines()]
    for row in rows:
        del row["first"]["frame"], row["second"]["frame"]
    undrawn = tmp_path / "judgments.jsonl"
    undrawn.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert cli.main(["score", str(run.folder.path), "--judgments", str(undrawn)]) == 1
    assert "was trained on every comparison" in capsys.readouterr().err


def test_what_was_never_drawn_is_exported_with_its_pictures(
    task_folder: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """States and clips alike; and in the Parquet file a few comparisons at a time."""
    monkeypatch.setattr("volition.integrations.hugging_face.tables.TOGETHER", 3)
    states = [judged(one, other, "first") for one, other in angles(8)]
    clips = [
        {"first": swing(one), "second": swing(other), "verdict": "first"}
        for one, other in angles(8)
    ]
    for lines, name, toml in ((states, "still", ""), (clips, "clipped", CLIPPED)):
        task = Task.find(str(task_folder(lines, name, toml)))
        folder = Run.create(task, out=tmp_path / f"run-{name}").folder
        out = tmp_path / name / "export"
        assert export(folder, out)[0] == 8
        rows = pq.read_table(out / "comparisons.parquet").to_pylist()
        with folder.open_store() as store:
            comparisons = store.comparisons()
            pictures = {frame.id for s in store.segments().values() for frame in s.frames}
            assert store.verify() == []
        assert {path.stem for path in (out / "frames").iterdir()} == pictures
        for row in rows:
            comparison = comparisons[row["comparison_id"]]
            a = comparison.first if row["order"] == "forward" else comparison.second
            shown = row["image_a"] if name == "clipped" else [row["image_a"]]
            paths = [picture["path"] for picture in shown]
            assert paths == [f"frames/{frame.id}.png" for frame in a.frames]
            assert all(picture["bytes"] for picture in shown)
            assert row["drawn_a"]


def test_export_holds_every_comparison_with_its_pictures(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "export"
    lines_of(capsys, "export", run.folder.path, "--out", out)
    rows = [json.loads(line) for line in (out / "comparisons.jsonl").read_text().splitlines()]
    table = pq.read_table(out / "comparisons.parquet").to_pylist()
    assert len(rows) == len(table) == 60
    for row, columns in zip(rows, table, strict=True):
        assert read_frame(out / row["image_a"]).id in row["image_a"]
        assert columns["image_a"]["bytes"] == (out / row["image_a"]).read_bytes()
        assert row["judge"] == "recorded:one-look"
        verdict = json.loads(row["raw_reply"])["verdict"]
        assert row["p_a"] == columns["p_a"] == {"first": 1.0, "second": 0.0}[verdict]
    assert cli.main(["export", str(run.folder.path), "--out", str(out)]) == 1


def test_verify_finds_a_reward_model_fitted_to_something_else(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert lines_of(capsys, "verify", run.folder.path) == [f"{run.folder.path}: all is well"]
    other = Run.create(run.folder.task.find("pendulum"), "full", tmp_path / "other")
    other.folder.reward_model.symlink_to(run.folder.reward_model.absolute())
    assert cli.main(["verify", str(other.folder.path)]) == 1
    assert "was fitted to the preferences" in capsys.readouterr().err


def test_play_writes_a_film(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    film = tmp_path / "film.mp4"
    lines_of(capsys, "play", run.folder.path, "--out", film)
    with av.open(str(film)) as container:
        frames = sum(1 for _ in container.decode(video=0))
    assert frames >= 200
    lighter = tmp_path / "lighter.mp4"
    lines_of(capsys, "play", run.folder.path, "--kwargs", "g=1.6", "--out", lighter)
    assert lighter.read_bytes() != film.read_bytes()
    assert cli.main(["play", str(run.folder.path), "--kwargs", "g", "--out", str(lighter)]) == 1
    assert "--kwargs takes NAME=VALUE" in capsys.readouterr().err


def test_tasks_and_doctor(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert any(line.startswith("pendulum ") for line in lines_of(capsys, "tasks"))
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    printed = "\n".join(lines_of(capsys, "doctor"))
    assert "OPENAI_API_KEY" in printed
    assert "sk-secret" not in printed
    assert "Pendulum-v1 is drawn" in printed


def test_the_doctor_tries_what_it_reports(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise RuntimeError("no library to draw with")

    monkeypatch.setattr("gymnasium.envs.classic_control.PendulumEnv.render", fails)
    told = dict(findings())["drawing"]
    assert "Pendulum-v1 fails" in told
    assert "no library to draw with" in told
    monkeypatch.setattr(
        "gymnasium.envs.classic_control.PendulumEnv.render", lambda _: np.zeros((8, 8, 3))
    )
    assert "in one colour" in dict(findings())["drawing"]


def test_a_learned_reward_for_other_libraries(run: Run) -> None:
    env = LearnedReward(gymnasium.make("Pendulum-v1"), run.reward_model, true_reward=True)
    env.reset(seed=0)
    observation, reward, *_, info = env.step(np.zeros(1, np.float32))
    assert reward == pytest.approx(float(run.reward_model(observation)), abs=1e-5)
    assert info["true_reward"] < 0
    upright, down = np.array([[1, 0, 0], [-1, 0, 0]], np.float32)
    assert run.reward_model(upright) > run.reward_model(down)


def test_help_and_import_load_no_jax() -> None:
    for program in ("import volition", "import volition.cli as c; c.main(['tasks'])"):
        code = f"import sys; {program}; sys.exit('jax' in sys.modules)"
        assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["train", "--env", "", "--goal", "x"], "give either a TASK or --env ID"),
        (["train", "--env", "Pendulum-v1", "--goal", ""], "--env needs --goal TEXT"),
        (["train", "pendulum", "--steps", "0"], "--steps must be at least 1, not 0"),
        (["play", "RUN", "--seed", "-1"], "--seed must not be negative: -1"),
        (["play", "RUN", "--episodes", "0"], "--episodes must be at least 1, not 0"),
        (["compare", "RUN", "random", "--ask", "x", "--seed", "-1"], "--seed must not be negative"),
        (["compare", "RUN", "random", "--ask", "x", "--pairs", "0"], "--pairs must be at least 1"),
    ],
)
def test_numbers_and_words_that_will_not_do(
    words: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(words) == 1
    assert told in capsys.readouterr().err


def test_one_of_several_goals_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    listed = [line.strip() for line in lines_of(capsys, "tasks")]
    assert "--goal curious (default): The lamp looks curious about the ball." in listed
    assert "--goal ashamed: The lamp looks ashamed." in listed
    assert cli.main(["train", "lamp", "--goal", "shy"]) == 1
    told = "there is no goal 'shy': its goals are curious, ashamed, proud, hello"
    assert told in capsys.readouterr().err
    assert cli.main(["train", "pendulum", "--goal", "shy"]) == 1
    assert "its one goal has no name" in capsys.readouterr().err
    assert cli.main(["train", "--env", "Pendulum-v1"]) == 1
    assert "--env needs --goal TEXT" in capsys.readouterr().err
    asked = tmp_path / "asked"
    lines_of(capsys, "ask", "lamp", "--goal", "ashamed", "--pairs", "2", "--out", asked)
    assert "The lamp looks ashamed." in (asked / "README.md").read_text()
    (tmp_path / "answers.csv").write_text("pair,choice\n1,A\n2,B\n")
    answers = tmp_path / "answers.csv"
    said = lines_of(capsys, "answer", asked, answers, "--judge", "somebody")
    assert said[-2] == f"train on them: volition train lamp --goal ashamed --judgments {asked}"
    run = tmp_path / "run"
    lines_of(
        capsys,
        "train",
        "lamp",
        "--goal",
        "ashamed",
        "--judgments",
        asked,
        "--steps",
        "400",
        "--out",
        run,
    )
    assert Run.open(run).folder.task.name == "lamp-ashamed"
    assert cli.main(["ask", str(run), "--goal", "proud", "--out", str(tmp_path / "more")]) == 1
    assert "is a run, which has its goal" in capsys.readouterr().err


def test_a_reward_model_is_scored_on_things_it_never_saw(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked, run = tmp_path / "asked", tmp_path / "run"
    made = ["--kwargs", "layouts=heldout"]
    lines_of(capsys, "ask", "guest", *made, "--pairs", "12", "--out", asked)
    rows = [json.loads(line) for line in (asked / "pairs.jsonl").read_text().splitlines()]
    assert all(row["kwargs"] == {"layouts": "heldout"} for row in rows)
    kinds = {int(row["first"][f"thing{n}_kind"]) for row in rows for n in range(1, 5)}
    assert min(kinds) >= len(LAYOUTS["seen"])
    scene = open_scene("volition/Guest-v0", {"layouts": "heldout"})
    view = view_asked(asked)
    assert view is not None
    for row in rows:
        state = {field: row["first"][field] for field in scene.fields}
        assert view.frame(scene.draw(state)).id == Path(row["first"]["frame"]).stem

    model, choices = train("guest", out=run, steps=400).reward_model, []
    for row in rows:
        states = [{f: row[side][f] for f in scene.fields} for side in ("first", "second")]
        first, second = model.members(jnp.stack([scene.observe(each) for each in states])).mean(0)
        choices.append("A" if first > second else "B")
    answers = tmp_path / "answers.csv"
    answers.write_text("pair,choice\n" + "".join(f"{n},{c}\n" for n, c in enumerate(choices, 1)))
    said = lines_of(capsys, "answer", asked, answers, "--judge", "the reward model itself")
    assert said[-2:] == [
        "train on them: volition train guest --goal thoughtful --kwargs layouts=heldout "
        f"--judgments {asked}",
        f"or measure a run by them: volition score RUN --judgments {asked}",
    ]
    scored = json.loads(lines_of(capsys, "score", run, "--judgments", asked, "--json")[-1])
    assert (scored["comparisons"], scored["accuracy"]) == (12, 1.0)

    assert cli.main(["ask", str(run), *made, "--out", str(tmp_path / "more")]) == 1
    assert "leave --kwargs out" in capsys.readouterr().err


def test_an_environment_is_made_as_was_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, short = tmp_path / "run", ["--steps", "400"]
    lines_of(capsys, "train", "pendulum", "--kwargs", "g=5", *short, "--out", run)
    assert Run.open(run).folder.task.environment.kwargs == {"g": 5}
    assert cli.main(["train", "pendulum", "--kwargs", "gravity=5"]) == 1
    assert "Pendulum-v1 has no keyword argument 'gravity'" in capsys.readouterr().err
