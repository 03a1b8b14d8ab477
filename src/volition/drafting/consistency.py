"""What answers under each principle alone say of the principles. Values and counts, no I/O.

A few pairs are judged by every principle, and nothing else. Two that choose alike everywhere may be
one; two that choose the opposite cannot both be kept; and one that decides nothing is about what no
picture here shows, or what nothing here can violate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from volition.comparison import Floats
from volition.goal import Principle

TIED = 0.15  # a probability that is no farther from one half decides nothing
DECIDED_BY_BOTH = 8  # pairs at least, before two are said to agree or not
ALIKE = 11 / 12  # of them: by chance alone three times in a thousand, either way
UNSEEN = 0.75  # of the pairs are ties


@dataclass(frozen=True, slots=True)
class CheckedSentence:
    """A principle or a veto, judged alone.

    Attributes:
        decided: Pairs of which one was better.
        ties: Pairs of which none was.
        unanswered: Pairs without a verdict.
        findings: What a person should look at, in words.
    """

    text: str
    veto: bool
    decided: int
    ties: int
    unanswered: int
    findings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Agreement:
    """How often two sentences, by their places from 0, choose the same of a pair.

    Attributes:
        same: Pairs of which both choose the same.
        of: Pairs that both decide.
    """

    one: int
    other: int
    same: int
    of: int


@dataclass(frozen=True, slots=True)
class Check:
    """What was seen of a draft's principles before anything was paid for on them.

    Attributes:
        judge: Who compared.
        simulated: Whether that is an error model in place of a judge.
        pairs: How many, each under every sentence.
        cost_usd: US dollars.
    """

    judge: str
    simulated: bool
    pairs: int
    cost_usd: float
    sentences: tuple[CheckedSentence, ...]
    agreements: tuple[Agreement, ...]

    @property
    def ties_share(self) -> float:
        """Of all that was answered, the share that decides nothing."""
        ties = sum(sentence.ties for sentence in self.sentences)
        return ties / max(1, ties + sum(sentence.decided for sentence in self.sentences))


def examine(
    sentences: Sequence[Principle], p_first: Floats, p_shown: Floats
) -> tuple[tuple[CheckedSentence, ...], tuple[Agreement, ...]]:
    """What the answers say of each sentence, and of every two.

    Args:
        sentences: As they were judged by.
        p_first: Probability that a pair's first is better, (sentences, pairs); NaN where nobody
            said.
        p_shown: Likewise that the one is better which was shown first.
    """
    answered = ~np.isnan(p_first)
    decided = answered & (np.abs(np.nan_to_num(p_first, nan=0.5) - 0.5) > TIED)
    chosen = np.nan_to_num(p_first, nan=0.5) > 0.5
    agreements = []
    for one, other in combinations(range(len(sentences)), 2):
        both = decided[one] & decided[other]
        same = int((chosen[one] == chosen[other])[both].sum())
        agreements.append(Agreement(one, other, same, int(both.sum())))
    checked = tuple(
        CheckedSentence(
            sentence.text,
            sentence.veto,
            int(decided[place].sum()),
            int((answered & ~decided)[place].sum()),
            int((~answered)[place].sum()),
            (
                *_of_itself(answered[place], decided[place], p_shown[place]),
                *_of_others(place, sentences, agreements),
            ),
        )
        for place, sentence in enumerate(sentences)
    )
    return checked, tuple(agreements)


def _of_itself(answered: Floats, decided: Floats, p_shown: Floats) -> list[str]:
    count, told = int(answered.sum()), int(decided.sum())
    if not count:
        return ["nobody has judged by it yet"]
    if count - told >= UNSEEN * count:
        return [
            "cannot be seen in these pictures, or nothing in them violates it: "
            f"{count - told} of {count} pairs decide nothing"
        ]
    by_order = int((p_shown[decided > 0] > 0.5).sum())
    for side, times in (("first", by_order), ("second", told - by_order)):
        if told >= DECIDED_BY_BOTH and times >= ALIKE * told:
            return [
                "cannot be seen in these pictures, as it seems: of "
                f"{times} of {told} pairs the one was chosen that was shown {side}"
            ]
    return []


def _of_others(
    place: int, sentences: Sequence[Principle], agreements: Sequence[Agreement]
) -> list[str]:
    findings = []
    for agreement in agreements:
        if place not in (agreement.one, agreement.other) or agreement.of < DECIDED_BY_BOTH:
            continue
        other = agreement.other if agreement.one == place else agreement.one
        words, apart = f"“{sentences[other].text}”", agreement.of - agreement.same
        if agreement.same >= ALIKE * agreement.of:
            findings.append(f"says the same as {words} of {agreement.same} of {agreement.of} pairs")
        elif apart >= ALIKE * agreement.of:
            findings.append(f"contradicts {words} in {apart} of {agreement.of} pairs")
    return findings
