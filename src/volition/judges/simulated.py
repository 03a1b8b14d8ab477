"""Judges that know what is true: an error model in place of a judge. They cost and wait nothing.

    simulated:exact           always right
    simulated:noisy:0.2       wrong with that probability, chosen anew for each way of asking
    simulated:refusing:0.2    refuses with that probability, and is right otherwise
    simulated:strong          errs as a strong multimodal LLM does; mid and weak likewise
    simulated:strong:7        another judge of the same kind: another eye, another bias
    simulated:useless         chooses what is shown first

A number that is left out is 0.2, or the judge number 0. Whatever is measured with one of them says
so. An answer depends on the judge and the question alone, so that it can be repeated.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from volition.errors import InputError
from volition.judges.base import Estimate, JudgeOptions, Question
from volition.judgment import Failure, JudgeIdentity, Order, Reply, Verdict
from volition.segment import Segment, content_id
from volition.truth import truth_of

PER_REQUEST = 12
DEFAULT_SHARE = 0.2
WITH_SHARE = ("noisy", "refusing")
WITH_NUMBER = ("strong", "mid", "weak")
VARIANTS = ("exact", *WITH_SHARE, *WITH_NUMBER, "useless")
OUTCOMES: dict[str, Verdict | Failure] = {
    "first": Verdict(1.0),
    "second": Verdict(0.0),
    "tie": Verdict(0.5),
    "refused": Failure("refused", "I would rather not say."),
}


@dataclass(frozen=True, slots=True)
class ErrorModel:
    """How real judges err. The logit of choosing what is shown first is

        kappa (phi_1 + w(s_1) - phi_2 - w(s_2)) + beta + noise,

    phi being the potential, w a smooth random field over states (the judge's eye is warped, which
    asking again does not change), beta a bias to what is shown first, and noise of the logistic
    distribution, of which a part belongs to the pair, however often and whichever way round it
    is put.

    Attributes:
        kappa: Slope.
        warp: Standard deviation of w over states.
        order_bias: Standard deviation of beta over judges.
        fixed: Share of the noise's variance that belongs to the pair.
        failures: Share of the answers that are refusals.
    """

    kappa: float
    warp: float
    order_bias: float
    fixed: float
    failures: float


PRESETS = {
    "strong": ErrorModel(22.0, 0.067, 0.3, 0.9, 0.002),
    "mid": ErrorModel(4.8, 0.08, 1.1, 0.8, 0.005),
    "weak": ErrorModel(2.0, 0.12, 2.4, 0.6, 0.02),
}
WAVES = 64  # of which a warp is the sum
WAVE_LENGTH = 0.5  # in units of observations: features of about this size are misjudged alike


@dataclass(frozen=True, slots=True)
class Warp:
    """A smooth random field over states: random Fourier features of a Gaussian process with a
    squared-exponential kernel (Rahimi and Recht, 2007), of zero mean and unit variance."""

    frequencies: npt.NDArray[np.float64]  # (waves, entries)
    phases: npt.NDArray[np.float64]  # (waves,)

    @classmethod
    def draw(cls, rng: np.random.Generator, entries: int) -> Warp:
        frequencies = rng.normal(scale=1 / WAVE_LENGTH, size=(WAVES, entries))
        return cls(frequencies, rng.uniform(0, 2 * math.pi, WAVES))

    def __call__(self, seen: npt.NDArray[np.floating]) -> float:
        waves = np.cos(self.frequencies @ seen.astype(np.float64) + self.phases)
        return math.sqrt(2 / WAVES) * float(waves.sum())


@dataclass(frozen=True)
class SimulatedJudge:
    """Answers from what is true.

    Attributes:
        variant: One of `VARIANTS`.
        number: How often it is wrong, or refuses; of a judge by an error model, which one it is.
        task: The bundled task whose truth it knows.
    """

    variant: str
    number: float
    task: str

    per_request = PER_REQUEST
    immediate = True  # waiting for an answer takes no time

    @property
    def identity(self) -> JudgeIdentity:
        named = "share" if self.variant in ("exact", *WITH_SHARE) else "number"
        settings = {"task": self.task, named: str(self.number)}
        return JudgeIdentity(f"simulated:{self.variant}", simulated=True, settings=settings)

    def estimate(self, questions: Sequence[Question]) -> Estimate:
        return Estimate(0, 0, 0.0)

    async def ask(self, questions: Sequence[Question]) -> Reply:
        raw = json.dumps([self._answer(question) for question in questions])
        asked = [f"{q.comparison.id} {q.order} {q.principle}" for q in questions]
        return Reply(content_id(self.identity.id.encode(), *map(str.encode, asked)), raw)

    def read(self, reply: Reply, questions: Sequence[Question]) -> list[Verdict | Failure]:
        try:
            outcomes = [OUTCOMES[answer] for answer in json.loads(reply.raw)]
        except (ValueError, TypeError, LookupError, RecursionError):
            outcomes = []
        if len(outcomes) != len(questions):
            return [Failure("unparsable", f"{reply.raw:.200}")] * len(questions)
        return outcomes

    async def close(self) -> None:
        pass

    def _answer(self, question: Question) -> str:
        if self.variant == "useless":
            return "first"
        if self.variant in PRESETS:
            return self._fallible(PRESETS[self.variant], question)
        errs = self.variant != "exact" and self._random(question, question.order) < self.number
        if errs and self.variant == "refusing":
            return "refused"
        first, second = (self._potential(segment) for segment in question.shown)
        if first == second:
            return "tie"
        return "first" if (first > second) is not errs else "second"

    def _fallible(self, model: ErrorModel, question: Question) -> str:
        order = question.order
        if self._random(question, order, "failure") < model.failures:
            return "refused"
        first, second = (
            self._potential(segment) + model.warp * self._warped(segment)
            for segment in question.shown
        )
        of_pair = _logistic(self._random(question))
        if order is not Order.FORWARD:
            of_pair = -of_pair
        anew = _logistic(self._random(question, order, "noise"))
        noise = math.sqrt(model.fixed) * of_pair + math.sqrt(1 - model.fixed) * anew
        beta = model.order_bias * self._eye[1]
        return "first" if model.kappa * (first - second) + beta + noise > 0 else "second"

    @cached_property
    def _eye(self) -> tuple[Warp, float]:
        """How this judge sees, and how many standard deviations it is biased to the first."""
        seed = int.from_bytes(f"{self.variant} {self.number}".encode(), "little")
        rng = np.random.default_rng(seed)
        return Warp.draw(rng, len(truth_of(self.task).seen)), float(rng.normal())

    def _random(self, question: Question, *about: object) -> float:
        """A number in [0, 1) that belongs to this judge, the comparison and what else is given."""
        key = [self.identity.id, question.comparison.id, *map(str, about)]
        return random.Random(" ".join(key)).random()

    def _potential(self, segment: Segment) -> float:
        return truth_of(self.task).potential(segment.observations)

    def _warped(self, segment: Segment) -> float:
        warp, seen = self._eye[0], list(truth_of(self.task).seen)
        return float(np.mean([warp(observed[seen]) for observed in segment.observations]))


def _logistic(uniform: float) -> float:
    """A number of the standard logistic distribution of one in [0, 1)."""
    inside = min(max(uniform, 1e-12), 1 - 1e-12)
    return math.log(inside / (1 - inside))


def make(model: str, options: JudgeOptions) -> SimulatedJudge:
    """The simulated judge of this variant for an environment.

    Raises:
        InputError: There is no such variant, or nobody knows what is true in the environment.
    """
    variant, _, said = model.partition(":")
    try:
        number = float(said) if said else DEFAULT_SHARE if variant in WITH_SHARE else 0.0
    except ValueError:
        number = -1.0
    possible = {
        **dict.fromkeys(("exact", "useless"), not said),
        **dict.fromkeys(WITH_SHARE, 0 <= number <= 1),
        **dict.fromkeys(WITH_NUMBER, number >= 0 and number.is_integer()),
    }
    if not possible.get(variant):
        raise InputError(
            f"there is no judge 'simulated:{model}': it is one of {', '.join(VARIANTS)}, if you "
            "like with a probability after it, such as simulated:noisy:0.3, or with a number, such "
            "as simulated:strong:7"
        )
    truth_of(options.task)
    return SimulatedJudge(variant, number, options.task)
