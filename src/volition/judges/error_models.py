"""How simulated judges come to their answers. Pure functions of judge and asking."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
import numpy.typing as npt

from volition.comparison import Segment
from volition.goal import Principle
from volition.judges.base import Question
from volition.judgment import Order
from volition.tasks.truth import truth_of

FIRST, SECOND, TIE, REFUSED = "first", "second", "tie", "refused"
Answer = str | float  # one of the four, or the probability of what is shown first

WAVES = 64  # of which a warp is the sum
WAVE_LENGTH = 0.5  # of two entries' range from the middle: over that it errs alike
# Times as much noise a run as `fixed` leaves: so real judges' changes are met, all three.
ANEW = 1.28
# Of a potential that is 1 where a stage is done, and else 0; and of one that is 1 where a veto is
# kept to, and may be more than half where little is amiss.
BARS: Mapping[str, float] = {"done": 0.5, "kept": 0.75}
DRIFTS = 0.2  # share of a drifting eye's variance that is drawn anew


@dataclass(frozen=True, slots=True)
class Asking:
    """One time that a question is put.

    Attributes:
        question: What is asked.
        run: Noise that does not belong to the pair is drawn anew in every run.
        before: How many questions the judge was asked before this one.
        together: Principles that the goal's words hold, so that each of them counts as the goal
            does where the question is put under none.
    """

    question: Question
    run: int = 0
    before: int = 0
    together: tuple[str, ...] = ()

    def worth(self, segment: Segment, task: str) -> float:
        """How well a segment represents what is asked about, by what is true of this task."""
        truth = truth_of(task)
        return truth.of(segment, self.principle, self.question.veto, self.together)

    @property
    def principle(self) -> str | None:
        """The words of what is asked, as a truth knows them."""
        question = self.question
        kept = question.asks == "kept" and question.principle is not None
        return (
            Principle(question.principle or "", asks="kept").words if kept else question.principle
        )

    @property
    def bar(self) -> float | None:
        """With what the first is compared where it alone is asked about."""
        return BARS.get(self.question.asks)

    def worths(self, task: str) -> tuple[float, float]:
        """Of what is shown first and second. Whether a stage is done or a veto kept to is asked of
        the first alone: it is compared with what lies between yes and no."""
        first, second = (self.worth(segment, task) for segment in self.question.shown)
        return first, second if self.bar is None else self.bar


class ErrorModel(Protocol):
    """What stands in for a judge's mind."""

    def answer(self, asking: Asking) -> Answer:
        """The answer: the same for the same asking."""
        ...


@dataclass(frozen=True, slots=True)
class Chance:
    """Random numbers that belong to a judge and to whatever else is named."""

    key: str

    def __call__(self, question: Question, *about: object) -> float:
        """In [0, 1)."""
        return random.Random(
            " ".join([self.key, question.comparison.id, *map(str, about)])
        ).random()


@dataclass(frozen=True, slots=True)
class OneSide:
    """Always chooses what is shown first."""

    def answer(self, asking: Asking) -> Answer:
        return FIRST


@dataclass(frozen=True, slots=True)
class Truthful:
    """Right, but for a share of the answers that are wrong, or refused."""

    task: str
    chance: Chance
    wrong: float = 0.0
    refused: float = 0.0

    def answer(self, asking: Asking) -> Answer:
        question = asking.question
        draw = self.chance(question, question.order, asking.run)
        if draw < self.refused:
            return REFUSED
        first, second = asking.worths(self.task)
        if first == second:
            return TIE
        return FIRST if (first > second) is not (draw < self.wrong) else SECOND


@dataclass(frozen=True, slots=True)
class Warp:
    """A smooth random field over states: random Fourier features of a Gaussian process with a
    squared-exponential kernel (Rahimi and Recht, 2007), of zero mean and unit variance."""

    frequencies: npt.NDArray[np.float64]  # (waves, entries)
    phases: npt.NDArray[np.float64]  # (waves,)

    @classmethod
    def draw(cls, rng: np.random.Generator, entries: int) -> Warp:
        # States of more entries are further apart; the field is to be as smooth between them.
        length = WAVE_LENGTH * math.sqrt(entries / 2)
        frequencies = rng.normal(scale=1 / length, size=(WAVES, entries))
        return cls(frequencies, rng.uniform(0, 2 * math.pi, WAVES))

    def __call__(self, seen: npt.NDArray[np.floating]) -> float:
        """Mean over the states (T, entries) of a segment, in units of their range."""
        waves = np.cos(seen.astype(np.float64) @ self.frequencies.T + self.phases)
        return math.sqrt(2 / WAVES) * float(waves.sum(1).mean())


@dataclass(frozen=True, slots=True)
class Eye:
    """How one judge sees: warps with their weights, and a bias in standard deviations."""

    warps: tuple[tuple[float, Warp], ...]
    bias: float

    def warped(self, seen: npt.NDArray[np.floating]) -> float:
        return sum(weight * warp(seen) for weight, warp in self.warps)


