"""Which questions a judge is certified by: a few states, each of which meets several others.

Disjoint pairs show whether a judge contradicts itself, and not whether its answers fit together.
So all questions are about `STATES` states: `BOTH_WAYS` pairs of them are put in both orders, of
which `REPEATED` once more, and `ONCE` other pairs once, in an order that is dealt. Of a judge that
is still in doubt then, `MORE` pairs are asked once whose answers say most.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from volition.certifying.answers import Answer
from volition.certifying.grading import MOSTLY, count
from volition.certifying.ranking import most_telling
from volition.comparison import Comparison, Segment
from volition.errors import InputError
from volition.judges.base import Question
from volition.questions.covering import covering_pairs
from volition.questions.distinct import look_different
from volition.tasks.task import Task

STATES, BOTH_WAYS, ONCE, REPEATED, MORE = 28, 60, 120, 20, 58
SETTLED = 0.9  # of the pairs in both orders are consistent, from which on nobody is in doubt
FEWEST = 20  # pairs in both orders, of an environment that hardly shows anything


@dataclass(frozen=True, slots=True)
class Design:
    """Pairs by how they are put.

    Attributes:
        both_ways: In both orders; the first `REPEATED` of them twice in one.
        once: In an order that is dealt.
        others: That are not put to begin with.
    """

    both_ways: tuple[Comparison, ...]
    once: tuple[Comparison, ...]
    others: tuple[Comparison, ...] = ()

    @property
    def repeated(self) -> tuple[Comparison, ...]:
        return self.both_ways[:REPEATED]


def states_of(task: Task, seed: int) -> list[Segment]:
    """States, or clips, that cover what the environment can show; no two show the same pictures.

    Raises:
        EnvironmentUnsupported: The environment fails.
        InputError: Hardly any two can be told apart by what the judge sees.
    """
    pairs = covering_pairs(task.environment, task.view, STATES // 2, seed)
    segments = [segment for pair in pairs for segment in pair]
    return list({tuple(frame.id for frame in s.frames): s for s in segments}.values())


def design(segments: Sequence[Segment], goal_id: str, seed: int) -> Design:
    """Pairs of these that look different, each segment in about as many as any other.

    Raises:
        InputError: There are too few.
    """
    rng = np.random.default_rng([seed, 24])
    chosen: list[Comparison] = []
    left = list(combinations(range(len(segments)), 2))
    met = np.zeros(len(segments))
    rng.shuffle(left)
    while left:
        # The next is one whose two were met least, so that every part of the list is even.
        place = min(range(len(left)), key=lambda at: met[left[at][0]] + met[left[at][1]])
        one, other = left.pop(place)
        if look_different(segments[one].frames, segments[other].frames):
            met[[one, other]] += 1
            chosen.append(Comparison.between(goal_id, segments[one], segments[other]))
    if len(chosen) < FEWEST:
        raise InputError(
            f"only {len(chosen)} pairs of {len(segments)} states look different to a judge, and "
            f"certifying takes {FEWEST}: see [view] in task.toml"
        )
    first = BOTH_WAYS + ONCE
    return Design(tuple(chosen[:BOTH_WAYS]), tuple(chosen[BOTH_WAYS:first]), tuple(chosen[first:]))


def more(design: Design, answers: Sequence[Answer], seed: int) -> list[Question]:
    """What else to ask a judge that gave these answers to what was put to begin with; nothing where
    it is plain what it is: hardly contradicts itself, or goes by position, or does not choose.

    Args:
        design: What was put.
        answers: To it, nearly all of them. Those under a principle are to states of their own, and
            nothing more is asked under it.
        seed: Of the draws.
    """
    counted = count(answers)
    settled = counted.consistent.share >= SETTLED or counted.by_place.share >= MOSTLY
    if settled or 2 * counted.ties.successes > counted.ties.trials:
        return []
    pairs = [(c.first.id, c.second.id) for c in design.others]
    chosen = most_telling(answers, pairs, MORE, seed)
    return [Question(design.others[at], order) for at, order in chosen]
