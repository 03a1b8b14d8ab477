"""The store of a run's judgments: an append-only SQLite file beside a folder of PNG frames.

This, the database and the schema beside it are the only modules that speak SQL. Rows are named by
the hash of their content, inserted if they are new and otherwise left alone; triggers refuse every
change and deletion. A frame's PNG is on disk before any row names it, and a judgment is on disk
before anybody uses it.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache, lru_cache, partial
from pathlib import Path
from typing import NamedTuple, Self

from volition.comparison import (
    Comparison,
    Frame,
    ObservedPair,
    Pixels,
    Segment,
    Shown,
    State,
    content_id,
    unpacked,
)
from volition.errors import StoreError
from volition.goal import Goal
from volition.judgment import (
    UNREACHED,
    Failure,
    JudgeIdentity,
    Judgment,
    Order,
    Preference,
    Put,
    Reply,
    Request,
    Tries,
    Verdict,
    derive_preferences,
    live_reply_id,
)
from volition.storage.database import DATABASE, Database
from volition.storage.pictures import read_frame, write_frame

FRAMES = "frames"
LOOKED_AT = 64  # frames that are remembered, since whoever looks at one looks at it again

Draw = Callable[[str, Sequence[State]], tuple[Frame, ...]]
"""The frames of a segment that is drawn when somebody looks, by its `drawn_with` and its states."""


class Outcome(NamedTuple):
    """What was made of a judgment, as one row of it says; `order` is one of `Order`."""

    sequence: int
    comparison_id: str
    judge_id: str
    order: str
    principle: str | None
    p_shown_first: float | None
    explanation: str | None
    failure: str | None

    @property
    def p_first(self) -> float | None:
        """Probability that the comparison's first segment is preferred; None of a failure."""
        if self.p_shown_first is None or self.order == Order.FORWARD:
            return self.p_shown_first
        return 1.0 - self.p_shown_first


def undrawn(drawn_with: str, states: Sequence[State]) -> tuple[Frame, ...]:
    """Where no environment is at hand: frames that nobody can look at."""

    def look() -> Pixels:
        raise StoreError(
            f"the frames of {dict(states[0])} are drawn by the run's environment: read the run"
        )

    return (Frame(look),)