@dataclass(frozen=True)
class Fallible:
    """Errs as real judges do. The logit of choosing what is shown first is

        kappa (phi_1 + w(s_1) - phi_2 - w(s_2)) + beta + noise,

    phi being the potential, w a smooth random field over states (the judge's eye is warped, which
    asking again does not change), beta a bias to what is shown first, and noise of the logistic
    distribution, of which a part belongs to the pair, however often and whichever way round it
    is put; the rest is drawn anew for each order and run.

    Attributes:
        task: Whose truth it knows.
        chance: Random numbers of this judge's own, its eye and its bias among them.
        kappa: Slope.
        warp: Standard deviation of w over states.
        order_bias: Standard deviation of beta over judges.
        fixed: Share of the noise's variance that belongs to the pair.
        failures: Share of the answers that are refusals.
        soft: Whether it says how likely it was to choose the first, in place of choosing.
        bias: beta itself, in place of one that is drawn.
        drifts_after: Questions, before its bias and `DRIFTS` of its eye are drawn anew.
    """

    task: str
    chance: Chance
    kappa: float
    warp: float
    order_bias: float
    fixed: float
    failures: float
    soft: bool = False
    bias: float | None = None
    drifts_after: float = math.inf

    def answer(self, asking: Asking) -> Answer:
        question, order = asking.question, asking.question.order
        if self.chance(question, order, "failure", asking.run) < self.failures:
            return REFUSED
        eye = self.later_eye if asking.before >= self.drifts_after else self.eye
        first, second = (
            worth + self._misseen(segment, eye)
            for worth, segment in zip(asking.worths(self.task), question.shown, strict=True)
        )
        of_pair = _logistic(self.chance(question))
        if order is not Order.FORWARD:
            of_pair = -of_pair
        settled = (
            self.kappa * (first - second)
            + (self.order_bias * eye.bias if self.bias is None else self.bias)
            + math.sqrt(self.fixed) * of_pair
        )
        anew = ANEW * math.sqrt(1 - self.fixed)
        if self.soft:
            return 1 / (1 + math.exp(-min(max(settled / anew, -30), 30)))
        drawn = _logistic(self.chance(question, order, "noise", asking.run))
        return FIRST if settled + anew * drawn > 0 else SECOND

    @cached_property
    def eye(self) -> Eye:
        warp, bias = self._draw("")
        return Eye(((1.0, warp),), bias)

    @cached_property
    def later_eye(self) -> Eye:
        """After it has drifted."""
        other, bias = self._draw("later ")
        ((_, warp),) = self.eye.warps
        return Eye(((math.sqrt(1 - DRIFTS), warp), (math.sqrt(DRIFTS), other)), bias)

    def _draw(self, when: str) -> tuple[Warp, float]:
        seed = int.from_bytes(f"{when}{self.chance.key}".encode(), "little")
        rng = np.random.default_rng(seed)
        return Warp.draw(rng, len(truth_of(self.task).seen)), float(rng.normal())

    def _misseen(self, segment: Segment, eye: Eye) -> float:
        truth = truth_of(self.task)
        scaled = segment.observations[:, list(truth.seen)] / np.array(truth.scale or 1.0)
        return self.warp * eye.warped(scaled)


@dataclass(frozen=True, slots=True)
class Teacher:
    """The simulated teacher of B-Pref (Lee et al., arXiv:2111.03026, section 3), on potentials in
    place of rewards, a segment's being the weighted mean of its states'.

    Attributes:
        task: Whose truth it knows.
        chance: Random numbers of this judge's own.
        beta: Rationality: the logit of the better one is beta times the difference (eq. 4).
        gamma: How much less each step counts than the one after it ("myopic").
        mistake: Probability of the opposite answer.
        skip: Pairs of which both are worse than this are refused.
        equal: Pairs that differ by less than this are called a tie.
    """

    task: str
    chance: Chance
    beta: float = math.inf
    gamma: float = 1.0
    mistake: float = 0.0
    skip: float = 0.0
    equal: float = 0.0

    def answer(self, asking: Asking) -> Answer:
        question = asking.question
        first, second = (self._return(segment, asking) for segment in question.shown)
        if asking.bar is not None:
            second = asking.bar
        if max(first, second) < self.skip:
            return REFUSED
        if first == second or abs(first - second) < self.equal:
            return TIE
        about = question.order, asking.run
        if math.isinf(self.beta):
            prefers_first = first > second
        else:
            prefers_first = (
                self.beta * (first - second) + _logistic(self.chance(question, *about)) > 0
            )
        if self.chance(question, *about, "mistake") < self.mistake:
            prefers_first = not prefers_first
        return FIRST if prefers_first else SECOND

    def _return(self, segment: Segment, asking: Asking) -> float:
        observed = segment.observations
        if self.gamma == 1:
            return asking.worth(segment, self.task)
        truth, principle = truth_of(self.task), asking.principle
        potential = truth.under(principle) if principle else truth.whole(asking.together)
        weights = self.gamma ** np.arange(len(observed) - 1, -1, -1.0)
        potentials = [potential(observed[step : step + 1]) for step in range(len(observed))]
        return float(np.average(potentials, weights=weights))


def _logistic(uniform: float) -> float:
    """A number of the standard logistic distribution of one in [0, 1)."""
    inside = min(max(uniform, 1e-12), 1 - 1e-12)
    return math.log(inside / (1 - inside))
