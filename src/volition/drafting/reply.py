"""Reading a draft, whoever wrote it: strictly, and every text in it as data.

What is taken is one JSON object of a known form, bounded in every direction. No text in it can
become anything but one line of a constitution, which is then judged by: a line break, a comment's
mark or a sign that cannot be seen is refused, where the person would read another thing than the
judge. Other languages and scripts are as good as English.
"""

from __future__ import annotations

import json
import unicodedata
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from volition.drafting.draft import DraftedStage, Proposal, Sentence
from volition.drafting.request import LONGEST, PRINCIPLES, QUESTIONS, STAGES, VETOES
from volition.goal import VETO, Goal, GoalStage, Principle, hidden_sign, read_constitution
from volition.judges.prompt import Document
from volition.tasks.numbers import shown

MOST_CHARACTERS = 200_000  # of a reply: many times what is asked for
MOST_OBJECTS = 100  # braces at which one is looked for
MOST_FAULTS = 8  # that are told at once

Text = Annotated[str, Field(strict=True)]
Number = Annotated[int, Field(strict=True)]


class Unreadable(Exception):
    """Why a draft cannot be taken: a line for each fault, with its place and its value."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Sentence(_Strict):
    text: Text
    picture: Number
    why: Text


class _Stage(_Strict):
    text: Text
    done: Text


class _Reply(_Strict):
    goal: Text
    principles: Annotated[tuple[_Sentence, ...], Field(min_length=1, max_length=PRINCIPLES)]
    vetoes: Annotated[tuple[_Sentence, ...], Field(max_length=VETOES)]
    stages: Annotated[tuple[_Stage, ...], Field(max_length=STAGES)] = ()
    questions: Annotated[tuple[Text, ...], Field(max_length=QUESTIONS)]


def read_reply(text: str, pictures: int) -> Proposal:
    """The proposal in a reply, in which words or a fence may stand around the object.

    Args:
        text: What was written.
        pictures: How many were shown.

    Raises:
        Unreadable: It is none; nothing of it is used then.
    """
    if len(text) > MOST_CHARACTERS:
        raise Unreadable(f"it has {len(text):,} characters, and may have {MOST_CHARACTERS:,}")
    document = _object_in(text)
    try:
        reply = _Reply.model_validate(document)
    except ValidationError as error:
        raise Unreadable(_told(error)) from None
    _check(reply, pictures)
    principles, vetoes = (
        tuple(Sentence(s.text.strip(), s.picture, s.why.strip()) for s in some)
        for some in (reply.principles, reply.vetoes)
    )
    questions = tuple(question.strip() for question in reply.questions)
    stages = tuple(DraftedStage(s.text.strip(), s.done.strip()) for s in reply.stages)
    return Proposal(reply.goal.strip(), principles, vetoes, questions, stages)


# The object ----------------------------------------------------------------------------------


def _object_in(text: str) -> Document:
    """The one object with a goal that the text holds, outside of what a model wrote to itself."""
    answer = text.rpartition("</think>")[2]
    decoder = json.JSONDecoder(object_pairs_hook=_unrepeated)
    found, why, start = [], "it holds no JSON object", answer.find("{")
    for _ in range(MOST_OBJECTS):
        if start < 0:
            break
        end = start + 1
        try:
            document, end = decoder.raw_decode(answer, start)
            found.append(document)
        except json.JSONDecodeError as error:
            if not found and why.startswith("it holds"):
                why = f"line {error.lineno}, column {error.colno}: no JSON: {error.msg}"
        except (ValueError, RecursionError) as error:
            if isinstance(error, RecursionError):
                error = ValueError("it is nested too deep")
            raise Unreadable(str(error)) from None
        start = answer.find("{", end)
    drafts = [document for document in found if "goal" in document]
    if len(drafts) > 1:
        raise Unreadable(f"it holds {len(drafts)} drafts, and must hold one")
    if not drafts:
        raise Unreadable("it holds no goal: no object has that key" if found else why)
    return drafts[0]


def _unrepeated(pairs: list[tuple[str, Any]]) -> Document:
    keys = [key for key, _ in pairs]
    twice = [key for key in keys if keys.count(key) > 1]
    if twice:
        raise ValueError(f"it says {shown(twice[0])} twice")
    return dict(pairs)


def _told(error: ValidationError) -> str:
    lines = []
    for problem in error.errors()[:MOST_FAULTS]:
        place, value, kind = _place(problem["loc"]), problem["input"], problem["type"]
        limits = problem.get("ctx", {})
        if kind == "too_long":
            why = f"at most {limits['max_length']} are taken, and there are {_length(value)}"
        elif kind == "too_short":
            why = "there must be one, and there is none"
        elif kind == "extra_forbidden":
            why = "there is no such key"
        elif kind == "missing":
            why = "it is missing"
        else:
            expected = _expected(kind)
            why = f"it must be {expected}, not {shown(value)}"
        lines.append(f"{place}: {why}")
    return "\n".join(lines)


def _length(value: object) -> object:
    return len(value) if isinstance(value, list | tuple) else shown(value)


def _expected(kind: str) -> str:
    kinds = {"string": "text", "int": "a whole number", "tuple": "an array", "model": "an object"}
    return next((words for name, words in kinds.items() if kind.startswith(name)), "otherwise")


def _place(location: tuple[int | str, ...]) -> str:
    """Such as `principles 2, picture`."""
    words: list[str] = []
    for part in location:
        if isinstance(part, int) and words:
            words[-1] += f" {part + 1}"
        else:
            name = str(part)
            words.append(name if name.isidentifier() and len(name) < 80 else shown(name))
    return ", ".join(words) or "the draft"


# What it says --------------------------------------------------------------------------------


def _check(reply: _Reply, pictures: int) -> None:
    faults = []

    def check(place: str, fault: str) -> None:
        if fault:
            faults.append(f"{place}: {fault}")

    check("goal", _unfit(reply.goal))
    seen: set[str] = set()
    for kind, veto, sentences in (
        ("principles", False, reply.principles),
        ("vetoes", True, reply.vetoes),
    ):
        for number, sentence in enumerate(sentences, start=1):
            place, text = f"{kind} {number}", sentence.text.strip()
            check(f"{place}, text", _unfit(text) or _no_line(text, veto))
            check(f"{place}, text", f"it is said twice: {shown(text)}" if text in seen else "")
            check(f"{place}, why", _unfit(sentence.why) if sentence.why.strip() else "")
            if not 1 <= sentence.picture <= pictures:
                told = f"there are pictures 1 to {pictures}, and no {shown(sentence.picture)}"
                check(f"{place}, picture", told)
            seen.add(text)
    for number, stage in enumerate(reply.stages, start=1):
        check(f"stages {number}, text", _unfit(stage.text))
        check(f"stages {number}, done", _unfit(stage.done))
    if reply.stages and not faults:
        check("stages", _no_stages(reply))
    for number, question in enumerate(reply.questions, start=1):
        check(f"questions {number}", _unfit(question))
    if faults:
        raise Unreadable("\n".join(faults[:MOST_FAULTS]))


def _no_stages(reply: _Reply) -> str:
    """Why a goal cannot have these stages; empty where it can."""
    try:
        stages = [GoalStage(stage.text, stage.done) for stage in reply.stages]
        Goal(reply.goal, vetoes=[veto.text for veto in reply.vetoes], stages=stages)
    except ValueError as error:
        return str(error)
    return ""


def _unfit(text: str) -> str:
    """Why a text is not one line that can be read; empty where it is."""
    if not any(unicodedata.category(sign)[0] in "LN" for sign in text):
        return f"it says nothing: {shown(text)}"
    if len(text) > LONGEST:
        return f"it has {len(text):,} characters, and may have {LONGEST}: {shown(text)}"
    if sign := hidden_sign(text.strip()):
        name = "a line break" if sign in "\n\r\u2028\u2029" else f"the sign U+{ord(sign):04X}"
        return f"it holds {name}, and must be one line of text: {shown(text)}"
    return ""


def _no_line(text: str, veto: bool) -> str:
    """Why a constitution would read something else, if it would: a comment, or a veto."""
    line = f"{VETO} {text}" if veto else text
    if read_constitution(line) == [Principle(text, veto)]:
        return ""
    return f"it begins like something else in a constitution: {shown(text)}"
