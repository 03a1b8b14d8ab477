"""What the entries of an observation are called, for a person to read."""

from __future__ import annotations

from contextlib import closing
from math import prod
from typing import Any

from volition.envs.making import make_env
from volition.envs.scenes.classic_control import CLASSIC_CONTROL
from volition.tasks.task import EnvironmentSection

LANDER = (
    *("x", "y", "x_dot", "y_dot", "angle", "angle_dot"),
    *("left leg touches", "right leg touches"),
)
REACHER = (
    *("cos joint0", "cos joint1", "sin joint0", "sin joint1", "target_x", "target_y"),
    *("joint0_dot", "joint1_dot", "target to tip, x", "target to tip, y"),
)  # likewise not said by the environment itself


def entry_names(environment: EnvironmentSection) -> tuple[str, ...]:
    """A name for each entry that is observed, flattened; `observation 3` where nobody gave one.

    An environment of anybody's own may have them as `observation_names`, in their order.

    Raises:
        EnvironmentUnsupported: The environment is unknown, or cannot be made.
    """
    with closing(make_env(environment.id, environment.kwargs)) as env:
        count = prod(env.observation_space.shape)
        names = _names(env.unwrapped)
    return names if len(names) == count else tuple(f"observation {n}" for n in range(count))


def _names(inner: Any) -> tuple[str, ...]:
    """As the environment itself, or whoever knows its class, has them; none where nobody does."""
    own = getattr(inner, "observation_names", ())
    if own:
        return tuple(map(str, own))
    for base in type(inner).__mro__:
        if base.__name__ in CLASSIC_CONTROL:
            kind = CLASSIC_CONTROL[base.__name__]
            circles = [f"{ratio} {angle}" for angle in kind.angles for ratio in ("cos", "sin")]
            return (*circles, *(field for field in kind.ranges if field not in kind.angles))
        if base.__name__ == "LunarLander":
            return LANDER
        if base.__name__ == "ReacherEnv":
            return REACHER
    structure = getattr(inner, "observation_structure", None)
    return _of_mujoco(inner, structure) if isinstance(structure, dict) else ()


def _of_mujoco(inner: Any, structure: dict[str, int]) -> tuple[str, ...]:
    """By what Gymnasium's MuJoCo environments say of the parts of their observations, in order."""
    from volition.envs.scenes.mujoco import joint_names

    names: list[str] = []
    for part, size in structure.items():
        if part.startswith("skipped"):
            continue
        if part in ("qpos", "qvel"):
            joints = joint_names(inner.model, "" if part == "qpos" else "_dot")
            names += joints[len(joints) - size :]  # those that are skipped come first
        else:
            names += [f"{part} {number}" for number in range(size)]
    return tuple(names)
