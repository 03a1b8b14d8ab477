"""What came of a comparison of two policies: counts, and a line for a person."""

from __future__ import annotations

from dataclasses import dataclass

from volition.reward.examining import at_least
from volition.reward.preferences import Proportion


@dataclass(frozen=True, slots=True)
class ContestResult:
    """What came of it, as in `result.json`.

    Attributes:
        compare: Its folder.
        a, b: The two policies.
        task, goal: What was judged.
        judge: Who judged.
        simulated: Whether any judge is an error model in place of a judge.
        same_judge: Whether one of the two was trained on the judge.
        pairs: Of episodes.
        unjudged: Of them without an answer.
        wins, losses, ties: Of A.
        win_rate: A's share of the pairs that were decided; None where none is.
        interval: Of the win-rate: Wilson's, 95%.
        p_value: Of the exact two-sided sign test.
        cost_usd: What judging did cost, in US dollars.
        seed: Of the sides, and of the random policy.
        summary: One line for a person.
    """

    compare: str
    a: str
    b: str
    task: str
    goal: str
    judge: str
    simulated: bool
    same_judge: bool
    pairs: int
    unjudged: int
    wins: int
    losses: int
    ties: int
    win_rate: float | None
    interval: tuple[float, float]
    p_value: float
    cost_usd: float
    seed: int
    summary: str = ""


@dataclass(frozen=True, slots=True)
class Tally:
    """How often A's episode was preferred to B's."""

    wins: int
    losses: int
    ties: int

    @property
    def rate(self) -> Proportion:
        """A's share of the pairs that were decided."""
        return Proportion(self.wins, self.wins + self.losses)

    @property
    def p_value(self) -> float:
        """Of the exact two-sided sign test."""
        more, decided = max(self.wins, self.losses), self.rate.trials
        return min(1.0, 2 * at_least(more, decided, 0.5)) if decided else 1.0


def summary(result: ContestResult) -> str:
    """One line for a person."""
    low, high = result.interval
    rate = (
        "no pair is decided"
        if result.win_rate is None
        else (
            f"win-rate {result.win_rate:.1%} (95% Wilson interval {low:.1%} to {high:.1%}, "
            f"p = {result.p_value:.2g})"
        )
    )
    by = f"judged by {result.judge}" + (", which is simulated" if result.simulated else "")
    if result.same_judge:
        by += ", on which one of the two was trained"
    counts = f"{result.wins} wins, {result.losses} losses, {result.ties} ties"
    if result.unjudged:
        counts += f", {result.unjudged} of {result.pairs} pairs not answered"
    return f"{result.a} against {result.b}: {counts}; {rate}; {by}"
