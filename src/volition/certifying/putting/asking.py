"""Certifying a judge that is connected: the questions, their answers in a store, the certificate.

    FOLDER/judgments.sqlite, frames/    every question and every reply, on disk before it is used
    FOLDER/certificate.json             what came of it
    FOLDER/certificate.html             the same as a page

Done again it asks only what has no answer yet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from volition.certifying import grading
from volition.certifying.answers import Answer
from volition.certifying.card import FILE, Certificate
from volition.certifying.composing import Asked, Costs, compose
from volition.certifying.putting import design as designs
from volition.certifying.putting.gold import GoldSet, gold_set
from volition.comparison import Comparison, Frame
from volition.errors import InputError, Interrupted, JudgeUnavailable, StoreError
from volition.judges import make_judge
from volition.judges.base import Assignment, Judge, Question
from volition.judges.settings import JudgeSettings
from volition.judging.limits import Limits, check_price
from volition.judging.thread import Judging
from volition.judgment import Failure, Judgment, Order, Showing, Verdict
from volition.storage.documents import write_document
from volition.storage.files import exclusively
from volition.storage.pictures import read_frame
from volition.storage.store import Store
from volition.tasks.task import Task
from volition.tasks.truth import TRUTHS

PICTURES, FEWEST = frozenset({".png", ".jpg", ".jpeg"}), 4  # of a clip
SIZES = (1, 4, 12, 30, 60)
TICK_S, TOLD_S = 0.2, 5.0
NEARLY_ALL = 0.9  # of the questions are answered, before it is asked what else to ask
Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be certified.

    Attributes:
        task: Whose view says what a judge is shown; nothing of it is left open.
        judge: Who is certified, and what that may use.
        second: Another judge on the pairs that are put in both orders.
        seed: Of the states and the pairs.
        sizes: Whether it is tried how many pairs go into one request.
        good: A folder with pictures of a clip in which the goal is reached, named in the order of
            time.
    """

    task: Task
    judge: JudgeSettings
    second: JudgeSettings | None = None
    seed: int = 0
    sizes: bool = True
    good: Path | None = None


def certify(folder: Path, wanted: Wanted, tell: Tell) -> Certificate:
    """Puts to the judge what has no answer yet, and writes the certificate.

    Raises:
        EnvironmentUnsupported: The environment fails.
        InputError: What was chosen is not possible.
        JudgeUnavailable: The judge cannot be asked. What it answered is kept.
        Interrupted: Ctrl-C was pressed; likewise.
    """
    task = wanted.task
    _pictures(wanted.good)  # before anything is paid for
    tell(f"choosing states of {task.environment.id} ...")
    segments = designs.states_of(task, wanted.seed)
    judge = make_judge(wanted.judge, _assignment(task))
    with Store.create(folder) as store:
        goal_id = store.add_goal(task.stated_goal())
    chosen = designs.design(segments, goal_id, wanted.seed)
    with exclusively(folder):
        gold, telling = _put_all(folder, wanted, judge, chosen, tell)
        second = _put_second(folder, wanted, chosen, tell)
        return _conclude(folder, wanted, judge, chosen, telling, gold, second)


def _pictures(folder: Path | None) -> list[Frame]:
    """The pictures of a folder, in the order of their names.

    Raises:
        InputError: There are hardly any, or one is none.
    """
    if folder is None:
        return []
    files = sorted(file for file in folder.glob("*") if file.suffix.lower() in PICTURES)
    if len(files) < FEWEST:
        raise InputError(
            f"{folder} holds {len(files)} pictures ({', '.join(sorted(PICTURES))}), and a clip is "
            f"{FEWEST} at least: give a folder of them with --good, named in the order of time"
        )
    try:
        return [read_frame(file) for file in files]
    except StoreError as error:
        raise InputError(f"{folder}: {error}") from None


def named(settings: JudgeSettings) -> str:
    """How a person names a judge: it is found again by that, without trying it."""
    return f"{settings.judge} {settings.base_url or ''}".strip()


def _assignment(task: Task) -> Assignment:
    return Assignment(task.stated_goal(), task.view, task.goal.truth or "")


# Putting -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Block:
    """What is put together, and how."""

    name: str
    comparisons: Sequence[Comparison]
    showing: Showing | None = None


