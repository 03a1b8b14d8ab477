"""Which entries of an observation a goal depends on, as far as held-out judgments say so.

An entry that the goal does not depend on is noise to whoever learns from a hundred judgments. So
entries are left out one after the other, always the one without which the others foretell held-out
judgments best (backward elimination; Guyon and Elisseeff, 2003), and of all sets on the way the
largest is taken that is no worse than the best by more than two standard errors: Breiman's rule
(1984) the other way round, since an entry that is missing does more harm than one too many. Where
there are fewer than ten judgments for an entry nothing is left out: from so few a regression tells
variables apart by chance (Peduzzi et al., 1996).

Judgments are foretold by kernel ridge regression of the answer (1, or -1 for the second) on the
pair: with k of two states the kernel of two pairs is k(a, c) + k(b, d) - k(a, d) - k(b, c), that of
a difference of two values of a function (Rifkin et al., 2003; Chu and Ghahramani, 2005). What it
says of every judgment when that is left out has a closed form (Allen's PRESS, 1974), so that
hundreds of sets are tried in the time of a single fit of the reward model, without chance.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from volition.reward.preferences import PreferenceData

LEAST, PER_ENTRY = 30, 10  # decided comparisons, and for each entry, before any is left out
ERRORS = 2.0  # standard errors by which a set may be worse than the best
MOST = 128  # comparisons that are looked at, evenly spread: the time grows with their third power
POINTS = 1024  # observations, for which clips are looked at in so many moments as fit, and
MOMENTS = 3  # in so many at least
AT_ONCE = 0.1  # of the entries that are left are taken away together, where there are many
WIDTHS = (0.7, 1.5, 4.0)  # of the kernel, for each entry in units of its deviation
RIDGES = (0.03, 0.3, 3.0)  # in units of a pair's own kernel
TOGETHER = 8  # matrices that are inverted side by side, so that they stay near the processor
STILL = 1e-6  # an entry that deviates by less, in units of 1 or of its mean, has never varied

Matrix = npt.NDArray[np.floating]


def sparse_inputs(data: PreferenceData, inputs: tuple[int, ...]) -> tuple[int, ...]:
    """Those of the entries `inputs` that the reward model needs, in their order."""
    if len(inputs) < 2 or data.decided().sum() < max(LEAST, PER_ENTRY * len(inputs)):
        return inputs
    table = _Table.of(data, inputs)
    path = list(_eliminated(table))
    best = min(path, key=lambda tried: tried.mean)
    for tried in path:  # the largest first
        worse = tried.losses - best.losses
        if worse.mean() <= ERRORS * worse.std() / np.sqrt(len(worse)):
            return tuple(inputs[place] for place in tried.places)
    raise AssertionError("the best is no worse than itself")


class _Tried(NamedTuple):
    """A set of entries, and how well held-out judgments are foretold with them."""

    places: tuple[int, ...]
    width: float
    ridge: float
    losses: Matrix  # (rows,), squared

    @property
    def mean(self) -> float:
        return float(self.losses.mean())


class _Table(NamedTuple):
    """What was judged, for the regression.

    Attributes:
        distances: Of each entry, the squares of the differences between all observations, in units
            of its deviation: float32 (entries, points, points).
        answers: From -1 to 1: (rows,).
        doubt: Of each row, the inverse of its weight against the mean: (rows,).
    """

    distances: Matrix
    answers: Matrix
    doubt: Matrix

    @classmethod
    def of(cls, data: PreferenceData, inputs: tuple[int, ...]) -> _Table:
        rows = np.unique(np.linspace(0, len(data.weight) - 1, MOST).astype(int))
        steps = data.observations.shape[2]
        moments = min(steps, max(MOMENTS, POINTS // (2 * len(rows))))
        shown = np.linspace(0, steps - 1, moments).round().astype(int)
        seen = data.observations[rows][:, :, shown][..., inputs].reshape(-1, len(inputs))
        points = seen.astype(np.float64)
        mean, deviation = points.mean(0), points.std(0)
        varied = deviation > STILL * np.maximum(1.0, np.abs(mean))
        standard = ((points - mean) / np.where(varied, deviation, np.inf)).astype(np.float32).T
        weight = data.weight[rows].astype(np.float64)
        return cls(
            np.square(standard[:, :, None] - standard[:, None, :]),
            (2.0 * data.p_first[rows] - 1.0).astype(np.float32),
            (weight.mean() / weight).astype(np.float32),
        )

    def tuned(self, places: tuple[int, ...]) -> _Tried:
        """With the width and the ridge that suit these entries best."""
        apart = self.distances[list(places)].sum(0)
        kernels = {width: self._pairs(apart, len(places), width) for width in WIDTHS}
        grid = [(width, ridge) for width in WIDTHS for ridge in RIDGES]
        losses = self._losses([kernels[width] for width, _ in grid], [ridge for _, ridge in grid])
        tried = [_Tried(places, *how, each) for how, each in zip(grid, losses, strict=True)]
        return min(tried, key=lambda each: each.mean)

    def without(self, tried: _Tried) -> list[_Tried]:
        """The same set without one of its entries, for each of them."""
        apart, fewer = self.distances[list(tried.places)].sum(0), len(tried.places) - 1
        pairs = [
            self._pairs(apart - self.distances[place], fewer, tried.width) for place in tried.places
        ]
        losses = self._losses(pairs, [tried.ridge] * len(pairs))
        return [
            _Tried(tuple(p for p in tried.places if p != out), tried.width, tried.ridge, each)
            for out, each in zip(tried.places, losses, strict=True)
        ]

    def _pairs(self, apart: Matrix, entries: int, width: float) -> Matrix:
        """The kernel of all pairs of rows, a pair's own being 1 on average: (rows, rows)."""
        rows = len(self.answers)
        moments = len(apart) // (2 * rows)
        alike = np.exp(apart * np.float32(-0.5 / (width**2 * entries)))
        alike = alike.reshape(rows, 2, moments, rows, 2, moments).mean((2, 5))
        pairs = alike[:, 0, :, 0] + alike[:, 1, :, 1] - alike[:, 0, :, 1] - alike[:, 1, :, 0]
        return np.asarray(pairs / max(float(np.trace(pairs)) / rows, STILL))

    def _losses(self, kernels: Sequence[Matrix], ridges: Sequence[float]) -> list[Matrix]:
        """Squared errors of what is foretold of each row by all others."""
        losses: list[Matrix] = []
        for start in range(0, len(kernels), TOGETHER):
            some = slice(start, start + TOGETHER)
            damped = np.stack(kernels[some])
            places = np.arange(len(self.answers))
            damped[:, places, places] += np.outer(ridges[some], self.doubt)
            inverse = inverses(damped)
            told = np.einsum("kij,j->ki", inverse, self.answers)
            losses += [*np.square(told / inverse[:, places, places]).astype(np.float64)]
        return losses


def inverses(matrices: Matrix) -> Matrix:
    """The inverses of symmetric positive definite matrices (k, n, n), by Gauss and Jordan.

    Not by LAPACK: its threads wait for each other by spinning, which takes a hundred times as long
    where something else works beside, as a learner does.
    """
    work = matrices.copy()
    product = np.empty_like(work)
    for place in range(work.shape[-1]):
        pivot = 1.0 / work[:, place, place]
        column = work[:, :, place].copy()
        row = column * pivot[:, None]
        np.multiply(column[:, :, None], row[:, None, :], out=product)
        work -= product
        work[:, place, :] = row
        work[:, :, place] = row
        work[:, place, place] = -pivot
    return -work


def _eliminated(table: _Table) -> Iterator[_Tried]:
    """All entries, then ever fewer of them, down to one."""
    tried = table.tuned(tuple(range(len(table.distances))))
    yield tried
    while len(tried.places) > 1:
        rest = sorted(table.without(tried), key=lambda each: each.mean)
        count = max(1, int(AT_ONCE * len(rest)))
        least = set(tried.places).intersection(*(each.places for each in rest[:count]))
        tried = table.tuned(tuple(sorted(least)))
        yield tried
