"""What a server counts, against what the store of a run holds."""

from __future__ import annotations

import time
from pathlib import Path

from servers.eyes import Pair
from servers.server import Server
from volition.judges.prompt import legible
from volition.judgment import Verdict
from volition.storage.store import Store


def keys(folder: Path) -> dict[str, str]:
    """Under which name the server counts each comparison."""
    with Store.open(folder) as store:
        return {
            name: Pair(*(legible(s.frames[0]).pixels for s in (c.first, c.second))).key
            for name, c in store.comparisons().items()
        }


def answered(folder: Path) -> set[str]:
    """The comparisons whose replies are in the store, read or not."""
    with Store.open(folder) as store:
        ids = {j.comparison_id for j in store.judgments() if isinstance(j.outcome, Verdict)}
        for judge_id in store.judges():
            ids |= {q[0] for request, _ in store.unread(judge_id) for q in request.questions}
        assert store.verify() == []
    return ids


def settle(server: Server) -> None:
    """Waits until nothing is under way at the server, so that all of it is counted."""
    deadline, quiet_since = time.monotonic() + 10, time.monotonic()
    while time.monotonic() - quiet_since < 0.3:  # late ones, where the machine is busy
        assert time.monotonic() < deadline, "the server goes on and on"
        if server.in_flight:
            quiet_since = time.monotonic()
        time.sleep(0.005)
