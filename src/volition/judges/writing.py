"""Judges that write: words and pictures go in, a JSON object comes back, and nobody here reads it.

A live judge that answers in text can write as well as choose. It is asked as it is by itself
first, with room to reason: one text is asked for, and not hundreds of letters. How long it is
waited for and what it may cost are as of every other question to a judge.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib import import_module
from typing import Any

from volition.errors import InputError, Interrupted, JudgeUnavailable
from volition.judges import JUDGES
from volition.judges.live.connection import client_library, resolve
from volition.judges.live.judge import LiveJudge
from volition.judges.live.probe import Trial, Unfit, ask_patiently
from volition.judges.live.wires import Chat, Votes, writes
from volition.judges.prompt import Brief, Document, Outline, Prompt
from volition.judges.settings import JudgeSettings
from volition.judgment import Reply

LIVE = ("openai", "anthropic", "gemini")

Keep = Callable[[LiveJudge, Reply, float], None]
"""Is given a reply before anything reads it, who wrote it, and what all did cost so far."""


def writers(settings: JudgeSettings, schema: Document, most: int) -> list[LiveJudge]:
    """The ways in which a model can be asked to write, best first.

    Args:
        settings: Which model.
        schema: Of the object that it is to write.
        most: Tokens that the object may take.

    Raises:
        InputError: There is no such judge, or it cannot write.
        JudgeUnavailable: A package or a key is missing.
    """
    prefix, _, model = settings.judge.partition(":")
    if prefix in JUDGES and prefix not in LIVE:
        raise InputError(
            f"{settings.judge} cannot write, since it only chooses: name a model that does with "
            f"--judge ({', '.join(f'{name}:MODEL' for name in LIVE)}), or let anybody write by "
            "--ask FOLDER"
        )
    if prefix not in LIVE or not model:
        known = ", ".join(f"{name}:MODEL" for name in LIVE)
        raise InputError(f"there is no judge {settings.judge!r} that writes: --judge takes {known}")
    module = import_module(JUDGES[prefix])
    endpoint = resolve(module.PROVIDER, settings.base_url)
    client_library(module.PROVIDER.library, module.PROVIDER.name)
    ways = [wire.way for wire in module.wires(model, endpoint, replace(settings, explain=True))]
    chats: dict[Chat, None] = dict.fromkeys(w.chat for w in reversed(ways) if isinstance(w, Votes))
    wires = [writes(chat, schema, most, enforced) for chat in chats for enforced in (True, False)]
    brief = Brief("")
    return [
        LiveJudge(settings.judge, model, endpoint, wire, brief, settings.price) for wire in wires
    ]


def write(
    judges: Sequence[LiveJudge],
    prompt: Prompt,
    outline: Outline,
    trial: Trial,
    reserve: Callable[[float], None],
    keep: Keep,
) -> None:
    """Has one text written, in the first of the ways that the server takes.

    Args:
        judges: The ways, as of `writers`.
        prompt: What is put.
        outline: The same, for its price.
        trial: What it may take; what it costs is added there.
        reserve: Is told before every request what all may have cost when it is answered.
        keep: Is given the reply.

    Raises:
        InputError: It may cost more than is allowed, or nobody knows what it costs.
        JudgeUnavailable: The judge cannot be asked.
        Interrupted: Ctrl-C was pressed. A reply that was under way has been waited for and kept.
    """
    _until_stopped(_first_that_takes_it(judges, prompt, outline, trial, reserve, keep), trial)


async def _first_that_takes_it(
    judges: Sequence[LiveJudge],
    prompt: Prompt,
    outline: Outline,
    trial: Trial,
    reserve: Callable[[float], None],
    keep: Keep,
) -> None:
    notes: list[str] = []
    refused: frozenset[str] = frozenset()
    for wired in judges:
        while True:
            judge = wired.without(refused)
            try:
                reply = await _put(judge, prompt, outline, trial, reserve)
            except Unfit as reason:
                notes.append(str(reason))
                refused |= reason.refused
                if wired.without(refused).identity.id == judge.identity.id:
                    break
            else:
                keep(judge, reply, trial.paid)
                return
            finally:
                await judge.close()
    reasons = "; ".join(dict.fromkeys(notes))
    raise JudgeUnavailable(f"{judges[0].name} does not write: {reasons}")


async def _put(
    judge: LiveJudge,
    prompt: Prompt,
    outline: Outline,
    trial: Trial,
    reserve: Callable[[float], None],
) -> Reply:
    estimate = judge.estimate_of(outline, len(prompt.questions))
    cost = estimate.cost_usd
    if trial.max_usd is not None:
        if cost is None:
            raise InputError(
                f"the price of {judge.name} is not known, so --max-usd cannot be kept: give "
                "--price-in and --price-out, in US dollars per million tokens, or leave --max-usd "
                "out"
            )
        if trial.paid + cost > trial.max_usd:
            spent = f", and ${trial.paid:.4f} were spent before" if trial.paid else ""
            raise InputError(
                f"{judge.name} was not asked: it may cost ${cost:.4f}{spent}, which is more than "
                f"--max-usd {trial.max_usd:g}"
            )
    reserve(trial.paid + (cost or 0.0))
    try:
        return await ask_patiently(
            judge, lambda: judge.put(prompt, lambda: estimate), cost or 0.0, trial
        )
    except (Unfit, JudgeUnavailable):
        reserve(trial.paid)
        raise


def _until_stopped(work: Coroutine[Any, Any, None], trial: Trial) -> None:
    """Does it on a thread of its own.

    The first Ctrl-C waits for a reply that is under way, unless none comes since the judge is down;
    the second one waits for nothing.
    """
    loop: list[asyncio.AbstractEventLoop] = []
    tasks: list[asyncio.Task[None]] = []

    async def run() -> None:
        loop.append(asyncio.get_running_loop())
        tasks.append(asyncio.ensure_future(work))
        await tasks[0]

    def cancel() -> None:
        if tasks:
            loop[0].call_soon_threadsafe(tasks[0].cancel)

    with ThreadPoolExecutor(max_workers=1) as thread:
        future = thread.submit(asyncio.run, run())
        try:
            future.result()
        except KeyboardInterrupt:
            try:
                if trial.outage is not None:
                    cancel()
                future.exception()
            except KeyboardInterrupt:
                cancel()
            raise Interrupted(
                "stopped; what came is kept: the same command goes on from there"
            ) from None
