"""What judging may use, and how fast: the limits a person sets, the budget, the pace."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from volition.comparison import Comparison
from volition.errors import InputError
from volition.judges.base import Judge, Question
from volition.judges.settings import PATIENCE_S
from volition.judgment import Order

PICO = 10**12  # money is counted in whole picodollars, rounded up, so that sums cannot drift
TOLERATED = 0.25  # share of refusals that is the server's own chance, not our haste
# How many times its estimate a request may cost as long as no bill has come; the more bills have,
# the nearer it is to the dearest of them.
UNPROVEN = 20.0
FIRST = 3.0  # likewise one that is under way alone
WARY = 1.5  # times the dearest bill may be the next one, where bills were above their estimates


@dataclass(frozen=True, slots=True)
class Limits:
    """What judging may use.

    Attributes:
        max_usd: US dollars in all; None is no limit.
        max_judgments: Judgments of live judges in all; None is no limit.
        concurrency: Requests under way at once, at most.
        attempts: How many answers of no use a comparison may get before it is given up.
        patience_s: Seconds for which a judge that does not answer at all is waited for.
    """

    max_usd: float | None = None
    max_judgments: int | None = None
    concurrency: int = 32
    attempts: int = 3
    patience_s: float = PATIENCE_S

    def __post_init__(self) -> None:
        if self.max_usd is not None and not 0 <= self.max_usd < math.inf:
            raise ValueError(f"max_usd is a number of dollars from 0 on, not {self.max_usd}")
        if not 0 <= self.patience_s < math.inf:
            raise ValueError(f"patience_s is a number of seconds from 0 on, not {self.patience_s}")
        for name in ("max_judgments", "concurrency", "attempts"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} is at least 1, not {value}")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a person wants of judging that is under way.

    Attributes:
        pause: Nothing more is sent until that is taken back.
        stop: Nothing more is sent.
        max_usd: US dollars in all, where more than before may be spent.
    """

    pause: bool = False
    stop: bool = False
    max_usd: float | None = None

    def __post_init__(self) -> None:
        if self.max_usd is not None and not 0 <= self.max_usd < math.inf:
            raise ValueError(f"max_usd is a number of dollars from 0 on, not {self.max_usd}")


@dataclass(frozen=True, slots=True)
class Bills:
    """How bills compare with what was reserved for them.

    Attributes:
        count: How many are known.
        excess: The dearest, as a multiple of what was reserved; 1 where none was dearer than that.
    """

    count: int = 0
    excess: float = 1.0


@dataclass(frozen=True, slots=True)
class Reservation:
    """What a request that is under way may use at most, and what was estimated for it."""

    picodollars: int
    estimated: int
    questions: int

    @property
    def usd(self) -> float:
        return self.picodollars / PICO


