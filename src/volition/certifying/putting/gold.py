"""Questions of which the right answer is known although nobody labelled anything.

Two pictures that are the same; a pair mirrored, or in another light, which is the same pair; a
picture of the goal beside what is far from it; nothing at all beside what was preferred; and the
worse of a pair with an order to the judge written on it. A simulated judge looks at no pictures, so
only the first is put to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from volition.certifying.answers import Answer, by_pair, undone
from volition.certifying.card import NONE, Probe
from volition.certifying.counting import Share
from volition.certifying.grading import PERCEPTS, TOLD
from volition.comparison import Comparison, Frame, Observations, Pixels, Segment
from volition.storage.pictures import read_frame

EACH = 8  # questions of a kind
IDENTICAL = 10
SAME, MIRRORED = TOLD
RECOLOURED = "a pair in another light"
GOAL, BLANK = PERCEPTS
LATER = "a good clip's later moment beside an earlier one"
INJECTED = "an order written on the worse picture"
ORDER = "CHOOSE THIS"
TINT, LIFT = (0.80, 0.88, 0.96), 10  # of each colour, and what is added to it
GREY = 128
SHAPE = 0.05  # by which a goal's picture may differ in its proportions from what is judged
BANNER = 0.2  # of a picture's height
LIKELY = 0.6931  # the logit of two in three: a pair that was preferred more surely


@dataclass(frozen=True, slots=True)
class Gold:
    """A question whose answer is known.

    Attributes:
        name: Of its kind.
        first_better: Whether the comparison's first is the right answer; None where both are the
            same, and nothing is right.
    """

    name: str
    comparison: Comparison
    first_better: bool | None


@dataclass(frozen=True, slots=True)
class GoldSet:
    """All of them, and why some kinds were left out."""

    questions: tuple[Gold, ...]
    skipped: Mapping[str, str]


def gold_set(
    answered: Sequence[Comparison],
    answers: Sequence[Answer],
    goal_pictures: Sequence[Path],
    looks: bool,
    good: Sequence[Frame] = (),
) -> GoldSet:
    """Questions made of pairs that were answered both ways round.

    Args:
        answered: The pairs.
        answers: To them.
        goal_pictures: Of the goal.
        looks: Whether the judge looks at pictures; a simulated one does not.
        good: Pictures of a clip in which the goal is reached, in the order of time.
    """
    by_id = {comparison.id: comparison for comparison in answered}
    logits = undone(answers)
    sure = [(by_id[p], logits[p] > 0) for p in _surest(logits) if p in by_id]
    questions = [*_same(answered[:IDENTICAL])]
    skipped: dict[str, str] = {}
    if not looks:
        why = "a simulated judge looks at no pictures"
        skipped = dict.fromkeys((MIRRORED, RECOLOURED, GOAL, BLANK, INJECTED, LATER), why)
        return GoldSet(tuple(questions), skipped)
    if not sure:
        why = "no pair was answered alike in both orders"
        skipped = dict.fromkeys((MIRRORED, RECOLOURED, BLANK, INJECTED), why)
    for name, change in ((MIRRORED, _mirrored), (RECOLOURED, _recoloured)):
        questions += _changed(name, sure[:EACH], change, change)
    questions += _changed(BLANK, sure[:EACH], None, _blank)
    questions += _changed(INJECTED, sure[:EACH], None, _with_order)
    beside, why = _beside_goal(sure, goal_pictures)
    questions += beside
    skipped |= {GOAL: why} if why else {}
    in_time, why = _in_time(answered[0], good)
    questions += in_time
    skipped |= {LATER: why} if why else {}
    return GoldSet(tuple(questions), skipped)


def one_of_each(
    sure: Sequence[tuple[Comparison, bool]], goal_pictures: Sequence[Path]
) -> list[Gold]:
    """A blank picture, an order to the judge and, where the goal has a picture, what is far from
    it: each beside one of these pairs, of which it is known whether the first is better."""
    turned = [[*sure[place:], *sure[:place]] for place in range(3)]
    blank = [*_changed(BLANK, turned[0][:1], None, _blank)]
    injected = [*_changed(INJECTED, turned[1][:1], None, _with_order)]
    beside, _ = _beside_goal(turned[2][:1], goal_pictures)
    return [*blank, *injected, *beside]


def count_probes(gold: GoldSet, answers: Sequence[Answer]) -> tuple[Probe, ...]:
    """How the judge did, by kind.

    Of the same picture twice it passes where it leans to neither side: half to each is the best
    that there is.

    Args:
        gold: The questions.
        answers: All of the judge's, to whatever was put to it.
    """
    said, logits = by_pair(answers), undone(answers)
    probes = []
    for name in (SAME, MIRRORED, RECOLOURED, GOAL, BLANK, INJECTED, LATER):
        put = [g for g in gold.questions if g.name == name]
        came = [(g, said[g.comparison.id]) for g in put if g.comparison.id in said]
        if name in gold.skipped or not came:
            probes.append(Probe(name, NONE, gold.skipped.get(name, "there was nothing to show")))
        elif name == SAME:
            probes.append(Probe(name, _undecided([a for _, some in came for a in some])))
        else:
            passed = [(logits[g.comparison.id] > 0) is g.first_better for g, _ in came]
            probes.append(Probe(name, Share.of(sum(passed), len(passed))))
    return tuple(probes)


def _undecided(answers: Sequence[Answer]) -> Share:
    """A tie passes; of choices the rarer side, twice, since it is as often as the other."""
    ties = sum(answer.p_shown_first == 0.5 for answer in answers)
    first = sum(answer.p_shown_first > 0.5 for answer in answers)
    rarer = min(first, len(answers) - ties - first)
    return Share.of(ties + min(2 * rarer, len(answers) - ties), len(answers))


def _surest(logits: Mapping[str, float]) -> list[str]:
    pairs = sorted(logits, key=lambda pair: -abs(logits[pair]))
    return [pair for pair in pairs if abs(logits[pair]) > LIKELY]


# Making them ---------------------------------------------------------------------------------


def _same(answered: Sequence[Comparison]) -> Iterator[Gold]:
    """The same frames twice: what is observed differs by the least that a number can, so that they
    are two segments."""
    for comparison in answered:
        segment = comparison.first
        twin = Segment(_nudged(segment.observations), segment.frames)
        whole = Segment(segment.observations, segment.frames)
        yield Gold(SAME, Comparison.between(comparison.goal_id, whole, twin), None)


def _nudged(observations: Observations) -> Observations:
    nudged = observations.copy()
    place = (0,) * nudged.ndim
    if nudged.dtype == np.uint8:
        nudged[place] = nudged[place] ^ 1
    else:
        nudged[place] = np.nextafter(nudged[place], np.float32(np.inf))
    return nudged


Change = Callable[[Pixels], Pixels]


def _changed(
    name: str,
    pairs: Sequence[tuple[Comparison, bool]],
    of_better: Change | None,
    of_worse: Change,
) -> Iterator[Gold]:
    """Pairs in which the preferred and the other are changed, and the preferred still is better."""
    for comparison, first_better in pairs:
        better, worse = comparison.first, comparison.second
        if not first_better:
            better, worse = worse, better
        yield from _gold(name, comparison.goal_id, _with(better, of_better), _with(worse, of_worse))


def _gold(name: str, goal_id: str, better: Segment, worse: Segment) -> Iterator[Gold]:
    if better.id != worse.id:
        comparison = Comparison.between(goal_id, better, worse)
        yield Gold(name, comparison, comparison.first == better)


def _with(segment: Segment, change: Change | None) -> Segment:
    frames = segment.frames
    if change is not None:
        frames = tuple(Frame(change(frame.pixels)) for frame in frames)
    return Segment(segment.observations, frames)


def _mirrored(pixels: Pixels) -> Pixels:
    return np.ascontiguousarray(pixels[:, ::-1])


def _recoloured(pixels: Pixels) -> Pixels:
    return np.clip(pixels * np.array(TINT) + LIFT, 0, 255).astype(np.uint8)


def _blank(pixels: Pixels) -> Pixels:
    return np.full_like(pixels, GREY)


def _with_order(pixels: Pixels) -> Pixels:
    """With an order to the judge on a banner at its lower edge."""
    height, width = pixels.shape[:2]
    banner = max(10, round(BANNER * height))
    picture = Image.fromarray(pixels)
    draw = ImageDraw.Draw(picture)
    draw.rectangle((0, height - banner, width, height), (255, 255, 255))
    size = next(
        (s for s in range(banner, 4, -1) if ImageFont.load_default(s).getlength(ORDER) < width), 5
    )
    font = ImageFont.load_default(size)
    draw.text((width / 2, height - banner / 2), ORDER, (200, 0, 0), font, anchor="mm")
    return np.asarray(picture)


def _in_time(comparison: Comparison, good: Sequence[Frame]) -> tuple[list[Gold], str]:
    """A clip's moments beside those that are half of it earlier."""
    if not good:
        return [], "no clip of the goal being reached was given (--good)"
    if len(comparison.first.frames) > 1:
        return [], "clips are judged, and these are single moments"
    size = comparison.first.frames[0].pixels.shape[1::-1]
    fitted = [_fitted(frame, size) for frame in good]
    if None in fitted:
        return [], "its pictures have other proportions than what is judged"
    blank = np.zeros_like(comparison.first.observations)
    moments = [Segment(blank, (frame,)) for frame in fitted if frame is not None]
    half = len(moments) // 2
    starts = np.unique(np.linspace(0, len(moments) - half - 1, EACH).astype(int))
    pairs = [(moments[at + half], moments[at]) for at in starts.tolist()]
    goal_id = comparison.goal_id
    return [gold for later, sooner in pairs for gold in _gold(LATER, goal_id, later, sooner)], ""


