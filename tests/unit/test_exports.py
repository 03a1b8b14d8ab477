"""What is exported comes back as it was, bit for bit: pictures, probabilities, order and cost."""

from __future__ import annotations

import json
import pickle
import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from volition import cli
from volition.comparison import Comparison, Frame, Segment
from volition.envs.scene import scenes_of
from volition.errors import InputError, RunError
from volition.goal import Goal, kept
from volition.integrations.hugging_face.cards import SIMULATED
from volition.integrations.hugging_face.dataset import export, write_pictures
from volition.integrations.hugging_face.importing import import_rows
from volition.integrations.hugging_face.rows import Row, as_preferences, rows_of
from volition.integrations.hugging_face.tables import write_parquet
from volition.integrations.imitation_preferences import export_preferences
from volition.judging.recordings import Recording, line_of, open_recording, read_recording
from volition.judgment import Failure, JudgeIdentity, Judgment, Order, Reply, Verdict
from volition.run.creating import task_for
from volition.run.folder import RunFolder, RunSettings
from volition.run.run import Run
from volition.storage.store import Store
from volition.tasks.task import EnvironmentSection
from volition.tasks.view import ClipSection, JudgeView

SCENES = scenes_of(EnvironmentSection(id="Pendulum-v1"))
LIVE = JudgeIdentity("openai:some-model", settings={"model": "some-model"})
STILL, CLIP = JudgeView(), JudgeView(clip=ClipSection(steps=4, frames=2))
GOAL = "The rod points straight up."


def seen(number: int, view: JudgeView, dtype: type = np.float32) -> Segment:
    """A segment that nobody could guess: noise that is observed, shown as noise."""
    rng = np.random.default_rng(number)
    shape = (view.steps, 3) if dtype is np.float32 else (view.steps, 5, 7, 3)
    observations = rng.normal(size=shape) if dtype is np.float32 else rng.integers(256, size=shape)
    frames = (Frame(rng.integers(0, 256, (6, 9, 3), np.uint8)) for _ in view.shown)
    return Segment(observations.astype(dtype), tuple(frames))


def answer(number: int, view: JudgeView, drawn: Row | None = None) -> tuple[Comparison, Judgment]:
    """What a live judge said of two such segments."""
    given = drawn or {
        "p": np.random.default_rng(number).random(),
        "order": Order.SWAPPED if number % 2 else Order.FORWARD,
        "cost": 0.1 + number / 3,
        "raw": f'{{"choices": ["reply {number}, “…” \\n"]}}',
    }
    comparison = Comparison.between("goal", seen(2 * number, view), seen(2 * number + 1, view))
    reply = Reply(f"{number:016x}", given["raw"], 100 + number, 3, given["cost"], number / 7)
    verdict = Verdict(given["p"], "since it is upright")
    return comparison, Judgment(comparison.id, LIVE.id, given["order"], verdict, reply)


Answers = Sequence[tuple[Comparison, Judgment]]


def rows(answers: Answers, folder: Path, judge: JudgeIdentity = LIVE) -> list[Row]:
    """Their rows, with the pictures that these name in a folder."""
    folder.mkdir(exist_ok=True)
    comparisons = {comparison.id: comparison for comparison, _ in answers}
    write_pictures((s for c in comparisons.values() for s in (c.first, c.second)), folder)
    judges = {judge.id: judge}
    judgments = [replace(judgment, judge_id=judge.id) for _, judgment in answers]
    return rows_of(judgments, comparisons, judges, {"goal": GOAL})


def as_jsonl(written: Sequence[Row], file: Path) -> Path:
    file.write_text("".join(json.dumps(row) + "\n" for row in written), encoding="utf-8")
    return file


def read(folder: Path, view: JudgeView) -> Recording:
    return read_recording(folder, "imported", "goal", SCENES, view)


