"""The store: nothing twice, nothing changed, nothing lost, and every defect found."""

from __future__ import annotations

import json
import sqlite3
import tempfile
from collections.abc import Sequence
from itertools import count, pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from conftest import comparison, segment
from volition.comparison import Comparison, Frame, Pixels, Segment, State
from volition.errors import StoreError
from volition.goal import Goal
from volition.judgment import Failure, JudgeIdentity, Judgment, Order, Reply, Verdict
from volition.storage.database import DATABASE
from volition.storage.pictures import read_frame
from volition.storage.schema import MIGRATIONS, TABLES, append_only
from volition.storage.store import Store

JUDGE = JudgeIdentity("test", simulated=True, settings={"kind": "scripted"})
outcomes = st.one_of(
    st.builds(Verdict, st.floats(0, 1)),
    st.builds(Failure, st.sampled_from(["refused", "timeout"]), st.text(max_size=8)),
)
answers = st.lists(
    st.tuples(st.integers(0, 9), st.integers(10, 19), outcomes, st.sampled_from(Order), st.text()),
    max_size=6,
)


def fill(store: Store, given_answers: list[tuple[int, int, Verdict | Failure, Order, str]]) -> None:
    goal_id = store.add_goal(Goal("up"))
    judge_id = store.add_judge(JUDGE)
    judgments = []
    for number, (one, other, outcome, order, raw) in enumerate(given_answers):
        asked = comparison(one, other, goal_id)
        store.add_comparisons([asked])
        reply = Reply(f"reply {number}", raw, 3, 1, 0.25, 0.5)
        store.add_replies(judge_id, [reply])
        judgments.append(Judgment(asked.id, judge_id, order, outcome, reply))
    store.add_judgments(judgments)


