"""A judge that does not answer: how long it is waited for, and how seldom it is asked meanwhile.

Times are the event loop's, in seconds.
"""

from __future__ import annotations

import math
import random

from volition.judges.base import AskError

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 15.0  # where the server does not say how long
PAUSES = 20  # that fit into the patience, at least, so that whoever is back is asked soon
DOWN_AFTER = 8  # errors without an answer between them; some of many at once mean nothing yet
TOLD_AFTER_S = 1.0


class Outage:
    """What is known of the time since a judge answered last.

    Args:
        name: The judge's.
        patience_s: How long it is waited for.
    """

    def __init__(self, name: str, patience_s: float) -> None:
        self._name, self._patience_s = name, patience_s
        self._longest_s = min(LONGEST_PAUSE_S, patience_s / PAUSES)
        self._since: float | None = None
        self._error: AskError | None = None
        self._in_row = self._pauses = 0
        self._paused_at = -math.inf
        self.down = False

    def answered(self, now: float, missing: bool) -> bool:
        """An answer came; `missing`: others did not and are waited for yet.

        Returns:
            Whether the judge was down.
        """
        was_down, self.down = self.down, False
        self._in_row = self._pauses = 0
        self._since = now if missing else None
        return was_down

    def missing(self, now: float) -> None:
        """Some request is waited for, whatever else was answered."""
        if self._since is None:
            self._since = now

    def failed(self, error: AskError, sent_at: float, now: float, under_way: int) -> bool:
        """A request brought no answer; `under_way`: how many others are sent at once.

        Returns:
            Whether the judge is down, so that it is left alone for a while. What was under way when
            it was left alone before tells nothing new.
        """
        self._error = error
        self.missing(now)
        if error.kind == "rate_limited":  # it answers, and says that it is asked too much
            return False
        self._in_row += 1
        if self._in_row < min(DOWN_AFTER, under_way) or sent_at < self._paused_at:
            return False
        self.down = True
        self._paused_at = now
        self._pauses += 1
        return True

    def delay(self, error: AskError, times: int, now: float) -> float:
        """Seconds to wait: as the server says, else longer each time, and never all at once."""
        doubled = FIRST_PAUSE_S * 2.0 ** min(max(times, self._pauses) - 1, 16)
        pause = min(self._longest_s, doubled) * random.uniform(0.5, 1.0)
        wanted = error.retry_after_s
        if wanted is not None and 0 <= wanted < math.inf:
            return max(wanted, pause / 10) + random.uniform(0.0, min(0.3, wanted / 10))
        return max(0.0, min(pause, self.deadline - now))  # once more before it is given up

    @property
    def deadline(self) -> float:
        """When it is given up."""
        return math.inf if self._since is None else self._since + self._patience_s

    def waiting(self, now: float, told_after_s: float = TOLD_AFTER_S) -> str:
        """Who is waited for, why, and how long yet; empty where nobody is, or not for long."""
        if self._since is None or now - self._since < min(told_after_s, self._longest_s):
            return ""
        left = max(0.0, self.deadline - now)
        return f"waiting for {self._name}: {self._error}; up to {left:.0f} s more"

    def given_up(self, wait: float) -> str:
        """Why it is waited for no more, although in `wait` seconds it could be asked again."""
        if wait > self._patience_s:
            return (
                f"{self._name} asks to wait another {wait:.0f} s, longer than it is waited for "
                f"(--patience {self._patience_s:g}): {self._error}"
            )
        return (
            f"{self._name} has not answered for {self._patience_s:g} s (--patience): {self._error}"
        )
