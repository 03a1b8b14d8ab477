"""Simulated judges err as they say, repeatably, and say what they are."""

from __future__ import annotations

import asyncio
import json
import re
import time
from dataclasses import replace

import numpy as np
import pytest

from volition.comparison import Comparison, Frame, Segment
from volition.errors import InputError
from volition.goal import Goal
from volition.judges import make_judge
from volition.judges.base import AskError, Assignment, Question
from volition.judges.settings import JudgeSettings
from volition.judgment import Failure, Order, Verdict
from volition.tasks.truth import TRUTHS, truth_of
from volition.tasks.view import JudgeView

UPRIGHT = Assignment(Goal("upright"), JudgeView(), truth="pendulum")
BLANK = Frame(np.zeros((1, 1, 3), np.uint8))


def pairs(count: int) -> list[Comparison]:
    angles = np.random.default_rng(0).uniform(-np.pi, np.pi, (count, 2))
    observed = np.stack([np.cos(angles), np.sin(angles), 0 * angles], -1).astype(np.float32)
    return [
        Comparison.between("goal", *(Segment(one[None], (BLANK,)) for one in pair))
        for pair in observed
    ]


PAIRS = pairs(400)
HIGHER = np.array([c.first.observations[0, 0] > c.second.observations[0, 0] for c in PAIRS])


def shown_first(name: str, order: Order = Order.FORWARD) -> np.ndarray:
    """(pairs,): the probability of what is shown first; NaN for a failure."""
    judge = make_judge(JudgeSettings(f"simulated:{name}"), UPRIGHT)
    questions = [Question(comparison, order) for comparison in PAIRS]
    outcomes = judge.read(asyncio.run(judge.ask(questions)), questions)
    return np.array([o.p_shown_first if isinstance(o, Verdict) else np.nan for o in outcomes])


def changes(one: np.ndarray, other: np.ndarray) -> float:
    answered = ~np.isnan(one) & ~np.isnan(other)
    return float((one != other)[answered].mean())


def accuracy(name: str) -> float:
    chosen = shown_first(name)
    return float((chosen == HIGHER)[~np.isnan(chosen)].mean())


def test_the_better_judge_is_right_more_often() -> None:
    strong, mid, weak = (
        np.mean([accuracy(f"{kind}:{number}") for number in range(4)])
        for kind in ("strong", "mid", "weak")
    )
    assert 0.88 < strong < 0.98
    assert 0.7 < mid < 0.87
    assert 0.5 < weak < mid - 0.05
    assert accuracy("exact") == 1.0


def test_an_answer_can_be_repeated_and_another_judge_gives_others() -> None:
    np.testing.assert_array_equal(shown_first("mid:3"), shown_first("mid:3"))
    assert (shown_first("mid:3") != shown_first("mid:4")).mean() > 0.1


def test_a_useless_judge_chooses_what_comes_first() -> None:
    for order in Order:
        assert (shown_first("useless", order) == 1).all()


def test_errors_belong_to_the_pair_more_than_to_the_asking() -> None:
    """The eye is warped: what a strong judge gets wrong, it gets wrong the other way round too."""
    forward, backward = shown_first("strong"), 1 - shown_first("strong", Order.SWAPPED)
    wrong = ((forward == 1) != HIGHER) & ~np.isnan(forward)
    assert wrong.sum() >= 10
    assert (backward == forward)[wrong].mean() > 0.5


def test_failures_come_as_often_as_they_should() -> None:
    failed = np.mean([np.isnan(shown_first(f"weak:{number}")).mean() for number in range(5)])
    assert 0.01 < failed < 0.035
    judge = make_judge(JudgeSettings("simulated:refusing:1"), UPRIGHT)
    question = Question(PAIRS[0], Order.FORWARD)
    (outcome,) = judge.read(asyncio.run(judge.ask([question])), [question])
    assert isinstance(outcome, Failure)


@pytest.mark.parametrize(
    "name", ["strong:1.5", "strong:-1", "strong:x", "exact:1", "useless:2", "stronger", "noisy:2"]
)
def test_what_there_is_not_is_said(name: str) -> None:
    with pytest.raises(InputError, match="there is no judge"):
        make_judge(JudgeSettings(f"simulated:{name}"), UPRIGHT)


