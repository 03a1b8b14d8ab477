"""Verdicts of a run for a person to look through, and what they overrule of them.

    README.md       what is shown, and what is to be written
    verdicts.html   the same with its pictures on one page
    sheets/         numbered pairs, what was preferred framed in green
    overrule.csv    a form: nothing is written but into the rows that are overruled
    pairs.jsonl     what is shown in each pair; not for the person
    frames/         and observations/ where pictures are observed
    verdicts.json   of which run and version, and what was said of each pair

What is shown differs as much as it can: a third covers all that was judged, a third is what was
judged nearest to what the policy does now, and a third nobody has judged: of what the policy does
now, with the reward model's verdict.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from volition.comparison import Floats, Frame, ObservedPair, Segment
from volition.errors import InputError, RunError
from volition.goal import hidden_sign
from volition.judges.sheets import NumberedPair, draw_sheets, pairs_on_a_sheet
from volition.judging.answers import CHOICES
from volition.judging.folders import (
    PAIRS_FILE,
    Row,
    as_pages,
    new_question_folder,
    write_pairs,
)
from volition.judgment import TELLS
from volition.learners.checkpoint import Checkpoint
from volition.reward.model import RewardModel, opinions
from volition.run.correcting.asking import known_before
from volition.run.correcting.choosing import Known, described, spread
from volition.run.folder import RunFolder
from volition.run.rounds import doubtful_pairs
from volition.storage.documents import read_document, write_document
from volition.storage.pictures import write_frame
from volition.storage.store import Store
from volition.tasks.numbers import shown

FORM, ABOUT, PAGE = "overrule.csv", "verdicts.json", "verdicts.html"
COLUMNS = ("pair", "said", "instead", "why")
PAIRS = 60
NEAREST = 3  # one in so many of the judged pairs is near to what the policy does now
CONSIDERED = 256  # moments of it
LONGEST_WHY = 300  # characters
MOST_DEFECTS = 10
MODEL = "the reward model"

README = """\
# What was said of these pairs: is it what you want?

The goal:

{goal}

{count} numbered pairs of {environment}, {how}. Framed in green is what was preferred;
both in orange is a tie. Up to pair {judged} it is what {judges} said; nobody has judged those after
it, and it is what the reward model prefers of what the policy does now.

{sheets}

Go down the pairs, here or in `verdicts.html`. Where you want it otherwise, write into the pair's
row of `overrule.csv`, under `instead`, what you prefer: A, B or tie; and under `why`, if you like,
a few words. Leave every other row as it is, or out. Ten to twenty are enough. Rows above the last
one into which you write count as looked at, and as what you want. Then:

    volition say {run} --overruled {folder} --by YOURNAME

Words inside a picture are part of what is shown, and nothing that anybody says to you.
"""


@dataclass(frozen=True, slots=True)
class Said:
    """What was said of a pair.

    Attributes:
        choice: A, B or tie.
        by: Who judged, or `MODEL`.
        principle: Under which one of the goal, if any.
        a, b: The ids of the frames that show it.
    """

    choice: str
    by: str
    principle: str | None = None
    a: tuple[str, ...] = ()
    b: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What verdicts.json holds.

    Attributes:
        run: Its folder.
        version: Of it.
        goal: In words.
        said: Of each pair, by its number as text.
        steps: Which a clip's frames show, from 0.
        sheets: Their paths in the folder.
    """

    run: str
    version: int
    goal: str
    said: Mapping[str, Said]
    steps: tuple[int, ...]
    sheets: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Looked:
    """A pair as a person looked at it.

    Attributes:
        row: Of pairs.jsonl.
        said: A, B or tie.
        instead: What the person prefers, likewise; empty where they let it stand.
        why: In their words.
    """

    row: Row
    said: str
    instead: str = ""
    why: str = ""


Pair = tuple[Segment, Segment]


# Writing -------------------------------------------------------------------------------------


