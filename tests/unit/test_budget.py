"""The budget is never exceeded, the pace gives way and comes back."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from conftest import comparison
from volition.comparison import Comparison
from volition.errors import InputError, VolitionError
from volition.judges.base import AskError, Estimate, Question
from volition.judging.engine import Engine
from volition.judging.limits import Budget, Limits, Pace
from volition.judgment import Failure, JudgeIdentity, Order, Reply, Verdict

COMPARISONS = [comparison(number, number + 0.5) for number in range(180)]
TRIALS = 1000


class Provider:
    """A judge with random prices, delays and accidents, and the bill that it really sends."""

    capability = None
    immediate = False

    def __init__(self, rng: random.Random, per_request: int) -> None:
        self.identity = JudgeIdentity("provider", simulated=True)
        self.per_request = per_request
        self._rng, self._price = rng, 10 ** rng.uniform(-6, 0)
        self._accidents = rng.choice([0.0, 0.2, 0.6])
        self.billed, self.questions, self.most_in_flight, self.near = 0.0, 0, 0, False
        self._held: list[asyncio.Future[None]] = []

    def estimate(self, questions: Sequence[Question]) -> Estimate:
        # Differs from request to request, and is the same whenever it is asked for.
        share = 0.5 + int(questions[0].comparison.id[:4], 16) / 2**17
        return Estimate(0, 0, self._price * len(questions) * share)

    async def ask(self, questions: Sequence[Question]) -> Reply:
        answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._held.append(answered)
        self.most_in_flight = max(self.most_in_flight, len(self._held))
        await answered
        most = self.estimate(questions).cost_usd or 0.0
        if self._rng.random() < self._accidents:
            kind = self._rng.choice(["timeout", "connection", "server_error", "refused"])
            cost = self._rng.uniform(0, most)
            if kind in ("timeout", "connection"):  # billed, and nobody is told
                self.billed += cost
                raise AskError(kind, "", again=True, retry_after_s=0.0)
            if kind == "refused":
                self.billed += cost
                self.questions += len(questions)
                raise AskError(kind, "", again=False, reply=Reply("", "no", cost_usd=cost))
            raise AskError(kind, "", again=True, retry_after_s=0.0)
        cost = self._rng.choice([most, self._rng.uniform(0, most)])
        self.billed += cost
        self.questions += len(questions)
        return Reply("", "A", cost_usd=cost)

    async def answer(self) -> None:
        """Lets go of some of the requests, in any order, whenever no further one comes in."""
        while True:
            before = -1
            while before != len(self._held):
                before = len(self._held)
                for _ in range(3):
                    await asyncio.sleep(0)
            self._rng.shuffle(self._held)
            for _ in range(self._rng.randint((before + 1) // 2, before) if before else 0):
                self._held.pop().set_result(None)
            await asyncio.sleep(0 if before else 1e-3)

    def read(self, reply: Reply, questions: Sequence[Question]) -> list[Verdict | Failure]:
        return [Verdict(1.0)] * len(questions)

    async def close(self) -> None:
        pass


class Nowhere:
    """A writer that keeps nothing, so that a thousand trials are quick."""

    async def write(self, change: Callable[[Any], object]) -> None:
        await asyncio.sleep(0)

    async def read(self, query: Callable[[Any], Any]) -> Any:
        return query(self)

    def unread(self, judge_id: str) -> list[Any]:
        return []

    def tries(self, judge_id: str, comparison_ids: Sequence[str], order: object) -> dict[str, Any]:
        return {}


async def judge_within(limits: Limits, provider: Provider, comparisons: list[Comparison]) -> Engine:
    engine = Engine(Path(), limits, seed=0)
    engine.writer = Nowhere()  # type: ignore[assignment]
    await engine.take(provider, comparisons, ())
    with suppress(VolitionError):  # a provider in trouble is given up: its bill counts as well
        await asyncio.wait_for(engine.settled(), 60)
    return engine


async def trial(seed: int) -> Provider:
    rng = random.Random(seed)
    provider = Provider(rng, rng.choice([1, 1, 3, 12, 60]))
    comparisons = COMPARISONS[: rng.randrange(1, len(COMPARISONS))]
    one = provider.estimate([Question(comparisons[0], Order.FORWARD)]).cost_usd or 0.0
    max_usd = rng.uniform(0, 220) * one
    max_judgments = rng.choice([None, None, rng.randrange(1, 180)])
    concurrency = rng.choice([4, 16, 64, 64])
    limits = Limits(max_usd, max_judgments, concurrency, patience_s=0.05)
    answering = asyncio.create_task(provider.answer())
    engine = await judge_within(limits, provider, comparisons)
    answering.cancel()
    assert provider.billed <= max_usd, seed
    assert provider.billed <= engine.budget.spent_usd + 1e-12, seed
    assert max_judgments is None or provider.questions <= max_judgments, seed
    assert provider.most_in_flight <= limits.concurrency
    provider.near = provider.billed > 0.8 * max_usd
    return provider


def test_the_bill_never_exceeds_the_budget_in_a_thousand_trials() -> None:
    async def trials() -> list[Provider]:
        done: list[Provider] = []
        for first in range(0, TRIALS, 8):  # side by side, since a trial is mostly waiting
            seeds = range(first, min(first + 8, TRIALS))
            done += await asyncio.gather(*(trial(seed) for seed in seeds))
        return done

    done = asyncio.run(trials())
    assert len(done) == TRIALS
    full = sum(provider.most_in_flight == 64 for provider in done)
    assert full > 10, "hardly any trial had 64 requests in flight"
    assert sum(p.near for p in done) > 100, "hardly any trial came near its budget"


class Dear(Provider):
    """One that charges more than was estimated, has errors after billing and says no usage."""

    def __init__(self, rng: random.Random) -> None:
        super().__init__(rng, rng.choice([1, 1, 4]))
        self._factor = rng.uniform(1, 5)
        self._lost, self._unsaid = rng.choice([0.0, 0.1, 0.3]), rng.choice([0.0, 0.2, 0.6])

    async def ask(self, questions: Sequence[Question]) -> Reply:
        answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._held.append(answered)
        self.most_in_flight = max(self.most_in_flight, len(self._held))
        await answered
        most = self.estimate(questions).cost_usd or 0.0
        bill = most * self._factor * self._rng.uniform(0.7, 1.0)
        self.billed += bill
        self.questions += len(questions)
        if self._rng.random() < self._lost:
            kind = self._rng.choice(["server_error", "timeout", "connection"])
            raise AskError(kind, "after billing", again=True, retry_after_s=0.0, billed=True)
        metered = self._rng.random() >= self._unsaid
        return Reply("", "A", cost_usd=bill if metered else most, metered=metered)


async def dear_trial(seed: int) -> Provider:
    rng = random.Random(seed)
    provider = Dear(rng)
    one = provider.estimate([Question(COMPARISONS[0], Order.FORWARD)]).cost_usd or 0.0
    limits = Limits(rng.uniform(100, 900) * one, None, 64, patience_s=0.05)
    answering = asyncio.create_task(provider.answer())
    await judge_within(limits, provider, COMPARISONS)
    answering.cancel()
    assert limits.max_usd is not None
    assert provider.billed <= limits.max_usd, seed
    provider.near = provider.billed > 0.6 * limits.max_usd
    return provider


def test_bills_above_their_estimates_lost_or_unsaid_keep_within_the_limit_in_fifty_runs() -> None:
    async def trials() -> list[Provider]:
        return [await dear_trial(seed) for seed in range(50)]

    done = asyncio.run(trials())
    assert sum(provider.most_in_flight == 64 for provider in done) > 10
    assert sum(provider.near for provider in done) > 10


def test_a_provider_that_charges_more_than_it_said_is_reserved_for_accordingly() -> None:
    budget = Budget(Limits(max_usd=1.0))
    first = budget.reserve(0.1, 1)
    assert first is not None
    budget.settle(first, 0.3, 1)
    second = budget.reserve(0.1, 1)
    assert second is not None
    assert second.usd == pytest.approx(0.3)
    assert budget.reserve(0.2, 1) is None


def test_what_is_not_used_is_given_back() -> None:
    budget = Budget(Limits(max_usd=0.10, max_judgments=2), spent_usd=0.04, judgments=1)
    reserved = budget.reserve(0.06, 1)
    assert reserved is not None
    assert budget.reserve(0.0, 1) is None
    budget.settle(reserved, 0.0, 0)
    assert budget.reserve(0.0600001, 1) is None
    assert budget.reserve(0.06, 2) is None
    assert budget.reserve(0.06, 1) is not None


def test_a_budget_in_dollars_needs_a_price() -> None:
    with pytest.raises(ValueError, match="needs to know"):
        Budget(Limits(max_usd=1.0)).reserve(None, 1)
    assert Budget(Limits()).reserve(None, 1) is not None


def test_without_a_price_nothing_is_asked_and_the_options_are_named() -> None:
    class Unpriced(Provider):
        def estimate(self, questions: Sequence[Question]) -> Estimate:
            return Estimate(1, 1, None)

    provider = Unpriced(random.Random(0), 1)
    engine = asyncio.run(judge_within(Limits(max_usd=1.0), provider, COMPARISONS[:3]))
    assert isinstance(engine.error, InputError)
    assert "--price-in" in str(engine.error)
    assert provider.questions == 0


@pytest.mark.parametrize(
    "given", [{"max_usd": -1.0}, {"max_usd": float("nan")}, {"concurrency": 0}, {"attempts": 0}]
)
def test_limits_that_make_no_sense_are_named(given: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(given))):
        Limits(**given)


# Pace ----------------------------------------------------------------------------------------


def served(most: int, rounds: int, refuses: Callable[[int, int], bool]) -> list[tuple[float, int]]:
    """The limit and the refusals of each round in which as many are sent as the limit allows."""
    pace, trace = Pace(most), []
    for number in range(rounds):
        sent = int(pace.limit)
        refused = [refuses(number, place) for place in range(sent)]
        for answer in refused:
            if answer:
                pace.refused(float(number), number + 0.5)
            else:
                pace.accepted()
        trace.append((pace.limit, sum(refused)))
    return trace


def test_a_server_that_refuses_by_chance_is_asked_as_fast_as_ever() -> None:
    rng = random.Random(0)
    trace = served(64, 300, lambda _number, _place: rng.random() < 0.1)
    assert sum(limit for limit, _ in trace) / len(trace) > 0.95 * 64


def test_the_pace_finds_what_a_server_can_do_and_stays_there() -> None:
    trace = served(64, 300, lambda _number, place: place >= 10)
    settled = trace[50:]
    assert 6 <= sum(limit for limit, _ in settled) / len(settled) <= 14
    assert sum(refused for _, refused in settled) / len(settled) < 2


def test_the_pace_comes_back_when_the_trouble_is_over() -> None:
    trace = served(32, 60, lambda number, _place: number < 10)
    assert trace[9][0] == 1
    assert trace[-1][0] == 32


def test_one_burst_of_refusals_halves_the_pace_once() -> None:
    pace = Pace(32)
    cuts = [pace.refused(sent_at=0.0, now=1.0) for _ in range(32)]
    assert sum(cuts) == 1
    assert pace.limit == 16
