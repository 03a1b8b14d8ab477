"""The pages of `volition label` and `volition watch`, served on a thread of the test."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

from volition.web.guarding import Doors, Guard
from volition.web.serving import bound

TOKEN = "secret-of-the-tests"


@contextmanager
def served(app: ASGIApp, host: str = "127.0.0.1") -> Iterator[int]:
    """The app behind its guard, on a port of its own."""
    with bound("127.0.0.1", 0) as listening:
        config = uvicorn.Config(
            Guard(app, Doors(TOKEN, host)),
            log_level="error",
            access_log=False,
            timeout_graceful_shutdown=2,
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        while not server.started:
            time.sleep(0.01)
        try:
            yield listening.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join()
