"""Is this judge able to judge? Asked once before any money is spent, and remembered for a day.

Two pairs of pictures that nobody can confuse are put both ways round, and one of them again: five
small requests, or two where several questions go into one. That shows whether the pictures are
read at all, whether probabilities come back (servers accept `logprobs` and drop it), whether the
same question has the same answer twice, and whether the price is known.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from itertools import combinations, count
from pathlib import Path
from typing import TypeVar

import numpy as np
import platformdirs

from volition.comparison import Comparison, Frame, Segment, content_id
from volition.errors import InputError, JudgeUnavailable
from volition.judges.base import AskError, Assignment, Capability, Judge, Question
from volition.judges.live.connection import (
    Endpoint,
    KeyRefused,
    Provider,
    client_library,
    resolve,
)
from volition.judges.live.judge import LiveJudge, brief_of
from volition.judges.live.wires import REFUSABLE, Wire, refused_in
from volition.judges.outage import Outage
from volition.judges.prompt import Brief
from volition.judges.settings import PATIENCE_S, JudgeSettings
from volition.judgment import Failure, Order, Reply, Verdict
from volition.storage.files import write_whole

GOAL = Brief("The black disc is at the top of the picture.")
REMEMBERED_S = 24 * 3600.0
REACHED_S = 20.0  # within which an address is reached at all, or is most likely wrong
TOLD_S = 1.0  # a wait that a person is told of
LOG = logging.getLogger("volition")

Result = TypeVar("Result")


class Unfit(Exception):
    """Why a wire cannot be used; the next one is tried.

    Attributes:
        refused: What of it the server refused, of `REFUSABLE`, if it said so.
    """

    def __init__(self, reason: str, refused: frozenset[str] = frozenset()) -> None:
        super().__init__(reason)
        self.refused = refused


@dataclass(slots=True)
class Trial:
    """What trying a judge may take, and took so far.

    Attributes:
        patience_s: How long it is waited for where it does not answer.
        max_usd: US dollars; None is no limit.
        paid: Likewise, for wires that cannot be used as well.
        reached: Whether anything came from its address.
    """

    patience_s: float = PATIENCE_S
    max_usd: float | None = None
    paid: float = 0.0
    reached: bool = False
    outage: Outage | None = field(default=None, init=False)

    def answered(self) -> None:
        self.reached, self.outage = True, None

    async def wait(self, name: str, error: AskError, sent_at: float, times: int) -> None:
        """Waits until the judge may be asked again, which did not answer so many `times`.

        Raises:
            JudgeUnavailable: It was waited for long enough, or is to be waited for longer.
        """
        now = asyncio.get_running_loop().time()
        reached = self.reached or error.kind != "connection" or error.billed
        if self.outage is None or reached != self.reached:
            patience = self.patience_s if reached else min(REACHED_S, self.patience_s)
            self.outage, self.reached = Outage(name, patience), reached
        self.outage.failed(error, sent_at, now, 1)
        wait = self.outage.delay(error, times, now)
        if now >= self.outage.deadline or now + wait > self.outage.deadline:
            reason = self.outage.given_up(wait)
            if not reached:
                reason += ": is the server up, and is its address right?"
            raise JudgeUnavailable(reason)
        if wait >= TOLD_S:
            LOG.warning("%s", self.outage.waiting(now, told_after_s=0.0))
        await asyncio.sleep(wait)


def live_judge(
    provider: Provider,
    wires: Callable[[str, Endpoint, JudgeSettings], Sequence[Wire]],
    model: str,
    settings: JudgeSettings,
    assignment: Assignment,
) -> LiveJudge:
    """A provider's judge for this model, asked in the first of its `wires` that works.

    Raises:
        InputError: An option is not as it must be.
        JudgeUnavailable: A package or a key is missing, or no way of asking works.
    """
    endpoint = resolve(provider, settings.base_url)
    client_library(provider.library, provider.name)
    brief = brief_of(assignment)
    judges = [
        LiveJudge(
            f"{provider.name}:{model}",
            model,
            endpoint,
            wire,
            brief,
            settings.price,
            settings.per_request,
            settings.samples,
        )
        for wire in wires(model, endpoint, settings)
    ]
    return choose(judges, settings, assignment)


def choose(
    judges: Sequence[LiveJudge], settings: JudgeSettings, assignment: Assignment
) -> LiveJudge:
    """The first of `judges`, which are one model's wires, that can judge.

    Raises:
        InputError: None of them is the wire that was asked for.
        JudgeUnavailable: None of them can; the message says for each why, and what to change.
    """
    name = judges[0].name
    wanted = [judge for judge in judges if settings.wire in (None, judge.wire.name)]
    if not wanted:
        known = ", ".join(dict.fromkeys(judge.wire.name for judge in judges))
        raise InputError(f"{name} has no wire {settings.wire!r}: it has {known}")
    if assignment.known_id is not None:
        for judge in _every_form(judges):
            if judge.identity.id == assignment.known_id:
                return judge
    memory = _memory(wanted)
    known_already = _recall(memory)
    if known_already is not None:
        for judge in _every_form(wanted):
            if judge.identity.id == known_already.judge_id:
                return replace(judge, capability=known_already)
    if not assignment.probe:
        return wanted[0]
    trial = Trial(settings.patience, settings.max_usd)
    judge, capability = wait_for(_first_that_can(wanted, trial))
    memory.parent.mkdir(parents=True, exist_ok=True)
    write_whole(memory, json.dumps(asdict(capability)))
    return replace(judge, capability=capability)


def _every_form(judges: Sequence[LiveJudge]) -> Iterator[LiveJudge]:
    """Each judge, and what it becomes at a server that refuses some of what is asked."""
    for judge in judges:
        for some in range(len(REFUSABLE) + 1):
            for refused in combinations(REFUSABLE, some):
                yield judge.without(frozenset(refused))


def _check_affordable(judge: LiveJudge, trial: Trial) -> None:
    """That trying this wire stays within the limit.

    Raises:
        InputError: It might not, or nobody knows.
    """
    if trial.max_usd is None:
        return
    questions, most = (*_questions(), _questions()[0]), trial.paid
    for question in questions:
        cost = judge.estimate([question]).cost_usd
        if cost is None:
            raise InputError(
                f"the price of {judge.name} is not known, so that --max-usd cannot be kept: give "
                "--price-in and --price-out, in dollars per million tokens"
            )
        most += cost
    if most > trial.max_usd:
        raise InputError(
            f"trying {judge.name} first, on {len(questions)} small questions in each way of asking "
            f"it, may cost ${most:.4f}, more than --max-usd {trial.max_usd:g}: raise it"
        )


def wait_for(work: Coroutine[object, object, Result]) -> Result:
    """What comes of it, in a thread of its own: a notebook's thread has a loop already."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(asyncio.run, work).result()


