"""Judging: stored before it is read, paid once, asked again only as configured, never stuck."""

from __future__ import annotations

import asyncio
import json
import math
import sqlite3
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from conftest import comparison
from volition.comparison import Comparison
from volition.errors import InputError, JudgeUnavailable, StoreError
from volition.goal import Goal, Principle
from volition.judges import make_judge
from volition.judges.base import AskError, Assignment, Estimate, Question
from volition.judges.settings import JudgeSettings
from volition.judging.limits import Limits
from volition.judging.prediction import predict
from volition.judging.thread import Judging, reuse
from volition.judging.writer import Writer
from volition.judgment import (
    Failure,
    JudgeIdentity,
    Judgment,
    Order,
    Reply,
    Request,
    Verdict,
    live_reply_id,
)
from volition.storage.database import DATABASE
from volition.storage.store import Store
from volition.tasks.view import JudgeView

GOAL = Goal("more")
COST = 0.01


class Scripted:
    """Prefers the greater observation, unless its script has something else for a request.

    A script's entry is a reply's text, an error to raise, or None for an answer.
    """

    capability = None
    immediate = False

    def __init__(
        self,
        *script: str | Exception | None,
        per_request: int = 1,
        name: str = "scripted",
        latency_s: float = 0.0,
        cost_usd: float = COST,
    ) -> None:
        self.identity = JudgeIdentity(name, simulated=True)
        self.per_request = per_request
        self.requests: list[list[Question]] = []
        self.times: list[float] = []
        self.in_flight = self.most_in_flight = 0
        self.closed = False
        self._script, self._latency_s, self._cost = list(script), latency_s, cost_usd

    def estimate(self, questions: Sequence[Question]) -> Estimate:
        return Estimate(100 * len(questions), len(questions), COST)

    async def ask(self, questions: Sequence[Question]) -> Reply:
        self.requests.append(list(questions))
        self.times.append(time.monotonic())
        entry = self._script.pop(0) if self._script else None
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            await asyncio.sleep(self._latency_s)
        finally:
            self.in_flight -= 1
        if isinstance(entry, Exception):
            raise entry
        answers = [_greater_first(question) for question in questions]
        raw = json.dumps(answers) if entry is None else entry
        return Reply("the same", raw, 10, 1, self._cost, 0.5)

    def read(self, reply: Reply, questions: Sequence[Question]) -> list[Verdict | Failure]:
        try:
            return [Verdict(float(answer)) for answer in json.loads(reply.raw)]
        except ValueError:
            return [Failure("unparsable", reply.raw)] * len(questions)

    async def close(self) -> None:
        self.closed = True

    def counts(self) -> Counter[str]:
        """How often each comparison was asked."""
        return Counter(question.comparison.id for request in self.requests for question in request)


def _greater_first(question: Question) -> bool:
    first, second = question.shown
    return bool(first.observations[0, 0] > second.observations[0, 0])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with Store.create(tmp_path / "run") as store:
        store.add_goal(GOAL)
    return tmp_path / "run"


def comparisons(folder: Path, count: int, start: float = 0.0) -> list[Comparison]:
    with Store.open(folder) as store:
        (goal_id,) = store.goal_texts()
    return [comparison(start + n, start + n + 0.5, goal_id) for n in range(count)]


def put(folder: Path, judge: Scripted, pairs: Sequence[Comparison], **limits: float) -> None:
    """Asks and waits for all of it."""
    with Judging(folder, Limits(**limits), seed=7) as judging:  # type: ignore[arg-type]
        judging.ask(judge, pairs)
        assert judging.wait(20)


def stored(folder: Path) -> list[Judgment]:
    with Store.open(folder) as store:
        assert store.verify() == []
        return store.judgments()


def failures(folder: Path) -> Counter[str]:
    return Counter(j.outcome.kind for j in stored(folder) if isinstance(j.outcome, Failure))


# Asked once, in a random order that is undone --------------------------------------------------


