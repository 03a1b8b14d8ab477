"""Judgments as the library `imitation` has preferences: two lists of fragments, and probabilities.

imitation 1.0 keeps trajectories as `datasets` (`imitation.data.serialize`), and preferences in a
pickle alone. So `fragments_1` and `fragments_2` are as `serialize.load` takes them, and
`preferences.npy` says beside them how probable it is that the first is preferred. Fragment 1 is
what was shown first.

A fragment has one observation more than actions, and judgments know of no actions. So each
observation that was judged is the one that a step leads to: the first is there twice, actions are
zeros, and a reward net is to see the next state alone. What else was known of a judgment stands in
the first of its infos, which are read as JSON: `jsonpickle` would run what it is told to.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from volition.comparison import Array, Observations
from volition.envs.making import make_env
from volition.errors import InputError, RunError, needed
from volition.integrations.hugging_face.cards import CARD, SIMULATED
from volition.integrations.hugging_face.dataset import write_pictures
from volition.integrations.hugging_face.importing import (
    PICKLED,
    Imported,
    load_saved,
    refuse_pickle,
    write_recording,
)
from volition.integrations.hugging_face.rows import OF_ONE, Row, rows_of
from volition.judges.base import Question
from volition.judgment import Verdict
from volition.run.folder import RunFolder
from volition.storage.files import is_free, new_folder

FRAGMENTS = {"a": "fragments_1", "b": "fragments_2"}
PROBABILITIES = "preferences.npy"
KNOWN = "volition"  # in the first info of a fragment: what else is known of the judgment
LOADED = """\
{judged} as preferences of the library `imitation` 1.0, under the goal

> {goal}

{simulated}```python
import numpy as np
from imitation.algorithms.preference_comparisons import PreferenceDataset
from imitation.data import serialize

preferences = PreferenceDataset()
preferences.push(
    list(zip(serialize.load("fragments_1"), serialize.load("fragments_2"), strict=True)),
    np.load("preferences.npy").astype(np.float32),
)
```