async def _first_that_can(
    judges: Sequence[LiveJudge], trial: Trial
) -> tuple[LiveJudge, Capability]:
    notes: list[str] = []
    refused: frozenset[str] = frozenset()
    for wired in judges:
        while True:
            judge = wired.without(refused)
            tried = replace(judge, brief=replace(GOAL, one_picture=judge.brief.one_picture))
            try:
                _check_pictures(judge)
                _check_affordable(tried, trial)
                deterministic = await _examine(tried, trial)
            except Unfit as reason:
                notes.append(f"{judge.wire.name}: {reason}")
                refused |= reason.refused
                if wired.without(refused).identity.id == judge.identity.id:
                    break
            else:
                return judge, _capability(judge, deterministic, trial.paid, notes)
            finally:
                await tried.close()
    reasons = "\n  ".join(dict.fromkeys(notes))
    raise JudgeUnavailable(
        f"{judges[0].name} cannot judge, in any of the ways of asking it:\n  {reasons}\n"
        "Give a model that takes pictures, its name as the server knows it, and with --base-url "
        "the address up to and with /v1"
    )


def _check_pictures(judge: LiveJudge) -> None:
    """That a server which takes one picture needs no more.

    Raises:
        Unfit: The goal has pictures of its own.
    """
    brief = judge.brief
    if brief.one_picture and (brief.images or brief.counterexamples):
        raise Unfit(
            "the server takes one picture only, and the goal has pictures of its own: leave them "
            "out, or allow more at the server"
        )


def _capability(
    judge: LiveJudge, deterministic: bool, paid: float, notes: Sequence[str]
) -> Capability:
    price_known = judge.estimate(_questions()[:1]).cost_usd is not None
    unlike = tuple(dict.fromkeys(notes))
    soft, now = judge.wire.soft, time.time()
    return Capability(judge.identity.id, soft, deterministic, price_known, paid, unlike, now)


# Examining one wire ------------------------------------------------------------------------------


def check(name: str, judge: Judge) -> None:
    """That a judge under `GOAL` tells pictures apart; for one that costs nothing to ask.

    Raises:
        JudgeUnavailable: It does not.
    """
    try:
        wait_for(_examine(judge, Trial()))
    except Unfit as reason:
        raise JudgeUnavailable(f"{name} cannot judge: {reason}") from None


