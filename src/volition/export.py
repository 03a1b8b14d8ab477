"""A run's judgments as JSONL and Parquet, one comparison a row, for other people's programs."""

from __future__ import annotations

import json
import shutil
from collections import defaultdict
from pathlib import Path
from typing import Any

from volition.errors import RunError
from volition.judgment import Failure, Judgment, derive_preferences
from volition.run_folder import RunFolder
from volition.segment import Segment

JSONL = "comparisons.jsonl"
PARQUET = "comparisons.parquet"
IMAGES = {"first_image": {"_type": "Image"}, "second_image": {"_type": "Image"}}


def export(run: RunFolder, out: Path) -> tuple[int, list[Path]]:
    """Writes `comparisons.jsonl` with its `frames/`, and `comparisons.parquet` with them inside.

    The Parquet file says which columns are pictures in the way that Hugging Face datasets reads.

    Returns:
        The number of comparisons, and the files.

    Raises:
        RunError: `out` is there already, or cannot be written.
        StoreError: The run's store is damaged.
    """
    if out.exists():
        raise RunError(f"{out} is there already: choose another folder with --out")
    rows = _rows(run)
    try:
        out.mkdir(parents=True)
        shutil.copytree(run.path / "frames", out / "frames")
        with (out / JSONL).open("w", encoding="utf-8") as file:
            for row in rows:
                file.write(json.dumps(row) + "\n")
        _write_parquet(rows, out)
    except OSError as error:
        raise RunError(f"{out} cannot be written: {error}") from error
    return len(rows), [out / JSONL, out / PARQUET]


def _rows(run: RunFolder) -> list[dict[str, Any]]:
    with run.open_store() as store:
        comparisons, judgments = store.comparisons(), store.judgments()
        goals, judges = store.goal_texts(), store.judges()
    asked: defaultdict[str, list[Judgment]] = defaultdict(list)
    for judgment in judgments:
        asked[judgment.comparison_id].append(judgment)
    preferences = {p.comparison_id: p for p in derive_preferences(judgments)}
    rows = []
    for comparison_id, answers in asked.items():
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


def _side(side: str, segment: Segment) -> dict[str, Any]:
    return {
        f"{side}_image": f"frames/{segment.frames[0].id}.png",
        f"{side}_frames": [f"frames/{frame.id}.png" for frame in segment.frames],
        f"{side}_observations": segment.observations.tolist(),
        f"{side}_state": json.dumps(dict(segment.state)),
    }


def _write_parquet(rows: list[dict[str, Any]], out: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    with_pictures = [
        {
            **row,
            **{
                column: {"path": row[column], "bytes": (out / row[column]).read_bytes()}
                for column in IMAGES
            },
        }
        for row in rows
    ]
    table = pa.Table.from_pylist(with_pictures)
    described = json.dumps({"info": {"features": _features(table.schema)}})
    pq.write_table(table.replace_schema_metadata({"huggingface": described}), out / PARQUET)


def _features(schema: Any) -> dict[str, Any]:
    """The schema as Hugging Face datasets describes it, the picture columns as pictures."""
    return {field.name: IMAGES.get(field.name) or _feature(field.type) for field in schema}


def _feature(kind: Any) -> Any:
    import pyarrow as pa

    if pa.types.is_list(kind):
        return {"_type": "List", "feature": _feature(kind.value_type)}
    if pa.types.is_struct(kind):
        return {field.name: _feature(field.type) for field in kind}
    return {"_type": "Value", "dtype": {"double": "float64"}.get(str(kind), str(kind))}
