"""Who is asked what, how far people agree, and what an audit makes of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from volition.errors import InputError
from volition.evidence.audit.counting import count
from volition.evidence.audit.sampling import Answered, Sample, allocate, draw
from volition.goal import Goal
from volition.judgment import Order
from volition.storage.labels import Choice, Label, LabelLog
from volition.web.people import People, check_name
from volition.web.sources import Asked, Question, Said


class Pairs:
    """A source of so many pairs, of which the judge prefers the first."""

    def __init__(self, folder: Path, count: int) -> None:
        self.folder, self.title, self.goal = folder, "pairs", Goal("the larger one")
        self._fresh = [
            Question.of((f"{n:016x}", None), False, f"a{n}", f"b{n}") for n in range(count)
        ]

    def new_questions(self) -> Sequence[Question]:
        fresh, self._fresh = self._fresh, []
        return fresh

    def frames(self, side: str) -> int:
        return 1

    def picture(self, side: str, number: int) -> bytes | None:
        return None

    def said(self, asked: Asked) -> Said | None:
        return Said(0.9, "it is larger")

    def close(self) -> None:
        pass


@pytest.fixture
def people(tmp_path: Path) -> People:
    asked = People(Pairs(tmp_path, 60), LabelLog(tmp_path))
    asked.refresh()
    return asked


def say(people: People, person: str, question: Question, choice: Choice) -> None:
    key = f"{person} {question.key} {choice} {len(people.log.labels)}"
    order = question.order_for(person)
    people.hand_in([Label(key, person, question.comparison_id, order, choice)])


def prefer(question: Question, person: str, first: bool) -> Choice:
    """The choice that prefers the comparison's first side, or its second."""
    return "first" if (question.order_for(person) is Order.FORWARD) == first else "second"


def test_people_share_a_fifth_and_split_the_rest(people: People) -> None:
    anna, ben = people.next_for("Anna", 20), people.next_for("Ben", 20)
    assert len(anna) == len(ben) == 20
    both = {question.key for question in anna} & {question.key for question in ben}
    assert both
    assert all(people.questions[key].shared for key in both)
    for question in anna:
        say(people, "Anna", question, "first")
    later = {question.key for question in people.next_for("Ben", 40)}
    assert not later & {question.key for question in anna if not question.shared}
    assert len(people.next_for("Ben", 60)) == 60  # in the end everybody may answer all


def test_the_order_of_two_people_is_not_the_same(people: People) -> None:
    orders = {
        person: [question.order_for(person) for question in people.questions.values()]
        for person in ("Anna", "Ben")
    }
    for dealt in orders.values():
        assert 15 <= dealt.count(Order.FORWARD) <= 45
    assert orders["Anna"] != orders["Ben"]


def test_agreement_is_told_in_steps_of_ten(people: People) -> None:
    questions = list(people.questions.values())
    for place, question in enumerate(questions[:19]):
        say(people, "Anna", question, prefer(question, "Anna", place % 10 < 8))
        say(people, "Ben", question, prefer(question, "Ben", first=True))
        if place == 8:
            assert people.standing("Anna").with_judge.trials == 0
    standing = people.standing("Anna")
    assert standing.with_judge == (8, 10)
    assert standing.with_people == (8, 10)
    assert (standing.answered, standing.by_anybody, standing.questions) == (19, 19, 60)
    assert standing.people == ("Anna", "Ben")


def test_ties_and_what_was_passed_over_say_nothing_of_agreement(people: People) -> None:
    questions = list(people.questions.values())
    for question in questions[:6]:
        say(people, "Anna", question, "tie")
    for question in questions[6:10]:
        say(people, "Anna", question, "skip")
    assert people.standing("Anna").with_judge.trials == 0
    assert people.means()[questions[0].asked] == 0.5
    assert people.means()[questions[9].asked] is None


def test_what_was_taken_back_is_open_again(people: People) -> None:
    question = people.next_for("Anna", 1)[0]
    say(people, "Anna", question, "first")
    say(people, "Anna", question, "undo")
    assert people.next_for("Anna", 1) == [question]
    assert people.standing("Anna").by_anybody == 0
    assert question.asked not in people.means()


