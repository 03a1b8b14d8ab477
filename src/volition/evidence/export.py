"""A run's judgments as JSONL and Parquet, one comparison a row, for other people's programs.

Beside them they are written as a recording, one judgment a line, from which another run learns.
"""

from __future__ import annotations

import json
import shutil
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from volition.comparison import Comparison, Segment
from volition.errors import RunError
from volition.judges.sheets import storyboard
from volition.judging.recordings import JUDGMENTS_FILE, as_line, observed_in, write_observed
from volition.judgment import Failure, JudgeIdentity, Judgment, Verdict, derive_preferences
from volition.run.folder import RunFolder
from volition.storage.files import is_free, new_folder
from volition.storage.pictures import write_frame
from volition.storage.store import FRAMES, Store

Row = dict[str, Any]  # of JSONL and Parquet alike
JSONL = "comparisons.jsonl"
PARQUET = "comparisons.parquet"
STORYBOARDS = "storyboards"
TOGETHER = 500  # comparisons whose pictures are in memory at a time
IMAGE = {"_type": "Image"}
IMAGES = {"first_image": IMAGE, "second_image": IMAGE}
CLIPS = {name: {"_type": "List", "feature": IMAGE} for name in ("first_frames", "second_frames")}


def export(run: RunFolder, out: Path) -> tuple[int, list[Path]]:
    """Writes `comparisons.jsonl` with its `frames/`, and `comparisons.parquet` with them inside.

    Where one judge answered, `judgments.jsonl` is a recording of what it answered, for `volition
    train --judgments`.

    The Parquet file says which columns are pictures in the way that Hugging Face datasets reads.
    Where clips were judged, a side's image is its storyboard, and its frames are pictures, too.
    Where pictures were observed, a side names the file in which they stand.

    Returns:
        The number of comparisons, and the files.

    Raises:
        RunError: `out` is there already, or cannot be written.
        StoreError: The run's store is damaged.
    """
    if not is_free(out):
        raise RunError(f"{out} is there already: choose another folder with --out")
    try:
        with run.open_store() as store, new_folder(out) as folder:
            shutil.copytree(run.path / FRAMES, folder / FRAMES)
            comparisons = store.comparisons()
            _write_pictures(comparisons.values(), folder)
            judgments = run.judgments(store)
            rows = _rows(store, judgments, comparisons)
            recording = _recording(run.judges(store), judgments, comparisons)
            with (folder / JSONL).open("w", encoding="utf-8") as file:
                for row in rows:
                    file.write(json.dumps(row) + "\n")
            _write_parquet(rows, folder)
            if recording:
                (folder / JUDGMENTS_FILE).write_text("".join(recording), encoding="utf-8")
    except OSError as error:
        raise RunError(f"{out} cannot be written: {error.strerror}") from error
    files = [JSONL, PARQUET, *([JUDGMENTS_FILE] if recording else [])]
    return len(rows), [out / name for name in files]


def _recording(
    judges: Mapping[str, JudgeIdentity],
    judgments: Sequence[Judgment],
    comparisons: Mapping[str, Comparison],
) -> list[str]:
    """The lines of a recording: none where several judged."""
    if len(judges) != 1:
        return []
    (judge,) = judges.values()
    return [
        as_line(judge, judgment, comparisons[judgment.comparison_id]) + "\n"
        for judgment in judgments
        if isinstance(judgment.outcome, Verdict)
    ]


