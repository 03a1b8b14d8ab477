"""Judgments, and the preferences that a learner derives from them. Pure values, no I/O."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from volition.comparison import content_id

# Kinds of Failure where no answer came: however often, the question is not given up for them.
UNREACHED = frozenset({"connection", "rate_limited", "rejected", "server_error", "timeout"})
HUMAN = "human:"  # what the name of a judge begins with that is a person
PEOPLE = (HUMAN, f"recorded:{HUMAN}")  # likewise, of one whose answers came in a file, too
TELLS = 0.1  # from 0.5: an answer that is nearer prefers neither side


class Order(StrEnum):
    """Which of a comparison's two segments was shown first."""

    FORWARD = "forward"
    SWAPPED = "swapped"


@dataclass(frozen=True, slots=True)
class Showing:
    """In which order comparisons are put, and how many verdicts there are to be in it.

    Attributes:
        verdicts: Those that are there already count.
    """

    order: Order
    verdicts: int = 1


@dataclass(frozen=True, slots=True)
class JudgeIdentity:
    """Who answered. Two judges that may answer differently have different ids.

    Attributes:
        name: For a person to read, such as `recorded:one-look` or `openai:gpt-6-luna`.
        simulated: True for an error model in place of a judge; every figure says so.
        settings: All that an answer depends on: model, prompt version, sampling.
    """

    name: str
    simulated: bool = False
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def id(self) -> str:
        described = {"name": self.name, "simulated": self.simulated, **self.settings}
        return content_id(json.dumps(described, sort_keys=True).encode())

    @property
    def is_person(self) -> bool:
        """Whether it is a person, whose answers overrule those of others."""
        return self.name.startswith(PEOPLE)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The judge's answer, in the order of presentation.

    Attributes:
        p_shown_first: Probability that the segment *shown* first represents the goal better,
            in [0, 1]; a tie is 0.5.
        explanation: Why, in the judge's words, where it was asked to say.
    """

    p_shown_first: float
    explanation: str = ""

    def __post_init__(self) -> None:
        if not 0.0 <= self.p_shown_first <= 1.0:
            raise ValueError(f"a probability lies in [0, 1], not {self.p_shown_first}")


@dataclass(frozen=True, slots=True)
class Failure:
    """A call that gave no verdict. It is counted and shown; it never becomes a preference."""

    kind: str
    message: str


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back from a judge, before anything has read it.

    Attributes:
        id: Names this one reply; the same reply imported again has the same id.
        raw: The reply, byte for byte as text.
        prompt_tokens, completion_tokens: As billed; 0 where nothing is billed.
        cost_usd: US dollars.
        latency_s: Seconds from request to reply.
        request_id: The stored request that it answers, where it was asked for live.
        metered: Whether the provider said what it used. It is not stored: what is then counts as
            much as was reserved, at least.
    """

    id: str
    raw: str
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float = 0.0
    latency_s: float = 0.0
    request_id: str | None = None
    metered: bool = True


def live_reply_id(request_id: str, raw: str) -> str:
    """Names a reply to a stored request: two requests never share a reply."""
    return content_id(request_id.encode(), raw.encode())


@dataclass(frozen=True, slots=True)
class Request:
    """What is about to be put to a judge, stored before it is sent.

    So a request that was under way when the program was killed is known to have been, and what it
    may have cost is counted.

    Attributes:
        questions: Comparison ids, each with the order in which it is shown and the principle
            under which it is put, if any.
        reserved_usd: What it may cost at most, in US dollars.
    """

    id: str
    judge_id: str
    questions: tuple[tuple[str, Order, str | None], ...]
    reserved_usd: float


@dataclass(frozen=True, slots=True)
class Tries:
    """How often a judge was asked about a comparison, and what came of it.

    Attributes:
        failures: Answers that came and were of no use.
    """

    verdicts: int = 0
    failures: int = 0


@dataclass(frozen=True, slots=True)
class Judgment:
    """One answer to one comparison. Append-only: never changed, never deleted.

    Attributes:
        principle: The one principle of the goal's constitution under which it was asked, if any.
    """

    comparison_id: str
    judge_id: str
    order: Order
    outcome: Verdict | Failure
    reply: Reply
    principle: str | None = None

    @property
    def id(self) -> str:
        parts = [self.reply.id, self.comparison_id, self.judge_id, self.order.value]
        if self.principle is not None:
            parts.append(self.principle)
        return content_id(*(part.encode() for part in parts))


@dataclass(frozen=True, slots=True)
class Answers:
    """What one judge said of one comparison, put in one order under one principle, however often.

    Attributes:
        judge_id: Who said it.
        order: Which segment was shown first: an answer may lean to that one.
        p_first: Mean probability that the comparison's first segment is preferred, in [0, 1].
        count: How many judgments that is the mean of.
        principle: Under which principle, if any.
    """

    judge_id: str
    order: Order
    p_first: float
    count: int
    principle: str | None = None


@dataclass(frozen=True, slots=True)
class Preference:
    """What the learner uses.

    Attributes:
        comparison_id: The comparison that this is about.
        p_first: Probability that the comparison's first segment is preferred, in [0, 1].
        weight: How many judgments it rests on.
        answers: The same judgments by judge, order and principle, so that each judge's bias to
            what is shown first can be fitted, and how far a principle is heeded; none where that is
            not known.
    """

    comparison_id: str
    p_first: float
    weight: float
    answers: tuple[Answers, ...] = ()


