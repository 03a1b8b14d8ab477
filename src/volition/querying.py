"""Which comparisons to ask: coverage, without a policy; doubt, where a reward model has learned."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from volition.errors import InputError
from volition.run_folder import Querying
from volition.segment import Frame, Pixels, State

Floats = npt.NDArray[np.floating]
Proposals = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]  # pairs, the best first

VISIBLE = 48  # of 255: a pixel that differs by less in every colour looks the same
CHANGED = 0.002  # of a frame's pixels must look different, or a judge could only guess
WAITING = 8  # states without a partner, before further ones that look the same are passed over
DRAWN_PER_PAIR = 20  # states drawn in search of one pair, before the search is given up
SAME = 1e-3  # logits: what no member tells apart differs in nothing that a reward model is given
CONSIDERED = 16  # random pairs, of which the one that tells most is asked
PEAKS = 0.15  # of the questions are checks of the states with the highest reward, which are
HIGHEST = 0.02  # of all the states
TRIES_PER_PAIR = 3  # before it is accepted that states look the same
DECIMALS = 6  # of a state's values, so that a file of states says exactly what was drawn

Look = Callable[[State], Frame]
Shown = TypeVar("Shown")


class BoundedScene(Protocol):
    """What is needed of a scene to cover it."""

    def draw(self, state: State) -> Pixels:
        """uint8 (height, width, 3)."""
        ...

    @property
    def ranges(self) -> Mapping[str, tuple[float, float]] | None:
        """Lowest and highest value of every field, in the order of the fields, if it has them."""
        ...


def coverage_pairs(
    scene: BoundedScene, count: int, rng: np.random.Generator, look: Look | None = None
) -> list[tuple[State, State]]:
    """Pairs of states that cover the scene's ranges evenly, each seen to differ.

    Args:
        scene: The environment.
        count: How many pairs.
        rng: Of the states, and of who meets whom on which side.
        look: What the judge sees of a state; by default the whole drawing.

    Raises:
        InputError: Hardly any two states can be told apart by what the judge sees.
    """
    seen: Look = look or (lambda state: Frame(scene.draw(state)))
    return distinct_pairs(_covering(scene, 2 * count, rng), count, lambda state: (seen(state),))


def distinct_pairs(
    shown: Iterable[Shown], count: int, look: Callable[[Shown], Sequence[Frame]]
) -> list[tuple[Shown, Shown]]:
    """Pairs of states or clips, in their order, that look different to the judge.

    Args:
        shown: What may be compared.
        count: How many pairs.
        look: The frames in which a judge sees it.

    Raises:
        InputError: There are not enough.
    """
    pairs: list[tuple[Shown, Shown]] = []
    waiting: list[tuple[Shown, Sequence[Frame]]] = []
    for each in islice(shown, DRAWN_PER_PAIR * count):
        frames = look(each)
        for place, (other, other_frames) in enumerate(waiting):
            if look_different(other_frames, frames):
                pairs.append((other, each))
                del waiting[place]
                break
        else:
            waiting = [*waiting, (each, frames)][:WAITING]
        if len(pairs) == count:
            return pairs
    raise InputError(
        f"only {len(pairs)} of {count} pairs look different to the judge: the judge's view may "
        "crop away what moves, or reduce it too far; see [view] in task.toml"
    )


def chosen_pairs(
    values: Floats, reward: Floats, count: int, rng: np.random.Generator,
    worth: Callable[[int, int], bool], querying: Querying = "information",
    peaks: float = PEAKS,
) -> list[tuple[int, int]]:  # fmt: skip
    """Pairs of states to ask about next, no state in two of them.

    A share of them are checks of the states with the highest reward, each against one of the better
    half: where a policy exploits an error of the reward model, this is where it shows. The others
    are those that tell most, by `querying`.

    Args:
        values: What each member says of each state, in logits: (members, states).
        reward: What a learner gets for each state: (states,).
        count: How many pairs; fewer come back where no more are worth asking.
        rng: Of the pairs that are considered.
        worth: Whether the states at two places may be asked about. Called for few pairs only.
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
        told = MEASURES[querying](values[:, one] - values[:, other])
        best_first = np.argsort(-told, kind="stable")
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


def look_different(one: Sequence[Frame], other: Sequence[Frame]) -> bool:
    """Whether a judge can tell two segments apart by any frame of them, one of each at a time."""
    return any(distinguishable(*pair) for pair in zip(one, other, strict=True))


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


def distinguishable(one: Frame, other: Frame) -> bool:
    """Whether enough of two frames of one size looks different for a judge to tell them apart."""
    difference = np.abs(one.pixels.astype(np.int16) - other.pixels)
    return bool((difference.max(2) >= VISIBLE).mean() >= CHANGED)


def _covering(scene: BoundedScene, batch: int, rng: np.random.Generator) -> Iterator[State]:
    """States without end, in shuffled batches that each cover the ranges evenly.

    The additive recurrence of Martin Roberts (2018, "The unreasonable effectiveness of
    quasirandom sequences"), shifted at random. It is shuffled because its neighbours differ by
    one and the same step, and so would the states of a pair.
    """
    if scene.ranges is None:
        raise ValueError("a scene without ranges cannot be covered by them: explore it")
    low, high = np.array(list(scene.ranges.values())).T
    step = _step(len(low))
    start = rng.random(len(low))
    drawn = 0
    while True:
        numbers = drawn + rng.permutation(batch)
        drawn += batch
        for point in (start + numbers[:, None] * step) % 1.0:
            values = np.round(low + point * (high - low), DECIMALS)
            yield dict(zip(scene.ranges, values.tolist(), strict=True))


def _step(dimensions: int) -> Floats:
    """Powers of 1 / g, where g > 1 solves g ** (dimensions + 1) = g + 1."""
    g = 2.0
    for _ in range(64):
        g = (1 + g) ** (1 / (dimensions + 1))
    return g ** -np.arange(1.0, dimensions + 1)


def _entropy(p: Floats) -> Floats:
    return -(p * np.log(p) + (1 - p) * np.log1p(-p))
