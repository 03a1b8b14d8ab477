"""Rows as Parquet that says which columns are pictures, as Hugging Face datasets reads it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from volition.integrations.hugging_face.rows import Row

TOGETHER = 500  # rows whose pictures are in memory at a time
PICTURE = pa.struct({"bytes": pa.binary(), "path": pa.string()})
MESSAGES = pa.list_(pa.struct({"role": pa.string(), "content": pa.string()}))
KINDS: Mapping[str, Any] = {
    "images": pa.list_(PICTURE),
    "prompt": MESSAGES,
    "chosen": MESSAGES,
    "rejected": MESSAGES,
    "p_a": pa.float64(),
    "cost_usd": pa.float64(),
    "latency_s": pa.float64(),
    "prompt_tokens": pa.int64(),
    "completion_tokens": pa.int64(),
    "simulated": pa.bool_(),
    "drawn_a": pa.bool_(),
    "drawn_b": pa.bool_(),
}


def write_parquet(rows: Iterable[Row], path: Path) -> None:
    """Writes rows, of which there is one at least, with the pictures that they name inside.

    Args:
        rows: As of `rows_of` or `as_preferences`; they are alike in what they hold.
        path: Of the file; pictures are named from its folder.
    """
    writer, left = None, iter(rows)
    try:
        while some := list(islice(left, TOGETHER)):
            if writer is None:
                kinds = {name: _kind(name, value) for name, value in some[0].items()}
                described = json.dumps({"info": {"features": _features(kinds)}})
                schema = pa.schema(kinds.items()).with_metadata({"huggingface": described})
                writer = pq.ParquetWriter(path, schema)
            filled = [_filled(row, kinds, path.parent) for row in some]
            writer.write_table(pa.Table.from_pylist(filled, schema))
    finally:
        if writer is not None:
            writer.close()


def read_parquet(path: Path) -> Iterator[Row]:
    """The rows of a Parquet file, a picture as its bytes and the name of its file.

    Raises:
        ValueError: It is none.
    """
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(TOGETHER):
            yield from batch.to_pylist()


def _kind(name: str, value: object) -> Any:
    """Of a column, by its name and what the first row holds."""
    if name in KINDS:
        return KINDS[name]
    if name.startswith(("image_", "storyboard_")):
        return PICTURE if isinstance(value, str) else pa.list_(PICTURE)
    if name.startswith("observations_"):
        return PICTURE if isinstance(value, str) else pa.list_(pa.list_(pa.float32()))
    return pa.string()


def _filled(row: Row, kinds: Mapping[str, Any], folder: Path) -> Row:
    """The row with its pictures in place of the names of their files."""

    def picture(name: str) -> Row:
        return {"bytes": (folder / name).read_bytes(), "path": name}

    filled = dict(row)
    for name, kind in kinds.items():
        if kind == PICTURE:
            filled[name] = picture(row[name])
        elif kind == pa.list_(PICTURE):
            filled[name] = [picture(each) for each in row[name]]
    return filled


def _features(kinds: Mapping[str, Any]) -> Row:
    return {name: _feature(kind) for name, kind in kinds.items()}


def _feature(kind: Any) -> Any:
    if kind == PICTURE:
        return {"_type": "Image"}
    if pa.types.is_list(kind):
        return {"_type": "List", "feature": _feature(kind.value_type)}
    if pa.types.is_struct(kind):
        return {field.name: _feature(field.type) for field in kind}
    named = {"double": "float64", "float": "float32"}
    return {"_type": "Value", "dtype": named.get(str(kind), str(kind))}
