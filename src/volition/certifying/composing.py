"""All that was asked and came back, made into a certificate. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from volition.certifying.answers import Answer, both_ways
from volition.certifying.card import Certificate, SheetSize, Taken
from volition.certifying.counting import Share, entropy
from volition.certifying.grading import check, count, needs, repeats, verdict
from volition.certifying.putting.gold import GoldSet, count_probes
from volition.certifying.ranking import rank
from volition.errors import InputError
from volition.judges.base import Capability
from volition.judgment import JudgeIdentity

THOUSAND = 1000


@dataclass(frozen=True, slots=True)
class Costs:
    """What the answers took.

    Attributes:
        probed_usd: US dollars for trying the judge.
        latency_s: Of all requests, summed.
        at_once: Requests that may be under way.
        priced: Whether a price is known.
    """

    requests: int = 0
    answers: int = 0
    failures: int = 0
    cost_usd: float = 0.0
    probed_usd: float = 0.0
    latency_s: float = 0.0
    at_once: int = 1
    priced: bool = False


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked, and what came of it.

    Attributes:
        answers: To the pairs.
        named: How a person names the judge to have it asked.
        every: Those to gold probes among them; empty where none was put.
        labels: For each pair the probability that its first is better, of those that are known.
        gaps: How far apart the two of a pair are.
        source: Whose labels.
        sizes: By the number of pairs in a request, the answers and the tokens of a comparison.
    """

    environment: str
    goal: str
    judge: JudgeIdentity
    answers: Sequence[Answer]
    named: str = ""
    every: Sequence[Answer] = ()
    gold: GoldSet = field(default_factory=lambda: GoldSet((), {}))
    costs: Costs = Costs()
    capability: Capability | None = None
    labels: Mapping[str, float] = field(default_factory=dict)
    gaps: Mapping[str, float] = field(default_factory=dict)
    source: str = ""
    sizes: Mapping[int, tuple[Sequence[Answer], float]] = field(default_factory=dict)


def compose(asked: Asked, seed: int = 0) -> Certificate:
    """The certificate.

    Raises:
        InputError: There is no answer.
    """
    answers, costs = asked.answers, asked.costs
    if not answers:
        raise InputError(
            f"{asked.judge.name} answered none of the {costs.failures} questions that were put: "
            "there is nothing to certify"
        )
    counted, ranking, repeated = count(answers), rank(answers, seed), repeats(answers)
    probes = count_probes(asked.gold, asked.every) if asked.every else ()
    failures = Share.of(costs.failures, costs.failures + costs.answers)
    graded, reasons = verdict(counted, ranking, failures, repeated, probes)
    each = max(1, costs.answers)
    minutes = costs.latency_s / 60 / max(1, costs.at_once)
    usd_each = costs.cost_usd / each if costs.requests and costs.priced else None
    return Certificate(
        environment=asked.environment,
        goal=asked.goal,
        judge=asked.judge.name,
        judge_id=asked.judge.id,
        named=asked.named,
        simulated=asked.judge.simulated,
        verdict=graded,
        reasons=reasons,
        pairs=counted.pairs,
        consistent=counted.consistent,
        chose_first=counted.chose_first,
        repeated=repeated,
        cycles=counted.cycles,
        bias=ranking.bias,
        accuracy=ranking.accuracy,
        bias_free=ranking.bias_free,
        bits=ranking.bits,
        needs=needs(ranking, usd_each, minutes / each if costs.requests else None),
        taken=Taken(
            costs.requests,
            costs.answers or len(answers),
            costs.failures,
            costs.cost_usd + costs.probed_usd,
            minutes,
        ),
        probes=probes,
        capability=_said_of(asked.capability),
        checked=check(answers, asked.labels, asked.source, asked.gaps or None)
        if asked.labels
        else None,
        sheets=_sheets(asked, ranking.bias_free.value),
    )


def _said_of(capability: Capability | None) -> tuple[str, ...]:
    """What trying the judge has shown, in words."""
    if capability is None:
        return ()
    return (
        "probabilities come back" if capability.soft else "it chooses, and gives no probability",
        "the same question has the same answer"
        if capability.deterministic
        else "the same question has now and then another answer",
        "its price is known" if capability.price_known else "nobody knows its price",
        *capability.notes,
    )


def _sheets(asked: Asked, accuracy: float) -> tuple[SheetSize, ...]:
    """What so many pairs in a request do to the answers, and to what they cost.

    What agrees with the judge's own answer in both orders is as right as that; what does not is as
    wrong. A pair that contradicted itself says nothing here.
    """
    settled = {w.pair: w.forward > 0.5 for w in both_ways(asked.answers) if w.consistent}
    rows = []
    for size, (answers, tokens) in sorted(asked.sizes.items()):
        same = [(a.p_first > 0.5) == settled[a.pair] for a in answers if a.pair in settled]
        agrees = Share.of(sum(same), len(same))
        if same:
            right = agrees.share * accuracy + (1 - agrees.share) * (1 - accuracy)
            bits = (1 - float(entropy(right))) * (right > 0.5)
            rows.append(SheetSize(size, agrees, tokens, bits / tokens * THOUSAND))
    return tuple(rows)
