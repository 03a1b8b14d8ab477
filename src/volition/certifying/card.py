"""The certificate: what was found of a judge, as `certificate.json` has it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from volition.certifying.counting import Estimate, Share
from volition.certifying.guarantee import Corrected, Guarantee
from volition.storage.documents import read_document

Verdict = Literal["GREEN", "AMBER", "RED"]
FILE, PAGE = "certificate.json", "certificate.html"


@dataclass(frozen=True, slots=True)
class Probe:
    """Questions of which the right answer is known without anybody's label.

    Attributes:
        name: What was shown.
        passed: How many of them were answered as they must be.
        skipped: Why it was not put, if it was not.
    """

    name: str
    passed: Share
    skipped: str = ""


@dataclass(frozen=True, slots=True)
class Gap:
    """Pairs that differ by about as much.

    Attributes:
        low, high: Of the difference in the potential, which is from 0 to 1.
        right: Of the answers, as they came.
    """

    low: float
    high: float
    right: Share


@dataclass(frozen=True, slots=True)
class Checked:
    """The answers beside labels. Nothing of it is in the verdict.

    Attributes:
        source: Whose labels.
        right: Of the answers, as they came.
        smallest: The difference at which three of four answers are right; None where nobody knows
            how far apart the pairs are, or none is.
        error, error_after: Expected calibration error as the probabilities came, and after an
            isotonic fit to the other half of the answers.
    """

    source: str
    right: Share
    gaps: tuple[Gap, ...]
    smallest: float | None
    error: float
    error_after: float


@dataclass(frozen=True, slots=True)
class SheetSize:
    """The same pairs, so many in one request.

    Attributes:
        per_request: How many.
        agrees: With what was said of them both ways round, of those that did not contradict itself.
        tokens: In and out, of one comparison.
        bits: That a thousand tokens buy.
    """

    per_request: int
    agrees: Share
    tokens: float
    bits: float


@dataclass(frozen=True, slots=True)
class Second:
    """Another judge on the same pairs.

    Attributes:
        agrees: Of the pairs in both orders of which neither judge contradicts itself.
        both_wrong: Correlation of their errors by the labels; None without labels, or errors.
    """

    judge: str
    simulated: bool
    agrees: Share
    both_wrong: float | None


@dataclass(frozen=True, slots=True)
class Taken:
    """What certifying took.

    Attributes:
        requests: Sent; 0 of answers that were given.
        answers: That came.
        failures: Of the questions, without an answer.
        cost_usd: US dollars, trying the judge included.
        minutes: Summed latencies over what may be under way at once.
    """

    requests: int
    answers: int
    failures: int
    cost_usd: float
    minutes: float


@dataclass(frozen=True, slots=True)
class Needs:
    """What training on this judge will take, as far as it can be foretold.

    Attributes:
        judgments: For a task like the pendulum; None of a judge that says nothing.
        cost_usd: US dollars for them; None where no price is known.
        minutes: Likewise.
    """

    judgments: int | None
    cost_usd: float | None
    minutes: float | None


@dataclass(frozen=True, slots=True)
class Certificate:
    """What was found of a judge for a goal.

    Attributes:
        environment, goal: What was judged; empty where the answers do not say.
        judge, judge_id: Who.
        named: As what it is asked; empty of answers that were given.
        simulated: Whether that is an error model in place of a judge.
        verdict: GREEN: go on. AMBER: with what is said in `reasons`. RED: do not.
        reasons: One sentence each.
        pairs: That were answered in both orders.
        consistent: Of them, of which the same one was chosen both times.
        chose_first: Of all answers to them, that chose what was shown first.
        repeated: Answers that stayed the same, asked again the same way; None where none was.
        cycles: Of three states that were all compared, where the answers go round in a circle.
        bias: To what is shown first, in standard deviations of its noise.
        accuracy, bias_free, bits: As of `ranking.Ranking`.
        probes: Whose answers are known.
        capability: What trying it showed.
        checked: Beside what is true, or labels.
        sheets: What more pairs in a request do.
        second: Another judge.
        corrected: How often it is right by labels, where there are some.
        guarantees: What is promised of accepted answers by labels, one for each alpha and stage.
    """

    environment: str
    goal: str
    judge: str
    judge_id: str
    named: str
    simulated: bool
    verdict: Verdict
    reasons: tuple[str, ...]
    pairs: int
    consistent: Share
    chose_first: Share
    repeated: Share | None
    cycles: Share
    bias: Estimate
    accuracy: Estimate
    bias_free: Estimate
    bits: Estimate
    needs: Needs
    taken: Taken
    probes: tuple[Probe, ...] = ()
    capability: tuple[str, ...] = ()
    checked: Checked | None = None
    sheets: tuple[SheetSize, ...] = ()
    second: Second | None = None
    corrected: Corrected | None = None
    guarantees: tuple[Guarantee, ...] = ()

    @property
    def summary(self) -> str:
        """One line for a person."""
        by = f"{self.judge} (simulated)" if self.simulated else self.judge
        low, high = self.accuracy.low, self.accuracy.high
        return (
            f"{self.verdict}: {by} is foretold to be right in {self.accuracy.value:.0%} of its "
            f"answers ({low:.0%} to {high:.0%}), {self.needs_said}"
        )

    @property
    def needs_said(self) -> str:
        """What training on it would take, in words."""
        if self.needs.judgments is None:
            return "and no number of them would do"
        words = f"of which some {self.needs.judgments:,} are needed"
        if self.needs.cost_usd and self.needs.minutes is not None:
            words += f" (${self.needs.cost_usd:.4f}, {self.needs.minutes:.1f} minutes)"
        return words


def read_certificate(folder: Path) -> Certificate:
    """The certificate in a folder.

    Raises:
        RunError: There is none, or it was changed.
    """
    return read_document(folder / FILE, Certificate)


NONE = Share.of(0, 0)
