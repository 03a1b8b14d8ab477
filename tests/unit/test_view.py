"""What the judge is shown where task.toml does not say: found from a few drawings."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from odd import registered
from volition.errors import InputError
from volition.finding.view import find_view
from volition.goal import Goal
from volition.judging.folders import view_asked
from volition.run.creating import task_for
from volition.tasks.task import Task
from volition.tasks.view import ClipSection, JudgeView

GOAL = Goal("as it should be")


@pytest.fixture(scope="module", autouse=True)
def _odd_environments() -> Iterator[None]:
    with registered():
        yield


def open_task(env_id: str, view: JudgeView | None = None) -> Task:
    return task_for(env_id, GOAL).model_copy(update={"view": view or JudgeView()})


def test_of_the_pendulum_only_the_part_in_which_its_rod_moves_is_shown() -> None:
    view, how = find_view(open_task("Pendulum-v1"))
    left, top, right, bottom = view.crop
    assert 0.15 < left < 0.3
    assert 0.15 < top < 0.3
    assert 0.7 < right < 0.85
    assert 0.7 < bottom < 0.85
    assert view.size is not None
    assert 64 <= view.size[0] <= 128
    assert abs(view.size[0] - view.size[1]) <= 1
    assert view.clip is None
    assert how.keys() == {"view.crop", "view.size"}
    assert find_view(open_task("Pendulum-v1"))[0] == view


def test_what_stands_still_and_shows_something_is_not_cut_away() -> None:
    """The track of the cart-pole goes on to both sides, and the hill of the mountain car to all."""
    cartpole, _ = find_view(open_task("CartPole-v1"))
    left, top, right, bottom = cartpole.crop
    assert (left, right) == (0, 1)
    assert 0.2 < top < 0.45
    assert 0.8 < bottom < 0.95
    assert find_view(open_task("MountainCarContinuous-v0"))[0].crop == (0, 0, 1, 1)


def test_an_environment_that_is_filmed_has_a_view_too() -> None:
    view, _ = find_view(open_task("test/Large-v0"))  # 1,000 pixels wide as it draws itself
    assert view.size is not None
    assert max(view.size) <= 256
    tiny, how = find_view(open_task("test/Tiny-v0"))
    assert tiny.size is None
    assert "as drawn" in how["view.size"]


@pytest.mark.parametrize("name", ["NothingMoves", "Faint"])
def test_where_nothing_is_seen_to_change_all_of_it_is_shown(name: str) -> None:
    assert find_view(open_task(f"test/{name}-v0"))[0].crop == (0, 0, 1, 1)


def test_what_the_task_says_is_left_as_it_is() -> None:
    said = JudgeView(size=(50, 40))
    assert find_view(open_task("test/CannotBeMade-v0", said)) == (said, {})
    cropped, how = find_view(open_task("Pendulum-v1", JudgeView(crop=(0, 0, 1, 0.5))))
    assert cropped.crop == (0, 0, 1, 0.5)
    assert cropped.size is not None
    assert cropped.size[0] == pytest.approx(2 * cropped.size[1], abs=2)
    assert how.keys() == {"view.size"}


def test_a_clip_is_as_long_as_it_takes_until_the_picture_is_another() -> None:
    size = JudgeView(size=(48, 48))
    view, how = find_view(open_task("test/Plain-v0", size), clip=True)
    assert view.clip is not None
    assert 12 <= view.clip.steps <= 40  # an episode
    assert 3 <= view.clip.frames <= 8
    assert "half so after" in how["view.clip"]
    said = JudgeView(size=(48, 48), clip=ClipSection(steps=7, frames=2))
    assert find_view(open_task("test/Plain-v0", said), clip=True)[0] == said
    with pytest.raises(InputError, match="end with their first step"):
        find_view(open_task("test/FirstStep-v0", size), clip=True)


def test_a_task_can_say_that_states_are_shown() -> None:
    view = JudgeView.model_validate({"clip": False})
    assert view.clip is None
    assert "clip" in view.model_fields_set


def test_what_was_judged_is_shown_as_it_was(tmp_path: Path) -> None:
    asked = JudgeView(crop=(0, 0, 0.5, 0.5), size=None, clip=None)
    about = {"view": asked.model_dump(mode="json")}
    (tmp_path / "asked.json").write_text(json.dumps(about))
    (tmp_path / "judgments.jsonl").write_text("")
    for source in (tmp_path, tmp_path / "judgments.jsonl"):
        assert view_asked(source) == asked
    view, how = find_view(open_task("test/CannotBeMade-v0"), asked=view_asked(tmp_path))
    assert view == asked
    assert "when the judgments were asked for" in how["view.crop"]
    (tmp_path / "asked.json").write_text('{"view": {"crop": 3}}')
    with pytest.raises(InputError, match=r"asked\.json says of `view`"):
        view_asked(tmp_path)


def test_recorded_clips_say_how_long_they_are(tmp_path: Path) -> None:
    copied = tmp_path / "clips.jsonl"
    file = Task.find("lamp", "hello").judgments_folder(None) / "judgments.jsonl"
    copied.write_bytes(file.read_bytes())
    view = view_asked(copied)
    assert view is not None
    assert view.clip == ClipSection(steps=32, frames=8)
    file = Task.find("pendulum").judgments_folder(None) / "judgments.jsonl"
    copied = tmp_path / "judgments.jsonl"
    copied.write_bytes(file.read_bytes())
    assert view_asked(copied) is None  # of single states, and nothing lies beside it
