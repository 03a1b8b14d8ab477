"""What comes in from an environment is checked, copied and named before anything is made of it.

Every environment that Volition makes is wrapped in `Checked`: whatever an environment does that no
environment may is one clear error, which names the environment, the step and the value.
"""

from __future__ import annotations

import json
import reprlib
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import gymnasium
import numpy as np

from volition.comparison import Observations, Pixels
from volition.envs.acting import Acting, found_scales
from volition.envs.drawing import as_pixels, fitted, written
from volition.envs.vectors import Reading, finite
from volition.errors import EnvironmentUnsupported, RunError, VolitionError

FIVE = "observation, reward, terminated, truncated, info"
HINTS = {
    "expected 5, got": f"a step gives five values: {FIVE}",
    "unexpected keyword argument 'seed'": "reset takes `seed` and `options`",
    "unexpected keyword argument 'options'": "reset takes `seed` and `options`",
    "unexpected keyword argument 'render_mode'": "an environment is made with a `render_mode`",
    "takes no arguments": "an environment is made with a `render_mode`",
    "entry_point is not specified": "it can only be made as several at once, and not alone",
}
"""What is meant by errors that come of another interface than Gymnasium's for one environment, such
as the one before it, by a part of their text."""

Value = TypeVar("Value")
_SIZES: dict[str, tuple[int, int]] = {}
"""Height and width in which an environment is drawn, by its id and its keyword arguments."""
_SCALES: dict[str, dict[int, float]] = {}
"""How far the numbers of its actions that have no bounds go, likewise."""


