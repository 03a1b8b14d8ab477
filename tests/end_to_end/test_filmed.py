"""An environment that cannot be set to a state: what is judged is filmed on the way."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest

from odd import Rightmost
from servers import serving
from volition import cli
from volition.comparison import Frame, Pixels
from volition.envs.scene import scenes_of
from volition.errors import InputError
from volition.evidence.report import write_report
from volition.evidence.verification import verify
from volition.goal import Goal
from volition.integrations.hugging_face.dataset import export
from volition.judges.settings import JudgeSettings
from volition.judging.recordings import Recording, read_recording
from volition.questions.filming import Filming, filmed_pairs
from volition.run.creating import task_for
from volition.run.folder import RunFolder
from volition.run.rounds import film_policies, task_asked_about
from volition.run.run import Run, train
from volition.storage.compilation import enable_cache
from volition.storage.pictures import as_picture, from_picture, read_frame, write_frame
from volition.tasks.task import EnvironmentSection
from volition.tasks.view import ClipSection, JudgeView

SIZE = 48


class Lift(gymnasium.Env[Any, Any]):
    """A disc that goes up and down. Its state is nobody's business."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012

    def __init__(self, render_mode: str | None = None) -> None:
        self.observation_space = gymnasium.spaces.Box(0.0, 1.0, (1,), np.float32)
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (1,), np.float32)
        self.render_mode = render_mode
        self._height = 0.5

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self._height = float(self.np_random.uniform(0.2, 0.8))
        return self._observe(), {}

    def step(self, action: Any) -> Any:
        self._height = float(np.clip(self._height + 0.05 * float(action[0]), 0.0, 1.0))
        return self._observe(), 0.0, False, False, {}

    def render(self) -> Pixels:
        assert self.render_mode == "rgb_array"
        picture = np.full((SIZE, SIZE, 3), 255, np.uint8)
        row = round((1 - self._height) * (SIZE - 8))
        picture[row : row + 8, 20:28] = 0
        return picture

    def _observe(self) -> Any:
        return np.array([self._height], np.float32)


class Glow(Lift):
    """The same height as the brightness of a picture, which is all that is observed."""

    def __init__(self, render_mode: str | None = None) -> None:
        super().__init__(render_mode)
        self.observation_space = gymnasium.spaces.Box(0, 255, (16, 20, 3), np.uint8)

    def render(self) -> Pixels:
        return np.full((16, 20, 3), round(255 * self._height), np.uint8)

    def _observe(self) -> Any:
        return self.render()


@pytest.fixture(autouse=True)
def _lift(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(enable_cache()))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path.parent / f"{tmp_path.name}-cache"))
    gymnasium.register("test/Lift-v0", Lift, max_episode_steps=50)  # type: ignore[arg-type]
    gymnasium.register("test/Glow-v0", Glow, max_episode_steps=50)  # type: ignore[arg-type]
    yield
    del gymnasium.registry["test/Lift-v0"], gymnasium.registry["test/Glow-v0"]


def height(pixels: Pixels) -> float:
    """Of the disc, as its picture shows it."""
    return 1 - float(np.flatnonzero(pixels[:, 24, 0] == 0)[0]) / (SIZE - 8)


@pytest.mark.parametrize("view", [JudgeView(), JudgeView(clip=ClipSection(steps=5, frames=3))])
def test_frames_show_what_is_observed(view: JudgeView) -> None:
    rng = np.random.default_rng(0)
    pairs = filmed_pairs(EnvironmentSection(id="test/Lift-v0"), view, 10, rng)
    assert len(pairs) == 10
    for segment in (segment for pair in pairs for segment in pair):
        assert segment.observations.shape == (view.steps, 1)
        shown = [height(frame.pixels) for frame in segment.frames]
        observed = segment.observations[list(view.shown), 0]
        np.testing.assert_allclose(shown, observed, atol=0.02)