def _rows(
    store: Store, judgments: Sequence[Judgment], comparisons: Mapping[str, Comparison]
) -> list[Row]:
    goals, judges = store.goal_texts(), store.judges()
    judgments_of: defaultdict[str, list[Judgment]] = defaultdict(list)
    for judgment in judgments:
        judgments_of[judgment.comparison_id].append(judgment)
    preferences = {p.comparison_id: p for p in derive_preferences(judgments)}
    rows = []
    for comparison_id, answers in judgments_of.items():
        comparison = comparisons[comparison_id]
        preference = preferences.get(comparison_id)
        rows.append(
            {
                "comparison_id": comparison_id,
                "goal": goals[comparison.goal_id],
                **_side("first", comparison.first),
                **_side("second", comparison.second),
                "p_first": preference.p_first if preference else None,
                "judgments": [
                    {
                        "judge": judges[answer.judge_id].name,
                        "simulated": judges[answer.judge_id].simulated,
                        "order": answer.order.value,
                        "p_shown_first": None
                        if isinstance(answer.outcome, Failure)
                        else answer.outcome.p_shown_first,
                        "failure": answer.outcome.kind
                        if isinstance(answer.outcome, Failure)
                        else None,
                        "raw_reply": answer.reply.raw,
                        "cost_usd": answer.reply.cost_usd,
                    }
                    for answer in answers
                ],
            }
        )
    return rows


def _side(side: str, segment: Segment) -> Row:
    frames = [f"{FRAMES}/{frame.id}.png" for frame in segment.frames]
    return {
        f"{side}_image": frames[0] if len(frames) == 1 else f"{STORYBOARDS}/{segment.id}.png",
        f"{side}_frames": frames,
        f"{side}_observations": observed_in(segment)
        if segment.observations.dtype == np.uint8
        else segment.observations.tolist(),
        f"{side}_states": json.dumps([dict(state) for state in segment.states]),
    }


def _write_pictures(comparisons: Iterable[Comparison], out: Path) -> None:
    """The frames that are kept nowhere, the pictures that were observed, and what the judge saw of
    each clip as one picture."""
    for segment in dict.fromkeys(side for c in comparisons for side in (c.first, c.second)):
        write_observed(segment, out)
        if segment.drawn_with is not None:
            for frame in segment.frames:
                write_frame(frame, out / FRAMES / f"{frame.id}.png")
        if len(segment.frames) > 1:
            (out / STORYBOARDS).mkdir(exist_ok=True)
            height, width = segment.frames[0].pixels.shape[:2]
            board = storyboard(segment.frames, segment.shown, (width, height))
            write_frame(board, out / STORYBOARDS / f"{segment.id}.png")


def _write_parquet(rows: list[Row], out: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    def pictures(path: str | list[str]) -> Any:
        if isinstance(path, str):
            return {"path": path, "bytes": (out / path).read_bytes()}
        return [pictures(picture) for picture in path]

    shown = {**IMAGES, **(CLIPS if (out / STORYBOARDS).is_dir() else {})}

    picture = pa.struct({"path": pa.string(), "bytes": pa.binary()})
    kinds = {column: pa.list_(picture) if column in CLIPS else picture for column in shown}
    schema = pa.schema(
        [
            (field.name, kinds.get(field.name, field.type))
            for field in pa.Table.from_pylist(rows).schema
        ]
    )
    described = json.dumps({"info": {"features": _features(schema, shown)}})
    schema = schema.with_metadata({"huggingface": described})
    with pq.ParquetWriter(out / PARQUET, schema) as writer:
        for start in range(0, len(rows), TOGETHER):
            some = rows[start : start + TOGETHER]
            pictured = [{**row, **{name: pictures(row[name]) for name in shown}} for row in some]
            writer.write_table(pa.Table.from_pylist(pictured, schema))


def _features(schema: Any, shown: Mapping[str, Any]) -> Row:
    """The schema as Hugging Face datasets describes it, the picture columns as pictures."""
    return {field.name: shown.get(field.name) or _feature(field.type) for field in schema}


def _feature(kind: Any) -> Any:
    import pyarrow as pa

    if pa.types.is_list(kind):
        return {"_type": "List", "feature": _feature(kind.value_type)}
    if pa.types.is_struct(kind):
        return {field.name: _feature(field.type) for field in kind}
    return {"_type": "Value", "dtype": {"double": "float64"}.get(str(kind), str(kind))}
