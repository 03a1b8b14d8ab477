"""The learned reward around a circle of angles, and its distance to the truth where that is known.

`CIRCLES` is the only place that knows the geometry of particular environments. An environment that
is not in it gets the report's general figures instead.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from volition.comparison import Array, Floats
from volition.evidence.report.reading import member_values
from volition.reward.model import SPREAD_PENALTY, RewardModel
from volition.tasks.task import Task

ANGLES = 720  # around the circle: half a degree apart
UPRIGHT = "pendulum"  # the truth of a goal that is about the height of the rod's tip
PLANE = (91, 41)  # angles and velocities of the plane


@dataclass(frozen=True, slots=True)
class Circle:
    """An environment in which a rod turns about a pivot.

    Attributes:
        observe: Angles (radians, 0 upright, counter-clockwise as drawn) and velocities (rad/s),
            each (rows,), to observations, float32 (rows, obs_dim).
        angle: Observations (..., obs_dim) to angles in (-pi, pi].
        velocity: Observations (..., obs_dim) to velocities.
        top_speed: The greatest velocity.
    """

    observe: Callable[[Array, Array], Floats]
    angle: Callable[[Floats], Floats]
    velocity: Callable[[Floats], Floats]
    top_speed: float


CIRCLES = {
    # Gymnasium's Pendulum observes the cosine and the sine of its angle, and its velocity.
    "Pendulum-v1": Circle(
        observe=lambda angle, velocity: np.stack(
            [np.cos(angle), np.sin(angle), velocity], -1
        ).astype(np.float32),
        angle=lambda observed: np.arctan2(observed[..., 1], observed[..., 0]),
        velocity=lambda observed: observed[..., 2],
        top_speed=8.0,
    ),
}


@dataclass(frozen=True)
class Landscape:
    """The learned reward of a rod at rest, at `ANGLES` angles around the circle.

    Attributes:
        circle: The environment's geometry.
        meant_upright: Whether it is known that upright is the goal.
        degrees: (angles,) from -180 up; 0 is upright.
        members: (members, angles), what every member says, in logits.
        plane_degrees, plane_velocities: The axes of the plane.
        plane: (velocities, angles), the ensemble's mean, in logits.
    """

    circle: Circle
    meant_upright: bool
    degrees: Array
    members: Floats
    plane_degrees: Array
    plane_velocities: Array
    plane: Floats

    @property
    def mean(self) -> Floats:
        """(angles,): the ensemble's mean."""
        return self.members.mean(0)

    @property
    def spread(self) -> Floats:
        """(angles,): one standard deviation of the ensemble."""
        return self.members.std(0)

    @property
    def height(self) -> Array:
        """(angles,): the true height of the tip, from -1 to 1. For evaluation only."""
        return np.cos(np.radians(self.degrees))

    @property
    def ignores_velocity(self) -> bool:
        """Whether the reward model is not given the velocity."""
        return bool(np.allclose(self.plane, self.plane[0], atol=1e-4))

    @cached_property
    def peak_degrees(self) -> float:
        """Where the reward that the policy was trained on is greatest; 0 is upright."""
        trained_on = self.mean - SPREAD_PENALTY * self.spread
        return float(self.degrees[int(trained_on.argmax())])

    @cached_property
    def spearman(self) -> float:
        """Rank correlation, around the circle, of the reward trained on with the true height."""
        # Rounded, so that two angles of one height are a tie in spite of floating point.
        return spearman(self.mean - SPREAD_PENALTY * self.spread, self.height.round(9))


def meant_upright(task: Task) -> bool:
    """Whether a rod's height is what the goal is about: so it is of the pendulum's truth."""
    return task.environment.id in CIRCLES and task.goal.truth == UPRIGHT


def landscape(model: RewardModel, task: Task) -> Landscape | None:
    """The landscape of a reward model; None where the environment is not in `CIRCLES`."""
    circle = CIRCLES.get(task.environment.id)
    if circle is None:
        return None
    degrees = np.linspace(-180, 180, ANGLES, endpoint=False, dtype=np.float64)
    around = circle.observe(np.radians(degrees), np.zeros(ANGLES))
    plane_degrees = np.linspace(-180, 180, PLANE[0])
    velocities = np.linspace(-circle.top_speed, circle.top_speed, PLANE[1])
    grid = np.stack(np.meshgrid(np.radians(plane_degrees), velocities), -1).reshape(-1, 2)
    over_plane = circle.observe(grid[:, 0], grid[:, 1])
    values = member_values(model, np.concatenate([around, over_plane]))
    plane = values[:, ANGLES:].mean(0).reshape(PLANE[1], PLANE[0])
    return Landscape(
        circle, meant_upright(task), degrees, values[:, :ANGLES], plane_degrees, velocities, plane
    )


def spearman(one: npt.ArrayLike, other: npt.ArrayLike) -> float:
    """Spearman's rank correlation of two sequences (rows,); equal values share their mean rank.

    `scipy.stats` has it, and takes half a second to import; JAX's ranks are two programs.
    """
    ranks = np.stack([_ranks(values) for values in (one, other)])
    return float(np.asarray(np.corrcoef(ranks))[0, 1])


def _ranks(values: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """The rank of each value (rows,), from 1 on; equal values share their mean rank."""
    _, which, counts = np.unique(np.asarray(values), return_inverse=True, return_counts=True)
    means = np.cumsum(counts) - (counts - 1) / 2  # of the ranks of each group of equal values
    return np.take(means, which)
