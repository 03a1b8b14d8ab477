"""How fast judging is: what the client adds to a judge's own time, and what it keeps of it.

    python benchmarks/judging.py [--quick]

The judge is `openai:` with two pictures a request, every picture new, against a server on loopback
that answers at once or after a given time and looks at nothing: it has a process of its own on the
same machine. Rates are judgments in the store by wall seconds, from the first question to the last
answer. Memory and store are measured without a network.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import islice, product
from pathlib import Path

import numpy as np

from claims import claim, run_benchmark
from volition.comparison import Comparison, Frame, Segment, content_id
from volition.goal import Goal
from volition.judges import make_judge
from volition.judges.base import Assignment, Estimate, Question
from volition.judges.settings import JudgeSettings
from volition.judging.limits import Limits
from volition.judging.thread import Judging
from volition.judging.writer import Writer
from volition.judgment import Failure, JudgeIdentity, Judgment, Order, Reply, Verdict
from volition.storage.store import Store
from volition.tasks.view import JudgeView

SIZE = 72  # of a frame, as in the task `pendulum`
IN_FLIGHT = 64
LATENCY_S = 1.5
WARMING = 8  # requests before the clock starts
GOAL = Goal("The pendulum is balanced upright.")

REPLY = (
    b'{"id":"x","object":"chat.completion","created":0,"model":"test","choices":[{"index":0,'
    b'"finish_reason":"stop","message":{"role":"assistant","content":"A","refusal":null},'
    b'"logprobs":{"refusal":null,"content":[{"token":"A","bytes":null,"logprob":-0.01,'
    b'"top_logprobs":[{"token":"A","bytes":null,"logprob":-0.01},'
    b'{"token":"B","bytes":null,"logprob":-4.6}]}]}}],'
    b'"usage":{"prompt_tokens":300,"completion_tokens":1,"total_tokens":301}}'
)
BUSY = b'{"error":{"message":"Rate limit reached","type":"error","code":null}}'


# The server ----------------------------------------------------------------------------------


async def serve(latency_s: float, busy_share: float, busy_after_s: float) -> None:
    """Answers every request in the same words until it is killed; says its port first."""
    chance = random.Random(0)

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readuntil(b"\r\n\r\n"):
            fields = head.lower().partition(b"content-length:")[2]
            await reader.readexactly(int(fields.split(b"\r\n", 1)[0]))
            if chance.random() < busy_share:
                await asyncio.sleep(busy_after_s)
                status, more, body = b"429 Too Many Requests", b"retry-after: 1\r\n", BUSY
            else:
                await asyncio.sleep(latency_s)
                status, more, body = b"200 OK", b"", REPLY
            writer.write(
                b"HTTP/1.1 %b\r\ncontent-type: application/json\r\n%bcontent-length: %d\r\n\r\n%b"
                % (status, more, len(body), body)
            )

    server = await asyncio.start_server(connected, "127.0.0.1", 0, limit=2**20)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


@contextmanager
def serving(*behaviour: float) -> Iterator[str]:
    command = [sys.executable, __file__, "--serve", *map(str, behaviour)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}/v1"
        finally:
            process.kill()


# What is asked -------------------------------------------------------------------------------


def comparisons(goal_id: str, count: int) -> list[Comparison]:
    """Comparisons of two rods each, no picture twice."""
    rows, columns = np.mgrid[:SIZE, :SIZE] - SIZE / 2
    segments = []
    for number in range(2 * count):
        angle = 2.399963 * number  # the golden angle: never the same twice
        across = np.abs(columns * np.cos(angle) + rows * np.sin(angle))
        along = columns * np.sin(angle) - rows * np.cos(angle)
        pixels = np.full((SIZE, SIZE, 3), 255, np.uint8)
        pixels[(across < 4) & (along > 0) & (along < 30)] = (204, 77, 77)
        pixels[0, :4] = number >> np.array([0, 8, 16, 24])[:, None] & 255
        observed = np.array([[np.cos(angle), np.sin(angle), 0]], np.float32)
        segments.append(Segment(observed, (Frame(pixels),)))
    return [
        Comparison.between(goal_id, one, other)
        for one, other in zip(segments[::2], segments[1::2], strict=True)
    ]


def judged_per_second(count: int, *behaviour: float) -> tuple[float, float]:
    """Judgments a second of wall time, and seconds of this process's own time for each."""
    with tempfile.TemporaryDirectory() as name, serving(*behaviour) as base_url:
        folder = Path(name)
        with Store.create(folder) as store:
            asked = comparisons(store.add_goal(GOAL), count + WARMING)
            store.add_comparisons(asked)
        settings = JudgeSettings("openai:test", base_url=base_url, wire="logprobs")
        judge = make_judge(settings, Assignment(GOAL, JudgeView(), probe=False))
        with Judging(folder, Limits(concurrency=IN_FLIGHT)) as judging:
            judging.ask(judge, asked[:WARMING])  # imports the client library
            judging.wait()
            started, used = time.perf_counter(), time.process_time()
            judging.ask(judge, asked[WARMING:])
            judging.wait()
            seconds, used = time.perf_counter() - started, time.process_time() - used
        with Store.open(folder) as store:
            assert len(store.preferences()) == count + WARMING
    return count / seconds, used / count


# Memory and store ----------------------------------------------------------------------------