def test_a_segment_does_not_go_beyond_its_episode() -> None:
    env = gymnasium.make("test/Lift-v0", render_mode="rgb_array")
    env.reset(seed=0)
    filming = Filming(JudgeView(clip=ClipSection(steps=4, frames=2)), 1.0, np.random.default_rng(0))
    for number in range(1, 13):
        filming(env, np.array([number / 20]), ended=number % 6 == 0)
    assert [s.observations[:, 0].tolist() for s in filming.kept] == [
        pytest.approx([start / 20 + step / 20 for step in range(4)]) for start in (1, 7)
    ]


def test_what_is_filmed_is_judged_and_learned_from(tmp_path: Path) -> None:
    task = task_for("test/Lift-v0", Goal("The disc is at the top."))
    with serving(strict=False) as server:
        live = JudgeSettings(
            "openai:test",
            40,
            base_url=server.openai,
            price_in=0.1,
            price_out=0.4,
            first=16,
            concurrency=4,
        )
        run = train(task, judge=live, out=tmp_path / "run", steps=2000)
    assert verify(run.folder) == []
    with run.folder.open_store() as store:
        comparisons = store.comparisons()
        assert len(store.preferences()) > 16, "what the policy reached was asked about, too"
        for preference in store.preferences():
            first, second = comparisons[preference.comparison_id].observations
            assert (preference.p_first > 0.5) == (first[0, 0] > second[0, 0])
    reached = np.array([[0.1], [0.5], [0.9]], np.float32)
    rewards = np.asarray(run.reward_model(reached))
    assert (np.diff(rewards) > 0).all()
    actions = np.asarray(run.policy(np.array([[0.3], [0.6]], np.float32)))
    assert (actions > 0.5).all(), "the policy goes up"


@pytest.mark.filterwarnings("ignore::UserWarning")  # gymnasium's, of pictures so small
def test_a_whole_run_on_pictures(tmp_path: Path) -> None:
    task = task_for("test/Glow-v0", Goal("The picture is bright."))
    run = train(task, judge=Rightmost(), out=tmp_path / "run", steps=400)
    page = write_report(run).read_text(encoding="utf-8")
    assert "the picture that is observed" in page
    assert run.folder.film.is_file()
    assert verify(run.folder) == []
    with run.folder.open_store() as store:
        kept = [segment.observations for segment in store.segments().values()]
    assert {(seen.dtype, seen.shape) for seen in kept} == {(np.dtype(np.uint8), (1, 16, 20, 3))}
    levels = [np.full((16, 20, 3), level, np.uint8) for level in (20, 128, 235)]
    assert (np.diff(np.asarray(run.reward_model(np.stack(levels)))) > 0).all()


# Without a live connection -----------------------------------------------------------------------

LIFT = ["--env", "test/Lift-v0", "--goal", "It's at the top."]
GLOW = ["--env", "test/Glow-v0", "--goal", "The picture is bright."]
Row = dict[str, Any]


def rows(file: Path) -> list[Row]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def answered(folder: Path, better: Callable[[Pixels], float]) -> None:
    """Answers all pairs by what their frames show."""
    choices = []
    for row in rows(folder / "pairs.jsonl"):
        values = []
        for side in (row["first"], row["second"]):
            paths = side.get("frames") or [side["frame"]]
            values.append(better(read_frame(folder / paths[-1]).pixels))
        choices.append(f"{row['pair']},{'A' if values[0] > values[1] else 'B'}")
    (folder / "mine.csv").write_text("\n".join(["pair,choice", *choices]) + "\n")
    assert cli.main(["answer", str(folder), str(folder / "mine.csv"), "--judge", "me"]) == 0


def observed_in(file: Path) -> list[Any]:
    """What was observed of every side."""
    return [row[side]["observation"] for row in rows(file) for side in ("first", "second")]


def shown(folder: Path) -> set[frozenset[str]]:
    """The pictures of every pair."""
    return {
        frozenset((row["first"]["frame"], row["second"]["frame"]))
        for row in rows(folder / "pairs.jsonl")
    }