def test_answers_come_out_of_the_store_with_their_order_undone(folder: Path) -> None:
    judge, pairs = Scripted(), comparisons(folder, 40)
    put(folder, judge, pairs)
    by_id = {c.id: c for c in pairs}
    with Store.open(folder) as store:
        preferences = store.preferences()
        assert store.cost_usd() == pytest.approx(40 * COST)
    assert len(preferences) == 40
    for preference in preferences:
        c = by_id[preference.comparison_id]
        greater = c.first.observations[0, 0] > c.second.observations[0, 0]
        assert preference.p_first == float(greater)
    orders = Counter(judgment.order for judgment in stored(folder))
    assert min(orders[order] for order in Order) >= 10
    assert judge.closed


def test_the_orders_follow_from_the_seed(folder: Path, tmp_path: Path) -> None:
    orders: list[dict[str, Order]] = []
    for seed in (3, 3, 4):
        here = tmp_path / f"{len(orders)}"
        with Store.create(here) as store:
            store.add_goal(GOAL)
        with Judging(here, seed=seed) as judging:
            judging.ask(Scripted(latency_s=0.001 * len(orders)), comparisons(here, 30))
            judging.wait()
        orders.append({j.comparison_id: j.order for j in stored(here)})
    assert orders[0] == orders[1] != orders[2]


def test_what_was_answered_is_never_asked_again(folder: Path) -> None:
    pairs = comparisons(folder, 20)
    first, second, other = Scripted(), Scripted(), Scripted(name="other")
    put(folder, first, [*pairs[:12], *pairs[:12]])
    put(folder, second, pairs)
    put(folder, other, pairs)
    assert (first.counts() + second.counts()).most_common(1)[0][1] == 1
    assert len(second.requests) == 8
    assert len(other.requests) == 20


def test_each_question_is_put_under_one_of_the_principles(folder: Path) -> None:
    judge = Scripted()
    with Judging(folder) as judging:
        judging.ask(judge, comparisons(folder, 40), (Principle("gently"), Principle("quickly")))
        judging.wait()
    used = Counter(judgment.principle for judgment in stored(folder))
    assert set(used) == {"gently", "quickly"}
    assert min(used.values()) >= 8
    shown = {q.comparison.id: q.principle for request in judge.requests for q in request}
    assert shown == {j.comparison_id: j.principle for j in stored(folder)}


def test_several_questions_go_into_one_request(folder: Path) -> None:
    judge = Scripted(per_request=12)
    put(folder, judge, comparisons(folder, 30))
    assert [len(request) for request in judge.requests] == [12, 12, 6]
    assert len({j.reply.id for j in stored(folder)}) == 3
    assert len(stored(folder)) == 30


def test_asking_returns_at_once_and_answers_can_be_waited_for(folder: Path) -> None:
    with Judging(folder) as judging:
        started = time.monotonic()
        judging.ask(Scripted(latency_s=0.3), comparisons(folder, 4))
        assert time.monotonic() - started < 0.1
        assert not judging.wait(0.05)
        assert judging.standing().waiting == 4
        assert judging.wait(20)
        assert judging.standing().verdicts == 4


def test_no_more_requests_are_under_way_than_allowed(folder: Path) -> None:
    judge = Scripted(latency_s=0.01)
    put(folder, judge, comparisons(folder, 40), concurrency=7)
    assert judge.most_in_flight == 7


# Paid once: what is on disk when ----------------------------------------------------------------


def test_request_and_reply_are_on_disk_before_the_reply_is_read(folder: Path) -> None:
    seen: list[tuple[int, int, int]] = []

    def count() -> None:
        with sqlite3.connect(folder / DATABASE) as sql:
            seen.append(
                sql.execute(
                    "SELECT (SELECT count(*) FROM requests), (SELECT count(*) FROM replies), "
                    "(SELECT count(*) FROM judgments)"
                ).fetchone()
            )
        sql.close()

    class Watched(Scripted):
        async def ask(self, questions: Sequence[Question]) -> Reply:
            count()
            return await super().ask(questions)

        def read(self, reply: Reply, questions: Sequence[Question]) -> list[Verdict | Failure]:
            count()
            return super().read(reply, questions)

    put(folder, Watched(), comparisons(folder, 1))
    assert seen == [(1, 0, 0), (1, 1, 0)]


