"""Answers and labels that are given as files: CSV or JSON lines, all of it or nothing.

A row of answers names its pair, the order in which it was shown, and what was chosen:

    pair,order,choice                 {"pair": "7", "order": "swapped", "choice": "A"}
    7,forward,A
    7,swapped,B

`choice` is A, first or 1 (what was shown first), B, second or 2, or tie. In its place `p` (or
`p_first`, `p_shown_first`, `probability`) may give the probability that the one shown first is
better. `order` is forward (or AB, 0, original), which is meant where there is none, or swapped
(BA, 1, reversed). `a` and `b` may name what was shown first and second, as pictures or states: then
neither pair nor order is needed, and pairs that share a state are known to. `judge` may say who
judged. The lines of `judgments.jsonl` are answers, too.

A row of labels names its pair, and the better one as in the order forward: pair, choice or p. Of
answers without pairs it names a and b instead.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from volition.certifying.answers import Answer
from volition.comparison import content_id
from volition.errors import InputError
from volition.judging.recordings import JUDGMENTS_FILE
from volition.judgment import Order

LARGEST = 1 << 28  # bytes
MOST_SHOWN = 10  # faults in one message
P_FIRST = {"a": 1.0, "first": 1.0, "1": 1.0, "b": 0.0, "second": 0.0, "2": 0.0, "tie": 0.5}
FORWARD = ("forward", "ab", "0", "original", "")
SWAPPED = ("swapped", "ba", "1", "reversed")
PROBABILITIES = ("p", "p_first", "p_shown_first", "probability")
CHOICES = ("choice", "verdict", "answer")
PAIRS, SIDES = ("pair", "pair_id", "id"), (("a", "first"), ("b", "second"))
KNOWN = frozenset(
    (*PROBABILITIES, *CHOICES, *PAIRS, *SIDES[0], *SIDES[1], "order", "judge", "stage")
)
BESIDE = frozenset(("swap_of", "sheet", "principle", "kwargs"))  # of judgments.jsonl

Fields = Mapping[str, Any]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Given:
    """Answers that were given.

    Attributes:
        judge: Who judged, where the file says it.
        stages: Of training, by pair, where it says them.
        id: Names the file's content.
    """

    answers: tuple[Answer, ...]
    judge: str
    stages: Mapping[str, str] = field(default_factory=dict)
    id: str = ""


def read_answers(path: Path) -> Given:
    """The answers of a file, or of the `judgments.jsonl` of a folder.

    Raises:
        InputError: The folder holds no answers; or a line for each fault, with the file, the line
            and the value.
    """
    file = path / JUDGMENTS_FILE if path.is_dir() else path
    if path.is_dir() and not file.is_file():
        raise InputError(
            f"{path} holds no {file.name}: give a file of answers, or a folder that "
            "`volition certify --ask` or `volition export` wrote"
        )
    judges: dict[str, int] = {}
    stages: dict[str, str] = {}
    sides: dict[str, tuple[str, str]] = {}

    def read(row: Fields, line: int) -> Answer:
        answer = _answer(row)
        named = sides.setdefault(answer.pair, (answer.first, answer.second))
        if named != (answer.first, answer.second):
            raise ValueError(
                f"pair {answer.pair} is of {answer.first or 'nothing'} and "
                f"{answer.second or 'nothing'} here, and was of {named[0]} and {named[1]}"
            )
        judges.setdefault(str(row.get("judge") or "").strip(), line)
        if row.get("stage") not in (None, ""):
            stages[answer.pair] = str(row["stage"]).strip()
        return answer

    text, answers = _read(file, read)
    if len(judges) > 1:
        raise InputError(
            f"{file} holds answers of several judges ({', '.join(sorted(judges))}): give a file "
            "for each"
        )
    return Given(tuple(answers), next(iter(judges)), stages, content_id(text.encode()))


def read_labels(path: Path) -> dict[str, float]:
    """For each labelled pair the probability that its first is better; 0.5 is a tie.

    Raises:
        InputError: A line for each fault; among them a pair with two labels.
    """
    lines: dict[str, int] = {}

    def read(row: Fields, line: int) -> tuple[str, float]:
        answer = _answer(row)
        if answer.pair in lines:
            raise ValueError(
                f"pair {answer.pair} has a label already, in line {lines[answer.pair]}"
            )
        lines[answer.pair] = line
        return answer.pair, answer.p_first

    return dict(_read(path, read)[1])


def _read(file: Path, read: Callable[[Fields, int], T]) -> tuple[str, list[T]]:
    try:
        size = file.stat().st_size
        text = file.read_text(encoding="utf-8-sig") if size <= LARGEST else ""
    except UnicodeDecodeError:
        raise InputError(f"{file} is not UTF-8 text: save it as UTF-8") from None
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}") from None
    if size > LARGEST:
        raise InputError(f"{file} has more than {LARGEST:,} bytes")
    rows, faults = [], []
    for line, row in (_jsonl if text.lstrip().startswith("{") else _csv)(file, text):
        try:
            rows.append(read(row, line))
        except ValueError as error:
            faults.append(f"{file}:{line}: {error}")
    if faults:
        more = [f"and {len(faults) - MOST_SHOWN} more"] if len(faults) > MOST_SHOWN else []
        raise InputError("\n".join([*faults[:MOST_SHOWN], *more, "nothing was taken in"]))
    if not rows:
        raise InputError(f"{file} holds no answers")
    return text, rows


def _jsonl(file: Path, text: str) -> Iterator[tuple[int, Fields]]:
    for line, content in enumerate(text.split("\n"), start=1):
        if not content.strip():
            continue
        try:
            row = json.loads(content)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{file}:{line}: not valid JSON: {error}") from None
        if not isinstance(row, dict):
            raise InputError(f"{file}:{line}: an answer is a JSON object, not {content:.80}")
        yield line, row


def _csv(file: Path, text: str) -> Iterator[tuple[int, Fields]]:
    lines = text.splitlines()
    header = lines[0] if lines else ""
    # Spreadsheets write semicolons where the comma is a decimal sign.
    sign = next((s for s in (";", "\t") if s in header), ",")
    rows = csv.reader(lines, delimiter=sign)
    names = [name.strip().lower() for name in next(rows, [])]
    if not names or not KNOWN & set(names):
        raise InputError(
            f"{file}:1: answers are JSON lines, or CSV with a header such as pair,order,choice, "
            f"not {header!r:.80}"
        )
    for row in rows:
        if any(value.strip() for value in row):
            if len(row) != len(names):
                raise InputError(
                    f"{file}:{rows.line_num}: {len(row)} values, and the header has {len(names)}"
                )
            values = [value.strip() for value in row]
            yield rows.line_num, {n: v for n, v in zip(names, values, strict=True) if v}


def _answer(row: Fields) -> Answer:
    """Raises: ValueError: A key is unknown, or a value is none of those that it may have."""
    for key in row:
        if key not in KNOWN | BESIDE:
            raise ValueError(f"there is no key {key!r:.40}; allowed: {', '.join(sorted(KNOWN))}")
    p_shown_first, order = _probability(row), _order(row)
    shown = [_side(row, names) for names in SIDES]
    under = f" {row['principle']}" if row.get("principle") else ""
    if any(shown):
        if not all(shown) or shown[0] == shown[1]:
            raise ValueError(f"a and b name two different things that were shown, not {shown}")
        if "order" not in row:
            order = Order.FORWARD if shown[0] < shown[1] else Order.SWAPPED
        if order is Order.SWAPPED:
            shown.reverse()
    named = _value(row, PAIRS) if "order" in row or not any(shown) else None
    if named is None and not any(shown):
        raise ValueError("an answer names its pair, or what was shown as a and b")
    pair = str(named) if named is not None else " | ".join(shown)
    first, second = (f"{side}{under}" if side else "" for side in shown)
    return Answer(pair + under, order, p_shown_first, first, second)


def _value(row: Fields, names: tuple[str, ...]) -> object:
    """What the one of these keys says that is there.

    Raises:
        ValueError: Several are.
    """
    there = [name for name in names if row.get(name) not in (None, "")]
    if len(there) > 1:
        raise ValueError(f"{' and '.join(there)} say the same: give one of them")
    return row[there[0]] if there else None


def _probability(row: Fields) -> float:
    said, choice = _value(row, PROBABILITIES), _value(row, CHOICES)
    if (said is None) == (choice is None):
        raise ValueError("an answer has either choice or p")
    if choice is not None:
        word = str(choice).strip().lower()
        if word not in P_FIRST:
            raise ValueError(f"choice must be A, B or tie, not {json.dumps(choice):.40}")
        return P_FIRST[word]
    try:
        p = float(str(said).replace(",", "."))
    except ValueError:
        p = math.nan
    if not 0 <= p <= 1:
        raise ValueError(f"p must be a probability from 0 to 1, not {json.dumps(said):.40}")
    return p


def _order(row: Fields) -> Order:
    word = str(row.get("order", "")).strip().lower()
    if word in FORWARD:
        return Order.FORWARD
    if word in SWAPPED:
        return Order.SWAPPED
    raise ValueError(f"order must be forward or swapped, not {json.dumps(row['order']):.40}")


def _side(row: Fields, names: tuple[str, ...]) -> str:
    """What names one of the two that were shown: its picture, or whatever else there is of it."""
    said = _value(row, names)
    if isinstance(said, dict):
        said = said.get("frame") or said.get("frames") or said
    if said is None:
        return ""
    return said if isinstance(said, str) else json.dumps(said, sort_keys=True)