`preferences.npy` holds the probability that fragment 1 is preferred, as float64. Judgments know of
no actions: they are zeros here, and the first observation of a fragment is there twice, so that
each judged one is the next state of a step. Take a reward net that sees it alone:
`BasicRewardNet(..., use_state=False, use_action=False, use_next_state=True)`.
"""


def export_preferences(run: RunFolder, out: Path) -> int:
    """Writes the verdicts of a run into the new folder `out`; returns how many there are.

    What was asked of one side alone, such as whether a veto is kept to, prefers nothing, and is
    left out.

    Raises:
        InputError: The extra `hf` is missing.
        RunError: There is no other verdict, or `out` is there already or cannot be written.
        StoreError: The run's store is damaged.
    """
    if not is_free(out):
        raise RunError(f"{out} is there already: choose another folder with --out")
    datasets = needed("datasets", "hf", "an export for imitation")
    datasets.disable_progress_bars()
    with run.open_store() as store, new_folder(out) as folder:
        comparisons, judges = store.comparisons(), store.judges()
        judgments = [
            j
            for j in run.judgments(store)
            if isinstance(j.outcome, Verdict) and not (j.principle or "").startswith(tuple(OF_ONE))
        ]
        if not judgments:
            raise RunError(f"{run.path} holds no verdict on two sides: there is nothing to export")
        rows = rows_of(judgments, comparisons, judges, store.goal_texts())
        shown = [Question(comparisons[j.comparison_id], j.order).shown for j in judgments]
        write_pictures((segment for pair in shown for segment in pair), folder)
        with closing(make_env(run.task.environment.id, run.task.environment.kwargs)) as env:
            action = np.zeros_like(np.asarray(env.action_space.sample()))
        for place, (side, name) in enumerate(FRAGMENTS.items()):
            fragments = [
                _fragment(pair[place].observations, _info(row, side), action)
                for pair, row in zip(shown, rows, strict=True)
            ]
            columns = {key: [fragment[key] for fragment in fragments] for key in fragments[0]}
            datasets.Dataset.from_dict(columns).save_to_disk(str(folder / name))
        np.save(folder / PROBABILITIES, np.array([row["p_a"] for row in rows]))
        (folder / CARD).write_text(_card(rows), encoding="utf-8")
    return len(rows)


def is_preferences(source: Path) -> bool:
    """Whether a folder holds what `export_preferences` writes."""
    return (source / PROBABILITIES).is_file()


def import_preferences(source: Path, out: Path, only: str | None = None) -> Imported:
    """Makes a recording of what `export_preferences` wrote, as `import_rows` does.

    Raises:
        InputError: The extra `hf` is missing, a file is a pickle or is damaged, or fragments do not
            say what was seen, as those that imitation made itself do not.
        RunError: `out` is there already, or cannot be written.
    """
    return write_recording(source, _rows(source), out, only)


def _rows(source: Path) -> Iterator[tuple[Path, Row]]:
    refuse_pickle(source / PROBABILITIES)
    probabilities = _probabilities(source / PROBABILITIES)
    sides = {side: load_saved(source / name) for side, name in FRAGMENTS.items()}
    counts = {len(probabilities), *(len(fragments) for fragments in sides.values())}
    if len(counts) > 1:
        raise InputError(
            f"{source} holds {sorted(counts)} fragments and probabilities: as many each"
        )
    for number, p_a in enumerate(probabilities.tolist()):
        row: Row = {"p_a": p_a}
        for side, fragments in sides.items():
            row |= _told(fragments[number], side, f"{source / FRAGMENTS[side]}: {number + 1}")
        yield source, row


def _probabilities(file: Path) -> Array:
    try:
        with file.open("rb") as opened:
            read = np.lib.format.read_array(opened, allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        why = PICKLED if "allow_pickle" in str(error) else str(error)
        raise InputError(f"{file} cannot be read: {why}") from None
    if read.ndim != 1:
        raise InputError(f"{file} is of shape {read.shape}: a probability for each pair")
    return read


def _told(fragment: Mapping[str, Any], side: str, named: str) -> Row:
    """What the infos of a fragment say, and what was observed in it."""
    try:
        info = json.loads(fragment["infos"][0])
        observed = fragment["obs"][1:]
    except (KeyError, IndexError, TypeError, ValueError):
        info, observed = None, []
    if not isinstance(info, dict) or not isinstance(info.get(KNOWN), dict):
        raise InputError(
            f"{named}: its infos do not say what a judge saw, and imitation keeps no pictures: "
            "only what `volition export --format imitation` wrote can be imported"
        )
    return {f"observations_{side}": observed, **info[KNOWN]}


def _info(row: Row, side: str) -> str:
    """What is known of a judgment and one of its sides, but for what was observed as numbers."""
    other = {"a": "_b", "b": "_a"}[side]
    known = {
        name: value
        for name, value in row.items()
        if not name.endswith(other)
        and not (name == f"observations_{side}" and isinstance(value, list))
    }
    return json.dumps({KNOWN: known})


def _fragment(observations: Observations, info: str, action: Array) -> Row:
    """A trajectory as `imitation.data.serialize` has it in a row."""
    steps = len(observations)
    return {
        "obs": np.concatenate([observations[:1], observations]),
        "acts": np.repeat(action[None], steps, 0),
        "infos": [info, *["{}"] * (steps - 1)],
        "terminal": False,
    }


def _card(rows: Sequence[Row]) -> str:
    simulated = any(row["simulated"] for row in rows)
    judges = ", ".join(dict.fromkeys(row["judge"] for row in rows))
    return LOADED.format(
        judged=f"{len(rows)} judgments of {judges}",
        goal="\n> ".join(dict.fromkeys(row["goal"] for row in rows)),
        simulated=f"{SIMULATED}\n\n" if simulated else "",
    )
