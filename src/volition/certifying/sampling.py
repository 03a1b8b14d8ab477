"""What answers say of a judge's mind: draws from everything that could have made them.

Gibbs sampling with latent answers (Albert and Chib, 1993), several chains side by side.
Scales mix badly where answers are few, so each is also moved together with what it scales, by the
likelihood of the answers themselves (interweaving: Yu and Meng, 2011). No I/O.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri

from volition.certifying.counting import Doubles

CHAINS, SWEEPS, BURNED = 6, 150, 70
STEP = 0.25  # of the logarithm of a scale, and of the bias, from one draw to the next
FAR = 3  # degrees of freedom of such a step, so that a chain is soon where it belongs
CLOSE = 1e-12
_Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Prior:
    """What is known of judges before one is asked: as it was measured of real ones.

    Attributes:
        spread, spread_sd: Mean and standard deviation of the logarithm of the s' own deviation.
        of_pair, of_pair_rises, of_pair_sd: Mean of the logarithm of f's variance in that of the
            noise, of a judge whose spread is 1; by how much it rises with the logarithm of the
            spread; and its standard deviation.
        bias_sd: Standard deviation of beta.
        lapses: Two counts of a beta distribution: of the answers that are given without looking.
        warp, warp_falls, warp_sd: Standard deviation of what an eye errs by, in that of the s, of a
            judge whose spread is 1; by how much it falls with the logarithm of the spread; and
            the standard deviation of its own logarithm.
    """

    spread: float = 1.05
    spread_sd: float = 1.3
    of_pair: float = 0.4
    of_pair_rises: float = 0.6
    of_pair_sd: float = 1.0
    bias_sd: float = 2.0
    lapses: tuple[float, float] = (0.5, 3.0)
    warp: float = 0.285
    warp_falls: float = 0.045
    warp_sd: float = 0.4


@dataclass(frozen=True, slots=True)
class Data:
    """Answers as arrays, sorted by their pairs.

    Attributes:
        pair, sign, p_first: Of each answer its pair, 1 or -1 as the pair's first was shown first or
            second, and 1 where that was chosen, 0 where it was not, 0.5 of a tie: (answers,).
        ends: Of each pair its states: (pairs, 2).
        alone: Whether neither state is in any other pair, so that of s_i - s_j and f_ij only the
            sum is seen: (pairs,).
        states: How many there are in pairs that are not alone.
    """

    pair: npt.NDArray[np.intp]
    sign: Doubles
    p_first: Doubles
    ends: npt.NDArray[np.intp]
    alone: _Flags
    states: int


@dataclass(frozen=True, slots=True)
class Draws:
    """What the judge may be like.

    Attributes:
        scores: (draws, states).
        spread, scale: Deviation of the scores, and of what is seen in one pair alone: (draws,).
        bias: To what is shown first: (draws,).
        lapses: Share of the answers that are given without looking: (draws,).
    """

    scores: Doubles
    spread: Doubles
    scale: Doubles
    bias: Doubles
    lapses: Doubles


def sample(data: Data, rng: np.random.Generator, prior: Prior) -> Draws:
    """Draws from what the judge may be like, given its answers."""
    chains = _Chains(data, rng, prior)
    kept = []
    for sweep in range(SWEEPS):
        chains.draw()
        if sweep >= BURNED:
            kept.append(chains.now())
    return Draws(*(np.concatenate(column) for column in zip(*kept, strict=True)))


class _Chains:
    """Draws all that is not known in turn, each given the others; every array is (chains, ...)."""

    def __init__(self, data: Data, rng: np.random.Generator, prior: Prior) -> None:
        self.data, self.rng, self.prior = data, rng, prior
        pairs = len(data.alone)
        # From above, since a chain comes down sooner than it goes up.
        self.spread = np.exp(prior.spread + prior.spread_sd * rng.uniform(0, 1, CHAINS))
        self.scale = np.full(CHAINS, math.exp(prior.of_pair / 2))
        self.bias: Doubles = np.zeros(CHAINS)
        self.lapses: Doubles = np.full(CHAINS, 0.05)
        self.scores: Doubles = np.zeros((CHAINS, data.states))
        self.of_pair: Doubles = np.zeros((CHAINS, pairs))
        self._starts = np.searchsorted(data.pair, np.arange(pairs))
        # Of each pair which state counts for it and which against: (pairs, states).
        self._incidence = np.zeros((pairs, data.states))
        linked = np.flatnonzero(~data.alone)
        self._incidence[linked, data.ends[linked, 0]] = 1
        self._incidence[linked, data.ends[linked, 1]] = -1

    def now(self) -> tuple[Doubles, ...]:
        return self.scores, self.spread, self.scale, self.bias, self.lapses

    def draw(self) -> None:
        data, rng = self.data, self.rng
        # A tie is as good as a coin.
        chosen = rng.random((CHAINS, len(data.pair))) < data.p_first
        towards = np.where(chosen, 1.0, -1.0)
        mean = self._difference()[:, data.pair] + self._leaning(self.bias)
        looked = self._draw_lapses(ndtr(towards * mean))
        latent = _truncated(mean, chosen, rng)
        self._draw_of_pair(latent, looked)
        if data.states:
            self._draw_scores(latent, looked)
        self._draw_bias(latent, looked)
        self._draw_scales()
        self._move_together(towards)

    def _difference(self) -> Doubles:
        return self.scores @ self._incidence.T + self.of_pair

    def _leaning(self, bias: Doubles) -> Doubles:
        return np.multiply.outer(bias, self.data.sign)

    def _of_pairs(self, by_answer: Doubles) -> Doubles:
        """Sums over the answers to each pair."""
        return np.add.reduceat(by_answer, self._starts, axis=1)

    def _draw_lapses(self, follows: Doubles) -> Doubles:
        """Which answers were given looking, and how many are not. Whoever does not look chooses
        either with the same probability: a side that is preferred is the bias."""
        blind = self.lapses[:, None] / 2
        seeing = (1 - self.lapses[:, None]) * follows
        looked = self.rng.random(follows.shape) * (blind + seeing) >= blind
        lapsed = follows.shape[1] - looked.sum(1)
        ours, others = self.prior.lapses
        self.lapses = self.rng.beta(ours + lapsed, others + looked.sum(1))
        return looked.astype(np.float64)

    def _draw_of_pair(self, latent: Doubles, looked: Doubles) -> None:
        left = latent - (self.scores @ self._incidence.T)[:, self.data.pair]
        left -= self._leaning(self.bias)
        variance = 1 / (self._of_pairs(looked) + 1 / self._own(self.spread, self.scale))
        noise = np.sqrt(variance) * self.rng.normal(size=variance.shape)
        self.of_pair = variance * self._of_pairs(looked * left) + noise

    def _own(self, spread: Doubles, scale: Doubles) -> Doubles:
        """The variance of what is seen of each pair beside the scores."""
        return scale[:, None] ** 2 + 2 * spread[:, None] ** 2 * self.data.alone

    def _draw_scores(self, latent: Doubles, looked: Doubles) -> None:
        left = latent - self.of_pair[:, self.data.pair] - self._leaning(self.bias)
        pull = self._of_pairs(looked * left) @ self._incidence
        asked = self._of_pairs(looked)
        precision = np.matmul(self._incidence.T * asked[:, None, :], self._incidence)
        precision = precision + np.eye(self.data.states) / self.spread[:, None, None] ** 2
        root = np.linalg.cholesky(precision)
        noise = self.rng.normal(size=(*pull.shape, 1))
        half = np.linalg.solve(root, pull[:, :, None]) + noise
        solved = np.linalg.solve(root.transpose(0, 2, 1), half)
        self.scores = solved[:, :, 0].astype(np.float64)

    def _draw_bias(self, latent: Doubles, looked: Doubles) -> None:
        left = looked * (latent - self._difference()[:, self.data.pair])
        variance = 1 / (looked.sum(1) + 1 / self.prior.bias_sd**2)
        noise = np.sqrt(variance) * self.rng.normal(size=CHAINS)
        self.bias = variance * (left @ self.data.sign) + noise

    # Scales ----------------------------------------------------------------------------------

    def _draw_scales(self) -> None:
        """Each given what it scales."""
        squares, of_pair = (self.scores**2).sum(1), self.of_pair**2

        def log_density(spread: Doubles, scale: Doubles) -> Doubles:
            own = self._own(spread, scale)
            scores = -self.data.states * np.log(spread) - squares / 2 / spread**2
            pairs = -(np.log(own) + of_pair / own).sum(1) / 2
            return np.asarray(scores + pairs + self._known(spread, scale, self.bias))

        for which in (0, 1, 0, 1):
            scales = [self.spread, self.scale]
            before = log_density(*scales)
            scales[which] = scales[which] * self._factor()
            taken = self._taken(log_density(*scales) - before)
            self.spread = np.where(taken, scales[0], self.spread)
            self.scale = np.where(taken, scales[1], self.scale)

    def _known(self, spread: Doubles, scale: Doubles, bias: Doubles) -> Doubles:
        """Logarithm of the prior density, up to a constant."""
        prior, log_spread = self.prior, np.log(spread)
        of_pair = 2 * np.log(scale) - prior.of_pair - prior.of_pair_rises * log_spread
        squares = ((log_spread - prior.spread) / prior.spread_sd) ** 2
        squares += (of_pair / prior.of_pair_sd) ** 2 + (bias / prior.bias_sd) ** 2
        return np.asarray(-squares / 2)

    def _move_together(self, towards: Doubles) -> None:
        """Each scale with what it scales, the bias, and all of them with each other."""
        one = np.ones(CHAINS)
        self._move(towards, self._factor(), one, one)
        self._move(towards, one, self._factor(), one)
        together = self._factor()
        self._move(towards, together, together, together)
        self._move(towards, one, one, one, STEP * self.rng.normal(size=CHAINS))

    def _move(
        self,
        towards: Doubles,
        spread: Doubles,
        scale: Doubles,
        bias: Doubles,
        by: float | Doubles = 0.0,
    ) -> None:
        """Takes the scales and the bias times these, the bias after that and `by`, or does not."""
        data = self.data
        proposed = self.spread * spread, self.scale * scale, self.bias * bias + by
        stretch = np.sqrt(self._own(*proposed[:2]) / self._own(self.spread, self.scale))
        scores, of_pair = self.scores * spread[:, None], self.of_pair * stretch
        before = self._difference()[:, data.pair] + self._leaning(self.bias)
        after = (scores @ self._incidence.T + of_pair)[:, data.pair] + self._leaning(proposed[2])
        gain = self._log_likelihood(towards * after) - self._log_likelihood(towards * before)
        gain += self._known(*proposed) - self._known(self.spread, self.scale, self.bias)
        taken = self._taken(gain + np.log(bias))
        self.spread, self.scale, self.bias = (
            np.where(taken, new, old)
            for new, old in zip(proposed, (self.spread, self.scale, self.bias), strict=True)
        )
        self.scores = np.where(taken[:, None], scores, self.scores)
        self.of_pair = np.where(taken[:, None], of_pair, self.of_pair)

    def _log_likelihood(self, towards: Doubles) -> Doubles:
        lapses = self.lapses[:, None]
        return np.asarray(np.log(lapses / 2 + (1 - lapses) * ndtr(towards) + CLOSE).sum(1))

    def _factor(self) -> Doubles:
        return np.exp(STEP * self.rng.standard_t(FAR, CHAINS))

    def _taken(self, gain: Doubles) -> _Flags:
        """Metropolis: whether each chain takes what was proposed."""
        return np.asarray(np.log(self.rng.random(CHAINS) + CLOSE) < gain)


def _truncated(mean: Doubles, positive: _Flags, rng: np.random.Generator) -> Doubles:
    """Normal numbers of that mean and variance 1, each on its side of 0."""
    below, drawn = ndtr(-mean), rng.random(mean.shape)
    quantile = np.where(positive, below + drawn * (1 - below), drawn * below)
    return mean + ndtri(np.clip(quantile, CLOSE, 1 - CLOSE))
