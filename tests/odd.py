"""Small environments with one oddity each, of kinds that people report, and a judge for them.

The base is a dot on a line of 9 metres, which is pushed to and fro. Each is registered as
`test/NAME-v0` while a test runs: `registered`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete

from volition.comparison import content_id
from volition.judges.base import Capability, Estimate, Question
from volition.judgment import Failure, JudgeIdentity, Reply, Verdict

EPISODE = 100
ODD: dict[str, type[Dot]] = {}


class Dot(gymnasium.Env[Any, Any]):
    """Observes its place and its velocity; every other one here says what it does in its place."""

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 20}  # noqa: RUF012
    observation_space: Any = Box(-10, 10, (2,), np.float32)
    action_space: Any = Box(-1, 1, (1,), np.float32)

    def __init_subclass__(cls) -> None:
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