def check_same(recording: Recording, answers: Answers) -> None:
    """That a recording holds what was said: ids are hashes of pixels and of observations."""
    assert [c.id for c in recording.comparisons] == [c.id for c, _ in answers]
    judge = JudgeIdentity("recorded:openai:some-model")
    for said, (_, told) in zip(recording.judgments, answers, strict=True):
        assert (said.order, said.outcome, said.principle) == (told.order, told.outcome, None)
        line = line_of(judge, said)
        assert line is not None
        assert line.reply is not None
        assert (line.reply.id, line.reply.raw) == (told.reply.id, told.reply.raw)
        for name in ("prompt_tokens", "completion_tokens", "cost_usd", "latency_s"):
            assert getattr(said.reply, name) == getattr(told.reply, name), name


drawn_answers = st.lists(
    st.fixed_dictionaries(
        {
            "p": st.floats(0, 1),
            "order": st.sampled_from(Order),
            "cost": st.floats(0, 1e3),
            "raw": st.text(),
        }
    ),
    min_size=1,
    max_size=4,
)


@given(drawn=drawn_answers, clip=st.booleans(), form=st.sampled_from(["parquet", "jsonl"]))
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_rows_come_back_as_they_were(
    tmp_path_factory: pytest.TempPathFactory, drawn: list[Row], clip: bool, form: str
) -> None:
    folder, view = tmp_path_factory.mktemp("rows"), CLIP if clip else STILL
    answers = [answer(number, view, each) for number, each in enumerate(drawn)]
    written = rows(answers, folder)
    source = folder / f"comparisons.{form}"
    if form == "parquet":
        write_parquet(written, source)
    else:
        as_jsonl(written, source)
    imported = import_rows(source, folder / "back")
    assert imported.goals == (GOAL,)
    check_same(read(folder / "back", view), answers)


@pytest.mark.parametrize("view", [STILL, CLIP], ids=["still", "clip"])
def test_what_was_chosen_comes_back_too(tmp_path: Path, view: JudgeView) -> None:
    answers = [answer(number, view) for number in range(6)]
    written = list(as_preferences(rows(answers, tmp_path)))
    for row, (_, judgment) in zip(written, answers, strict=True):
        assert isinstance(judgment.outcome, Verdict)
        said = "A" if judgment.outcome.p_shown_first > 0.5 else "B"
        assert row["chosen"] == [{"role": "assistant", "content": said}]
        assert {row["chosen"][0]["content"], row["rejected"][0]["content"]} == {"A", "B"}
        assert len(row["images"]) == 2 * len(view.shown)
    write_parquet(written, tmp_path / "preferences.parquet")
    import_rows(tmp_path / "preferences.parquet", tmp_path / "back")
    check_same(read(tmp_path / "back", view), answers)


@pytest.mark.parametrize(
    ("principle", "asked"),
    [
        (kept("Nobody is woken.").text, "Is this kept to in A: Nobody is woken. Answer A if it is"),
        ("done: The gate is passed.", "Is this so in A: The gate is passed. Answer A if it is"),
        ("Nobody is woken.", "Judge by this: Nobody is woken.\nWhich of the two"),
    ],
)
def test_what_was_asked_of_one_side_is_asked_so(tmp_path: Path, principle: str, asked: str) -> None:
    comparison, judgment = answer(0, STILL)
    written = rows([(comparison, replace(judgment, principle=principle))], tmp_path)
    (row,) = as_preferences(written)
    assert asked in row["prompt"][0]["content"]
    assert "kept:" not in row["prompt"][0]["content"]


def test_ties_and_failures_prefer_nothing(tmp_path: Path) -> None:
    (comparison, judgment), other = answer(0, STILL), answer(1, STILL)
    tie = replace(judgment, outcome=Verdict(0.5))
    failed = replace(judgment, outcome=Failure("timeout", "no answer"))
    written = rows([(comparison, tie), (comparison, failed), other], tmp_path)
    assert [row["p_a"] for row in written][:2] == [0.5, None]
    assert written[1]["failure"] == "timeout"
    assert len(list(as_preferences(written))) == 1
    imported = import_rows(as_jsonl(written, tmp_path / "rows.jsonl"), tmp_path / "back")
    assert (imported.judgments, imported.left_out) == (2, 1)