class Store:
    """Judgments, and all that they are about, in one folder. Use `open` or `create`."""

    def __init__(self, folder: Path, draw: Draw) -> None:
        self.folder = folder
        self._database = Database(folder / DATABASE)
        self._draw = draw
        self._remembered = lru_cache(LOOKED_AT)(self.frame)

    @classmethod
    def create(cls, folder: Path) -> Self:
        """A store in `folder`, made if it is not there yet."""
        (folder / FRAMES).mkdir(parents=True, exist_ok=True)
        return cls(folder, undrawn)

    @classmethod
    def open(cls, folder: Path, draw: Draw = undrawn) -> Self:
        """The store in `folder`.

        Args:
            folder: Of the store.
            draw: Draws what was recorded without frames, when somebody looks.

        Raises:
            StoreError: There is none, or the file is damaged.
        """
        if not (folder / DATABASE).is_file():
            raise StoreError(f"{folder} holds no {DATABASE}: it is not a run folder")
        return cls(folder, draw)

    def close(self) -> None:
        self._database.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Everything that is added in the block is written together, or nothing of it."""
        with self._database.transaction():
            yield

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Writing -------------------------------------------------------------------------------

    def add_goal(self, goal: Goal) -> str:
        """Stores the goal with its pictures; returns its id."""
        pictures = [(read_frame(path), 0) for path in goal.images]
        pictures += [(read_frame(path), 1) for path in goal.counterexamples]
        principles = [
            *goal.principles,
            *({"veto": veto} for veto in goal.vetoes),
            *({"stage": stage.text, "done": stage.done} for stage in goal.stages),
        ]
        goal_id = _goal_id(
            goal.text, principles, [(frame.id, counter) for frame, counter in pictures]
        )
        with self._database.transaction() as sql:
            self._add_frames(sql, [frame for frame, _ in pictures])
            sql.execute(
                "INSERT OR IGNORE INTO goals VALUES (?, ?, ?)",
                (goal_id, goal.text, json.dumps(principles)),
            )
            sql.executemany(
                "INSERT OR IGNORE INTO goal_pictures VALUES (?, ?, ?, ?)",
                [
                    (goal_id, position, frame.id, counter)
                    for position, (frame, counter) in enumerate(pictures)
                ],
            )
        return goal_id

    def add_judge(self, judge: JudgeIdentity) -> str:
        """Stores who judges; returns the judge's id."""
        settings = json.dumps(dict(judge.settings), sort_keys=True)
        with self._database.transaction() as sql:
            sql.execute(
                "INSERT OR IGNORE INTO judges VALUES (?, ?, ?, ?)",
                (judge.id, judge.name, int(judge.simulated), settings),
            )
        return judge.id

    def add_comparisons(self, comparisons: Iterable[Comparison]) -> None:
        """Stores comparisons with their segments, and the frames that are not drawn later."""
        comparisons = list(comparisons)
        segments = {s.id: s for c in comparisons for s in (c.first, c.second)}
        framed = [segment for segment in segments.values() if segment.drawn_with is None]
        with self._database.transaction() as sql:
            self._add_frames(sql, [f for s in framed for f in s.frames])
            sql.executemany(
                "INSERT OR IGNORE INTO segments (id, shape, observations, states, drawn_with) "
                "VALUES (?, ?, ?, ?, ?)",
                [
                    (
                        s.id,
                        json.dumps(s.observations.shape),
                        s.observations.tobytes(),
                        json.dumps([dict(state) for state in s.states]),
                        s.drawn_with,
                    )
                    for s in segments.values()
                ],
            )
            sql.executemany(
                "INSERT OR IGNORE INTO segment_frames VALUES (?, ?, ?)",
                [
                    (s.id, position, frame.id)
                    for s in framed
                    for position, frame in enumerate(s.frames)
                ],
            )
            sql.executemany(
                "INSERT OR IGNORE INTO comparisons VALUES (?, ?, ?, ?)",
                [(c.id, c.goal_id, c.first.id, c.second.id) for c in comparisons],
            )

    def add_request(self, request: Request) -> None:
        """Stores a request that is about to be sent."""
        with self._database.transaction() as sql:
            sql.execute(
                "INSERT INTO requests (id, judge_id, questions, reserved_usd) VALUES (?, ?, ?, ?)",
                (request.id, request.judge_id, json.dumps(request.questions), request.reserved_usd),
            )

    def add_replies(
        self, judge_id: str, replies: Iterable[Reply], reused_from: str | None = None
    ) -> None:
        """Stores replies as they came, before anything reads them.

        Args:
            judge_id: Who replied.
            replies: What came back.
            reused_from: The folder of the store that they were taken from and paid in, if any.
        """
        with self._database.transaction() as sql:
            sql.executemany(
                "INSERT OR IGNORE INTO replies (id, judge_id, raw, prompt_tokens, "
                "completion_tokens, cost_usd, latency_s, request_id, reused_from) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    (
                        r.id,
                        judge_id,
                        r.raw,
                        r.prompt_tokens,
                        r.completion_tokens,
                        r.cost_usd,
                        r.latency_s,
                        r.request_id,
                        reused_from,
                    )
                    for r in replies
                ],
            )

    def add_judgments(self, judgments: Iterable[Judgment]) -> None:
        """Stores judgments. Their replies and comparisons must be there already."""
        rows = []
        for judgment in judgments:
            outcome = judgment.outcome
            columns: tuple[object, ...] = (
                (outcome.p_shown_first, outcome.explanation or None, None, None)
                if isinstance(outcome, Verdict)
                else (None, None, outcome.kind, outcome.message)
            )
            rows.append(
                (
                    judgment.id,
                    judgment.reply.id,
                    judgment.comparison_id,
                    judgment.order.value,
                    judgment.principle,
                    *columns,
                )
            )
        with self._database.transaction() as sql:
            sql.executemany(
                "INSERT OR IGNORE INTO judgments (id, reply_id, comparison_id, presentation, "
                "principle, p_shown_first, explanation, failure_kind, failure_message) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                rows,
            )

    def _add_frames(self, sql: sqlite3.Connection, frames: Iterable[Frame]) -> None:
        rows = []
        for frame_id, frame in {frame.id: frame for frame in frames}.items():
            pixels = frame.pixels
            write_frame(Frame(pixels), self.frame_path(frame_id))
            rows.append((frame_id, pixels.shape[1], pixels.shape[0]))
        sql.executemany("INSERT OR IGNORE INTO frames VALUES (?, ?, ?)", rows)

    # Reading -------------------------------------------------------------------------------

    def frame_path(self, frame_id: str) -> Path:
        return self.folder / FRAMES / f"{frame_id}.png"

    def frame(self, frame_id: str) -> Frame:
        """The frame with this id, its pixels checked against it."""
        frame = read_frame(self.frame_path(frame_id))
        if frame.id != frame_id:
            raise StoreError(
                f"{self.frame_path(frame_id)}: its pixels hash to {frame.id}, not to its name; "
                "the file was changed after it was judged. Restore it from a copy"
            )
        return frame

    def judges(self) -> dict[str, JudgeIdentity]:
        """Every judge by id."""
        rows = self._database.read("SELECT id, name, simulated, settings FROM judges ORDER BY id")
        return {
            judge_id: JudgeIdentity(name, bool(simulated), json.loads(settings))
            for judge_id, name, simulated, settings in rows
        }

    def goal_texts(self) -> dict[str, str]:
        """The words of every goal by the goal's id."""
        return dict(self._database.read("SELECT id, text FROM goals"))

    def segments(self) -> dict[str, Segment]:
        """Every segment by id. Its frames are read, or drawn, when somebody looks at them."""
        rows = self._database.read(
            "SELECT id, shape, observations, states, drawn_with FROM segments ORDER BY id"
        )
        frame_ids: dict[str, list[str]] = {}
        for segment_id, frame_id in self._database.read(  # after them: others may add both
            "SELECT segment_id, frame_id FROM segment_frames ORDER BY segment_id, position"
        ):
            frame_ids.setdefault(segment_id, []).append(frame_id)
        segments = {}
        for segment_id, shape, blob, state_rows, drawn_with in rows:
            states = tuple(json.loads(state_rows))
            if drawn_with is None:
                frames = tuple(Frame(partial(self._look, i), i) for i in frame_ids[segment_id])
            else:
                frames = self._draw(drawn_with, states)
            segments[segment_id] = Segment(
                unpacked(blob, json.loads(shape)), frames, states, drawn_with
            )
        return segments

    def segment(self, segment_id: str) -> Segment:
        """One segment, likewise.

        Raises:
            StoreError: There is none of that id.
        """
        rows = self._database.read(
            "SELECT shape, observations, states, drawn_with FROM segments WHERE id = ?", segment_id
        )
        if not rows:
            raise StoreError(f"{self.folder} holds no segment {segment_id}")
        ((shape, blob, state_rows, drawn_with),) = rows
        states = tuple(json.loads(state_rows))
        if drawn_with is not None:
            frames = self._draw(drawn_with, states)
        else:
            named = self._database.read(
                "SELECT frame_id FROM segment_frames WHERE segment_id = ? ORDER BY position",
                segment_id,
            )
            frames = tuple(Frame(partial(self._look, i), i) for (i,) in named)
        return Segment(unpacked(blob, json.loads(shape)), frames, states, drawn_with)

    def _look(self, frame_id: str) -> Pixels:
        return self._remembered(frame_id).pixels

    def comparisons(self) -> dict[str, Comparison]:
        """Every comparison by id, in the order in which they were stored."""
        rows = self._database.read(
            "SELECT id, goal_id, first_id, second_id FROM comparisons ORDER BY comparisons.rowid"
        )
        segments = self.segments()  # after them: others may add both
        return {
            comparison_id: Comparison(goal_id, segments[first_id], segments[second_id])
            for comparison_id, goal_id, first_id, second_id in rows
        }

    def observed(self) -> dict[str, ObservedPair]:
        """What the reward model sees of every comparison, without reading a picture."""
        shape_of = cache(json.loads)  # most are alike
        rows = self._database.read("SELECT id, first_id, second_id FROM comparisons ORDER BY rowid")
        segments = {  # after them: others may add both
            segment_id: unpacked(blob, shape_of(shape))
            for segment_id, shape, blob in self._database.read(
                "SELECT id, shape, observations FROM segments"
            )
        }
        return {
            comparison_id: (segments[first_id], segments[second_id])
            for comparison_id, first_id, second_id in rows
        }

    def shown(self) -> list[Shown]:
        """What a judge was shown of every comparison, in the order in which they were stored; not
        of what was recorded without frames."""
        rows = self._database.read(
            "SELECT c.rowid, f.segment_id, f.frame_id FROM comparisons c "
            "JOIN segment_frames f ON f.segment_id IN (c.first_id, c.second_id) "
            "ORDER BY c.rowid, f.segment_id, f.position"
        )
        shown: dict[int, dict[str, list[str]]] = {}
        for row, segment_id, frame_id in rows:
            shown.setdefault(row, {}).setdefault(segment_id, []).append(frame_id)
        return [frozenset(tuple(ids) for ids in sides.values()) for sides in shown.values()]

    def put(self, after: int = 0) -> dict[str, Put]:
        """How every comparison was put, by its id, in the order in which they were stored; the
        first `after` of them left out."""
        rows = self._database.read(
            "SELECT id, goal_id, first_id, second_id FROM comparisons WHERE rowid > ? "
            "ORDER BY rowid",
            after,
        )
        return {comparison_id: Put(*row) for comparison_id, *row in rows}

    def comparison_ids(self) -> list[str]:
        """Every comparison's id, in the order in which they were stored."""
        return [
            name for (name,) in self._database.read("SELECT id FROM comparisons ORDER BY rowid")
        ]

    def outcomes(self, after: int = 0) -> list[Outcome]:
        """What was made of every judgment after that one, without the replies."""
        rows = self._database.read(
            "SELECT j.sequence, j.comparison_id, r.judge_id, j.presentation, j.principle, "
            "j.p_shown_first, j.explanation, j.failure_kind FROM judgments j "
            "JOIN replies r ON r.id = j.reply_id WHERE j.sequence > ? ORDER BY j.sequence",
            after,
        )
        return [Outcome(*row) for row in rows]

    def under_way(self) -> int:
        """How many requests have no reply: they are under way, or a killed process sent them."""
        ((count,),) = self._database.read(
            "SELECT (SELECT count(*) FROM requests) - "
            "(SELECT count(*) FROM replies WHERE request_id IS NOT NULL)"
        )
        return int(count)

    def judgments(self) -> list[Judgment]:
        """Every judgment, in the order in which they were stored."""
        rows = self._database.read(
            "SELECT j.comparison_id, r.judge_id, j.presentation, j.principle, j.p_shown_first, "
            "j.explanation, j.failure_kind, j.failure_message, r.id, r.raw, r.prompt_tokens, "
            "r.completion_tokens, r.cost_usd, r.latency_s, r.request_id "
            "FROM judgments j JOIN replies r ON r.id = j.reply_id ORDER BY j.sequence"
        )
        return [
            Judgment(
                comparison_id,
                judge_id,
                Order(order),
                Failure(kind, message or "") if p is None else Verdict(p, explanation or ""),
                Reply(*reply),
                principle,
            )
            for (
                comparison_id,
                judge_id,
                order,
                principle,
                p,
                explanation,
                kind,
                message,
                *reply,
            ) in rows
        ]

    def preferences(self) -> list[Preference]:
        """What a learner may use, derived anew from the judgments."""
        return derive_preferences(self.judgments())

    def cost_usd(self) -> float:
        """What was paid for this store's replies, in US dollars; reused ones were paid before."""
        ((cost,),) = self._database.read(
            "SELECT coalesce(sum(cost_usd), 0) FROM replies WHERE reused_from IS NULL"
        )
        return float(cost)

    def spent_usd(self) -> float:
        """What may have been paid, at most: a request without a reply counts as it was reserved."""
        ((reserved,),) = self._database.read(
            "SELECT coalesce(sum(reserved_usd), 0) FROM requests q "
            "WHERE NOT EXISTS (SELECT 1 FROM replies r WHERE r.request_id = q.id)"
        )
        return self.cost_usd() + float(reserved)

    def billed(self) -> tuple[int, float]:
        """How many replies came to live requests, and the dearest as a multiple of what was
        reserved for it, at least 1."""
        ((count, dearest),) = self._database.read(
            "SELECT count(*), coalesce(max(r.cost_usd / q.reserved_usd), 1.0) FROM requests q "
            "JOIN replies r ON r.request_id = q.id WHERE r.raw <> '' AND q.reserved_usd > 0"
        )
        return int(count), max(1.0, float(dearest))

    def judged_live(self) -> int:
        """How many comparisons live judges replied to here, whether or not with a verdict."""
        ((count,),) = self._database.read(
            "SELECT coalesce(sum(json_array_length(q.questions)), 0) FROM requests q "
            "JOIN replies r ON r.request_id = q.id WHERE r.raw <> ''"
        )
        return int(count)

    def tries(
        self, judge_id: str, comparison_ids: Iterable[str], order: Order | None = None
    ) -> dict[str, Tries]:
        """How often this judge was asked about each of these comparisons, where it was at all.

        Args:
            judge_id: Who was asked.
            comparison_ids: About what.
            order: In which order it was shown; None counts both.
        """
        rows = self._database.read(
            "SELECT j.comparison_id, count(j.p_shown_first), "
            "count(j.failure_kind) FILTER (WHERE j.failure_kind NOT IN "
            "(SELECT value FROM json_each(?))) "
            "FROM json_each(?) asked JOIN judgments j ON j.comparison_id = asked.value "
            "JOIN replies r ON r.id = j.reply_id WHERE r.judge_id = ? "
            "AND coalesce(?, j.presentation) = j.presentation "
            "GROUP BY j.comparison_id",
            json.dumps(sorted(UNREACHED)),
            json.dumps(list(comparison_ids)),
            judge_id,
            order,
        )
        return {comparison_id: Tries(*counts) for comparison_id, *counts in rows}

    def unread(self, judge_id: str) -> list[tuple[Request, Reply]]:
        """Replies that were stored, and not read before the program was killed."""
        rows = self._database.read(
            "SELECT q.id, q.judge_id, q.questions, q.reserved_usd, r.id, r.raw, r.prompt_tokens, "
            "r.completion_tokens, r.cost_usd, r.latency_s, r.request_id "
            "FROM replies r JOIN requests q ON q.id = r.request_id WHERE r.judge_id = ? "
            "AND r.raw <> '' AND NOT EXISTS (SELECT 1 FROM judgments WHERE reply_id = r.id)",
            judge_id,
        )
        return [
            (
                Request(
                    request_id,
                    judge,
                    tuple((c, Order(order), p) for c, order, p in json.loads(questions)),
                    reserved,
                ),
                Reply(*reply),
            )
            for request_id, judge, questions, reserved, *reply in rows
        ]

    # Checking ------------------------------------------------------------------------------

    def check(self) -> None:
        """That every row is as it was stored. Frames are checked whenever one is read.

        Raises:
            StoreError: One is not; it says which.
        """
        for defect in self._database.changed_rows():
            raise StoreError(f"{self.folder / defect}: restore the file from a copy")

    def verify(self) -> list[str]:
        """Re-hashes everything and follows every reference; returns one line for each defect."""
        if defects := self._database.broken():
            return defects
        rows = self._database.changed_rows()
        try:
            checks = (self._verify_goals, self._verify_replies, self._verify_ids)
            named = [*self._verify_frames()] or [line for check in checks for line in check()]
        except (ValueError, KeyError, TypeError):
            if not rows:
                raise
            named = []  # what was changed is not even what such a row can hold
        return named or rows

    def _verify_frames(self) -> Iterator[str]:
        for frame_id, width, height in self._database.read("SELECT * FROM frames ORDER BY id"):
            try:
                shape = self.frame(frame_id).pixels.shape[:2]
            except StoreError as error:
                yield str(error)
                continue
            if shape != (height, width):
                yield f"{DATABASE}: frame {frame_id} is {shape[1]} x {shape[0]} pixels"

    def _verify_goals(self) -> Iterator[str]:
        for goal_id, text, principles in self._database.read("SELECT * FROM goals"):
            pictures = self._database.read(
                "SELECT frame_id, counterexample FROM goal_pictures WHERE goal_id = ? "
                "ORDER BY position",
                goal_id,
            )
            if _goal_id(text, json.loads(principles), pictures) != goal_id:
                yield f"{DATABASE}: goal {goal_id} does not match the hash of its content"

    def _verify_replies(self) -> Iterator[str]:
        for reply_id, request_id, raw in self._database.read(
            "SELECT id, request_id, raw FROM replies WHERE request_id IS NOT NULL"
        ):
            if live_reply_id(request_id, raw) != reply_id:
                yield f"{DATABASE}: reply {reply_id} does not match the hash of its content"

    def _verify_ids(self) -> Iterator[str]:
        named: list[tuple[str, str, str]] = [
            ("judge", name, judge.id) for name, judge in self.judges().items()
        ]
        named += [("segment", name, segment.id) for name, segment in self.segments().items()]
        try:
            named += [("comparison", name, c.id) for name, c in self.comparisons().items()]
            ids = [
                judgment_id
                for (judgment_id,) in self._database.read(
                    "SELECT id FROM judgments ORDER BY sequence"
                )
            ]
            named += [
                ("judgment", name, judgment.id)
                for name, judgment in zip(ids, self.judgments(), strict=True)
            ]
        except ValueError as error:
            yield f"{DATABASE}: {error}"
        for kind, name, actual in named:
            if name != actual:
                yield f"{DATABASE}: {kind} {name} does not match the hash of its content"


def _goal_id(text: str, principles: Iterable[object], pictures: Iterable[tuple[str, int]]) -> str:
    described = [text, list(principles), [list(picture) for picture in pictures]]
    return content_id(json.dumps(described).encode())
