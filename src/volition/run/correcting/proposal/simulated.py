"""A simulated writer, for counting alone: it knows sentences, and what is true under each.

It chooses as somebody would who wants the shortest sentence that explains what was overruled: the
most probable one, where every sentence of as many ideas is as probable as another beforehand. A
sentence explains a pair the better the more plainly it prefers what the person preferred, and the
less it says against what they let stand (Bayes; the minimum description length of Rissanen, 1978).
It never meets the sentence that was planted.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Sequence

from volition.comparison import Segment
from volition.errors import InputError
from volition.goal import Change
from volition.tasks.truth import Rule, truth_of

WRITER = "simulated writer"
PLAIN = 10.0  # logits that one side of a pair is the better by, at most
HARDLY = 0.3  # of a sentence's whole range: by less hardly anybody overrules
SLIPS = 0.1  # of what a person says they say by chance
AN_IDEA = math.log(4)  # how much less probable one more idea is
EXPLAINED = 2 / 3  # of the pairs at least, or nothing is proposed

Preferred = Sequence[tuple[Segment, Segment]]
"""Pairs, the preferred one first."""


def write_simulated(
    overruled: Preferred, stood: Preferred, truth: str, said: Collection[str] = ()
) -> Change:
    """The shortest sentence of its vocabulary that explains what was overruled.

    Args:
        overruled: What the person preferred in each pair, and what they did not.
        stood: What was preferred in the pairs of which they let the verdict stand, and what not.
        truth: The name of what is true of the goal.
        said: What the goal says already.

    Raises:
        InputError: It knows no sentence of that environment, or none that explains them.
    """
    rules = [rule for rule in truth_of(truth).rules.values() if rule.text not in said]
    if not rules:
        raise InputError(
            "the simulated writer knows no sentence of this environment: let somebody write, by "
            "--propose FOLDER"
        )
    alike = Counter(rule.ideas for rule in rules)
    differences = [_differences(rule, overruled) for rule in rules]
    against = [[min(by, 0.0) + HARDLY for by in _differences(rule, stood)] for rule in rules]

    def probable(place: int) -> float:
        rule = rules[place]
        beforehand = -math.log(alike[rule.ideas]) - AN_IDEA * rule.ideas
        surprises = (_surprise(PLAIN * by) for by in (*differences[place], *against[place]))
        return beforehand - sum(surprises)

    best = max(range(len(rules)), key=probable)
    explained = sum(by > 0 for by in differences[best])
    if explained < EXPLAINED * len(overruled):
        raise InputError(
            f"the simulated writer knows no sentence that explains them: the best explains "
            f"{explained} of {len(overruled)}"
        )
    return Change("veto" if rules[best].veto else "principle", rules[best].text)


def _differences(rule: Rule, pairs: Preferred) -> list[float]:
    return [rule.value(better) - rule.value(worse) for better, worse in pairs]


def _surprise(logit: float) -> float:
    """Minus the logarithm of how probable the person's choice is, who may slip."""
    return -math.log((1 - SLIPS) / (1 + math.exp(-logit)) + SLIPS / 2)
