"""Pairs of pictures before a judge: no environment, no learner and no reward."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from volition.comparison import Comparison, Frame, Segment
from volition.errors import InputError, StoreError
from volition.goal import Goal
from volition.judges import make_judge
from volition.judges.base import Assignment, Judge
from volition.judges.settings import JudgeSettings
from volition.judging.limits import Limits, check_price
from volition.judging.thread import Judging
from volition.judgment import Judgment, derive_preferences
from volition.storage.pictures import read_frame
from volition.storage.store import Store
from volition.tasks.view import JudgeView

Picture = str | Path | Image.Image | npt.NDArray[np.uint8]
SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")  # of pictures


@dataclass(frozen=True, slots=True)
class JudgedPair:
    """What a judge made of two pictures.

    Attributes:
        p_first: Probability that the first represents the goal better, in [0, 1], over all
            judgments; 0.5 of two that are the same picture, which nobody is asked about; None where
            there is no verdict.
        judgments: Every answer, failures among them, as it came.
        files: The two pictures, each where it was a file.
    """

    p_first: float | None
    judgments: tuple[Judgment, ...] = ()
    files: tuple[Path | None, Path | None] = (None, None)


def judge_pairs(
    images: Iterable[tuple[Picture, Picture]] | str | Path,
    goal: Goal | str,
    judge: str | JudgeSettings | Judge,
    *,
    count: int | None = None,
    out: str | Path | None = None,
    seed: int = 0,
) -> list[JudgedPair]:
    """Puts pairs of pictures to a judge; which of the two is shown first is dealt at random.

    Every answer is stored in `out` before it is used. Called again with the same folder, pictures
    and goal it asks only what has no verdict yet.

    Args:
        images: Pairs of files, of pictures of Pillow's, or of arrays, uint8 (height, width, 3); or
            a folder, whose pictures are paired at random, each as often as any other.
        count: How many pairs of a folder; by default twice as many as it holds pictures, or as
            many as there are.
        goal: What is wanted.
        judge: As `PROVIDER:MODEL`, with all its settings, or an object that is a `Judge`.
        out: The folder of the judgments; by default a new one under `runs/`.
        seed: Of the sides, and of a folder's pairs.

    Returns:
        What was made of each pair, in their order.

    Raises:
        InputError: A picture will not do, or what was chosen is not possible.
        JudgeUnavailable: The judge cannot be asked. What it answered is stored.
    """
    goal = goal if isinstance(goal, Goal) else Goal(goal)
    given = _given(images, count, seed)
    files = [(_file(one), _file(other)) for one, other in given]
    pairs = _segments(given)
    answering, limits = _answering(judge, goal)
    _check_sizes(pairs, answering.per_request)
    folder = Path(out) if out else Path("runs") / f"pairs-{time.strftime('%Y%m%d-%H%M%S')}"
    with Store.create(folder) as store:
        goal_id = store.add_goal(goal)
    comparisons = [
        None if first == second else Comparison.between(goal_id, first, second)
        for first, second in pairs
    ]
    differing = [comparison for comparison in comparisons if comparison is not None]
    check_price(answering, limits, differing[:1])
    with Judging(folder, limits, seed) as judging:
        judging.ask(answering, differing, goal.put_under)
        judging.wait()
    judgments = _judgments(folder)
    return [
        JudgedPair(0.5, (), named)
        if comparison is None
        else _judged(judgments.get(comparison.id, []), comparison.first == first, named)
        for comparison, (first, _), named in zip(comparisons, pairs, files, strict=True)
    ]


def _given(
    images: Iterable[tuple[Picture, Picture]] | str | Path, count: int | None, seed: int
) -> list[tuple[Picture, Picture]]:
    if isinstance(images, str | Path):
        return [*_paired(Path(images), count, seed)]
    if count is not None:
        raise InputError("count says how many pairs are made of a folder: leave it out for pairs")
    return [*images]


def _judgments(folder: Path) -> dict[str, list[Judgment]]:
    """Every judgment in the store of a folder, by its comparison."""
    judgments: dict[str, list[Judgment]] = {}
    with Store.open(folder) as store:
        for judgment in store.judgments():
            judgments.setdefault(judgment.comparison_id, []).append(judgment)
    return judgments


def _paired(folder: Path, count: int | None, seed: int) -> Iterator[tuple[Path, Path]]:
    """Pairs of the pictures in a folder, no two alike.

    They stand in a circle, each beside the next, and are dealt anew when it is closed: so each is
    in as many pairs as any other, and each can be compared with all by way of others.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder of pictures")
    files = sorted(file for file in folder.iterdir() if file.suffix.lower() in SUFFIXES)
    if len(files) < 2:
        raise InputError(f"{folder} holds {len(files)} pictures, and two at least are compared")
    every = len(files) * (len(files) - 1) // 2
    wanted = min(2 * len(files), every) if count is None else count
    if not 1 <= wanted <= every:
        raise InputError(f"count is {wanted}: {len(files)} pictures make 1 to {every} pairs")
    rng, known = np.random.default_rng(seed), set[frozenset[Path]]()
    while True:
        circle = [files[place] for place in rng.permutation(len(files))]
        for one, other in zip(circle, [*circle[1:], circle[0]], strict=True):
            if frozenset((one, other)) not in known:
                known.add(frozenset((one, other)))
                yield one, other
            if len(known) == wanted:
                return


