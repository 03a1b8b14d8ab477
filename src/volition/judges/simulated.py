"""Judges that know what is true: an error model in place of a judge. They cost and wait nothing.

    simulated:exact           always right
    simulated:noisy:0.2       wrong with that probability, chosen anew for each way of asking
    simulated:refusing:0.2    refuses with that probability, and is right otherwise

A number that is left out is 0.2. Whatever is measured with one of them says so.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from volition.errors import InputError
from volition.judges.base import Estimate, JudgeOptions, Question
from volition.judgment import Failure, JudgeIdentity, Reply, Verdict
from volition.segment import Observations, Segment, content_id

PER_REQUEST = 12
DEFAULT_SHARE = 0.2
VARIANTS = ("exact", "noisy", "refusing")
OUTCOMES: dict[str, Verdict | Failure] = {
    "first": Verdict(1.0),
    "second": Verdict(0.0),
    "tie": Verdict(0.5),
    "refused": Failure("refused", "I would rather not say."),
}

# environment: how well an observation (obs_dim,) represents the goal of the bundled task there
POTENTIALS: dict[str, Callable[[Observations], float]] = {
    "Pendulum-v1": lambda observed: float(observed[0]),  # the height of the rod's end
}


@dataclass(frozen=True, slots=True)
class SimulatedJudge:
    """Answers from a potential. Its errors depend on the question alone, so they can be repeated.

    Attributes:
        variant: exact, noisy or refusing.
        share: How often it is wrong, or refuses.
        env_id: Whose potential it knows.
    """

    variant: str
    share: float
    env_id: str

    per_request = PER_REQUEST

    @property
    def identity(self) -> JudgeIdentity:
        settings = {"environment": self.env_id, "share": str(self.share)}
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
        asked = f"{self.identity.id} {question.comparison.id} {question.order}"
        errs = self.variant != "exact" and random.Random(asked).random() < self.share
        if errs and self.variant == "refusing":
            return "refused"
        first, second = (self._potential(segment) for segment in question.shown)
        if first == second:
            return "tie"
        return "first" if (first > second) is not errs else "second"

    def _potential(self, segment: Segment) -> float:
        potential = POTENTIALS[self.env_id]
        return float(np.mean([potential(observed) for observed in segment.observations]))


def make(model: str, options: JudgeOptions) -> SimulatedJudge:
    """The simulated judge of this variant for an environment.

    Raises:
        InputError: There is no such variant, or nobody knows what is true in the environment.
    """
    variant, _, share = model.partition(":")
    try:
        wrong = float(share) if share else DEFAULT_SHARE
    except ValueError:
        wrong = -1.0
    if variant not in VARIANTS or not 0 <= wrong <= 1:
        raise InputError(
            f"there is no judge 'simulated:{model}': it is one of {', '.join(VARIANTS)}, "
            "with a probability after it if you like, such as simulated:noisy:0.3"
        )
    if options.env_id not in POTENTIALS:
        raise InputError(
            f"a simulated judge knows what is true in {', '.join(POTENTIALS)} only, "
            f"not in {options.env_id}"
        )
    return SimulatedJudge(variant, 0.0 if variant == "exact" else wrong, options.env_id)
