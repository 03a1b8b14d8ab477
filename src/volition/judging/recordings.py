"""Judgments that were recorded before: `judgments.jsonl` with a folder of frames beside it.

A line is one judgment:

    {"pair": 7, "first": {"theta": 0.1, "theta_dot": 0, "frame": "frames/0123456789abcdef.png"},
     "second": {...}, "verdict": "first", "swap_of": null}

`first` was shown first. The state is given as the environment's own state fields; `frame` may be
left out and is then drawn. Where a task is judged by clips, a side gives the state at every step,
and the frames that were shown, which may be left out, too:

    {"first": {"states": [{"theta": 0.1, "theta_dot": 0}, ...], "frames": ["frames/...png", ...]},
     ...}

In place of `verdict` (first, second or tie) a line may give `p_first`,
the probability that the one shown first represents the goal better. `judge` may say who judged,
`principle` under which principle of the goal, and `kwargs` with which keyword arguments the
environment was made that the states are of.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from volition.comparison import ID_LENGTH, Comparison, Frame, Segment, content_id
from volition.envs.base import Scene, Scenes
from volition.errors import InputError, VolitionError
from volition.judgment import JudgeIdentity, Judgment, Order, Reply, Verdict
from volition.questions.seeing import see
from volition.storage.pictures import read_frame
from volition.storage.store import Store
from volition.tasks.view import JudgeView

JUDGMENTS_FILE = "judgments.jsonl"
VERDICTS = {"first": 1.0, "second": 0.0, "tie": 0.5}
LINE_KEYS = frozenset(
    {"pair", "first", "second", "verdict", "p_first", "swap_of", "sheet"}
    | {"judge", "principle", "kwargs"}
)
CLIP_KEYS = frozenset({"states", "frames"})

SIDES = ("first", "second")

Fields = tuple[str, ...]
Values = list[float]
Frames = tuple[Frame, ...]


@dataclass(frozen=True, slots=True)
class Recording:
    """What a file of recorded judgments holds, in its order.

    Attributes:
        sheets: The contact sheets that the judge looked at, where the file names them.
    """

    judge: JudgeIdentity
    comparisons: tuple[Comparison, ...]
    judgments: tuple[Judgment, ...]
    sheets: tuple[Path, ...]


def read_recording(
    path: Path, name: str, goal_id: str, scenes: Scenes, view: JudgeView
) -> Recording:
    """Reads judgments from a folder, or from a JSONL file.

    Raises:
        InputError: Names the file, the line, and what is wrong with it.
    """
    file = path / JUDGMENTS_FILE if path.is_dir() else path
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file} cannot be read: {error}") from error
    judged_by = _who_judged(lines)
    settings = {"file": content_id(*_encoded(lines))}
    judge = JudgeIdentity(f"recorded:{judged_by or name}", settings=settings)
    reader = _LineReader(file, goal_id, judge.id, judged_by, scenes, view)
    read = list(reader.read(lines))
    if not read:
        raise InputError(f"{file} holds no judgments: there is nothing to learn from")
    named = dict.fromkeys(json.loads(judgment.reply.raw).get("sheet") for _, judgment in read)
    sheets = [file.parent / sheet for sheet in named if isinstance(sheet, str)]
    return Recording(
        judge,
        tuple(comparison for comparison, _ in read),
        tuple(judgment for _, judgment in read),
        tuple(sheet for sheet in sheets if sheet.is_file()),
    )


@dataclass(frozen=True, slots=True)
class _LineReader:
    file: Path
    goal_id: str
    judge_id: str
    judged_by: str | None
    scenes: Scenes
    view: JudgeView

    def read(self, lines: Sequence[str]) -> Iterator[tuple[Comparison, Judgment]]:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                try:
                    yield self._judged(line, number)
                except (ValueError, VolitionError) as error:
                    raise InputError(f"{self.file}:{number}: {error}") from None

    def _judged(self, line: str, number: int) -> tuple[Comparison, Judgment]:
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise ValueError(f"not valid JSON: {error}") from None
        if not isinstance(row, dict):
            raise ValueError("a judgment is a JSON object")
        _refuse_unknown(row, LINE_KEYS)
        if row.get("judge") != self.judged_by:
            raise ValueError(
                f"judge is {json.dumps(row.get('judge'))}, and the file's first line names "
                f"{self.judged_by or 'nobody'}: a file names one judge in every line, or none"
            )
        kwargs = row.get("kwargs")
        if not isinstance(kwargs, dict | None):
            raise ValueError(f"kwargs must be an object, not {json.dumps(kwargs)}")
        scene = self.scenes(kwargs)
        shown_first, shown_second = (self._segment(row, side, scene) for side in SIDES)
        comparison = Comparison.between(self.goal_id, shown_first, shown_second)
        order = Order.FORWARD if comparison.first == shown_first else Order.SWAPPED
        # The line number makes a repeated line a repeated judgment, not the same one twice.
        reply = Reply(content_id(self.judge_id.encode(), str(number).encode(), line.encode()), line)
        verdict, principle = Verdict(_probability(row)), row.get("principle")
        if not isinstance(principle, str | None):
            raise ValueError(f"principle must be words, not {json.dumps(principle)}")
        judgment = Judgment(comparison.id, self.judge_id, order, verdict, reply, principle)
        return comparison, judgment

    def _segment(self, row: dict[str, Any], side: str, scene: Scene) -> Segment:
        given = row.get(side)
        if not isinstance(given, dict):
            held = "the clip's states" if self.view.clip else "the state's fields"
            raise ValueError(f"{side} is missing: it must be an object with {held}")
        read = self._clip if self.view.clip else self._single
        states, frames = read(given, side, scene.fields)
        try:
            return see(scene, self.view, np.array(states), frames=frames)
        except ValueError as error:
            raise ValueError(f"{side}: {error}") from None

    def _single(
        self, given: dict[str, Any], side: str, fields: Fields
    ) -> tuple[list[Values], Frames | None]:
        _refuse_unknown(given, frozenset({*fields, "frame"}), f"{side}.")
        frame = given.get("frame")
        frames = None if frame is None else (self._frame(frame, f"{side}.frame"),)
        return [_values(given, f"{side}.", fields)], frames

    def _clip(
        self, given: dict[str, Any], side: str, fields: Fields
    ) -> tuple[list[Values], Frames | None]:
        _refuse_unknown(given, CLIP_KEYS, f"{side}.")
        states, frames = given.get("states"), given.get("frames")
        if not isinstance(states, list):
            raise ValueError(f"{side}.states must be a list, the state at every step of the clip")
        if not isinstance(frames, list | None):
            raise ValueError(f"{side}.frames must be a list of paths, not {json.dumps(frames)}")
        values = []
        for step, state in enumerate(states):
            prefix = f"{side}.states[{step}]"
            if not isinstance(state, dict):
                raise ValueError(f"{prefix} must be an object with the state's fields")
            _refuse_unknown(state, frozenset(fields), f"{prefix}.")
            values.append(_values(state, f"{prefix}.", fields))
        drawn = None if frames is None else tuple(self._frame(f, f"{side}.frames") for f in frames)
        return values, drawn

    def _frame(self, named: object, key: str) -> Frame:
        if not isinstance(named, str):
            raise ValueError(f"{key} must be a path, not {json.dumps(named)}")
        path = self.file.parent / named
        frame = read_frame(path)
        if len(path.stem) == ID_LENGTH and path.stem != frame.id:
            raise ValueError(
                f"{key} {path}: its pixels hash to {frame.id}, not to its name; "
                "it is not the picture that was judged"
            )
        return frame


def _values(state: dict[str, Any], prefix: str, fields: Fields) -> Values:
    """The state's values in the order of the scene's fields."""
    for field in fields:
        value = state.get(field)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(f"{prefix}{field} must be a number, not {json.dumps(value)}")
        if not math.isfinite(value):
            raise ValueError(f"{prefix}{field} must be a finite number, not {value}")
    return [float(state[field]) for field in fields]


def _who_judged(lines: Sequence[str]) -> str | None:
    """The judge that the first judgment names, if it names one."""
    try:
        named = json.loads(next(line for line in lines if line.strip())).get("judge")
    except (StopIteration, ValueError, AttributeError):
        return None  # whoever reads the lines says what is wrong with this one
    return named if isinstance(named, str) and named.strip() else None


def _refuse_unknown(given: dict[str, Any], allowed: frozenset[str], prefix: str = "") -> None:
    for key in given:
        if key not in allowed:
            raise ValueError(
                f"there is no key {prefix}{key}; allowed: {', '.join(sorted(allowed))}"
            )


def _probability(row: dict[str, Any]) -> float:
    if ("verdict" in row) == ("p_first" in row):
        raise ValueError("a judgment has either verdict or p_first")
    if "verdict" in row:
        if row["verdict"] not in VERDICTS:
            raise ValueError(
                f"verdict must be one of {', '.join(VERDICTS)}, not {json.dumps(row['verdict'])}"
            )
        return VERDICTS[row["verdict"]]
    p_first = row["p_first"]
    if isinstance(p_first, bool) or not isinstance(p_first, int | float) or not 0 <= p_first <= 1:
        raise ValueError(f"p_first must be a number in [0, 1], not {json.dumps(p_first)}")
    return float(p_first)


def _encoded(lines: Sequence[str]) -> list[bytes]:
    return [line.encode() for line in lines]


def import_recording(recording: Recording, store: Store) -> None:
    """Stores all that was recorded. Doing it again, or after a kill, adds nothing twice."""
    store.add_judge(recording.judge)
    store.add_comparisons(recording.comparisons)
    store.add_replies(recording.judge.id, (judgment.reply for judgment in recording.judgments))
    store.add_judgments(recording.judgments)