class Budget:
    """Reserved before a request and settled after it, so that no number of them can exceed it.

    That rests on estimates that are not too low. Should a request cost more than was estimated for
    it, every other is taken to cost as much more, those that nobody will ever know the bill of
    among them; and as long as few bills have come, no more requests are under way than could be
    paid if they were dearer by far.

    Args:
        limits: What may be used.
        spent_usd: US dollars that were spent before.
        judgments: Likewise.
        bills: What is known of bills from before.
    """

    def __init__(
        self,
        limits: Limits,
        spent_usd: float = 0.0,
        judgments: int = 0,
        bills: Bills = Bills(),
    ) -> None:
        self._max_usd = None if limits.max_usd is None else math.floor(limits.max_usd * PICO)
        self._max_judgments = limits.max_judgments
        self._spent, self._judgments, self._bills = _picodollars(spent_usd), judgments, bills
        self._estimated, self._questions = 0, 0  # of what is under way
        self._unbilled = 0  # estimated of what may have been billed and was never said

    @property
    def spent_usd(self) -> float:
        return self._at_most_spent / PICO

    @property
    def judgments_left(self) -> float:
        """How many judgments more may be asked for now; infinite where there is no limit."""
        if self._max_judgments is None:
            return math.inf
        return self._max_judgments - self._judgments - self._questions

    @property
    def under_way(self) -> bool:
        """Whether anything is reserved that may be given back yet."""
        return self._questions > 0

    def raise_to(self, max_usd: float) -> bool:
        """Lets more be spent; whether that is more than before. No limit stays none."""
        most = math.floor(max_usd * PICO)
        if self._max_usd is None or most <= self._max_usd:
            return False
        self._max_usd = most
        return True

    def reserve(self, cost_usd: float | None, questions: int) -> Reservation | None:
        """Sets aside what a request may use; None where that is not left.

        Raises:
            ValueError: There is a limit in dollars, and the price is not known.
        """
        if cost_usd is None and self._max_usd is not None:
            raise ValueError("a budget in dollars needs to know what a request costs")
        estimated = _picodollars(cost_usd or 0.0)
        unknown = (self._unbilled + self._estimated + estimated) * self._dearest(questions)
        too_dear = self._max_usd is not None and self._spent + unknown > self._max_usd
        if too_dear or questions > self.judgments_left:
            return None
        self._estimated += estimated
        self._questions += questions
        return Reservation(math.ceil(estimated * self._bills.excess), estimated, questions)

    def settle(self, reservation: Reservation, cost_usd: float | None, judgments: int) -> None:
        """Puts what a request did use in the place of what was reserved for it.

        Args:
            reservation: Of the request.
            cost_usd: Its bill; None where it may have been billed and nobody says how much.
            judgments: How many were made of it.
        """
        self._estimated -= reservation.estimated
        self._questions -= reservation.questions
        self._judgments += judgments
        if cost_usd is None:
            self._unbilled += reservation.estimated
            return
        cost = _picodollars(cost_usd)
        self._spent += cost
        if reservation.estimated > 0 and cost > 0:
            excess = max(self._bills.excess, cost / reservation.estimated)
            self._bills = Bills(self._bills.count + 1, excess)

    @property
    def _at_most_spent(self) -> int:
        return self._spent + math.ceil(self._unbilled * self._bills.excess)

    def _dearest(self, questions: int) -> float:
        """As which multiple of its estimate a request with so many questions is reckoned with."""
        count, excess = self._bills.count, self._bills.excess
        if self._questions > 0:  # as many as may be under way
            return excess * (1 + (UNPROVEN - 1) / (1 + count))
        if count > 0:
            return excess * WARY if excess > 1 else 1.0
        # The very first is to be possible, if it is as small as can be.
        return 1.0 if questions == 1 and self._unbilled == 0 else FIRST


class Pace:
    """How many requests may be under way: additive increase, multiplicative decrease.

    The limit is halved when more than a quarter of a window is refused, a window being as many
    replies as the limit, and grows by a little with every window that went well. A server that
    refuses one request in ten whatever the pace is asked as fast as ever. One that is down is asked
    by one request at a time; once it answers, the pace is soon what it was before.
    """

    def __init__(self, most: int) -> None:
        self.limit = float(most)
        self._before: float | None = None  # the server was down
        self._most = most
        self._cut_at = -math.inf
        self._accepted, self._refused = 0, 0

    def accepted(self) -> None:
        """A request was answered."""
        if self._before is not None:
            self.limit = min(self._before, 2 * self.limit)
            self._before = None if self.limit == self._before else self._before
            return
        self._accepted += 1
        self._end_window()

    def down(self) -> None:
        """The server does not answer at all."""
        self._before = max(self.limit, self._before or 1.0)
        self.limit = 1.0
        self._accepted, self._refused = 0, 0

    def refused(self, sent_at: float, now: float) -> bool:
        """A request was turned away, or the server was in trouble; whether the limit was cut.

        One that was sent before the last cut tells nothing new. Times in seconds.
        """
        if sent_at < self._cut_at:
            return False
        self._refused += 1
        if self._refused <= TOLERATED * self.limit:
            self._end_window()
            return False
        self.limit = max(1.0, self.limit / 2)
        self._cut_at = now
        self._before = None
        self._accepted, self._refused = 0, 0
        return True

    def _end_window(self) -> None:
        if self._accepted + self._refused >= self.limit:
            self.limit = min(self._most, self.limit + max(1.0, self._most / 32))
            self._accepted, self._refused = 0, 0


def _picodollars(usd: float) -> int:
    return math.ceil(usd * PICO)


def check_price(judge: Judge, limits: Limits, comparisons: Sequence[Comparison]) -> None:
    """That a limit in dollars can be kept.

    Raises:
        InputError: There is such a limit, and nobody knows what the judge costs.
    """
    questions = [Question(comparison, Order.FORWARD) for comparison in comparisons]
    if limits.max_usd is not None and questions and judge.estimate(questions).cost_usd is None:
        raise InputError(
            f"the price of {judge.identity.name} is not known, so --max-usd cannot be kept: give "
            "--price-in and --price-out, in US dollars per million tokens, or leave --max-usd out"
        )
