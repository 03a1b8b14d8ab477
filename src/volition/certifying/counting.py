"""What is counted: shares with intervals, exact bounds, calibration. NumPy alone, no I/O."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from volition.reward.examining import at_least, at_most
from volition.reward.preferences import Proportion

Doubles = npt.NDArray[np.float64]
BINS = 10  # of equal width, over which a calibration error is counted
CLOSE = 1e-9  # to which a bound is found


@dataclass(frozen=True, slots=True)
class Share:
    """How many of how many, with the Wilson interval at 95%.

    Attributes:
        share: NaN of none.
    """

    successes: int
    trials: int
    share: float
    low: float
    high: float

    @classmethod
    def of(cls, successes: int, trials: int) -> Share:
        counted = Proportion(int(successes), int(trials))
        return cls(*counted, counted.share, *counted.interval)


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number that was inferred, with the interval in which it is with 95%."""

    value: float
    low: float
    high: float

    @classmethod
    def of_draws(cls, draws: npt.ArrayLike) -> Estimate:
        """Of draws from what it may be: (draws,)."""
        values = np.asarray(draws, np.float64)
        low, high = np.quantile(values, [0.025, 0.975])
        return cls(float(values.mean()), float(low), float(high))


def entropy(p: npt.ArrayLike) -> Doubles:
    """Of a choice with that probability, in bits."""
    inside = np.clip(np.asarray(p, np.float64), 1e-12, 1 - 1e-12)
    return -(inside * np.log2(inside) + (1 - inside) * np.log2(1 - inside))


def upper_bound(successes: int, trials: int, confidence: float = 0.95) -> float:
    """The largest share that so few successes leave possible (Clopper and Pearson, 1934)."""
    if successes >= trials:
        return 1.0
    low, high = 0.0, 1.0
    while high - low > CLOSE:
        middle = (low + high) / 2
        if at_most(successes, trials, middle) > 1 - confidence:
            low = middle
        else:
            high = middle
    return high


def lower_bound(successes: int, trials: int, confidence: float = 0.95) -> float:
    """The smallest share that so many successes leave possible, likewise."""
    return 1.0 - upper_bound(trials - successes, trials, confidence)


def beyond_chance(successes: int, trials: int, chance: float) -> float:
    """Probability of so many successes or more by chance: exact binomial."""
    return at_least(successes, trials, min(max(chance, CLOSE), 1 - CLOSE)) if trials else 1.0


# Calibration ---------------------------------------------------------------------------------


def isotonic(said: Doubles, came: Doubles) -> tuple[Doubles, Doubles]:
    """The nondecreasing step function of least squares: pool adjacent violators (Ayer et al.,
    1955).

    Args:
        said: (answers,).
        came: What came true of each, from 0 to 1: (answers,).

    Returns:
        Where its steps begin and their heights, both (steps,).
    """
    order = np.argsort(said, kind="stable")
    begins: list[float] = []
    heights: list[float] = []
    counts: list[int] = []
    for x, y in zip(said[order], came[order], strict=True):
        if begins and begins[-1] == x:
            heights[-1] = (heights[-1] * counts[-1] + y) / (counts[-1] + 1)
            counts[-1] += 1
        else:
            begins.append(float(x))
            heights.append(float(y))
            counts.append(1)
        while len(heights) > 1 and heights[-2] >= heights[-1]:
            height, count = heights.pop(), counts.pop()
            begins.pop()
            total = counts[-1] + count
            heights[-1] = (heights[-1] * counts[-1] + height * count) / total
            counts[-1] = total
    return np.array(begins), np.array(heights)


def stepped(begins: Doubles, heights: Doubles, at: Doubles) -> Doubles:
    """A step function at these places, from the left of its first step on: (places,)."""
    return heights[np.clip(np.searchsorted(begins, at, side="right") - 1, 0, len(heights) - 1)]


def calibrated(said: Doubles, came: Doubles, half: npt.NDArray[np.integer]) -> Doubles:
    """Each probability as an isotonic fit to the other half of the answers corrects it.

    Args:
        said, came: As of `isotonic`.
        half: 0 or 1 of each: (answers,).
    """
    corrected = said.copy()
    for fold in (0, 1):
        inside = half == fold
        if inside.any() and (~inside).any():
            corrected[inside] = stepped(*isotonic(said[~inside], came[~inside]), said[inside])
    return corrected


def calibration_error(said: Doubles, came: Doubles) -> float:
    """Expected calibration error: the mean distance of what was said and what came, in bins of
    equal width (Guo et al., arXiv:1706.04599, equation 3)."""
    if not len(said):
        return math.nan
    places = np.minimum((said * BINS).astype(int), BINS - 1)
    counts = np.bincount(places, minlength=BINS)
    apart = np.bincount(places, said - came, BINS)
    return float(np.abs(apart).sum() / counts.sum())
