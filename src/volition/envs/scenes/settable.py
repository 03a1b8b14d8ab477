"""Any environment that can be set to a state by its own methods, as a scene."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from volition.comparison import Observations, Pixels, State
from volition.envs.checking import tried
from volition.errors import EnvironmentUnsupported


class Unsettable(EnvironmentUnsupported):
    """An environment that cannot be set to a state, and that can be filmed."""


@runtime_checkable
class Settable(Protocol):
    """What an environment offers beside Gymnasium's methods so that judged states can be placed
    in it. What it draws and observes must depend on nothing but this state.

    Attributes:
        state_fields: The names of the state's fields, in its order.
        state_ranges: The lowest and highest value of each that is worth asking a judge about.
    """

    state_fields: tuple[str, ...]
    state_ranges: Mapping[str, tuple[float, float]]

    def get_state(self) -> npt.NDArray[np.float64]:
        """float64 (fields,): the state it is in."""
        ...

    def set_state(self, vector: npt.NDArray[np.float64]) -> None:
        """Puts it into a state, float64 (fields,)."""
        ...

    def observe(self) -> Any:
        """What is observed in the state it is in, as its `observation_space` says."""
        ...

    def render(self) -> Any:
        """uint8 (height, width, 3)."""
        ...


class SettableScene:
    """An environment that implements `Settable`. Implements `task.Scene`.

    Raises:
        EnvironmentUnsupported: The ranges name other fields than the state has.
    """

    def __init__(self, env: Any) -> None:
        self._made, self._env = env, env.unwrapped
        self._name, self._reading = type(self._env).__name__, env.reading
        env.reset(seed=0)
        self.fields = tuple(self._env.state_fields)
        self.ranges = {
            field: self._env.state_ranges[field]
            for field in self.fields
            if field in self._env.state_ranges
        }
        named = set(self._env.state_ranges)
        if named != set(self.fields):
            raise EnvironmentUnsupported(
                f"{self._name}: state_ranges names {', '.join(sorted(named))}, and "
                f"state_fields {', '.join(self.fields)}; both must name the same"
            )

    def observe(self, state: State) -> Observations:
        self._set(state)
        try:
            return self._reading.read(tried(self._name, "observe", self._env.observe))
        except ValueError as error:
            raise EnvironmentUnsupported(f"{self._name}: what observe gives {error}") from None

    def capture(self, env: Any) -> npt.NDArray[np.float64]:
        inner: Settable = env.unwrapped
        state = tried(self._name, "get_state", lambda: np.array(inner.get_state(), np.float64))
        if state.shape != (len(self.fields),) or not np.isfinite(state).all():
            raise EnvironmentUnsupported(
                f"{self._name}: get_state gave {state}, and not a finite number for each of "
                f"{', '.join(self.fields)}"
            )
        return state

    def draw(self, state: State) -> Pixels:
        self._set(state)
        return np.asarray(self._made.render())

    def _set(self, state: State) -> None:
        vector = np.array([state[field] for field in self.fields], np.float64)
        tried(self._name, "set_state", lambda: self._env.set_state(vector))
