"""Rows that were exported, or made in the same form, as a recording from which a run learns."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    FiniteFloat,
    JsonValue,
    TypeAdapter,
    ValidationError,
)

from volition.errors import InputError, RunError, VolitionError, needed
from volition.integrations.hugging_face.rows import Row
from volition.integrations.hugging_face.tables import read_parquet
from volition.judging.recordings import (
    JUDGMENTS_FILE,
    OBSERVATIONS,
    Replied,
    Said,
    as_json,
    recorded_name,
)
from volition.judgment import JudgeIdentity
from volition.storage.files import is_free, new_folder
from volition.storage.pictures import read_frame, write_frame
from volition.storage.store import FRAMES

PICKLED = "a pickle runs whatever program its maker put into it, so none is opened"
PICKLES = (".pkl", ".pickle", ".pt", ".pth", ".ckpt", ".joblib", ".dill")
OPCODES = b"\x80"  # with which every pickle of protocol 2 and later begins
SAVED = ("state.json", "dataset_dict.json")  # of a folder that `Dataset.save_to_disk` wrote
TABLES = ("comparisons.parquet", "comparisons.jsonl")  # that an export holds, the better first
States = TypeAdapter(list[dict[str, FiniteFloat]])
Kwargs = TypeAdapter(dict[str, JsonValue])
T = TypeVar("T")


class Picture(BaseModel):
    """A picture as Hugging Face datasets keeps it: its bytes, or the file that has them."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    content: bytes | None = Field(default=None, alias="bytes")
    path: str | None = None


Pictures = list[Picture | str]


