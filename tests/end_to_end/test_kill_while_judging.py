"""SIGKILL at any moment of live judging: nothing paid is lost, nothing is asked twice.

The judge is a server that looks at the pictures and counts. What it was asked and what the store
holds are compared after every kill. A request that was under way has no answer and is asked again;
how many those were, the store knows.
"""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
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

JUDGING = """
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

folder, base_url = Path(sys.argv[1]), sys.argv[2]
with Store.open(folder) as store:
    asked = list(store.comparisons().values())
settings = JudgeSettings("openai:test", base_url=base_url, price_in=1, price_out=1,
                         wire="logprobs")
with Judging(folder, Limits(max_usd=float(sys.argv[3]), concurrency=int(sys.argv[4]))) as judging:
    judging.ask(make_judge(settings, Assignment(Goal("higher"), JudgeView())), asked)
    print("asking", flush=True)
    judging.wait()
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


def start(folder: Path, server: Server, cache: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", JUDGING, folder, server.openai, str(MAX_USD), str(CONCURRENCY)],
        stdout=subprocess.PIPE,
        text=True,
        env={"XDG_CACHE_HOME": str(cache), "PATH": ""},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "asking\n"
    return process


def await_request(server: Server, before: Counter[str], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 5
    while Counter(server.asked) == before and process.poll() is None:
        assert time.monotonic() < deadline, "no request within five seconds"
        time.sleep(0.002)


@pytest.mark.slow
def test_twenty_kills_lose_nothing_paid_and_ask_nothing_twice(
    folder: Path, server: Server, tmp_path: Path
) -> None:
    rng = random.Random(0)
    key_of = keys(folder)
    lost: Counter[str] = Counter()
    for kill in range(KILLS):
        before = Counter(server.asked)
        known = answered(folder)
        with start(folder, server, tmp_path / "cache") as process:
            if kill % 4:  # most kills hit requests under way, however slow the machine is
                await_request(server, before, process)
            time.sleep(rng.uniform(0.0, 0.06))
            process.send_signal(signal.SIGKILL)
        settle(server)
        asked = Counter(server.asked) - before
        assert not {key_of[name] for name in known} & set(asked), f"asked again at kill {kill}"
        missing = set(asked) & set(key_of.values()) - {key_of[name] for name in answered(folder)}
        assert len(missing) <= CONCURRENCY, f"more was lost at kill {kill} than was under way"
        lost.update(missing)
    with start(folder, server, tmp_path / "cache") as process:
        assert process.wait(60) == 0
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
