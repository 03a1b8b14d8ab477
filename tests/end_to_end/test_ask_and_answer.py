"""Judging without a live connection: from a task or a run to a folder of questions, and back."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from servers.batches import Batches, results, taking_batches
from volition import cli
from volition.comparison import Segment
from volition.envs.scene import open_scene, scenes_of
from volition.errors import InputError, RunError
from volition.evidence.verification import verify
from volition.judges.live.batch import FORMS
from volition.judges.sheets import choose_layout
from volition.judging.folders import QuestionFolder, view_asked, write_questions
from volition.judging.recordings import open_recording, read_recording
from volition.judgment import derive_preferences
from volition.learners.policies import POLICY_FILE
from volition.questions.covering import coverage_pairs
from volition.questions.distinct import distinguishable
from volition.questions.seeing import eye
from volition.run.folder import RunFolder
from volition.run.rounds import answer, ask
from volition.run.run import Run, train
from volition.storage.pictures import read_frame
from volition.tasks.task import Task
from volition.tasks.view import JudgeView

SIDE = 80  # pixels of a pendulum, as is found

OPEN_TASK = """
name = "mine"
environment = { id = "Pendulum-v1" }
goal = { text = "The rod swings to and fro." }
"""
CHOICES = {"first": "A", "second": "B", "tie": "tie"}
Row = dict[str, Any]
Answer = Callable[[Path], Path]


def rows(file: Path) -> list[Row]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def upright(row: Row) -> str:
    return "A" if math.cos(row["first"]["theta"]) > math.cos(row["second"]["theta"]) else "B"


def answered(questions: Path, file: Path, choose: Callable[[Row], str] = upright) -> Path:
    """A file of answers by somebody who knows."""
    lines = [
        json.dumps({"pair": row["pair"], "choice": choose(row)})
        for row in rows(questions / "pairs.jsonl")
    ]
    file.write_text("\n".join(lines) + "\n")
    return file


@pytest.fixture
def questions(tmp_path: Path) -> QuestionFolder:
    """Twenty pairs about the pendulum."""
    return ask("pendulum", tmp_path / "questions", pairs=20, per_sheet=12)


@pytest.fixture
def own_run(run: Run, tmp_path: Path) -> RunFolder:
    """A finished run that a test may change."""
    shutil.copytree(run.folder.path, tmp_path / "run")
    return RunFolder.open(tmp_path / "run")


# A task ----------------------------------------------------------------------------------------


def test_the_bundled_judgments_come_back_as_they_were(tmp_path: Path) -> None:
    """The real pairs, asked again and answered as the judge answered, are the same judgments."""
    task = Task.find("pendulum")
    scene = open_scene(task.environment.id)
    bundled = task.judgments_folder("one-look")
    task = task.model_copy(update={"view": view_asked(bundled)})
    lines = rows(bundled / "judgments.jsonl")

    def segment(side: Row) -> Segment:
        state = {field: side[field] for field in scene.fields}
        return Segment(scene.observe(state)[None], (read_frame(bundled / side["frame"]),), (state,))

    pairs = [(segment(line["first"]), segment(line["second"])) for line in lines]
    asked = write_questions(pairs, task, tmp_path / "asked", 60)
    choices = {i: CHOICES[line["verdict"]] for i, line in enumerate(lines, start=1)}
    answers = answered(asked.folder, tmp_path / "answers", lambda row: choices[row["pair"]])
    answer(asked.folder, answers, "the same judge")

    back = rows(asked.folder / "judgments.jsonl")
    kept = ("first", "second", "verdict")
    assert [{key: row[key] for key in kept} for row in back] == [
        {key: line[key] for key in kept} for line in lines
    ]
    before, after = (
        open_recording(folder, "name", "goal", scenes_of(task.environment), task.view)
        for folder in (bundled, asked.folder)
    )
    derived = [
        [
            (preference.comparison_id, preference.p_first, preference.weight)
            for preference in derive_preferences(judgment for _, judgment in file.judged())
        ]
        for file in (before, after)
    ]
    assert derived[0] == derived[1]
    assert after.judge.name == "recorded:the same judge"
    assert tuple(after.sheets()) == asked.sheets


def test_a_folder_of_questions_holds_what_a_judge_needs(questions: QuestionFolder) -> None:
    folder = questions.folder
    assert [sheet.name for sheet in questions.sheets] == ["sheet-1.png", "sheet-2.png"]
    page = (folder / "README.md").read_text()
    assert Task.find("pendulum").goal.text in page
    assert "sheets/sheet-1.png): pairs 1 to 12" in page
    assert "sheets/sheet-2.png): pairs 13 to 20" in page
    assert (folder / "goal" / "1.png").is_file()
    form = (folder / "answers.csv").read_text().splitlines()
    assert form == ["pair,choice", *(f"{number}," for number in range(21))]
    assert "Question 0 comes first" in page
    told = page + (folder / "answers.csv").read_text()
    assert "theta" not in told


def test_the_sheets_show_the_pairs_in_their_order(questions: QuestionFolder) -> None:
    layout = choose_layout((SIDE, SIDE), 12)
    scale = layout.frame[0] // SIDE
    for row in rows(questions.folder / "pairs.jsonl"):
        sheet = np.asarray(Image.open(questions.folder / row["sheet"]).convert("RGB"))
        left, top = layout.corner((row["pair"] - 1) % 12)
        for side, x in zip(("first", "second"), layout.lefts, strict=True):
            y = top + layout.header
            shown = sheet[y : y + SIDE * scale, left + x : left + x + SIDE * scale]
            frame = read_frame(questions.folder / row[side]["frame"]).pixels
            small = np.asarray(Image.fromarray(shown).resize((SIDE, SIDE), Image.Resampling.BOX))
            assert np.abs(small.astype(int) - frame).mean() < 2.5


def test_no_pair_looks_the_same(questions: QuestionFolder) -> None:
    for row in rows(questions.folder / "pairs.jsonl"):
        frames = [read_frame(questions.folder / row[s]["frame"]) for s in ("first", "second")]
        assert distinguishable(*frames)


def test_the_seed_decides_what_is_asked(tmp_path: Path) -> None:
    one, same, other = (
        files(ask("pendulum", tmp_path / name, pairs=4, seed=seed).folder)
        for name, seed in (("one", 1), ("same", 1), ("other", 2))
    )
    assert one == same
    assert one["pairs.jsonl"] != other["pairs.jsonl"]


def test_training_on_answers(
    questions: QuestionFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = answered(questions.folder, tmp_path / "answers.jsonl")
    assert cli.main(["answer", str(questions.folder), str(answers), "--judge", "somebody"]) == 0
    said = capsys.readouterr().out
    assert f"volition train pendulum --judgments {questions.folder}" in said
    run = train("pendulum", judgments=questions.folder, out=tmp_path / "run", steps=400)
    result = run.result
    assert result.judge == "recorded:somebody"
    assert result.judgments == 20
    assert {sheet.name for sheet in run.folder.sheets.iterdir()} == {"sheet-1.png", "sheet-2.png"}


def test_a_judge_may_want_clips_and_is_asked_again_with_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "task.toml").write_text(OPEN_TASK)
    stills = ask(str(mine), tmp_path / "stills", pairs=2)
    answers = answered(stills.folder, tmp_path / "answers.jsonl")
    answers.write_text('{"pair": 0, "choice": "clip"}\n' + answers.read_text())
    assert cli.main(["answer", str(stills.folder), str(answers), "--judge", "somebody"]) == 0
    assert "says that one picture cannot show this goal: ask again" in capsys.readouterr().err
    again = ["ask", str(mine), "--clip", "--pairs", "2", "--out", str(tmp_path / "clips")]
    assert cli.main(again) == 0
    page = (tmp_path / "clips" / "README.md").read_text()
    assert "A clip is shown as its frames" in page
    assert "Question 0" not in page
    side = rows(tmp_path / "clips" / "pairs.jsonl")[0]["first"]
    shown = json.loads((tmp_path / "clips" / "asked.json").read_text())["view"]
    assert shown["clip"] == {"steps": len(side["states"]), "frames": len(side["frames"])}


def test_what_was_asked_about_is_trained_on_as_it_was_shown(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "task.toml").write_text(OPEN_TASK)
    asked = ask(str(mine), tmp_path / "clips", pairs=4, clip=True)

    def higher(row: Row) -> str:
        ends = [math.cos(row[side]["states"][-1]["theta"]) for side in ("first", "second")]
        return "A" if ends[0] > ends[1] else "B"

    answer(asked.folder, answered(asked.folder, tmp_path / "answers", higher), "somebody")
    run = Run.create(Task.find(str(mine)), asked.folder, tmp_path / "run")
    assert asked.view is not None
    assert asked.view.clip is not None
    assert run.folder.task.view == asked.view
    assert "asked for" in run.folder.settings.found["view.clip"]
    assert verify(run.folder) == []
    with pytest.raises(InputError, match="leave --clip out"):
        Run.create(Task.find(str(mine)), asked.folder, tmp_path / "other", clip=True)


def test_a_task_folder_is_found_again(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    shutil.copytree(Task.find("pendulum").folder, folder)
    assert ask(str(folder), tmp_path / "asked", pairs=2).given.task == str(folder)


def test_wrong_answers_leave_everything_as_it_was(
    questions: QuestionFolder, tmp_path: Path
) -> None:
    before = files(questions.folder)
    answers = answered(questions.folder, tmp_path / "answers.jsonl")
    answers.write_text(answers.read_text().replace('"pair": 7,', '"pair": 70,'))
    with pytest.raises(InputError) as caught:
        answer(questions.folder, answers, "somebody")
    assert f"{answers}:7: there is no pair 70: they are 1 to 20" in str(caught.value)
    assert "no answer for the pairs 7\n" in str(caught.value)
    assert files(questions.folder) == before


def test_answers_are_taken_once(questions: QuestionFolder, tmp_path: Path) -> None:
    answers = answered(questions.folder, tmp_path / "answers.jsonl")
    answer(questions.folder, answers, "somebody")
    before = files(questions.folder)
    answer(questions.folder, answers, "somebody")
    assert files(questions.folder) == before
    with pytest.raises(InputError, match="holds other answers already"):
        answer(questions.folder, answers, "somebody else")
    assert files(questions.folder) == before


def test_a_file_of_judgments_names_one_judge(questions: QuestionFolder, tmp_path: Path) -> None:
    answer(questions.folder, answered(questions.folder, tmp_path / "answers"), "somebody")
    file = questions.folder / "judgments.jsonl"
    text = file.read_text()
    task = Task.find("pendulum")
    scenes = scenes_of(task.environment)
    another, number = "judge is {}, and the file's first line names somebody", "judge: Input should"
    for wrong, reason in (
        ('"somebody else"', another.format('"somebody else"')),
        ("7", number),
        ("null", another.format("null")),
    ):
        file.write_text(text[::-1].replace('"somebody"'[::-1], wrong[::-1], 1)[::-1])
        with pytest.raises(InputError) as caught:
            read_recording(questions.folder, "name", "goal", scenes, task.view)
        assert f":20: {reason}" in str(caught.value)


# A run -----------------------------------------------------------------------------------------


def test_a_run_asks_near_its_policy_what_its_reward_model_doubts(
    own_run: RunFolder, tmp_path: Path
) -> None:
    asked = ask(str(own_run.path), tmp_path / "asked", pairs=10)
    assert asked.run == own_run.path
    assert asked.pairs == 10
    states = [
        row[side] for row in rows(asked.folder / "pairs.jsonl") for side in ("first", "second")
    ]
    assert all(abs(state["theta"]) <= math.pi for state in states)
    frames = [state["frame"] for state in states]
    assert len(set(frames)) > 10


def test_a_run_gets_the_answers_and_asks_for_others(own_run: RunFolder, tmp_path: Path) -> None:
    asked = ask(str(own_run.path), tmp_path / "asked", pairs=10)
    answers = answered(asked.folder, tmp_path / "answers.jsonl")
    with own_run.open_store() as store:
        before = len(store.judgments())
    for _ in range(2):  # doing it again adds nothing
        answer(asked.folder, answers, "a person")
        with own_run.open_store() as store:
            judgments, judges = store.judgments(), store.judges()
            comparisons = set(store.comparisons())
            assert store.verify() == []
        assert len(judgments) == before + 10
        assert judges[judgments[-1].judge_id].name == "recorded:a person"
    ask(str(own_run.path), tmp_path / "again", pairs=10)
    task = own_run.task
    scene = open_scene(task.environment.id)
    seen = eye(scene, task.view)
    for row in rows(tmp_path / "again" / "pairs.jsonl"):
        pair = [seen({f: row[s][f] for f in scene.fields}) for s in ("first", "second")]
        ids = {segment.id for segment in pair}
        with own_run.open_store() as store:
            asked_before = store.comparisons()
        assert all(
            {asked_before[c].first.id, asked_before[c].second.id} != ids for c in comparisons
        )


def test_a_finished_run_learns_from_the_answers_it_gets(own_run: RunFolder, tmp_path: Path) -> None:
    asked = ask(str(own_run.path), tmp_path / "asked", pairs=10)
    answer(asked.folder, answered(asked.folder, tmp_path / "answers.jsonl"), "a person")
    assert "volition resume" in " ".join(verify(own_run))
    before = Run(own_run).result
    result = Run.open(own_run.path).advance()
    assert result.judgments == before.judgments + 10
    assert result.env_steps == before.env_steps
    assert "a person" in result.judge
    assert verify(own_run) == []
    policy = (own_run.policy / POLICY_FILE).read_bytes()
    assert Run.open(own_run.path).advance() == result
    assert (own_run.policy / POLICY_FILE).read_bytes() == policy, "nothing is done twice"


def test_a_changed_frame_stops_the_import(own_run: RunFolder, tmp_path: Path) -> None:
    asked = ask(str(own_run.path), tmp_path / "asked", pairs=4)
    frame = asked.folder / rows(asked.folder / "pairs.jsonl")[2]["second"]["frame"]
    Image.new("RGB", (72, 72)).save(frame)
    answers = answered(asked.folder, tmp_path / "answers.jsonl")
    with own_run.open_store() as store:
        before = len(store.judgments())
    with pytest.raises(InputError, match=r":3: second\.frame .* not the picture that was judged"):
        answer(asked.folder, answers, "a person")
    with own_run.open_store() as store:
        assert len(store.judgments()) == before
    assert not (asked.folder / "judgments.jsonl").exists()


def test_a_run_that_has_learned_nothing_cannot_ask(own_run: RunFolder, tmp_path: Path) -> None:
    own_run.checkpoint.unlink()
    with pytest.raises(RunError, match=r"has no checkpoint\.safetensors yet"):
        ask(str(own_run.path), tmp_path / "asked")
    assert not (tmp_path / "asked").exists()


def test_a_run_that_is_gone_is_missed(own_run: RunFolder, tmp_path: Path) -> None:
    asked = ask(str(own_run.path), tmp_path / "asked", pairs=2)
    answers = answered(asked.folder, tmp_path / "answers.jsonl")
    own_run.path.rename(tmp_path / "elsewhere")
    with pytest.raises(RunError, match="the run that asked is not where it was"):
        answer(asked.folder, answers, "a person")


# Providers' batches ----------------------------------------------------------------------------

JUDGES = ["openai:gpt-4o-mini", "anthropic:claude-haiku-4-5", "gemini:gemini-2.5-flash"]


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Iterator[Batches]:
    """Every provider's batch endpoints, on loopback and with a key."""
    with taking_batches("sk-batch-0123456789") as server:
        for name, form in FORMS.items():
            path = "/v1" if name == "openai" else ""
            official = form.provider
            moved = replace(official, url=server.url + path)
            monkeypatch.setattr(type(form), "provider", moved)
            monkeypatch.setenv(official.variables[0], server.key)
        yield server


