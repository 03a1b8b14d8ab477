"""Environments of others, as a new user meets them: an id, a sentence, and nothing prepared.

    python benchmarks/anything.py [--quick] [--only PART ...] [--also ID ...]

For each: `volition ask --env ID --goal TEXT` (6 pairs), and `volition train --env ID --goal TEXT`
for few steps with a live judge, both processes of their own. The judge is simulated: a server on
this machine that speaks OpenAI's protocol and answers by a rule about pictures (what is drawn lies
higher). What is asked for is an end, not a skill: sheets, report, film, exit code 0, within 90 s of
processor time each, since what else the machine does makes no difference to that.
Environments of packages that are not here are named and left out; `pip install ale-py minigrid
highway-env safety-gridworlds-gymnasium "shimmy[dm-control]"` brings most of them, and
`gymnasium-robotics metaworld`, with the MuJoCo that these ask for, the others. `--quick` takes
five.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from claims import claim, run_benchmark
from live import serving

HERE = Path(__file__).parent  # with `hostile`, and what that is made of beside it
TESTS = HERE.parent / "tests"
SECONDS = 90.0
STEPS = 400
GOAL = "What is drawn lies high up."


@dataclass(frozen=True, slots=True)
class Tried:
    """An environment of others.

    Attributes:
        env_id: As Gymnasium makes it.
        package: That has to be installed, by the name under which it is imported.
        kwargs: With which it is made.
        steps: That are trained.
    """

    env_id: str
    package: str = "gymnasium"
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    steps: int = STEPS


PRICES = ["--price-in", "0.1", "--price-out", "0.4"]
SHORT = {"max_episode_steps": 50}
OTHERS = (
    Tried("FrozenLake-v1"),
    Tried("CliffWalking-v1", kwargs=SHORT),
    Tried("Taxi-v4", kwargs=SHORT),
    Tried("Blackjack-v1"),
    Tried("MountainCar-v0"),
    Tried("LunarLander-v3", "Box2D"),
    Tried("BipedalWalker-v3", "Box2D", SHORT),
    Tried("CarRacing-v3", "Box2D", SHORT, 200),
    Tried("Walker2d-v5", "mujoco"),
    Tried("Ant-v5", "mujoco", SHORT),
    Tried("Pusher-v5", "mujoco"),
    Tried("HumanoidStandup-v5", "mujoco", SHORT),
    Tried("FetchReach-v4", "gymnasium_robotics"),
    Tried("PointMaze_UMaze-v3", "gymnasium_robotics", SHORT),
    Tried("AdroitHandDoor-v1", "gymnasium_robotics", SHORT),
    Tried("MiniGrid-Empty-5x5-v0", "minigrid"),
    Tried("MiniGrid-DoorKey-6x6-v0", "minigrid", SHORT),
    Tried("BabyAI-GoToRedBall-v0", "minigrid", SHORT),
    Tried("highway-fast-v0", "highway_env"),
    Tried("parking-v0", "highway_env", SHORT),
    Tried("ALE/Breakout-v5", "ale_py", SHORT, 200),
    Tried("ALE/Pong-v5", "ale_py", {"obs_type": "ram", **SHORT}),
    Tried("dm_control/walker-walk-v0", "dm_control", SHORT),
    Tried("dm_control/finger-spin-v0", "dm_control", SHORT),
    Tried("Meta-World/MT1", "metaworld", {"env_name": "drawer-open-v3", **SHORT}),
    Tried("safety_gridworlds/Sokoban-v0", "safety_gridworlds_gymnasium", SHORT),
)
HOSTILE = tuple(
    Tried(f"hostile:Odd-{name}-v0", kwargs=SHORT)
    for name in (
        "Camera",
        "Counted",
        "Everything",
        "FirstStep",
        "Plain",
        "Prints",
        "Square",
        "Stacked",
        "Switches",
        "Text",
        "Unbounded",
        "Whole",
    )
)


def words(kwargs: Mapping[str, Any]) -> list[str]:
    """Keyword arguments as the command line takes them."""
    said = [f"{name}={json.dumps(value)}" for name, value in kwargs.items()]
    return ["--kwargs", *said] if said else []


class Ran(NamedTuple):
    """What came of a command.

    Attributes:
        code: With which it ended.
        wall_s: Seconds that passed.
        cpu_s: Seconds of processor time, of its own and of the system's.
        out: What it said.
        err: What went to the stream of errors.
    """

    code: int
    wall_s: float
    cpu_s: float
    out: str
    err: str

    @property
    def trouble(self) -> str:
        """What it said of its failure; empty where it did not fail."""
        if not self.code:
            return ""
        said = self.err.strip().splitlines() or self.out.strip().splitlines()
        return said[-1] if said else f"exit code {self.code}, without a word"


def ran(command: Sequence[str], **environment: str) -> Ran:
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "volition.cli", *command],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        check=False,
    )
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return Ran(done.returncode, round(wall, 1), round(cpu, 1), done.stdout, done.stderr)


def tried(one: Tried, folder: Path, server: str) -> dict[str, Any]:
    """What came of asking about an environment and of training in it."""
    about = ["--env", one.env_id, "--goal", GOAL, *words(one.kwargs)]
    sheets, run = folder / "sheets", folder / "run"
    asked = ran(["ask", *about, "--pairs", "6", "--out", str(sheets)])
    judged = ["--judge", "openai:eyes", "--base-url", server, "--max-judgments", "12", *PRICES]
    train = ["train", *about, *judged, "--first", "8", "--steps", str(one.steps), "--out", str(run)]
    trained = ran(train, OPENAI_API_KEY="none")
    files = {
        "sheets": any(sheets.glob("sheets/*")),
        "report": (run / "report.html").is_file(),
        "film": (run / "policy.mp4").is_file(),
    }
    trouble = asked.trouble or trained.trouble
    return {
        "ask_s": asked.wall_s,
        "ask_cpu_s": asked.cpu_s,
        "train_s": trained.wall_s,
        "train_cpu_s": trained.cpu_s,
        **files,
        **({"trouble": trouble[:300]} if trouble else {}),
    }


def ended_well(result: Mapping[str, Any]) -> bool:
    in_time = max(result["ask_cpu_s"], result["train_cpu_s"]) <= SECONDS
    return in_time and all(result[name] for name in ("sheets", "report", "film"))


def row(name: str, result: Mapping[str, Any]) -> str:
    """A line of the table, under `HEADING`."""
    seconds = (result[key] for key in ("ask_cpu_s", "ask_s", "train_cpu_s", "train_s"))
    cells = "".join(f"{each:>8.1f}" for each in seconds)
    end = "well" if ended_well(result) else result.get("trouble", "too slow, or something missing")
    return f"{name:<46}{cells}  {end}"


HEADING = (
    f"{'':<46}{'ask':>16}{'train':>16}  it ends\n"
    f"{'environment':<46}{'cpu s':>8}{'wall s':>8}{'cpu s':>8}{'wall s':>8}"
)


def chosen() -> list[Tried]:
    """The environments that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="five of them")
    parser.add_argument("--only", nargs="+", help="those with such a part in their id")
    parser.add_argument("--also", nargs="+", default=[], help="others, by their ids")
    arguments = parser.parse_args()
    named = [
        one
        for one in (*OTHERS, *HOSTILE)
        if not arguments.only or any(part in one.env_id for part in arguments.only)
    ][: 5 if arguments.quick else None]
    return [*named, *map(Tried, arguments.also)]


