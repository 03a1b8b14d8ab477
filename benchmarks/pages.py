"""How fast `volition label` and `volition watch` answer. Every judge here is simulated.

    python benchmarks/pages.py [--quick]

A store of 100,000 judgments (--quick: 10,000) is made and served on loopback. Requests go one after
the other, as those of a page do: the next questions of a person, an answer handed in, a frame, and
what a run's page is told. What opening the store takes is shown beside. Where there is a Chromium,
200 pairs are labelled by key presses, 5 a second, and what is on disk afterwards is counted.
"""

from __future__ import annotations

import argparse
import http.client
import json
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import uvicorn
from starlette.types import ASGIApp

from claims import claim, run_benchmark
from volition.comparison import Comparison, Frame, Segment
from volition.judgment import JudgeIdentity, Judgment, Order, Reply, Verdict
from volition.run.folder import RunFolder
from volition.run.run import Run
from volition.storage.labels import LabelLog
from volition.tasks.task import Task
from volition.web.following import Follower
from volition.web.guarding import Doors, Guard
from volition.web.labelling import Desk, labelling_app
from volition.web.serving import bound
from volition.web.sources import RunSource
from volition.web.watching import Watch, watching_app

TOKEN = "token-of-the-benchmark"
JUDGMENTS, QUICK = 100_000, 10_000
STATES = 600  # of which the pairs are made
REQUESTS = 200
LIMIT_MS = 50.0
PRESSES, EVERY_S = 200, 0.2
KEYS = ("ArrowLeft", "ArrowRight", "ArrowDown")


def made(folder: Path, count: int) -> Path:
    """A run of the pendulum whose store holds so many judgments of a simulated judge."""
    run = Run.create(Task.find("pendulum"), out=folder)
    rng = np.random.default_rng(0)
    thetas = rng.uniform(-np.pi, np.pi, STATES)
    shades = rng.integers(0, 256, (STATES, 16, 16, 3), dtype=np.uint8)
    segments = [
        Segment(np.array([[np.cos(t), np.sin(t), 0.0]], np.float32), (Frame(shade),))
        for t, shade in zip(thetas, shades, strict=True)
    ]
    judge = JudgeIdentity("simulated:benchmark", simulated=True)
    pairs = [(a, b) for a in range(STATES) for b in range(a)][:count]
    with run.folder.open_store() as store, store.transaction():
        goal_id = store.add_goal(run.folder.task.stated_goal())
        store.add_judge(judge)
        comparisons = [Comparison.between(goal_id, segments[a], segments[b]) for a, b in pairs]
        store.add_comparisons(comparisons)
        replies = [Reply(f"{n:016x}", "A" * 80, 900, 1, 1e-4, 1.0) for n in range(len(pairs))]
        store.add_replies(judge.id, replies)
        chosen = rng.random(len(pairs)) < 0.5
        store.add_judgments(
            Judgment(c.id, judge.id, Order.FORWARD, Verdict(float(first)), reply)
            for c, first, reply in zip(comparisons, chosen, replies, strict=True)
        )
    return folder


@contextmanager
def served(app: ASGIApp) -> Iterator[int]:
    with bound("127.0.0.1", 0) as listening:
        guard = Guard(app, Doors(TOKEN, "127.0.0.1"))
        server = uvicorn.Server(uvicorn.Config(guard, log_level="error", access_log=False))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield listening.getsockname()[1]
        server.should_exit = True
        thread.join()


def timed(work: Callable[[int], object], count: int) -> list[float]:
    """Milliseconds of each."""
    found = []
    for number in range(count):
        began = time.perf_counter()
        work(number)
        found.append(1000 * (time.perf_counter() - began))
    return found