def test_each_is_a_judge_of_its_own_and_says_that_it_is_simulated() -> None:
    names = ["exact", "noisy", "refusing", "strong", "strong:1", "mid", "weak", "useless"]
    identities = [
        make_judge(JudgeSettings(f"simulated:{name}"), UPRIGHT).identity for name in names
    ]
    assert len({identity.id for identity in identities}) == len(names)
    assert all(identity.simulated for identity in identities)


# Settings ----------------------------------------------------------------------------------------


def test_another_run_changes_what_does_not_belong_to_the_pair() -> None:
    changed = [
        np.mean([changes(shown_first(f"{k}:{n}"), shown_first(f"{k}:{n}?run=1")) for n in range(3)])
        for k in ("strong", "mid", "weak")
    ]
    assert 0.01 < changed[0] < 0.06 < changed[1] < 0.2
    assert 0.12 < changed[2] < 0.3
    np.testing.assert_array_equal(shown_first("mid?run=4"), shown_first("mid?run=4"))
    assert changes(shown_first("exact"), shown_first("exact?run=1")) == 0


def test_a_seed_is_the_judges_number() -> None:
    np.testing.assert_array_equal(shown_first("mid:3"), shown_first("mid?seed=3"))
    one, other = (
        make_judge(JudgeSettings(f"simulated:mid{n}"), UPRIGHT).identity for n in (":3", "?seed=3")
    )
    assert one == other


def test_probabilities_are_of_the_choices() -> None:
    """The mean of a soft answer is the share of choices over runs."""
    soft = shown_first("mid:1?soft=1")
    chosen = np.nanmean([shown_first(f"mid:1?run={run}") for run in range(40)], axis=0)
    sure = ~np.isnan(soft)
    assert np.unique(soft[sure]).size > 300
    assert np.abs(soft - chosen)[sure].mean() < 0.05


def test_a_drifting_judge_is_another_after_its_hundredth_question() -> None:
    usual, short = shown_first("drifting?soft=1"), shown_first("drifting?soft=1&after=10")
    later = shown_first("drifting?soft=1&after=0")
    np.testing.assert_array_equal(usual[:100], shown_first("drifting?soft=1&after=400")[:100])
    np.testing.assert_array_equal(usual[100:], later[100:])
    np.testing.assert_array_equal(short[10:], later[10:])
    assert np.nanmean(np.abs(usual - later)[:100]) > 0.03
    assignment = replace(UPRIGHT, asked_before=100)
    judge = make_judge(JudgeSettings("simulated:drifting?soft=1"), assignment)
    questions = [Question(comparison, Order.FORWARD) for comparison in PAIRS[:5]]
    outcomes = judge.read(asyncio.run(judge.ask(questions)), questions)
    answers = [o.p_shown_first if isinstance(o, Verdict) else np.nan for o in outcomes]
    np.testing.assert_array_equal(answers, later[:5])


def test_the_teacher_of_bpref() -> None:
    assert accuracy("bpref") == 1.0
    assert 0.75 < accuracy("bpref?mistake=0.2") < 0.85
    assert accuracy("bpref?beta=2") < accuracy("bpref?beta=20") < 1.0
    heights = np.array(
        [[(1 + s.observations[0, 0]) / 2 for s in (c.first, c.second)] for c in PAIRS]
    )
    answers = shown_first("bpref?skip=0.4&equal=0.1")
    np.testing.assert_array_equal(np.isnan(answers), heights.max(1) < 0.4)
    close = np.abs(np.diff(heights)[:, 0]) < 0.1
    np.testing.assert_array_equal(answers[~np.isnan(answers)] == 0.5, close[~np.isnan(answers)])


def test_a_myopic_teacher_looks_at_the_end_of_a_clip() -> None:
    def clip(*heights: float) -> Segment:
        observed = [[2 * height - 1, 0.0, 0.0] for height in heights]
        return Segment(np.array(observed, np.float32), (BLANK,))

    falling, rising = clip(1.0, 0.9, 0.2), clip(0.2, 0.3, 0.9)
    question = Question(Comparison.between("goal", falling, rising), Order.FORWARD)
    judges = (
        make_judge(JudgeSettings(f"simulated:bpref?gamma={gamma}"), UPRIGHT) for gamma in (1, 0.5)
    )
    fair, myopic = (asyncio.run(j.ask([question])).raw for j in judges)
    first_is_falling = question.shown[0] == falling
    assert fair == ('["first"]' if first_is_falling else '["second"]')
    assert myopic == ('["second"]' if first_is_falling else '["first"]')


