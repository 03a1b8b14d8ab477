"""Small environments with one oddity each, of kinds that people report, and a judge for them.

The base is a dot on a line of 9 metres, which is pushed to and fro. Each is registered as
`test/NAME-v0` while a test runs: `registered`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import (
    Box,
    Dict,
    Discrete,
    MultiBinary,
    MultiDiscrete,
    Tuple,
)
from gymnasium.spaces import (
    Sequence as Several,
)
from gymnasium.spaces import (
    Text as Words,
)

from volition.comparison import content_id
from volition.judges.base import Capability, Estimate, Question
from volition.judgment import Failure, JudgeIdentity, Reply, Verdict

EPISODE = 40
LATE = 3000  # steps of all environments of a kind: what a judge is asked first is drawn by then
ODD: dict[str, type[Dot]] = {}


class Dot(gymnasium.Env[Any, Any]):
    """Observes its place and its velocity; every other one here says what it does in its place."""

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 20}  # noqa: RUF012
    observation_space: Any = Box(-10, 10, (2,), np.float32)
    action_space: Any = Box(-1, 1, (1,), np.float32)

    def __init_subclass__(cls) -> None:
        if cls.__module__ == __name__:
            ODD[cls.__name__] = cls

    def __init__(self, render_mode: str | None = None, size: int = 48) -> None:
        self.render_mode, self.size = render_mode, size
        self.x, self.v, self.n = 0.0, 0.0, 0

    def push(self, action: Any) -> float:
        return float(np.clip(np.asarray(action, float).ravel()[0], -1, 1))

    def obs(self) -> Any:
        return np.array([self.x, self.v], np.float32)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.x, self.v, self.n = float(self.np_random.uniform(-3, 3)), 0.0, 0
        return self.obs(), {}

    def step(self, action: Any) -> Any:
        self.n += 1
        self.v = 0.9 * self.v + 0.1 * self.push(action)
        self.x = float(np.clip(self.x + self.v, -4.5, 4.5))
        return self.obs(), 0.0, False, False, {}

    def render(self) -> Any:
        picture = np.full((self.size, self.size, 3), 255, np.uint8)
        column = int((self.x + 4.5) / 9 * (self.size - 9))
        row = int(self.size * (0.5 - 0.05 * self.x))
        picture[row - 4 : row + 5, column : column + 9] = (200, 0, 0)
        return picture


class Plain(Dot):
    """Nothing odd."""


@contextmanager
def registered() -> Iterator[None]:
    for name, kind in ODD.items():
        for counter in {"lived", "made"} & set(vars(kind)):
            setattr(kind, counter, 0)
        gymnasium.register(f"test/{name}-v0", kind, max_episode_steps=EPISODE)  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in ODD:
            del gymnasium.registry[f"test/{name}-v0"]


class Rightmost:
    """A judge that prefers the larger first entry of what is observed last."""

    identity = JudgeIdentity("rightmost", simulated=True)
    per_request = 12
    capability: Capability | None = None
    immediate = True

    def estimate(self, questions: Sequence[Question]) -> Estimate:
        return Estimate(0, 0, 0.0)

    async def ask(self, questions: Sequence[Question]) -> Reply:
        places = [
            [float(segment.observations[-1].ravel()[0]) for segment in question.shown]
            for question in questions
        ]
        key = " ".join(f"{q.comparison.id} {q.order}" for q in questions)
        return Reply(content_id(key.encode()), json.dumps(places), cost_usd=0.0, latency_s=0.0)

    def read(self, reply: Reply, questions: Sequence[Question]) -> list[Verdict | Failure]:
        return [
            Verdict(0.5 if one == other else float(one > other))
            for one, other in json.loads(reply.raw)
        ]

    async def close(self) -> None:
        pass


# What is observed --------------------------------------------------------------------------------


class NanAfter(Dot):
    """A simulation that has exploded."""

    def obs(self) -> Any:
        return np.array([np.nan if self.n >= 30 else self.x, self.v], np.float32)


class InfiniteVelocity(Dot):
    def obs(self) -> Any:
        return np.array([self.x, -np.inf if self.n >= 7 else self.v], np.float32)


class NanAtReset(Dot):
    def reset(self, **options: Any) -> Any:
        observation, info = super().reset(**options)
        return np.full_like(observation, np.nan), info


class NanLate(Dot):
    """After so many steps of all of its kind that what a judge is asked first has been drawn."""

    lived = 0

    def obs(self) -> Any:
        type(self).lived += 1
        late = type(self).lived > LATE
        return np.array([self.x, np.nan if late else self.v], np.float32)


class TooLargeForFloat32(Dot):
    observation_space = Box(-np.inf, np.inf, (2,), np.float64)

    def obs(self) -> Any:
        return np.array([self.x, 1e300 if self.n >= 5 else 0.0])


class Huge(Dot):
    """Finite, and too large to reckon with."""

    observation_space = Box(-np.inf, np.inf, (2,), np.float32)

    def obs(self) -> Any:
        return np.array([self.x, self.v * 1e38], np.float32)


class WrongShape(Dot):
    def obs(self) -> Any:
        return np.array([self.x], np.float32)


class ShapeChanges(Dot):
    def obs(self) -> Any:
        return np.zeros((2, 2), np.float32) if self.n == 12 else super().obs()


class ObservesNone(Dot):
    def obs(self) -> Any:
        return None if self.n == 9 else super().obs()


class ObservesText(Dot):
    def obs(self) -> Any:
        return "left" if self.n == 3 else super().obs()


class Ragged(Dot):
    def obs(self) -> Any:
        return [[1.0], [1.0, 2.0]] if self.n == 4 else super().obs()


class FractionsForBytes(Dot):
    """Pictures from 0 to 1, where its space says bytes."""

    observation_space = Box(0, 255, (16, 16, 3), np.uint8)

    def obs(self) -> Any:
        return np.full((16, 16, 3), 0.5)


class AList(Dot):
    """A list of numbers, which is as good as an array."""

    def obs(self) -> Any:
        return [self.x, self.v]


class Float64(Dot):
    observation_space = Box(-10, 10, (2,), np.float64)
    action_space = Box(-1, 1, (1,), np.float64)

    def obs(self) -> Any:
        return np.array([self.x, self.v])


class OneBuffer(Dot):
    """It writes what is observed, and what is drawn, into the same arrays again and again."""

    def __init__(self, render_mode: str | None = None) -> None:
        super().__init__(render_mode)
        self.buffer, self.picture = np.zeros(2, np.float32), np.zeros((48, 48, 3), np.uint8)

    def obs(self) -> Any:
        self.buffer[:] = self.x, self.v
        return self.buffer

    def render(self) -> Any:
        self.picture[:] = super().render()
        return self.picture


class ActsInPlace(Dot):
    """It scales the action that it is given in place."""

    def step(self, action: Any) -> Any:
        action *= 0.5
        return super().step(action)


class Constant(Dot):
    """The second entry is the same until the judge has been asked first, and then goes far."""

    lived = 0

    def obs(self) -> Any:
        type(self).lived += 1
        return np.array([self.x, 3.0 if type(self).lived < LATE else 5.0], np.float32)


# Its spaces --------------------------------------------------------------------------------------


class Strict(Dot):
    """It takes no action that is not in its space to the letter."""

    observation_space: Any = Box(-10, 10, (2,), np.float64)
    action_space: Any = Box(-0.1, 0.1, (1,), np.float64)

    def push(self, action: Any) -> float:
        return 10 * float(action[0])

    def step(self, action: Any) -> Any:
        assert self.action_space.contains(action), f"{action!r} is not in {self.action_space}"
        return super().step(action)


class Unbounded(Strict):
    """Of two forces without bounds the first makes no difference beyond 3."""

    action_space = Box(np.array([-np.inf, 0]), np.inf, (2,), np.float64)

    def push(self, action: Any) -> float:
        return float(np.clip(action[0], -3, 3) / 3 + action[1])


class Square(Strict):
    """In rows and columns, as highway-env observes."""

    observation_space = Box(-np.inf, np.inf, (5, 5), np.float32)
    action_space = Box(-1, 1, (2, 2), np.float32)

    def push(self, action: Any) -> float:
        return float(action[1, 0])

    def obs(self) -> Any:
        return np.full((5, 5), self.x, np.float32)


class Whole(Strict):
    """Whole numbers."""

    observation_space = MultiBinary((2, 2))
    action_space = Box(-2, 2, (), np.int32)

    def push(self, action: Any) -> float:
        return float(action) / 2

    def obs(self) -> Any:
        return np.full((2, 2), self.x > 0, np.int8)


class Counted(Strict):
    """One of nine places, and a gear and a brake."""

    observation_space = Discrete(9, start=-4)
    action_space = MultiDiscrete([3, 2], start=[-1, 0])

    def push(self, action: Any) -> float:
        return float(action[0] * (1 + action[1]))

    def obs(self) -> Any:
        return round(np.clip(self.x, -4, 4))


class Switches(Strict):
    """More possibilities than can have an entry each."""

    observation_space = MultiDiscrete([9, 5000])
    action_space = MultiBinary(2)

    def push(self, action: Any) -> float:
        return float(action[0]) - float(action[1])

    def obs(self) -> Any:
        return np.array([round(self.x) + 4, 4097])


class Everything(Strict):
    """All kinds of spaces in each other, a picture and text among them."""

    observation_space = Dict(
        {
            "at": Box(-9, 9, (1,), np.float32),
            "view": Box(0, 255, (40, 60, 3), np.uint8),
            "gear": Tuple((Discrete(3), MultiBinary(2))),
            "told": Words(20),
        }
    )
    action_space = Dict(
        {"force": Tuple((Box(-1, 1, (1,)), MultiDiscrete(np.array([[2, 3]])))), "gear": Discrete(3)}
    )

    def push(self, action: Any) -> float:
        return float(action["force"][0][0] * action["gear"])

    def obs(self) -> Any:
        gear = 2, np.array([0, self.x > 0], np.int8)
        view = np.full((40, 60, 3), 51, np.uint8)
        return {"at": [self.x], "view": view, "gear": gear, "told": "go right!"}


class Parts(Strict):
    """What `Plain` observes and does, in parts."""

    observation_space = Dict({"at": Box(-10, 10, (1,)), "speed": Tuple((Box(-10, 10, ()),))})
    action_space = Tuple((Box(-1, 1, (1, 1)),))

    def push(self, action: Any) -> float:
        return float(action[0][0, 0])

    def obs(self) -> Any:
        return {"at": np.array([self.x]), "speed": (self.v,)}


class Stacked(Strict):
    """The last four pictures, in grey, as Atari is learned from."""

    observation_space = Box(0, 255, (4, 20, 24), np.uint8)

    def obs(self) -> Any:
        return np.arange(4, dtype=np.uint8)[:, None, None].repeat(20, 1).repeat(24, 2)


class Camera(Strict):
    """One picture in fractions, and text."""

    observation_space = Dict({"mission": Words(9), "view": Box(0, 1, (20, 24), np.float32)})

    def obs(self) -> Any:
        return {"mission": "right", "view": np.full((20, 24), 0.2, np.float32)}


class Signed(Strict):
    """A picture in fractions from -1 to 1, channels first."""

    observation_space = Box(-1, 1, (3, 20, 24), np.float32)

    def obs(self) -> Any:
        return np.full((3, 20, 24), -1, np.float32)


class Depth(Strict):
    """How far away everything is, in whole millimetres."""

    observation_space = Box(0, 10_000, (20, 24), np.uint16)

    def obs(self) -> Any:
        return np.full((20, 24), 10_000, np.uint16)


class Table(Strict):
    """A large table of numbers, which is no picture."""

    observation_space = Box(-10, 10, (20, 24), np.float32)

    def obs(self) -> Any:
        return np.full((20, 24), self.x, np.float32)


class Growing(Dot):
    """It sees ever more."""

    observation_space = Dict({"seen": Several(Discrete(3))})


class OnlyWords(Dot):
    observation_space = Words(9)


class Speaks(Dot):
    action_space = Words(9)


# What it does ------------------------------------------------------------------------------------


class CannotBeMade(Dot):
    def __init__(self, render_mode: str | None = None) -> None:
        raise OSError("no such device: /dev/robot")


class CannotBeReset(Dot):
    def reset(self, **_: Any) -> Any:
        raise KeyError("start")


class ResetOnce(Dot):
    """It fails when an episode has ended."""

    def reset(self, **options: Any) -> Any:
        assert not self.n, "already running"
        return super().reset(**options)


class ResetWithoutSeed(Dot):
    def reset(self) -> Any:  # type: ignore[override]
        return super().reset()


class ResetGivesOne(Dot):
    """As it was before Gymnasium."""

    def reset(self, **options: Any) -> Any:
        return super().reset(**options)[0]


class StepGivesFour(Dot):
    """As it was before Gymnasium."""

    def step(self, action: Any) -> Any:
        observation, reward, _, _, info = super().step(action)
        return observation, reward, False, info


class StepGivesNothing(Dot):
    def step(self, action: Any) -> Any:
        super().step(action)


class RaisesMid(Dot):
    def step(self, action: Any) -> Any:
        if self.n >= 27:
            raise RuntimeError("MuJoCo: the simulation is unstable (BADQACC) at DOF 0")
        return super().step(action)


class RaisesWordlessly(Dot):
    def step(self, action: Any) -> Any:
        assert self.n < 5
        return super().step(action)


class RaisesLate(Dot):
    lived = 0

    def step(self, action: Any) -> Any:
        type(self).lived += 1
        if type(self).lived > LATE:
            raise ConnectionError("the simulator has gone")
        return super().step(action)


class CannotBeClosed(Dot):
    def close(self) -> None:
        raise RuntimeError("closed twice")


class RewardNone(Dot):
    def step(self, action: Any) -> Any:
        observation, _, *rest = super().step(action)
        return observation, None, *rest


class RewardArray(Dot):
    """An array of one number, which is as good as a number; and so is one boolean."""

    def step(self, action: Any) -> Any:
        observation, *_, info = super().step(action)
        return observation, np.array([0.5]), np.array([False]), np.False_, info


class RewardNan(Dot):
    """Its own reward is nobody's business."""

    def step(self, action: Any) -> Any:
        observation, _, *rest = super().step(action)
        return observation, float("nan"), *rest