class Told(BaseModel):
    """A row: what a recording needs of it, and what it keeps."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    image_a: Picture | str | Pictures | None = None
    image_b: Picture | str | Pictures | None = None
    images: Pictures | None = None
    goal: str | None = None
    principle: str | None = None
    p_a: float | None = Field(default=None, ge=0, le=1)
    judge: str | None = None
    simulated: bool = False
    raw_reply: str | None = None
    explanation: str | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float = 0.0
    latency_s: float = 0.0
    reply_id: str | None = None
    observations_a: Picture | str | list[list[FiniteFloat]] | None = None
    observations_b: Picture | str | list[list[FiniteFloat]] | None = None
    states_a: str | None = None
    states_b: str | None = None
    drawn_a: bool = False
    drawn_b: bool = False
    kwargs: str | None = None

    def shown(self, side: str) -> Pictures:
        """The pictures of a side."""
        if self.images is not None and self.image_a is None:
            half = len(self.images) // 2
            return self.images[:half] if side == "a" else self.images[half:]
        image = self.image_a if side == "a" else self.image_b
        if isinstance(image, list):
            return image
        return [] if image is None else [image]


@dataclass(frozen=True, slots=True)
class Imported:
    """What came of an import.

    Attributes:
        folder: Of the recording.
        judgments: How many there are in it.
        left_out: Rows without a verdict, which a recording has no place for.
        judge: Who judged.
        goals: What was judged, in words.
    """

    folder: Path
    judgments: int
    left_out: int
    judge: str
    goals: tuple[str, ...]


def import_rows(source: Path, out: Path, only: str | None = None) -> Imported:
    """Writes `judgments.jsonl` and its pictures into the new folder `out`: all of it, or nothing.

    Args:
        source: What `volition export` wrote, or a file of it; a Parquet or JSONL file of the same
            columns; or a folder that `datasets` saved.
        out: The folder.
        only: The judge whose answers are taken, where several answered.

    Raises:
        InputError: It is none of these, it is a pickle, or a row will not do.
        RunError: `out` is there already, or cannot be written.
    """
    rows = _numbered(source)
    return write_recording(source, rows, out, only)


def write_recording(
    source: Path, rows: Iterator[tuple[Path, Row]], out: Path, only: str | None
) -> Imported:
    """Likewise of rows, each with the folder from which it names pictures."""
    if not is_free(out):
        raise RunError(f"{out} is there already: choose another folder with --out")
    lines: list[str] = []
    left_out, judges, goals = 0, dict[str, None](), dict[str, None]()
    with new_folder(out) as folder:
        for number, (beside, row) in enumerate(rows, start=1):
            try:
                told = Told.model_validate(row)
                named = recorded_name(JudgeIdentity(told.judge or source.stem, told.simulated))
                if only is not None and only not in (named, told.judge):
                    continue
                judges[named] = None
                if told.p_a is None:
                    left_out += 1
                    continue
                goals[told.goal or ""] = None
                sides = [_side(told, side, beside, folder) for side in ("a", "b")]
                lines.append(as_json(sides[0], sides[1], told.p_a, _said(told, named)) + "\n")
            except ValidationError as error:
                # The deepest: of several kinds that a value may be, of the one that it nearly is.
                told_most = max(error.errors(include_url=False), key=lambda each: len(each["loc"]))
                key = "".join(f"{part}: " for part in told_most["loc"][:1])
                raise InputError(f"{source}: row {number}: {key}{told_most['msg']}") from None
            except (ValueError, VolitionError) as error:
                raise InputError(f"{source}: row {number}: {error}") from None
        _check(source, lines, list(judges), only)
        (folder / JUDGMENTS_FILE).write_text("".join(lines), encoding="utf-8")
    return Imported(out, len(lines), left_out, next(iter(judges)), tuple(filter(None, goals)))


def _check(source: Path, lines: list[str], judges: list[str], only: str | None) -> None:
    if len(judges) > 1:
        raise InputError(
            f"{source}: {len(judges)} judges answered, {', '.join(judges)}: a recording is of one, "
            "so name it with --judge"
        )
    if not lines:
        whose = "" if only is None else f" of {only}"
        raise InputError(f"{source} holds no verdict{whose}: there is nothing to learn from")


def _said(told: Told, judge: str) -> Said:
    replied = None
    if told.raw_reply is not None:
        replied = Replied(
            id=told.reply_id or "",
            raw=told.raw_reply,
            explanation=told.explanation or "",
            prompt_tokens=told.prompt_tokens,
            completion_tokens=told.completion_tokens,
            cost_usd=told.cost_usd,
            latency_s=told.latency_s,
        )
    kwargs = None if told.kwargs is None else _json("kwargs", Kwargs, told.kwargs)
    return Said(judge, told.principle, kwargs, replied)


def _side(told: Told, side: str, beside: Path, out: Path) -> dict[str, object]:
    """A side as a line of a recording says it; its pictures are written beside that."""
    states = told.states_a if side == "a" else told.states_b
    observations = told.observations_a if side == "a" else told.observations_b
    drawn = told.drawn_a if side == "a" else told.drawn_b
    said: dict[str, object]
    if states is not None:
        known = _json(f"states_{side}", States, states)
        still = len(known) == 1
        said = {**known[0]} if still else {"states": known}
    elif observations is None:
        raise ValueError(
            f"there are neither states_{side} nor observations_{side}: by its pictures alone "
            "nothing is learned in an environment"
        )
    elif isinstance(observations, list):
        still = len(observations) == 1
        said = {"observation": observations[0]} if still else {"observations": observations}
    else:
        still = len(told.shown(side)) == 1
        picture = _written(observations, f"observations_{side}", beside, out, OBSERVATIONS)
        said = {"observation" if still else "observations": picture}
    if drawn and states is not None:
        return said
    frames = [
        _written(picture, f"image_{side}", beside, out, FRAMES) for picture in told.shown(side)
    ]
    if not frames:
        raise ValueError(f"image_{side} is missing: a judge saw something")
    return {**said, "frame": frames[0]} if still else {**said, "frames": frames}


def _json(column: str, kind: TypeAdapter[T], text: str) -> T:
    try:
        return kind.validate_json(text)
    except ValidationError as error:
        raise ValueError(f"{column}: {error.errors(include_url=False)[0]['msg']}") from None


def _written(picture: Picture | str, column: str, beside: Path, out: Path, where: str) -> str:
    """Writes a picture under the hash of its pixels; returns its name beside a recording."""
    if isinstance(picture, str):
        picture = Picture.model_validate({"path": picture})
    if picture.content is None and picture.path is None:
        raise ValueError(f"{column} is no picture: it has neither bytes nor a path")
    path = beside / (picture.path or column)
    if picture.content is None and not path.resolve().is_relative_to(beside.resolve()):
        raise ValueError(f"{column}: {picture.path!r} is not in the folder of the rows")
    frame = read_frame(path, picture.content)
    (out / where).mkdir(exist_ok=True)
    name = f"{where}/{frame.id}.png"
    write_frame(frame, out / name)
    return name


# Where rows are ------------------------------------------------------------------------------


def refuse_pickle(path: Path) -> None:
    """That a file is no pickle.

    Raises:
        InputError: It is one.
    """
    if path.is_file():
        with path.open("rb") as file:
            begins = file.read(2)
        if path.suffix.lower() in PICKLES or (begins[:1] == OPCODES and begins[1:] <= b"\x05"):
            raise InputError(f"{path} is a pickle: {PICKLED}. Export Parquet or JSON lines instead")


def _numbered(source: Path) -> Iterator[tuple[Path, Row]]:
    """The rows of whatever is there, each with the folder from which it names pictures."""
    refuse_pickle(source)
    if source.is_dir():
        if any((source / name).is_file() for name in SAVED):
            return _saved(source)
        found = [source / name for name in TABLES if (source / name).is_file()]
        found = found or sorted(source.glob("**/*.parquet"))
        if found[1:] and found[0].name not in TABLES:
            raise InputError(
                f"{source} holds {len(found)} Parquet files, {found[0]} among them: give one of "
                "them, since nobody knows which belong together"
            )
        if not found:
            raise InputError(
                f"{source} holds neither {' nor '.join(TABLES)}, nor what `datasets` saved: give "
                "what `volition export` wrote, or a Parquet or JSONL file"
            )
        source = found[0]
    if not source.is_file():
        raise InputError(f"{source} is not there: give a folder, a Parquet file or a JSONL file")
    if source.suffix == ".parquet":
        return _parquet(source)
    if source.suffix in (".jsonl", ".json"):
        return _json_lines(source)
    raise InputError(f"{source} is neither a Parquet file (.parquet) nor JSON lines (.jsonl)")


def _parquet(source: Path) -> Iterator[tuple[Path, Row]]:
    try:
        for row in read_parquet(source):
            yield source.parent, row
    except (ValueError, OSError) as error:  # of pyarrow
        raise InputError(f"{source} is no Parquet file that can be read: {error}") from None


def _json_lines(source: Path) -> Iterator[tuple[Path, Row]]:
    with source.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise InputError(f"{source}:{number}: not valid JSON: {error}") from None
            if not isinstance(row, dict):
                raise InputError(f"{source}:{number}: a row is a JSON object")
            yield source.parent, row


def _saved(source: Path) -> Iterator[tuple[Path, Row]]:
    """The rows of a folder that `Dataset.save_to_disk` or `DatasetDict.save_to_disk` wrote."""
    loaded = load_saved(source)
    splits: Mapping[str, Any] = loaded if isinstance(loaded, dict) else {"": loaded}
    for split in splits.values():
        undecoded = split.with_format("arrow")
        for batch in undecoded.iter(100):
            for row in batch.to_pylist():
                yield source, row


def load_saved(folder: Path) -> Any:
    """What `datasets` saved in a folder.

    Raises:
        InputError: The extra `hf` is missing, or the folder is damaged.
    """
    datasets = needed("datasets", "hf", f"reading {folder}")
    try:
        return datasets.load_from_disk(str(folder))
    except Exception as error:  # of pyarrow, of JSON, and whatever its metadata lack
        why = " ".join(f"{type(error).__name__}: {error}".split())
        raise InputError(f"{folder} cannot be read: {why}") from None
