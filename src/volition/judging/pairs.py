"""Pairs of pictures before a judge: no environment, no learner and no reward."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
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


@dataclass(frozen=True, slots=True)
class JudgedPair:
    """What a judge made of two pictures.

    Attributes:
        p_first: Probability that the first represents the goal better, in [0, 1], over all
            judgments; 0.5 of two that are the same picture, which nobody is asked about; None where
            there is no verdict.
        judgments: Every answer, failures among them, as it came.
    """

    p_first: float | None
    judgments: tuple[Judgment, ...] = ()


def judge_pairs(
    images: Iterable[tuple[Picture, Picture]],
    goal: Goal | str,
    judge: str | JudgeSettings | Judge,
    *,
    out: str | Path | None = None,
    seed: int = 0,
) -> list[JudgedPair]:
    """Puts pairs of pictures to a judge; which of the two is shown first is dealt at random.

    Every answer is stored in `out` before it is used. Called again with the same folder, pictures
    and goal it asks only what has no verdict yet.

    Args:
        images: Files, pictures of Pillow's, or arrays, uint8 (height, width, 3).
        goal: What is wanted.
        judge: As `PROVIDER:MODEL`, with all its settings, or an object that is a `Judge`.
        out: The folder of the judgments; by default a new one under `runs/`.
        seed: Of the sides.

    Returns:
        What was made of each pair, in their order.

    Raises:
        InputError: A picture will not do, or what was chosen is not possible.
        JudgeUnavailable: The judge cannot be asked. What it answered is stored.
    """
    goal = goal if isinstance(goal, Goal) else Goal(goal)
    settings = JudgeSettings(judge) if isinstance(judge, str) else judge
    pairs = [(_segment(n, one), _segment(n, other)) for n, (one, other) in enumerate(images, 1)]
    if isinstance(settings, JudgeSettings):
        limits = _limits(settings)
        answering = make_judge(settings, Assignment(goal, JudgeView()))
    else:
        limits, answering = Limits(), settings
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
    judgments: dict[str, list[Judgment]] = {}
    with Store.open(folder) as store:
        for judgment in store.judgments():
            judgments.setdefault(judgment.comparison_id, []).append(judgment)
    return [
        JudgedPair(0.5)
        if comparison is None
        else _judged(judgments.get(comparison.id, []), comparison.first == first)
        for comparison, (first, _) in zip(comparisons, pairs, strict=True)
    ]


def _limits(settings: JudgeSettings) -> Limits:
    most, patience_s = settings.max_judgments, settings.patience
    return Limits(settings.max_usd, most, settings.concurrency, patience_s=patience_s)


def _judged(judgments: Sequence[Judgment], forward: bool) -> JudgedPair:
    """Of a comparison whose first segment is the first picture, or the second."""
    preferences = derive_preferences(judgments)
    if not preferences:
        return JudgedPair(None, tuple(judgments))
    p_first = preferences[0].p_first
    return JudgedPair(p_first if forward else 1 - p_first, tuple(judgments))


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
