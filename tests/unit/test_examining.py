"""Judges that say nothing are found out, and those that say something are left alone."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest

from volition.errors import JudgeUnfit
from volition.judgment import Judgment, Order, Reply, Verdict
from volition.reward.examining import CONFIDENCE, at_least, at_most, check_fit, examine, foretold

Shown = Iterable[float]


def answers(shown_first: Shown, judge: str = "judge") -> list[Judgment]:
    """Judgments of different comparisons, by the probability of what was shown first."""
    return [
        Judgment(f"c{n}", judge, list(Order)[n % 2], Verdict(float(p)), Reply(f"{judge}{n}", ""))
        for n, p in enumerate(shown_first)
    ]


@pytest.mark.parametrize(("always", "side"), [(1.0, "first"), (0.0, "second"), (0.8, "first")])
def test_who_always_chooses_one_side_is_found_within_sixty(always: float, side: str) -> None:
    assert examine(answers([always] * 49)) == []
    (finding,) = examine(answers([always] * 60))
    assert (finding.kind, finding.judgments) == ("position", 60)
    assert f"shown {side} in 60 of 60" in finding.reason
    with pytest.raises(JudgeUnfit, match=r"A judge is not fit.*60 of 60 comparisons, whatever"):
        check_fit(answers([always] * 60), {"judge": "A judge"})


def test_who_only_calls_ties_is_found() -> None:
    (finding,) = examine(answers([0.5] * 60))
    assert finding.kind == "ties"


def test_hardly_any_fair_judge_is_stopped_however_often_one_looks() -> None:
    """Of judges that choose the rarer side every fifth time, by exact dynamic programming."""
    rarer = 0.2
    alive, stopped = np.array([1.0]), 0.0  # alive[k]: not stopped yet, with k of the rarer side
    for count in range(1, 400):
        alive = np.append(alive, 0) * (1 - rarer) + np.append(0, alive) * rarer
        for k in range(len(alive)):
            if count >= 50 and at_most(k, count, 0.13) < 1 - CONFIDENCE:
                stopped += alive[k]
                alive[k] = 0
            elif k > 0.13 * count:
                break
    assert stopped < 1e-4


def test_probabilities_that_vary_are_not_taken_for_a_position() -> None:
    rng = np.random.default_rng(0)
    assert examine(answers(rng.uniform(0.55, 0.99, 200))) == []


def test_who_is_foretold_from_what_is_seen_does_not_go_by_position() -> None:
    """Somebody who always listed the better one first still knows which is better."""
    assert examine(answers([1.0] * 60), {"judge": (57, 60)}) == []
    assert examine(answers([1.0] * 60), {"judge": (31, 60)})[0].kind == "position"


def test_chance_is_found_and_noise_with_a_grain_of_truth_is_not() -> None:
    rng = np.random.default_rng(0)
    said = answers(rng.integers(2, size=400))
    (finding,) = examine(said, {"judge": (203, 400)})
    assert finding.kind == "chance"
    assert "203, where 200 are chance" in finding.reason
    for share in (0.58, 0.7, 0.95):
        assert examine(said, {"judge": (int(400 * share), 400)}) == []
    assert examine(said[:60], {"judge": (30, 60)}) == []


def test_judges_are_examined_one_by_one() -> None:
    rng = np.random.default_rng(0)
    mixed = answers(rng.integers(2, size=60), "good") + answers([1.0] * 60, "useless")
    assert [finding.judge_id for finding in examine(mixed)] == ["useless"]


def test_asking_the_same_again_is_no_further_evidence() -> None:
    said = answers([1.0] * 10)
    assert examine(said * 6) == []


def test_what_is_foretold_undoes_the_order_and_the_bias() -> None:
    said = answers([1.0, 1.0, 0.0, 0.9, 0.6, 0.5])  # forward, swapped, forward, swapped, ...
    logits = {"c0": 1.0, "c1": -1.0, "c2": 1.0, "c3": 2.0, "c4": -2.0, "c5": 1.0}
    assert foretold(said, logits, {}) == {"judge": (2, 5)}
    # beyond a bias of 3 to the first, 0.9 and 0.6 of it speak for the second
    assert foretold(said, logits, {"judge": 3.0}) == {"judge": (4, 5)}


def test_binomial_tails() -> None:
    # R: pbinom(3, 20, 0.3), pbinom(11, 20, 0.5, lower.tail = FALSE)
    assert at_most(3, 20, 0.3) == pytest.approx(0.1070869, abs=1e-6)
    assert at_least(12, 20, 0.5) == pytest.approx(0.2517223, abs=1e-6)
    assert at_most(20, 20, 0.3) == pytest.approx(1.0)
