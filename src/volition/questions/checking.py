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

CLEAR = 1.0  # logits: pairs whose outcome is foretold less surely say little of a reward model


def check_comparisons(
    latest: Candidates,
    beside: Sequence[Candidates],
    opinions: Callable[[npt.NDArray[Any]], tuple[Floats, Floats]],
    goal_id: str,
    shown_before: Container[Shown],
    count: int,
    rng: np.random.Generator,
) -> list[tuple[Comparison, float]]:
    """What is rewarded most of what the policy does now, each beside something else.

    Of a few pairs the first is taken whose outcome is foretold clearly, if there is one.

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
    values, reward = opinions(latest.observations)
    highest = np.argsort(-reward, kind="stable")[: max(1, round(HIGHEST * len(reward)))]
    of_others = [opinions(some.observations)[0].mean(0) for some in others]
    of_latest, found = values.mean(0), dict[Shown, tuple[Comparison, float]]()
    for number in range(TRIES_PER_PAIR * count):
        if len(found) >= count:
            break
        turn = number % len(others)
        tops = rng.choice(highest, CONSIDERED)
        places = rng.integers(len(of_others[turn]), size=CONSIDERED)
        gaps = of_latest[tops] - of_others[turn][places]
        for nth in np.argsort(np.abs(gaps) < CLEAR, kind="stable").tolist():
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
