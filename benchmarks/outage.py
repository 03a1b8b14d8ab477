"""What a provider's outage costs: waiting, and not one comparison.

    python benchmarks/outage.py [--quick]

A server on loopback, a process of its own, is down for 5, 60 and 300 seconds in the middle of a
run (`--quick` leaves 300 out), and is up again; or it turns 30% of all requests away all the time.
Down is HTTP 529, and for 5 seconds also HTTP 500 and cut connections, both billed like an answer.
Times are real.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

from claims import claim, run_benchmark
from judging import GOAL, IN_FLIGHT, REPLY, comparisons
from volition.judges import make_judge
from volition.judges.base import Assignment
from volition.judges.settings import JudgeSettings
from volition.judging.limits import Limits
from volition.judging.thread import Judging
from volition.storage.store import Store
from volition.tasks.view import JudgeView

COUNT = 600
LATENCY_S = 0.1
PRICE = 1.0  # US dollars per million tokens, in and out
TOKENS = 301  # of `REPLY`
MAX_USD = 0.6
PATIENCE_S = 600.0


@dataclass(frozen=True)
class Trouble:
    """What is wrong with a server.

    Attributes:
        status: What it answers while it is down, or 0: it cuts connections.
        down_s: For so long, from the moment at which a third was asked.
        share: Of the requests that are turned away with 529 all the time.
    """

    status: int
    down_s: float
    share: float = 0.0

    @property
    def name(self) -> str:
        if self.share:
            return f"{self.share:.0%} HTTP 529"
        return f"{f'HTTP {self.status}' if self.status else 'cut'} for {self.down_s:g} s"


# The server ----------------------------------------------------------------------------------


async def serve(trouble: Trouble) -> None:
    """Answers until it is killed; says its port first, and at /counts what it was asked."""
    chance = random.Random(0)
    answered, billed, down_at = 0, 0.0, float("inf")
    seconds: Counter[int] = Counter()  # requests in each second while it is down

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal answered, billed, down_at
        while head := await reader.readuntil(b"\r\n\r\n"):
            if head.startswith(b"GET /counts"):
                counts = {"billed": billed, "most_a_second": max(seconds.values(), default=0)}
                counts["answered"] = answered
                write(writer, 200, json.dumps(counts).encode())
                continue
            fields = head.lower().partition(b"content-length:")[2]
            await reader.readexactly(int(fields.split(b"\r\n", 1)[0]))
            now = time.monotonic()
            if trouble.down_s and down_at == float("inf") and answered >= COUNT // 3:
                down_at = now
            down = down_at <= now < down_at + trouble.down_s
            if down and now > down_at + 2:  # what was under way comes back before
                seconds[int(now)] += 1
            if down or chance.random() < trouble.share:
                if trouble.status not in (429, 503, 529):
                    billed += TOKENS * PRICE / 1e6
                if not trouble.status:
                    writer.transport.abort()
                    return
                error = {"error": {"message": "Overloaded", "type": "overloaded_error"}}
                write(writer, trouble.status, json.dumps(error).encode())
                continue
            answered += 1
            billed += TOKENS * PRICE / 1e6
            await asyncio.sleep(LATENCY_S)
            write(writer, 200, REPLY)

    def write(writer: asyncio.StreamWriter, status: int, body: bytes) -> None:
        writer.write(
            b"HTTP/1.1 %d x\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b"
            % (status, len(body), body)
        )

    server = await asyncio.start_server(connected, "127.0.0.1", 0, limit=2**20)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


# What comes of it ----------------------------------------------------------------------------


def judged_through(trouble: Trouble) -> bool:
    """Whether every comparison is judged, within the budget by the server's own count."""
    command = [sys.executable, __file__, "--serve", json.dumps(vars(trouble))]
    with (
        tempfile.TemporaryDirectory() as name,
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        ) as process,
    ):
        assert process.stdout is not None
        url = f"http://127.0.0.1:{process.stdout.readline().strip()}"
        folder = Path(name)
        with Store.create(folder) as store:
            pairs = comparisons(store.add_goal(GOAL), COUNT)
        settings = JudgeSettings(
            "openai:test",
            base_url=f"{url}/v1",
            wire="logprobs",
            price_in=PRICE,
            price_out=PRICE,
        )
        judge = make_judge(settings, Assignment(GOAL, JudgeView(), probe=False))
        limits = Limits(MAX_USD, concurrency=IN_FLIGHT, patience_s=PATIENCE_S)
        started = time.perf_counter()
        with Judging(folder, limits) as judging:
            judging.ask(judge, pairs)
            judging.wait()
            standing = judging.standing()
        seconds = time.perf_counter() - started
        with urlopen(f"{url}/counts") as reply:
            counts = json.load(reply)
        process.kill()
    missing = COUNT - standing.verdicts
    return claim(
        f"comparisons without a verdict, {trouble.name}",
        missing,
        f"of {COUNT}",
        "0; spent by the server's count <= max-usd; while down, asked <= 5 times a second",
        missing == 0 and counts["billed"] <= MAX_USD and counts["most_a_second"] <= 5,
        given_up=standing.given_up,
        seconds=round(seconds, 1),
        seconds_beside_the_outage=round(seconds - trouble.down_s, 1),
        spent_by_the_server_usd=round(counts["billed"], 4),
        max_usd=MAX_USD,
        most_requests_a_second_while_down=counts["most_a_second"],
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="no outage of 300 seconds")
    parser.add_argument("--serve", type=json.loads, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        asyncio.run(serve(Trouble(**given.serve)))
        return
    troubles = [
        Trouble(529, 5),
        Trouble(500, 5),
        Trouble(0, 5),
        Trouble(529, 0, share=0.3),
        Trouble(529, 60),
        *([] if given.quick else [Trouble(529, 300)]),
    ]
    held = [judged_through(trouble) for trouble in troubles]
    claim(
        "An outage costs waiting, not questions",
        sum(held),
        f"of {len(held)} claims hold",
        "all",
        all(held),
    )


if __name__ == "__main__":
    run_benchmark(main)