def test_rounds_of_asking_and_learning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Asked, answered, learned, and again about what the policy does: by commands that are told."""
    monkeypatch.chdir(tmp_path)
    asked, run = Path("asked before"), Path("run")
    assert cli.main(["ask", *LIFT, "--out", str(asked), "--pairs", "16"]) == 0
    answered(asked, height)
    said = capsys.readouterr().out
    (command,) = (line for line in said.splitlines() if line.startswith("train on them: "))
    words = shlex.split(command.removeprefix("train on them: volition "))
    assert words == ["train", *LIFT, "--judgments", "asked before"]
    named = task_asked_about(asked)
    assert (named.environment.id, named.goal.text) == ("test/Lift-v0", "It's at the top.")
    assert cli.main([*words, "--steps", "800", "--out", "run"]) == 0
    for folder in (Path("first round"), Path("second round")):
        assert cli.main(["ask", str(run), "--out", str(folder), "--pairs", "6"]) == 0
    assert shown(Path("first round")) == shown(Path("second round")), "nobody has answered yet"
    answered(Path("first round"), height)
    assert cli.main(["resume", str(run)]) == 0
    assert Run.open(run).result.judgments == 16 + 6
    assert cli.main(["ask", str(run), "--out", "third round", "--pairs", "6"]) == 0
    assert not shown(Path("third round")) & (shown(asked) | shown(Path("first round")))
    filmed = film_policies(RunFolder.open(run), 6, np.random.default_rng(0))
    heights = [segment.observations[0, 0] for segment in filmed]
    assert np.median(heights) > 0.6, "what the policy does now is nearer to the top"
    assert verify(RunFolder.open(run)) == []
    assert cli.main(["score", str(run), "--judgments", str(asked)]) == 1, "it has seen them all"
    assert cli.main(["compare", str(run), "random", "--pairs", "2", "--ask", "blind"]) == 0
    answered(Path("blind"), height)
    assert cli.main(["compare", str(run), "random", "--judgments", "blind", "--same-judge"]) == 0


def test_what_was_exported_trains_again(tmp_path: Path) -> None:
    """Pictures that were observed, too; nothing is drawn, and nothing set to a state."""
    folder = tmp_path / "asked"
    assert cli.main(["ask", *GLOW, "--out", str(folder), "--pairs", "8"]) == 0
    answered(folder, lambda pixels: float(pixels.mean()))
    pictures = {str(path.relative_to(folder)) for path in folder.glob("observations/*")}
    assert pictures == set(observed_in(folder / "judgments.jsonl"))
    glow = task_for("test/Glow-v0", Goal("The picture is bright."))
    first = Run.create(glow, folder, tmp_path / "first")
    _, files = export(first.folder, tmp_path / "export")
    again = Run.create(glow, tmp_path / "export", tmp_path / "again")
    with first.folder.open_store() as one, again.folder.open_store() as other:
        preferred = [{p.comparison_id: p.p_first for p in s.preferences()} for s in (one, other)]
        assert preferred[0] == preferred[1]
        assert one.segments() == other.segments()
    assert [file.name for file in files][-1] == "judgments.jsonl"


def read(folder: Path, env: str, view: JudgeView, *, first: Row, second: Row) -> Recording:
    """A line about two sides; what is None is left out."""
    sides = {
        name: {key: value for key, value in side.items() if value is not None}
        for name, side in (("first", first), ("second", second))
    }
    (folder / "judgments.jsonl").write_text(json.dumps({**sides, "verdict": "first"}))
    scenes = scenes_of(EnvironmentSection(id=env))
    return read_recording(folder, "test", "goal", scenes, view)


@pytest.fixture
def frame(tmp_path: Path) -> str:
    """A picture beside a recording."""
    (tmp_path / "frames").mkdir()
    write_frame(Frame(np.zeros((8, 8, 3), np.uint8)), tmp_path / "frames" / "black.png")
    return "frames/black.png"


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"observation": [0.1, 0.2]}, "second.observation is of shape (2,), and must be of (1,)"),
        ({"observation": [float("nan")]}, "second.observation is not finite: entry [0] is nan"),
        ({"observation": [1e300]}, "second.observation is not finite: entry [0] is 1e+300"),
        ({"observation": "high"}, "second.observation must be numbers (it is 'high')"),
        ({"observation": [[0.1], 0.2]}, "second.observation must be numbers"),
        ({"frame": "frames/none.png"}, "none.png: the picture is missing"),
        ({"frame": "../black.png"}, "is not in the folder of judgments.jsonl"),
        ({"frame": None}, "second.frame is missing"),
        ({"height": 0.5}, "there is no key second.height; allowed: frame, observation"),
        ({"observation": None, "height": 0.5}, "Say what was observed there, as second.observat"),
    ],
)
def test_a_side_that_is_wrong_is_named(tmp_path: Path, frame: str, wrong: Row, told: str) -> None:
    right = {"observation": [0.2], "frame": frame}
    second = {**right, "observation": [0.4]}
    assert read(tmp_path, "test/Lift-v0", JudgeView(), first=right, second=second).judgments
    with pytest.raises(InputError) as error:
        read(tmp_path, "test/Lift-v0", JudgeView(), first=right, second={**second, **wrong})
    assert f"{tmp_path / 'judgments.jsonl'}:1: " in str(error.value)
    assert told in str(error.value)


def test_a_clip_that_is_wrong_is_named(tmp_path: Path, frame: str) -> None:
    view = JudgeView(clip=ClipSection(steps=3, frames=2))
    right = {"observations": [[0.1], [0.2], [0.3]], "frames": [frame, frame]}
    second = {**right, "observations": [[0.2], [0.3], [0.4]]}
    read_back = read(tmp_path, "test/Lift-v0", view, first=right, second=second).comparisons[0]
    assert {s.observations[0, 0] for s in (read_back.first, read_back.second)} == {
        np.float32(0.1),
        np.float32(0.2),
    }
    for wrong, told in (
        (
            {"observations": [[0.2], [0.3]]},
            "observations is of shape (2, 1), and must be of (3, 1)",
        ),
        ({"frames": [frame]}, "second.frames names 1, and a clip is shown in 2"),
        ({"observation": [0.2]}, "there is no key second.observation; allowed: frames, observ"),
    ):
        with pytest.raises(InputError, match=re.escape(told)):
            read(tmp_path, "test/Lift-v0", view, first=right, second={**second, **wrong})


def test_an_observed_picture_that_is_wrong_is_named(tmp_path: Path, frame: str) -> None:
    seen = np.random.default_rng(0).integers(0, 256, (1, 16, 20, 3), np.uint8)
    write_frame(as_picture(seen), tmp_path / "seen.png")
    right = {"observation": "seen.png", "frame": frame}
    for wrong, told in (
        (frame, "second.observation 'frames/black.png': it is 8 x 8 pixels, and 20 x 16 hold 1"),
        ([0.1], "second.observation must name a picture, which is what is observed there (it is"),
        ("none.png", "none.png: the picture is missing"),
    ):
        second = {"observation": wrong, "frame": frame}
        with pytest.raises(InputError, match=re.escape(told)):
            read(tmp_path, "test/Glow-v0", JudgeView(), first=right, second=second)


@pytest.mark.parametrize("shape", [(1, 16, 20, 3), (3, 17, 20, 3), (2, 16, 18, 1), (3, 20, 16, 4)])
def test_observed_pictures_come_back(tmp_path: Path, shape: tuple[int, ...]) -> None:
    seen = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    write_frame(as_picture(seen), tmp_path / "seen.png")
    np.testing.assert_array_equal(from_picture(read_frame(tmp_path / "seen.png"), shape), seen)
