"""How often a judge is right, from its answers alone.

Nobody says which answer is right; but answers about the same states must go together. The answer
to a pair (i, j) is "the one shown first" where

    s_i - s_j + f_ij + beta o + e > 0,

s being how good the judge finds each state, f what it sees in that very pair and no other, beta its
bias to what is shown first (o = 1, or -1 where j was), and e noise of variance 1 that is drawn anew
for each order. What contradicts itself when it is put the other way round is e or beta; what is
the same both ways round and fits no ranking is f. And a share of the answers is given without
looking, however far apart the two are: contradictions between the best and the worst states show
it. All are inferred together (`sampling`).

A judge that errs consistently, whose eye is warped, cannot be found out so: it ranks the states
well, and otherwise than is meant. How much that is likely to be is taken from what was measured of
real judges (`PRIOR`, decision 0022), and only labels can say more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from volition.certifying.answers import Answer, by_pair
from volition.certifying.counting import Doubles, Estimate, entropy
from volition.certifying.sampling import CLOSE, Data, Draws, Prior, sample
from volition.judgment import Order

MOST_STATES = 160  # that are ranked at once; what is beyond is taken pair by pair
FEW_STATES, DRAWN_STATES = 8, 160  # of fewer others are drawn, as they are spread
DRAWN_PAIRS = 400  # of states, over which one draw is right or wrong
LEAST_WARP, MOST_WARP = 0.08, 0.6
EVENLY = 4.0  # times less than chance that what states happen to be taken matters
PRIOR = Prior()


@dataclass(frozen=True, slots=True)
class Ranking:
    """What answers say of a judge.

    Attributes:
        accuracy: Share of its answers that are right, as they come, each pair put once in an order
            that is dealt.
        bias_free: Likewise of what it chooses in both orders alike, where each pair is put in both.
        bits: What an answer says of which one is better, where the order is known: with a bias to
            one side less, and less evenly.
        bias: To what is shown first, in standard deviations of its noise.
    """

    accuracy: Estimate
    bias_free: Estimate
    bits: Estimate
    bias: Estimate


def rank(answers: Sequence[Answer], seed: int = 0, prior: Prior = PRIOR) -> Ranking:
    """What the answers say of the judge.

    Args:
        answers: At least one. A probability counts as the choice that it is nearer to, since it
            is that which is right or wrong; how sure judges say they are differs without end.
        seed: Of the draws.
        prior: What is known before.
    """
    rng = np.random.default_rng(seed)
    draws = sample(_arrays(answers)[0], rng, prior)
    right, both, bits = _would_be_right(draws, rng, prior)
    return Ranking(*(Estimate.of_draws(drawn) for drawn in (right, both, bits, draws.bias)))


def most_telling(
    answers: Sequence[Answer], pairs: Sequence[tuple[str, str]], count: int, seed: int = 0
) -> list[tuple[int, Order]]:
    """The questions whose answers would say most of how much the judge sees: of the largest Fisher
    information about the logarithm of its spread, in the mean over what it may be like. Of a judge
    that sees little they are about states far apart, the worse one on the side that it leans to.

    Args:
        answers: That are known.
        pairs: First and second state of each pair that may be put.
        count: How many are wanted at most.
        seed: Of the draws.

    Returns:
        The pairs' places and the order of each, the most telling first.
    """
    rng = np.random.default_rng(seed)
    data, places = _arrays(answers)
    draws = sample(data, rng, PRIOR)
    known = [at for at, two in enumerate(pairs) if all(name in places for name in two)]
    ends = [[places[name] for name in pairs[at]] for at in known]
    one, other = np.array(ends, np.intp).reshape(-1, 2).T
    noise, blind = np.sqrt(1 + draws.scale**2)[:, None], draws.lapses[:, None]
    apart = (draws.scores[:, one] - draws.scores[:, other]) / noise
    told = []
    for sign in (1, -1):
        mean = apart + sign * draws.bias[:, None] / noise
        first = blind / 2 + (1 - blind) * ndtr(mean)
        slope = (1 - blind) * apart * np.exp(-(mean**2) / 2)
        told.append((slope**2 / (first * (1 - first) + CLOSE)).mean(0))
    best = np.argsort(-np.maximum(*told), kind="stable")[:count]
    return [
        (known[at], Order.FORWARD if told[0][at] >= told[1][at] else Order.SWAPPED) for at in best
    ]


def _arrays(answers: Sequence[Answer]) -> tuple[Data, dict[str, int]]:
    """The answers as arrays, and where each state is in them."""
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
    by_itself = [pair for pair in sides if pair not in set(linked)]
    # One answer to such a pair says nothing but to which side it leans.
    by_itself = [p for p in by_itself if len({a.order for a in grouped[p]}) > 1] or by_itself
    places: dict[str, int] = {}
    ends = [[places.setdefault(name, len(places)) for name in sides[pair]] for pair in linked]
    numbers = {pair: place for place, pair in enumerate([*linked, *by_itself])}
    ours = sorted((a for a in answers if a.pair in numbers), key=lambda a: numbers[a.pair])
    data = Data(
        np.array([numbers[a.pair] for a in ours], np.intp),
        np.array([a.sign for a in ours], np.float64),
        np.array([float(np.sign(a.p_first - 0.5) + 1) / 2 for a in ours], np.float64),
        np.array([*ends, *[[0, 0]] * len(by_itself)], np.intp).reshape(-1, 2),
        np.arange(len(numbers)) >= len(linked),
        len(places),
    )
    return data, places


def _would_be_right(
    draws: Draws, rng: np.random.Generator, prior: Prior
) -> tuple[Doubles, Doubles, Doubles]:
    """Of such a judge: its accuracy, that without its bias, and the bits of an answer: (draws,)."""
    scores = draws.scores
    if scores.shape[1] < FEW_STATES:
        scores = draws.spread[:, None] * rng.normal(size=(len(draws.spread), DRAWN_STATES))
    meant = _meant(scores, draws.spread, rng, prior)
    one, other = rng.integers(scores.shape[1], size=(2, DRAWN_PAIRS))
    one, other = one[one != other], other[one != other]
    better = meant[:, one] > meant[:, other]
    apart = scores[:, one] - scores[:, other]
    apart += draws.scale[:, None] * rng.normal(size=apart.shape)
    blind = draws.lapses[:, None]
    shown_first, shown_second = (
        blind / 2 + (1 - blind) * ndtr(apart + leaning * draws.bias[:, None]) for leaning in (1, -1)
    )
    ahead = np.where(better, shown_first, 1 - shown_first)  # right, the one being shown first
    behind = np.where(better, shown_second, 1 - shown_second)
    # The states are some of many that might have been taken (Bayesian bootstrap: Rubin, 1981); they
    # cover what there is, so that they vary less than if they were drawn.
    counts = rng.gamma(EVENLY, size=scores.shape)
    weights = counts[:, one] * counts[:, other]
    weights /= weights.sum(1, keepdims=True)

    def mean(of_pairs: Doubles) -> Doubles:
        return np.asarray((weights * of_pairs).sum(1))

    agrees = mean(ahead * behind)  # in both orders, and is right
    settled = agrees + mean((1 - ahead) * (1 - behind))
    # What is said for the one shown first, where it is better, and where it is worse.
    hits, false = mean(ahead), mean(1 - behind)
    bits = entropy((hits + false) / 2) - (entropy(hits) + entropy(false)) / 2
    return mean(ahead + behind) / 2, agrees / settled, np.maximum(0.0, bits)


def _meant(scores: Doubles, spread: Doubles, rng: np.random.Generator, prior: Prior) -> Doubles:
    """How good the states are, of which the judge's eye makes these scores: (draws, states)."""
    warp = np.clip(prior.warp - prior.warp_falls * np.log(spread), LEAST_WARP, MOST_WARP)
    warp = warp * np.exp(prior.warp_sd * rng.normal(size=warp.shape) - prior.warp_sd**2 / 2)
    seen = (1 / np.sqrt(1 + warp**2))[:, None]
    drawn = np.sqrt(1 - seen**2) * rng.normal(size=scores.shape)
    return seen * scores / (scores.std(1, keepdims=True) + CLOSE) + drawn
