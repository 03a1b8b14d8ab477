"""All that concerns one judge: what waits for it, what is under way, what came back."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import math
import os
from collections import deque
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, replace
from itertools import islice, takewhile
from typing import Any, Protocol

from volition.comparison import Comparison
from volition.errors import JudgeUnavailable, VolitionError
from volition.goal import Principles
from volition.judges.base import AskError, Judge, Question
from volition.judges.outage import TOLD_AFTER_S, Outage
from volition.judging.limits import Budget, Limits, Pace, Reservation, check_price
from volition.judging.writer import Writer
from volition.judgment import (
    Failure,
    Judgment,
    Order,
    Reply,
    Request,
    Showing,
    Tries,
    Verdict,
    live_reply_id,
)
from volition.storage.store import Store
from volition.tracing import judging_span

REJECTIONS = 3  # in a row, of a judge that answered before
LOG = logging.getLogger("volition")
TELL_EVERY_S = 60.0


@dataclass(frozen=True, slots=True)
class Standing:
    """Where judging is.

    Attributes:
        waiting: Comparisons that are neither judged nor given up.
        under_way: Requests.
        requests: Sent in all, those put off by the server counted once.
        verdicts, failures: That came in, of this process.
        given_up: Comparisons that got no verdict in as many attempts as are allowed.
        unasked: Comparisons that the budget did not allow to ask.
        put_off: How often a request brought no answer and was waited for.
        spent_usd: US dollars that the store's judgments cost so far, at most.
        down: Whether a judge does not answer at all.
        waiting_for: For a person: which judge does not answer, why, and how long it is waited for
            yet; empty where all answer.
    """

    waiting: int = 0
    under_way: int = 0
    requests: int = 0
    verdicts: int = 0
    failures: int = 0
    given_up: int = 0
    unasked: int = 0
    put_off: int = 0
    spent_usd: float = 0.0
    down: bool = False
    waiting_for: str = ""


class Shared(Protocol):
    """What all lanes have in common."""

    limits: Limits
    seed: int
    writer: Writer
    budget: Budget
    error: VolitionError | None

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Runs a piece of work by itself."""
        ...

    @property
    def paused(self) -> bool:
        """Whether a person wants nothing to be sent."""
        ...

    def heed(self) -> None:
        """Does what a person wants by now."""
        ...

    def fail(self, error: BaseException) -> None:
        """Remembers the first error and asks nothing more of any judge."""
        ...

    def wake(self) -> None:
        """Something was answered, settled or stopped: others may go on."""
        ...


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A comparison to be asked.

    Attributes:
        attempt: How many answers of no use there were.
        halvings: How often its request was made half as large, for it may have been too much.
        put_off: How often no answer came.
        since: When that was first, on the loop's clock.
        order: In which it is shown; None where that is dealt.
    """

    comparison: Comparison
    principles: Principles
    attempt: int
    halvings: int = 0
    put_off: int = 0
    since: float = math.inf
    order: Order | None = None


@dataclass(frozen=True, slots=True)
class _Sending:
    """A request whose row is in the store; put off, it is sent again as it is."""

    request: Request
    questions: tuple[Question, ...]
    waiting: tuple[_Waiting, ...]
    reservation: Reservation
    put_off: AskError | None = None


@dataclass(frozen=True, slots=True)
class _PutOff:
    """What is asked again later: a request, or questions that need a new one."""

    timer: asyncio.TimerHandle
    sending: _Sending | None
    waiting: tuple[_Waiting, ...]


class Lane:
    """All that concerns one judge, so that one in trouble holds up no other."""

    def __init__(self, judge: Judge, engine: Shared) -> None:
        self.open_ids: set[str] = set()
        self.under_way = 0
        self.standing = Standing()
        self._judge, self._judge_id, self._engine = judge, judge.identity.id, engine
        self._pace = Pace(engine.limits.concurrency)
        self._outage = Outage(judge.identity.name, engine.limits.patience_s)
        self._queue: deque[_Waiting] = deque()
        self._unasked: list[_Waiting] = []  # for the budget did not allow it
        self._again: deque[_Sending] = deque()
        self._put_off: dict[str, _PutOff] = {}  # by the request that brought no answer
        self._sent: dict[str, _Sending] = {}
        self._stopped = self._answered = self._telling = False
        self._rejections = 0
        self._turnstile = asyncio.Lock()
        self._loop = asyncio.get_running_loop()
        self._resume_at = self._loop.time()
        self._answered_at = -math.inf

    @property
    def down(self) -> bool:
        return bool(self.open_ids) and self._outage.down

    @property
    def waiting_for(self) -> str:
        """For a person, while the judge does not answer."""
        return self._outage.waiting(self._loop.time()) if self.open_ids else ""

    async def open(self) -> None:
        """Makes the judge known to the store, and reads what a killed process left unread."""
        writer, identity = self._engine.writer, self._judge.identity
        await writer.write(lambda store: store.add_judge(identity))
        unread = await writer.read(lambda store: store.unread(self._judge_id))
        comparisons = await writer.read(Store.comparisons) if unread else {}
        for request, reply in unread:
            questions = [
                Question(comparisons[comparison_id], order, principle)
                for comparison_id, order, principle in request.questions
            ]
            await self._store_outcomes(questions, reply, self._outcomes(reply, questions))

    async def take(
        self, comparisons: list[Comparison], principles: Principles, showing: Showing | None
    ) -> None:
        check_price(self._judge, self._engine.limits, comparisons[:1])
        writer = self._engine.writer
        await writer.write(lambda store: store.add_comparisons(comparisons))
        ids = [comparison.id for comparison in comparisons]
        order, wanted = (showing.order, showing.verdicts) if showing else (None, 1)
        tries = await writer.read(lambda store: store.tries(self._judge_id, ids, order))
        for comparison in comparisons:
            before = tries.get(comparison.id, Tries())
            if comparison.id in self.open_ids or before.verdicts >= wanted or self._stopped:
                continue
            if before.failures >= self._engine.limits.attempts:
                self._count(given_up=1)
                continue
            self.open_ids.add(comparison.id)
            failed = before.failures
            self._queue.append(_Waiting(comparison, principles, failed, failed, order=order))

    async def close(self) -> None:
        await self._judge.close()

    # Sending ---------------------------------------------------------------------------------

    def send_more(self) -> None:
        """Sends what is waiting for as long as a person, pace, pauses and budget allow."""
        now = self._loop.time()
        if self._again or self._queue:
            self._engine.heed()
        while (
            (self._again or self._queue)
            and not self._engine.paused
            and self.under_way < int(self._pace.limit)
            and now >= self._resume_at
        ):
            try:
                sending = self._next()
            except Exception as error:  # a judge that cannot estimate
                self._engine.fail(error)
                return
            if sending is None:
                if not self._engine.budget.under_way:  # nothing will be given back any more
                    self._drop_queue()
                return
            self.under_way += 1
            self._engine.start(self._send(sending))

    def _next(self) -> _Sending | None:
        """The next request; None where the budget allows none.

        Whether a judge that was down is back is asked by a question that it never failed at, if
        there is one: it may be the question that it fails at.
        """
        if self._again and not (self._outage.down and self._queue):
            return self._again.popleft()
        composed = self._compose()
        return self._again.popleft() if composed is None and self._again else composed

    def _compose(self) -> _Sending | None:
        """The next request, as large as judge and budget allow; None where they allow none."""
        halvings, budget = self._queue[0].halvings, self._engine.budget
        size = min(max(1, self._judge.per_request >> halvings), budget.judgments_left)
        alike = takewhile(lambda waiting: waiting.halvings == halvings, self._queue)
        waiting = list(islice(alike, int(size)))
        while waiting:
            questions = tuple(_question(w, self._engine.seed) for w in waiting)
            cost = self._judge.estimate(questions).cost_usd
            if reservation := budget.reserve(cost, len(questions)):
                for _ in waiting:
                    self._queue.popleft()
                rows = tuple((q.comparison.id, q.order, q.principle) for q in questions)
                request = Request(os.urandom(8).hex(), self._judge_id, rows, reservation.usd)
                return _Sending(request, questions, tuple(waiting), reservation)
            if budget.under_way:  # what is given back may pay for all of them together
                return None
            waiting = waiting[: len(waiting) // 2]
        return None

    async def _send(self, sending: _Sending) -> None:
        sent_at = self._loop.time()
        self._sent[sending.request.id] = sending
        try:
            if sending.put_off is None:
                self._count(requests=1)
                await self._engine.writer.write(lambda store: store.add_request(sending.request))
            with judging_span(self._judge.identity, len(sending.questions)) as told:
                reply = await self._ask(sending.questions)
                told(reply)
        except AskError as error:
            self._came_back(sending)
            if error.again and not self._stopped:
                await self._wait_and_ask_again(sending, error, sent_at)
            else:
                await self._no_answer(sending, error)
        except BaseException:
            self._came_back(sending)
            raise
        else:
            self._came_back(sending)
            self._pace.accepted()
            self._answered, self._rejections = True, 0
            self._answered_at = self._loop.time()
            if self._outage.answered(self._loop.time(), bool(self._put_off)):
                self._resume_at = self._loop.time()
            await self._received(sending, reply)
        self._mind_patience()

    def _came_back(self, sending: _Sending) -> None:
        self.under_way -= 1
        del self._sent[sending.request.id]

    async def _ask(self, questions: Sequence[Question]) -> Reply:
        """Asks; whatever a judge raises that it should not costs it this request and no more."""
        try:
            # One begins in each turn of the loop. Begun all in one, all would leave when the last
            # is ready, come back together, and keep each other waiting from then on.
            async with self._turnstile:
                asking = asyncio.create_task(self._judge.ask(questions))
                await asyncio.sleep(0)
            return await asking
        except (AskError, asyncio.CancelledError):
            raise
        except Exception as error:
            message = f"the judge failed with {type(error).__name__}: {error}"
            raise AskError("rejected", message[:300], again=False) from error

    # Waiting ---------------------------------------------------------------------------------

    async def _wait_and_ask_again(self, sending: _Sending, error: AskError, sent_at: float) -> None:
        """Asks again later what got no answer, as often as it takes and as long as is allowed."""
        now, patience = self._loop.time(), self._engine.limits.patience_s
        self._count(put_off=1)
        if not self._telling:
            self._telling = True
            self._loop.call_later(TOLD_AFTER_S, self._tell)
        times = max(w.put_off for w in sending.waiting) + 1
        if self._outage.failed(error, sent_at, now, int(self._pace.limit)):
            self._pace.down()
            self._pause(self._outage.delay(error, 0, now))
        delay = self._outage.delay(error, times, now)
        if error.kind == "rate_limited" and self._pace.refused(sent_at, now):
            self._pause(delay)
        waiting = tuple(
            replace(
                w,
                put_off=times,
                since=min(w.since, now),
                halvings=w.halvings + (error.kind == "timeout" and times % 2 == 0),
            )
            for w in sending.waiting
        )
        # Others are answered meanwhile, and nobody says that it comes too soon.
        alone = self._answered and not self._outage.down and error.kind != "rate_limited"
        if alone and now - waiting[0].since > patience:
            await self._no_answer(sending, error)
        elif error.billed or error.reply is not None:
            await self._settle(sending, error)
            self._later(delay, sending.request.id, None, waiting)
        else:
            later = replace(sending, waiting=waiting, put_off=error)
            self._later(delay, sending.request.id, later, waiting)

    def _later(
        self, delay: float, name: str, sending: _Sending | None, waiting: tuple[_Waiting, ...]
    ) -> None:
        if self._stopped:
            for w in waiting:
                self.open_ids.discard(w.comparison.id)
            return
        timer = self._loop.call_later(delay, self._again_now, name)
        self._put_off[name] = _PutOff(timer, sending, waiting)
        self._outage.missing(self._loop.time())
        self._loop.call_at(self._outage.deadline + 1.0, self._mind_patience)

    def _again_now(self, name: str) -> None:
        put_off = self._put_off.pop(name)
        if put_off.sending is not None:
            self._again.append(put_off.sending)
        else:
            self._queue.extend(put_off.waiting)
        self._engine.wake()

    def _pause(self, delay: float) -> None:
        self._resume_at = max(self._resume_at, self._loop.time() + delay)
        self._loop.call_at(self._resume_at, self._engine.wake)

    def _tell(self) -> None:
        """For whoever sees no progress, such as in Python or in a log."""
        self._telling = bool(self.waiting_for) and not self._stopped
        if self._telling:
            LOG.warning("%s", self.waiting_for)
            self._loop.call_later(TELL_EVERY_S, self._tell)

    def _mind_patience(self) -> None:
        """Gives the judge up once it was waited for long enough, or is to be waited for longer."""
        if self._stopped or not self.open_ids:
            return
        now, deadline = self._loop.time(), self._outage.deadline
        timers = [put_off.timer.when() for put_off in self._put_off.values()]
        next_at = now if self._again or self._queue else min(timers, default=now)
        next_at = max(next_at, self._resume_at)
        if now <= deadline and (self.under_way or next_at <= deadline):
            return
        sent = [w for sending in self._sent.values() for w in sending.waiting]
        unanswered = [*self._queue, *self._waited_for(), *sent]
        patience = self._engine.limits.patience_s
        if all(self._answered_at - w.since > patience / 4 for w in unanswered):
            self._outage.answered(now, missing=False)  # it answers others, and these never
            self._let_go()
        else:
            self._give_up(self._outage.given_up(next_at - now))
        self._engine.wake()

    def _waited_for(self) -> list[_Waiting]:
        """What got no answer and is to be asked again."""
        put_off = [put_off.waiting for put_off in self._put_off.values()]
        return [w for waiting in (*put_off, *(s.waiting for s in self._again)) for w in waiting]

    def _let_go(self) -> None:
        """Waits no more for what got no answer. Another time it may be asked again."""
        unsent = [*self._again]
        for put_off in self._put_off.values():
            put_off.timer.cancel()
            if put_off.sending is not None:
                unsent.append(put_off.sending)
        never = {w.comparison.id for w in self._waited_for()}
        self._count(given_up=0 if self._stopped else len(never))
        self.open_ids -= never
        self._again.clear()
        self._put_off.clear()
        for sending in unsent:  # never answered, never billed: settled, so that it costs nothing
            assert sending.put_off is not None
            self._engine.start(self._settle(sending, sending.put_off))

    # What came back --------------------------------------------------------------------------

    async def _received(self, sending: _Sending, reply: Reply) -> None:
        stored = _as_stored(reply, sending)
        bill = stored.cost_usd if stored.metered else None
        self._engine.budget.settle(sending.reservation, bill, len(sending.questions))
        # On disk before anything reads it: what was paid for is kept even if it cannot be read.
        await self._engine.writer.write(lambda store: store.add_replies(self._judge_id, [stored]))
        outcomes = self._outcomes(stored, sending.questions)
        await self._store_outcomes(sending.questions, stored, outcomes)
        unjudged = []
        for waiting, outcome in zip(sending.waiting, outcomes, strict=True):
            if isinstance(outcome, Verdict):
                self.open_ids.discard(waiting.comparison.id)
            else:
                unjudged.append(waiting)
        self._ask_again(unjudged, answered=True)

    async def _no_answer(self, sending: _Sending, error: AskError) -> None:
        """Puts into the store that a request brought no answer that could be read, and why."""
        await self._settle(sending, error)
        alone = len(sending.questions) == 1  # then the next request would be the same
        if error.kind == "rejected" or (error.kind == "too_large" and alone):
            self._rejections += 1
            if not self._answered or self._rejections >= REJECTIONS:
                self._give_up(f"{self._judge.identity.name} cannot be asked: {error}")
        answered = not error.again and error.kind != "too_large"
        self._ask_again(sending.waiting, answered, give_up=alone)

    async def _settle(self, sending: _Sending, error: AskError) -> None:
        came = error.reply
        if came is None:
            came = Reply("", "", metered=not error.billed)
        stored = _as_stored(came, sending)
        judged = len(sending.questions) if stored.raw else 0
        bill = stored.cost_usd if stored.metered else None
        self._engine.budget.settle(sending.reservation, bill, judged)
        await self._engine.writer.write(lambda store: store.add_replies(self._judge_id, [stored]))
        failures = [Failure(error.kind, str(error))] * len(sending.questions)
        await self._store_outcomes(sending.questions, stored, failures)

    def _outcomes(self, reply: Reply, questions: Sequence[Question]) -> list[Verdict | Failure]:
        try:
            outcomes = self._judge.read(reply, questions)
        except Exception as error:
            message = f"the reply made its reader fail with {type(error).__name__}"
            return [Failure("unparsable", message)] * len(questions)
        if len(outcomes) != len(questions):
            message = f"{len(outcomes)} outcomes for {len(questions)} questions"
            return [Failure("unparsable", message)] * len(questions)
        return outcomes

    async def _store_outcomes(
        self, questions: Sequence[Question], reply: Reply, outcomes: Sequence[Verdict | Failure]
    ) -> None:
        judgments = [
            Judgment(q.comparison.id, self._judge_id, q.order, outcome, reply, q.principle)
            for q, outcome in zip(questions, outcomes, strict=True)
        ]
        await self._engine.writer.write(lambda store: store.add_judgments(judgments))
        verdicts = sum(isinstance(outcome, Verdict) for outcome in outcomes)
        self._count(verdicts=verdicts, failures=len(outcomes) - verdicts)

    def _ask_again(
        self, unjudged: Sequence[_Waiting], answered: bool, give_up: bool = False
    ) -> None:
        """Puts what got no verdict into the queue once more, unless it was answered often enough.

        It goes into a request half as large as before, for it may be the number that was too much.
        """
        for waiting in unjudged:
            attempt, halvings = waiting.attempt + answered, waiting.halvings + 1
            if self._stopped:
                self.open_ids.discard(waiting.comparison.id)
            elif give_up or attempt >= self._engine.limits.attempts:
                self.open_ids.discard(waiting.comparison.id)
                self._count(given_up=1)
            else:
                order = waiting.order
                anew = _Waiting(
                    waiting.comparison, waiting.principles, attempt, halvings, order=order
                )
                self._queue.append(anew)

    # Stopping --------------------------------------------------------------------------------

    def stop(self) -> None:
        """Sends nothing more. What is under way comes back and is stored."""
        self._stopped = True
        for waiting in self._queue:
            self.open_ids.discard(waiting.comparison.id)
        self._queue.clear()
        self._let_go()

    def _give_up(self, why: str) -> None:
        self._engine.error = self._engine.error or JudgeUnavailable(why)
        self.stop()

    def _drop_queue(self) -> None:
        self._count(unasked=len(self._queue))
        for waiting in self._queue:
            self.open_ids.discard(waiting.comparison.id)
        self._unasked += self._queue
        self._queue.clear()

    def ask_unasked(self) -> None:
        """Takes up again what the budget did not allow, since it was raised."""
        again, self._unasked = self._unasked, []
        self._count(unasked=-len(again))
        self.open_ids |= {waiting.comparison.id for waiting in again}
        self._queue.extend(again)

    def _count(self, **more: int) -> None:
        counts = {name: getattr(self.standing, name) + by for name, by in more.items()}
        self.standing = replace(self.standing, **counts)


def _question(waiting: _Waiting, seed: int) -> Question:
    """The question with its order of presentation and its principle.

    Both follow from the run's seed, the comparison and the attempt, whenever it is asked.
    """
    comparison, principles = waiting.comparison, waiting.principles
    drawn = hashlib.sha256(f"{seed} {comparison.id} {waiting.attempt}".encode()).digest()
    order = waiting.order or (Order.SWAPPED if drawn[0] % 2 else Order.FORWARD)
    chosen = int.from_bytes(drawn[1:9], "little")
    principle = principles[chosen % len(principles)] if principles else None
    return Question.put(comparison, order, principle)


def _as_stored(reply: Reply, sending: _Sending) -> Reply:
    """The reply under the name of its request, with a cost that can be counted."""
    raw = reply.raw.encode("utf-8", "replace").decode()  # SQLite refuses half a surrogate pair
    cost, reserved = reply.cost_usd, sending.reservation.usd
    metered = reply.metered and 0 <= cost < math.inf
    return replace(
        reply,
        id=live_reply_id(sending.request.id, raw),
        raw=raw,
        cost_usd=cost if metered else reserved,
        request_id=sending.request.id,
        metered=metered,
    )