def write_verdicts(path: Path, out: Path, count: int = PAIRS, seed: int = 0) -> Verdicts:
    """Writes verdicts of a finished run into the new folder `out`: all of it, or nothing.

    Args:
        path: Of the run.
        out: The folder.
        count: How many; there may be fewer.
        seed: Of which, and of which side is shown as A.

    Raises:
        InputError: The folder is there already, or the run has no verdict.
        RunError: The run has learned nothing yet.
    """
    folder, rng = RunFolder.open(path), np.random.default_rng(seed)
    if not folder.checkpoint.is_file():
        raise RunError(
            f"{path} has no {folder.checkpoint.name} yet: go on with `volition resume {path}`"
        )
    now = _now(folder, count // 3, seed)
    with folder.open_store() as store:
        judged = _judged(folder, store, count - len(now), rng)
        judges = sorted({judge.name for judge in folder.judges(store).values()})
        segments = store.segments()
        sides = [(segments[one.pair[0]], segments[one.pair[1]]) for one in judged]
        pairs, said = [], []
        for (first, second), one in zip(sides, judged, strict=True):
            swap = bool(rng.random() < 0.5)
            pairs.append((second, first) if swap else (first, second))
            p_a = 1 - one.p_first if swap else one.p_first
            said.append(Said(_choice(p_a), ", ".join(judges), one.principle))
        pairs += [pair for pair, _ in now]
        said += [each for _, each in now]
        return _written(folder, out, pairs, said)


def _frames(segment: Segment) -> tuple[str, ...]:
    return tuple(frame.id for frame in segment.frames)


def _choice(p_a: float) -> str:
    return "tie" if abs(p_a - 0.5) < TELLS else "A" if p_a > 0.5 else "B"


def _written(folder: RunFolder, out: Path, pairs: Sequence[Pair], said: Sequence[Said]) -> Verdicts:
    numbered = [NumberedPair(number, *pair) for number, pair in enumerate(pairs, start=1)]
    task, per_sheet = folder.task, pairs_on_a_sheet(len(folder.task.view.shown))
    pages = as_pages(numbered, [None] * len(pairs), per_sheet)
    verdicts = Verdicts(
        str(folder.path.absolute()),
        folder.settings.version,
        task.stated_goal().text,
        {
            str(number): replace(each, a=_frames(pair[0]), b=_frames(pair[1]))
            for number, (each, pair) in enumerate(zip(said, pairs, strict=True), start=1)
        },
        task.view.shown,
        tuple(page.path for page in pages),
    )
    choices = {number: each.choice for number, each in enumerate(said, start=1)}
    with new_question_folder(out) as partial:
        (partial / "sheets").mkdir()
        for page, sheet in zip(pages, draw_sheets(numbered, per_sheet, choices), strict=True):
            write_frame(Frame(sheet), partial / page.path)
        write_pairs(pages, task.environment.kwargs, False, partial)
        form = io.StringIO()
        rows = csv.writer(form, lineterminator="\n")
        rows.writerow(COLUMNS)
        rows.writerows((number, choice, "", "") for number, choice in choices.items())
        (partial / FORM).write_text(form.getvalue(), encoding="utf-8")
        (partial / "README.md").write_text(_readme(folder, out, verdicts), encoding="utf-8")
        write_document(partial / ABOUT, verdicts)
    return verdicts


def _readme(folder: RunFolder, out: Path, verdicts: Verdicts) -> str:
    by = [said.by for said in verdicts.said.values()]
    judged = len(by) - by.count(MODEL)
    return README.format(
        goal="\n".join(f"> {line}" for line in verdicts.goal.splitlines()),
        count=len(by),
        environment=folder.task.environment.id,
        how="A above and B below" if folder.task.view.clip else "A on the left and B on the right",
        judged=judged,
        judges=by[0] if judged else "nobody",
        sheets="\n".join(f"- [{path}]({path})" for path in verdicts.sheets),
        run=folder.path,
        folder=out,
    )


# Choosing ------------------------------------------------------------------------------------


def _now(folder: RunFolder, count: int, seed: int) -> list[tuple[Pair, Said]]:
    """Pairs of what the policy does now, and what the reward model says of them."""
    try:
        pairs = doubtful_pairs(folder, count, seed) if count else []
    except RunError:  # nothing that it does now looks different, and was not asked
        pairs = []
    if not pairs:
        return []
    model = RewardModel.load(folder.reward_model)
    sides = [np.stack([pair[side].observations for pair in pairs]) for side in (0, 1)]
    first, second = (np.asarray(opinions(model, side)[1]) for side in sides)
    return [
        (pair, Said("A" if better else "B", MODEL))
        for pair, better in zip(pairs, first > second, strict=True)
    ]


def _judged(folder: RunFolder, store: Store, count: int, rng: np.random.Generator) -> list[Known]:
    """Judged pairs: half of them cover all, half are near to what the policy does now."""
    goal_ids = folder.settings.goal_ids or tuple(store.goal_texts())
    known = known_before(folder, store, goal_ids)
    if not known:
        raise InputError(f"{folder.path} holds no verdict that could be overruled")
    segments = store.segments()
    observed = [
        (segments[first].observations, segments[second].observations)
        for first, second in (one.pair for one in known)
    ]
    table = described(known, observed)
    near = _nearest_now(folder, observed, max(1, len(known) // NEAREST), rng)
    places = [near[place] for place in spread(table[near], min(count // 2, len(near)))]
    others = [place for place in spread(table, min(count, len(known))) if place not in places]
    return [known[place] for place in (*others[: count - len(places)], *places)]


def _nearest_now(
    folder: RunFolder, observed: Sequence[ObservedPair], count: int, rng: np.random.Generator
) -> list[int]:
    """The pairs whose sides were observed nearest to what the policy observes now."""
    visited = Checkpoint(folder.checkpoint, folder.kept).visited()
    now = visited.passages(rng, folder.task.view.steps).observations
    now = _means(now[rng.permutation(len(now))[:CONSIDERED]])
    sides = _means(np.stack([side for pair in observed for side in pair]))
    scale = np.maximum(sides.std(0), 1e-6)
    apart = ((sides[:, None] / scale - now[None] / scale) ** 2).mean(-1).min(1)
    return [int(place) for place in apart.reshape(-1, 2).mean(1).argsort(kind="stable")[:count]]


def _means(segments: Floats) -> Floats:
    """Of segments (segments, T, ...), the mean over their steps: (segments, entries)."""
    rows: Floats = segments.reshape(*segments.shape[:2], -1).astype(np.float64).mean(1)
    places = np.linspace(0, rows.shape[1] - 1, min(256, rows.shape[1])).round().astype(int)
    return rows[:, places]


# Reading -------------------------------------------------------------------------------------


def open_verdicts(folder: Path) -> Verdicts:
    """What `write_verdicts` wrote.

    Raises:
        InputError: It is no such folder.
        RunError: It was changed.
    """
    if not (folder / ABOUT).is_file():
        raise InputError(
            f"{folder} holds no {ABOUT}: it is not a folder that `volition ask RUN --verdicts` "
            "wrote"
        )
    return read_document(folder / ABOUT, Verdicts)


def read_overruled(path: Path) -> tuple[Verdicts, list[Looked]]:
    """What a person looked at, up to the last pair that they overruled.

    Args:
        path: Of the folder, or of a form in it.

    Raises:
        InputError: There is no such folder or form, or nothing is overruled; or a line for each
            fault, with the file, the line and the value. Nothing is taken then.
    """
    file = path / FORM if path.is_dir() else path
    verdicts = open_verdicts(file.parent)
    said = {int(number): each.choice for number, each in verdicts.said.items()}
    rows = _rows_of(file.parent / PAIRS_FILE)
    if rows.keys() != said.keys():
        raise RunError(f"{file.parent / PAIRS_FILE} is not as it was written: restore it")
    overruled, defects = _read_form(file, said)
    if defects:
        more = [f"and {len(defects) - MOST_DEFECTS} more"] if len(defects) > MOST_DEFECTS else []
        raise InputError("\n".join([*defects[:MOST_DEFECTS], *more, "nothing was taken"]))
    if not overruled:
        raise InputError(
            f"{file} overrules nothing: write A, B or tie under `instead` where you want it "
            "otherwise"
        )
    looked = [number for number in sorted(said) if number <= max(overruled)]
    return verdicts, [
        Looked(rows[number], said[number], *overruled.get(number, ("", ""))) for number in looked
    ]


def _rows_of(file: Path) -> dict[int, Row]:
    """What the pairs show, by their numbers."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
        return {row["pair"]: row for row in map(json.loads, filter(None, lines))}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"{file} cannot be read: {error}; restore it from a copy") from None


def _read_form(file: Path, said: Mapping[int, str]) -> tuple[dict[int, tuple[str, str]], list[str]]:
    """What is overruled, by the numbers of the pairs, and a line for each fault."""
    overruled: dict[int, tuple[str, str]] = {}
    defects, seen = [], set()
    for line, row in _rows(file):
        try:
            number = int(row[0]) if row[0].strip().isdecimal() else -1
            if number not in said:
                raise ValueError(f"there is no pair {shown(row[0])}: they are 1 to {max(said)}")
            if number in seen:
                raise ValueError(f"pair {number} is there twice")
            seen.add(number)
            if instead := _overruled(number, row, said[number]):
                overruled[number] = instead
        except ValueError as error:
            defects.append(f"{file}:{line}: {error}")
    return overruled, defects


def _rows(file: Path) -> Iterator[tuple[int, list[str]]]:
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InputError(f"{file} is not UTF-8 text: save it as UTF-8") from None
    header = lines[0] if lines else ""
    # Spreadsheets write semicolons where the comma is a decimal sign.
    rows = csv.reader(lines, delimiter=";" if ";" in header else ",")
    if tuple(name.strip().lower() for name in next(rows, [])) != COLUMNS:
        raise InputError(f"{file}:1: the header is {','.join(COLUMNS)}, not {shown(header)}")
    try:
        for row in rows:
            if any(value.strip() for value in row):
                yield rows.line_num, [*row, *[""] * (len(COLUMNS) - len(row))]
    except csv.Error as error:
        raise InputError(f"{file}:{rows.line_num}: {error}") from None


def _overruled(number: int, row: Sequence[str], said: str) -> tuple[str, str] | None:
    """What a row overrules, and why; None where nothing.

    Raises:
        ValueError: It is none.
    """
    if len(row) > len(COLUMNS):
        raise ValueError(f"pair {number} has {len(row)} columns; a why with a comma is quoted")
    _, was, word, why = (value.strip() for value in row)
    if CHOICES.get(was.lower()) != said:
        raise ValueError(f"of pair {number} was said {said}, and not {shown(was)}")
    if not word:
        if why:
            raise ValueError(f"pair {number} has a why, and nothing instead: {shown(why)}")
        return None
    instead = CHOICES.get(word.lower())
    if instead is None:
        raise ValueError(f"pair {number} is A, B or tie instead, not {shown(word)}")
    if instead == said:
        raise ValueError(f"pair {number} was {said} already: leave the row as it is")
    if len(why) > LONGEST_WHY:
        raise ValueError(f"why has {len(why):,} characters, and may have {LONGEST_WHY}")
    if hidden_sign(why):
        raise ValueError(f"why holds a sign that nobody sees: {shown(why)}")
    return instead, why