def test_latency_price_and_size_are_as_set() -> None:
    judge = make_judge(
        JudgeSettings("simulated:exact?latency=0.05&price=0.001&per_request=3"), UPRIGHT
    )
    questions = [Question(comparison, Order.FORWARD) for comparison in PAIRS[:3]]
    started = time.perf_counter()
    reply = asyncio.run(judge.ask(questions))
    assert time.perf_counter() - started >= 0.05
    assert (reply.latency_s, judge.per_request) == (0.05, 3)
    assert not judge.immediate
    assert make_judge(JudgeSettings("simulated:exact?price=0.001"), UPRIGHT).immediate
    assert not make_judge(JudgeSettings("simulated:exact?rate=20"), UPRIGHT).immediate
    assert reply.cost_usd == judge.estimate(questions).cost_usd == pytest.approx(0.003)
    plain = make_judge(JudgeSettings("simulated:exact"), UPRIGHT)
    assert plain.identity == judge.identity, "no answer depends on them"
    varied = make_judge(JudgeSettings("simulated:exact?latency=0.01&jitter=0.5"), UPRIGHT)
    latencies = {asyncio.run(varied.ask(questions[:n])).latency_s for n in (1, 2, 3)}
    assert len(latencies) == 3


def test_beyond_the_rate_it_asks_to_wait() -> None:
    judge = make_judge(JudgeSettings("simulated:exact?rate=5"), UPRIGHT)
    questions = [Question(PAIRS[0], Order.FORWARD)]

    async def burst() -> list[AskError]:
        refused = []
        for _ in range(8):
            try:
                await judge.ask(questions)
            except AskError as error:
                refused.append(error)
        return refused

    refused = asyncio.run(burst())
    assert len(refused) == 3
    assert all(error.kind == "rate_limited" and error.again for error in refused)
    assert all(0 < (error.retry_after_s or 0) <= 0.2 for error in refused)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("strong?latency=-1", "sets latency to '-1': it is a number from 0 to 3600"),
        ("strong?seed=1.5", "sets seed to '1.5': it is a whole number from 0 on"),
        ("exact?seed=1", "sets 'seed': simulated:exact has the settings run, latency"),
        ("bpref?gama=1", "sets 'gama': simulated:bpref has the settings beta, gamma"),
        ("bpref?mistake=x", "sets mistake to 'x': it is a number from 0 to 1"),
        ("strong:1?seed=2", "names its number twice"),
        ("strong?", None),
    ],
)
def test_settings_are_checked(name: str, message: str | None) -> None:
    if message is None:
        assert make_judge(JudgeSettings(f"simulated:{name}"), UPRIGHT).identity.simulated
        return
    with pytest.raises(InputError, match=re.escape(message)):
        make_judge(JudgeSettings(f"simulated:{name}"), UPRIGHT)


@pytest.mark.parametrize("task", sorted(TRUTHS))
def test_every_known_task_has_judges_that_err(task: str) -> None:
    truth = truth_of(task)
    scale = np.array(truth.scale or 1.0)
    assert np.size(scale) in (1, len(truth.seen))
    entries = max(truth.seen) + 1
    rng = np.random.default_rng(0)
    states = np.zeros((200, max(entries, 4)), np.float32)
    states[:, list(truth.seen)] = scale * rng.uniform(-1, 1, (200, len(truth.seen)))
    segments = [Segment(state[None], (BLANK,)) for state in states]
    questions = [
        Question(Comparison.between("goal", *pair), Order.FORWARD)
        for pair in zip(segments[::2], segments[1::2], strict=True)
    ]
    assignment = replace(UPRIGHT, truth=task)
    raw = [
        asyncio.run(make_judge(JudgeSettings(f"simulated:{kind}"), assignment).ask(questions)).raw
        for kind in ("exact", "strong", "weak")
    ]
    exact, strong, weak = (np.array(json.loads(answers)) for answers in raw)
    assert (exact == strong).mean() > 0.75
    assert 0 < (exact != weak).mean() < 0.7