class Checked(gymnasium.Wrapper[Any, Any, Any, Any]):
    """An environment of which everything that comes in can be relied on.

    What is observed is finite, of its space's shape and type, and a copy, since environments use
    their arrays again; it is one vector or one picture, and an action one row, whatever the
    environment's own spaces are (`envs.vectors`, `envs.acting`). An action is a copy likewise. A
    drawing is uint8 (height, width, 3), always in one size. What stands in `info` is nobody's
    business and left out.

    Args:
        env: The environment, made.
        name: Its id.
        kwargs: With which it was made: all that are made alike are drawn in the size of the first
            drawing, so that their pictures can be laid beside each other.

    Attributes:
        reading: What makes one array of what is observed, and names its entries.
        acting: What makes the environment's own action of a row.
    """

    def __init__(self, env: gymnasium.Env[Any, Any], name: str, kwargs: Mapping[str, Any]) -> None:
        super().__init__(env)
        self._name = f"{name} made with {json.dumps(kwargs, default=str)}" if kwargs else name
        self._steps = 0
        for space in ("observation_space", "action_space"):
            value = self._tried(space, partial(getattr, env, space))
            if not isinstance(value, gymnasium.Space):
                raise EnvironmentUnsupported(
                    f"{name}: its {space} is {reprlib.repr(value)} of {type(value).__module__}, "
                    "not one of Gymnasium's spaces"
                )
        self.reading = self._understood("observation_space", Reading, env.observation_space)
        self.acting = self._understood("action_space", self._acting, env.action_space)
        self._read = self.reading.read
        if not self.reading.plain:
            self.observation_space = self.reading.space
        self._act = None if self.acting.plain else self.acting
        if self._act is not None:
            self.action_space = self._act.space

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Begins an episode.

        Raises:
            EnvironmentUnsupported: The environment fails, or gives what is no observation.
        """
        self._steps = 0
        result: Any = self._tried("reset", lambda: self.env.reset(seed=seed, options=options))
        if not isinstance(result, tuple) or len(result) != 2:
            raise self._unfit(
                f"reset gave {reprlib.repr(result)}, and not two values: observation, info"
            )
        return self._copied(result[0]), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Takes a step.

        Raises:
            EnvironmentUnsupported: The environment fails, or gives what is no observation.
            RunError: The action is not finite.
        """
        self._steps += 1
        own = action.copy() if isinstance(action, np.ndarray) else action
        if isinstance(own, np.ndarray) and own.dtype.kind == "f" and not finite(own):
            raise RunError(
                f"{self._named()}: the policy would act as {own}, since what it has learned is "
                "not finite. Numbers that the environment observes may be too large: scale them "
                "down"
            )
        if self._act is not None:
            own = self._act(own)
        try:  # as `_tried` does, without a function more for every step
            result: Any = self.env.step(own)
        except VolitionError:
            raise
        except (Exception, SystemExit) as error:
            raise self._unfit(f"step raised {explained(error)}") from error
        if not isinstance(result, tuple) or len(result) != 5:
            raise self._unfit(f"step gave {reprlib.repr(result)}, and not five values: {FIVE}")
        observation, reward, terminated, truncated, _ = result
        try:
            number = reward if isinstance(reward, float) else _number(reward)
            ends = bool(terminated), bool(truncated)
        except (TypeError, ValueError):
            values = ", ".join(map(reprlib.repr, (reward, terminated, truncated)))
            raise self._unfit(
                f"reward, terminated and truncated are {values}, and not a number and two booleans"
            ) from None
        return self._copied(observation), number, *ends, {}

    def render(self) -> Pixels | None:
        """What it looks like now: uint8 (height, width, 3). None where it draws into a window.

        Raises:
            EnvironmentUnsupported: The environment fails, or gives what is no picture.
        """
        rendered = self._tried("render", self.env.render)
        if self.render_mode == "human":
            return None
        if rendered is None:
            modes = self.metadata.get("render_modes", [])
            raise self._unfit(
                f"render gave None, and not a picture: the render mode is {self.render_mode}, and "
                f"the environment names {modes}"
            )
        try:
            if isinstance(rendered, str):
                pixels = written(rendered, *_SIZES.get(self._name, ()))
            else:
                pixels = as_pixels(rendered)
        except ValueError as error:
            raise self._unfit(f"render {error}") from None
        height, width = pixels.shape[:2]
        return fitted(pixels, *_SIZES.setdefault(self._name, (height, width)))

    def close(self) -> None:
        """Closes it; one that fails in that has done all that was wanted of it."""
        with suppress(Exception):
            self.env.close()

    def _tried(self, what: str, work: Callable[[], Value]) -> Value:
        try:
            return work()
        except VolitionError:
            raise
        except (Exception, SystemExit) as error:  # whatever somebody's environment does
            raise self._unfit(f"{what} raised {explained(error)}") from error

    def _acting(self, space: gymnasium.Space[Any]) -> Acting:
        acting = Acting(space)
        if not acting.unbounded:
            return acting
        if self._name not in _SCALES:
            _SCALES[self._name] = found_scales(self.env, self.reading, acting)
        return Acting(space, _SCALES[self._name])

    def _understood(
        self, which: str, way: Callable[[gymnasium.Space[Any]], Value], space: Any
    ) -> Value:
        try:
            return way(space)
        except ValueError as error:
            raise EnvironmentUnsupported(f"{self._name}: its {which} {error}") from None

    def _copied(self, observation: Any) -> Observations:
        try:
            return self._read(observation)
        except ValueError as error:
            raise self._unfit(f"what is observed {error}") from None

    def _unfit(self, trouble: str) -> EnvironmentUnsupported:
        return EnvironmentUnsupported(f"{self._named()}: {trouble}")

    def _named(self) -> str:
        when = f"at step {self._steps} of an episode" if self._steps else "at an episode's start"
        return f"{self._name}, {when}"


def tried(name: str, what: str, work: Callable[[], Value]) -> Value:
    """What some work of somebody's environment gives.

    Raises:
        EnvironmentUnsupported: It fails; the message begins with `name`, and says what it was.
    """
    try:
        return work()
    except VolitionError:
        raise
    except (Exception, SystemExit) as error:
        raise EnvironmentUnsupported(f"{name}: {what} raised {explained(error)}") from error


def explained(error: BaseException) -> str:
    """An error of somebody's environment in one line: its kind, what it says, and where it was."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    text = " ".join(str(error).split()) or (frames[-1].line or "" if frames else "")
    kind = type(error).__name__
    return f"{kind}: {text}{where}{hinted(error)}" if text else kind + where


def hinted(error: BaseException) -> str:
    """What an error may mean, to follow on what it says; empty where nobody knows."""
    text = str(error)
    return next((f": {meant}" for part, meant in HINTS.items() if part in text), "")


def _number(reward: Any) -> float:
    """Of a number, of an array of one, or of nothing, which is NaN."""
    return float(np.asarray(reward, np.float64).item())