@given(answers)
@settings(max_examples=25, deadline=None)
def test_what_is_stored_comes_back_and_storing_it_again_changes_nothing(
    given_answers: list[tuple[int, int, Verdict | Failure, Order, str]],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(2):
            with Store.create(Path(folder)) as store:
                fill(store, given_answers)
        with Store.open(Path(folder)) as store:
            read = store.judgments()
            assert [(j.outcome, j.order, j.reply.raw) for j in read] == [
                (outcome, order, raw) for _, _, outcome, order, raw in given_answers
            ]
            asked = store.comparisons()
            assert all(
                sorted(
                    asked[j.comparison_id].first.observations.flatten().tolist()
                    + asked[j.comparison_id].second.observations.flatten().tolist()
                )
                == [one, other]
                for j, (one, other, *_) in zip(read, given_answers, strict=True)
            )
            assert store.judges() == {JUDGE.id: JUDGE}
            assert store.cost_usd() == 0.25 * len(given_answers)
            assert store.verify() == []


numbers = st.floats(allow_nan=False, allow_infinity=False, width=32)


@st.composite
def segments(draw: st.DrawFn) -> Segment:
    """A state or a clip, its own states known or not."""
    steps, entries = draw(st.integers(1, 6)), draw(st.integers(1, 3))
    frames = draw(st.lists(st.integers(0, 255), min_size=1, max_size=steps))
    rows = st.lists(numbers, min_size=entries, max_size=entries)
    observed = draw(st.lists(rows, min_size=steps, max_size=steps))
    states = [{f"x{k}": x / 3 for k, x in enumerate(row)} for row in observed]
    return Segment(
        np.array(observed, np.float32),
        tuple(Frame(np.full((2, 3, 3), shade, np.uint8)) for shade in frames),
        tuple(states) if draw(st.booleans()) else (),
    )


@given(st.lists(segments(), min_size=2, max_size=5, unique_by=lambda segment: segment.id))
@settings(max_examples=25, deadline=None)
def test_states_and_clips_come_back_as_they_were(stored: list[Segment]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        with Store.create(Path(folder)) as store:
            goal_id = store.add_goal(Goal("up"))
            pairs = pairwise(stored)
            store.add_comparisons(Comparison.between(goal_id, *pair) for pair in pairs)
        with Store.open(Path(folder)) as store:
            assert store.verify() == []
            read = store.segments()
    assert read.keys() == {made.id for made in stored}
    for made in stored:
        again = read[made.id]
        np.testing.assert_array_equal(again.observations, made.observations)
        assert (again.frames, again.states) == (made.frames, made.states)


def test_what_is_drawn_later_has_no_frames_and_the_same_name_when_it_is_drawn(
    tmp_path: Path,
) -> None:
    """It is drawn from what was stored, whenever somebody looks, and by nobody else."""
    grey, looks = segment(1).frames[0], []

    def draw(drawn_with: str, states: Sequence[State]) -> tuple[Frame, ...]:
        def look() -> Pixels:
            looks.append((drawn_with, dict(states[0])))
            return grey.pixels

        return (Frame(look),)

    state, observations = {"theta": 0.1 + 0.2}, segment(1).observations
    later = Segment(observations, draw("null", [state]), (state,), "null")
    other = Segment(observations, draw("null", [state]), (state,), '{"g": 9.81}')
    assert len({later.id, other.id, Segment(observations, (grey,), (state,)).id}) == 3
    with Store.create(tmp_path) as store:
        goal_id = store.add_goal(Goal("up"))
        store.add_comparisons([Comparison.between(goal_id, later, other)])
    with Store.open(tmp_path, draw) as store:
        assert store.verify() == []
        read = store.segments()[other.id]
        assert not looks
        assert read.frames == (grey,)
        assert (read.states, read.drawn_with) == ((state,), '{"g": 9.81}')
        assert looks == [('{"g": 9.81}', state)]
    assert not [*(tmp_path / "frames").iterdir()]
    with Store.open(tmp_path) as store, pytest.raises(StoreError, match="read the run"):
        _ = store.segments()[other.id].frames[0].id


def test_a_frame_is_read_when_somebody_looks(folder: Path) -> None:
    with Store.open(folder) as store:
        read = [*store.segments().values()]
        frame = read[0].frames[0]
        path = store.frame_path(frame.id)
        pixels = frame.pixels
        np.testing.assert_array_equal(read_frame(path).pixels, pixels)
    path.unlink()
    with Store.open(folder) as store:
        known = store.segments()[read[0].id]
        with pytest.raises(StoreError, match="the picture is missing"):
            _ = known.frames[0].pixels


def test_a_store_from_before_there_were_clips_is_opened_and_keeps_every_digit(
    tmp_path: Path,
) -> None:
    known = Segment(segment(1).observations, segment(1).frames, ({"theta": 0.1 + 0.2},))
    with Store.create(tmp_path) as store:
        goal_id = store.add_goal(Goal("up"))
        store.add_comparisons([Comparison.between(goal_id, known, segment(2))])
    newest = (tmp_path / DATABASE).rename(tmp_path / "newest.sqlite")
    connection = sqlite3.connect(tmp_path / DATABASE)
    connection.executescript("".join([*MIGRATIONS[:2], *map(append_only, TABLES)]))
    connection.execute("ATTACH ? AS newest", [str(newest)])
    for table in ("frames", "goals", "segment_frames", "comparisons"):
        connection.execute(f"INSERT INTO {table} SELECT * FROM newest.{table}")
    connection.execute(
        "INSERT INTO segments SELECT id, shape, observations, CASE id WHEN ? THEN ? ELSE '{}' END "
        "FROM newest.segments",
        (known.id, json.dumps({"theta": 0.1 + 0.2})),
    )
    connection.execute("PRAGMA user_version = 2")
    connection.commit()
    connection.close()
    for _ in range(2):
        with Store.open(tmp_path) as store:
            assert store.verify() == []
            assert store.segments()[known.id].states == ({"theta": 0.1 + 0.2},)
            assert store.segments()[segment(2).id].states == ()
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        sqlite3.connect(tmp_path / DATABASE).execute("UPDATE segments SET states = '[]'")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with Store.create(tmp_path) as store:
        fill(
            store,
            [(1, 12, Verdict(1.0), Order.FORWARD, "A"), (2, 13, Verdict(0.0), Order.SWAPPED, "B")],
        )
    return tmp_path


def defects(folder: Path) -> list[str]:
    with Store.open(folder) as store:
        return store.verify()


def vandalise(folder: Path, statement: str, table: str) -> None:
    """Changes the database behind the triggers' backs."""
    connection = sqlite3.connect(folder / DATABASE)
    for verb in ("update", "delete"):
        connection.execute(f"DROP TRIGGER {table}_no_{verb}")
    connection.execute(statement)
    connection.commit()
    connection.close()


@pytest.mark.parametrize(
    "statement", ["UPDATE judgments SET p_shown_first = 0.5", "DELETE FROM replies"]
)
def test_nothing_is_changed_or_deleted(folder: Path, statement: str) -> None:
    connection = sqlite3.connect(folder / DATABASE)
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        connection.execute(statement)
    connection.close()


def test_a_judgment_without_its_comparison_is_refused(folder: Path) -> None:
    with Store.open(folder) as store:
        reply = Reply("another", "A")
        store.add_replies(JUDGE.id, [reply])
        with pytest.raises(StoreError, match="refused a row"):
            store.add_judgments([Judgment("none", JUDGE.id, Order.FORWARD, Verdict(1), reply)])
        assert len(store.judgments()) == 2


def test_a_repainted_frame_is_found(folder: Path) -> None:
    frame = next((folder / "frames").iterdir())
    Image.fromarray(np.full((8, 8, 3), 7, np.uint8)).save(frame)
    (defect,) = defects(folder)
    assert str(frame) in defect
    assert "its pixels hash to" in defect


def test_a_missing_frame_is_found(folder: Path) -> None:
    frame = next((folder / "frames").iterdir())
    frame.unlink()
    assert defects(folder) == [f"{frame}: the picture is missing"]


@pytest.mark.parametrize(
    ("table", "statement", "told"),
    [
        ("segments", "UPDATE segments SET shape = '[1, 1, 1]'", "segment"),
        ("goals", "UPDATE goals SET text = 'down'", "goal"),
        ("judges", "UPDATE judges SET simulated = 0", "judge"),
        ("judgments", "UPDATE judgments SET presentation = 'swapped'", "judgment"),
        ("comparisons", "DELETE FROM comparisons", "is not there"),
        ("comparisons", "UPDATE comparisons SET goal_id = 'x'", "is not there"),
    ],
)
def test_a_changed_row_is_found(folder: Path, table: str, statement: str, told: str) -> None:
    vandalise(folder, statement, table)
    assert any(told in defect for defect in defects(folder))


@pytest.mark.parametrize("kept", [0.3, 0.6])
def test_a_truncated_file_is_refused(folder: Path, kept: float) -> None:
    content = (folder / DATABASE).read_bytes()
    (folder / DATABASE).write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(StoreError, match=r"judgments\.sqlite"):
        defects(folder)


def test_a_store_of_a_later_form_is_refused(folder: Path) -> None:
    connection = sqlite3.connect(folder / DATABASE)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(StoreError, match="is of form 99"):
        Store.open(folder)


def test_a_folder_without_a_store_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="not a run folder"):
        Store.open(tmp_path)


def test_what_is_added_while_the_store_is_read_is_no_defect(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Store.create(tmp_path) as store, Store.open(tmp_path) as other:
        goal_id = store.add_goal(Goal("up"))
        store.add_comparisons([comparison(0, 100, goal_id)])
        read, numbers = store._database.read, count(1)

        def adding(query: str, *arguments: object) -> list[tuple[object, ...]]:
            rows = read(query, *arguments)
            number = next(numbers)
            other.add_comparisons([comparison(number, 100 + number, goal_id)])
            return rows

        monkeypatch.setattr(store._database, "read", adding)
        assert len(store.observed()) == 1
        assert len(store.comparisons()) >= 1
