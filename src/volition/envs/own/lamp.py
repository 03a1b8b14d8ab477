"""`volition/Lamp-v0`: a desk lamp that moves by itself, and a ball on its table.

The lamp is after the little one that everybody knows from animation. It has no task: what it should
look like is said in words and judged from its pictures. So it has no reward of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import pi
from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from volition.comparison import Observations, Pixels
from volition.envs.own.lamp_body import LIMITS, TORQUES, Motion, Surroundings, advance
from volition.envs.own.lamp_drawing import BALL_RADIUS, draw_lamp

STEP = 0.05  # seconds of one action
PARTS = 3  # of a step, for the Runge-Kutta method
MIDDLE = (88 * pi / 180, 60 * pi / 180, -50 * pi / 180)  # how a lamp stands in the middle
SCATTER = (0.2, 0.9, 0.7)  # radians to either side, at the start of an episode
BALL = (0.42, 0.62)  # metres from the foot: where the ball may lie
FASTEST_BALL = 0.25  # metres per second
ROLLING_RESISTANCE = 0.02  # metres per second squared
TOP_RATE = 3.0  # radians a second; about the most that the motors give for long
BEYOND = 1.5  # of the ranges: what is observed never lies outside


class Lamp(gymnasium.Env[Observations, npt.NDArray[np.float32]]):
    """Three torques move a balanced-arm lamp beside a ball.

    Actions: float32 (3,) in [-1, 1], the torques on lower arm, upper arm and head as shares of what
    the motors can give. 20 a second; an episode has 100.

    Observations: float32 (7,). The angles of the three links with the table and their rates, and
    where the ball lies; -1 and 1 are the ends of each range (`state_ranges`). Of a rolling ball
    there is an eighth entry, its velocity.

    Reward: always 0. Episodes never end but by the time limit.

    Args:
        render_mode: `rgb_array` or None.
        rolling: Whether the ball rolls to and fro; else it lies still.
        size: Width and height of the drawing in pixels.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": round(1 / STEP)}  # noqa: RUF012

    def __init__(
        self, render_mode: str | None = None, rolling: bool = False, size: int = 320
    ) -> None:
        if render_mode not in (None, *self.metadata["render_modes"]):
            raise ValueError(f"render_mode is rgb_array or None, not {render_mode!r}")
        if not 32 <= size <= 2048:
            raise ValueError(f"size is a number of pixels from 32 to 2048, not {size}")
        self.render_mode, self.rolling, self.size = render_mode, rolling, size
        angles = dict(zip(("lower_arm", "upper_arm", "head"), LIMITS, strict=True))
        rates = {f"{link}_rate": (-TOP_RATE, TOP_RATE) for link in angles}
        ball = {"ball": BALL}
        if rolling:
            ball["ball_velocity"] = (-FASTEST_BALL, FASTEST_BALL)
        self.state_ranges: Mapping[str, tuple[float, float]] = angles | rates | ball
        self.state_fields = self.observation_names = tuple(self.state_ranges)
        low, high = np.array(list(self.state_ranges.values())).T
        self._middle, self._half = (low + high) / 2, (high - low) / 2
        self.observation_space = spaces.Box(-BEYOND, BEYOND, (len(low),), np.float32)
        self.action_space = spaces.Box(-1.0, 1.0, (3,), np.float32)
        self._around = Surroundings()
        self._motion: Motion = (*MIDDLE, 0.0, 0.0, 0.0)
        self._ball, self._ball_velocity = BALL[0], 0.0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observations, dict[str, Any]]:
        super().reset(seed=seed, options=options)
        draw = self.np_random.uniform
        a1, a2, a3 = (middle + draw(-by, by) for middle, by in zip(MIDDLE, SCATTER, strict=True))
        self._motion = (a1, a2, a3, 0.0, 0.0, 0.0)
        self._ball = draw(*BALL)
        self._ball_velocity = draw(-FASTEST_BALL, FASTEST_BALL) if self.rolling else 0.0
        return self.observe(), {}

    def step(
        self, action: npt.NDArray[np.float32]
    ) -> tuple[Observations, float, bool, bool, dict[str, Any]]:
        s1, s2, s3 = (min(1.0, max(-1.0, share)) for share in action.tolist())
        torques = (s1 * TORQUES[0], s2 * TORQUES[1], s3 * TORQUES[2])
        motion = self._motion
        for _ in range(PARTS):
            motion = advance(motion, torques, STEP / PARTS, self._around)
        self._motion = motion
        if self.rolling:
            self._roll()
        return self.observe(), 0.0, False, False, {}

    def observe(self) -> Observations:
        """What is observed in the state of now: float32 (obs_dim,)."""
        seen = (self.get_state() - self._middle) / self._half
        return seen.clip(-BEYOND, BEYOND).astype(np.float32)

    def get_state(self) -> npt.NDArray[np.float64]:
        """The state in the order of `state_fields`: radians, radians a second, metres."""
        ball = (self._ball, self._ball_velocity) if self.rolling else (self._ball,)
        return np.array((*self._motion, *ball))

    def set_state(self, vector: npt.NDArray[np.float64]) -> None:
        """Puts the lamp and the ball into a state, in the order of `state_fields`.

        Raises:
            ValueError: It has another shape, or is not finite.
        """
        state = np.asarray(vector, np.float64)
        if state.shape != (len(self.state_fields),) or not np.isfinite(state).all():
            raise ValueError(f"a state is {len(self.state_fields)} finite numbers, not {vector}")
        a1, a2, a3, w1, w2, w3, self._ball, *velocity = state.tolist()
        self._motion = (a1, a2, a3, w1, w2, w3)
        self._ball_velocity = velocity[0] if velocity else 0.0

    def render(self) -> Pixels | None:
        """uint8 (size, size, 3): the state of now."""
        if self.render_mode is None:
            return None
        turned = -(self._ball - BALL[0]) / BALL_RADIUS
        return draw_lamp(self._motion[:3], self._ball, turned, self.size)

    def _roll(self) -> None:
        """The ball rolls on, slower and slower, and back where its range ends."""
        slowed = max(0.0, abs(self._ball_velocity) - ROLLING_RESISTANCE * STEP)
        velocity = slowed if self._ball_velocity > 0 else -slowed
        place = self._ball + velocity * STEP
        low, high = BALL
        if not low <= place <= high:
            place, velocity = 2 * (low if place < low else high) - place, -velocity
        self._ball, self._ball_velocity = place, velocity
