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
import numpy.typing as npt
from scipy.special import ndtr, ndtri

from volition.certifying.answers import Answer, by_pair
from volition.certifying.counting import Doubles, Estimate, entropy

DRAWS, BURNED, THINNED = 1000, 250, 3
MOST_STATES = 160  # that are ranked at once; what is beyond is taken pair by pair
DRAWN_PAIRS = 400  # of states, over which one draw is right or wrong
STEP = 0.25  # of the logarithm of a scale, from one draw to the next
CLOSE = 1e-12
# Of the standard normal distribution: where it is looked at, and how much each place counts.
NODES = np.linspace(-4, 4, 21)
WEIGHTS = np.exp(-(NODES**2) / 2) / np.exp(-(NODES**2) / 2).sum()
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
    """

    accuracy: Estimate
    bias_free: Estimate
    bits: Estimate
    bias: Estimate


@dataclass(slots=True)
class _Data:
    """Answers as arrays.

    Those about pairs of which a state is in another pair, too: of each its pair, its sign and what
    was said; of each pair its states. And those about pairs that have nothing to do with others.
    """

    pair: npt.NDArray[np.intp]
    sign: Doubles
    p_first: Doubles
    one: npt.NDArray[np.intp]
    other: npt.NDArray[np.intp]
    states: int
    alone: _Alone


@dataclass(slots=True)
class _Alone:
    """Answers to pairs of which neither state is in any other.

    Of such a pair only s_i - s_j + f_ij is seen, which is normal: it is integrated out.
    """

    pair: npt.NDArray[np.intp]
    sign: Doubles
    p_first: Doubles
    pairs: int

    def log_likelihood(
        self, chosen: npt.NDArray[np.bool_], spread: float, scale: float, bias: float
    ) -> float:
        """Of these choices of the pairs' first."""
        if not self.pairs:
            return 0.0
        seen = math.sqrt(2 * spread**2 + scale**2) * NODES
        mean = seen[:, None] + bias * self.sign
        of_answer = np.log(ndtr(np.where(chosen, mean, -mean)) + CLOSE)  # (nodes, answers)
        of_pair = np.stack([np.bincount(self.pair, row, self.pairs) for row in of_answer])
        return float(np.log(WEIGHTS @ np.exp(of_pair) + CLOSE).sum())


def rank(answers: Sequence[Answer], seed: int = 0, prior: Prior = PRIOR) -> Ranking:
    """What the answers say of the judge.

    Args:
        answers: At least one. A probability counts as an answer that is drawn with it.
        seed: Of the draws.
        prior: What is known before.
    """
    sampler = _Sampler(_arrays(answers), np.random.default_rng(seed), prior)
    draws: list[tuple[float, ...]] = []
    for number in range(DRAWS):
        sampler.draw()
        if number >= BURNED and number % THINNED == 0:
            draws.append((*sampler.would_be_right(), sampler.bias))
    return Ranking(*(Estimate.of_draws(column) for column in zip(*draws, strict=True)))


def _arrays(answers: Sequence[Answer]) -> _Data:
    grouped = by_pair(answers)
    sides = {
        pair: (some[0].first or f"{pair} first", some[0].second or f"{pair} second")
        for pair, some in grouped.items()
    }
    often = Counter(name for two in sides.values() for name in two)
    known = {name for name, times in often.items() if times > 1}
    linked = [pair for pair, two in sides.items() if any(name in known for name in two)]
    if len({name for pair in linked for name in sides[pair]}) > MOST_STATES:
        known = {name for name, _ in often.most_common(MOST_STATES)}
        linked = [pair for pair, two in sides.items() if all(name in known for name in two)]
    numbers = {pair: place for place, pair in enumerate(linked)}
    by_itself = [pair for pair in sides if pair not in numbers]
    # One answer to such a pair says nothing but to which side it leans.
    by_itself = [p for p in by_itself if len({a.order for a in grouped[p]}) > 1] or by_itself
    places: dict[str, int] = {}
    ends = [[places.setdefault(name, len(places)) for name in sides[pair]] for pair in linked]
    one, other = np.array(ends, np.intp).reshape(-1, 2).T
    ours = _columns([a for a in answers if a.pair in numbers], numbers)
    alone = {pair: place for place, pair in enumerate(by_itself)}
    theirs = _columns([a for a in answers if a.pair in alone], alone)
    return _Data(*ours, one, other, len(places), _Alone(*theirs, len(by_itself)))


def _columns(
    answers: Sequence[Answer], numbers: Mapping[str, int]
) -> tuple[npt.NDArray[np.intp], Doubles, Doubles]:
    return (
        np.array([numbers[a.pair] for a in answers], np.intp),
        np.array([a.sign for a in answers], np.float64),
        np.array([a.p_first for a in answers], np.float64),
    )