def test_a_reply_that_was_stored_and_not_read_is_read_and_not_asked_again(folder: Path) -> None:
    pairs = comparisons(folder, 3)
    judge = Scripted(per_request=3)
    orders = (Order.FORWARD, Order.SWAPPED, Order.FORWARD)
    questions = [Question(c, order) for c, order in zip(pairs, orders, strict=True)]
    request = Request(
        "r" * 16, judge.identity.id, tuple((q.comparison.id, q.order, None) for q in questions), 0.5
    )
    raw = json.dumps([_greater_first(q) for q in questions])
    with Store.open(folder) as store:  # as it is when a process is killed between the two writes
        store.add_judge(judge.identity)
        store.add_comparisons(pairs)
        store.add_request(request)
        reply = Reply(live_reply_id(request.id, raw), raw, cost_usd=0.25, request_id=request.id)
        store.add_replies(judge.identity.id, [reply])
    put(folder, judge, pairs)
    assert judge.requests == []
    assert [j.order for j in stored(folder)] == list(orders)
    with Store.open(folder) as store:
        assert [store.judged_live(), store.spent_usd()] == [3, 0.25]


def test_a_request_that_was_under_way_when_the_program_was_killed_may_have_cost(
    folder: Path,
) -> None:
    pairs = comparisons(folder, 2)
    judge = Scripted()
    with Store.open(folder) as store:
        store.add_judge(judge.identity)
        store.add_comparisons(pairs)
        store.add_request(
            Request("r" * 16, judge.identity.id, ((pairs[0].id, Order.FORWARD, None),), COST)
        )
    put(folder, judge, pairs, max_usd=2.5 * COST)
    assert len(judge.requests) == 1, (
        "two were affordable, and one of them may have been paid already"
    )
    assert len(stored(folder)) == 1


def test_closing_waits_for_what_is_under_way_and_keeps_it(folder: Path) -> None:
    judge = Scripted(latency_s=0.2)
    with Judging(folder, Limits(concurrency=4)) as judging:
        judging.ask(judge, comparisons(folder, 20))
        while not judge.requests:
            time.sleep(0.005)
    assert 1 <= len(judge.requests) <= 4
    assert judge.counts() == Counter(j.comparison_id for j in stored(folder))


# What goes wrong --------------------------------------------------------------------------------


def test_a_reply_that_cannot_be_read_is_kept_paid_and_asked_again(folder: Path) -> None:
    put(folder, Scripted("well, let me see", None), comparisons(folder, 1))
    first, second = stored(folder)
    assert first.outcome == Failure("unparsable", "well, let me see")
    assert first.reply.raw == "well, let me see"
    assert isinstance(second.outcome, Verdict)
    with Store.open(folder) as store:
        assert store.cost_usd() == pytest.approx(2 * COST)
        assert len(store.preferences()) == 1


def test_nothing_is_asked_more_often_than_configured_also_later(folder: Path) -> None:
    pairs = comparisons(folder, 2)
    judge = Scripted(*["?"] * 20)
    with Judging(folder, Limits(attempts=2)) as judging:
        judging.ask(judge, pairs)
        judging.wait()
        assert judging.standing().given_up == 2
    put(folder, again := Scripted(), pairs, attempts=2)
    assert set(judge.counts().values()) == {2}
    assert again.requests == []
    with Store.open(folder) as store:
        assert store.preferences() == []


def test_a_packed_reply_without_verdicts_is_asked_again_in_smaller_requests(folder: Path) -> None:
    judge = Scripted("?", "?", None, "?", per_request=8)
    put(folder, judge, comparisons(folder, 8))
    assert [len(request) for request in judge.requests] == [8, 4, 4, 2, 2]
    assert failures(folder) == {"unparsable": 8 + 4 + 2}
    assert sum(isinstance(j.outcome, Verdict) for j in stored(folder)) == 6


@pytest.mark.parametrize("fault", ["raises", "too few", "too many"])
def test_a_reader_that_fails_costs_one_reply_and_no_more(folder: Path, fault: str) -> None:
    class Faulty(Scripted):
        def read(self, reply: Reply, questions: Sequence[Question]) -> list[Verdict | Failure]:
            outcomes = super().read(reply, questions)
            if len(self.requests) > 1:
                return outcomes
            if fault == "raises":
                raise RuntimeError("a mistake")
            return [] if fault == "too few" else outcomes * 2

    put(folder, Faulty(per_request=2), comparisons(folder, 6), concurrency=1)
    assert failures(folder) == {"unparsable": 2}
    assert sum(isinstance(j.outcome, Verdict) for j in stored(folder)) == 6


