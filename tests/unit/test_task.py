"""task.toml: what is wrong is named by file, line and key, with what is allowed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from volition.errors import InputError
from volition.tasks.task import BUNDLED, Task, bundled_names
from volition.tasks.truth import TRUTHS
from volition.tasks.view import JudgeView

GOOD = """\
name = "mine"

[environment]
id = "Pendulum-v1"

[goal]
text = "upright"
"""


def read(tmp_path: Path, text: str) -> Task:
    (tmp_path / "task.toml").write_text(text)
    return Task.read(tmp_path)


@pytest.mark.parametrize("name", bundled_names())
def test_bundled_tasks_are_whole(name: str) -> None:
    for goal, task in Task.read_all(BUNDLED / name).items():
        assert task.name == (f"{name}-{goal}" if goal else name)
        assert task.summary
        assert task.goal.truth == task.name
        assert task.goal.truth in TRUTHS
        for chosen in task.judgments.sets if task.judgments else ():
            assert (task.judgments_folder(chosen) / "judgments.jsonl").is_file()


def test_the_least_that_a_task_needs(tmp_path: Path) -> None:
    task = read(tmp_path, GOOD)
    assert (task.name, task.environment.id) == ("mine", "Pendulum-v1")
    assert task.reward.observations is None
    assert task.stated_goal().text == "upright"


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        (
            GOOD.replace("id =", "ident ="),
            ":4: environment.ident: there is no such key; allowed here: id, kwargs, home",
        ),
        (GOOD.replace('text = "upright"', ""), "goal.text: Field required"),
        (GOOD + "[view]\nsize = [4, 4]\n", ":9: view.size.0: Input should be greater"),
        (GOOD + "[view]\ncrop = [0.5, 0, 0.5, 1]\n", "view: crop is left, top, right, bottom"),
        (
            GOOD + "[view]\nclip = { steps = 3, frames = 4 }\n",
            "view.clip: a clip of 3 steps cannot be shown in 4 frames",
        ),
        (GOOD + "[view]\nclip = { steps = 30, frames = 1 }\n", ":9: view.clip.frames: Input "),
        (GOOD + "[view]\nclip = { steps = 30 }\n", "view.clip.frames: Field required"),
        (GOOD + "[training]\ngamma = 1.5\n", ":9: training.gamma: Input should be less than 1"),
        (GOOD + '[training]\nalgorithm = "dqn"\n', "Input should be 'auto', 'sac' or 'ppo'"),
        (GOOD + "[reward]\nobservations = []\n", "the reward model would see nothing"),
        (GOOD + "[reward]\nobservations = [1, 1]\n", "names an entry twice"),
        (GOOD + '[judgments]\ndefault = "a"\nsets = { b = "." }\n', "default is 'a'"),
        (GOOD + 'images = ["none.png"]\n', ":8: the goal picture none.png is missing"),
        (GOOD + "[reward]\nsymmetries = [{ name = 'm', flip = [0] }]\n", "allowed here: name, neg"),
        ("name = ", "is not valid TOML"),
    ],
)
def test_a_malformed_task_is_explained(tmp_path: Path, broken: str, told: str) -> None:
    with pytest.raises(InputError) as error:
        read(tmp_path, broken)
    assert told in str(error.value)
    assert str(tmp_path / "task.toml") in str(error.value)


SEVERAL = """\
name = "lamp"
default_goal = "proud"

[environment]
id = "volition/Lamp-v0"

[view]
size = [160, 160]

[goals.ashamed]
text = "ashamed"

[goals.proud]
text = "proud"

[goals.hello]
text = "hello"
view = { clip = { steps = 30, frames = 4 } }

