"""A file of answers is taken whole, or every line that is wrong is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from volition.errors import InputError
from volition.judging.answers import read_answers, read_name

GOOD = {1: "A", 2: "B", 3: "tie"}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "answers"


@pytest.mark.parametrize(
    "text",
    [
        '{"pair": 1, "choice": "A"}\n{"pair": 2, "choice": "B"}\n{"pair": 3, "choice": "tie"}\n',
        '\n{"choice": " tie ", "pair": 3}\n\n{"pair": 2, "choice": "b"}\n{"pair": 1, "choice":"a"}',
        "pair,choice\n1,A\n2,B\n3,tie\n",
        "\ufeffPair;Choice\r\n3;TIE\r\n\r\n1;a\r\n2; b\r\n",
        'pair,choice\n"1","A"\n 2 ,B\n3,Tie\n,\n',
    ],
)
def test_answers_are_read_from_jsonl_and_csv(file: Path, text: str) -> None:
    file.write_text(text, encoding="utf-8")
    assert read_answers(file, [1, 2, 3]) == GOOD


@given(st.dictionaries(st.integers(1, 99), st.sampled_from(["A", "B", "tie"]), min_size=1))
def test_whatever_is_answered_is_read(answers: dict[int, str]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "answers"
        file.write_text("".join(f'{{"pair": {n}, "choice": "{c}"}}\n' for n, c in answers.items()))
        assert read_answers(file, list(answers)) == answers
        file.write_text("pair,choice\n" + "".join(f"{n},{c}\n" for n, c in answers.items()))
        assert read_answers(file, list(answers)) == answers


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"pair": 4, "choice": "A"}', ":3: there is no pair 4: they are 1 to 3"),
        ('{"pair": 2, "choice": "B"}', ":3: pair 2 is answered already in line 2"),
        ('{"pair": 3, "choice": "C"}', ':3: the choice for pair 3 must be A, B or tie, not "C"'),
        ('{"pair": 3, "choice": null}', ":3: the choice for pair 3 must be A, B or tie, not null"),
        ('{"pair": "3", "choice": "A"}', ':3: a pair is named by its number, not "3"'),
        ('{"pair": true, "choice": "A"}', ":3: a pair is named by its number, not true"),
        ('{"pair": 3.0, "choice": "A"}', ":3: a pair is named by its number, not 3.0"),
        ('{"pair": 3}', ':3: an answer is like {"pair": 12, "choice": "A"}, not {"pair": 3}'),
        ('{"pair": 3, "choice": "A", "why": ""}', ":3: an answer is like"),
        ('["A"]', ":3: an answer is like"),
        ('{"pair": 3, "choice"', ":3: not valid JSON"),
        ("", ": no answer for the pairs 3"),
    ],
)
def test_every_wrong_line_is_named(file: Path, line: str, said: str) -> None:
    good = '{"pair": 1, "choice": "A"}\n{"pair": 2, "choice": "B"}\n'
    file.write_text(good + line + "\n", encoding="utf-8")
    with pytest.raises(InputError) as caught:
        read_answers(file, [1, 2, 3])
    assert f"{file}{said}" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("pair,choice\n1,A\n2,\n3,B\n", ':3: the choice for pair 2 must be A, B or tie, not ""'),
        ("pair,choice\n1,A\n1,B\n", ":3: pair 1 is answered already in line 2"),
        ("pair,choice\nx,A\n", ':2: a pair is named by its number, not "x"'),
        ("pair,choice\n1,A,B\n", ":2: not a pair and a choice"),
        ("1,A\n2,B\n3,A\n", ":1: answers are JSONL, or CSV with the header pair,choice"),
        ("", ":1: answers are JSONL, or CSV with the header pair,choice"),
    ],
)
def test_every_wrong_line_of_a_form_is_named(file: Path, text: str, said: str) -> None:
    file.write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        read_answers(file, [1, 2, 3])
    assert f"{file}{said}" in str(caught.value)


def test_all_that_is_wrong_is_said_at_once_and_briefly(file: Path) -> None:
    lines = [json.dumps({"pair": number, "choice": "?"}) for number in range(50)]
    file.write_text("\n".join(lines))
    with pytest.raises(InputError) as caught:
        read_answers(file, range(100))
    said = str(caught.value).splitlines()
    assert len(said) == 12
    assert said[-2:] == ["and 41 more", "nothing was imported"]


def test_a_file_that_is_not_there_or_not_text(file: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_answers(file, [1])
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="cannot be read"):
        read_answers(file, [1])


@pytest.mark.parametrize(
    ("first", "taken"),
    [("0,clip", {0: "clip"}), ("0, Still", {0: "still"}), ("0,", {}), ("", {})],
)
def test_question_0_may_be_answered_where_it_was_asked(
    file: Path, first: str, taken: dict[int, str]
) -> None:
    file.write_text(f"pair,choice\n{first}\n1,A\n2,B\n3,tie\n", encoding="utf-8")
    assert read_answers(file, [1, 2, 3], asked_first=True) == {**taken, **GOOD}
    if taken:
        with pytest.raises(InputError, match="there is no pair 0"):
            read_answers(file, [1, 2, 3])


def test_question_0_has_answers_of_its_own(file: Path) -> None:
    file.write_text('{"pair": 0, "choice": "A"}\n{"pair": 1, "choice": "clip"}\n')
    with pytest.raises(InputError) as caught:
        read_answers(file, [1], asked_first=True)
    assert ':1: the answer to question 0 is still or clip, not "A"' in str(caught.value)
    assert ':2: the choice for pair 1 must be A, B or tie, not "clip"' in str(caught.value)


@pytest.mark.parametrize(
    "name", ["", " \n", "x" * 201, "a\x1b[2J", "\u202egnorw", "a\0", "x" * 1_000_000]
)
def test_a_name_is_one_line_that_reads_as_it_looks(name: str) -> None:
    with pytest.raises(InputError, match="--judge needs a name of one line") as raised:
        read_name(name)
    assert len(str(raised.value)) < 300
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("name", ["<b>me</b>", "Σωκράτης", "$(id)", 'gpt "6"', "花"])
def test_any_name_is_text(name: str) -> None:
    assert read_name(f" {name}\n") == name
