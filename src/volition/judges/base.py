"""What every judge takes and gives.

Asking and reading are two steps on purpose: `ask` brings back a reply and nothing reads it, the
caller puts the reply on disk, and only then `read` turns it into verdicts. So what was paid for is
kept even where it cannot be read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from volition.comparison import Comparison, Segment
from volition.goal import Goal, Principle
from volition.judgment import Failure, JudgeIdentity, Order, Reply, Verdict
from volition.tasks.view import JudgeView


@dataclass(frozen=True, slots=True)
class Assignment:
    """What a judge is made for.

    Attributes:
        goal: Put to the judge with every question, its pictures as files.
        view: How the judge is shown a comparison.
        truth: What is true of the goal, by its name; only a simulated judge looks at it.
        probe: Whether the judge is tried first on two pictures; a dry run spends nothing.
        known_id: The id of the judge that was found able when a run began: the run goes on with
            that very one, and does not try it again.
        asked_before: How many questions it was asked, in a run that goes on; only a simulated judge
            that drifts looks at it.
        together: Principles that the goal's words hold; only a simulated judge looks at them.
    """

    goal: Goal
    view: JudgeView
    truth: str = ""
    probe: bool = True
    known_id: str | None = None
    asked_before: int = 0
    together: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Question:
    """A comparison as it is put to a judge once.

    Attributes:
        comparison: The two segments under a goal.
        order: Which of them is shown first.
        principle: The one principle of the goal's constitution under which it is put, if any.
        veto: Whether that principle alone counts, whatever the goal says.
    """

    comparison: Comparison
    order: Order
    principle: str | None = None
    veto: bool = False

    @classmethod
    def put(cls, comparison: Comparison, order: Order, under: Principle | None) -> Question:
        """The question under a principle, or under the goal as it is."""
        if under is None:
            return cls(comparison, order)
        return cls(comparison, order, under.text, under.veto)

    @property
    def shown(self) -> tuple[Segment, Segment]:
        """The segments in the order in which the judge sees them."""
        first, second = self.comparison.first, self.comparison.second
        return (first, second) if self.order is Order.FORWARD else (second, first)


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a request will use at most; a budget reserves it before the request is made.

    Attributes:
        cost_usd: None where the price is not known.
    """

    prompt_tokens: int
    completion_tokens: int
    cost_usd: float | None


@dataclass(frozen=True, slots=True)
class Capability:
    """What probing a judge has shown.

    Attributes:
        judge_id: Of the judge that was found able.
        soft: Whether probabilities come back; else votes do.
        deterministic: Whether the same question had the same answer twice.
        price_known: Whether a request can be priced before it is made.
        cost_usd: What probing did cost this time; nothing where it is remembered.
        notes: Better ways of asking that did not work, and why.
        checked_at: Seconds since 1970.
    """

    judge_id: str
    soft: bool
    deterministic: bool
    price_known: bool
    cost_usd: float
    notes: tuple[str, ...]
    checked_at: float


LOST = frozenset({"connection", "timeout"})


class AskError(Exception):
    """A request that brought back no reply that could be read.

    Attributes:
        kind: timeout, rate_limited, server_error, refused, content_filter, connection, rejected,
            too_large.
        retry_after_s: How long the server asks to wait, if it says.
        again: Whether the same request may succeed later: it is waited for, and the question is
            not given up for it.
        reply: What did come back and is billed, if anything.
        billed: Whether it may be billed although nothing came back. By default a request that got
            lost on its way may be, and one that was turned away is not.
    """

    def __init__(
        self,
        kind: str,
        message: str,
        *,
        again: bool,
        retry_after_s: float | None = None,
        reply: Reply | None = None,
        billed: bool | None = None,
    ) -> None:
        super().__init__(message)
        self.kind, self.again = kind, again
        self.retry_after_s, self.reply = retry_after_s, reply
        self.billed = kind in LOST if billed is None else billed


class Judge(Protocol):
    """Anything that answers comparisons. Instances hold no state that an answer depends on."""

    @property
    def identity(self) -> JudgeIdentity:
        """Who answers: hashes the model, the prompt's version and the sampling settings."""
        ...

    @property
    def per_request(self) -> int:
        """How many questions go into one request at most."""
        ...

    @property
    def capability(self) -> Capability | None:
        """What probing it has shown; None where it was not probed."""
        ...

    @property
    def immediate(self) -> bool:
        """Whether answers come at once, so that a run that waits for them repeats exactly."""
        ...

    def estimate(self, questions: Sequence[Question]) -> Estimate:
        """What a request with these questions will use at most."""
        ...

    async def ask(self, questions: Sequence[Question]) -> Reply:
        """Makes one request. Whatever comes back is returned as it came, unread.

        Raises:
            AskError: Nothing readable came back.
        """
        ...

    def read(self, reply: Reply, questions: Sequence[Question]) -> list[Verdict | Failure]:
        """The outcome of each question, in their order. Pure; never raises on a bad reply."""
        ...

    async def close(self) -> None:
        """Lets go of connections."""
        ...