class Instant:
    """A judge that answers at once, from nowhere."""

    identity = JudgeIdentity("instant", simulated=True)
    per_request = 1
    capability = None
    immediate = True

    def estimate(self, questions: Sequence[Question]) -> Estimate:
        return Estimate(300, 1, 0.0)

    async def ask(self, questions: Sequence[Question]) -> Reply:
        await asyncio.sleep(0)
        return Reply("", "A" * 1000, 300, 1)  # as long as a provider's reply

    def read(self, reply: Reply, questions: Sequence[Question]) -> list[Verdict | Failure]:
        return [Verdict(1.0)]

    async def close(self) -> None:
        pass


def memory_growth(count: int) -> tuple[float, float]:
    """Megabytes by which the process grew from a tenth of the judgments to all; judgments/s."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with Store.create(folder) as store:
            goal_id = store.add_goal(GOAL)
        segments = _points(int((2 * count) ** 0.5) + 2)
        pairs = ((one, other) for one, other in product(segments, segments) if one.id < other.id)
        done, early, started = 0, 0.0, time.perf_counter()
        with Judging(folder, Limits(concurrency=IN_FLIGHT)) as judging:
            while done < count:
                wave = [Comparison(goal_id, *pair) for pair in islice(pairs, 1000)]
                judging.ask(Instant(), wave)
                judging.wait()
                done += len(wave)
                if done * 10 >= count and not early:
                    early = _resident_mb()
        return _resident_mb() - early, done / (time.perf_counter() - started)


def _points(count: int) -> list[Segment]:
    segments = []
    for number in range(count):
        pixels = np.full((8, 8, 3), number % 256, np.uint8)
        segments.append(Segment(np.array([[number]], np.float32), (Frame(pixels),)))
    return segments


def _resident_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE") / 2**20


def appended_per_second(count: int) -> float:
    """Judgments a second that `IN_FLIGHT` tasks put on disk, each reply before its judgment."""

    async def append(folder: Path, asked: list[Comparison]) -> float:
        writer, judge_id = Writer(folder), Instant.identity.id
        await writer.open()
        await writer.write(partial(Store.add_judge, judge=Instant.identity))
        numbers = iter(range(count))

        async def one_by_one() -> None:
            for number in numbers:
                reply = Reply(content_id(str(number).encode()), "A" * 1000, 300, 1, 1e-4, 1.0)
                await writer.write(partial(Store.add_replies, judge_id=judge_id, replies=[reply]))
                c = asked[number % len(asked)]
                judged = Judgment(c.id, judge_id, Order.FORWARD, Verdict(1.0), reply)
                await writer.write(partial(Store.add_judgments, judgments=[judged]))

        started = time.perf_counter()
        await asyncio.gather(*(one_by_one() for _ in range(IN_FLIGHT)))
        seconds = time.perf_counter() - started
        await writer.close()
        return count / seconds

    with tempfile.TemporaryDirectory() as name:
        with Store.create(Path(name)) as store:
            asked = comparisons(store.add_goal(GOAL), 100)
            store.add_comparisons(asked)
        return asyncio.run(append(Path(name), asked))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer requests")
    parser.add_argument("--serve", nargs=3, type=float, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        asyncio.run(serve(*given.serve))
    quick = given.quick
    waves = 10 if quick else 20
    limit = IN_FLIGHT / LATENCY_S
    rate, own = judged_per_second(600 if quick else 3000, 0, 0, 0)
    slow, _ = judged_per_second(waves * IN_FLIGHT, LATENCY_S, 0, 0)
    busy, _ = judged_per_second(waves * IN_FLIGHT, LATENCY_S, 0.1, 0)
    late = None
    if not quick:  # each refusal takes as long as an answer: no client can have more than 90%
        late, _ = judged_per_second(waves * IN_FLIGHT, LATENCY_S, 0.1, LATENCY_S)
    total = 10_000 if quick else 100_000
    growth, engine_rate = memory_growth(total)
    appended = appended_per_second(5_000 if quick else 50_000)
    held = [
        claim(
            "two-image requests, server at zero latency",
            round(rate),
            "requests/s",
            ">= 300",
            rate >= 300,
            own_ms_each=round(own * 1e3, 2),
            cores=os.cpu_count(),
        ),
        claim(
            "share of the limit at 1.5 s latency and 64 in flight",
            round(slow / limit, 3),
            "",
            ">= 0.95",
            slow >= 0.95 * limit,
            requests=waves * IN_FLIGHT,
        ),
        claim(
            "the same with 10% of 429s, retry-after 1 s",
            round(busy / limit, 3),
            "",
            ">= 0.85",
            busy >= 0.85 * limit,
            requests=waves * IN_FLIGHT,
            of_at_most_90_percent_if_refused_late=late and round(late / limit, 3),
        ),
        claim(
            f"growth of memory over {total:,} judgments, after the first tenth",
            round(growth, 1),
            "MB",
            "<= 10",
            growth <= 10,
            judgments_per_s=round(engine_rate),
        ),
        claim(
            "store, each reply on disk before its judgment",
            round(appended),
            "judgments/s",
            ">= 5000",
            appended >= 5000,
        ),
    ]
    claim(
        "Judging keeps up with the judge",
        sum(held),
        f"of {len(held)} claims hold",
        "all",
        all(held),
    )


if __name__ == "__main__":
    run_benchmark(main)