class _Sampler:
    """Draws all that is not known in turn, each given the others."""

    def __init__(self, data: _Data, rng: np.random.Generator, prior: Prior) -> None:
        self.data, self.rng, self.prior = data, rng, prior
        self.bias, self.spread, self.scale = 0.0, math.exp(prior.spread), 1.5
        pairs, states = len(data.one), data.states
        self._difference = np.zeros(pairs)  # s_i - s_j
        self._of_pair = np.zeros(pairs)  # f_ij
        self._scores = np.zeros(states)
        self._asked = np.bincount(data.pair, minlength=pairs).astype(np.float64)
        self._chosen_alone = np.zeros(len(data.alone.pair), np.bool_)
        self._laplacian = np.zeros((states, states))
        ends = data.one, data.other
        for a, b, by in ((0, 0, 1), (1, 1, 1), (0, 1, -1), (1, 0, -1)):
            np.add.at(self._laplacian, (ends[a], ends[b]), by * self._asked)

    def draw(self) -> None:
        data, rng = self.data, self.rng
        self._chosen_alone = rng.random(len(data.alone.pair)) < data.alone.p_first
        mean = (self._difference + self._of_pair)[data.pair] + self.bias * data.sign
        chosen = rng.random(len(mean)) < data.p_first
        latent = _truncated(mean, chosen, rng)
        self._draw_of_pair(latent - self._difference[data.pair] - self.bias * data.sign)
        if data.states:
            self._draw_scores(latent - self._of_pair[data.pair] - self.bias * data.sign)
        self._draw_bias(latent - (self._difference + self._of_pair)[data.pair])
        for _ in range(2):
            self.spread = self._metropolis(self.spread, self._of_spread)
            self.scale = self._metropolis(self.scale, self._of_scale)

    def _draw_of_pair(self, left: Doubles) -> None:
        sums = np.bincount(self.data.pair, left, len(self._asked))
        variance = 1 / (self._asked + 1 / self.scale**2)
        noise = self.rng.normal(size=len(sums))
        self._of_pair = variance * sums + np.sqrt(variance) * noise

    def _draw_scores(self, left: Doubles) -> None:
        data = self.data
        sums = np.bincount(data.pair, left, len(self._asked))
        pull = np.bincount(data.one, sums, data.states)
        pull -= np.bincount(data.other, sums, data.states)
        precision = self._laplacian + np.eye(data.states) / self.spread**2
        root = np.linalg.cholesky(precision)
        noise = self.rng.normal(size=data.states)
        self._scores = np.linalg.solve(root.T, np.linalg.solve(root, pull) + noise)
        self._difference = self._scores[data.one] - self._scores[data.other]

    def _draw_bias(self, left: Doubles) -> None:
        """Exactly where no pair is alone; else such a draw is proposed."""
        variance = 1 / (len(left) + 1 / self.prior.bias_sd**2)
        mean = variance * (left * self.data.sign).sum()
        if not self.data.alone.pairs:
            self.bias = float(mean + math.sqrt(variance) * self.rng.normal())
            return

        def log_density(bias: float) -> float:
            return -((bias - mean) ** 2) / variance / 2 + self._alone(bias=bias)

        proposed = self.bias + STEP * self.rng.normal()
        gain = log_density(proposed) - log_density(self.bias)
        if math.log(self.rng.random() + CLOSE) < gain:
            self.bias = float(proposed)

    def _alone(
        self, spread: float | None = None, scale: float | None = None, bias: float | None = None
    ) -> float:
        """The likelihood of the pairs that are alone, with one of these in place of what it is."""
        return self.data.alone.log_likelihood(
            self._chosen_alone,
            self.spread if spread is None else spread,
            self.scale if scale is None else scale,
            self.bias if bias is None else bias,
        )

    def _metropolis(self, now: float, log_density: _Density) -> float:
        proposed = now * math.exp(STEP * self.rng.normal())
        gain = log_density(proposed) - log_density(now)
        return proposed if math.log(self.rng.random() + CLOSE) < gain else now

    def _of_spread(self, spread: float) -> float:
        squares = float((self._scores**2).sum())
        known = ((math.log(spread) - self.prior.spread) / self.prior.spread_sd) ** 2 / 2
        scores = -len(self._scores) * math.log(spread) - squares / 2 / spread**2
        return scores - known + self._alone(spread=spread)

    def _of_scale(self, scale: float) -> float:
        share = scale**2 / (1 + scale**2)
        ours, noise = self.prior.of_pair
        known = ours * math.log(share + CLOSE) + noise * math.log(1 - share + CLOSE)
        squares = float((self._of_pair**2).sum())
        of_pair = -len(self._of_pair) * math.log(scale) - squares / 2 / scale**2
        return of_pair + known + self._alone(scale=scale)

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


def _truncated(mean: Doubles, positive: npt.NDArray[np.bool_], rng: np.random.Generator) -> Doubles:
    """Normal numbers of that mean and variance 1, each on its side of 0."""
    below, drawn = ndtr(-mean), rng.random(len(mean))
    quantile = np.where(positive, below + drawn * (1 - below), drawn * below)
    return mean + ndtri(np.clip(quantile, CLOSE, 1 - CLOSE))
