"""From comparisons to judgments in the store, without ever making the caller wait.

Comparisons go in (`Judging.ask`), and judgments come out of the store; nothing else passes
between the two threads. On its own thread an asyncio loop keeps as many requests under way as
limits, budget and courtesy allow, and one writer puts into the store, in this order: the request
before it is sent, the reply before it is read, the judgments before anybody uses them. So a
program that is killed at any moment has lost nothing that came back, knows what was under way, and
asks nothing again that was answered.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from volition.comparison import Comparison
from volition.errors import InputError
from volition.goal import Principle
from volition.judges.base import Judge
from volition.judging.engine import Engine
from volition.judging.lane import Standing
from volition.judging.limits import Limits, Wanted
from volition.judging.writer import Change
from volition.judgment import JudgeIdentity, Showing, Verdict
from volition.storage.store import Store

T = TypeVar("T")


class Judging:
    """Puts comparisons to judges on a thread of its own. A context manager.

    Args:
        folder: Of the store, which must be there; while this is open nobody else writes to it.
        limits: What may be used. What the store holds already counts.
        seed: Of the presentation orders and the principles.
        wanted: What a person wants of it by now; it is asked before anything is sent.
    """

    def __init__(
        self,
        folder: Path,
        limits: Limits | None = None,
        seed: int = 0,
        wanted: Callable[[], Wanted] = Wanted,
    ) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="judging", daemon=True)
        self._thread.start()
        self._engine = Engine(folder, limits or Limits(), seed, wanted)
        try:
            self._run(self._engine.open()).result()
        except BaseException:
            self.close()
            raise

    def ask(
        self,
        judge: Judge,
        comparisons: Iterable[Comparison],
        principles: Sequence[Principle | None] = (),
        showing: Showing | None = None,
    ) -> None:
        """Puts comparisons to a judge; returns at once.

        Those that it has answered before, or failed to answer as often as is allowed, are passed
        over. Each is put under one of the `principles`, if there are any; None is the goal as it
        is.

        Args:
            judge: Who is asked.
            comparisons: What is asked about.
            principles: Under what.
            showing: In which order, and how often; by default once, in one that is dealt. Of what
                is under way in one order the other is asked after `wait` alone.
        """
        self._run(self._engine.take(judge, list(comparisons), tuple(principles), showing))

    def wait(self, timeout_s: float | None = None) -> bool:
        """Waits until all that was asked is judged, given up or beyond the budget.

        Returns:
            Whether it is; False after `timeout_s` seconds.

        Raises:
            JudgeUnavailable: A judge cannot be asked. What others answered is in the store.
            StoreError: The store cannot be written.
        """
        waiting = self._run(self._engine.settled())
        try:
            waiting.result(timeout_s)
        except TimeoutError:
            waiting.cancel()
            return False
        return True

    def write(self, change: Change) -> None:
        """Writes into the store, which has no other writer; returns when it is on disk.

        Raises:
            StoreError: The store cannot be written.
        """
        self._run(self._engine.write(change)).result()

    def standing(self) -> Standing:
        """Where judging is at this moment."""
        return self._engine.standing()

    def check(self) -> None:
        """Raises what has stopped judging, if anything has, as `wait` would."""
        if self._engine.error is not None:
            raise self._engine.error

    def close(self) -> None:
        """Sends nothing more, waits for the replies to what was sent, and stores them."""
        if self._thread.is_alive():
            try:
                self._run(self._engine.close()).result()
            finally:
                self._stop_thread()

    def __enter__(self) -> Judging:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def _stop_thread(self) -> None:
        self._run(_cancel_others()).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _cancel_others() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


# Before and beside it ------------------------------------------------------------------------


def reuse(source: Path, store: Store, judge: JudgeIdentity, goal_id: str) -> int:
    """Takes over what this judge answered under this goal in another store.

    Returns:
        How many comparisons it answered there.

    Raises:
        InputError: None.
        StoreError: There is no store in `source`, or it is damaged.
    """
    with Store.open(source) as other:
        other.check()
        comparisons = {i: c for i, c in other.comparisons().items() if c.goal_id == goal_id}
        answers = [
            judgment
            for judgment in other.judgments()
            if judgment.judge_id == judge.id
            and judgment.comparison_id in comparisons
            and isinstance(judgment.outcome, Verdict)
        ]
    answered = {judgment.comparison_id for judgment in answers}
    if not answered:
        raise InputError(f"{source} holds no answer of {judge.name} ({judge.id}) under this goal")
    replies = [replace(answer.reply, request_id=None) for answer in answers]
    with store.transaction():
        store.add_judge(judge)
        store.add_comparisons(comparisons[comparison_id] for comparison_id in answered)
        store.add_replies(judge.id, replies, reused_from=str(source.absolute()))
        store.add_judgments(answers)
    return len(answered)