def judged_run(path: Path, judge: JudgeIdentity = LIVE, count: int = 8) -> RunFolder:
    """A run folder with what a live judge answered, two of it without a verdict."""
    task = task_for("Pendulum-v1", Goal(GOAL))
    task = task.model_copy(update={"view": STILL})
    with (
        RunFolder.create(path, task, RunSettings("", False, 400, 0)) as folder,
        Store.create(folder.path) as store,
    ):
        goal_id = store.add_goal(task.stated_goal())
        store.add_judge(judge)
        for number in range(count):
            comparison, judgment = answer(number, STILL)
            comparison = Comparison.between(goal_id, comparison.first, comparison.second)
            failed = Failure("unparsable", "it says nothing")
            judgment = replace(
                judgment,
                comparison_id=comparison.id,
                judge_id=judge.id,
                outcome=failed if number < 2 else judgment.outcome,
            )
            store.add_comparisons([comparison])
            store.add_replies(judge.id, [judgment.reply])
            store.add_judgments([judgment])
    return RunFolder.open(path)


def test_a_run_that_imported_exports_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = judged_run(tmp_path / "first")
    assert cli.main(["export", str(first.path), "--out", str(tmp_path / "out")]) == 0
    assert cli.main(["import", str(tmp_path / "out"), "--out", str(tmp_path / "back")]) == 0
    said = capsys.readouterr()
    assert f"train on them: volition train TASK --judgments {tmp_path / 'back'}" in said.out
    assert "2 answers without a verdict are left out" in said.err
    again = Run.create(first.task, tmp_path / "back", tmp_path / "again").folder
    export(again, tmp_path / "out again")
    before, after = (
        [
            json.loads(line)
            for line in (tmp_path / name / "comparisons.jsonl").read_text().split("\n")[:-1]
        ]
        for name in ("out", "out again")
    )
    expected = [{**row, "judge": f"recorded:{row['judge']}"} for row in before[2:]]
    assert after == expected
    with again.open_store() as store, first.open_store() as other:
        assert store.cost_usd() == 0, "what was paid for before is not paid for again"
        assert other.cost_usd() > 0
    assert (tmp_path / "back" / "judgments.jsonl").read_text() == (
        tmp_path / "out" / "judgments.jsonl"
    ).read_text(), "the export's own recording says the same"


# What is simulated stays so -----------------------------------------------------------------


@pytest.mark.parametrize("name", ["simulated:strong", "an object of mine"])
def test_what_is_simulated_says_so_everywhere(tmp_path: Path, name: str) -> None:
    run = judged_run(tmp_path / "run", JudgeIdentity(name, simulated=True))
    export(run, tmp_path / "out")
    for file in ("comparisons.parquet", "preferences.parquet"):
        table = pq.read_table(tmp_path / "out" / file)
        assert set(table["simulated"].to_pylist()) == {True}, file
    card = (tmp_path / "out" / "README.md").read_text()
    assert SIMULATED in card
    assert '- "simulated-judge"' in card
    imported = import_rows(tmp_path / "out", tmp_path / "back").folder
    for folder in (tmp_path / "out", imported):
        recording = open_recording(folder, "imported", "goal", SCENES, STILL)
        assert recording.judge.simulated, folder
    export(judged_run(tmp_path / "real"), tmp_path / "real-out")
    assert SIMULATED not in (tmp_path / "real-out" / "README.md").read_text()


# What will not do ----------------------------------------------------------------------------


class Harm:
    """What a pickle can do to whoever opens it."""

    def __reduce__(self) -> tuple[Any, ...]:
        return sys.exit, (3,)


