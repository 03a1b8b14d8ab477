"""What a policy does now beside what else there is: a new sentence may prefer any of it.

Where a policy has learned, what it does is nearly the same everywhere, and what its reward model is
unsure of is what hardly differs. The goal before says little of what a new sentence prefers, so
these pairs do not ask where that model is unsure: one half shows what the policy does now beside
something else, the other half shows something else on both sides.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from volition.comparison import Floats, Segment, Shown, shown_together
from volition.judging.folders import Pair
from volition.questions.covering import covering_pairs
from volition.questions.distinct import look_different
from volition.reward.model import RewardModel, opinions
from volition.run.folder import RunFolder
from volition.run.rounds import candidates_of

OTHERS = 4  # for each pair: half of them are shown, and more where some look the same


def contrasting_pairs(run: RunFolder, count: int, seed: int) -> list[Pair]:
    """Pairs of what the policy does now and of what else the environment can show.

    Of what else there is, what the reward model takes for better comes more often, since most
    corrections keep most of a goal.

    Args:
        run: Which has learned.
        count: How many; fewer come back where no more look different to a judge.
        seed: Of what is shown, and of the sides.
    """
    rng = np.random.default_rng([seed, count])
    task = run.task
    others = [
        segment
        for pair in covering_pairs(task.environment, task.view, OTHERS * count // 2, seed)
        for segment in pair
    ]
    reward = opinions(
        RewardModel.load(run.reward_model), np.stack([s.observations for s in others])
    )[1]
    now = candidates_of(run, count, rng)
    places = rng.permutation(len(now.observations))
    with run.open_store() as store:
        shown = set(store.shown())
    return _pairs(
        (now.segment(int(place)) for place in places),
        [others[place] for place in _better_first(reward, rng)],
        shown,
        count,
        rng,
    )


def _better_first(reward: Floats, rng: np.random.Generator) -> list[int]:
    """All places in an order by chance in which a better one tends to come earlier."""
    rank = np.argsort(np.argsort(reward)) + 1.0
    return [int(place) for place in np.argsort(-(rng.random(len(rank)) ** (1 / rank)))]


def _pairs(
    now: Iterator[Segment],
    others: Sequence[Segment],
    shown: set[Shown],
    count: int,
    rng: np.random.Generator,
) -> list[Pair]:
    """The pairs, on sides by chance, none that was shown or looks the same."""
    pairs: list[Pair] = []
    remaining = iter(others)
    for one in remaining:
        if len(pairs) == count:
            break
        other = next(now if len(pairs) % 2 == 0 else remaining, None)
        if other is None:
            other = next(remaining, None)
        if other is None:
            break
        pictures = shown_together(one.frames, other.frames)
        if pictures in shown or not look_different(one.frames, other.frames):
            continue
        shown.add(pictures)
        pairs.append((one, other) if rng.random() < 0.5 else (other, one))
    return pairs