def undo_order(verdict: Verdict, order: Order) -> float:
    """P(first segment of the comparison preferred), whichever way round they were shown."""
    shown_first = verdict.p_shown_first
    return shown_first if order is Order.FORWARD else 1.0 - shown_first


@dataclass(frozen=True, slots=True)
class Put:
    """Under which goal a comparison was put, and the ids of its two segments."""

    goal_id: str
    first_id: str
    second_id: str

    @property
    def pair(self) -> tuple[str, str]:
        return self.first_id, self.second_id


def that_count(
    judgments: Iterable[Judgment],
    put: Mapping[str, Put],
    goal_ids: Sequence[str],
    vetoes: Collection[str] = (),
) -> list[Judgment]:
    """The judgments from which a corrected goal is learned, in their order.

    They are those of the goal and of the goals that it was made from. Where a pair was judged again
    the later answers take the place of the earlier ones; but an answer under another principle that
    prefers neither side says nothing of the pair, and leaves the earlier ones where they are. What
    was judged by a veto alone and what was not are two questions, of which neither replaces the
    other.

    Args:
        judgments: All that there are.
        put: How every comparison was put, by its id.
        goal_ids: Of the goals, the later ones last; all judgments count where there are none.
        vetoes: Of the goal.
    """
    judgments = list(judgments)
    if not goal_ids:
        return judgments
    ranks = {goal_id: rank for rank, goal_id in enumerate(goal_ids)}
    rounds: dict[tuple[object, ...], dict[int, list[Judgment]]] = {}
    for judgment in judgments:
        asked = put[judgment.comparison_id]
        if asked.goal_id in ranks and isinstance(judgment.outcome, Verdict):
            alone = judgment.principle if judgment.principle in vetoes else None
            by_rank = rounds.setdefault((asked.pair, alone), {})
            by_rank.setdefault(ranks[asked.goal_id], []).append(judgment)
    counting = {id(judgment) for by_rank in rounds.values() for judgment in _latest(by_rank)}
    return [
        judgment
        for judgment in judgments
        if id(judgment) in counting
        or (isinstance(judgment.outcome, Failure) and put[judgment.comparison_id].goal_id in ranks)
    ]


def _latest(by_rank: Mapping[int, list[Judgment]]) -> list[Judgment]:
    """The answers to one pair that count, out of those under each goal."""
    (_, latest), *later = sorted(by_rank.items())
    for _, answers in later:
        same = {None, *(judgment.principle for judgment in latest)}
        (preference,) = derive_preferences(answers)
        tells = abs(preference.p_first - 0.5) >= TELLS
        if tells or any(judgment.principle in same for judgment in answers):
            latest = answers
    return latest


def as_people_say(judgments: Iterable[Judgment], people: Collection[str]) -> list[Judgment]:
    """The judgments that count beside those of people, in their order.

    Of what one person said of a question the last counts, and nothing where that is no verdict. A
    question that a person answered is answered by people alone.

    Args:
        judgments: All that there are.
        people: The ids of the judges who are people.
    """
    judgments = list(judgments)
    said: dict[tuple[str, str | None, str], Judgment] = {}
    for judgment in judgments:
        if judgment.judge_id in people:
            said[judgment.comparison_id, judgment.principle, judgment.judge_id] = judgment
    last = {id(judgment) for judgment in said.values()}
    answered = {
        (j.comparison_id, j.principle) for j in said.values() if isinstance(j.outcome, Verdict)
    }
    return [
        judgment
        for judgment in judgments
        if (
            id(judgment) in last
            if judgment.judge_id in people
            else (judgment.comparison_id, judgment.principle) not in answered
        )
    ]


def derive_preferences(
    judgments: Iterable[Judgment], weights: Mapping[str, int] | None = None
) -> list[Preference]:
    """One preference for each comparison that has a verdict.

    Repeated judgments of one comparison, shown either way round, are averaged and their number
    is the weight; contradictions therefore move the probability towards 0.5.

    Args:
        judgments: All that count.
        weights: As how many judgments one counts, by the judge's id; 1 of others.
    """
    weights = weights or {}
    answers_by_comparison: dict[str, dict[tuple[str, Order, str | None], list[float]]] = {}
    for judgment in judgments:
        if isinstance(judgment.outcome, Verdict):
            p_first = undo_order(judgment.outcome, judgment.order)
            of_comparison = answers_by_comparison.setdefault(judgment.comparison_id, {})
            way = (judgment.judge_id, judgment.order, judgment.principle)
            of_comparison.setdefault(way, []).append(p_first)
    return [
        _preference(comparison_id, answers, weights)
        for comparison_id, answers in answers_by_comparison.items()
    ]


def _preference(
    comparison_id: str,
    probabilities: Mapping[tuple[str, Order, str | None], Sequence[float]],
    weights: Mapping[str, int],
) -> Preference:
    counted = [(*way, p_first, weights.get(way[0], 1)) for way, p_first in probabilities.items()]
    answers = tuple(
        Answers(judge_id, order, sum(p_first) / len(p_first), weight * len(p_first), principle)
        for judge_id, order, principle, p_first, weight in counted
    )
    count = sum(answer.count for answer in answers)
    total = sum(weight * sum(p_first) for *_, p_first, weight in counted)
    return Preference(comparison_id, total / count, float(count), answers)