def _put_all(
    folder: Path, wanted: Wanted, judge: Judge, chosen: designs.Design, tell: Tell
) -> tuple[GoldSet, list[Question]]:
    """Asks the judge everything, one block after the other; returns what is known without a label,
    and what was asked because it says most."""
    goal = wanted.task.stated_goal()
    limits = _limits(wanted.judge, _probed(judge))
    check_price(judge, limits, chosen.both_ways[:1])
    blocks = [
        _Block("pairs", chosen.both_ways, Showing(Order.FORWARD)),
        _Block("the same the other way round", chosen.both_ways, Showing(Order.SWAPPED)),
        _Block("other pairs of the same states", chosen.once),
        _Block("some pairs again", chosen.repeated, Showing(Order.FORWARD, 2)),
    ]
    tell(_announced(judge, blocks))
    put = _Putting(folder, limits, wanted, tell)
    put.all(judge, blocks)
    answers = _answers(folder, judge.identity.id)
    telling = _telling(chosen, answers, wanted.seed)
    put.all(judge, _by_order("pairs that say most", telling))
    looks, good = not judge.identity.simulated, _pictures(wanted.good)
    gold = gold_set(chosen.both_ways, answers, goal.images, looks, good)
    probes = _Block("what is known without a label", [g.comparison for g in gold.questions])
    put.all(judge, [probes])
    for other in _of_sizes(judge) if wanted.sizes else ():
        size = f"{other.per_request} in a request"
        put.all(other, [_Block(size, chosen.both_ways, Showing(Order.FORWARD))])
    return gold, telling


def _telling(chosen: designs.Design, answers: Sequence[Answer], seed: int) -> list[Question]:
    """What else to ask, the same whenever it is asked for: by the answers to the rest alone, and
    only once nearly all of it is answered."""
    first = chosen.both_ways + chosen.once
    asked, put = {c.id for c in first}, len(first) + len(chosen.both_ways)
    known = [answer for answer in answers if answer.pair in asked]
    return designs.more(chosen, known, seed) if len(known) >= NEARLY_ALL * put else []


def _by_order(name: str, questions: Sequence[Question]) -> list[_Block]:
    sorted_out = {order: [q.comparison for q in questions if q.order is order] for order in Order}
    return [_Block(name, some, Showing(order)) for order, some in sorted_out.items() if some]


@dataclass(frozen=True, slots=True)
class _Putting:
    """Puts blocks of questions to judges, and tells how far that is."""

    folder: Path
    limits: Limits
    wanted: Wanted
    tell: Tell

    def all(self, judge: Judge, blocks: Sequence[_Block]) -> None:
        under = self.wanted.task.stated_goal().put_under
        try:
            with Judging(self.folder, self.limits, self.wanted.seed) as judging:
                for block in blocks:
                    judging.ask(judge, block.comparisons, under, block.showing)
                    self._wait(judging, block)
        except KeyboardInterrupt:
            raise Interrupted(
                f"stopped; every answer is kept in {self.folder}: the same command goes on"
            ) from None
        except JudgeUnavailable as error:
            raise JudgeUnavailable(
                f"{error}; every answer is kept in {self.folder}: the same command goes on"
            ) from None

    def _wait(self, judging: Judging, block: _Block) -> None:
        ticks, told = 0, ""
        while not judging.wait(TICK_S):
            ticks += 1
            standing = judging.standing()
            if ticks % round(TOLD_S / TICK_S) == 0:
                left = standing.waiting
                self.tell(f"{block.name}: {left} of {len(block.comparisons)} left")
            if standing.waiting_for and not told:
                self.tell(standing.waiting_for)
            told = standing.waiting_for
        standing = judging.standing()
        spent = f", ${standing.spent_usd:.4f} so far" if standing.spent_usd else ""
        self.tell(f"{block.name}: {len(block.comparisons)} put{spent}")


