"""Judgments that were recorded before: `judgments.jsonl` with a folder of frames beside it.

A line is one judgment:

    {"pair": 7, "first": {"theta": 0.1, "theta_dot": 0, "frame": "frames/0123456789abcdef.png"},
     "second": {...}, "verdict": "first", "swap_of": null}

`first` was shown first. The state is given as the environment's own state fields; `frame` may be
left out and is then drawn when somebody looks. Where a task is judged by clips, a side gives the
state at every step, and the frames that were shown, which may be left out, too:

    {"first": {"states": [{"theta": 0.1, "theta_dot": 0}, ...], "frames": ["frames/...png", ...]},
     ...}

Of an environment that cannot be set to a state a side says what was observed, and the frames
that were shown are there:

    {"first": {"observation": [0.1, 0.0], "frame": "frames/0123456789abcdef.png"}, ...}
    {"first": {"observations": [[0.1, 0.0], ...], "frames": ["frames/...png", ...]}, ...}

Where a picture is observed, that is a file, too, such as `observations/0123456789abcdef.png`; those
of a clip stand in one, each below the one before (`storage.pictures.as_picture`).

In place of `verdict` (first, second or tie) a line may give `p_first`,
the probability that the one shown first represents the goal better. `judge` may say who judged,
`principle` under which principle of the goal, `kwargs` with which keyword arguments the environment
was made that the states are of, and `reply` what a judge that was asked live had replied, and what
that had cost.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    ValidationError,
    model_validator,
)

from volition.comparison import (
    ID_LENGTH,
    Comparison,
    Frame,
    Observations,
    Segment,
    content_id,
)
from volition.envs.base import Scenes
from volition.envs.scenes.settable import Unsettable
from volition.errors import InputError, VolitionError
from volition.judgment import JudgeIdentity, Judgment, Order, Reply, Verdict
from volition.questions.seeing import see
from volition.storage.pictures import as_picture, from_picture, read_frame, write_frame
from volition.storage.store import FRAMES, Store
from volition.tasks.numbers import shown
from volition.tasks.view import JudgeView

JUDGMENTS_FILE = "judgments.jsonl"
OBSERVATIONS = "observations"  # the folder of those that are pictures, beside the frames
VERDICTS = {"first": 1.0, "second": 0.0, "tie": 0.5}
RECORDED = "recorded:"  # what the name of a judge begins with that was recorded
SIMULATED = "simulated:"  # likewise of an error model in place of a judge
HUMAN = "human:"  # likewise of a person who overruled what a judge had said
SHOWN = 80  # characters of a value that a message repeats
TOGETHER = 500  # judgments that are stored together

Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Count = Annotated[int, Field(strict=True, ge=0)]
Amount = Annotated[Number, Field(ge=0)]


class Row(BaseModel):
    """An object in the file: every key is known, and nothing is taken for something else."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Replied(Row):
    """A reply as it came, and what it had cost: paid where it was asked for, and not again here.

    Attributes:
        id: Of the reply, which the answers to several questions may have in common.
        raw, prompt_tokens, completion_tokens, cost_usd, latency_s: As of `Reply`.
        explanation: As of `Verdict`.
    """

    id: str
    raw: str
    explanation: str = ""
    prompt_tokens: Count = 0
    completion_tokens: Count = 0
    cost_usd: Amount = 0.0
    latency_s: Number = 0.0

    @classmethod
    def of(cls, judgment: Judgment) -> Self:
        """What a judgment was read from."""
        reply, outcome = judgment.reply, judgment.outcome
        return cls(
            id=reply.id,
            raw=reply.raw,
            explanation=outcome.explanation if isinstance(outcome, Verdict) else "",
            prompt_tokens=reply.prompt_tokens,
            completion_tokens=reply.completion_tokens,
            cost_usd=reply.cost_usd,
            latency_s=reply.latency_s,
        )


class Line(Row):
    """A line of the file. What is in a side depends on the environment."""

    first: dict[str, JsonValue]
    second: dict[str, JsonValue]
    verdict: Literal["first", "second", "tie"] | None = None
    p_first: Annotated[Number, Field(ge=0, le=1)] | None = None
    judge: str | None = None
    principle: str | None = None
    kwargs: dict[str, JsonValue] | None = None
    reply: Replied | None = None
    sheet: str | None = None
    pair: int | str | None = None
    swap_of: int | str | None = None

    @model_validator(mode="after")
    def _one_answer(self) -> Self:
        if (self.verdict is None) == (self.p_first is None):
            raise ValueError("a judgment has either verdict or p_first")
        return self

    @property
    def p_shown_first(self) -> float:
        """Probability that the side called `first`, which was shown first, is preferred."""
        return VERDICTS[self.verdict] if self.verdict is not None else self.p_first or 0.0


