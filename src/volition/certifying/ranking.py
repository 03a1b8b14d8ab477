"""How often a judge is right, from its answers alone.

Nobody says which answer is right; but answers about the same states must go together. The answer
to a pair (i, j) is "the one shown first" where

    s_i - s_j + f_ij + beta o + e > 0,

s being how good the judge finds each state, f what it sees in that very pair and no other, beta its
bias to what is shown first (o = 1, or -1 where j was), and e noise of variance 1 that is drawn anew
for each order. What contradicts itself when it is put the other way round is e or beta; what is
the same both ways round and fits no ranking is f. All are inferred together by Gibbs sampling
(probit with latent answers: Albert and Chib, 1993).

A judge that errs consistently, whose eye is warped, cannot be found out so: it ranks the states
well, and otherwise than is meant. How much that is likely to be is taken from what was measured of
real judges (`PRIOR`, decision 0022), and only labels can say more.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri

from volition.certifying.answers import Answer, by_pair
from volition.certifying.counting import Doubles, Estimate, entropy

DRAWS, BURNED, THINNED = 1500, 300, 3
MOST_STATES = 160  # that are ranked at once; what is beyond is taken pair by pair
DRAWN_PAIRS = 400  # of states, over which one draw is right or wrong
STEP = 0.25  # of the logarithm of a scale, from one draw to the next
CLOSE = 1e-12
_Density = Callable[[float], float]


@dataclass(frozen=True, slots=True)
class Prior:
    """What is known of judges before one is asked: as it was measured of real ones.

    Attributes:
        spread, spread_sd: Mean and standard deviation of the logarithm of the s' own deviation.
        of_pair: Two counts of a beta distribution: of the noise's variance that is f's.
        bias_sd: Standard deviation of beta.
        warp, warp_falls: Standard deviation of what an eye errs by, in that of the s, of a judge
            whose spread is 1, and by how much it falls with the logarithm of the spread.
    """

    spread: float = 1.05
    spread_sd: float = 1.3
    of_pair: tuple[float, float] = (5.0, 2.3)
    bias_sd: float = 2.0
    warp: float = 0.30
    warp_falls: float = 0.04


PRIOR = Prior()


@dataclass(frozen=True, slots=True)
class Ranking:
    """What answers say of a judge.

    Attributes:
        accuracy: Share of its answers that are right, as they come, each pair put once in an order
            that is dealt.
        bias_free: Likewise where each pair is put in both orders, and what contradicts itself is
            right every second time.
        bits: What an answer says of which one is better, where the order is known: with a bias to
            one side less, and less evenly.
        bias: To what is shown first, in standard deviations of its noise.
        confidence: For each pair, how likely its first is better, over all answers.
    """

    accuracy: Estimate
    bias_free: Estimate
    bits: Estimate
    bias: Estimate
    confidence: Mapping[str, float]


@dataclass(slots=True)
class _Data:
    """Answers as arrays: of each its pair, its sign and what was said; of each pair its states.

    Attributes:
        alone: Pairs of which neither state is in any other: their difference is one number.
    """

    pairs: list[str]
    pair: np.ndarray
    sign: Doubles
    p_first: Doubles
    one: np.ndarray
    other: np.ndarray
    alone: np.ndarray
    states: int


def rank(answers: Sequence[Answer], seed: int = 0, prior: Prior = PRIOR) -> Ranking:
    """What the answers say of the judge.

    Args:
        answers: At least one. A probability counts as an answer that is drawn with it.
        seed: Of the draws.
        prior: What is known before.
    """
    data = _arrays(answers)
    sampler = _Sampler(data, np.random.default_rng(seed), prior)
    accuracy, bias_free, bits, bias = [], [], [], []
    better = np.zeros(len(data.pairs))
    for number in range(DRAWS):
        sampler.draw()
        if number >= BURNED and number % THINNED == 0:
            right, free, said = sampler.would_be_right()
            accuracy.append(right)
            bias_free.append(free)
            bits.append(said)
            bias.append(sampler.bias)
            better += sampler.difference + sampler.of_pair > 0
    confidence = dict(zip(data.pairs, (better / len(bias)).tolist(), strict=True))
    estimates = [Estimate.of_draws(draws) for draws in (accuracy, bias_free, bits, bias)]
    return Ranking(*estimates, confidence)


def _arrays(answers: Sequence[Answer]) -> _Data:
    grouped = by_pair(answers)
    pairs = list(grouped)
    sides = [
        (some[0].first or f"{pair} first", some[0].second or f"{pair} second")
        for pair, some in grouped.items()
    ]
    often = Counter(name for two in sides for name in two)
    known = {name for name, times in often.items() if times > 1}
    several = [any(name in known for name in two) for two in sides]
    if len({name for two, linked in zip(sides, several, strict=True) if linked for name in two}) > (
        MOST_STATES
    ):
        known = {name for name, _ in often.most_common(MOST_STATES)}
        several = [all(name in known for name in two) for two in sides]
    places: dict[str, int] = {}
    for two, linked in zip(sides, several, strict=True):
        if linked:
            for name in two:
                places.setdefault(name, len(places))
    alone = ~np.array(several)
    number = {pair: place for place, pair in enumerate(pairs)}
    return _Data(
        pairs,
        np.array([number[a.pair] for a in answers]),
        np.array([a.sign for a in answers], np.float64),
        np.array([a.p_first for a in answers], np.float64),
        np.array([places.get(a, 0) for a, _ in sides]),
        np.array([places.get(b, 0) for _, b in sides]),
        alone,
        len(places),
    )


class _Sampler:
    """Draws all that is not known in turn, each given the others."""

    def __init__(self, data: _Data, rng: np.random.Generator, prior: Prior) -> None:
        self.data, self.rng, self.prior = data, rng, prior
        self.difference = np.zeros(len(data.pairs))  # s_i - s_j
        self.of_pair = np.zeros(len(data.pairs))  # f_ij
        self.bias, self.spread, self.scale = 0.0, math.exp(prior.spread), 1.5
        self._asked = np.bincount(data.pair, minlength=len(data.pairs)).astype(np.float64)
        self._linked = ~data.alone
        self._scores = np.zeros(data.states)
        joined = self._asked * self._linked
        self._laplacian = np.zeros((data.states, data.states))
        for a, b, by in ((0, 0, 1), (1, 1, 1), (0, 1, -1), (1, 0, -1)):
            ends = data.one, data.other
            np.add.at(self._laplacian, (ends[a], ends[b]), by * joined)

    def draw(self) -> None:
        data, rng = self.data, self.rng
        mean = (self.difference + self.of_pair)[data.pair] + self.bias * data.sign
        chosen = rng.random(len(mean)) < data.p_first
        latent = _truncated(mean, chosen, rng)
        self._draw_of_pair(latent - self.difference[data.pair] - self.bias * data.sign)
        self._draw_scores(latent - self.of_pair[data.pair] - self.bias * data.sign)
        left = latent - (self.difference + self.of_pair)[data.pair]
        variance = 1 / (len(left) + 1 / self.prior.bias_sd**2)
        self.bias = float(variance * (left * data.sign).sum() + math.sqrt(variance) * rng.normal())
        for _ in range(2):
            self.spread = self._metropolis(self.spread, self._of_spread)
            self.scale = self._metropolis(self.scale, self._of_scale)

    def _draw_of_pair(self, left: Doubles) -> None:
        sums = np.bincount(self.data.pair, left, len(self._asked))
        variance = 1 / (self._asked + 1 / self.scale**2)
        noise = self.rng.normal(size=len(sums))
        self.of_pair = variance * sums + np.sqrt(variance) * noise

    def _draw_scores(self, left: Doubles) -> None:
        data, rng = self.data, self.rng
        sums = np.bincount(data.pair, left, len(self._asked))
        variance = 1 / (self._asked + 1 / (2 * self.spread**2))
        self.difference = variance * sums + np.sqrt(variance) * rng.normal(size=len(sums))
        if data.states:
            linked = np.where(self._linked, sums, 0.0)
            pull = np.bincount(data.one, linked, data.states)
            pull -= np.bincount(data.other, linked, data.states)
            precision = self._laplacian + np.eye(data.states) / self.spread**2
            root = np.linalg.cholesky(precision)
            noise = rng.normal(size=data.states)
            self._scores = np.linalg.solve(root.T, np.linalg.solve(root, pull) + noise)
            apart = self._scores[data.one] - self._scores[data.other]
            self.difference = np.where(self._linked, apart, self.difference)

    def _metropolis(self, now: float, log_density: _Density) -> float:
        proposed = now * math.exp(STEP * self.rng.normal())
        gain = log_density(proposed) - log_density(now)
        return proposed if math.log(self.rng.random() + CLOSE) < gain else now

    def _of_spread(self, spread: float) -> float:
        alone = self.difference[self.data.alone] / math.sqrt(2)
        squares = (self._scores**2).sum() + (alone**2).sum()
        count = len(self._scores) + len(alone)
        known = ((math.log(spread) - self.prior.spread) / self.prior.spread_sd) ** 2
        return float(-count * math.log(spread) - squares / 2 / spread**2 - known / 2)

    def _of_scale(self, scale: float) -> float:
        share = scale**2 / (1 + scale**2)
        ours, noise = self.prior.of_pair
        known = ours * math.log(share + CLOSE) + noise * math.log(1 - share + CLOSE)
        squares = float((self.of_pair**2).sum())
        return -len(self.of_pair) * math.log(scale) - squares / 2 / scale**2 + known

    def would_be_right(self) -> tuple[float, float, float]:
        """Of such a judge: its accuracy, that without its bias, and the bits of an answer."""
        rng, prior = self.rng, self.prior
        scores = self._scores
        if len(scores) < 8:
            scores = rng.normal(scale=self.spread, size=MOST_STATES)
        one, other = rng.integers(len(scores), size=(2, DRAWN_PAIRS))
        one, other = one[one != other], other[one != other]
        warp = min(0.6, max(0.08, prior.warp - prior.warp_falls * math.log(self.spread)))
        seen = 1 / math.sqrt(1 + warp**2)
        meant = seen * scores / (scores.std() + CLOSE)
        meant += math.sqrt(1 - seen**2) * rng.normal(size=len(scores))
        better = meant[one] > meant[other]
        noise = self.scale * rng.normal(size=len(one))
        apart = scores[one] - scores[other] + noise
        shown_first, shown_second = ndtr(apart + self.bias), ndtr(apart - self.bias)
        right = np.where(better, (shown_first, shown_second), (1 - shown_first, 1 - shown_second))
        both = right[0] * right[1] + (right[0] * (1 - right[1]) + right[1] * (1 - right[0])) / 2
        # Of what is said for the one shown first, where it is better and where it is worse.
        says = np.concatenate([shown_first, 1 - shown_second])
        is_better = np.concatenate([better, ~better])
        hits, false = says[is_better].mean(), says[~is_better].mean()
        bits = entropy((hits + false) / 2) - (entropy(hits) + entropy(false)) / 2
        return float(right.mean()), float(both.mean()), float(max(0.0, float(bits)))


def _truncated(mean: Doubles, positive: np.ndarray, rng: np.random.Generator) -> Doubles:
    """Normal numbers of that mean and variance 1, each on its side of 0."""
    below, drawn = ndtr(-mean), rng.random(len(mean))
    quantile = np.where(positive, below + drawn * (1 - below), drawn * below)
    return mean + ndtri(np.clip(quantile, CLOSE, 1 - CLOSE))
