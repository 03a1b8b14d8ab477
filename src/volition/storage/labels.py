"""What people answered, as it came: one line an answer, in a file beside a store.

A run that learns owns its store, so whoever hands answers in while it does appends them here, and
the run takes them in. An answer is on disk before anybody is told that it is. A line names itself
by the hash of its content; what was appended in part, by a process that was killed, was
promised to nobody and is cut off by the next one that appends.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from volition.comparison import content_id
from volition.errors import StoreError
from volition.judgment import (
    HUMAN,
    Failure,
    JudgeIdentity,
    Judgment,
    Order,
    Reply,
    Verdict,
)
from volition.storage.store import Store

LABELS = "labels.jsonl"
Choice = Literal["first", "second", "tie", "skip", "undo"]
CHOICES: tuple[Choice, ...] = get_args(Choice)
VERDICTS = {"first": 1.0, "second": 0.0, "tie": 0.5}
NO_VERDICT = {
    "skip": Failure("skipped", "the person passed over this pair"),
    "undo": Failure("withdrawn", "the person took the answer back"),
}


@dataclass(frozen=True, slots=True)
class Label:
    """What a person said of one question.

    Attributes:
        key: Given by whoever hands it in: handed in twice it counts once.
        person: The person's name.
        comparison_id: What was compared.
        order: Which of its segments was shown first, which is on the left or above.
        choice: The one that was shown first, the second, a tie; nothing (`skip`), or that what was
            said of it before does not count (`undo`).
        principle: Under which it was asked, if any.
        seconds: From being shown to being answered.
        at: When, as ISO 8601 has it, in UTC.
    """

    key: str
    person: str
    comparison_id: str
    order: Order
    choice: Choice
    principle: str | None = None
    seconds: float = 0.0
    at: str = ""

    @property
    def question(self) -> tuple[str, str | None]:
        """What it answers."""
        return self.comparison_id, self.principle

    @property
    def p_first(self) -> float | None:
        """Probability that the comparison's first segment is preferred; None of no verdict."""
        if self.choice not in VERDICTS:
            return None
        shown_first = VERDICTS[self.choice]
        return shown_first if self.order is Order.FORWARD else 1.0 - shown_first

    @property
    def judge(self) -> JudgeIdentity:
        return JudgeIdentity(HUMAN + self.person)

    @property
    def line(self) -> str:
        """As it stands in the file, without the end of the line."""
        body = asdict(self)
        return json.dumps({"id": _named(body), **body}, ensure_ascii=False)

    @property
    def judgment(self) -> Judgment:
        """The same as a judgment, whose reply is the line."""
        outcome = (
            Verdict(VERDICTS[self.choice]) if self.choice in VERDICTS else NO_VERDICT[self.choice]
        )
        reply = Reply(_named(asdict(self)), self.line, latency_s=self.seconds)
        judge_id = self.judge.id
        return Judgment(self.comparison_id, judge_id, self.order, outcome, reply, self.principle)


class LabelLog:
    """The file of labels in a folder, which several processes may append to.

    `labels` is what was read of it so far; `refresh` reads on.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / LABELS
        self.labels: list[Label] = []
        self._keys: set[str] = set()
        self._read = 0  # bytes

    def append(self, labels: Sequence[Label]) -> int:
        """Appends those whose key is new; returns how many, when they are on disk.

        Raises:
            StoreError: The file is damaged, or cannot be written.
        """
        try:
            with _locked(self.path) as descriptor:
                self.refresh()
                os.ftruncate(descriptor, self._read)
                fresh = {label.key: label for label in labels if label.key not in self._keys}
                text = "".join(f"{label.line}\n" for label in fresh.values())
                _write(descriptor, text.encode())
        except OSError as error:
            raise StoreError(f"{self.path} cannot be written: {error.strerror}") from error
        self.refresh()
        return len(fresh)

    def refresh(self) -> list[Label]:
        """Reads what was appended since; returns it.

        Raises:
            StoreError: A line is not as it was written.
        """
        if not self.path.is_file() or self.path.stat().st_size == self._read:
            return []
        with self.path.open("rb") as file:
            file.seek(self._read)
            whole = file.read()
        whole = whole[: whole.rfind(b"\n") + 1]
        fresh = [self._label(line) for line in whole.splitlines()]
        self._read += len(whole)
        self._keys |= {label.key for label in fresh}
        self.labels += fresh
        return fresh

    def _label(self, line: bytes) -> Label:
        try:
            body: dict[str, Any] = json.loads(line)
            if body.pop("id") != _named(body) or body["choice"] not in CHOICES:
                raise ValueError("a byte was changed")
            return Label(**{**body, "order": Order(body["order"])})
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            number = len(self.labels) + 1
            raise StoreError(
                f"{self.path}: after line {number - 1} a line is not as it was written ({error}): "
                "restore it from a copy"
            ) from None


def take_in(labels: Sequence[Label], store: Store) -> None:
    """Makes judgments of labels; those that the store has are left alone."""
    judgments = [label.judgment for label in labels]
    with store.transaction():
        for identity in {label.judge.id: label.judge for label in labels}.values():
            store.add_judge(identity)
            theirs = [j for j in judgments if j.judge_id == identity.id]
            store.add_replies(identity.id, [judgment.reply for judgment in theirs])
        store.add_judgments(judgments)


def _named(body: Mapping[str, object]) -> str:
    return content_id(json.dumps(body, sort_keys=True).encode())


def _write(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]
    os.fsync(descriptor)


@contextmanager
def _locked(path: Path) -> Iterator[int]:
    """The file, opened to append, while no other process has it so."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        try:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except ImportError:  # of Windows, where one process alone may append
            pass
        yield descriptor
    finally:
        os.close(descriptor)