@pytest.mark.parametrize("name", ["preferences.pkl", "trajectories", "model.pt"])
def test_a_pickle_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    (tmp_path / name).write_bytes(pickle.dumps(Harm()))
    assert cli.main(["import", str(tmp_path / name), "--out", str(tmp_path / "back")]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{name} is a pickle: a pickle runs whatever program its maker put into it" in line
    assert not (tmp_path / "back").exists()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"p_a": 1.5}, "row 1: p_a: Input should be less than or equal to 1"),
        ({"p_a": None}, "holds no verdict"),
        ({"observations_a": None}, "neither states_a nor observations_a"),
        ({"image_b": None}, "image_b is missing"),
        ({"image_a": "../secret.png"}, "is not in the folder of the rows"),
        ({"image_a": {"bytes": "bm90IGEgcGljdHVyZQ=="}}, "not a picture that can be read"),
        ({"cost_usd": -1.0}, "cost_usd: Input should be greater than or equal to 0"),
        ({"kwargs": "9.81"}, "row 1: kwargs: "),
        ({"states_a": '[{"theta": NaN}]'}, "row 1: states_a: Input should be a finite number"),
        ({"observations_b": [[np.nan]]}, "row 1: observations_b: Input should be a finite number"),
    ],
)
def test_a_row_that_will_not_do_is_named(tmp_path: Path, change: Row, told: str) -> None:
    (row,) = rows([answer(2, STILL)], tmp_path / "rows")
    file = as_jsonl([{**row, **change}], tmp_path / "rows" / "rows.jsonl")
    with pytest.raises(InputError, match=told.replace("(", r"\(")):
        import_rows(file, tmp_path / "back")
    assert not (tmp_path / "back").exists()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b'{"goal": "\xff"}\n', "rows.jsonl:1: not valid JSON: 'utf-8' codec"),
        (b"[" * 100_000 + b"\n", "rows.jsonl:1: not valid JSON: maximum recursion depth"),
    ],
)
def test_what_is_no_json_is_said(tmp_path: Path, content: bytes, told: str) -> None:
    (tmp_path / "rows.jsonl").write_bytes(content)
    with pytest.raises(InputError, match=told):
        import_rows(tmp_path / "rows.jsonl", tmp_path / "back")


def test_of_several_tables_none_is_left_out_unsaid(tmp_path: Path) -> None:
    written = rows([answer(0, STILL)], tmp_path)
    for number in (0, 1):
        write_parquet(written, tmp_path / f"train-0000{number}-of-00002.parquet")
    with pytest.raises(InputError, match="holds 2 Parquet files"):
        import_rows(tmp_path, tmp_path / "back")


def test_replies_that_say_no_id_are_counted_apart(tmp_path: Path) -> None:
    written = rows([answer(number, STILL) for number in range(2)], tmp_path)
    nameless = [{**row, "reply_id": None} for row in written]
    back = import_rows(as_jsonl(nameless, tmp_path / "rows.jsonl"), tmp_path / "back").folder
    recording = read(back, STILL)
    comparisons = {comparison.id: comparison for comparison in recording.comparisons}
    judge = open_recording(back, "imported", "goal", SCENES, STILL).judge
    again = rows_of(recording.judgments, comparisons, {judge.id: judge}, {"goal": GOAL})
    assert len({row["reply_id"] for row in again}) == 2


def test_a_recording_is_of_one_judge(tmp_path: Path) -> None:
    answers = [answer(number, STILL) for number in range(4)]
    other = JudgeIdentity("anthropic:another")
    written = rows(answers[:2], tmp_path) + rows(answers[2:], tmp_path, other)
    file = as_jsonl(written, tmp_path / "rows.jsonl")
    with pytest.raises(InputError, match="2 judges answered, openai:some-model, anthropic:another"):
        import_rows(file, tmp_path / "back")
    imported = import_rows(file, tmp_path / "back", other.name)
    assert (imported.judgments, imported.judge) == (2, other.name)
    check_same(read(tmp_path / "back", STILL), answers[2:])
    with pytest.raises(RunError, match="is there already"):
        import_rows(file, tmp_path / "back", other.name)
    with pytest.raises(InputError, match="holds no verdict of nobody"):
        import_rows(file, tmp_path / "none", "nobody")


def test_what_is_missing_is_named_with_its_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    run = judged_run(tmp_path / "run")
    words = ["export", str(run.path), "--format", "imitation", "--out", str(tmp_path / "out")]
    assert cli.main(words) == 1
    assert 'pip install "volition[hf]"' in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert cli.main([*words[:3], "dataset", "--episodes", "3"]) == 1
    assert "--episodes goes with --format minari" in capsys.readouterr().err


# Through other libraries ---------------------------------------------------------------------


@pytest.fixture
def quiet_datasets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The library, offline, with its cache in a folder of its own."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    datasets = import_module("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    datasets.disable_progress_bars()
    return datasets


