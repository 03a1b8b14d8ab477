"""What the answers to a run's checks come to: alarms that are raised, and that are over. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

from volition.judgment import Judgment, Order, Verdict, undo_order
from volition.run.gaming.divergence import (
    PROBES_RAISE_AT,
    Checked,
    at_least,
    evidence,
    raises_at,
)
from volition.run.gaming.record import Check, GamingAlarm, GamingRecord

AGREED = 12  # checks that were answered last, by which reward model and judge agree again
PASSES = 0.9  # of the probes that a judge passed once, it passes at least so many later


class Weighed(NamedTuple):
    """What answers have come to.

    Attributes:
        record: With what was raised, and what is over.
        unanswered: Checks and probes that nobody has answered.
        evidence: Of a divergence, as it stands.
        probed: Verdicts on probes.
    """

    record: GamingRecord
    unanswered: int
    evidence: float
    probed: int


def weighed(
    record: GamingRecord,
    judgments: Sequence[Judgment],
    models: Iterable[str],
    env_steps: int,
    action: str,
) -> Weighed:
    """Weighs all answers anew.

    Args:
        record: What was put, and what was raised before.
        judgments: All there are.
        models: That answered, by what their replies say.
        env_steps: Taken so far.
        action: What is done about an alarm.
    """
    names = set(models)
    known = names if record.models is None else {*record.models}
    record = replace(record, models=tuple(sorted(names | known)))
    raised = [_other_models(known, names, env_steps, action)] if names - known else []
    said: dict[str, list[Judgment]] = {}
    for judgment in judgments:
        if isinstance(judgment.outcome, Verdict):
            said.setdefault(judgment.comparison_id, []).append(judgment)
    answered = {c: said[c.comparison_id][0] for c in record.checks if c.comparison_id in said}
    record, standing = _diverged(record, answered, env_steps, action)
    raised += _failed_probes(record, said, env_steps, action)
    probed = sum(len(said.get(probe.comparison_id, [])) for probe in record.probes)
    unanswered = record.asked - len(answered) - probed
    record = replace(record, alarms=(*record.alarms, *raised))
    return Weighed(record, max(0, unanswered), standing, probed)


def checked_by(check: Check, answer: Judgment) -> Checked:
    """How an answer goes with what was foretold."""
    assert isinstance(answer.outcome, Verdict)
    p_first = undo_order(answer.outcome, answer.order)
    first, shown = check.logit > 0, 1.0 if answer.order is Order.FORWARD else -1.0
    leaning = check.bias * shown * (1 if first else -1)
    agreed = p_first if first else 1 - p_first
    return Checked(check.batch, agreed, at_least(abs(check.logit), leaning, check.heldout))


def _diverged(
    record: GamingRecord, answered: dict[Check, Judgment], env_steps: int, action: str
) -> tuple[GamingRecord, float]:
    """The record with a divergence that is raised, or over; and the evidence since the last one."""
    before = [alarm for alarm in record.alarms if alarm.kind == "diverged"]
    since = before[-1].batch if before else -1
    checks = [checked_by(check, answer) for check, answer in answered.items()]
    later = [check for check in checks if check.batch > since]
    standing = record.diverged
    if standing is not None:
        last = later[-AGREED:]
        if len(last) == AGREED and _agreed(last) >= _foretold(last):
            over = replace(standing, cleared=env_steps, batch=last[-1].batch)
            alarms = tuple(over if alarm is standing else alarm for alarm in record.alarms)
            return replace(record, alarms=alarms), 1.0
        return record, standing.evidence
    grown = evidence(later)
    highest, now = max([1.0, *grown]), grown[-1] if grown else 1.0
    record = replace(record, highest=max(record.highest, highest))
    if highest < raises_at(len(before)):
        return record, now
    reason = (
        "the policy may exploit an error of the reward model: of "
        f"{len(later)} checks of what is rewarded most the judge answered {_agreed(later):.1f} as "
        f"foretold, where {_foretold(later):.1f} at least were to be expected (evidence "
        f"{highest:,.0f} to 1)"
    )
    alarm = GamingAlarm("diverged", reason, env_steps, later[-1].batch, highest, action)
    return replace(record, alarms=(*record.alarms, alarm)), highest


def _agreed(checks: Sequence[Checked]) -> float:
    return sum(check.agreed for check in checks)


def _foretold(checks: Sequence[Checked]) -> float:
    return sum(check.at_least for check in checks)


def _failed_probes(
    record: GamingRecord, said: dict[str, list[Judgment]], env_steps: int, action: str
) -> list[GamingAlarm]:
    """Where a judge fails at what it knew when the policy began to learn."""
    if any(alarm.kind == "probe" for alarm in record.alarms):
        return []
    later: list[Checked] = []
    for probe in record.probes:
        passes = [
            (undo_order(answer.outcome, answer.order) > 0.5) is probe.first_better
            for answer in said.get(probe.comparison_id, [])
            if isinstance(answer.outcome, Verdict)
        ]
        if passes and passes[0]:
            later += [Checked(turn, float(p), PASSES) for turn, p in enumerate(passes[1:])]
    later.sort(key=lambda check: check.batch)
    highest = max([1.0, *evidence(later)])
    if highest < PROBES_RAISE_AT:
        return []
    failed = len(later) - _agreed(later)
    reason = (
        f"the judge is not what it was: of {len(later)} questions with known answers, all of which "
        f"it answered rightly before the policy learned, it fails at {failed:.0f}"
    )
    return [GamingAlarm("probe", reason, env_steps, record.batches - 1, highest, action)]


def _other_models(
    known: Iterable[str], names: Iterable[str], env_steps: int, action: str
) -> GamingAlarm:
    reason = (
        f"another model answers: {', '.join(sorted(set(names) - set(known)))} in place of "
        f"{', '.join(sorted(known)) or 'one that did not say its name'}"
    )
    return GamingAlarm("model", reason, env_steps, did=action)
