"""Preferences as arrays, and what is counted of them. NumPy alone: no model is needed to count."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from volition.comparison import Floats, Observations, ObservedPair, reduced
from volition.errors import InputError
from volition.judgment import Judgment, Order, Preference, Verdict

Integers = npt.NDArray[np.int32]

UNKNOWN_JUDGE = ""
PAIRED = 4  # pairs in which a label is


class AnswerData(NamedTuple):
    """What judges said, as arrays: a row for each comparison, judge and order.

    Attributes:
        comparison: Which row of the comparisons it is about: (answers,).
        judge: Which of the judges said it: (answers,).
        sign: 1 where the comparison's first segment was shown first, -1 where its second was, 0
            where nobody knows: (answers,).
        p_first: Probability that the comparison's first segment is preferred: (answers,).
        weight: How many judgments: (answers,).
        principle: Under which of the principles: (answers,).
    """

    comparison: Integers
    judge: Integers
    sign: Floats
    p_first: Floats
    weight: Floats
    principle: Integers


class PreferenceData(NamedTuple):
    """Preferences as arrays, a row for each comparison.

    Attributes:
        observations: (rows, 2, T, obs_dim).
        p_first: (rows,).
        weight: (rows,).
        answers: The judgments behind them; None where neither judge nor order is known.
        judges: Their ids, those with most judgments first.
        principles: Under which the judgments were asked, likewise; None is the goal as it is.
    """

    observations: Floats
    p_first: Floats
    weight: Floats
    answers: AnswerData | None = None
    judges: tuple[str, ...] = (UNKNOWN_JUDGE,)
    principles: tuple[str | None, ...] = (None,)

    @classmethod
    def gather(
        cls, observed: Mapping[str, ObservedPair], preferences: Sequence[Preference]
    ) -> PreferenceData:
        """The arrays of `preferences`, in their order; `observed` is by comparison.

        Raises:
            InputError: There are none, or the segments differ in length.
        """
        if not preferences:
            raise InputError("there is no judgment with a verdict: there is nothing to learn from")
        pairs = [observed[preference.comparison_id] for preference in preferences]
        shapes = {segment.shape for pair in pairs for segment in pair}
        if len(shapes) > 1:
            raise InputError(f"the judged segments differ in shape: {sorted(shapes)}")
        answers, judges, principles = _gather_answers(preferences)
        seen = np.stack([np.stack(pair) for pair in pairs])
        return cls(
            reduced(seen) if seen.dtype == np.uint8 and seen.ndim == 6 else seen,
            np.array([preference.p_first for preference in preferences], np.float32),
            np.array([preference.weight for preference in preferences], np.float32),
            answers,
            judges,
            principles,
        )

    def answer_data(self) -> AnswerData:
        """The answers; where none are known, one of an unknown order for each comparison."""
        if self.answers is not None:
            return self.answers
        rows = len(self.p_first)
        return AnswerData(
            np.arange(rows, dtype=np.int32),
            np.zeros(rows, np.int32),
            np.zeros(rows, np.float32),
            self.p_first,
            self.weight,
            np.zeros(rows, np.int32),
        )

    def mirrored(self, negated: Sequence[Sequence[int]]) -> PreferenceData:
        """The preferences and a copy of them for each symmetry.

        Args:
            negated: Of each symmetry, the observation entries whose sign it changes.
        """
        answers, rows, copies = self.answer_data(), len(self.weight), 1 + len(negated)
        observations = [self.observations]
        for entries in negated:
            sign = np.ones(self.observations.shape[-1], np.float32)
            sign[list(entries)] = -1
            observations.append(self.observations * sign)
        shifted = np.concatenate([answers.comparison + rows * copy for copy in range(copies)])
        tiled: list[Any] = [np.tile(column, copies) for column in answers[1:]]
        return self._replace(
            observations=np.concatenate(observations),
            p_first=np.tile(self.p_first, copies),
            weight=np.tile(self.weight, copies),
            answers=AnswerData(shifted, *tiled),
        )

    def with_further(self, others: PreferenceData) -> PreferenceData:
        """These and others, of which nobody knows who said them in which order."""
        return PreferenceData(
            np.concatenate([self.observations, others.observations]),
            np.concatenate([self.p_first, others.p_first]),
            np.concatenate([self.weight, others.weight]),
        )

    def plain(self) -> PreferenceData:
        """The decided ones, without who said it, in which order, and under what."""
        rows = self.decided()
        return PreferenceData(self.observations[rows], self.p_first[rows], self.weight[rows])

    def decided(self) -> npt.NDArray[np.bool_]:
        """(rows,): where one side is preferred at all."""
        return self.p_first != 0.5

    def check_decided(self) -> None:
        """That there is something to learn.

        Raises:
            InputError: No comparison prefers one side.
        """
        if not self.decided().any():
            raise InputError(
                f"none of the {len(self.p_first)} comparisons prefers one side: the judgments are "
                "all ties, or contradict each other completely. There is nothing to learn from them"
            )


def _gather_answers(
    preferences: Sequence[Preference],
) -> tuple[AnswerData, tuple[str, ...], tuple[str | None, ...]]:
    signs = {Order.FORWARD: 1.0, Order.SWAPPED: -1.0}
    rows: list[tuple[int, str, str | None, float, float, float]] = []
    for row, preference in enumerate(preferences):
        rows += [
            (
                row,
                answer.judge_id,
                answer.principle,
                signs[answer.order],
                answer.p_first,
                answer.count,
            )
            for answer in preference.answers
        ]
        if not preference.answers:
            unknown = UNKNOWN_JUDGE, None, 0.0
            rows.append((row, *unknown, preference.p_first, preference.weight))
    judgments, asked_under = Counter[str](), Counter[str | None]()
    for _, judge_id, principle, _, _, count in rows:
        judgments[judge_id] += int(count)
        asked_under[principle] += int(count)
    judges = tuple(sorted(judgments, key=lambda judge_id: (-judgments[judge_id], judge_id)))
    principles = tuple(sorted(asked_under, key=lambda answer: (-asked_under[answer], answer or "")))
    sign, p_first, weight = np.array([row[3:] for row in rows], np.float32).T
    return (
        AnswerData(
            np.array([row for row, *_ in rows], np.int32),
            np.array([judges.index(judge_id) for _, judge_id, *_ in rows], np.int32),
            sign,
            p_first,
            weight,
            np.array([principles.index(principle) for _, _, principle, *_ in rows], np.int32),
        ),
        judges,
        principles,
    )


class Labels(NamedTuple):
    """What a judge said of single segments: whether a stage is done there, or a veto kept to.

    Attributes:
        observations: Of each segment that was asked about: (rows, T, obs_dim).
        done: Probability that it is so there: (rows,).
    """

    observations: Observations
    done: Floats

    @classmethod
    def of(cls, observed: Mapping[str, ObservedPair], judgments: Sequence[Judgment]) -> Labels:
        """Of these judgments: each is about the segment that was shown first."""
        told = [
            (observed[j.comparison_id][j.order is Order.SWAPPED], j.outcome.p_shown_first)
            for j in judgments
            if isinstance(j.outcome, Verdict) and j.outcome.p_shown_first != 0.5
        ]
        if not told:
            return cls(np.zeros((0, 1, 1), np.float32), np.zeros(0, np.float32))
        segments, done = zip(*told, strict=True)
        return cls(np.stack(segments), np.array(done, np.float32))

    @property
    def least(self) -> int:
        """How many say the rarer of the two."""
        return int(min((self.done > 0.5).sum(), (self.done < 0.5).sum()))

    def pairs(self, rng: np.random.Generator) -> PreferenceData:
        """What is so beside what is not, each label in about `PAIRED` of them."""
        is_done, count = self.done > 0.5, PAIRED * len(self.done)
        done, undone = (
            rng.permutation(np.resize(np.flatnonzero(is_done == which), count))
            for which in (True, False)
        )
        first = rng.random(count) < 0.5
        rows = np.where(first[:, None], np.stack([done, undone], 1), np.stack([undone, done], 1))
        sure = np.abs(self.done[done] - self.done[undone]).astype(np.float32)
        p_first = np.where(first, 0.5 + sure / 2, 0.5 - sure / 2).astype(np.float32)
        return PreferenceData(self.observations[rows], p_first, np.ones(count, np.float32))


class Proportion(NamedTuple):
    """A share of successes with its Wilson score interval at 95% (Wilson, 1927).

    `scipy.stats` has it, too, and takes half a second to import, for which every run would wait.
    """

    successes: int
    trials: int

    @property
    def share(self) -> float:
        return self.successes / self.trials if self.trials else float("nan")

    @property
    def interval(self) -> tuple[float, float]:
        if not self.trials:
            return (0.0, 1.0)
        return wilson(self.share, self.trials)


def wilson(share: float, n: float) -> tuple[float, float]:
    """Wilson's score interval at 95% of a share of `n` trials, which need not be a whole number."""
    if n == np.inf:
        return share, share
    z = 1.959964
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return (max(0.0, float(centre - half)), min(1.0, float(centre + half)))
