"""An environment that cannot be set to a state: what is judged is filmed on the way."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest

from odd import Rightmost
from servers import serving
from volition.comparison import Pixels
from volition.evidence.report import write_report
from volition.evidence.verification import verify
from volition.goal import Goal
from volition.judges.settings import JudgeSettings
from volition.questions.filming import Filming, filmed_pairs
from volition.run.creating import task_for
from volition.run.run import train
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