class StateSide(BaseModel):
    """A state by the fields of its environment, and what was drawn of it."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)
    __pydantic_extra__: dict[str, Number]

    frame: str | None = None


class ClipSide(Row):
    """The states of a clip, one for every step, and what was drawn of it."""

    states: list[dict[str, Number]]
    frames: list[str] | None = None


class ObservedSide(Row):
    """What was observed of a state, and what was drawn of it."""

    observation: JsonValue
    frame: str


class ObservedClipSide(Row):
    """What was observed at every step of a clip, and what was drawn of it."""

    observations: JsonValue
    frames: list[str]


Judged = tuple[Comparison, Judgment]


@dataclass(frozen=True, slots=True)
class Recording:
    """What a file of recorded judgments holds, in its order."""

    comparisons: tuple[Comparison, ...]
    judgments: tuple[Judgment, ...]


@dataclass(frozen=True, slots=True)
class RecordingFile:
    """A file of recorded judgments, read as far as somebody goes through it."""

    judge: JudgeIdentity
    _lines: Mapping[int, str]  # by their numbers; without the empty ones
    _reader: _Reader

    def put_under(self, principle: str, but: Collection[tuple[str, str]] = ()) -> RecordingFile:
        """The same as judged under a principle where no line names one, but for these pairs."""
        return replace(self, _reader=replace(self._reader, principle=principle, but=but))

    def judged(self) -> Iterator[Judged]:
        """Every comparison and what was said of it, in the file's order.

        Raises:
            InputError: Names the file, the line, and what is wrong with it.
        """
        for number, line in self._lines.items():
            yield self._reader.judged(number, line)

    @property
    def source(self) -> str:
        """Where the replies were, which were paid for before."""
        return str(self._reader.file.absolute())

    def sheets(self) -> list[Path]:
        """The contact sheets that the judge looked at, where the file names them.

        Raises:
            InputError: One is no picture, or not beside the file: a report shows it to everybody.
        """
        file, sheets = self._reader.file, dict[str, Path]()
        for number, line in self._lines.items():
            name = _line(file, number, line).sheet if "sheet" in line else None
            if not name or name in sheets:
                continue
            try:
                sheets[name] = _beside(file, name)
                if sheets[name].is_file():
                    read_frame(sheets[name])
            except (ValueError, VolitionError) as error:
                raise InputError(f"{file}:{number}: sheet: {error}") from None
        return [sheet for sheet in sheets.values() if sheet.is_file()]


def read_recording(
    path: Path, name: str, goal_id: str, scenes: Scenes, view: JudgeView
) -> Recording:
    """All judgments in a folder, or in a JSONL file.

    Raises:
        InputError: Names the file, the line, and what is wrong with it.
    """
    judged = list(open_recording(path, name, goal_id, scenes, view).judged())
    return Recording(
        tuple(comparison for comparison, _ in judged), tuple(judgment for _, judgment in judged)
    )


def open_recording(
    path: Path, name: str, goal_id: str, scenes: Scenes, view: JudgeView
) -> RecordingFile:
    """Judgments in a folder, or in a JSONL file.

    Raises:
        InputError: The file cannot be read, or it is empty.
    """
    file = path / JUDGMENTS_FILE if path.is_dir() else path
    if not file.is_file():
        raise InputError(
            f"{file} is not there, or is no file: judgments are one, with lines of JSON"
        )
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{file} is not UTF-8 text: save it as UTF-8") from None
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}") from error
    lines = [line.removesuffix("\r") for line in text.removesuffix("\n").split("\n")]
    numbered = {n: line for n, line in enumerate(lines, start=1) if line.strip()}
    if not numbered:
        raise InputError(f"{file} holds no judgments: there is nothing to learn from")
    judged_by = _line(file, *next(iter(numbered.items()))).judge
    settings = {"file": content_id(*(line.encode() for line in lines))}
    named = (judged_by or "").strip() or name
    is_simulated = _says_simulated(named)
    name = named if named.startswith(HUMAN) else f"{RECORDED}{named}"
    judge = JudgeIdentity(name, is_simulated, settings)
    return RecordingFile(judge, numbered, _Reader(file, goal_id, judge.id, judged_by, scenes, view))


def _line(file: Path, number: int, line: str) -> Line:
    try:
        row = Line.model_validate_json(line)
        json.loads(line, object_pairs_hook=_each_once)
    except ValidationError as error:
        raise InputError(f"{file}:{number}: {_explained(error)}") from None
    except ValueError as error:
        raise InputError(f"{file}:{number}: {error}") from None
    return row


@dataclass(frozen=True, slots=True)
class _Reader:
    file: Path
    goal_id: str
    judge_id: str
    judged_by: str | None
    scenes: Scenes
    view: JudgeView
    principle: str | None = None  # where a line names none
    but: Collection[tuple[str, str]] = ()  # pairs, by the ids of their segments, that it is not of

    def judged(self, number: int, line: str) -> Judged:
        """The comparison of a line, and the judgment.

        Raises:
            InputError: Names the line, and what is wrong with it.
        """
        row = _line(self.file, number, line)
        try:
            return self._judged(number, line, row)
        except (ValueError, VolitionError) as error:
            raise InputError(f"{self.file}:{number}: {error}") from None

    def _judged(self, number: int, line: str, row: Line) -> Judged:
        if row.judge != self.judged_by:
            raise ValueError(
                f"judge is {json.dumps(row.judge)}, and the file's first line names "
                f"{self.judged_by or 'nobody'}: a file names one judge in every line, or none"
            )
        first, second = (self._segment(side, row) for side in ("first", "second"))
        comparison = Comparison.between(self.goal_id, first, second)
        order = Order.FORWARD if comparison.first == first else Order.SWAPPED
        # The line number makes a repeated line a repeated judgment, not the same one twice.
        reply_id = content_id(self.judge_id.encode(), str(number).encode(), line.encode())
        said = row.reply or Replied(id="", raw="")
        reply = Reply(
            reply_id,
            line,
            said.prompt_tokens,
            said.completion_tokens,
            said.cost_usd,
            said.latency_s,
        )
        verdict = Verdict(row.p_shown_first, said.explanation)
        is_under = (comparison.first.id, comparison.second.id) not in self.but
        principle = row.principle or (self.principle if is_under else None)
        judgment = Judgment(comparison.id, self.judge_id, order, verdict, reply, principle)
        return comparison, judgment

    def _segment(self, side: str, row: Line) -> Segment:
        given = row.first if side == "first" else row.second
        kind = _kind_of(given, self.view)
        try:
            if "observation" in given or "observations" in given:
                return self._observed(side, kind.model_validate(given), row)
            return self._placed(side, given, row)
        except ValidationError as error:
            raise ValueError(_explained(error, side, kind)) from None

    def _placed(self, side: str, given: dict[str, JsonValue], row: Line) -> Segment:
        """A segment that is said by its states."""
        try:
            scene = self.scenes(row.kwargs)
        except Unsettable as error:
            key = "observations" if self.view.clip else "observation"
            raise ValueError(f"{error}. Say what was observed there, as {side}.{key}") from None
        if self.view.clip:
            clip = ClipSide.model_validate(given)
            places = [f"{side}.states[{step}]." for step in range(len(clip.states))]
            states, paths = clip.states, clip.frames
        else:
            _check_keys(f"{side}.", given, (*scene.fields, "frame"))
            state = StateSide.model_validate(given)
            places, states = [f"{side}."], [state.__pydantic_extra__]
            paths = None if state.frame is None else [state.frame]
        values = [
            _values(place, state, scene.fields) for place, state in zip(places, states, strict=True)
        ]
        frames = (
            None if paths is None else tuple(self._frame(f"{side}.frame", path) for path in paths)
        )
        drawn_with = json.dumps(row.kwargs, sort_keys=True) if paths is None else None
        try:
            return see(scene, self.view, np.array(values), None, frames, drawn_with)
        except ValueError as error:
            raise ValueError(f"{side}: {error}") from None

    def _observed(self, side: str, given: BaseModel, row: Line) -> Segment:
        """A segment that is said by what was observed."""
        blank = self.scenes.blank(row.kwargs)
        if isinstance(given, ObservedClipSide):
            place, said, paths = f"{side}.observations", given.observations, given.frames
            shape = (self.view.steps, *blank.shape)
        else:
            assert isinstance(given, ObservedSide)
            place, said, paths = f"{side}.observation", given.observation, [given.frame]
            shape = blank.shape
        if len(paths) != len(self.view.shown):
            raise ValueError(
                f"{side}.frames names {len(paths)}, and a clip is shown in {len(self.view.shown)}"
            )
        if blank.dtype != np.uint8:
            observations = _numbers(place, said, shape)
        elif isinstance(said, str):
            picture = self._frame(place, said)
            try:
                observations = from_picture(picture, (self.view.steps, *blank.shape))
            except ValueError as error:
                raise ValueError(f"{place} {shown(said)}: {error}") from None
        else:
            raise ValueError(
                f"{place} must name a picture, which is what is observed there "
                f"(it is {_shortened(said)})"
            )
        observations = observations.reshape(self.view.steps, *blank.shape)
        return Segment(observations, self._frames(side, paths))

    def _frames(self, side: str, paths: Iterable[str]) -> tuple[Frame, ...]:
        return tuple(self._frame(f"{side}.frame", path) for path in paths)

    def _frame(self, place: str, name: str) -> Frame:
        path = _beside(self.file, name)
        frame = read_frame(path)
        if len(path.stem) == ID_LENGTH and path.stem != frame.id:
            raise ValueError(
                f"{place} {path}: its pixels hash to {frame.id}, not to its name; "
                "it is not the picture that was judged"
            )
        return Frame(lambda: read_frame(path).pixels, frame.id)  # memory would not hold them all


def _beside(file: Path, name: str) -> Path:
    """A file that one of judgments names, which is in the same folder or below it.

    Raises:
        ValueError: It is elsewhere.
    """
    path = file.parent / name
    if not path.resolve().is_relative_to(file.parent.resolve()):
        raise ValueError(f"{shown(name)} is not in the folder of {file.name}, where it must be")
    return path


def _kind_of(given: Mapping[str, JsonValue], view: JudgeView) -> type[BaseModel]:
    """What a side must be, by what it says and by what is judged."""
    if "observation" in given or "observations" in given:
        return ObservedClipSide if view.clip else ObservedSide
    return ClipSide if view.clip else StateSide


def _numbers(place: str, said: JsonValue, shape: tuple[int, ...]) -> Observations:
    """What was observed, float32 of that shape.

    Raises:
        ValueError: It is something else.
    """
    try:
        array = np.asarray(said)
    except (ValueError, OverflowError):  # rows of different lengths
        array = np.asarray(None)
    if array.dtype.kind not in "if":
        raise ValueError(f"{place} must be numbers (it is {_shortened(said)})")
    if array.shape != shape:
        raise ValueError(f"{place} is of shape {array.shape}, and must be of {shape}")
    with np.errstate(over="ignore"):
        observations = array.astype(np.float32)
    if not np.isfinite(observations).all():
        at = np.argwhere(~np.isfinite(observations))[0].tolist()
        raise ValueError(f"{place} is not finite: entry {at} is {array[tuple(at)]}")
    return observations


def _values(place: str, state: Mapping[str, float], fields: Sequence[str]) -> list[float]:
    """A state's values in the order of the scene's fields."""
    _check_keys(place, state, fields)
    for field in fields:
        if field not in state:
            raise ValueError(f"{place}{field} is missing: it must be a number")
    return [state[field] for field in fields]


def _check_keys(place: str, given: Iterable[str], allowed: Sequence[str]) -> None:
    for key in given:
        if key not in allowed:
            raise ValueError(_no_such_key(f"{place}{key}", allowed))


def _explained(error: ValidationError, side: str = "", kind: type[BaseModel] = Line) -> str:
    """What is wrong: where, what is allowed there, and what it is instead."""
    problems = error.errors(include_url=False)
    problem = next((p for p in problems if p["type"] == "extra_forbidden"), problems[0])
    key = side
    for part in problem["loc"]:
        key += f"[{part}]" if isinstance(part, int) else f".{part}" if key else part
    reason = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "extra_forbidden":
        return _no_such_key(key, kind.model_fields)
    if problem["type"] == "missing":
        return f"{key} is missing"
    if problem["type"] == "json_invalid":
        return reason.replace("Invalid JSON", "not valid JSON")
    if not key:
        return reason if problem["type"] == "value_error" else "a judgment is a JSON object"
    return f"{key}: {reason} (it is {_shortened(problem['input'])})"


def _no_such_key(key: str, allowed: Iterable[str]) -> str:
    return f"there is no key {key}; allowed: {', '.join(sorted(allowed))}"


def _shortened(value: object) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def _each_once(pairs: Sequence[tuple[str, object]]) -> Mapping[str, object]:
    known = dict(pairs)
    if len(known) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the key {max(names, key=names.count)} is there twice")
    return known


def import_recording(recording: RecordingFile, store: Store) -> None:
    """Stores all that was recorded, or nothing. Doing it again adds nothing twice.

    Raises:
        InputError: Names the file, the line, and what is wrong with it.
    """
    with store.transaction():
        store.add_judge(recording.judge)
        judged = recording.judged()
        while some := list(islice(judged, TOGETHER)):
            judgments = [judgment for _, judgment in some]
            store.add_comparisons(comparison for comparison, _ in some)
            replies = [judgment.reply for judgment in judgments]
            paid = recording.source if any(reply.cost_usd for reply in replies) else None
            store.add_replies(recording.judge.id, replies, reused_from=paid)
            store.add_judgments(judgments)


def as_line(judge: JudgeIdentity, judgment: Judgment, comparison: Comparison) -> str:
    """A judgment with a verdict as a line of the file; its pictures lie beside it.

    Args:
        judge: Who judged.
        judgment: What was judged, with a verdict.
        comparison: What it is about.
    """
    verdict = judgment.outcome
    assert isinstance(verdict, Verdict)
    sides = [comparison.first, comparison.second]
    if judgment.order is Order.SWAPPED:
        sides.reverse()
    line = line_of(judge, judgment)
    return as_json(
        as_side(sides[0]),
        as_side(sides[1]),
        verdict.p_shown_first,
        Said(
            recorded_name(judge),
            judgment.principle,
            line.kwargs if line else None,
            line.reply if line else Replied.of(judgment),
        ),
    )


@dataclass(frozen=True, slots=True)
class Said:
    """What a line says beside its sides and its verdict; see `Line`."""

    judge: str
    principle: str | None = None
    kwargs: Mapping[str, JsonValue] | None = None
    reply: Replied | None = None


def as_json(
    first: Mapping[str, object], second: Mapping[str, object], p_first: float, said: Said
) -> str:
    """A line of the file, without its end.

    Args:
        first, second: What was shown first, and then, as `as_side` says it.
        p_first: Probability that the one shown first is preferred.
        said: All else.
    """
    choices = [choice for choice, p in VERDICTS.items() if p == p_first]
    line = {
        "first": first,
        "second": second,
        **({"verdict": choices[0]} if choices else {"p_first": p_first}),
        "judge": said.judge,
        **({} if said.principle is None else {"principle": said.principle}),
        **({} if said.kwargs is None else {"kwargs": said.kwargs}),
        **({} if said.reply is None else {"reply": said.reply.model_dump()}),
    }
    return json.dumps(line, ensure_ascii=False)


def recorded_name(judge: JudgeIdentity) -> str:
    """Who judged, as a line says it: whoever reads it knows again whether that was simulated."""
    name = judge.name.removeprefix(RECORDED)
    if not judge.simulated or _says_simulated(name):
        return name
    person = HUMAN if name.startswith(HUMAN) else ""
    return f"{person}{SIMULATED}{name.removeprefix(HUMAN)}"


def _says_simulated(name: str) -> bool:
    return name.removeprefix(HUMAN).startswith(SIMULATED)


def line_of(judge: JudgeIdentity, judgment: Judgment) -> Line | None:
    """The line from which a judgment was read; None of one that came otherwise."""
    if not judge.name.startswith((RECORDED, HUMAN)):
        return None
    try:
        return Line.model_validate_json(judgment.reply.raw)
    except ValidationError:
        return None


def as_side(segment: Segment) -> dict[str, object]:
    """A segment as a side of a line: by its states where it knows them, else by what was observed.

    Its frames are in `frames/` beside the file, and `write_observed` writes what else it names.
    """
    still = len(segment.observations) == 1
    states = [dict(state) for state in segment.states]
    if states:
        said: dict[str, object] = {**states[0]} if still else {"states": states}
    else:
        said = {"observation" if still else "observations": _said_observed(segment)}
    if segment.drawn_with is not None:
        return said
    frames = [f"{FRAMES}/{frame.id}.png" for frame in segment.frames]
    return {**said, "frame": frames[0]} if still else {**said, "frames": frames}


def _said_observed(segment: Segment) -> object:
    if segment.observations.dtype == np.uint8:
        return observed_in(segment)
    values = segment.observations.tolist()
    return values[0] if len(values) == 1 else values


def observed_in(segment: Segment) -> str:
    """The file beside a recording in which the pictures stand that were observed."""
    return f"{OBSERVATIONS}/{as_picture(segment.observations).id}.png"


def write_observed(segment: Segment, folder: Path) -> None:
    """Writes that file, where pictures were observed."""
    if segment.observations.dtype == np.uint8:
        (folder / OBSERVATIONS).mkdir(exist_ok=True)
        write_frame(as_picture(segment.observations), folder / observed_in(segment))
