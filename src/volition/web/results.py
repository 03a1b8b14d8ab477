"""What is shown of people's answers once they are given, and of the goal before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from volition.comparison import encode_png
from volition.goal import Goal
from volition.judgment import Order
from volition.storage.pictures import read_frame
from volition.web.people import People
from volition.web.sources import Question

MOST_SHOWN = 200  # disagreements on one page


class GoalPicture(NamedTuple):
    """A picture of the goal, or of what is not meant."""

    caption: str
    png: bytes


class Disagreement(NamedTuple):
    """A question that a person and the judge answered otherwise.

    Attributes:
        sides: As the person saw them; each its name and the number of its frames.
        person, judge: The side that each preferred: 0, 1, or None of a tie.
        p_judge: The judge's probability of the side that it preferred.
        words: Why, where the judge said so.
        others: What other people said, each their name and their side.
    """

    question: Question
    sides: tuple[tuple[str, int], tuple[str, int]]
    person: int | None
    judge: int | None
    p_judge: float
    words: str
    others: tuple[tuple[str, int | None], ...]


def shown_goal(goal: Goal) -> list[GoalPicture]:
    """The pictures of a goal, encoded."""
    named = [("The goal reached", path) for path in goal.images]
    named += [("Not what is meant", path) for path in goal.counterexamples]
    return [GoalPicture(caption, encode_png(read_frame(path).pixels)) for caption, path in named]


def disagreements(people: People, person: str) -> Sequence[Disagreement]:
    """Where that person and the judge did not prefer the same, the latest first."""
    found = []
    for question in people.questions.values():
        label = people.answers(person).get(question.asked)
        said = people.source.said(question.asked)
        if label is None or label.p_first is None or said is None:
            continue
        swapped = question.order_for(person) is Order.SWAPPED
        mine, theirs = _side(label.p_first, swapped), _side(said.p_first, swapped)
        if mine == theirs:
            continue
        names = [question.first, question.second][:: -1 if swapped else 1]
        first, second = [(name, people.source.frames(name)) for name in names]
        others = [
            (name, _side(other.p_first, swapped))
            for name in people.standing(person).people
            if name != person
            and (other := people.answers(name).get(question.asked)) is not None
            and other.p_first is not None
        ]
        sure = max(said.p_first, 1 - said.p_first)
        found.append(
            Disagreement(question, (first, second), mine, theirs, sure, said.words, tuple(others))
        )
    return found[::-1][:MOST_SHOWN]


def _side(p_first: float, swapped: bool) -> int | None:
    """Which of two sides is preferred, as they were shown; None of a tie."""
    if p_first == 0.5:
        return None
    return int((p_first < 0.5) != swapped)