@pytest.mark.parametrize("kind", ["server_error", "timeout", "connection"])
def test_trouble_on_the_way_is_waited_for_and_tried_again(folder: Path, kind: str) -> None:
    error = AskError(kind, "no luck", again=True, retry_after_s=0.01)
    judge = Scripted(None, *[error] * 5, None)
    put(folder, judge, comparisons(folder, 5), concurrency=1, patience_s=10)
    lost = 0 if kind == "server_error" else 5
    assert failures(folder) == ({kind: lost} if lost else {})
    assert sum(isinstance(j.outcome, Verdict) for j in stored(folder)) == 5
    with Store.open(folder) as store:  # nobody knows whether a reply that never came is billed
        assert store.cost_usd() == pytest.approx((5 + lost) * COST)


def test_a_refusal_by_the_provider_is_final_for_a_single_question(folder: Path) -> None:
    judge = Scripted(None, AskError("content_filter", "no", again=False))
    put(folder, judge, comparisons(folder, 3), concurrency=1)
    assert len(judge.requests) == 3
    assert failures(folder) == {"content_filter": 1}


def test_what_came_with_an_error_is_kept_and_counted(folder: Path) -> None:
    half = Reply("half", '["tru', 10, 1, 0.005)
    judge = Scripted(AskError("server_error", "cut short", again=True, reply=half))
    put(folder, judge, comparisons(folder, 1))
    first, _ = stored(folder)
    assert (first.reply.raw, first.reply.cost_usd) == ('["tru', 0.005)
    with Store.open(folder) as store:
        assert store.judged_live() == 2


def test_a_judge_with_a_mistake_in_it_loses_one_question(folder: Path) -> None:
    judge = Scripted(None, RuntimeError("a mistake"), None)
    put(folder, judge, comparisons(folder, 4), concurrency=1)
    assert failures(folder) == {"rejected": 1}
    assert sum(isinstance(j.outcome, Verdict) for j in stored(folder)) == 3


@pytest.mark.parametrize("cost", [math.nan, math.inf, -1.0])
def test_a_cost_that_is_none_counts_as_it_was_reserved(folder: Path, cost: float) -> None:
    put(folder, Scripted(cost_usd=cost), comparisons(folder, 2))
    with Store.open(folder) as store:
        assert store.cost_usd() == pytest.approx(2 * COST)


def test_any_text_can_be_stored(folder: Path) -> None:
    put(folder, Scripted('"\ud800 \x00 \U0001f600', None), comparisons(folder, 1))
    assert stored(folder)[0].reply.raw == '"? \x00 \U0001f600'


# Courtesy ---------------------------------------------------------------------------------------


def test_a_judge_that_asks_to_wait_is_given_that_time_and_nothing_is_lost(folder: Path) -> None:
    busy = AskError("rate_limited", "slow down", again=True, retry_after_s=0.2)
    judge = Scripted(None, busy)
    with Judging(folder, Limits(concurrency=1)) as judging:
        judging.ask(judge, comparisons(folder, 3))
        judging.wait()
        assert judging.standing().put_off == 1
        assert judging.standing().requests == 3
    gaps = [later - sooner for sooner, later in zip(judge.times, judge.times[1:], strict=False)]
    assert gaps[1] >= 0.19
    assert len(stored(folder)) == 3
    assert failures(folder) == {}


def test_one_request_that_must_wait_holds_up_no_other(folder: Path) -> None:
    busy = AskError("rate_limited", "slow down", again=True, retry_after_s=0.5)
    judge = Scripted(None, busy)
    with Judging(folder, Limits(concurrency=8)) as judging:
        judging.ask(judge, comparisons(folder, 30))
        while judging.standing().verdicts < 29:
            time.sleep(0.01)
        assert time.monotonic() - judge.times[0] < 0.5
        assert judging.wait(20)
    assert len(stored(folder)) == 30