def _file(picture: Picture) -> Path | None:
    return Path(picture) if isinstance(picture, str | Path) else None


def _answering(judge: str | JudgeSettings | Judge, goal: Goal) -> tuple[Judge, Limits]:
    """Who answers, and what may be used."""
    settings = JudgeSettings(judge) if isinstance(judge, str) else judge
    if not isinstance(settings, JudgeSettings):
        return settings, Limits()
    most, patience_s = settings.max_judgments, settings.patience
    limits = Limits(settings.max_usd, most, settings.concurrency, patience_s=patience_s)
    return make_judge(settings, Assignment(goal, JudgeView())), limits


def _judged(
    judgments: Sequence[Judgment], forward: bool, files: tuple[Path | None, Path | None]
) -> JudgedPair:
    """Of a comparison whose first segment is the first picture, or the second."""
    preferences = derive_preferences(judgments)
    if not preferences:
        return JudgedPair(None, tuple(judgments), files)
    p_first = preferences[0].p_first
    return JudgedPair(p_first if forward else 1 - p_first, tuple(judgments), files)


def _segments(pairs: Sequence[tuple[Picture, Picture]]) -> list[tuple[Segment, Segment]]:
    """Pairs as they are put to a judge; a file that is in several is read once."""
    read: dict[Path, Segment] = {}

    def segment(number: int, picture: Picture) -> Segment:
        file = _file(picture)
        if file is None:
            return _segment(number, picture)
        if file not in read:
            read[file] = _segment(number, picture)
        return read[file]

    return [(segment(n, one), segment(n, other)) for n, (one, other) in enumerate(pairs, 1)]


def _segment(number: int, picture: Picture) -> Segment:
    """A picture as what is put to a judge; nothing else is observed."""
    try:
        if isinstance(picture, str | Path):
            frame = read_frame(Path(picture))
        elif isinstance(picture, Image.Image):
            frame = Frame(np.asarray(picture.convert("RGB")))
        else:
            frame = Frame(np.asarray(picture))
    except (ValueError, StoreError) as error:
        raise InputError(f"pair {number}: {error}") from None
    return Segment(np.zeros((1, 1), np.float32), (frame,))


def _check_sizes(pairs: Sequence[tuple[Segment, Segment]], per_request: int) -> None:
    sizes = {segment.frames[0].pixels.shape[1::-1] for pair in pairs for segment in pair}
    if per_request > 1 and len(sizes) > 1:
        raise InputError(
            f"pictures of several sizes, {sorted(sizes)}, do not go onto one sheet: put one pair "
            "into a request, with per_request=1, or bring them to one size"
        )
