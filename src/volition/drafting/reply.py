"""Reading a draft, whoever wrote it: one JSON object of a known form, bounded in every direction.

No text in it can become anything but one line of a constitution, which is then judged by.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, ValidationError

from volition.drafting.draft import Proposal, Sentence
from volition.drafting.request import PRINCIPLES, QUESTIONS, VETOES
from volition.drafting.strict import (
    MOST_FAULTS,
    Strict,
    Text,
    Unreadable,
    no_line,
    object_in,
    told,
    unfit,
)
from volition.goal import alike
from volition.tasks.numbers import shown

WHAT = "draft"  # is read here
Number = Annotated[int, Field(strict=True)]


class _Sentence(Strict):
    text: Text
    picture: Number
    why: Text


class _Reply(Strict):
    goal: Text
    principles: Annotated[tuple[_Sentence, ...], Field(min_length=1, max_length=PRINCIPLES)]
    vetoes: Annotated[tuple[_Sentence, ...], Field(max_length=VETOES)]
    questions: Annotated[tuple[Text, ...], Field(max_length=QUESTIONS)]


def read_reply(text: str, pictures: int) -> Proposal:
    """The proposal in a reply, in which words or a fence may stand around the object.

    Args:
        text: What was written.
        pictures: How many were shown.

    Raises:
        Unreadable: It is none; nothing of it is used then.
    """
    document = object_in(text, "goal", WHAT)
    try:
        reply = _Reply.model_validate(document)
    except ValidationError as error:
        raise Unreadable(told(error, f"the {WHAT}")) from None
    _check(reply, pictures)
    principles, vetoes = (
        tuple(Sentence(s.text.strip(), s.picture, s.why.strip()) for s in some)
        for some in (reply.principles, reply.vetoes)
    )
    questions = tuple(question.strip() for question in reply.questions)
    return Proposal(reply.goal.strip(), principles, vetoes, questions)


def _check(reply: _Reply, pictures: int) -> None:
    faults = []

    def check(place: str, fault: str) -> None:
        if fault:
            faults.append(f"{place}: {fault}")

    check("goal", unfit(reply.goal))
    seen: set[str] = set()
    for kind, veto, sentences in (
        ("principles", False, reply.principles),
        ("vetoes", True, reply.vetoes),
    ):
        for number, sentence in enumerate(sentences, start=1):
            place, text = f"{kind} {number}", sentence.text.strip()
            check(f"{place}, text", unfit(text) or no_line(text, veto))
            check(
                f"{place}, text", f"it is said twice: {shown(text)}" if alike(text) in seen else ""
            )
            check(f"{place}, why", unfit(sentence.why) if sentence.why.strip() else "")
            if not 1 <= sentence.picture <= pictures:
                why = f"there are pictures 1 to {pictures}, and no {shown(sentence.picture)}"
                check(f"{place}, picture", why)
            seen.add(alike(text))
    for number, question in enumerate(reply.questions, start=1):
        check(f"questions {number}", unfit(question))
    if faults:
        raise Unreadable("\n".join(faults[:MOST_FAULTS]))
