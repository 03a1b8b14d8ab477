"""What a judge sees of an environment: of one state a frame, of a clip a storyboard."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import cache, lru_cache, partial

import numpy as np
import numpy.typing as npt

from volition.comparison import Frame, Observations, Pixels, Segment, State
from volition.envs.base import Scene, Scenes
from volition.storage.store import LOOKED_AT, Draw
from volition.tasks.view import JudgeView

States = npt.NDArray[np.float64]


def see(
    scene: Scene,
    view: JudgeView,
    states: States,
    observations: Observations | None = None,
    frames: tuple[Frame, ...] | None = None,
    drawn_with: str | None = None,
) -> Segment:
    """The segment of consecutive states. Only the steps that the judge sees are drawn.

    Args:
        scene: The environment.
        view: How it is shown, and how many steps a segment has.
        states: float64 (steps, fields), in the order of the scene's fields.
        observations: float32 (steps, obs_dim), where they are known; by default each
            state is observed.
        frames: What was drawn, where it was already.
        drawn_with: Where it is to be drawn when somebody looks: as of `Segment`.

    Raises:
        ValueError: It is another number of steps or frames.
    """
    named = tuple(dict(zip(scene.fields, row, strict=True)) for row in states.tolist())
    if len(named) != view.steps:
        raise ValueError(f"a segment has {view.steps} states, not {len(named)}")
    if observations is None:
        observations = np.stack([scene.observe(state) for state in named])
    if frames is None:
        looks = [partial(_draw, scene, view, named[step]) for step in view.shown]
        frames = tuple(Frame(look() if drawn_with is None else look) for look in looks)
    if len(frames) != len(view.shown):
        raise ValueError(f"a segment is shown in {len(view.shown)} frames, not {len(frames)}")
    return Segment(observations, frames, named, drawn_with)


def _draw(scene: Scene, view: JudgeView, state: State) -> Pixels:
    return view.frame(scene.draw(state)).pixels


def drawing(scenes: Scenes, view: JudgeView) -> Draw:
    """Draws what was recorded without frames, when somebody looks, as it would have been drawn."""

    @lru_cache(LOOKED_AT)
    def drawn(drawn_with: str, state: tuple[tuple[str, float], ...]) -> Pixels:
        return _draw(scenes(json.loads(drawn_with)), view, dict(state))

    def draw(drawn_with: str, states: Sequence[State]) -> tuple[Frame, ...]:
        shown = [tuple(states[step].items()) for step in view.shown]
        return tuple(Frame(partial(drawn, drawn_with, state)) for state in shown)

    return draw


def eye(scene: Scene, view: JudgeView) -> Callable[[State], Segment]:
    """What is seen of a single state. Each is drawn once, since drawing is what takes time here."""

    @cache
    def seen(values: tuple[float, ...]) -> Segment:
        return see(scene, view, np.array([values]))

    return lambda state: seen(tuple(state[field] for field in scene.fields))
