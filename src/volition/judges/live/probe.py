"""Is this judge able to judge? Asked once before any money is spent, and remembered for a day.

Two pairs of pictures that nobody can confuse are put both ways round, and one of them again: five
small requests, or two where several questions go into one. That shows whether the pictures are
read at all, whether probabilities come back (servers accept `logprobs` and drop it), whether the
same question has the same answer twice, and whether the price is known.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
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
from volition.judges.live.wires import Wire
from volition.judges.prompt import Brief
from volition.judges.settings import JudgeSettings
from volition.judgment import Failure, Order, Reply, Verdict
from volition.storage.files import write_whole

GOAL = Brief("The black disc is at the top of the picture.")
REMEMBERED_S = 24 * 3600.0
TRIES = 4  # of a request that a busy server may answer later
LONGEST_WAIT_S = 20.0

Result = TypeVar("Result")


class Unfit(Exception):
    """Why a wire cannot be used; the next one is tried."""


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
    for judge in judges:
        if judge.identity.id == assignment.known_id:
            return judge
    memory = _memory(wanted)
    known_already = _recall(memory)
    for judge in wanted:
        if known_already is not None and judge.identity.id == known_already.judge_id:
            return replace(judge, capability=known_already)
    if not assignment.probe:
        return wanted[0]
    if settings.max_usd is not None:
        _check_affordable(wanted, settings.max_usd)
    judge, capability = _wait_for(_first_that_can(wanted))
    memory.parent.mkdir(parents=True, exist_ok=True)
    write_whole(memory, json.dumps(asdict(capability)))
    return replace(judge, capability=capability)


def _check_affordable(judges: Sequence[LiveJudge], max_usd: float) -> None:
    """That trying every one of a model's wires stays within a limit.

    Raises:
        InputError: It might not, or nobody knows.
    """
    trial = (*_questions(), _questions()[0])
    most, name = 0.0, judges[0].name
    for judge in judges:
        tried = replace(judge, brief=GOAL)
        for question in trial:
            cost = tried.estimate([question]).cost_usd
            if cost is None:
                raise InputError(
                    f"the price of {name} is not known, so that --max-usd cannot be kept: give "
                    "--price-in and --price-out, in dollars per million tokens"
                )
            most += cost
    if most > max_usd:
        raise InputError(
            f"trying {name} first, on {len(trial)} small questions in each way of asking it, may "
            f"cost ${most:.4f}, more than --max-usd {max_usd:g}: raise it"
        )


def _wait_for(work: Coroutine[object, object, Result]) -> Result:
    # In a thread of its own, for a notebook's thread has a loop already.
    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(asyncio.run, work).result()


async def _first_that_can(judges: Sequence[LiveJudge]) -> tuple[LiveJudge, Capability]:
    notes: list[str] = []
    paid: list[float] = []  # for wires that cannot be used as well
    for judge in judges:
        tried = replace(judge, brief=GOAL)
        try:
            deterministic = await _examine(tried, paid)
        except Unfit as reason:
            notes.append(f"{judge.wire.name}: {reason}")
            continue
        finally:
            await tried.close()
        price_known = tried.estimate(_questions()[:1]).cost_usd is not None
        return judge, Capability(
            judge.identity.id,
            judge.wire.soft,
            deterministic,
            price_known,
            sum(paid),
            tuple(dict.fromkeys(notes)),
            time.time(),
        )
    reasons = "\n  ".join(dict.fromkeys(notes))
    raise JudgeUnavailable(
        f"{judges[0].name} cannot judge, in any of the ways of asking it:\n  {reasons}\n"
        "Give a model that takes pictures, its name as the server knows it, and with --base-url "
        "the address up to and with /v1"
    )


# Examining one wire ------------------------------------------------------------------------------


def check(name: str, judge: Judge) -> None:
    """That a judge under `GOAL` tells pictures apart; for one that costs nothing to ask.

    Raises:
        JudgeUnavailable: It does not.
    """
    try:
        _wait_for(_examine(judge, []))
    except Unfit as reason:
        raise JudgeUnavailable(f"{name} cannot judge: {reason}") from None


async def _examine(judge: Judge, paid: list[float]) -> bool:
    """Whether the same question has the same answer; what finding out costs is added to `paid`.

    Raises:
        Unfit: This wire cannot be used.
        JudgeUnavailable: No wire can.
    """
    questions = _questions()
    packed = judge.per_request >= len(questions)
    batches = [questions] if packed else [[question] for question in questions]
    first = await _put(judge, batches[0], paid)
    rest = (_put(judge, batch, paid) for batch in (*batches[1:], batches[0]))
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


async def _put(judge: Judge, questions: Sequence[Question], paid: list[float]) -> list[float]:
    """The probability that the one shown first is better, for each question."""
    reply = await _ask_patiently(judge, questions)
    paid.append(reply.cost_usd)
    outcomes = judge.read(reply, questions)
    failures = [outcome for outcome in outcomes if isinstance(outcome, Failure)]
    if failures:
        raise Unfit(f"{failures[0].kind}: {failures[0].message}")
    return [outcome.p_shown_first for outcome in outcomes if isinstance(outcome, Verdict)]


async def _ask_patiently(judge: Judge, questions: Sequence[Question]) -> Reply:
    for attempt in range(1, TRIES + 1):
        try:
            return await judge.ask(questions)
        except KeyRefused as error:
            raise JudgeUnavailable(f"{judge.identity.name}: {error}") from None
        except AskError as error:
            if not error.again:
                raise Unfit(str(error)) from None
            if attempt == TRIES:
                raise JudgeUnavailable(
                    f"{judge.identity.name} does not answer ({error.kind}: {error}): is the server "
                    "up, and is its address right?"
                ) from None
            wait = error.retry_after_s if error.retry_after_s is not None else 0.25 * 2**attempt
            await asyncio.sleep(min(wait, LONGEST_WAIT_S))
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