class OddInfo(Dot):
    """What stands in `info` changes its kind from step to step."""

    def step(self, action: Any) -> Any:
        info = ({"a": 1.0}, {"a": None, "b": {"c": np.zeros(self.n)}}, None)[self.n % 3]
        return *super().step(action)[:4], info


class Exits(Dot):
    """As where a window was closed."""

    def step(self, action: Any) -> Any:
        if self.n == 11:
            sys.exit("the window was closed")
        return super().step(action)


class NoMetadata(Dot):
    metadata = None  # type: ignore[assignment]


class NoRenderMode(Dot):
    def __init__(self) -> None:
        super().__init__()


class SpacesDiffer(Dot):
    """Every one of its kind may be pushed harder than the one before."""

    made = 0

    def __init__(self, render_mode: str | None = None) -> None:
        super().__init__(render_mode)
        type(self).made += 1
        self.action_space = Box(-1, type(self).made, (1,), np.float32)


class SpaceGrows(Dot):
    """Its space is another after a reset."""

    def reset(self, **options: Any) -> Any:
        self.observation_space = Box(-10, 10, (3,), np.float32)
        super().reset(**options)
        return np.zeros(3, np.float32), {}


class FirstStep(Dot):
    """Ends with its first step (a contextual bandit)."""

    def step(self, action: Any) -> Any:
        _, reward, _, _, info = super().step(action)
        self.x = float(np.clip(np.asarray(action).ravel()[0] * 4, -4.5, 4.5))
        return self.obs(), reward, True, False, info


