"""Observations that are pictures: how long a fit takes, and whole runs, in time and memory.

    python benchmarks/pictures.py [--quick]

The reward model is fitted to 100 judgments of two pictures of 84 x 84 x 3 each. Then whole runs,
each a process of its own with report and film: a dot on a line, seen as a picture; CarRacing-v3 cut
to 20 steps an episode; and ALE/Pong-v5 for 400 steps, where `ale-py` is installed. Whoever judges
them is simulated: a rule that looks at the frames alone. `--quick` leaves CarRacing and Pong out.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

from claims import claim, run_benchmark
from volition import Goal, train
from volition.comparison import Pixels, content_id
from volition.evidence.report import write_report
from volition.judges.base import Capability, Estimate, Question
from volition.judgment import Failure, JudgeIdentity, Preference, Reply, Verdict
from volition.reward.fit import fit
from volition.reward.preferences import PreferenceData
from volition.storage.compilation import enable_cache
from volition.tasks.task import RewardSection

SIDE, DOT, JUDGMENTS = 84, 8, 100
FIT_S, RUN_S, RUN_GB = 10.0, 120.0, 2.0


def picture(column: int, row: int) -> Pixels:
    """A red square on white, with its left upper corner there."""
    pixels = np.full((SIDE, SIDE, 3), 255, np.uint8)
    pixels[row : row + DOT, column : column + DOT] = (200, 0, 0)
    return pixels


class Dot(gymnasium.Env[Any, Any]):
    """A dot that is pushed left and right, observed as a picture."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 20}  # noqa: RUF012

    def __init__(self, render_mode: str | None = None) -> None:
        self.observation_space = gymnasium.spaces.Box(0, 255, (SIDE, SIDE, 3), np.uint8)
        self.action_space = gymnasium.spaces.Discrete(3)
        self.render_mode, self._column = render_mode, 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self._column = int(self.np_random.integers(SIDE - DOT))
        return self.render(), {}

    def step(self, action: Any) -> Any:
        self._column = int(np.clip(self._column + 4 * (int(action) - 1), 0, SIDE - DOT))
        return self.render(), 0.0, False, False, {}

    def render(self) -> Pixels:
        return picture(self._column, SIDE // 2)


def redness(pixels: Pixels) -> float:
    """How far to the right what is red lies."""
    red = (pixels[..., 0] > 150) & (pixels[..., 1] < 100)
    return float(np.nonzero(red)[1].mean()) if red.any() else 0.0


def greyness(pixels: Pixels) -> float:
    """How little of the picture is grass."""
    return -float((pixels[..., 1] > pixels[..., 0] + 20).mean())


def brightness(pixels: Pixels) -> float:
    """Of the right half."""
    return float(pixels[:, pixels.shape[1] // 2 :].mean())


class Rule:
    """A simulated judge: prefers what scores higher by a rule about frames."""

    per_request, immediate = 12, True
    capability: Capability | None = None

    def __init__(self, score: Callable[[Pixels], float]) -> None:
        self._score = score
        self.identity = JudgeIdentity(f"simulated:{score.__name__}", simulated=True)

    def estimate(self, questions: Sequence[Question]) -> Estimate:
        return Estimate(0, 0, 0.0)

    async def ask(self, questions: Sequence[Question]) -> Reply:
        scores = [[self._score(s.frames[-1].pixels) for s in q.shown] for q in questions]
        key = " ".join(f"{question.comparison.id} {question.order}" for question in questions)
        return Reply(content_id(self.identity.id.encode(), key.encode()), json.dumps(scores))

    def read(self, reply: Reply, questions: Sequence[Question]) -> list[Verdict | Failure]:
        return [Verdict((float(np.sign(a - b)) + 1) / 2) for a, b in json.loads(reply.raw)]

    async def close(self) -> None:
        pass


RUNS: dict[str, tuple[str, Callable[[Pixels], float], int]] = {
    "dot": ("bench/Dot-v0", redness, 2000),
    "CarRacing-v3, 20 steps": ("bench/CarRacing-v0", greyness, 800),
    "ALE/Pong-v5": ("ALE/Pong-v5", brightness, 400),
}


def register() -> None:
    """The environments of `RUNS`."""
    gymnasium.register("bench/Dot-v0", Dot, max_episode_steps=50)  # type: ignore[arg-type]
    racing = "gymnasium.envs.box2d.car_racing:CarRacing"
    gymnasium.register("bench/CarRacing-v0", racing, max_episode_steps=20)
    if find_spec("ale_py") is not None:
        gymnasium.register_envs(import_module("ale_py"))


def run_one(name: str, out: str) -> None:
    """A whole run, in this process."""
    register()
    env_id, score, steps = RUNS[name]
    goal = Goal(f"what has more {score.__name__}")
    run = train(env_id, goal, judge=Rule(score), steps=steps, out=out)
    write_report(run)
    print(json.dumps({"episodes": run.result.episodes, "warnings": run.result.warnings}))


def measured(name: str, folder: Path) -> dict[str, Any]:
    """Seconds, peak memory in GB and exit code of a run in a process of its own."""
    started = time.perf_counter()
    command = [sys.executable, __file__, "--run", name, "--out", str(folder / "run")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    told = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    lines = told.splitlines()
    return {
        "seconds": round(time.perf_counter() - started, 1),
        "GB": round(usage.ru_maxrss / 2**20, 2),
        "exit": process.returncode,
        "page_and_film": all((folder / "run" / f).is_file() for f in ("report.html", "policy.mp4")),
        **(json.loads(lines[-1]) if lines else {}),
    }


def fit_seconds() -> float:
    """Of a fit to `JUDGMENTS`, its program compiled before."""
    rng = np.random.default_rng(0)
    observed, preferences = {}, []
    for number in range(JUDGMENTS):
        places = rng.integers(0, SIDE - DOT, (2, 2))
        observed[str(number)] = (picture(*places[0])[None], picture(*places[1])[None])
        preferred = float(places[0, 0] > places[1, 0])
        preferences.append(Preference(str(number), preferred, 1.0))
    data = PreferenceData.gather(observed, preferences)
    fit(data, RewardSection(), False, 0)
    started = time.perf_counter()
    fit(data, RewardSection(), False, 0)
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="no CarRacing and no Pong")
    parser.add_argument("--run", choices=RUNS, help=argparse.SUPPRESS)
    parser.add_argument("--out", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    enable_cache()
    if arguments.run:
        run_one(arguments.run, arguments.out)
        return
    seconds = fit_seconds()
    text = f"Fit to {JUDGMENTS} judgments of pictures of {SIDE} x {SIDE} x 3, compiled before"
    held = [claim(text, round(seconds, 1), "s", f"<= {FIT_S:g}", seconds <= FIT_S)]
    for name in list(RUNS)[: 1 if arguments.quick else None]:
        if name.startswith("ALE") and find_spec("ale_py") is None:
            print(f"{name} is left out: pip install ale-py")
            continue
        with tempfile.TemporaryDirectory() as folder:
            run = measured(name, Path(folder))
        holds = run["exit"] == 0 and run["page_and_film"]
        holds = holds and run["seconds"] <= RUN_S and run["GB"] <= RUN_GB
        target = f"page, film, exit 0, <= {RUN_S:g} s, <= {RUN_GB:g} GB"
        held.append(
            claim(f"{name}: a whole run, judged by a rule (simulated)", run, "", target, holds)
        )
    claim("Pictures", sum(held), f"of {len(held)} claims hold", "all", all(held))


if __name__ == "__main__":
    run_benchmark(main)
