"""Of the postures of `volition/Lamp-v0`, single ones and two at once."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from itertools import combinations

import numpy as np

from volition.comparison import Array, Observations, Segment
from volition.tasks.truth.base import Rule
from volition.tasks.truth.lamp import BALL_RADIUS, LIMITS, _angles, _posture

REMEMBERED = 512  # segments, each of which is looked at by every rule

Of = Callable[[Observations], Array]


def _share(value: Array, low: float, high: float) -> Array:
    return np.clip((value - low) / (high - low), 0, 1)


def _angle(link: int) -> Of:
    """How far a link is raised, of its range."""
    return lambda seen: _share(_angles(seen)[:, link], *LIMITS[link])


def _height(seen: Observations) -> Array:
    return _share(_posture(seen).neck_y, 0.2, 0.64)


def _forward(seen: Observations) -> Array:
    return _share(_posture(seen).neck_x, -0.4, 0.4)


def _to_ball(seen: Observations) -> Array:
    """1 where the light falls on the ball."""
    head, x, y, ball = _posture(seen)
    aside = np.abs(head - np.arctan2(BALL_RADIUS - y, ball - x))
    return 1 - _share(np.minimum(aside, 2 * np.pi - aside), 0, np.pi / 2)


def _by_ball(seen: Observations) -> Array:
    _, x, y, ball = _posture(seen)
    return 1 - _share(np.hypot(BALL_RADIUS - y, ball - x), 0.3, 0.9)


def _stretched(seen: Observations) -> Array:
    angles = _angles(seen)
    return 1 - _share(np.abs(angles[:, 0] - angles[:, 1]), 0, np.pi / 2)


def _level(link: int) -> Of:
    return lambda seen: 1 - _share(np.abs(np.sin(_angles(seen)[:, link])), 0, 1)


def _upright(link: int) -> Of:
    return lambda seen: _share(np.sin(_angles(seen)[:, link]), 0, 1)


def _no(of: Of) -> Of:
    return lambda seen: 1 - of(seen)


POSTURES: dict[str, tuple[Of, str]] = {  # and what says the opposite of, or nearly the same as
    "the head is raised": (_angle(2), "head"),
    "the head hangs": (_no(_angle(2)), "head"),
    "the head is level": (_level(2), "head"),
    "it looks towards the ball": (_to_ball, "gaze"),
    "it looks away from the ball": (_no(_to_ball), "gaze"),
    "the head is high above the table": (_height, "height"),
    "the head is low over the table": (_no(_height), "height"),
    "the head is far to the front": (_forward, "front"),
    "the head is drawn back": (_no(_forward), "front"),
    "the head is near the ball": (_by_ball, "ball"),
    "the head is far from the ball": (_no(_by_ball), "ball"),
    "the arms are stretched out": (_stretched, "stretch"),
    "the arms are folded": (_no(_stretched), "stretch"),
    "the lower arm leans back": (_angle(0), "lower"),
    "the lower arm leans to the front": (_no(_angle(0)), "lower"),
    "the lower arm is upright": (_upright(0), "lower"),
    "the upper arm reaches to the front": (_no(_angle(1)), "upper"),
    "the upper arm is folded back": (_angle(1), "upper"),
    "the upper arm is upright": (_upright(1), "upper"),
    "the upper arm is level": (_level(1), "upper"),
}


@lru_cache(REMEMBERED)
def _each(segment: Segment) -> dict[str, Array]:
    """How well it keeps to each of them."""
    return {words: of(segment.observations) for words, (of, _) in POSTURES.items()}


def _all(*words: str) -> Callable[[Segment], Array]:
    """How well a segment keeps to the one of these that it keeps to least."""
    return lambda segment: np.min([_each(segment)[one] for one in words], 0)


def _rules() -> list[Rule]:
    rules = [Rule.of_each(f"{words[0].upper()}{words[1:]}.", _all(words)) for words in POSTURES]
    for (words, (_, about)), (more, (_, also)) in combinations(POSTURES.items(), 2):
        if about != also:
            text = f"{words[0].upper()}{words[1:]}, and {more}."
            rules.append(Rule.of_each(text, _all(words, more), 2))
    return rules


RULES = tuple(_rules())