class Client:
    """A page of one person, as its script asks."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._connection = http.client.HTTPConnection("127.0.0.1", port)
        self.keys: list[str] = []
        self.sides: list[str] = []

    def get(self, path: str) -> bytes:
        self._connection.request("GET", f"/{TOKEN}/{path}")
        reply = self._connection.getresponse()
        assert reply.status == 200, reply.read()
        return reply.read()

    def desk(self, _: int = 0) -> None:
        told = json.loads(self.get("desk?person=Anna&ahead=16"))
        self.keys = [question["key"] for question in told["next"]]
        self.sides += [side["name"] for question in told["next"] for side in question["sides"]]

    def answer(self, number: int) -> None:
        given = {"id": f"benchmark-{number}", "question": self.keys[0], "choice": "first"}
        body = json.dumps({"person": "Anna", "answers": [given]})
        sent = {
            "Content-Type": "application/json",
            "Origin": f"http://127.0.0.1:{self._port}",
        }
        self._connection.request("POST", f"/{TOKEN}/answers", body, sent)
        reply = self._connection.getresponse()
        assert reply.status == 200, reply.read()
        reply.read()

    def frame(self, number: int) -> None:
        self.get(f"sides/{self.sides[number % len(self.sides)]}/0.png")


def measure(folder: Path) -> dict[str, dict[str, float]]:
    """Milliseconds of each kind of request: the median, and what 95% stay under."""
    began = time.perf_counter()
    desk = Desk(lambda: RunSource(RunFolder.open(folder)))
    desk.open()
    opening = time.perf_counter() - began
    times: dict[str, list[float]] = {"answers": [], "desk": []}
    with served(labelling_app(desk)) as port:
        client = Client(port)
        client.desk()

        def answered(number: int) -> None:
            times["answers"] += timed(lambda _: client.answer(number), 1)
            times["desk"] += timed(client.desk, 1)

        timed(answered, REQUESTS)
        times["frame"] = timed(client.frame, REQUESTS)
        times["page"] = timed(lambda _: client.get(""), REQUESTS)
    desk.close()
    began = time.perf_counter()
    follower = Follower(folder)
    follower.snapshot()
    times["watch: state"] = timed(lambda _: follower.snapshot(), REQUESTS // 4)
    following = time.perf_counter() - began - sum(times["watch: state"]) / 1000
    follower.close()
    watch = Watch(folder.parent)
    with served(watching_app(watch)) as port:
        client = Client(port)
        times["watch: page"] = timed(lambda _: client.get(f"run/{folder.name}"), REQUESTS // 4)
    watch.close()
    print(f"opened to label in {opening:.1f} s, to watch in {following:.1f} s", flush=True)
    return {
        kind: {"median_ms": round(float(np.median(some)), 2), "p95_ms": round(p95(some), 2)}
        for kind, some in times.items()
    }


def p95(times: list[float]) -> float:
    return float(np.quantile(times, 0.95))


def pressed(folder: Path) -> int | None:
    """How many of `PRESSES` keys, five a second, are on disk; None without a Chromium."""
    executable = shutil.which("chromium")
    if executable is None:
        return None
    from playwright.sync_api import sync_playwright

    before = len(LabelLog(folder).refresh())
    desk = Desk(lambda: RunSource(RunFolder.open(folder)))
    desk.open()
    with served(labelling_app(desk)) as port, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=executable, args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page()
        page.goto(f"http://127.0.0.1:{port}/{TOKEN}/")
        page.fill("#person", "Ben")
        page.keyboard.press("Enter")
        page.wait_for_selector(".show img.now")
        began = time.perf_counter()
        for number in range(PRESSES):
            page.keyboard.press(KEYS[number % len(KEYS)])
            time.sleep(max(0.0, began + EVERY_S * (number + 1) - time.perf_counter()))
        page.wait_for_timeout(3000)
        browser.close()
    desk.close()
    return len(LabelLog(folder).refresh()) - before


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help=f"{QUICK:,} judgments")
    options = parser.parse_args()
    count = QUICK if options.quick else JUDGMENTS
    with tempfile.TemporaryDirectory() as scratch:
        folder = made(Path(scratch) / "run", count)
        kept = pressed(folder)
        if kept is not None:
            claim(
                f"{PRESSES} labels by key presses, 5 a second, are all stored (simulated judge)",
                kept,
                "labels",
                f"{PRESSES}",
                kept == PRESSES,
            )
        times = measure(folder)
    slowest = max(row["p95_ms"] for row in times.values())
    claim(
        f"the pages answer quickly with {count:,} judgments in the store (simulated judge)",
        slowest,
        "ms, p95 of the slowest kind of request",
        f"< {LIMIT_MS:.0f}",
        slowest < LIMIT_MS and kept in (None, PRESSES),
        requests=times,
    )


if __name__ == "__main__":
    run_benchmark(main)