class NoSpace(Dot):
    observation_space = None


# What it draws -----------------------------------------------------------------------------------


class ListRender(Dot):
    def render(self) -> Any:
        return [np.zeros((48, 48, 3), np.uint8), super().render()]


class EmptyList(Dot):
    def render(self) -> Any:
        return []


class NoRender(Dot):
    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012

    def render(self) -> Any:
        return None


class RenderNone(Dot):
    def render(self) -> Any:
        return None


class RenderRaises(Dot):
    def render(self) -> Any:
        raise RuntimeError("cannot open a window")


class Text(Dot):
    """It writes, and in red."""

    metadata: dict[str, Any] = {"render_modes": ["human", "ansi"]}  # noqa: RUF012

    def render(self) -> Any:
        assert self.render_mode == "ansi", self.render_mode
        return f"step {self.n}\n" + " " * round(self.x + 4.5) + "\x1b[31mx\x1b[0m"


class Prints(Dot):
    """It can only print."""

    metadata: dict[str, Any] = {"render_modes": ["human"]}  # noqa: RUF012

    def render(self) -> Any:
        print("." * round(self.x + 4.5) + "x")


class Silent(Dot):
    """It says that it draws into a window, and does nothing."""

    metadata: dict[str, Any] = {"render_modes": ["human"]}  # noqa: RUF012

    def render(self) -> Any:
        return None


