"""Runs a server until it is killed: `python -m servers [--latency S] [--busy SHARE]` in `tests/`.

Its first line of output is its address. It is not strict: that costs more than answering.
"""

from __future__ import annotations

import argparse
import asyncio

import uvicorn

from servers.server import Behaviour, Server, address


async def main() -> None:
    parser = argparse.ArgumentParser(prog="servers")
    parser.add_argument("--latency", type=float, default=0.0)
    parser.add_argument("--busy", type=float, default=0.0)
    given = parser.parse_args()
    server = Server(Behaviour(strict=False, latency_s=given.latency, busy_share=given.busy))
    config = uvicorn.Config(server.app(), port=0, log_config=None, lifespan="off", ws="none")
    running = uvicorn.Server(config)
    serving = asyncio.create_task(running.serve())
    while not running.started:
        await asyncio.sleep(0.01)
    server.url = address(running)
    print(server.url, flush=True)
    await serving


asyncio.run(main())