def _announced(judge: Judge, blocks: Sequence[_Block]) -> str:
    questions = sum(len(block.comparisons) for block in blocks)
    one = Question(blocks[0].comparisons[0], Order.FORWARD)
    cost = judge.estimate([one] * min(judge.per_request, questions)).cost_usd
    requests = -(-questions // judge.per_request)
    price = "" if not cost else f", at most ${cost * requests:.4f}"
    return f"asking {judge.identity.name} {questions} questions{price} ..."


def _put_second(folder: Path, wanted: Wanted, chosen: designs.Design, tell: Tell) -> Judge | None:
    if wanted.second is None:
        return None
    judge = make_judge(wanted.second, _assignment(wanted.task))
    blocks = [
        _Block(f"{judge.identity.name}, {order}", chosen.both_ways, Showing(order))
        for order in Order
    ]
    _Putting(folder, _limits(wanted.second, _probed(judge)), wanted, tell).all(judge, blocks)
    return judge


def _of_sizes(judge: Judge) -> Iterable[Judge]:
    """The same judge with other numbers of pairs in a request, where that is another picture."""
    from volition.judges.live.judge import LiveJudge

    if not isinstance(judge, LiveJudge):
        return []
    others = (replace(judge, per_request=size) for size in SIZES)
    made = {other.per_request: other for other in others if other.per_request != judge.per_request}
    return made.values()


def _limits(settings: JudgeSettings, probed_usd: float) -> Limits:
    left = None if settings.max_usd is None else max(0.0, settings.max_usd - probed_usd)
    most, patience_s = settings.max_judgments, settings.patience
    return Limits(left, most, settings.concurrency, patience_s=patience_s)


def _probed(judge: Judge) -> float:
    return judge.capability.cost_usd if judge.capability else 0.0


# Reading -------------------------------------------------------------------------------------


def _answers(folder: Path, judge_id: str) -> list[Answer]:
    """What a judge answered, of whatever is in the store."""
    with Store.open(folder) as store:
        comparisons, judgments = store.comparisons(), store.judgments()
    return answers_of([j for j in judgments if j.judge_id == judge_id], comparisons)


def answers_of(judgments: Iterable[Judgment], comparisons: dict[str, Comparison]) -> list[Answer]:
    """Judgments as answers: under another principle a pair is another pair of other states."""
    answers = []
    for judgment in judgments:
        if isinstance(judgment.outcome, Verdict):
            comparison = comparisons[judgment.comparison_id]
            under = f" {judgment.principle}" if judgment.principle else ""
            answers.append(
                Answer(
                    judgment.comparison_id,
                    judgment.order,
                    judgment.outcome.p_shown_first,
                    comparison.first.id + under,
                    comparison.second.id + under,
                )
            )
    return answers


def _conclude(
    folder: Path,
    wanted: Wanted,
    judge: Judge,
    chosen: designs.Design,
    telling: Sequence[Question],
    gold: GoldSet,
    second: Judge | None,
) -> Certificate:
    with Store.open(folder) as store:
        comparisons, judgments = store.comparisons(), store.judgments()
    ours = [j for j in judgments if j.judge_id == judge.identity.id]
    asked = {c.id for c in (*chosen.both_ways, *chosen.once)}
    every = answers_of(ours, comparisons)
    also = {question.comparison.id for question in telling}
    main = [answer for answer in every if answer.pair in asked | also]
    labels, gaps = _truth(wanted.task, ours, comparisons, asked)
    given = Asked(
        environment=wanted.task.environment.id,
        goal=wanted.task.stated_goal().text,
        judge=judge.identity,
        named=named(wanted.judge),
        answers=main,
        every=every,
        gold=gold,
        costs=_costs(judge, ours, wanted.judge),
        capability=judge.capability,
        labels=labels,
        gaps=gaps,
        source="what is true of the task" if labels else "",
        sizes=_sizes(judge, judgments, comparisons, {c.id for c in chosen.both_ways}),
    )
    certificate = compose(given, wanted.seed)
    if second is not None:
        theirs = answers_of((j for j in judgments if j.judge_id == second.identity.id), comparisons)
        other = second.identity
        beside = grading.beside(main, theirs, other.name, other.simulated, labels)
        certificate = replace(certificate, second=beside)
    write_document(folder / FILE, certificate)
    return certificate


def _truth(
    task: Task, judgments: Sequence[Judgment], comparisons: dict[str, Comparison], asked: set[str]
) -> tuple[dict[str, float], dict[str, float]]:
    """What is true of the pairs, where somebody wrote it down, and how far they are apart.

    It is shown beside the answers; no verdict rests on it.
    """
    labels: dict[str, float] = {}
    gaps: dict[str, float] = {}
    if task.goal.truth not in TRUTHS:
        return labels, gaps
    for judgment in judgments:
        if judgment.comparison_id in asked:
            comparison = comparisons[judgment.comparison_id]
            potential = TRUTHS[task.goal.truth].under(judgment.principle)
            apart = potential(comparison.first.observations)
            apart -= potential(comparison.second.observations)
            labels[comparison.id] = 0.5 if apart == 0 else float(apart > 0)
            gaps[comparison.id] = abs(apart)
    return labels, gaps


def _costs(judge: Judge, judgments: Sequence[Judgment], settings: JudgeSettings) -> Costs:
    replies = {judgment.reply.id: judgment.reply for judgment in judgments}
    failures = sum(isinstance(judgment.outcome, Failure) for judgment in judgments)
    return Costs(
        requests=len(replies),
        answers=len(judgments) - failures,
        failures=failures,
        cost_usd=sum(reply.cost_usd for reply in replies.values()),
        probed_usd=_probed(judge),
        latency_s=sum(reply.latency_s for reply in replies.values()),
        at_once=settings.concurrency,
        priced=judge.capability is None or judge.capability.price_known,
    )


def _sizes(
    judge: Judge,
    judgments: Sequence[Judgment],
    comparisons: dict[str, Comparison],
    both_ways: set[str],
) -> dict[int, tuple[list[Answer], float]]:
    """By the number in a request, the answers in the one order and the tokens of a comparison."""
    found: dict[int, tuple[list[Answer], float]] = {}
    for other in (judge, *_of_sizes(judge)):
        some = [
            j
            for j in judgments
            if j.judge_id == other.identity.id
            and j.comparison_id in both_ways
            and j.order is Order.FORWARD
        ]
        replies = {j.reply.id: j.reply for j in some}
        tokens = sum(r.prompt_tokens + r.completion_tokens for r in replies.values())
        if some and tokens:
            found[other.per_request] = answers_of(some, comparisons), tokens / len(some)
    return found
