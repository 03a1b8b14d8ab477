"""What a judge sees of an environment: of one state a frame, of a clip a storyboard."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import numpy.typing as npt

from volition.comparison import Frame, Observations, Segment, State
from volition.envs.base import Scene
from volition.tasks.view import JudgeView

States = npt.NDArray[np.float64]


def see(
    scene: Scene,
    view: JudgeView,
    states: States,
    observations: Observations | None = None,
    frames: tuple[Frame, ...] | None = None,
) -> Segment:
    """The segment of consecutive states. Only the steps that the judge sees are drawn.

    Args:
        scene: The environment.
        view: How it is shown, and how many steps a segment has.
        states: float64 (steps, fields), in the order of the scene's fields.
        observations: float32 (steps, obs_dim), where they are known; by default each
            state is observed.
        frames: What was drawn, where it was already.

    Raises:
        ValueError: It is another number of steps or frames.
    """
    named = tuple(dict(zip(scene.fields, row, strict=True)) for row in states.tolist())
    if len(named) != view.steps:
        raise ValueError(f"a segment has {view.steps} states, not {len(named)}")
    if observations is None:
        observations = np.stack([scene.observe(state) for state in named])
    if frames is None:
        frames = tuple(view.frame(scene.draw(named[step])) for step in view.shown)
    if len(frames) != len(view.shown):
        raise ValueError(f"a segment is shown in {len(view.shown)} frames, not {len(frames)}")
    return Segment(observations, frames, named)


def eye(scene: Scene, view: JudgeView) -> Callable[[State], Segment]:
    """What is seen of a single state. Each is drawn once, since drawing is what takes time here."""

    @cache
    def seen(values: tuple[float, ...]) -> Segment:
        return see(scene, view, np.array([values]))

    return lambda state: seen(tuple(state[field] for field in scene.fields))
