"""Checks of what is rewarded most: where a policy exploits an error of a reward model, it shows."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from volition.comparison import Comparison, Floats, Shown, shown_together
from volition.questions.candidates import Candidates
from volition.questions.choosing import CONSIDERED, HIGHEST, SAME, TRIES_PER_PAIR
from volition.questions.distinct import look_different

Places = npt.NDArray[np.int64]


def _pools(rewards: Sequence[Floats]) -> list[tuple[Places, int, Places]]:
    """What is drawn together, in turn: of the first what is rewarded most, or its better half; and
    which of the others, of which all, or the quarter that is rewarded least."""
    latest, *others = (np.argsort(-reward, kind="stable") for reward in rewards)
    highest = latest[: max(1, round(HIGHEST * len(latest)))]
    better = latest[: max(1, len(latest) // 2)]
    pools = []
    for turn, other in enumerate(others):
        least = other[-max(1, len(other) // 4) :]
        pools += [(highest, turn, other), (better, turn, least)]
    return pools


def check_comparisons(
    latest: Candidates,
    beside: Sequence[Candidates],
    opinions: Callable[[npt.NDArray[Any]], tuple[Floats, Floats]],
    goal_id: str,
    shown_before: Container[Shown],
    count: int,
    rng: np.random.Generator,
) -> list[tuple[Comparison, float]]:
    """What is rewarded most, or well, of what the policy does now, each beside something else.

    Both, since an error may show in what is typical and not in the best moments. Of a few pairs
    that one is taken whose outcome is foretold most surely: there an answer says most.

    Args:
        latest: What the policy does now.
        beside: With what that is compared, each as often as the others.
        opinions: As of `chosen_comparisons`.
        goal_id: Under which goal.
        shown_before: Pictures that are not to be shown together again.
        count: How many; fewer come back where no more look different.
        rng: Of the pairs that are considered.

    Returns:
        Comparisons, each with the logit that its first is preferred.
    """
    others = [some for some in beside if len(some.observations)]
    if not len(latest.observations) or not others:
        return []
    said = [opinions(some.observations) for some in (latest, *others)]
    of_all = [values.mean(0) for values, _ in said]
    pools = _pools([reward for _, reward in said])
    found, start = dict[Shown, tuple[Comparison, float]](), int(rng.integers(len(pools)))
    for number in range(start, start + TRIES_PER_PAIR * count):
        if len(found) >= count:
            break
        pool, turn, among = pools[number % len(pools)]
        tops, places = (rng.choice(some, CONSIDERED) for some in (pool, among))
        gaps = of_all[0][tops] - of_all[1 + turn][places]
        for nth in np.argsort(-np.abs(gaps), kind="stable").tolist():
            if abs(gaps[nth]) < SAME:
                continue
            top = latest.segment(int(tops[nth]))
            other = others[turn].segment(int(places[nth]))
            pictures = shown_together(top.frames, other.frames)
            if pictures in found or pictures in shown_before:
                continue
            if not look_different(top.frames, other.frames):
                continue
            comparison = Comparison.between(goal_id, top, other)
            sign = 1.0 if comparison.first == top else -1.0
            found[pictures] = comparison, sign * float(gaps[nth])
            break
    return [*found.values()]
