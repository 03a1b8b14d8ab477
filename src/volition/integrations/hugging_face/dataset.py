"""A run's judgments as a dataset, one answer to one comparison a row, for other people's programs.

The folder is what a hub takes and `datasets.load_dataset` reads: a card, and Parquet in two
configurations. Beside them stand the same rows as JSONL, and a recording, one judgment a line, from
which another run learns.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, islice
from pathlib import Path

from volition.comparison import Comparison, Segment
from volition.errors import RunError
from volition.integrations.hugging_face.cards import CARD, dataset_card
from volition.integrations.hugging_face.rows import STORYBOARDS, as_preferences, rows_of
from volition.integrations.hugging_face.tables import write_parquet
from volition.judges.sheets import storyboard
from volition.judging.recordings import JUDGMENTS_FILE, as_line, write_observed
from volition.judgment import JudgeIdentity, Judgment, Verdict
from volition.run.folder import RunFolder
from volition.storage.files import is_free, new_folder
from volition.storage.pictures import write_frame
from volition.storage.store import FRAMES

JSONL = "comparisons.jsonl"
PARQUET = "comparisons.parquet"
PREFERENCES = "preferences.parquet"


def export(run: RunFolder, out: Path) -> tuple[int, list[Path]]:
    """Writes `comparisons.jsonl` with its `frames/`, and `comparisons.parquet` with them inside.

    `preferences.parquet` says the same as what was chosen and rejected, where anything was, and
    `README.md` is the card. Where one judge answered, `judgments.jsonl` is a recording of what it
    answered, for `volition train --judgments`.

    Where clips were judged, a side's image is a list of frames, and its storyboard stands beside
    it. Where pictures were observed, a side names the file in which they stand.

    Returns:
        The number of rows, and the files.

    Raises:
        RunError: `out` is there already, or cannot be written, or nothing was judged yet.
        StoreError: The run's store is damaged.
    """
    if not is_free(out):
        raise RunError(f"{out} is there already: choose another folder with --out")
    try:
        with run.open_store() as store, new_folder(out) as folder:
            judgments, comparisons = run.judgments(store), store.comparisons()
            if not judgments:
                raise RunError(f"{run.path} holds no judgments yet: there is nothing to export")
            said_by = {judgment.judge_id for judgment in judgments}
            judges = {name: judge for name, judge in store.judges().items() if name in said_by}
            told = {judgment.comparison_id: None for judgment in judgments}
            shown = (comparisons[name] for name in told)
            write_pictures((side for c in shown for side in (c.first, c.second)), folder)
            rows = rows_of(judgments, comparisons, judges, store.goal_texts())
            recording = _recording(judges, judgments, comparisons)
            _write(folder / JSONL, (json.dumps(row) + "\n" for row in rows))
            write_parquet(rows, folder / PARQUET)
            preferences = as_preferences(rows)
            if first := list(islice(preferences, 1)):
                write_parquet(chain(first, preferences), folder / PREFERENCES)
            if recording:
                _write(folder / JUDGMENTS_FILE, recording)
            files = [JSONL, PARQUET, *([PREFERENCES] if first else [])]
            files += [JUDGMENTS_FILE] if recording else []
            card = dataset_card(run, rows, files)
            (folder / CARD).write_text(card, encoding="utf-8")
    except OSError as error:
        raise RunError(f"{out} cannot be written: {error.strerror}") from error
    return len(rows), [out / name for name in (CARD, *files)]


def _write(path: Path, lines: Iterable[str]) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.writelines(lines)


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


def write_pictures(segments: Iterable[Segment], out: Path) -> None:
    """Writes what was shown and observed of segments: frames, pictures that were observed, and what
    the judge saw of each clip as one picture."""
    (out / FRAMES).mkdir(exist_ok=True)
    for segment in dict.fromkeys(segments):
        write_observed(segment, out)
        for frame in segment.frames:
            write_frame(frame, out / FRAMES / f"{frame.id}.png")
        if len(segment.frames) > 1:
            (out / STORYBOARDS).mkdir(exist_ok=True)
            height, width = segment.frames[0].pixels.shape[:2]
            board = storyboard(segment.frames, segment.shown, (width, height))
            write_frame(board, out / STORYBOARDS / f"{segment.id}.png")
