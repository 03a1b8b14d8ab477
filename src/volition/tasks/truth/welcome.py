"""The hall of `volition/Welcome-v0`: the environment says what each observation entry is.

The same wish in stages and at once. What nobody can see in one picture, whether there was a bow, is
counted over an episode, and no potential knows it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from volition.comparison import Array, Observations
from volition.tasks.truth.base import Truth, of_state

X, DOOR, LAMP, BOW = 0, 2, 3, 4
MIDDLE, UNIT = 5.0, 2.65  # metres: observed as 0, and as 1 more
HANDLE, CORD, MAT, ACROSS = 2.3, 5.3, 7.2, 5.3  # metres; the last from wall to wall
NEAR_DOOR = 4.0  # metres: a bow further away is none to the guest
OPEN, BOWING, LIT, ASIDE = 0.9, 0.6, 0.9, 6.8
UNKNOWN = 0.5  # of a bow that no picture shows: it is as likely as not
WAY = 0.4  # of a stage is the way to where it is done
THINGS = 4


def _x(observed: Observations) -> Array:
    return MIDDLE + observed[:, X].astype(np.float64) * UNIT


def _near(observed: Observations, place: float) -> Array:
    return 1 - np.abs(_x(observed) - place) / ACROSS


def _opening(observed: Observations) -> Array:
    return WAY * _near(observed, HANDLE) + (1 - WAY) * observed[:, DOOR]


def _bowing(observed: Observations) -> Array:
    """A bow far from the door is no bow to the guest."""
    at_door = np.clip((NEAR_DOOR + 0.5 - _x(observed)) / 0.5, 0, 1)
    return WAY * _near(observed, HANDLE) + (1 - WAY) * at_door * observed[:, BOW]


def _lighting(observed: Observations) -> Array:
    return WAY * _near(observed, CORD) + (1 - WAY) * observed[:, LAMP]


def _stepping_aside(observed: Observations) -> Array:
    return _near(observed, MAT)


def _is_open(observed: Observations) -> Array:
    return observed[:, DOOR] >= OPEN


def _is_bowing(observed: Observations) -> Array:
    return (observed[:, BOW] >= BOWING) & (_x(observed) <= NEAR_DOOR)


def _is_lit(observed: Observations) -> Array:
    return observed[:, LAMP] >= LIT


def _is_aside(observed: Observations) -> Array:
    return _x(observed) >= ASIDE


def _at_once(observed: Observations, unseen: float = UNKNOWN) -> Array:
    """How many things are done in their order, as far as one picture tells, and how near the next.

    Whether there was a bow no picture tells unless the host is bowing: then it counts as one, else
    as `unseen`. A lamp that is lit behind a closed door is out of turn, and counts for nothing.
    """
    bow = np.where(_is_bowing(observed), 1.0, unseen + (1 - unseen) * _rising(observed))
    lit = 1.0 + np.where(_is_aside(observed), 1.0, _stepping_aside(observed))
    further = bow + np.where(_is_lit(observed), lit, _lighting(observed))
    return np.where(_is_open(observed), 1.0 + further, _opening(observed)) / THINGS


def _trusting(observed: Observations) -> Array:
    """The same by somebody who doubts no bow."""
    return _at_once(observed, unseen=1.0)


def _rising(observed: Observations) -> Array:
    """How far the host is on the way to a bow at the door: below 1."""
    at_door = _x(observed) <= NEAR_DOOR
    return at_door * np.minimum(observed[:, BOW] / BOWING, 1.0)


def done_in_turn(observed: Observations, with_bow: bool = True) -> int:
    """How many of the things were done in their turn in an episode; none where the lamp was lit
    before its own.

    Args:
        observed: What was observed after each of its steps: (steps, obs_dim).
        with_bow: Whether the bow, of which no later picture tells, is among them.
    """
    done, order = 0, [_is_open, _is_bowing, _is_lit, _is_aside]
    if not with_bow:
        order.remove(_is_bowing)
    now, lit = np.stack([thing(observed) for thing in order], 1), _is_lit(observed)
    for step in range(len(observed)):
        if lit[step] and done < order.index(_is_lit):
            return 0
        if done < len(order) and now[step, done]:
            done += 1
    return done


MEASURES: dict[str, Callable[[Observations], float]] = {
    "welcomed": lambda observed: float(done_in_turn(observed) == THINGS),
    "things done in their turn": lambda observed: float(done_in_turn(observed)),
    "welcomed but for the bow": lambda observed: float(
        done_in_turn(observed, with_bow=False) == THINGS - 1
    ),
}
STAGES: dict[str, Callable[[Observations], Array]] = {
    "The host opens the door.": _opening,
    "The host bows to the guest at the door.": _bowing,
    "The host lights the lamp.": _lighting,
    "The host steps aside, onto the mat by the wall.": _stepping_aside,
    "done: The door is wide open.": _is_open,
    "done: The host is bowing deeply at the door.": _is_bowing,
    "done: The lamp is lit.": _is_lit,
    "done: The host stands on the mat.": _is_aside,
}
SEEN = (X, DOOR, LAMP, BOW)  # all but the velocity
AT_ONCE = Truth(of_state(_at_once), SEEN, MEASURES)
TRUTHS = {
    "welcome-in-turn": replace(AT_ONCE, principles={k: of_state(v) for k, v in STAGES.items()}),
    "welcome-at-once": AT_ONCE,
    "welcome-trusting": replace(AT_ONCE, potential=of_state(_trusting)),
}