@pytest.mark.parametrize("kind", ["rate_limited", "server_error"])
def test_a_server_that_is_always_busy_is_given_up_and_costs_nothing(
    folder: Path, kind: str
) -> None:
    busy = AskError(kind, "slow down", again=True, retry_after_s=0.05)
    judge = Scripted(*[busy] * 1000)
    with pytest.raises(JudgeUnavailable, match=r"not answered for 0.3 s .*: slow down"):
        put(folder, judge, comparisons(folder, 20), patience_s=0.3)
    assert len(judge.requests) < 60, "it is not hammered"
    with Store.open(folder) as store:
        assert store.spent_usd() == 0
    put(folder, judge := Scripted(), comparisons(folder, 20))
    assert len(judge.requests) == 20, "what was never answered may be asked later"


def test_the_last_ones_that_never_get_an_answer_are_let_go_where_others_did(folder: Path) -> None:
    pairs = comparisons(folder, 30)

    class Choosy(Scripted):
        async def ask(self, questions: Sequence[Question]) -> Reply:
            await asyncio.sleep(0.08)
            if questions[0].comparison.id in (pairs[3].id, pairs[5].id):
                billed = questions[0].comparison.id == pairs[5].id
                raise AskError("server_error", "not this one", again=True, billed=billed)
            return await super().ask(questions)

    with Judging(folder, Limits(concurrency=2, patience_s=1.0)) as judging:
        judging.ask(Choosy(), pairs)
        assert judging.wait(20)
        standing = judging.standing()
    assert (standing.verdicts, standing.given_up) == (28, 2)
    assert set(failures(folder)) == {"server_error"}
    put(folder, again := Scripted(), pairs)
    assert len(again.requests) == 2, "another time they may be asked again"


def test_a_dead_endpoint_is_given_up_and_costs_others_nothing(folder: Path) -> None:
    dead = Scripted(*[AskError("connection", "refused", again=True)] * 1000, name="dead")
    alive = Scripted(name="alive", latency_s=0.02)
    with Judging(folder, Limits(concurrency=4, patience_s=0.5)) as judging:
        judging.ask(dead, comparisons(folder, 50))
        judging.ask(alive, comparisons(folder, 50))
        with pytest.raises(JudgeUnavailable, match=r"dead has not answered for 0.5 s .*: refused"):
            judging.wait(20)
    answers = [j for j in stored(folder) if isinstance(j.outcome, Verdict)]
    assert len(answers) == 50
    assert {j.judge_id for j in answers} == {alive.identity.id}
    assert len(dead.requests) < 50


def test_a_judge_that_rejects_us_is_asked_no_more_and_can_be_asked_later(folder: Path) -> None:
    pairs = comparisons(folder, 50)
    judge = Scripted(*[AskError("rejected", "wrong key", again=False)] * 100)
    with pytest.raises(JudgeUnavailable, match="wrong key"):
        put(folder, judge, pairs, concurrency=4)
    assert len(judge.requests) == 4
    put(folder, Scripted(), pairs)
    assert sum(isinstance(j.outcome, Verdict) for j in stored(folder)) == 50


# Limits -----------------------------------------------------------------------------------------


def test_no_more_judgments_are_asked_than_allowed_also_in_several_runs(folder: Path) -> None:
    judge = Scripted("?", per_request=4)
    pairs = comparisons(folder, 40)
    for limit in (10, 10, 13):
        with Judging(folder, Limits(max_judgments=limit)) as judging:
            judging.ask(judge, pairs)
            judging.wait()
    assert sum(len(questions) for questions in judge.requests) == 13
    assert len(stored(folder)) == 13


def test_what_the_budget_does_not_allow_is_not_asked_and_said(folder: Path) -> None:
    judge = Scripted(latency_s=0.01)
    with Judging(folder, Limits(max_usd=7.5 * COST)) as judging:
        judging.ask(judge, comparisons(folder, 20))
        judging.wait()
        standing = judging.standing()
    assert (standing.verdicts, standing.unasked) == (7, 13)
    assert standing.spent_usd == pytest.approx(7 * COST)


def test_what_is_left_of_the_budget_goes_into_smaller_requests(folder: Path) -> None:
    class PricedByQuestion(Scripted):
        def estimate(self, questions: Sequence[Question]) -> Estimate:
            self._cost = COST * len(questions)
            return Estimate(0, 0, self._cost)

    judge = PricedByQuestion(per_request=8)
    put(folder, judge, comparisons(folder, 40), max_usd=30.5 * COST, concurrency=1)
    assert [len(request) for request in judge.requests] == [8, 8, 8, 4, 2]


