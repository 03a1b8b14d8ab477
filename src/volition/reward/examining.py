"""Whether a judge's answers say anything. Pure: judgments in, at most one finding a judge out.

A judge is stopped only where its answers leave hardly another explanation. Three things can be
found:

- **position**: it chooses the one side of the picture, whatever is shown there. The sides are dealt
  at random, so whoever looks at all chooses each of them now and then. Of a judge that chooses both
  at least every fifth time, fewer than one in 10,000 is ever found so, however often one looks.
- **ties**: it never prefers anything.
- **chance**: a reward model fitted to the answers decides comparisons that it never saw as the
  judge did no more often than `INFORMATIVE`, with a confidence of `CONFIDENCE`. It is not enough
  that chance is not ruled out: a fair judge of hard comparisons may need more answers.

What a reward model makes of the answers also speaks for a judge: where it foretells held-out
answers better than chance, the position is not what explains them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from volition.comparison import Floats
from volition.errors import JudgeUnfit
from volition.judgment import Judgment, Order, Verdict

ENOUGH = 50  # answers to different comparisons, before anything is said of a judge
CONFIDENCE = 0.999
ONE_SIDE = 0.13  # a judge is found to look at the position where it takes its rarer side less often
ALIKE = 0.05  # probabilities that differ by less say the same
SURE = 1e-3  # a probability nearer to 0 or 1 is a choice, which no bias explains away
INFORMATIVE = 0.6  # of held-out answers foretold: beneath it four in five answers may be tossed


@dataclass(frozen=True, slots=True)
class Finding:
    """Why a judge should not be learned from.

    Attributes:
        judge_id: The judge.
        kind: position, ties or chance.
        reason: One sentence with the counts.
        judgments: Answers to different comparisons that it rests on.
    """

    judge_id: str
    kind: str
    reason: str
    judgments: int


def examine(
    judgments: Iterable[Judgment], heldout: Mapping[str, tuple[int, int]] | None = None
) -> list[Finding]:
    """What there is to be found of every judge, in the order in which they answered.

    Args:
        judgments: All there are.
        heldout: Of each judge, how many of how many answers a reward model foretold that had not
            seen the comparison; left out as long as there is none.
    """
    by_judge: dict[str, dict[str, float]] = {}
    for judgment in judgments:
        if isinstance(judgment.outcome, Verdict):
            answers = by_judge.setdefault(judgment.judge_id, {})
            # One answer a comparison: further ones are not independent of it.
            answers.setdefault(judgment.comparison_id, judgment.outcome.p_shown_first)
    findings = []
    for judge_id, answers in by_judge.items():
        foretold = (heldout or {}).get(judge_id, (0, 0))
        finding = _examine(judge_id, list(answers.values()), foretold)
        if finding is not None:
            findings.append(finding)
    return findings


def check_fit(
    judgments: Iterable[Judgment],
    names: Mapping[str, str],
    heldout: Mapping[str, tuple[int, int]] | None = None,
) -> None:
    """That no judge is found unfit.

    Args:
        judgments, heldout: As of `examine`.
        names: Of the judges, by id.

    Raises:
        JudgeUnfit: One is; its answers are noise to whoever learns from them.
    """
    for finding in examine(judgments, heldout):
        raise JudgeUnfit(
            f"{names.get(finding.judge_id, finding.judge_id)} is not fit to judge this goal: "
            f"{finding.reason}. Nothing was learned from it; its answers are kept. Try another "
            "judge, or see whether its view ([view] in task.toml) shows what the goal is about"
        )


def foretold(
    judgments: Iterable[Judgment], logits: Mapping[str, float], biases: Mapping[str, float]
) -> dict[str, tuple[int, int]]:
    """Of each judge, how many of how many answers agree with held-out predictions.

    Args:
        judgments: All there are; of several to one comparison the first counts, and ties do not.
        logits: Of P(first preferred), by comparison, by a model that did not see it.
        biases: Of each judge to what is shown first, in logits: what a probability says beyond that
            is its answer.
    """
    counts: dict[str, tuple[int, int]] = {}
    seen: set[tuple[str, str]] = set()
    for judgment in judgments:
        key = (judgment.judge_id, judgment.comparison_id)
        if not isinstance(judgment.outcome, Verdict) or key in seen:
            continue
        seen.add(key)
        p = judgment.outcome.p_shown_first
        if p == 0.5 or judgment.comparison_id not in logits:
            continue
        inside = min(max(p, SURE), 1 - SURE)
        says_first = math.log(inside / (1 - inside)) > biases.get(judgment.judge_id, 0.0)
        if judgment.order is not Order.FORWARD:
            says_first = not says_first
        right, total = counts.get(judgment.judge_id, (0, 0))
        agrees = says_first == (logits[judgment.comparison_id] > 0)
        counts[judgment.judge_id] = (right + agrees, total + 1)
    return counts


def _examine(judge_id: str, answers: list[float], foretold: tuple[int, int]) -> Finding | None:
    """`answers`: the probability of what was shown first, of each comparison once."""
    count = len(answers)
    if count < ENOUGH:
        return None
    first, second = sum(p > 0.5 for p in answers), sum(p < 0.5 for p in answers)
    if not first and not second:
        reason = f"it called all of {count} comparisons a tie"
        return Finding(judge_id, "ties", reason, count)
    right, total = foretold
    beyond_chance = total > 0 and at_least(right, total, 0.5) < 1 - CONFIDENCE
    if _settled(answers) and not beyond_chance:
        rarer = count - max(first, second)
        if at_most(rarer, count, ONE_SIDE) < 1 - CONFIDENCE:
            side = "first" if first >= second else "second"
            reason = (
                f"it chose what was shown {side} in {max(first, second)} of {count} comparisons, "
                "whatever it was"
            )
            return Finding(judge_id, "position", reason, count)
    if total >= ENOUGH and at_most(right, total, INFORMATIVE) < 1 - CONFIDENCE:
        reason = (
            f"what it said of {total} comparisons can be foretold from its other answers in "
            f"{right}, where {total // 2} are chance"
        )
        return Finding(judge_id, "chance", reason, count)
    return None


def _settled(answers: list[float]) -> bool:
    """Whether the answers do not vary on their side: probabilities that do may still say much."""
    leaning = [max(p, 1 - p) for p in answers if p != 0.5]
    return max(leaning) - min(leaning) < ALIKE


def at_most(successes: int, trials: int, share: float) -> float:
    """Probability of so few successes or fewer, at this share of them: exact binomial."""
    return min(1.0, float(_binomial(trials, share)[: successes + 1].sum()))


def at_least(successes: int, trials: int, share: float) -> float:
    """Probability of so many successes or more, at this share of them: exact binomial."""
    return min(1.0, float(_binomial(trials, share)[max(0, successes) :].sum()))


def _binomial(trials: int, share: float) -> Floats:
    """Probability of every number of successes, float64 (trials + 1,).

    `scipy.special` has its sums, and is an eighth of what a run imports.
    """
    counts = np.arange(trials + 1)
    log_ratios = np.log(counts[:0:-1]) - np.log(counts[1:])  # of the ways to have one success more
    log_ways = np.concatenate([[0.0], log_ratios.cumsum()])
    return np.exp(log_ways + counts * math.log(share) + counts[::-1] * math.log1p(-share))
