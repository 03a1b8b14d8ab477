"""A hall seen from the side: a host welcomes a guest who waits before the door.

What a host does is done in turn: the door is opened, the guest is bowed to, the lamp is lit, and
the host steps aside. A bow leaves no trace: once the host has risen, no picture tells whether there
was one.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import floor
from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt

from volition.comparison import Floats, Observations, Pixels
from volition.envs.own.welcome_drawing import Hall, draw

LEFT, RIGHT = 2.3, 7.6  # where a host can be, in metres from the left of the drawing
MIDDLE, UNIT = 5.0, 2.65  # metres: observed as 0, and as 1 more
DOOR, LAMP, MAT = 2.3, 5.3, 7.2  # where the handle, the lamp's cord and the mat are
REACH = 0.5  # metres from which the handle and the cord can be reached
START = (3.1, 4.3)  # where a host is at first
SPEED = 0.2  # most metres a step
AGILITY = 0.6  # share of the wanted change of velocity that one step brings
SUPPLE = 0.5  # share of the wanted change of posture, likewise
PUSHED, SWINGS, FALLS = 0.2, 0.1, 0.05  # of the door a step: by the host, and by itself
BEYOND = 0.4  # open by more than that the door swings open by itself, and shut by less
BRIGHTENS = 0.34  # of the lamp a step, once its cord was pulled
PULLED = 0.2  # of the hand: less pulls no cord and pushes no door
NEAR_DOOR = 4.0  # metres: a host who bows further away does not bow to the guest
OPEN, BOWING, LIT, ASIDE = 0.9, 0.6, 0.9, 6.8  # from where on each thing is done
EPISODE_STEPS = 100
Info = dict[str, Any]  # as Gymnasium has it


class Welcome(gymnasium.Env[Observations, npt.NDArray[np.float32]]):
    """The hall.

    Actions, float32 (3,) in [-1, 1]: the wanted velocity to the right, as a share of `SPEED`, less
    the deeper the host bows; the hand, which above `PULLED` pushes the door or pulls the lamp's
    cord where the host can reach it; and the wanted bow, upright up to 0.

    Observations, float32 (5,): the host's place from the middle of where a host can be, divided by
    `UNIT`; the velocity as a share of `SPEED`; and from 0 to 1 how far the door is open, how bright
    the lamp is, and how deeply the host bows.

    The reward is 1 for everything that is done in its turn: the door open (`OPEN`), a bow
    (`BOWING`) near it, the lamp lit (`LIT`), the host aside (`ASIDE`). A lamp that is lit before
    its turn spoils the welcome: what was done is taken back, and nothing more is counted.
    `info["metrics"]` has how many things were done so far (`done`), and whether all were, in their
    turn (`welcomed`).
    An episode never ends by itself.

    Args:
        render_mode: `rgb_array` or None.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 15}  # noqa: RUF012

    def __init__(self, render_mode: str | None = None) -> None:
        self.render_mode = render_mode
        self.observation_space = gymnasium.spaces.Box(-2.0, 2.0, (5,), np.float32)
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (3,), np.float32)
        self.state_ranges: Mapping[str, tuple[float, float]] = RANGES
        self.state_fields = tuple(RANGES)
        self.observation_names = NAMES
        self.x, self.vx = sum(START) / 2, 0.0
        self.door = self.lamp = self.bow = 0.0
        self.done = 0  # things, each in its turn; SPOILT

    def reset(
        self, *, seed: int | None = None, options: Info | None = None
    ) -> tuple[Observations, Info]:
        super().reset(seed=seed)
        self.x, self.vx = float(self.np_random.uniform(*START)), 0.0
        self.door = self.lamp = self.bow = 0.0
        self.done = 0
        return self.observe(), self._info()

    def step(self, action: npt.NDArray[np.float32]) -> tuple[Observations, float, bool, bool, Info]:
        walk, hand, bow = (min(1.0, max(-1.0, part)) for part in action.tolist())
        self.vx += AGILITY * (SPEED * (1.0 - self.bow) * walk - self.vx)
        x = min(max(self.x + self.vx, LEFT), RIGHT)
        self.x, self.vx = x, x - self.x
        self.bow += SUPPLE * (max(0.0, bow) - self.bow)
        self._use(hand)
        before = self.done
        self._count()
        return self.observe(), float(self.done - before), False, False, self._info()

    def render(self) -> Pixels:
        return draw(Hall(self.x, self.vx, self.door, self.lamp, self.bow))

    # The state, as a scene needs it ----------------------------------------------------------

    def get_state(self) -> Floats:
        """float64 (6,): the values of `state_fields`."""
        values = [self.x, self.vx, self.door, self.lamp, self.bow, self.done]
        return np.array(values, np.float64)

    def set_state(self, state: Floats) -> None:
        """Puts the hall into the state next to `state` that is possible: nobody stands in a wall,
        and whatever is beyond its end is at it."""
        x, self.vx, door, lamp, bow, done = state.tolist()
        self.x = min(max(x, LEFT), RIGHT)
        self.door, self.lamp, self.bow = (min(max(v, 0.0), 1.0) for v in (door, lamp, bow))
        self.done = min(max(floor(done), SPOILT), len(THINGS))

    def observe(self) -> Observations:
        """float32 (5,): what is observed now."""
        place = (self.x - MIDDLE) / UNIT
        seen = [place, self.vx / SPEED, self.door, self.lamp, self.bow]
        return np.array(seen, np.float32)

    # Physics ---------------------------------------------------------------------------------

    def _use(self, hand: float) -> None:
        pulls = hand > PULLED
        if pulls and abs(self.x - DOOR) <= REACH:
            self.door += PUSHED * hand
        elif self.door > BEYOND:
            self.door += SWINGS
        else:
            self.door -= FALLS
        if self.lamp > 0 or (pulls and abs(self.x - LAMP) <= REACH):
            self.lamp += BRIGHTENS
        self.door, self.lamp = (min(max(v, 0.0), 1.0) for v in (self.door, self.lamp))

    def _count(self) -> None:
        """One thing in its turn; the lamp is the only one that can be done too early for good."""
        if self.done < LAMP_TURN and self.lamp >= LIT:
            self.done = SPOILT
            return
        now = (
            self.door >= OPEN,
            self.bow >= BOWING and self.x <= NEAR_DOOR,
            self.lamp >= LIT,
            self.x >= ASIDE,
        )
        if 0 <= self.done < len(now) and now[self.done]:
            self.done += 1

    def _info(self) -> Info:
        done = float(max(0, self.done))
        return {"metrics": {"done": done, "welcomed": float(self.done == len(THINGS))}}


NAMES = ("x", "vx", "door", "lamp", "bow")
THINGS = ("door", "bow", "lamp", "aside")
LAMP_TURN, SPOILT = THINGS.index("lamp"), -1
BEYOND_WALLS = 0.7  # metres
RANGES = {  # beyond their ends: a shut door and one that is wide open are what is most often seen
    "x": (LEFT - BEYOND_WALLS, RIGHT + BEYOND_WALLS),
    "vx": (-SPEED, SPEED),
    "door": (-0.5, 2.0),
    "lamp": (-1.0, 2.0),
    "bow": (-1.0, 2.0),
    "done": (SPOILT, len(THINGS) + 1.0),  # which no drawing shows
}