@pytest.mark.parametrize("judge", JUDGES)
def test_a_batch_is_handed_in_and_fetched(
    judge: str, provider: Batches, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "asked"
    asking = ["ask", "pendulum", "--out", str(folder), "--pairs", "20", "--per-sheet", "12"]
    assert cli.main([*asking, "--batch", judge, "--submit", "--max-usd", "0.1"]) == 0
    assert f"handed in to {judge}" in capsys.readouterr().out
    before = files(folder)
    assert cli.main(["answer", str(folder)]) == 1
    assert "under way" in capsys.readouterr().err
    assert files(folder) == before
    assert cli.main(["answer", str(folder)]) == 0
    assert f"20 answers of {judge}" in capsys.readouterr().out
    assert not any(provider.key.encode() in content for content in files(folder).values())
    told = rows(folder / "judgments.jsonl")
    assert {row["judge"] for row in told} == {judge}
    right = [CHOICES[row["verdict"]] == upright(row) for row in told]
    assert sum(right) >= 19  # the server looks at heights of ink, in whole pixels
    polls = provider.polls
    assert cli.main(["answer", str(folder)]) == 0
    assert provider.polls == polls, "results that are there were fetched again"


def test_a_batch_that_may_cost_too_much_is_not_handed_in(
    provider: Batches, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asking = ["ask", "pendulum", "--out", str(tmp_path / "asked"), "--pairs", "2", "--submit"]
    assert cli.main([*asking, "--batch", JUDGES[0], "--max-usd", "0.000001"]) == 1
    assert "it may cost $0.00" in capsys.readouterr().err
    assert not provider.files


def test_a_key_that_is_refused_is_not_shown(
    provider: Batches,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-wrong-987654321")
    asking = ["ask", "pendulum", "--out", str(tmp_path / "asked"), "--pairs", "2", "--submit"]
    assert cli.main([*asking, "--batch", JUDGES[0]]) == 1
    said = capsys.readouterr().err
    assert "refuses the key in OPENAI_API_KEY" in said
    assert "987654321" not in said


def test_pairs_that_a_batch_left_out_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    judge = JUDGES[1]
    asked = ask("pendulum", tmp_path / "asked", pairs=4, per_sheet=2, batches=[judge])
    file = (asked.folder / "batch" / "anthropic-claude-haiku-4-5.jsonl").read_text()
    lines = results("anthropic", file)
    lines[0]["result"] = {"type": "expired"}  # the last request's, with pairs 3 and 4
    came = tmp_path / "results.jsonl"
    came.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert cli.main(["answer", str(asked.folder), str(came)]) == 0
    said = capsys.readouterr()
    assert f"2 answers of {judge}" in said.out
    assert "pair 3 has none: rejected" in said.err
    assert "pair 4 has none: rejected" in said.err
    assert [row["pair"] for row in rows(asked.folder / "judgments.jsonl")] == [1, 2]


# What people get wrong -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["ask", "nothing", "--out", "OUT"], "there is no task 'nothing'"),
        (["ask", "pendulum", "--out", "OUT", "--pairs", "0"], "--pairs must be at least 1, not 0"),
        (
            ["ask", "pendulum", "--out", "OUT", "--per-sheet", "-1"],
            "--per-sheet must be at least 1",
        ),
        (["ask", "pendulum", "--out", "OUT", "--seed", "-1"], "--seed must not be negative"),
        (["ask", "pendulum", "--out", "FULL"], "FULL is there already"),
        (["ask", "pendulum", "--out", "FULL/file/sub"], "cannot be written"),
        (["answer", "FULL", "file", "--judge", "me"], "is not a folder that `volition ask` wrote"),
        (["answer", "FULL", "file", "--judge", " "], "--judge needs a name"),
        (["ask", "pendulum", "--out", "OUT", "--submit"], "--submit hands one batch in"),
        (["ask", "pendulum", "--out", "OUT", "--max-usd", "1"], "--max-usd limits a batch"),
        (["ask", "pendulum", "--out", "OUT", "--batch", "me:x"], "there are no batches of 'me:x'"),
    ],
)
def test_what_is_wrong_is_said(
    arguments: list[str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("FULL").mkdir()
    Path("FULL/file").touch()
    assert cli.main(arguments) == 1
    assert said in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["FULL"]


def test_somebody_must_have_judged(questions: QuestionFolder, tmp_path: Path) -> None:
    answers = answered(questions.folder, tmp_path / "answers.jsonl")
    with pytest.raises(InputError, match="who judged"):
        answer(questions.folder, answers)
    with pytest.raises(InputError, match=r"no batch of .* was handed in"):
        answer(questions.folder)


def test_too_many_pairs_for_a_sheet(tmp_path: Path) -> None:
    task = Task.find("pendulum").model_copy(update={"view": JudgeView(size=(72, 72))})
    scene = open_scene(task.environment.id)
    seen = eye(scene, task.view)
    states = coverage_pairs(scene, 2, np.random.default_rng(0))
    pairs = [(seen(one), seen(other)) for one, other in states] * 500
    with pytest.raises(InputError, match="--per-sheet 1000 will not do: 1000 pairs of 72x72"):
        write_questions(pairs, task, tmp_path / "asked", 1000)
    assert not (tmp_path / "asked").exists()
