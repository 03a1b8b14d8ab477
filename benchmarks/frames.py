"""What drawing costs a run: only what is judged, long after it was lived, or every step.

    python benchmarks/frames.py [--quick] [--steps N] [--judgments N]

A whole run of the bundled task `half-cheetah-run` is made with a simulated judge
(`simulated:strong`), as `volition train` makes it, and the time is taken that its scene spends on
drawing. Beside it the same environment is drawn at every step, at the same size, as Gymnasium draws
it and as a scene does: what that would add to the same run is its number of steps times what one
drawing takes.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asked import opened
from claims import claim, run_benchmark
from volition.comparison import Pixels, State
from volition.envs.scene import make_env, open_scene
from volition.judges.settings import JudgeSettings
from volition.run.asking.live import MOST
from volition.run.run import train
from volition.tasks.task import Task

TASK = opened(Task.find("half-cheetah-run"))
LARGE = {"width": 256, "height": 256}
JUDGE = "simulated:strong"
DRAWN = 40  # states of which each is drawn in every round


@dataclass
class Drawing:
    """What a run's scenes have drawn, and the seconds that it took."""

    frames: int = 0
    seconds: float = 0.0

    def watch(self, kind: Any) -> Callable[[], None]:
        """Counts every drawing of that class of scenes until the returned function is called."""
        draw = kind.draw

        def timed(scene: Any, state: State) -> Pixels:
            started = time.perf_counter()
            drawn: Pixels = draw(scene, state)
            self.seconds += time.perf_counter() - started
            self.frames += 1
            return drawn

        kind.draw = timed
        return lambda: setattr(kind, "draw", draw)


def milliseconds(work: Callable[[int], Any], rounds: int) -> float:
    """The least mean of several rounds over all the states, since a busy machine only slows."""
    taken = []
    for _ in range(rounds):
        started = time.perf_counter()
        for number in range(DRAWN):
            work(number)
        taken.append((time.perf_counter() - started) / DRAWN * 1000)
    return min(taken)


def costs(kwargs: dict[str, int], rounds: int) -> dict[str, float]:
    """Milliseconds of a step, of telling its state, and of drawing it in both ways."""
    scene = open_scene(TASK.environment.id, kwargs)
    env = make_env(TASK.environment.id, kwargs, render_mode="rgb_array")
    env.reset(seed=0)
    env.action_space.seed(0)
    states = []
    for _ in range(DRAWN):
        env.step(env.action_space.sample())
        states.append(dict(zip(scene.fields, scene.capture(env).tolist(), strict=True)))
    return {
        "step": milliseconds(lambda _: env.step(env.action_space.sample()), rounds),
        "capture": milliseconds(lambda _: scene.capture(env), rounds),
        "scene": milliseconds(lambda number: scene.draw(states[number]), rounds),
        "gymnasium": milliseconds(lambda _: env.render(), rounds),
    }


def claim_costs(rounds: int) -> list[bool]:
    taken = costs(LARGE, rounds)
    shown = {name: round(value, 4) for name, value in taken.items()}
    return [
        claim(
            "HalfCheetah-v5 at 256x256: drawing a state that is set, against Gymnasium's drawing",
            round(taken["gymnasium"] / taken["scene"], 1),
            "times as fast",
            ">= 5",
            taken["gymnasium"] >= 5 * taken["scene"],
            milliseconds=shown,
        ),
        claim(
            "HalfCheetah-v5: a live environment tells its state",
            round(taken["capture"] * 1e3, 1),
            "microseconds",
            "<= 10",
            taken["capture"] <= 0.01,
        ),
    ]


def claim_shares(steps: int, judgments: int, rounds: int) -> list[bool]:
    open_scene(TASK.environment.id, TASK.environment.kwargs)  # its class is there to be watched
    from volition.envs.scenes.mujoco import MujocoScene

    drawing = Drawing()
    stop = drawing.watch(MujocoScene)
    with tempfile.TemporaryDirectory() as folder:
        run = train(
            TASK, judge=JudgeSettings(JUDGE, judgments), steps=steps, out=Path(folder) / "run"
        )
        result = run.result
    stop()
    wall, taken = result.wall_s, costs(TASK.environment.kwargs, rounds)
    others = wall - drawing.seconds
    each_step = {name: result.env_steps * taken[name] / 1000 for name in ("gymnasium", "scene")}
    shares = {name: seconds / (others + seconds) for name, seconds in each_step.items()}
    about: dict[str, Any] = {
        "judge": JUDGE,
        "judgments": result.judgments,
        "env_steps": result.env_steps,
        "frames": drawing.frames,
        "drawing_s": round(drawing.seconds, 1),
        "wall_s": round(wall, 1),
        "milliseconds_a_frame": {name: round(taken[name], 2) for name in each_step},
        "share_drawing_every_step": {name: round(share, 3) for name, share in shares.items()},
        "measures": {name: round(value, 2) for name, value in result.measures.items()},
    }
    share = drawing.seconds / wall
    return [
        claim(
            "half-cheetah-run with a simulated judge: what drawing takes of a run's wall time",
            round(share, 4),
            "share",
            "<= 0.05",
            share <= 0.05,
            **about,
        ),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of the run")
    parser.add_argument("--steps", type=int, default=TASK.training.steps)
    parser.add_argument("--judgments", type=int, default=TASK.training.max_judgments or MOST)
    options = parser.parse_args()
    part, rounds = (10, 2) if options.quick else (1, 5)
    held = [
        *claim_costs(rounds),
        *claim_shares(options.steps // part, options.judgments // part, rounds),
    ]
    claim("Lazy frames' bars", sum(held), f"of {len(held)} claims hold", "all", all(held))


if __name__ == "__main__":
    run_benchmark(main)