class Rgba(Dot):
    def render(self) -> Any:
        picture = super().render()
        return np.dstack([picture, np.full(picture.shape[:2], 255, np.uint8)])


class Transparent(Dot):
    """A white ground that is not there: black with no opacity."""

    def render(self) -> Any:
        picture = super().render()
        drawn = picture[:, :, 1] == 0
        return np.dstack([picture * drawn[:, :, None], 255 * drawn]).astype(np.uint8)


class Grey(Dot):
    def render(self) -> Any:
        return super().render()[:, :, 1]


class GreyInThree(Dot):
    def render(self) -> Any:
        return super().render()[:, :, 1:2]


class ChannelsFirst(Dot):
    def render(self) -> Any:
        return np.moveaxis(super().render(), 2, 0)


class FloatFrame(Dot):
    def render(self) -> Any:
        return super().render().astype(np.float32) / 255


class FloatBytes(Dot):
    def render(self) -> Any:
        return super().render().astype(np.float64)


class GreyFloats(Dot):
    def render(self) -> Any:
        return super().render()[:, :, 1] / 255


class LongIntegers(Dot):
    def render(self) -> Any:
        return super().render().astype(np.int64)


class BlackAndWhite(Dot):
    def render(self) -> Any:
        return super().render()[:, :, 1] > 0