@pytest.mark.parametrize("name", ["", "  ", "x" * 41, "a\u202eb", "a\x00b"])
def test_a_name_is_one(name: str) -> None:
    with pytest.raises(InputError, match="a name has 1 to 40 signs"):
        check_name(name)
    assert check_name("  Anna   Maria ") == "Anna Maria"


# Audits --------------------------------------------------------------------------------------


def answered(number: int, rng: np.random.Generator) -> tuple[list[Answered], dict[str, bool]]:
    """Answers that all prefer the first side, and whether people would confirm each: the judge
    errs most where it is not sure or the reward model says otherwise."""
    answers, right = [], {}
    for place in range(number):
        p_judge, p_model = rng.choice([1.0, 0.7]), rng.choice([0.9, 0.1], p=[0.8, 0.2])
        answers.append(Answered(str(place), None, p_judge, p_model, float(rng.random())))
        errs = 0.1 * (1 + (p_judge < 0.9) + 2 * (p_model < 0.5))
        right[str(place)] = bool(rng.random() >= errs)
    return answers, right


def said_of(sample: Sample, right: dict[str, bool]) -> dict[Asked, float | None]:
    asked = [drawn.comparison_id for drawn in sample.drawn]
    return {(name, None): float(right[name]) for name in asked}


def test_the_interval_holds_the_truth_and_the_estimate_is_not_misled_by_the_sampling() -> None:
    rng = np.random.default_rng(0)
    held, errors, naive = 0, [], []
    for seed in range(40):
        answers, right = answered(300, rng)
        truth = float(np.mean(list(right.values())))
        sample = draw(answers, 80, "judge", seed)
        audit = count(sample, said_of(sample, right))
        assert audit.accuracy is not None
        held += audit.interval[0] <= truth <= audit.interval[1]
        errors.append(audit.accuracy - truth)
        naive.append(np.mean([right[drawn.comparison_id] for drawn in sample.drawn]) - truth)
    assert held >= 34  # 38 are expected; fewer than 34 would come three times in 1,000
    assert abs(np.mean(errors)) < 0.015
    assert np.mean(naive) < -0.02  # what is drawn more often errs more often


def test_an_audit_of_all_answers_knows() -> None:
    answers, right = answered(50, np.random.default_rng(1))
    sample = draw(answers, 50, "judge")
    audit = count(sample, said_of(sample, right))
    truth = sum(right.values()) / 50
    assert audit.accuracy == pytest.approx(truth)
    assert audit.interval == pytest.approx((truth, truth))


def test_an_audit_without_a_mistake_is_not_sure() -> None:
    answers, right = answered(500, np.random.default_rng(2))
    sample = draw(answers, 40, "judge")
    audit = count(sample, dict.fromkeys(said_of(sample, right), 1.0))
    assert audit.accuracy == pytest.approx(1)
    assert audit.interval[0] < 0.95


def test_ties_and_what_nobody_looked_at_are_left_out() -> None:
    answers, right = answered(100, np.random.default_rng(3))
    sample = draw(answers, 30, "judge")
    said = said_of(sample, right)
    first, second, *_ = said
    said[first], said[second] = 0.5, None
    audit = count(sample, said)
    assert (audit.looked_at, audit.decided, audit.drawn, audit.answers) == (30, 28, 30, 100)
    nothing = count(sample, {})
    assert (nothing.accuracy, nothing.interval) == (None, (0.0, 1.0))


def test_a_sample_has_every_stratum_and_its_size() -> None:
    sizes, errs = {"a": 900, "b": 90, "c": 2}, {"a": 0.05, "b": 0.3, "c": 0.3}
    drawn = allocate(sizes, errs, 60)
    assert sum(drawn.values()) == 60
    assert drawn["c"] == 2
    assert drawn["b"] > 60 * 90 / 992  # more than its share
    assert allocate(sizes, errs, 992) == sizes
    assert sum(allocate(sizes, errs, 2).values()) == 2


def test_a_sample_is_the_same_again() -> None:
    answers, _ = answered(100, np.random.default_rng(4))
    assert draw(answers, 20, "judge", 7).drawn == draw(answers, 20, "judge", 7).drawn
    assert draw(answers, 20, "judge", 7).drawn != draw(answers, 20, "judge", 8).drawn
    with pytest.raises(InputError, match="--audit is 1 to 100"):
        draw(answers, 101, "judge")
