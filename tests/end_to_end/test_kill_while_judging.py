"""SIGKILL at any moment of live judging: nothing paid is lost, nothing is asked twice.

The judge is a server that looks at the pictures and counts. What it was asked and what the store
holds are compared after every kill. A request that was under way has no answer and is asked again;
how many those were, the store knows.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from servers import Server, serving
from servers.counted import answered, keys, settle
from volition.comparison import Comparison, Frame, Segment
from volition.goal import Goal
from volition.storage.store import Store

KILLS = 20
CONCURRENCY = 8
COMPARISONS = 160
MAX_USD = 1.0

# Importing takes longer than judging, so what is killed is forked for each line that is read here.
JUDGING = """
import os
import sys
from pathlib import Path
from volition.goal import Goal
from volition.judges import make_judge
from volition.judges.settings import JudgeSettings
from volition.judges.base import Assignment
from volition.judging.thread import Judging
from volition.judging.limits import Limits
from volition.storage.store import Store
from volition.tasks.task import JudgeView

def judge(folder, base_url, max_usd, concurrency):
    with Store.open(folder) as store:
        asked = list(store.comparisons().values())
    settings = JudgeSettings("openai:test", base_url=base_url, price_in=1, price_out=1,
                             wire="logprobs")
    with Judging(folder, Limits(max_usd=max_usd, concurrency=concurrency)) as judging:
        judging.ask(make_judge(settings, Assignment(Goal("higher"), JudgeView())), asked)
        print("asking", flush=True)
        judging.wait()

for _ in sys.stdin:
    process = os.fork()
    if not process:
        judge(Path(sys.argv[1]), sys.argv[2], float(sys.argv[3]), int(sys.argv[4]))
        os._exit(0)
    print(process, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), flush=True)
"""


@pytest.fixture
def server() -> Iterator[Server]:
    with serving(latency_s=0.03, strict=False) as running:
        yield running


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    with Store.create(tmp_path / "run") as store:
        goal_id = store.add_goal(Goal("higher"))
        segments = [
            _bar(int(height), number)
            for number, height in enumerate(rng.permutation(2 * COMPARISONS) % 60)
        ]
        store.add_comparisons(
            Comparison.between(goal_id, one, other)
            for one, other in zip(segments[::2], segments[1::2], strict=True)
        )
    return tmp_path / "run"


def _bar(height: int, number: int) -> Segment:
    """A bar at some height; the dots below make every picture another one."""
    pixels = np.full((72, 72, 3), 255, np.uint8)
    pixels[60 - height : 64 - height, 20:50] = 0
    pixels[70, :9] = 255 - 9 * np.array([number >> bit & 1 for bit in range(9)])[:, None]
    return Segment(np.array([[height, number]], np.float32), (Frame(pixels),))


class Judges:
    """Processes that judge, one after the other."""

    def __init__(self, folder: Path, server: Server, cache: Path) -> None:
        self._forking = subprocess.Popen(
            [sys.executable, "-c", JUDGING, folder, server.openai, str(MAX_USD), str(CONCURRENCY)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={"XDG_CACHE_HOME": str(cache), "PATH": "", "PYTHONPATH": os.pathsep.join(sys.path)},
        )

    def start(self) -> int:
        """The id of one that has begun to ask."""
        assert self._forking.stdin is not None
        self._forking.stdin.write("\n")
        self._forking.stdin.flush()
        lines = {self._line(), self._line()}
        assert "asking" in lines, lines
        (process,) = lines - {"asking"}
        return int(process)

    def ended(self) -> int:
        """Waits for the one that was started last; returns its exit code."""
        return int(self._line())

    def close(self) -> None:
        self._forking.communicate(timeout=60)
        assert self._forking.returncode == 0

    def _line(self) -> str:
        assert self._forking.stdout is not None
        return self._forking.stdout.readline().rstrip("\n")


@pytest.fixture
def judges(folder: Path, server: Server, tmp_path: Path) -> Iterator[Judges]:
    with closing(Judges(folder, server, tmp_path / "cache")) as judges:
        yield judges


def await_request(server: Server, before: Counter[str]) -> None:
    deadline = time.monotonic() + 5
    while Counter(server.asked) == before:
        assert time.monotonic() < deadline, "no request within five seconds"
        time.sleep(0.002)


@pytest.mark.slow
def test_twenty_kills_lose_nothing_paid_and_ask_nothing_twice(
    folder: Path, server: Server, judges: Judges
) -> None:
    rng = random.Random(0)
    key_of = keys(folder)
    lost: Counter[str] = Counter()
    for kill in range(KILLS):
        before = Counter(server.asked)
        known = answered(folder)
        process = judges.start()
        if kill % 4:  # most kills hit requests under way, however slow the machine is
            await_request(server, before)
        time.sleep(rng.uniform(0.0, 0.06))
        os.kill(process, signal.SIGKILL)
        assert judges.ended() in (-signal.SIGKILL, 0), "0 where all were answered before it"
        settle(server)
        asked = Counter(server.asked) - before
        assert not {key_of[name] for name in known} & set(asked), f"asked again at kill {kill}"
        missing = set(asked) & set(key_of.values()) - {key_of[name] for name in answered(folder)}
        assert len(missing) <= CONCURRENCY, f"more was lost at kill {kill} than was under way"
        lost.update(missing)
    judges.start()
    assert judges.ended() == 0
    assert answered(folder) == set(key_of), "every comparison has its verdict in the end"
    times = Counter({key: server.asked[key] for key in key_of.values()})
    again = times - Counter(dict.fromkeys(times, 1))
    assert again == lost, "only what was under way at a kill was asked again"
    assert sum(lost.values()) > 0, "no kill hit a request"
    check_the_books(folder, sum(times.values()))


def check_the_books(folder: Path, asked: int) -> None:
    """The store knows of every request that the server got, and counts what it may have cost."""
    with Store.open(folder) as store:
        assert store.verify() == []
        open_ones = store.spent_usd() - store.cost_usd()
        assert store.judged_live() == COMPARISONS
        assert open_ones > 0
        assert store.spent_usd() <= MAX_USD
        reserved = open_ones / (asked - COMPARISONS)
        assert reserved >= store.cost_usd() / COMPARISONS, "at least as much as an answer cost"
