"""What a person chooses about a judge: one value from the command line to the judge itself."""

from __future__ import annotations

import math
from dataclasses import dataclass

from volition.errors import InputError
from volition.questions import Querying
from volition.tasks.numbers import check_counts, check_dollars, check_seconds

PATIENCE_S = 600.0  # outages of minutes are usual
REASONING_TOKENS = 4096


@dataclass(frozen=True, slots=True)
class Price:
    """What a person says a model costs, in US dollars per million tokens."""

    prompt: float
    completion: float

    def __post_init__(self) -> None:
        for per_million in (self.prompt, self.completion):
            if not 0 <= per_million < math.inf:
                raise ValueError(f"a price is a number of dollars from 0 on, not {per_million}")


@dataclass(frozen=True, slots=True)
class JudgeSettings:
    """Which judge, how it is asked, and what it may use.

    Attributes:
        judge: As `PROVIDER:MODEL`.
        max_judgments: How many comparisons are put to it; None is the task's own number, or found.
        max_usd: US dollars in all; None is no limit.
        base_url: Where to ask, in place of the provider's own address.
        price_in, price_out: US dollars per million tokens, in place of the published price.
        per_request: Comparisons in one request; several are shown on one contact sheet.
        samples: Votes for each comparison where the judge gives no probabilities: the share of them
            is then the probability.
        concurrency: Requests under way at once.
        explain: Whether the judge says why.
        first: Comparisons that are judged before the policy begins to learn; the others are chosen
            while it learns. None is the task's own number.
        querying: How those are chosen: `information`, `disagreement` or `uniform`.
        wire: One way of asking, such as `logprobs`, in place of the best that works.
        patience: Seconds for which a judge that does not answer is waited for before the run stops:
            a provider that is down, a limit on the rate, a lost connection.
        reasoning_tokens: Room, in tokens, in which a model may reason before it answers, where it
            cannot be told not to.

    Raises:
        InputError: One of them is not possible.
    """

    judge: str
    max_judgments: int | None = None
    max_usd: float | None = None
    base_url: str | None = None
    price_in: float | None = None
    price_out: float | None = None
    per_request: int = 1
    samples: int = 1
    concurrency: int = 32
    explain: bool = False
    first: int | None = None
    querying: Querying = "information"
    wire: str | None = None
    patience: float = PATIENCE_S
    reasoning_tokens: int = REASONING_TOKENS

    def __post_init__(self) -> None:
        counts = (
            "max_judgments",
            "first",
            "per_request",
            "samples",
            "concurrency",
            "reasoning_tokens",
        )
        check_counts(**{name: getattr(self, name) for name in counts})
        check_dollars(max_usd=self.max_usd, price_in=self.price_in, price_out=self.price_out)
        check_seconds(patience=self.patience)
        if (self.price_in is None) != (self.price_out is None):
            raise InputError("--price-in and --price-out go together")

    @property
    def price(self) -> Price | None:
        """Per million tokens, where a person gave one."""
        if self.price_in is None or self.price_out is None:
            return None
        return Price(self.price_in, self.price_out)
