"""Files of answers: a choice for each numbered pair, as JSONL or as CSV. All of it, or nothing."""

from __future__ import annotations

import csv
import json
from collections.abc import Collection, Iterator
from pathlib import Path

from volition.errors import InputError
from volition.tasks.numbers import shown

CHOICES = {"a": "A", "b": "B", "tie": "tie"}
FIRST = 0  # the number of the question whether one picture can show the goal
FORMS = ("still", "clip")  # the answers to it
COLUMNS = ("pair", "choice")
MOST_SHOWN = 10  # defects of a file in one message
LONGEST_NAME = 200  # characters of who answered

Row = tuple[int, object, object]  # line, pair, choice


def read_name(given: str, option: str = "--judge") -> str:
    """Who answered, in one line that is shown with all that comes of it.

    Args:
        given: By a person.
        option: Of the command line, with which.

    Raises:
        InputError: It says nobody, is too long, or holds signs that nobody sees.
    """
    name = " ".join(given.split())
    if not name or len(name) > LONGEST_NAME or not name.isprintable():
        raise InputError(
            f"{option} needs a name of one line and at most {LONGEST_NAME} characters, not "
            f"{shown(given)}: who was it?"
        )
    return name


def read_answers(file: Path, pairs: Collection[int], asked_first: bool = False) -> dict[int, str]:
    """The choice (A, B or tie) for each of `pairs`.

    Args:
        file: As JSONL, or as CSV.
        pairs: Their numbers.
        asked_first: Whether there is a question `FIRST`, too, whose answer is one of `FORMS`, and
            may be left out.

    Raises:
        InputError: Names every line that is wrong and every pair that is missing.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file} cannot be read: {error}") from error
    read = _jsonl if text.lstrip().startswith("{") else _csv
    answers: dict[int, str] = {}
    lines: dict[int, int] = {}
    defects: list[str] = []
    for line, pair, choice in read(file, text):
        try:
            first = asked_first and type(pair) is int and pair == FIRST
            if first and choice in (None, ""):
                continue
            number = FIRST if first else _number(pair, pairs)
            if number in lines:
                raise ValueError(f"pair {number} is answered already in line {lines[number]}")
            lines[number] = line
            answers[number] = _form(choice) if first else _choice(choice, number)
        except ValueError as error:
            defects.append(f"{file}:{line}: {error}")
    missing = [str(pair) for pair in pairs if pair not in lines]
    if missing:
        defects.append(f"{file}: no answer for the pairs {_listed(missing)}")
    if defects:
        raise InputError(_message(defects))
    return answers


def _jsonl(file: Path, text: str) -> Iterator[Row]:
    for line, content in enumerate(text.splitlines(), start=1):
        if not content.strip():
            continue
        try:
            row = json.loads(content)
        except json.JSONDecodeError as error:
            raise InputError(f"{file}:{line}: not valid JSON: {error}") from None
        if not isinstance(row, dict) or row.keys() != set(COLUMNS):
            raise InputError(
                f'{file}:{line}: an answer is like {{"pair": 12, "choice": "A"}}, not {content:.80}'
            )
        yield line, row["pair"], row["choice"]


def _csv(file: Path, text: str) -> Iterator[Row]:
    lines = text.splitlines()
    header = lines[0] if lines else ""
    # Spreadsheets write semicolons where the comma is a decimal sign.
    rows = csv.reader(lines, delimiter=";" if ";" in header else ",")
    if tuple(name.strip().lower() for name in next(rows, [])) != COLUMNS:
        raise InputError(
            f"{file}:1: answers are JSONL, or CSV with the header {','.join(COLUMNS)}, "
            f"not {header!r:.80}"
        )
    for row in rows:
        if any(value.strip() for value in row):
            if len(row) != len(COLUMNS):
                raise InputError(f"{file}:{rows.line_num}: not a pair and a choice: {row}")
            pair = row[0].strip()
            yield rows.line_num, int(pair) if pair.isdecimal() else pair, row[1]


def _number(pair: object, pairs: Collection[int]) -> int:
    if isinstance(pair, bool) or not isinstance(pair, int):
        raise ValueError(f"a pair is named by its number, not {json.dumps(pair)}")
    if pair not in pairs:
        raise ValueError(f"there is no pair {pair}: they are {min(pairs)} to {max(pairs)}")
    return pair


def _choice(choice: object, pair: int) -> str:
    word = choice.strip().lower() if isinstance(choice, str) else None
    if word not in CHOICES:
        raise ValueError(
            f"the choice for pair {pair} must be A, B or tie, not {json.dumps(choice)}"
        )
    return CHOICES[word]


def _form(choice: object) -> str:
    word = choice.strip().lower() if isinstance(choice, str) else None
    if word not in FORMS:
        raise ValueError(f"the answer to question 0 is still or clip, not {json.dumps(choice)}")
    return str(word)


def _listed(numbers: list[str]) -> str:
    more = f" and {len(numbers) - MOST_SHOWN} more" if len(numbers) > MOST_SHOWN else ""
    return ", ".join(numbers[:MOST_SHOWN]) + more


def _message(defects: list[str]) -> str:
    more = [f"and {len(defects) - MOST_SHOWN} more"] if len(defects) > MOST_SHOWN else []
    return "\n".join([*defects[:MOST_SHOWN], *more, "nothing was imported"])