def test_prediction_says_what_judging_then_takes(folder: Path) -> None:
    judge, pairs = Scripted(per_request=12), comparisons(folder, 50)
    prediction = predict(judge, pairs, Limits(max_judgments=40, concurrency=2))
    put(folder, judge, pairs, max_judgments=40)
    assert (prediction.judgments, prediction.requests) == (40, len(judge.requests))
    assert prediction.cost_usd == pytest.approx(len(judge.requests) * COST)
    assert (prediction.prompt_tokens, prediction.completion_tokens) == (4000, 40)
    assert prediction.minutes == pytest.approx((4 * 1.5 + 40 / 80) / 2 / 60)


# Store and reuse --------------------------------------------------------------------------------


def test_an_answer_that_cannot_be_stored_stops_the_spending(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise StoreError("the disk is full")

    monkeypatch.setattr(Store, "add_replies", full)
    judge = Scripted()
    with pytest.raises(StoreError, match="full"):
        put(folder, judge, comparisons(folder, 200), concurrency=4)
    assert len(judge.requests) <= 8


def test_a_bad_row_does_not_take_its_neighbours_with_it(folder: Path) -> None:
    async def write() -> tuple[BaseException | None, ...]:
        writer = Writer(folder)
        await writer.open()
        identity = JudgeIdentity("good")
        try:
            return await asyncio.gather(
                writer.write(lambda store: store.add_judge(identity)),
                writer.write(lambda store: store.add_replies("nobody", [Reply("x", "")])),
                writer.write(lambda store: store.add_replies(identity.id, [Reply("y", "")])),
                return_exceptions=True,
            )
        finally:
            await writer.close()

    good, bad, also_good = asyncio.run(write())
    assert good is None
    assert also_good is None
    assert isinstance(bad, StoreError)


def test_a_store_that_is_missing_is_said_and_leaves_no_thread(tmp_path: Path) -> None:
    with pytest.raises(StoreError):
        Judging(tmp_path)


def test_answers_in_another_store_are_taken_over_and_not_paid_again(
    folder: Path, tmp_path: Path
) -> None:
    put(folder, Scripted("?", cost_usd=0.5), pairs := comparisons(folder, 10))
    with Store.create(tmp_path / "new") as store:
        goal_id = store.add_goal(GOAL)
        assert reuse(folder, store, Scripted().identity, goal_id) == 10
        assert reuse(folder, store, Scripted().identity, goal_id) == 10
        assert len(store.preferences()) == 10
        assert store.cost_usd() == store.spent_usd() == 0
        assert store.judged_live() == 0
    put(tmp_path / "new", judge := Scripted(), pairs)
    assert judge.requests == []
    assert all(isinstance(j.outcome, Verdict) for j in stored(tmp_path / "new"))


def test_reusing_where_there_is_nothing_to_reuse_is_an_error(folder: Path, tmp_path: Path) -> None:
    put(folder, Scripted(), comparisons(folder, 2))
    with Store.create(tmp_path / "new") as store:
        goal_id = store.add_goal(Goal("something else"))
        with pytest.raises(InputError, match="no answer of scripted"):
            reuse(folder, store, Scripted().identity, goal_id)


# Names ------------------------------------------------------------------------------------------

UPRIGHT = Assignment(GOAL, JudgeView(), truth="pendulum")


@pytest.mark.parametrize(
    "name",
    [
        "gpt",
        "nobody:x",
        "openai:",
        ":x",
        "simulated:clever",
        "simulated:noisy:2",
        "simulated:noisy:x",
    ],
)
def test_a_judge_that_does_not_exist_is_named_with_those_that_do(name: str) -> None:
    with pytest.raises(InputError, match="there is no judge"):
        make_judge(JudgeSettings(name), UPRIGHT)


def test_a_simulated_judge_says_so_and_needs_a_task_it_knows() -> None:
    for variant in ("exact", "noisy", "refusing:0.5"):
        assert make_judge(JudgeSettings(f"simulated:{variant}"), UPRIGHT).identity.simulated
    with pytest.raises(InputError, match="names 'nobody-knows'"):
        make_judge(JudgeSettings("simulated:exact"), replace(UPRIGHT, truth="nobody-knows"))
