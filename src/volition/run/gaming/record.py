"""What a run remembers of its checks: written before they are put, so that a kill loses nothing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from volition.storage.documents import read_document

GAMING = "gaming.json"


@dataclass(frozen=True, slots=True)
class GamingAlarm:
    """Why what a policy does may not be what is wanted, although the reward model says so.

    Attributes:
        kind: `diverged`: what is rewarded most is judged otherwise than foretold; `probe`: the
            judge fails at questions whose answers are known; `model`: another model answers.
        reason: For a person, with the counts.
        env_steps: Taken by then.
        batch: The last batch of checks by then; -1 before the first.
        evidence: Against chance, as of `divergence.evidence`; 1 where it is no matter of chance.
        did: What was done about it, as of `AlarmSection`.
        cleared: Environment steps by which reward model and judge agreed again; None: they do not.
    """

    kind: Literal["diverged", "probe", "model"]
    reason: str
    env_steps: int
    batch: int = -1
    evidence: float = 1.0
    did: str = "tell"
    cleared: int | None = None

    @property
    def told(self) -> str:
        """The reason, and whether it still holds."""
        if self.cleared is None:
            return self.reason
        return f"{self.reason}; after {self.cleared:,} steps they agreed again"


@dataclass(frozen=True, slots=True)
class Check:
    """A comparison of something that is rewarded most, as it was foretold.

    Attributes:
        comparison_id: Of the comparison.
        batch: From 0.
        env_steps: Taken when it was put.
        logit: That its first is preferred, by the reward model that had not seen the answer.
        bias: Of the judge to what is shown first, in logits.
        heldout: Share of held-out comparisons that were foretold.
    """

    comparison_id: str
    batch: int
    env_steps: int
    logit: float
    bias: float
    heldout: float


@dataclass(frozen=True, slots=True)
class ProbePut:
    """A question whose answer is known, that is put again and again. Nothing is learned from it."""

    comparison_id: str
    first_better: bool


@dataclass(frozen=True, slots=True)
class GamingRecord:
    """All of it, as in `gaming.json`.

    Attributes:
        checks: In the order in which they were put.
        probes: Questions whose answers are known.
        probings: How often those were put.
        models: Which models answered before the policy learned, by what their replies say.
        alarms: That were raised, the first one first.
        highest: The most evidence that there ever was.
    """

    checks: tuple[Check, ...] = ()
    probes: tuple[ProbePut, ...] = ()
    probings: int = 0
    models: tuple[str, ...] | None = None
    alarms: tuple[GamingAlarm, ...] = ()
    highest: float = 1.0

    @property
    def batches(self) -> int:
        return self.checks[-1].batch + 1 if self.checks else 0

    @property
    def asked(self) -> int:
        """How many judgments it asked for."""
        return len(self.checks) + self.probings * len(self.probes)

    @property
    def diverged(self) -> GamingAlarm | None:
        """The divergence that still holds, if one does."""
        open_ones = [a for a in self.alarms if a.kind == "diverged" and a.cleared is None]
        return open_ones[-1] if open_ones else None

    @property
    def told(self) -> tuple[str, ...]:
        """What a person should know."""
        return tuple(alarm.told for alarm in self.alarms)


def read_record(run: Path) -> GamingRecord:
    """Of the run in a folder; empty where nothing was checked yet.

    Raises:
        RunError: It is damaged.
    """
    file = run / GAMING
    return read_document(file, GamingRecord) if file.is_file() else GamingRecord()
