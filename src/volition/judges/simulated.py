"""Judges that know what is true: an error model in place of a judge. Nothing leaves this process.

    simulated:exact           always right
    simulated:noisy:0.2       wrong with that probability, chosen anew for each way of asking
    simulated:refusing:0.2    refuses with that probability, and is right otherwise
    simulated:strong          errs as a strong multimodal LLM does; mid and weak likewise
    simulated:strong:7        another judge of the same kind: another eye, another bias
    simulated:drifting        like mid, until it has been asked 100 questions: then its bias and a
                              fifth of its eye are drawn anew
    simulated:useless         chooses what is shown first
    simulated:bpref           the teacher of B-Pref: with beta, gamma, mistake, skip, equal

A number that is left out is 0.2, or the judge number 0. After a question mark come further
settings, as in `simulated:strong?seed=3&latency=1.5&rate=20`:

    run             0, 1, 2 ...: draws anew what does not belong to the pair
    latency         seconds from request to reply
    jitter          of the latency: standard deviation of its logarithm
    rate            requests a second, beyond which it asks to wait
    price           US dollars a judgment
    per_request     questions in one request at most
    seed, soft      of strong, mid, weak and drifting: the judge's number; 1 for probabilities
    bias            of the same: to what is shown first, in logits, in place of one that is drawn
    after           of drifting: questions before it drifts

Whatever is measured with one of them says so. An answer depends on the judge, the run and the
question alone, so that it can be repeated; of `drifting` also on how many questions it was asked
before, counted from `Assignment.asked_before`.
"""

from __future__ import annotations

import asyncio
import json
import math
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from volition.comparison import content_id
from volition.errors import InputError
from volition.judges.base import AskError, Assignment, Capability, Estimate, Question
from volition.judges.error_models import (
    FIRST,
    REFUSED,
    SECOND,
    TIE,
    Asking,
    Chance,
    ErrorModel,
    Fallible,
    OneSide,
    Teacher,
    Truthful,
)
from volition.judges.settings import JudgeSettings
from volition.judgment import Failure, JudgeIdentity, Reply, Verdict
from volition.tasks.truth import truth_of

PER_REQUEST = 12
DEFAULT_SHARE = 0.2
DRIFTS_AFTER = 100
WITH_SHARE = ("noisy", "refusing")
WITH_NUMBER = ("strong", "mid", "weak", "drifting")
VARIANTS = ("exact", *WITH_SHARE, *WITH_NUMBER, "useless", "bpref")
OUTCOMES: dict[str, Verdict | Failure] = {
    FIRST: Verdict(1.0),
    SECOND: Verdict(0.0),
    TIE: Verdict(0.5),
    REFUSED: Failure("refused", "I would rather not say."),
}
# of each kind: kappa, warp, order_bias, fixed, failures
PRESETS = {
    "strong": (22.0, 0.067, 0.3, 0.9, 0.002),
    "mid": (4.8, 0.08, 1.1, 0.8, 0.005),
    "weak": (2.0, 0.12, 2.4, 0.6, 0.02),
    "drifting": (4.8, 0.08, 1.1, 0.8, 0.005),
}
# of each setting: lowest and highest value, and whether it is a whole number
KNOBS = {
    "seed": (0, math.inf, True),
    "soft": (0, 1, True),
    "bias": (-30, 30, False),
    "after": (0, math.inf, True),
    "beta": (0, math.inf, False),
    "gamma": (0, 1, False),
    "mistake": (0, 1, False),
    "skip": (0, 1, False),
    "equal": (0, 1, False),
    "run": (0, math.inf, True),
    "latency": (0, 3600, False),
    "jitter": (0, 3, False),
    "rate": (1e-3, math.inf, False),
    "price": (0, 1e6, False),
    "per_request": (1, 1000, True),
}
SERVICE = ("latency", "jitter", "rate", "price", "per_request")  # no answer depends on them
KNOBS_OF = {
    **dict.fromkeys(VARIANTS, ("run", *SERVICE)),
    **dict.fromkeys(WITH_NUMBER, ("seed", "soft", "bias", "run", *SERVICE)),
    "drifting": ("seed", "soft", "bias", "after", "run", *SERVICE),
    "bpref": ("beta", "gamma", "mistake", "skip", "equal", "run", *SERVICE),
}


@dataclass(frozen=True, slots=True)
class Service:
    """How a simulated provider serves.

    Attributes:
        latency: Seconds from request to reply: the median.
        jitter: Standard deviation of the latency's logarithm; 0 is always the same.
        rate: Requests a second; a second's worth of them may come at once.
        price: US dollars a judgment.
        per_request: Questions in one request at most.
    """

    latency: float = 0.0
    jitter: float = 0.0
    rate: float = math.inf
    price: float = 0.0
    per_request: int = PER_REQUEST