def test_datasets_reads_and_saves_it_and_it_comes_back(tmp_path: Path, quiet_datasets: Any) -> None:
    run = judged_run(tmp_path / "run")
    export(run, tmp_path / "out")
    loaded = quiet_datasets.load_dataset(str(tmp_path / "out"), "judgments")
    table = loaded["train"]
    assert set(table.column_names) >= {"image_a", "image_b", "goal", "p_a", "judge", "raw_reply"}
    picture = np.asarray(table[5]["image_a"])
    with run.open_store() as store:
        judgments, comparisons = store.judgments(), store.comparisons()
    comparison = comparisons[judgments[5].comparison_id]
    first = comparison.second if judgments[5].order is Order.SWAPPED else comparison.first
    np.testing.assert_array_equal(picture, first.frames[0].pixels)
    chosen = quiet_datasets.load_dataset(str(tmp_path / "out"), "preferences")["train"]
    assert len(chosen) == 6
    assert [image.size for image in chosen[0]["images"]] == [(9, 6), (9, 6)]
    loaded.save_to_disk(str(tmp_path / "saved"))
    decoded = table.map(lambda row: {"image_a": row["image_a"]})  # decoded, and encoded anew
    decoded.to_parquet(str(tmp_path / "decoded.parquet"))
    expected = import_rows(tmp_path / "out", tmp_path / "back").folder / "judgments.jsonl"
    for source in ("saved", "decoded.parquet"):
        back = import_rows(tmp_path / source, tmp_path / f"from {source}").folder
        assert (back / "judgments.jsonl").read_text() == expected.read_text(), source


def test_what_was_asked_of_one_side_is_no_preference_of_imitations(
    tmp_path: Path, quiet_datasets: Any
) -> None:
    run = judged_run(tmp_path / "run")
    with Store.open(run.path) as store:
        last = store.judgments()[-1]
        reply = replace(last.reply, id="f" * 16)
        store.add_replies(last.judge_id, [reply])
        of_one = kept("Nobody is woken.").text
        store.add_judgments([replace(last, reply=reply, principle=of_one)])
        assert len(store.judgments()) == 9
    assert export_preferences(run, tmp_path / "out") == 6


def test_imitations_preferences_come_back(
    tmp_path: Path, quiet_datasets: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    run = judged_run(tmp_path / "run")
    words = [str(run.path), "--format", "imitation", "--out", str(tmp_path / "out")]
    assert cli.main(["export", *words]) == 0
    fragments = quiet_datasets.load_from_disk(str(tmp_path / "out" / "fragments_1"))
    assert fragments.column_names == ["obs", "acts", "infos", "terminal"]
    assert [len(fragments[0][name]) for name in ("obs", "acts", "infos")] == [2, 1, 1]
    assert cli.main(["import", str(tmp_path / "out"), "--out", str(tmp_path / "back")]) == 0
    assert "6 judgments of openai:some-model" in capsys.readouterr().out
    export(run, tmp_path / "rows")
    assert (tmp_path / "back" / "judgments.jsonl").read_text() == (
        tmp_path / "rows" / "judgments.jsonl"
    ).read_text()

    def refused() -> str:
        assert cli.main(["import", str(tmp_path / "out"), "--out", str(tmp_path / "no")]) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert not (tmp_path / "no").exists()
        return line

    probabilities, second = tmp_path / "out" / "preferences.npy", tmp_path / "out" / "fragments_2"
    whole = probabilities.read_bytes()
    np.save(probabilities, np.array([Harm()], object))
    assert "a pickle runs whatever program" in refused()
    np.save(probabilities, 0.5)
    assert "preferences.npy is of shape (): a probability for each pair" in refused()
    probabilities.write_bytes(b"")
    assert "preferences.npy cannot be read: EOF" in refused()
    probabilities.write_bytes(whole)
    for column in ({"infos": [["not JSON"]] * 6, "obs": [[[0.0]]] * 6}, {"other": [0] * 6}):
        shutil.rmtree(second)
        quiet_datasets.Dataset.from_dict(column).save_to_disk(str(second))
        assert "fragments_2: 1: its infos do not say what a judge saw" in refused()
    (second / "state.json").write_text("{")
    assert "fragments_2 cannot be read: JSONDecodeError" in refused()
