"""Simulated judges err as they say, repeatably, and say what they are."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from volition.errors import InputError
from volition.goal import Goal
from volition.judges import judge as judge_named
from volition.judges.base import JudgeOptions, Question
from volition.judgment import Failure, Order, Verdict
from volition.segment import Comparison, Frame, Segment
from volition.task import JudgeView

OPTIONS = JudgeOptions(Goal("upright"), JudgeView(), task="pendulum")
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
    judge = judge_named(f"simulated:{name}", OPTIONS)
    questions = [Question(comparison, order) for comparison in PAIRS]
    outcomes = judge.read(asyncio.run(judge.ask(questions)), questions)
    return np.array([o.p_shown_first if isinstance(o, Verdict) else np.nan for o in outcomes])


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
    judge = judge_named("simulated:refusing:1", OPTIONS)
    question = Question(PAIRS[0], Order.FORWARD)
    (outcome,) = judge.read(asyncio.run(judge.ask([question])), [question])
    assert isinstance(outcome, Failure)


@pytest.mark.parametrize(
    "name", ["strong:1.5", "strong:-1", "strong:x", "exact:1", "useless:2", "stronger", "noisy:2"]
)
def test_what_there_is_not_is_said(name: str) -> None:
    with pytest.raises(InputError, match="there is no judge"):
        judge_named(f"simulated:{name}", OPTIONS)


def test_each_is_a_judge_of_its_own_and_says_that_it_is_simulated() -> None:
    names = ["exact", "noisy", "refusing", "strong", "strong:1", "mid", "weak", "useless"]
    identities = [judge_named(f"simulated:{name}", OPTIONS).identity for name in names]
    assert len({identity.id for identity in identities}) == len(names)
    assert all(identity.simulated for identity in identities)
