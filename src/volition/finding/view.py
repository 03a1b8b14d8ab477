"""What the judge is shown of an environment: which part of its drawing, how large, as a clip."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations, pairwise

import numpy as np
import numpy.typing as npt

from volition.comparison import Pixels
from volition.errors import EnvironmentUnsupported, InputError
from volition.finding.drawings import drawings, moving
from volition.questions.distinct import VISIBLE
from volition.tasks.task import Task
from volition.tasks.view import ClipSection, JudgeView

Drawings = npt.NDArray[np.uint8]  # (drawings, height, width, 3)
Mask = npt.NDArray[np.bool_]

NOISE = 16  # of 255: what differs by less in every colour is taken for the same
MARGIN = 0.05  # of the drawing's longer side, around what is kept; a strip that is narrower stays
LEAST_SHARE = 0.3  # of each side of the drawing is kept: what moves is seen among what does not
LONGER_SIDES = (64, 80, 96, 128, 160, 192, 224, 256)  # pixels
LEAST_SHORTER = 32  # pixels of the shorter side
LEAST_SIDE = 8  # likewise, that a size can have
KEPT = 7 / 8  # of the pixels that look different must be the same ones in a reduced picture
PAIRS = 8  # of drawings, by which that is seen
LONG_ENOUGH = 0.75  # of the episodes of random acting may be shorter than a clip
SATURATED, HALF = 0.9, 0.5  # of how much frames differ that are far apart in time
SHORTEST, FEWEST, MOST = 12, 3, 8  # steps of a clip, and its frames

ASKED = "as it was when the judgments were asked for"


def find_view(
    task: Task, clip: bool = False, asked: JudgeView | None = None
) -> tuple[JudgeView, Mapping[str, str]]:
    """The task's section `view` with what it leaves open, and how each key was found.

    What the task says itself is left as it is (`model_fields_set`). A size that it says without a
    crop is one of the whole drawing.

    Args:
        task: What is to be judged.
        clip: Whether clips are wanted, unless the task says how long; else single states are shown
            where it does not say.
        asked: What was shown where judgments are there already, as far as it is known.

    Raises:
        EnvironmentUnsupported: Clips are wanted, and the environment fails.
        InputError: Likewise, and its episodes have no two steps.
    """
    found: dict[str, object] = {}
    how: dict[str, str] = {}
    said = task.view.model_fields_set
    for name, usual in JudgeView():
        if asked is not None and name in asked.model_fields_set - said:
            found[name] = getattr(asked, name)
            if found[name] != usual:
                how[f"view.{name}"] = ASKED
    known = said | found.keys()
    if "size" not in known:
        try:
            seen = drawings(task.environment)
        except EnvironmentUnsupported as error:  # who has to see it says so: recordings need not be
            how["view.size"] = f"as drawn, since it cannot be drawn to see what is less: {error}"
        else:
            if "crop" not in known:
                found["crop"], how["view.crop"] = _find_crop(seen)
            cropped = _cropped(task.view.model_copy(update=found), seen)
            found["size"], how["view.size"] = _find_size(cropped)
    view = task.view.model_copy(update=found)
    if clip and view.clip is None:
        found["clip"], how["view.clip"] = _find_clip(task, view)
    return task.view.model_copy(update=found), how


# Which part ----------------------------------------------------------------------------------


def _find_crop(seen: Drawings) -> tuple[tuple[float, float, float, float], str]:
    """What remains when all is cut away from each side that never changes and goes on there in the
    same way: left, top, right, bottom as fractions."""
    height, width = seen.shape[1:3]
    if max(height, width) <= LONGER_SIDES[0]:
        return (0, 0, 1, 1), "the whole drawing, which is small"
    changes = _differ(seen.max(0), seen.min(0))
    still = seen[0]
    across = _differ(still[:, 1:], still[:, :-1])  # between a pixel and the one to its left
    down = _differ(still[1:], still[:-1])
    left, right = _kept(changes.T, across.T, max(height, width))
    top, bottom = _kept(changes, down, max(height, width))
    crop = left / width, top / height, right / width, bottom / height
    if crop == (0, 0, 1, 1):
        return (0, 0, 1, 1), "the whole drawing: all of it changes, or shows something"
    rounded = tuple(round(fraction, 3) for fraction in crop)
    return (
        (rounded[0], rounded[1], rounded[2], rounded[3]),
        f"without what is the same in {len(seen)} drawings of what can happen, and goes on in the "
        "same way up to the edge",
    )


def _kept(changes: Mask, steps: Mask, longer: int) -> tuple[int, int]:
    """From and to which row a drawing is kept; of what is transposed, column.

    Args:
        changes: Which pixels ever change.
        steps: Which of them differ from the one in the row before, from the second row on.
        longer: The drawing's longer side, in pixels.
    """
    marked = np.asarray(changes.any(1))
    differs = np.asarray(steps.any(1))
    marked[1:] |= differs
    marked[:-1] |= differs
    count, margin = len(marked), round(MARGIN * longer)
    if not changes.any():
        return 0, count
    places = np.flatnonzero(marked)
    first, last = int(places[0]) - margin, int(places[-1]) + 1 + margin
    missing = max(0, round(LEAST_SHARE * count) - (last - first))
    first, last = first - missing // 2, last + missing - missing // 2
    return (first if first > margin else 0), (last if last < count - margin else count)


def _cropped(view: JudgeView, seen: Drawings) -> Drawings:
    whole = view.model_copy(update={"size": None})
    return np.stack([whole.frame(drawing).pixels for drawing in seen])


# How large -----------------------------------------------------------------------------------


def _find_size(seen: Drawings) -> tuple[tuple[int, int] | None, str]:
    """The smallest width and height at which what differs is still seen, in the drawing's shape;
    None where that is as drawn."""
    drawn = seen.shape[2], seen.shape[1]
    largest = _reduced(drawn, LONGER_SIDES[-1])
    full = _in_size(seen[: 2 * PAIRS], largest)
    looks = _look_different(full)
    for longer in LONGER_SIDES:
        size = _reduced(drawn, longer)
        if longer >= max(largest) or min(size) < LEAST_SHORTER:
            continue
        kept = _overlap(looks, _enlarged(_look_different(_in_size(full, size)), largest))
        if kept >= KEPT:
            return size, (
                "the smallest at which the pixels that look different between two drawings are the "
                f"same ones as in {largest[0]} x {largest[1]}: {kept:.0%}, and {KEPT:.0%} is enough"
            )
    if largest == drawn:
        return None, f"as drawn, {drawn[0]} x {drawn[1]}: in less it would be seen worse"
    return largest, "as large as anything is shown: in less it would be seen worse"


def _reduced(drawn: tuple[int, int], longer: int) -> tuple[int, int]:
    """Width and height with that longer side; as drawn where that is no larger."""
    scale = longer / max(drawn)
    if scale >= 1:
        return drawn
    return max(LEAST_SIDE, round(drawn[0] * scale)), max(LEAST_SIDE, round(drawn[1] * scale))


def _in_size(seen: Drawings, size: tuple[int, int]) -> Drawings:
    view = JudgeView(size=size)
    return np.stack([view.frame(drawing).pixels for drawing in seen])


def _look_different(seen: Drawings) -> Mask:
    """Which pixels a judge can tell apart, of each drawing and the next."""
    return np.stack([_differ(one, other, VISIBLE) for one, other in pairwise(seen)])


def _enlarged(masks: Mask, size: tuple[int, int]) -> Mask:
    """In that width and height, each pixel as the one that it lies in."""
    rows, columns = (
        np.arange(count) * masks.shape[axis] // count
        for axis, count in ((1, size[1]), (2, size[0]))
    )
    return masks[:, rows][:, :, columns]


def _overlap(one: Mask, other: Mask) -> float:
    """Intersection over union; 0 where nothing is in either."""
    return float((one & other).sum() / max(1, (one | other).sum()))


def _differ(one: Pixels, other: Pixels, least: int = NOISE) -> Mask:
    """Which pixels differ by at least so much in some colour."""
    red, green, blue = np.moveaxis(np.maximum(one, other) - np.minimum(one, other) >= least, -1, 0)
    return np.asarray(red | green | blue)


# How long ------------------------------------------------------------------------------------


def _find_clip(task: Task, view: JudgeView) -> tuple[ClipSection, str]:
    """A clip as long as it takes until the picture is another, in so many frames that it changes by
    half from one to the next.

    Raises:
        InputError: No episode has two steps.
    """
    episodes, lengths = moving(task.environment)
    apart: dict[int, list[float]] = {}
    for episode in episodes:
        frames = {step: view.frame(drawing).pixels for step, drawing in episode.items()}
        for first, second in combinations(frames, 2):
            differs = np.abs(frames[first].astype(np.int16) - frames[second]).mean()
            apart.setdefault(second - first, []).append(float(differs))
    if not apart:
        raise InputError(
            f"{task.environment.id} has no clips: its episodes end with their first step"
        )
    other = _first_reached(apart, SATURATED)
    half = _first_reached(apart, HALF)
    most = max(2, int(np.quantile(lengths, LONG_ENOUGH)))
    steps = min(most, max(SHORTEST, other + 1))
    count = min(steps, MOST, max(FEWEST, 1 + round(steps / half)))
    clip = ClipSection(steps=steps, frames=count)
    shorter = ", and episodes are hardly longer" if most < other + 1 else ""
    return clip, (
        f"{clip.steps} steps in {clip.frames} frames: acting at random, a picture is another after "
        f"{other} steps, and half so after {half}{shorter}"
    )


def _first_reached(apart: Mapping[int, Sequence[float]], share: float) -> int:
    """After how many steps frames differ by that share of how much they do that are far apart.

    Args:
        apart: By the steps between two frames, how much they differ, of several pairs.
        share: In [0, 1].
    """
    longest = max(apart)
    far = np.mean([d for steps, some in apart.items() if 2 * steps >= longest for d in some])
    for steps in sorted(apart):
        about = [d for near, some in apart.items() if steps <= near <= 1.5 * steps for d in some]
        if np.mean(about) >= share * far:
            return steps
    return longest