async def _examine(judge: Judge, trial: Trial) -> bool:
    """Whether the same question has the same answer.

    Raises:
        Unfit: This wire cannot be used.
        JudgeUnavailable: No wire can.
    """
    questions = _questions()
    packed = judge.per_request >= len(questions)
    batches = [questions] if packed else [[question] for question in questions]
    first = await _put(judge, batches[0], trial)
    rest = (_put(judge, batch, trial) for batch in (*batches[1:], batches[0]))
    *others, again = await asyncio.gather(*rest)
    _check_told_apart(questions, [p for answered in (first, *others) for p in answered])
    return first == again


def _check_told_apart(questions: Sequence[Question], answers: Sequence[float]) -> None:
    """Checks answers to `_questions`, each the probability of what was shown first.

    Raises:
        Unfit: The judge did not tell the pictures apart.
    """
    right = [
        p > 0.5 if _disc_height(question.shown[0]) > _disc_height(question.shown[1]) else p < 0.5
        for question, p in zip(questions, answers, strict=True)
    ]
    if all(right):
        return
    for letter, same in (
        ("A", all(p > 0.5 for p in answers)),
        ("B", all(p < 0.5 for p in answers)),
    ):
        if same:
            raise Unfit(f"it answers {letter} whatever the pictures show: it does not read them")
    raise Unfit(
        f"it does not tell a disc at the top from one at the bottom ({sum(right)} of {len(right)} "
        "right): it does not read the pictures, or cannot judge them"
    )


async def _put(judge: Judge, questions: Sequence[Question], trial: Trial) -> list[float]:
    """The probability that the one shown first is better, for each question."""
    cost = judge.estimate(questions).cost_usd or 0.0
    reply = await ask_patiently(judge, lambda: judge.ask(questions), cost, trial)
    outcomes = judge.read(reply, questions)
    failures = [outcome for outcome in outcomes if isinstance(outcome, Failure)]
    if failures:
        raise Unfit(f"{failures[0].kind}: {failures[0].message}")
    return [outcome.p_shown_first for outcome in outcomes if isinstance(outcome, Verdict)]


async def ask_patiently(
    judge: Judge, ask: Callable[[], Awaitable[Reply]], cost_usd: float, trial: Trial
) -> Reply:
    """The reply to one request, made again as long as the judge does not answer and is waited for.

    Args:
        judge: Who is asked.
        ask: Makes the request.
        cost_usd: What it may cost at most.
        trial: What all of it may take; what it cost is added there.

    Raises:
        Unfit: The judge cannot be asked so.
        JudgeUnavailable: It cannot be asked.
    """
    name = judge.identity.name
    for times in count(1):
        sent_at = asyncio.get_running_loop().time()
        try:
            reply = await ask()
        except KeyRefused as error:
            raise JudgeUnavailable(f"{name}: {error}") from None
        except AskError as error:
            trial.paid += cost_usd * error.billed
            if not error.again:
                raise Unfit(str(error), refused_in(str(error))) from None
            if trial.max_usd is not None and trial.paid + cost_usd > trial.max_usd:
                raise JudgeUnavailable(
                    f"{name} does not answer, and what may have been billed for trying it reaches "
                    f"--max-usd {trial.max_usd:g}: {error}"
                ) from None
            await trial.wait(name, error, sent_at, times)
        else:
            trial.answered()
            trial.paid += reply.cost_usd
            return reply
    raise AssertionError("unreachable")


# What it is asked --------------------------------------------------------------------------------


def _questions() -> list[Question]:
    """Two pairs, a disc near the top and one near the bottom, each put both ways round."""
    pairs = [(_disc(36, 16), _disc(36, 56)), (_disc(20, 18), _disc(52, 54))]
    comparisons = [Comparison.between("probe", *pair) for pair in pairs]
    return [Question(c, order) for order in Order for c in comparisons]


def _disc(x: int, y: int) -> Segment:
    rows, columns = np.mgrid[:72, :72]
    pixels = np.full((72, 72, 3), 255, np.uint8)
    pixels[(columns - x) ** 2 + (rows - y) ** 2 <= 12**2] = 0
    return Segment(np.array([[x, y]], np.float32), (Frame(pixels),))


def _disc_height(segment: Segment) -> float:
    return -float(segment.observations[0, 1])


# What is remembered ------------------------------------------------------------------------------


def _memory(judges: Sequence[LiveJudge]) -> Path:
    name = content_id(*(judge.identity.id.encode() for judge in judges))
    return platformdirs.user_cache_path("volition") / "judges" / f"{name}.json"


def _recall(memory: Path) -> Capability | None:
    try:
        document = json.loads(memory.read_text(encoding="utf-8"))
        notes = tuple(document["notes"])
        capability = Capability(**{**document, "notes": notes, "cost_usd": 0.0})
        fresh = 0 <= time.time() - capability.checked_at < REMEMBERED_S
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return capability if fresh else None
