"""Which judgments a correction may change: a sample first, then those near what changed in it.

What is looked at of a judged pair is what was observed of it, the side that was preferred first, so
that pairs in which the same was preferred to the same lie near each other. NumPy alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from volition.comparison import Floats, ObservedPair
from volition.goal import Kind
from volition.judgment import TELLS

SAMPLE, LEAST = 0.1, 10  # of the judged pairs, and so many at least
MOST = 3  # one judged pair in so many is judged again at most, the sample among them
WIDER = 2.0  # times as many as are likely to have changed are judged again
ENTRIES = 256  # of what is observed that are looked at: of pictures some of their pixels


@dataclass(frozen=True, slots=True)
class Known:
    """A pair as it was judged before a correction.

    Attributes:
        pair: The ids of its first and its second segment.
        p_first: Probability that the first is preferred.
        principle: Under which it was asked last, if any.
    """

    pair: tuple[str, str]
    p_first: float
    principle: str | None = None


def most_again(judged: int) -> int:
    """How many of the judged pairs may be judged again."""
    return max(1, judged // MOST)


def sample_size(judged: int) -> int:
    """How many of them are judged again before anybody knows what changes."""
    return min(judged, max(LEAST, round(SAMPLE * judged)), most_again(judged))


def described(known: Sequence[Known], observed: Sequence[ObservedPair]) -> Floats:
    """What is looked at of each pair, every entry of unit scale: (pairs, entries)."""
    rows = []
    for one, sides in zip(known, observed, strict=True):
        first, second = (side.reshape(len(side), -1).astype(np.float64).mean(0) for side in sides)
        places = np.linspace(0, len(first) - 1, min(ENTRIES, len(first))).round().astype(int)
        better, worse = (first, second) if one.p_first >= 0.5 else (second, first)
        rows.append(np.concatenate([better[places], worse[places]]))
    table = np.stack(rows)
    deviation = table.std(0)
    varied = deviation > 1e-6 * np.maximum(1.0, np.abs(table).max(0))
    scaled: Floats = (table[:, varied] - table[:, varied].mean(0)) / deviation[varied]
    return scaled if scaled.shape[1] else np.zeros((len(rows), 1))


def spread(described: Floats, count: int) -> list[int]:
    """So many of the pairs, each as far as can be from those before it (Gonzalez, 1985).

    The first is the one in the middle.
    """
    chosen = [int((described**2).sum(1).argmin())]
    apart = _squares(described, chosen[0])
    while len(chosen) < count:
        apart[chosen] = -1.0
        chosen.append(int(apart.argmax()))
        apart = np.minimum(apart, _squares(described, chosen[-1]))
    return chosen[:count]


def has_changed(before: float, now: float, kind: Kind) -> bool:
    """Whether an answer, P(first preferred), is another one.

    A tie under a principle says nothing, while under another sentence it is an answer.
    """
    was, is_now = _side(before), _side(now)
    return was != is_now and (is_now != 0 or kind == "goal")


def _side(p_first: float) -> int:
    return 0 if abs(p_first - 0.5) < TELLS else 1 if p_first > 0.5 else -1


def probably_changed(
    described: Floats, sample: Sequence[int], changed: Sequence[bool]
) -> npt.NDArray[np.float64]:
    """Probability, for every pair, that it would be answered otherwise: (pairs,).

    The mean over the sample, each of it the more the nearer it is (Nadaraya, 1964; Watson, 1964),
    and the share that changed in all, as much as one of the sample that is rather far.
    """
    answers = np.asarray(changed, np.float64)
    squares = np.stack([_squares(described, place) for place in sample], 1)  # (pairs, sample)
    between = np.sort(squares[list(sample)], 1)[:, 1:2]  # to the next of the sample
    near = float(np.median(between)) if between.size else 1.0
    weights = np.exp(-2.0 * squares / max(near, 1e-12))
    far = np.exp(-2.0)
    share: npt.NDArray[np.float64] = (weights @ answers + far * answers.mean()) / (
        weights.sum(1) + far
    )
    return share


def again(
    described: Floats, sample: Sequence[int], changed: Sequence[bool], most: int
) -> list[int]:
    """The pairs to judge again beyond the sample, the likeliest to have changed first.

    Args:
        described: What is looked at of each pair.
        sample: Those that were judged again.
        changed: Which of these are answered otherwise.
        most: How many may be judged again in all.
    """
    if not any(changed):
        return []
    likely = probably_changed(described, sample, changed)
    others = np.setdiff1d(np.arange(len(described)), sample)
    wanted = int(np.ceil(WIDER * likely[others].sum()))
    best_first = others[np.argsort(-likely[others], kind="stable")]
    return [int(place) for place in best_first[: max(0, min(wanted, most - len(sample)))]]


def _squares(described: Floats, place: int) -> npt.NDArray[np.float64]:
    """Mean squared difference of every pair to one of them: (pairs,)."""
    squares: npt.NDArray[np.float64] = ((described - described[place]) ** 2).mean(1)
    return squares
