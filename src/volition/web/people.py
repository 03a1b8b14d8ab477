"""Who has answered what: a person's next questions, how far people are, and how far they agree.

All of it follows from the questions and from the labels on disk, so it is the same after a restart
and for every process that reads them.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from volition.errors import InputError
from volition.goal import hidden_sign
from volition.judgment import Order
from volition.reward.preferences import Proportion
from volition.storage.labels import Label, LabelLog
from volition.web.sources import Asked, Question, Source

STEP = 10  # agreement is told in steps of so many answers: none can be read from it
HELD_S = 60.0  # for which a question that somebody is looking at is offered last to others
LONGEST_NAME = 40
MOST_SHOWN = 200  # disagreements on one page
NONE = Proportion(0, 0)


@dataclass(frozen=True, slots=True)
class Standing:
    """How far people are.

    Attributes:
        questions: How many there are.
        answered: How many of them this person has answered, those passed over among them.
        by_anybody: How many somebody has.
        people: Who has answered at all.
        with_judge, with_people: Of this person's verdicts, how many prefer the side that the judge
            does, and that other people do; ties left out, in steps of `STEP`.
    """

    questions: int
    answered: int
    by_anybody: int
    people: tuple[str, ...]
    with_judge: Proportion
    with_people: Proportion


class People:
    """What people said of the questions of a source.

    Args:
        source: Which has not been asked for its questions before.
        log: Of their labels.
    """

    def __init__(self, source: Source, log: LabelLog) -> None:
        self.source, self.log = source, log
        self.questions: dict[str, Question] = {}  # by their keys
        self.by_asked: dict[Asked, Question] = {}
        self._order: list[Question] = []
        self._said: dict[str, dict[Asked, Label]] = {}
        self._who: dict[Asked, set[str]] = {}  # has answered it
        self._held: dict[Asked, tuple[str, float]] = {}
        self._agreements: dict[str, tuple[int, Proportion, Proportion]] = {}
        self._folded = 0

    def refresh(self) -> None:
        """Reads what has come meanwhile: questions, and what others have handed in."""
        if fresh := self.source.new_questions():
            self.questions |= {question.key: question for question in fresh}
            self.by_asked |= {question.asked: question for question in fresh}
            self._order += shuffled(fresh)
        self.log.refresh()
        for label in self.log.labels[self._folded :]:
            answers = self._said.setdefault(label.person, {})
            who = self._who.setdefault(label.question, set())
            answers.pop(label.question, None)  # the latest is to be the last
            who.discard(label.person)
            if label.choice != "undo":
                answers[label.question] = label
                who.add(label.person)
        self._folded = len(self.log.labels)

    def hand_in(self, labels: Sequence[Label]) -> None:
        """Stores labels; those that are there already are left alone."""
        self.log.append(labels)
        self.refresh()

    def answers(self, person: str) -> Mapping[Asked, Label]:
        """What that person said and did not take back, the latest last."""
        return self._said.get(person, {})

    def next_for(self, person: str, count: int) -> list[Question]:
        """The next questions of that person.

        Those that nobody answered come first, among those that everybody is asked; then those that
        others answered. What another person is looking at comes last.
        """
        mine, now = self.answers(person), time.monotonic()
        chosen: list[Question] = []
        later: tuple[list[Question], list[Question]] = ([], [])
        for question in self._order:
            if len(chosen) == count:
                break
            if question.asked in mine:
                continue
            holder, since = self._held.get(question.asked, (person, 0.0))
            if question.shared:
                chosen.append(question)
            elif holder != person and now - since < HELD_S:
                later[1].append(question)
            elif self._who.get(question.asked):
                later[0].append(question)
            else:
                chosen.append(question)
        for some in later:
            chosen += some[: count - len(chosen)]
        for question in chosen:
            holder, since = self._held.get(question.asked, (person, now))
            if holder == person or now - since >= HELD_S:
                self._held[question.asked] = person, now
        return chosen

    def standing(self, person: str) -> Standing:
        """How far that person is, and everybody."""
        mine = [asked for asked in self.answers(person) if asked in self.by_asked]
        anybody = sum(bool(who) and asked in self.by_asked for asked, who in self._who.items())
        people = tuple(sorted(name for name, answers in self._said.items() if answers))
        with_judge, with_people = self._agreement(person, mine)
        return Standing(len(self.by_asked), len(mine), anybody, people, with_judge, with_people)

    def _agreement(self, person: str, mine: Sequence[Asked]) -> tuple[Proportion, Proportion]:
        """With the judge and with others, counted anew after every `STEP` answers."""
        told = len(mine) // STEP * STEP
        counted, *known = self._agreements.get(person, (-1, NONE, NONE))
        if counted != told:
            answers = self.answers(person)
            labels = [answers[asked] for asked in mine[:told]]
            known = [
                _agreement((label.p_first, self._of_judge(label.question)) for label in labels),
                _agreement(
                    (label.p_first, self._said[other][label.question].p_first)
                    for label in labels
                    for other in self._who[label.question]
                    if other != person
                ),
            ]
            self._agreements[person] = told, known[0], known[1]
        return known[0], known[1]

    def _of_judge(self, asked: Asked) -> float | None:
        said = self.source.said(asked)
        return None if said is None else said.p_first

    def means(self) -> dict[Asked, float | None]:
        """What people said of each question on average; None where all of them passed it over."""
        return {
            asked: _mean([self._said[person][asked].p_first for person in who])
            for asked, who in self._who.items()
            if who
        }


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


def check_name(name: str) -> str:
    """A person's name without what is around it.

    Raises:
        InputError: It is none.
    """
    name = " ".join(name.split())
    if not name or len(name) > LONGEST_NAME or hidden_sign(name):
        raise InputError(f"a name has 1 to {LONGEST_NAME} signs that can be seen")
    return name


def shuffled(questions: Iterable[Question]) -> list[Question]:
    """The same in an order that says nothing of what a judge answered, always the same."""
    return sorted(questions, key=lambda question: hashlib.sha256(question.key.encode()).digest())


def _mean(probabilities: Sequence[float | None]) -> float | None:
    said = [p for p in probabilities if p is not None]
    return sum(said) / len(said) if said else None


def _agreement(pairs: Iterable[tuple[float | None, float | None]]) -> Proportion:
    """Of pairs of probabilities that both prefer a side, how many prefer the same."""
    decided = [(one, other) for one, other in pairs if _prefers(one) and _prefers(other)]
    same = sum(((one or 0.0) > 0.5) == ((other or 0.0) > 0.5) for one, other in decided)
    return Proportion(same, len(decided))


def _prefers(p: float | None) -> bool:
    return p is not None and p != 0.5