[goals.hello.training]
steps = 500
"""


def test_each_of_several_goals_is_a_task(tmp_path: Path) -> None:
    assert read(tmp_path, SEVERAL).name == "lamp-proud"
    tasks = Task.read_all(tmp_path)
    assert list(tasks) == ["proud", "ashamed", "hello"]  # the default one first
    hello = Task.read(tmp_path, "hello")
    assert hello == tasks["hello"]
    assert (hello.name, hello.chosen, hello.goal.text) == ("lamp-hello", "hello", "hello")
    assert hello.view.size == (160, 160)  # as for all of them, and its own beside it
    assert hello.view.steps == 30
    assert hello.training.steps == 500
    ashamed = Task.read(tmp_path, "ashamed")
    assert (ashamed.view.size, ashamed.view.clip) == ((160, 160), None)
    assert ashamed.training.steps == 256_000


def test_a_goal_that_is_not_there_is_named(tmp_path: Path) -> None:
    read(tmp_path, SEVERAL)
    with pytest.raises(InputError, match="no goal 'shy': its goals are proud, ashamed, hello"):
        Task.read(tmp_path, "shy")
    read(tmp_path, GOOD)
    with pytest.raises(InputError, match="no goal 'shy': its one goal has no name"):
        Task.read(tmp_path, "shy")


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        (
            SEVERAL.replace('default_goal = "proud"\n', ""),
            ":1: default_goal: it is one of ashamed, proud, hello (it is None)",
        ),
        (SEVERAL.replace('= "proud"\n\n[env', '= "shy"\n\n[env'), ":2: default_goal: it is one of"),
        (SEVERAL + '[goal]\ntext = "one"\n', ":22: goal: where there are several goals"),
        (SEVERAL + '[judgments]\ndefault = "a"\n', ":22: judgments: where there are several"),
        (
            SEVERAL.replace('text = "hello"', 'txt = "hello"'),
            ":17: goals.hello.txt: there is no "
            "such key; allowed here: text, images, counterexamples, principles, vetoes, "
            "stages, constitution, together, truth, view, ",
        ),
        (SEVERAL.replace('text = "hello"\n', ""), ":16: goals.hello.text: Field required"),
        (SEVERAL.replace("steps = 500", "steps = 5"), ":21: goals.hello.training.steps: Input"),
        (SEVERAL.replace("frames = 4", "frames = 1"), ":18: goals.hello.view.clip.frames: Input"),
        (SEVERAL.replace("size = [160, 160]", "siz = 1"), ":8: view.siz: there is no such key"),
        (
            SEVERAL.replace('text = "ashamed"', 'text = "a"\nimages = ["no.png"]'),
            ":12: the goal picture no.png is missing",
        ),
        (SEVERAL.replace("goals.hello", "goals.'oh dear'"), "name: String should match"),
        (GOOD + "[goals]\none = 1\n", ":8: goals: it holds a table for each goal: [goals.NAME]"),
        (
            GOOD.replace("name", "nam"),
            "allowed here: name, summary, environment, goal, view, "
            "reward, judgments, training, alarm, goals, default_goal",
        ),
    ],
)
def test_several_goals_that_are_malformed_are_explained(
    tmp_path: Path, broken: str, told: str
) -> None:
    with pytest.raises(InputError) as error:
        read(tmp_path, broken)
    assert told in str(error.value)


def test_a_task_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no task 'pendulums'.*bundled tasks \(.*pendulum"):
        Task.find("pendulums")
    with pytest.raises(InputError, match=r"holds no task\.toml"):
        Task.find(str(tmp_path))


def test_a_segment_is_a_state_unless_the_view_says_how_long_a_clip_is(tmp_path: Path) -> None:
    assert read(tmp_path, GOOD).view.shown == (0,)
    view = read(tmp_path, GOOD + "[view]\nclip = { steps = 30, frames = 4 }\n").view
    assert (view.steps, view.shown) == (30, (0, 10, 19, 29))


def test_a_view_crops_and_reduces() -> None:
    drawing = np.zeros((100, 200, 3), np.uint8)
    drawing[25:75, 50:150] = 255
    frame = JudgeView(crop=(0.25, 0.25, 0.75, 0.75), size=(20, 10)).frame(drawing)
    assert frame.pixels.shape == (10, 20, 3)
    assert (frame.pixels == 255).all()
