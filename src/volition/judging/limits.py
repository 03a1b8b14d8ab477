"""What judging may use, and how fast: the limits a person sets, the budget, the pace."""

from __future__ import annotations

import math
from dataclasses import dataclass

PICO = 10**12  # money is counted in whole picodollars, rounded up, so that sums cannot drift
TOLERATED = 0.25  # share of refusals that is the server's own chance, not our haste


@dataclass(frozen=True, slots=True)
class Limits:
    """What judging may use.

    Attributes:
        max_usd: US dollars in all; None is no limit.
        max_judgments: Judgments of live judges in all; None is no limit.
        concurrency: Requests under way at once, at most.
        attempts: How often one comparison is put to a judge that gives no verdict, at most.
    """

    max_usd: float | None = None
    max_judgments: int | None = None
    concurrency: int = 32
    attempts: int = 3

    def __post_init__(self) -> None:
        if self.max_usd is not None and not 0 <= self.max_usd < math.inf:
            raise ValueError(f"max_usd is a number of dollars from 0 on, not {self.max_usd}")
        for name in ("max_judgments", "concurrency", "attempts"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} is at least 1, not {value}")


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

    That rests on estimates that are not too low. Should a request cost more than was reserved for
    it, every later reservation is raised by the same factor.
    """

    def __init__(self, limits: Limits, spent_usd: float = 0.0, judgments: int = 0) -> None:
        self._max_usd = None if limits.max_usd is None else math.floor(limits.max_usd * PICO)
        self._max_judgments = limits.max_judgments
        self._spent, self._judgments = _picodollars(spent_usd), judgments
        self._reserved, self._questions = 0, 0
        self._excess = 1.0

    @property
    def spent_usd(self) -> float:
        return self._spent / PICO

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

    def reserve(self, cost_usd: float | None, questions: int) -> Reservation | None:
        """Sets aside what a request may use; None where that is not left.

        Raises:
            ValueError: There is a limit in dollars, and the price is not known.
        """
        if cost_usd is None and self._max_usd is not None:
            raise ValueError("a budget in dollars needs to know what a request costs")
        estimated = _picodollars(cost_usd or 0.0)
        wanted = Reservation(math.ceil(estimated * self._excess), estimated, questions)
        too_dear = (
            self._max_usd is not None
            and self._spent + self._reserved + wanted.picodollars > self._max_usd
        )
        if too_dear or questions > self.judgments_left:
            return None
        self._reserved += wanted.picodollars
        self._questions += questions
        return wanted

    def settle(self, reservation: Reservation, cost_usd: float, judgments: int) -> None:
        """Puts what a request did use in the place of what was reserved for it."""
        cost = _picodollars(cost_usd)
        self._reserved -= reservation.picodollars
        self._questions -= reservation.questions
        self._spent += cost
        self._judgments += judgments
        if reservation.estimated > 0:
            self._excess = max(self._excess, cost / reservation.estimated)


class Pace:
    """How many requests may be under way: additive increase, multiplicative decrease.

    The limit is halved when more than a quarter of a window is refused, a window being as many
    replies as the limit, and grows by a little with every window that went well. A server that
    refuses one request in ten whatever the pace is asked as fast as ever.
    """

    def __init__(self, most: int) -> None:
        self.limit = float(most)
        self._most = most
        self._cut_at = -math.inf
        self._accepted, self._refused = 0, 0

    def accepted(self) -> None:
        """A request was answered."""
        self._accepted += 1
        self._end_window()

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
        self._accepted, self._refused = 0, 0
        return True

    def _end_window(self) -> None:
        if self._accepted + self._refused >= self.limit:
            self.limit = min(self._most, self.limit + max(1.0, self._most / 32))
            self._accepted, self._refused = 0, 0


def _picodollars(usd: float) -> int:
    return math.ceil(usd * PICO)
