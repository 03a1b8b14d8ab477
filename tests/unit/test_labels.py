"""What people answered: on disk before it counts, taken in once, and above what others said."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from conftest import comparison
from volition.errors import StoreError
from volition.goal import Goal
from volition.judgment import (
    Failure,
    JudgeIdentity,
    Judgment,
    Order,
    Reply,
    Verdict,
    as_people_say,
    derive_preferences,
)
from volition.reward.learning import Judged, Recipe, preferences_of
from volition.storage.labels import Choice, Label, LabelLog, take_in
from volition.storage.store import Store
from volition.tasks.task import RewardSection


def label(key: str, choice: Choice = "first", person: str = "Anna", pair: str = "c") -> Label:
    return Label(key, person, pair, Order.FORWARD, choice, at="2026-01-01T00:00:00Z")


def test_what_is_appended_is_read_by_others_and_counts_once(tmp_path: Path) -> None:
    one, other = LabelLog(tmp_path), LabelLog(tmp_path)
    assert one.append([label("1"), label("2")]) == 2
    assert one.append([label("2"), label("3")]) == 1
    assert [new.key for new in other.refresh()] == ["1", "2", "3"]
    assert other.append([label("1"), label("4")]) == 1
    assert [new.key for new in one.refresh()] == ["4"]
    assert one.labels == other.labels


def test_a_line_that_was_cut_off_is_cut_away(tmp_path: Path) -> None:
    log = LabelLog(tmp_path)
    log.append([label("1")])
    with log.path.open("a") as file:
        file.write('{"id": "half of a li')
    later = LabelLog(tmp_path)
    assert [read.key for read in later.refresh()] == ["1"]
    assert later.append([label("2")]) == 1
    assert [read.key for read in LabelLog(tmp_path).refresh()] == ["1", "2"]


@pytest.mark.parametrize("damage", ["Anne", "tye"])
def test_a_changed_line_is_named(tmp_path: Path, damage: str) -> None:
    log = LabelLog(tmp_path)
    log.append([label("1"), label("2", "tie")])
    text = log.path.read_text()
    log.path.write_text(text.replace({"Anne": "Anna", "tye": "tie"}[damage], damage))
    with pytest.raises(StoreError, match=r"after line . a line is not as it was"):
        LabelLog(tmp_path).refresh()


APPENDS = """
import sys
from pathlib import Path
from volition.judgment import Order
from volition.storage.labels import Label, LabelLog
log, number = LabelLog(Path(sys.argv[1])), sys.argv[2]
for place in range(25):
    log.append([Label(f"{number}-{place}", number, "c", Order.FORWARD, "first", at="now")])
"""


def test_many_processes_append_whole_lines(tmp_path: Path) -> None:
    words = [sys.executable, "-c", APPENDS, str(tmp_path)]
    children = [subprocess.Popen([*words, str(number)]) for number in range(4)]
    assert [child.wait(60) for child in children] == [0] * 4
    log = LabelLog(tmp_path)
    log.refresh()
    assert len({read.key for read in log.labels}) == len(log.labels) == 100


def test_labels_become_judgments_of_people_and_only_once(tmp_path: Path) -> None:
    asked = comparison(1, 2)
    with Store.create(tmp_path) as store:
        goal_id = store.add_goal(Goal("higher"))
        asked = comparison(1, 2, goal_id)
        store.add_comparisons([asked])
        labels = [
            label("1", "second", pair=asked.id),
            label("2", "undo", pair=asked.id),
            label("3", "skip", "Ben", asked.id),
            replace(label("4", "first", "Ben", asked.id), order=Order.SWAPPED),
        ]
        take_in(labels, store)
        take_in(labels, store)
        judgments = store.judgments()
        assert {judge.name for judge in store.judges().values()} == {"human:Anna", "human:Ben"}
        assert [type(j.outcome) for j in judgments] == [Verdict, Failure, Failure, Verdict]
        assert json.loads(judgments[0].reply.raw)["person"] == "Anna"
        assert store.verify() == []
        people = [name for name, judge in store.judges().items() if judge.is_person]
        (preference,) = derive_preferences(as_people_say(judgments, people))
    assert preference.p_first == 0.0  # Anna took hers back; Ben saw them the other way round
    assert preference.weight == 1


def said(judge: str, p: float, pair: str = "c", principle: str | None = None) -> Judgment:
    name = f"{judge} {p} {pair} {principle}"
    outcome = Verdict(p)
    return Judgment(pair, judge, Order.FORWARD, outcome, Reply(name, ""), principle)


def test_a_person_overrules_the_others_on_what_was_asked_and_on_nothing_else() -> None:
    machine = [said("llm", 1.0), said("llm", 1.0, "d"), said("llm", 1.0, "c", "a principle")]
    counting = as_people_say([*machine, said("anna", 0.0)], ["anna"])
    assert counting == [machine[1], machine[2], said("anna", 0.0)]
    assert as_people_say(machine, ["anna"]) == machine


def test_the_last_word_of_a_person_counts() -> None:
    machine, first, last = said("llm", 1.0), said("anna", 0.0), said("anna", 0.5)
    assert as_people_say([first, machine, last], ["anna"]) == [last]
    withdrawn = replace(last, outcome=Failure("withdrawn", ""))
    assert as_people_say([machine, first, withdrawn], ["anna"]) == [machine, withdrawn]


def test_people_disagree_with_each_other_as_judges_do() -> None:
    counting = as_people_say([said("anna", 1.0), said("ben", 0.0)], ["anna", "ben"])
    (preference,) = derive_preferences(counting)
    assert (preference.p_first, preference.weight) == (0.5, 2)


def test_a_persons_answer_counts_as_often_as_is_said() -> None:
    judgments = [said("anna", 1.0), said("llm", 0.0, principle="another")]
    (preference,) = derive_preferences(judgments, {"anna": 3})
    assert (preference.p_first, preference.weight) == (0.75, 4)
    assert derive_preferences(judgments) == derive_preferences(judgments, {})


def test_who_is_a_person() -> None:
    assert JudgeIdentity("human:Anna").is_person
    assert JudgeIdentity("recorded:human:Anna").is_person
    assert not JudgeIdentity("openai:human").is_person


def test_the_task_says_how_much_a_person_counts() -> None:
    judges = {name: JudgeIdentity(name) for name in ("llm", "human:Anna")}
    judgments = [said("human:Anna", 1.0), said("llm", 0.0, principle="another")]
    for weight, p_first in ((1, 0.5), (3, 0.75)):
        recipe = Recipe(RewardSection(person_weight=weight))
        (preference,) = preferences_of(Judged(judgments, {}, judges), recipe, judgments)
        assert (preference.p_first, preference.weight) == (p_first, 1 + weight)
    with pytest.raises(ValueError, match="greater than or equal to 1"):
        RewardSection(person_weight=0)
