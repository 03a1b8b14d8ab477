"""SIGKILL while the policy learns and questions about what it reaches are under way.

The run is `volition train` in a process group of its own, and goes on with `volition resume`. Its
store tells when it is killed: the first questions are answered before learning begins, and what was
stored when a process began is asked before it goes on, so that an answer beyond those is an answer
to a question that was asked meanwhile.
"""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from servers import Server, serving
from servers.counted import answered, keys, settle
from volition.run.run import Run
from volition.storage.compilation import enable_cache
from volition.storage.database import DATABASE
from volition.storage.store import Store

FIRST, MOST, CONCURRENCY = 60, 100, 4
MAX_USD = 0.10
STEPS = 8000
MOMENTS = (61, 71, 81)  # judgments at which the run is killed, at the earliest

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def server() -> Iterator[Server]:
    with serving(latency_s=0.05, strict=False) as running:
        yield running


@pytest.fixture
def start(tmp_path: Path) -> Start:
    """Starts `volition` in a process group of its own."""
    memory = {
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "JAX_COMPILATION_CACHE_DIR": str(enable_cache()),
    }

    def started(*words: object) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "volition.cli", *map(str, words)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, **memory},
            start_new_session=True,
        )

    return started


def counts(folder: Path) -> tuple[int, int]:
    """How many judgments and how many comparisons are stored; none before there is a store."""
    if not (folder / DATABASE).is_file():
        return 0, FIRST
    with Store.open(folder) as store:
        return len(store.judgments()), len(store.comparison_ids())


def kill_at(
    moment: int, folder: Path, process: subprocess.Popen[str], ready: Callable[[], bool]
) -> None:
    """Kills the whole group once so many judgments are stored and it is `ready`."""
    deadline = time.monotonic() + 120
    while counts(folder)[0] < moment or not ready():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline, f"not {moment} judgments in two minutes"
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    assert process.wait(10) == -signal.SIGKILL


@pytest.mark.slow
def test_kills_while_the_policy_learns_lose_no_answer_and_ask_nothing_twice(
    server: Server, start: Start, tmp_path: Path
) -> None:
    folder, lost = tmp_path / "run", Counter[str]()
    verb = [
        "train",
        "pendulum",
        "--judge",
        "openai:test",
        "--base-url",
        server.openai,
        "--price-in",
        1,
        "--price-out",
        1,
        "--max-usd",
        MAX_USD,
        "--max-judgments",
        MOST,
        "--first",
        FIRST,
        "--concurrency",
        CONCURRENCY,
        "--steps",
        STEPS,
        "--out",
        folder,
    ]
    known: set[str] = set()
    for kill, moment in enumerate(MOMENTS):
        before, (_, stored) = Counter(server.asked), counts(folder)
        ready = (lambda: True) if kill % 2 else (lambda: server.in_flight > 0)
        with start(*verb) as process:
            kill_at(max(moment, stored + 1), folder, process, ready)
        settle(server)
        key_of, new = keys(folder), answered(folder) - known
        known |= new
        asked = Counter({key: server.asked[key] - before[key] for key in key_of.values()})
        missing = asked - Counter(key_of[name] for name in new)
        assert missing.keys() <= {key_of[name] for name in key_of.keys() - known}, (
            f"what was answered before is asked again after kill {kill - 1}"
        )
        assert sum(missing.values()) <= CONCURRENCY, f"more lost at kill {kill} than was under way"
        lost += missing
        verb = ["resume", folder]
    with start(*verb, "--json") as process:
        said = process.communicate(timeout=120)[0]
    assert process.returncode == 0, said
    result = json.loads(said.splitlines()[-1])
    assert STEPS / 2 <= result["env_steps"] <= STEPS
    asked_in_all = check_the_books(folder, server, lost)
    assert result["judgments"] == asked_in_all
    why_fewer = "comparisons were asked by the time"  # others may be of what was learned
    fewer = [warning for warning in result["warnings"] if why_fewer in warning]
    kept = math.ceil(0.15 * (MOST - FIRST))  # for checks of the gaming alarm, which may want fewer
    assert len(fewer) <= (asked_in_all < MOST)
    assert fewer or asked_in_all >= MOST - kept
    assert all(f"{asked_in_all} of at most {MOST} {why_fewer}" in warning for warning in fewer)
    with start("verify", folder) as process:
        assert process.communicate()[0].strip() == f"{folder}: all is well"
    assert np.isfinite(Run.open(folder).policy(np.zeros((1, 3), np.float32))).all()


def check_the_books(folder: Path, server: Server, lost: Counter[str]) -> int:
    """Every comparison is answered once, and only what was under way at a kill was asked again.

    Returns:
        How many there are.
    """
    key_of = keys(folder)
    assert answered(folder) == set(key_of), "every comparison has its verdict"
    times = Counter({key: server.asked[key] for key in key_of.values()})
    assert times - Counter(key_of.values()) == lost  # two comparisons may look alike to the judge
    assert sum(lost.values()) > 0, "no kill hit a request"
    with Store.open(folder) as store:
        assert MOMENTS[-1] < store.judged_live() == len(key_of) <= MOST
        assert store.cost_usd() < store.spent_usd() <= MAX_USD, "what was lost counts as reserved"
    return len(key_of)