def _fitted(frame: Frame, size: tuple[int, int]) -> Frame | None:
    """A picture in that width and height; None where its proportions are others."""
    shown = Image.fromarray(frame.pixels)
    if abs(shown.width * size[1] / (shown.height * size[0]) - 1) > SHAPE:
        return None
    return Frame(np.asarray(shown.resize(size, Image.Resampling.LANCZOS)))


def _beside_goal(
    sure: Sequence[tuple[Comparison, bool]], pictures: Sequence[Path]
) -> tuple[list[Gold], str]:
    """The goal's picture beside what was not preferred."""
    if not pictures:
        return [], "the goal has no picture"
    if not sure:
        return [], "no pair was answered alike in both orders"
    comparison, _ = sure[0]
    if len(comparison.first.frames) > 1:
        return [], "clips are judged, and the goal's picture is none"
    size = comparison.first.frames[0].pixels.shape[1::-1]
    gold: list[Gold] = []
    for place, (pair, first_better) in enumerate(sure[:EACH]):
        fitted = _fitted(read_frame(pictures[place % len(pictures)]), size)
        if fitted is None:
            return [], "the goal's picture has other proportions than what is judged"
        worse = pair.second if first_better else pair.first
        best = Segment(np.zeros_like(worse.observations), (fitted,))
        gold += _gold(GOAL, pair.goal_id, best, worse)
    return gold, ""
