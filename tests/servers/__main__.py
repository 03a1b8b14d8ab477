"""Runs a server until it is killed: `python -m servers [--latency S] [--busy SHARE] [--sharp]` in
`tests/`.

Its first line of output is its address. It is not strict: that costs more than answering. A sharp
one is sure of whatever differs: where the ground is dark, too, what is drawn lies hardly higher.
"""

from __future__ import annotations

import argparse
import asyncio

import uvicorn

from servers.eyes import ink_height
from servers.server import Behaviour, Server, address

SHARP = 1e4  # times as large a difference


async def main() -> None:
    parser = argparse.ArgumentParser(prog="servers")
    parser.add_argument("--latency", type=float, default=0.0)
    parser.add_argument("--busy", type=float, default=0.0)
    parser.add_argument("--sharp", action="store_true")
    given = parser.parse_args()
    times = SHARP if given.sharp else 1.0
    server = Server(
        Behaviour(
            strict=False,
            latency_s=given.latency,
            busy_share=given.busy,
            rule=lambda pixels: times * ink_height(pixels),
        )
    )
    config = uvicorn.Config(server.app(), port=0, log_config=None, lifespan="off", ws="none")
    running = uvicorn.Server(config)
    serving = asyncio.create_task(running.serve())
    while not running.started:
        await asyncio.sleep(0.01)
    server.url = address(running)
    print(server.url, flush=True)
    await serving


asyncio.run(main())