class OddSizes(Dot):
    """Its drawing changes size from step to step."""

    def render(self) -> Any:
        self.size = 48 + 8 * (self.n % 3)
        return super().render()


class SizeOfItsOwn(Dot):
    """Every one of its kind is drawn in another size."""

    made = 0

    def __init__(self, render_mode: str | None = None) -> None:
        type(self).made += 1
        super().__init__(render_mode, 40 + 8 * (type(self).made % 4))


class NanPixel(Dot):
    def render(self) -> Any:
        picture = super().render() / 255
        picture[3, 4] = np.nan
        return picture


class BeyondWhite(Dot):
    def render(self) -> Any:
        return super().render() * 1.5


class BelowBlack(Dot):
    """From -1 to 1, as networks like it."""

    def render(self) -> Any:
        return super().render() / 127.5 - 1


class TwoChannels(Dot):
    def render(self) -> Any:
        return super().render()[:, :, :2]


class Large(Dot):
    """Larger than anybody looks at."""

    def render(self) -> Any:
        return np.kron(super().render(), np.ones((25, 25, 1), np.uint8))


class Tiny(Dot):
    """A pixel for each place there is."""

    def render(self) -> Any:
        picture = np.full((9, 9, 3), 255, np.uint8)
        picture[4, round(self.x) + 4] = (200, 0, 0)
        return picture


class Strip(Dot):
    def render(self) -> Any:
        return super().render()[20:21].repeat(50, 1)


class NothingMoves(Dot):
    def render(self) -> Any:
        return np.zeros((48, 48, 3), np.uint8)


class Faint(Dot):
    """What moves is a shade lighter than the ground."""

    def render(self) -> Any:
        return (super().render() // 16 + 128).astype(np.uint8)


class FewStates(Dot):
    """Nine places in all: fewer than a judge is asked about at first."""

    action_space = Discrete(2)

    def push(self, action: Any) -> float:
        return 2.0 * float(action) - 1

    def reset(self, **options: Any) -> Any:
        super().reset(**options)
        self.x = 0.0
        return self.obs(), {}

    def step(self, action: Any) -> Any:
        self.n += 1
        self.x = float(np.clip(self.x + self.push(action), -4, 4))
        return self.obs(), 0.0, False, False, {}


class TwoStates(FewStates):
    def step(self, action: Any) -> Any:
        result = super().step(action)
        self.x = float(np.sign(self.x) or 1.0)
        return self.obs(), *result[1:]
