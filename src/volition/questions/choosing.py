"""Which comparisons to ask: coverage, without a policy; doubt, where a reward model has learned."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from volition.comparison import Floats
from volition.questions import Querying

Proposals = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]  # pairs, the best first

SAME = 1e-3  # logits: what no member tells apart differs in nothing that a reward model is given
CONSIDERED = 16  # random pairs, of which the one that tells most is asked
PEAKS = 0.15  # of the questions are checks of the states with the highest reward, which are
HIGHEST = 0.02  # of all the states
TRIES_PER_PAIR = 3  # before it is accepted that states look the same


def chosen_pairs(
    values: Floats,
    reward: Floats,
    count: int,
    rng: np.random.Generator,
    worth: Callable[[int, int], bool],
    querying: Querying = "information",
    peaks: float = PEAKS,
) -> list[tuple[int, int]]:
    """Pairs of states to ask about next, no state in two of them.

    A share of them are checks of the states with the highest reward, each against one of the better
    half: where a policy exploits an error of the reward model, this is where it shows. The others
    are those that tell most, by `querying`.

    Args:
        values: What each member says of each state, in logits: (members, states).
        reward: What a learner gets for each state: (states,).
        count: How many pairs; fewer come back where no more are worth asking.
        rng: Of the pairs that are considered.
        worth: Whether the states at two places may be asked about. Called for few pairs only, and
            where it says so, they are.
        querying: `information` (BALD), `disagreement` of the members, or `uniform`.
        peaks: The share spent on the states with the highest reward.
    """
    by_reward = np.argsort(-reward, kind="stable")
    highest = by_reward[: max(1, round(HIGHEST * len(reward)))]
    better = by_reward[: max(2, len(reward) // 2)]

    def checks() -> Proposals:
        return rng.choice(highest, CONSIDERED), rng.choice(better, CONSIDERED)

    def telling() -> Proposals:
        one, other = rng.integers(len(reward), size=(2, CONSIDERED))
        gain = MEASURES[querying](values[:, one] - values[:, other])
        best_first = np.argsort(-gain, kind="stable")
        return one[best_first], other[best_first]

    pairs: list[tuple[int, int]] = []
    used: set[int] = set()
    for propose, wanted in ((checks, round(peaks * count)), (telling, count)):
        for _ in range(TRIES_PER_PAIR * count):
            if len(pairs) >= wanted:
                break
            for one, other in zip(*(places.tolist() for places in propose()), strict=True):
                differ = np.abs(values[:, one] - values[:, other]).max() >= SAME
                if differ and used.isdisjoint((one, other)) and worth(one, other):
                    pairs.append((one, other))
                    used.update((one, other))
                    break
    return pairs


def information(logits: Floats) -> Floats:
    """BALD in nats, (pairs,), of what each member says in logits of the first: (members, pairs)."""
    # Beyond 30 nothing changes, and float64 still tells 1 - p from 0.
    p_first = 1 / (1 + np.exp(-np.clip(logits.astype(np.float64), -30, 30)))
    return _entropy(p_first.mean(0)) - _entropy(p_first).mean(0)


def disagreement(logits: Floats) -> Floats:
    """Variance over the members of P(first preferred), (pairs,): (members, pairs) in logits."""
    return (1 / (1 + np.exp(-np.clip(logits.astype(np.float64), -30, 30)))).var(0)


def _nothing(logits: Floats) -> Floats:
    return np.zeros(logits.shape[1])


MEASURES: Mapping[Querying, Callable[[Floats], Floats]] = {
    "information": information,
    "disagreement": disagreement,
    "uniform": _nothing,
}


def _entropy(p: Floats) -> Floats:
    return -(p * np.log(p) + (1 - p) * np.log1p(-p))
