"""Segments filmed on the way, where an environment cannot be set to a state and drawn later.

Drawing is the dear part, so a segment is begun only now and then. The last of them are kept: a
reservoir in which questions find what the policy does now.
"""

from __future__ import annotations

from collections import deque
from contextlib import closing
from typing import Any

import numpy as np
import numpy.typing as npt

from volition.comparison import Frame, Segment, observed
from volition.envs.scene import draw, make_env
from volition.errors import InputError
from volition.questions.distinct import distinct_pairs
from volition.questions.exploring import LONGEST, acting, coarse, farthest
from volition.tasks.task import EnvironmentSection
from volition.tasks.view import JudgeView

KEPT = 512  # segments
FILMED = 1024  # segments begun by the end of a stage of learning, at most
PER_QUESTION = 32  # of them for each question of a stage, so that there is something to choose from
DRAWN_PER_SEGMENT = 3  # begun for each that is chosen, where all that is wanted is to cover

NO_STATE = np.zeros(0)


class Filming:
    """Films environments that are stepped side by side.

    Args:
        view: What the judge is shown, and how many steps a segment has.
        chance: That a segment begins with a step, where none is under way.
        rng: Of when one begins.
    """

    def __init__(self, view: JudgeView, chance: float, rng: np.random.Generator) -> None:
        self.kept: deque[Segment] = deque(maxlen=KEPT)
        self._view, self._chance, self._rng = view, chance, rng
        self._under_way: dict[int, tuple[list[npt.NDArray[Any]], list[Frame]]] = {}

    def __call__(self, env: Any, observation: Any, ended: bool) -> npt.NDArray[np.float64]:
        """Looks at an environment after a step. Its state is not told: (0,)."""
        under_way = self._under_way.pop(id(env), None)
        if under_way is None:
            if self._rng.random() >= self._chance:
                return NO_STATE
            under_way = [], []
        observations, frames = under_way
        if len(observations) in self._view.shown:
            frames.append(self._view.frame(draw(env)))
        observations.append(observed(observation).copy())
        if len(observations) == self._view.steps:
            self.kept.append(Segment(np.stack(observations), tuple(frames)))
        elif not ended:  # else it is no segment: an episode ends in it
            self._under_way[id(env)] = observations, frames
        return NO_STATE

    def spread_over(self, begin: int, end: int, questions: int) -> None:
        """Films so much of a stage that questions find something everywhere in it, and no more.

        Args:
            begin, end: Environment steps by its beginning and by its end, from the first of all.
            questions: How many may be asked in it.
        """
        self._chance = min(1.0, FILMED / end, PER_QUESTION * questions / (end - begin))

    def begin_anew(self, chance: float) -> None:
        """Gives up all that is under way, and begins segments with another chance from now on."""
        self._under_way.clear()
        self._chance = chance

    def cut(self, env: Any) -> None:
        """Gives up what is under way there."""
        self._under_way.pop(id(env), None)


def filmed_pairs(
    environment: EnvironmentSection, view: JudgeView, count: int, rng: np.random.Generator
) -> list[tuple[Segment, Segment]]:
    """Pairs of segments that cover what exploring reaches, each seen to differ.

    Raises:
        EnvironmentUnsupported: The environment fails.
        InputError: Hardly any two look different, or no episode is as long as a clip.
    """
    wanted = 2 * count * DRAWN_PER_SEGMENT
    apart = 2 * max(view.steps, 4)  # steps from the start of one to the next, on average
    filming = Filming(view, 1.0 / (apart - view.steps + 1), rng)
    kept: list[Segment] = []
    made = make_env(environment.id, environment.kwargs, render_mode="rgb_array")
    with closing(made) as env:
        env.action_space.seed(int(rng.integers(2**31)))
        for observation, started in acting(env, wanted * apart, rng, max(LONGEST, view.steps)):
            if started:
                filming.cut(env)
            filming(env, observation, False)
            kept += filming.kept
            filming.kept.clear()
            if len(kept) == wanted:
                break
    if not kept:
        raise InputError(
            f"no episode of random acting in {environment.id} has {view.steps} steps: make "
            "view.clip.steps in task.toml shorter"
        )
    seen = coarse(np.stack([segment.observations for segment in kept]))  # (segments, T, ...)
    moments = np.concatenate([seen.mean(1), seen.std(1)], 1)
    spread = rng.permutation(farthest(moments, len(kept), rng))
    alike = np.setdiff1d(np.arange(len(kept)), spread)  # observed so before, and may look different
    return distinct_pairs(
        (kept[place] for place in (*spread, *rng.permutation(alike))),
        count,
        lambda segment: segment.frames,
        environment.id,
    )