def main() -> None:
    wanted = chosen()
    here = [one for one in wanted if find_spec(one.package) is not None]
    missing = sorted({one.package for one in wanted} - {one.package for one in here})
    if missing:
        print(f"left out, since they are not installed: {', '.join(missing)}")
    paths = [str(HERE), str(TESTS), *filter(None, [os.environ.get("PYTHONPATH")])]
    os.environ["PYTHONPATH"] = os.pathsep.join(paths)
    results: dict[str, dict[str, Any]] = {}
    print(HEADING, flush=True)
    with serving("--sharp") as server:
        for one in here:
            with tempfile.TemporaryDirectory() as folder:
                result = tried(one, Path(folder), server)
            name = " ".join((one.env_id, *words(one.kwargs)[1:]))
            results[name] = result
            print(row(name, result), flush=True)
    well = [name for name, result in results.items() if ended_well(result)]
    claim(
        "Environments of others: asked about, and learned in, judged by a rule (simulated)",
        len(well),
        f"of {len(results)} end well",
        f"all: sheets, page, film, exit 0, <= {SECONDS:g} s of processor time each",
        len(well) == len(results),
        slowest_cpu_s=max((result["train_cpu_s"] for result in results.values()), default=None),
        not_well={name: r for name, r in results.items() if name not in well},
        left_out=missing,
    )


if __name__ == "__main__":
    run_benchmark(main)
