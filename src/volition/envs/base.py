"""What an environment offers so that a judge can be asked about its states."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from volition.comparison import Observations, Pixels, State
from volition.tasks.task import Kwargs


class Scene(Protocol):
    """An environment that can be set to a state, and then observed and drawn."""

    fields: tuple[str, ...]
    """The names of the environment's own state, in its order and units."""

    @property
    def ranges(self) -> Mapping[str, tuple[float, float]] | None:
        """Lowest and highest value of every field, in the order of the fields: the part of its
        state space worth asking about. None where hardly any state of such a box is possible."""
        ...

    def observe(self, state: State) -> Observations:
        """float32 (obs_dim,): what is observed in `state`."""
        ...

    def draw(self, state: State) -> Pixels:
        """uint8 (height, width, 3): the environment's own drawing of `state`."""
        ...

    def capture(self, env: Any) -> npt.NDArray[np.float64]:
        """float64 (fields,): the state that a live environment of this kind is in now.

        It is called at every step of every environment, so it takes microseconds.
        """
        ...


class Scenes(Protocol):
    """An environment as keyword arguments make it; None stands for those of its task."""

    def __call__(self, kwargs: Kwargs | None) -> Scene:
        """Its scene.

        Raises:
            EnvironmentUnsupported: It cannot be made so, or is of another shape.
            Unsettable: Its state cannot be set.
        """
        ...

    def blank(self, kwargs: Kwargs | None) -> Observations:
        """An observation that is all zeros, of the shape and type of what is observed there.

        Raises:
            EnvironmentUnsupported: It cannot be made so, or is of another shape.
        """
        ...