class SimulatedJudge:
    """Answers from what is true.

    Args:
        identity: Who it is.
        errors: How it comes to its answers.
        service: How it serves.
        run: Of the noise that does not belong to the pair.
        before: How many questions it was asked before.
        together: As of `Assignment`.
    """

    def __init__(
        self,
        identity: JudgeIdentity,
        errors: ErrorModel,
        service: Service = Service(),
        run: int = 0,
        before: int = 0,
        together: tuple[str, ...] = (),
    ) -> None:
        self.identity, self.per_request = identity, service.per_request
        self.capability: Capability | None = None
        self.immediate = service.latency == 0 and math.isinf(service.rate)
        self._errors, self._service, self._run, self._before = errors, service, run, before
        self._together = together
        self._allowed, self._counted_at = max(1.0, service.rate), time.monotonic()

    def estimate(self, questions: Sequence[Question]) -> Estimate:
        return Estimate(0, 0, self._service.price * len(questions))

    async def ask(self, questions: Sequence[Question]) -> Reply:
        self._keep_to_the_rate()
        key = " ".join(f"{q.comparison.id} {q.order} {q.principle}" for q in questions)
        answers = []
        for question in questions:
            asking = Asking(question, self._run, self._before, self._together)
            answers.append(self._errors.answer(asking))
            self._before += 1
        latency = self._service.latency
        if self._service.jitter:
            latency *= math.exp(random.Random(key).gauss(0, self._service.jitter))
        if latency:
            await asyncio.sleep(latency)
        return Reply(
            content_id(self.identity.id.encode(), key.encode()),
            json.dumps(answers),
            cost_usd=self._service.price * len(questions),
            latency_s=latency,
        )

    def read(self, reply: Reply, questions: Sequence[Question]) -> list[Verdict | Failure]:
        try:
            outcomes = [
                Verdict(answer) if isinstance(answer, float) else OUTCOMES[answer]
                for answer in json.loads(reply.raw)
            ]
        except (ValueError, TypeError, LookupError, RecursionError):
            outcomes = []
        if len(outcomes) != len(questions):
            return [Failure("unparsable", f"{reply.raw:.200}")] * len(questions)
        return outcomes

    async def close(self) -> None:
        pass

    def _keep_to_the_rate(self) -> None:
        """A bucket that fills with `rate` requests a second, up to a second's worth."""
        rate, now = self._service.rate, time.monotonic()
        if math.isinf(rate):
            return
        gained = (now - self._counted_at) * rate
        self._allowed, self._counted_at = min(max(1.0, rate), self._allowed + gained), now
        if self._allowed < 1:
            wait = (1 - self._allowed) / rate
            reason = f"a simulated limit of {rate:g} requests a second"
            raise AskError("rate_limited", reason, again=True, retry_after_s=wait)
        self._allowed -= 1


def make(model: str, _settings: JudgeSettings, assignment: Assignment) -> SimulatedJudge:
    """The simulated judge of this variant for a task.

    Raises:
        InputError: There is no such variant or setting, or nobody knows what is true of the task.
    """
    named, _, further = model.partition("?")
    variant, _, suffix = named.partition(":")
    number = _number(variant, suffix, model)
    knobs = _knobs(variant, further, model)
    if suffix and "seed" in knobs:
        raise InputError(f"'simulated:{model}' names its number twice: leave seed or {suffix} out")
    number = knobs.pop("seed", number)
    truth_of(assignment.truth)
    per_request = int(knobs.pop("per_request", PER_REQUEST))
    served = {name: knobs.pop(name) for name in SERVICE if name in knobs}
    service = Service(**served, per_request=per_request)
    share = "share" if variant in ("exact", *WITH_SHARE) else "number"
    settings = {"task": assignment.truth, share: str(float(number))}
    errors = _error_model(variant, number, assignment.truth, knobs)
    settings |= {name: f"{value:g}" for name, value in sorted(knobs.items()) if value}
    identity = JudgeIdentity(f"simulated:{variant}", simulated=True, settings=settings)
    run = int(knobs.get("run", 0))
    before, together = assignment.asked_before, assignment.together
    return SimulatedJudge(identity, errors, service, run, before, together)


def _error_model(variant: str, number: float, task: str, knobs: Mapping[str, float]) -> ErrorModel:
    chance = Chance(f"simulated:{variant} {number:g} {task}")
    if variant == "useless":
        return OneSide()
    if variant == "bpref":
        settings = {name: value for name, value in knobs.items() if name != "run"}
        return Teacher(task, chance, **settings)
    if variant in PRESETS:
        after = knobs.get("after", DRIFTS_AFTER) if variant == "drifting" else math.inf
        return Fallible(
            task,
            chance,
            *PRESETS[variant],
            soft=bool(knobs.get("soft")),
            bias=knobs.get("bias"),
            drifts_after=after,
        )
    wrong, refused = (number if variant == kind else 0.0 for kind in WITH_SHARE)
    return Truthful(task, chance, wrong, refused)


def _number(variant: str, text: str, model: str) -> float:
    try:
        number = float(text) if text else DEFAULT_SHARE if variant in WITH_SHARE else 0.0
    except ValueError:
        number = -1.0
    possible = {
        **dict.fromkeys(("exact", "useless", "bpref"), not text),
        **dict.fromkeys(WITH_SHARE, 0 <= number <= 1),
        **dict.fromkeys(WITH_NUMBER, number >= 0 and number.is_integer()),
    }
    if not possible.get(variant):
        raise InputError(
            f"there is no judge 'simulated:{model}': it is one of {', '.join(VARIANTS)}, if you "
            "like with a probability after it, such as simulated:noisy:0.3, or with a number, such "
            "as simulated:strong:7"
        )
    return number


def _knobs(variant: str, further: str, model: str) -> dict[str, float]:
    """The settings after the question mark, each checked."""
    knobs: dict[str, float] = {}
    for setting in further.split("&") if further else []:
        name, _, text = setting.partition("=")
        if name not in KNOBS_OF[variant]:
            raise InputError(
                f"'simulated:{model}' sets {name!r}: simulated:{variant} has the settings "
                f"{', '.join(KNOBS_OF[variant])}"
            )
        low, high, whole = KNOBS[name]
        try:
            value = int(text) if whole else float(text)
        except ValueError:
            value = math.nan
        if not low <= value <= high:
            kind = "a whole number" if whole else "a number"
            within = f"from {low:g} on" if math.isinf(high) else f"from {low:g} to {high:g}"
            raise InputError(f"'simulated:{model}' sets {name} to {text!r}: it is {kind} {within}")
        knobs[name] = value
    return knobs
