"""The judging engine, all of it on one asyncio loop: what waits, what is under way, what came back.

`volition.judging.thread` runs it on a thread of its own. Each judge has a lane, and what the lanes
share is the writer, the budget and the first error.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from volition.comparison import Comparison
from volition.errors import JudgeUnavailable, VolitionError
from volition.goal import Principles
from volition.judges.base import Judge
from volition.judging.lane import Lane, Standing
from volition.judging.limits import Bills, Budget, Limits, Wanted
from volition.judging.writer import Change, Writer
from volition.judgment import Showing

HEEDED_EVERY_S = 0.3


class Engine:
    """What all judges share: the writer, the budget, and the first error."""

    def __init__(
        self,
        folder: Path,
        limits: Limits,
        seed: int,
        wanted: Callable[[], Wanted] = Wanted,
    ) -> None:
        self.limits, self.seed = limits, seed
        self._wanted, self._heeded = wanted, Wanted()
        self.writer = Writer(folder)
        self.budget = Budget(limits)
        self.error: VolitionError | None = None
        self._lanes: dict[str, Lane] = {}
        self._taking = 0
        self._one_at_a_time = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()

    async def open(self) -> None:
        await self.writer.open()
        spent, judged, billed = await self.writer.read(
            lambda s: (s.spent_usd(), s.judged_live(), s.billed())
        )
        self.budget = Budget(self.limits, spent, judged, Bills(*billed))
        self._minding = asyncio.create_task(self._mind())

    async def _mind(self) -> None:
        """Nothing may come back for long, and a person's wish is heeded nevertheless."""
        while True:
            self.heed()
            await asyncio.sleep(HEEDED_EVERY_S)

    def heed(self) -> None:
        """Does what a person wants by now."""
        wanted = self._wanted()
        if wanted == self._heeded:
            return
        self._heeded = wanted
        raised = wanted.max_usd is not None and self.budget.raise_to(wanted.max_usd)
        for lane in self._lanes.values():
            if wanted.stop:
                lane.stop()
                lane.open_ids.clear()
            elif raised:
                lane.ask_unasked()
        self.wake()

    @property
    def paused(self) -> bool:
        """Whether nothing is to be sent."""
        return self._heeded.pause or self._heeded.stop

    async def take(
        self,
        judge: Judge,
        comparisons: list[Comparison],
        under: Principles,
        showing: Showing | None = None,
    ) -> None:
        self._taking += 1
        try:
            async with self._one_at_a_time:
                lane = self._lanes.get(judge.identity.id)
                if lane is None:
                    lane = Lane(judge, self)
                    await lane.open()
                    self._lanes[judge.identity.id] = lane
                await lane.take(comparisons, under, showing)
        except Exception as error:
            self.fail(error)
        finally:
            self._taking -= 1
            self.wake()

    async def write(self, change: Change) -> None:
        """Writes into the store beside what judges say."""
        await self.writer.write(change)

    async def settled(self) -> None:
        while self._taking or self._tasks or any(lane.open_ids for lane in self._lanes.values()):
            self._changed.clear()
            await self._changed.wait()
        if self.error is not None:
            raise self.error

    def standing(self) -> Standing:
        """May be asked from any thread: what is read here changes in one piece."""
        lanes = list(self._lanes.values())
        counted = {
            name: sum(getattr(lane.standing, name) for lane in lanes)
            for name in Standing.__dataclass_fields__
            if name not in ("waiting", "under_way", "spent_usd", "down", "waiting_for")
        }
        return Standing(
            waiting=sum(len(lane.open_ids) for lane in lanes),
            under_way=sum(lane.under_way for lane in lanes),
            spent_usd=self.budget.spent_usd,
            down=any(lane.down for lane in lanes),
            waiting_for="; ".join(filter(None, (lane.waiting_for for lane in lanes))),
            **counted,
        )

    async def close(self) -> None:
        if hasattr(self, "_minding"):
            self._minding.cancel()
        for lane in self._lanes.values():
            lane.stop()
        while self._tasks:
            await asyncio.wait(self._tasks)
        for lane in self._lanes.values():
            await lane.close()
        await self.writer.close()

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Runs a piece of work by itself; what it raises is kept for whoever waits."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def fail(self, error: BaseException) -> None:
        """Remembers the first error and asks nothing more of any judge."""
        if self.error is None and isinstance(error, VolitionError):
            self.error = error
        elif self.error is None:
            self.error = JudgeUnavailable(f"judging stopped by {type(error).__name__}: {error}")
            self.error.__cause__ = error
        for lane in self._lanes.values():
            lane.stop()
            lane.open_ids.clear()

    def wake(self) -> None:
        """Something was answered, settled or stopped: others may go on."""
        self._changed.set()
        for lane in self._lanes.values():
            lane.send_more()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.fail(error)
        self.wake()
