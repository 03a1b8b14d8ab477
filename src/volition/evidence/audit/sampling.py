"""Which answers of a judge people look at: a stratified sample, drawn once and kept.

Answers are dealt into strata by three questions that are answered before anybody looks: is the
judge sure, does the reward model say the same, is what was shown unlike the rest? Where mistakes
are likelier more is drawn, near to what Neyman's allocation (1934) would draw if mistakes were as
frequent as guessed; whatever the guess, the estimate is corrected for it.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from volition.comparison import Floats, ObservedPair
from volition.errors import InputError
from volition.reward.model import RewardModel, opinions
from volition.run.folder import RunFolder
from volition.storage.documents import read_document, write_document

SURE = 0.9  # probability of the side that is preferred
UNLIKE = 0.75  # share of the pairs that are not among the unlike ones
LEAST = 3  # of a stratum, where there are as many
REFERENCES = 512  # states to which others are compared
NEAREST = 3  # of them, whose distance says how unlike others a state is
TOGETHER = 4096  # states that are compared at a time
# How often a judge may err in a stratum: a guess, which decides the share that is drawn of it.
ERRS, ERRS_UNSURE, ERRS_AGAINST, ERRS_UNLIKE = 0.05, 0.1, 0.25, 0.05


@dataclass(frozen=True, slots=True)
class Answered:
    """What a judge answered, and all that an audit knows of it beforehand.

    Attributes:
        comparison_id, principle: What it was asked.
        p_judge: Its probability that the comparison's first segment is preferred.
        p_model: Likewise the reward model's; None where there is none.
        unlike: How far it is from the other judged states.
    """

    comparison_id: str
    principle: str | None
    p_judge: float
    p_model: float | None = None
    unlike: float = 0.0


@dataclass(frozen=True, slots=True)
class Drawn:
    """An answer that people look at.

    Attributes:
        stratum: The place of its stratum.
    """

    comparison_id: str
    principle: str | None
    p_judge: float
    stratum: int


@dataclass(frozen=True, slots=True)
class Stratum:
    """Answers that are alike.

    Attributes:
        name: For a person to read.
        size: How many there are.
        drawn: How many of them are looked at.
    """

    name: str
    size: int
    drawn: int


@dataclass(frozen=True, slots=True)
class Sample:
    """A stratified sample of a judge's answers, as `audit.json` has it.

    Attributes:
        judge: Whose.
        seed: Of the drawing.
        at: When it was drawn, as ISO 8601 has it.
        strata, drawn: What it is made of, in the order in which people are asked.
    """

    judge: str
    seed: int
    at: str
    strata: tuple[Stratum, ...]
    drawn: tuple[Drawn, ...]

    @property
    def size(self) -> int:
        """How many answers it is a sample of."""
        return sum(stratum.size for stratum in self.strata)


def sample_of(folder: RunFolder, size: int | None, seed: int = 0) -> Sample:
    """The run's sample: the one that was drawn, or a new one of that size.

    Raises:
        InputError: There is none and no size, or it has another size; nothing was judged.
    """
    if folder.audit.is_file():
        kept = read_document(folder.audit, Sample)
        if size is not None and size != len(kept.drawn):
            raise InputError(
                f"{folder.audit} is an audit of {len(kept.drawn)} answers, not of {size}: go on "
                "with it, or remove the file to draw another; what people said stays"
            )
        return kept
    if size is None:
        raise InputError(f"{folder.path} has no audit yet: say how many answers with --audit N")
    judge, answered = answered_in(folder)
    sample = draw(answered, size, judge, seed)
    write_document(folder.audit, sample)
    return sample


def answered_in(folder: RunFolder) -> tuple[str, list[Answered]]:
    """Who judged what the run learns from, and every answer that prefers a side.

    Raises:
        InputError: There is none.
    """
    with folder.open_store() as store:
        judges = {name: j for name, j in store.judges().items() if not j.is_person}
        outcomes = [o for o in store.outcomes() if o.judge_id in judges and o.p_first is not None]
        put, goal_ids = store.put(), folder.settings.goal_ids
        observed = store.observed()
    said: dict[tuple[str, str | None], list[float]] = {}
    for outcome in outcomes:
        if not goal_ids or put[outcome.comparison_id].goal_id == goal_ids[-1]:
            asked = outcome.comparison_id, outcome.principle
            said.setdefault(asked, []).append(outcome.p_first or 0.0)
    means = {asked: sum(p) / len(p) for asked, p in said.items()}
    decided = {asked: p for asked, p in means.items() if p != 0.5}
    if not decided:
        raise InputError(f"no judge of {folder.path} has preferred a side yet: nothing to audit")
    pairs = [observed[comparison_id] for comparison_id, _ in decided]
    by_model = _by_model(folder, pairs)
    unlike = _unlike(pairs)
    names = sorted({judges[outcome.judge_id].name for outcome in outcomes})
    return ", ".join(names), [
        Answered(*asked, p, None if by_model is None else float(by_model[row]), float(unlike[row]))
        for row, (asked, p) in enumerate(decided.items())
    ]


def draw(answered: Sequence[Answered], size: int, judge: str, seed: int = 0) -> Sample:
    """A sample of that size, in which every stratum is.

    Raises:
        InputError: There are fewer answers.
    """
    if not 1 <= size <= len(answered):
        raise InputError(f"--audit is 1 to {len(answered)}, as many answers there are, not {size}")
    edge = float(np.quantile([one.unlike for one in answered], UNLIKE))
    named = [_name(one, edge) for one in answered]
    sizes = Counter(name for name, _ in named)
    guesses = dict(named)
    drawn = allocate(sizes, guesses, size)
    rng = np.random.default_rng([seed, len(answered)])
    strata = [Stratum(name, sizes[name], drawn[name]) for name in sorted(sizes)]
    chosen: list[Drawn] = []
    for place, stratum in enumerate(strata):
        inside = [
            one for one, (name, _) in zip(answered, named, strict=True) if name == stratum.name
        ]
        for row in rng.choice(len(inside), stratum.drawn, replace=False):
            one = inside[row]
            chosen.append(Drawn(one.comparison_id, one.principle, one.p_judge, place))
    order = rng.permutation(len(chosen))
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return Sample(judge, seed, now, tuple(strata), tuple(chosen[row] for row in order))


def allocate(sizes: Mapping[str, int], errs: Mapping[str, float], size: int) -> dict[str, int]:
    """How many are drawn of each stratum: by its size times the guessed deviation in it, `LEAST`
    of each where there is room, never more than there are."""
    least = {name: min(LEAST, count) for name, count in sizes.items()}
    drawn = least if sum(least.values()) <= size else dict.fromkeys(sizes, 0)
    deviation = {name: math.sqrt(errs[name] * (1 - errs[name])) for name in sizes}
    while (left := size - sum(drawn.values())) > 0:
        open_ones = [name for name in sizes if drawn[name] < sizes[name]]
        # One at a time to the stratum that has least of what it should have.
        name = max(open_ones, key=lambda name: sizes[name] * deviation[name] / (drawn[name] + 1))
        drawn[name] += 1
        assert left > 0
    return drawn


def _name(one: Answered, edge: float) -> tuple[str, float]:
    """The name of its stratum, and how often the judge may err there."""
    sure = max(one.p_judge, 1 - one.p_judge) >= SURE
    against = one.p_model is not None and (one.p_model > 0.5) != (one.p_judge > 0.5)
    unlike = one.unlike > edge
    words = [
        "sure" if sure else "unsure",
        "reward model disagrees" if against else "reward model agrees",
        "unlike the others" if unlike else "like others",
    ]
    errs = ERRS + ERRS_UNSURE * (not sure) + ERRS_AGAINST * against + ERRS_UNLIKE * unlike
    return ", ".join(words), errs


def _by_model(folder: RunFolder, pairs: Sequence[ObservedPair]) -> npt.NDArray[np.float64] | None:
    """The reward model's probability that the first of each pair is preferred."""
    if not (folder.reward_model / "model.safetensors").is_file():
        return None
    model = RewardModel.load(folder.reward_model)
    values, _ = opinions(
        model, np.stack([np.stack(pair) for pair in pairs]).reshape(-1, *pairs[0][0].shape)
    )
    first, second = values.mean(0).reshape(-1, 2).T
    return np.asarray(1.0 / (1.0 + np.exp(second - first)), np.float64)


def _unlike(pairs: Sequence[ObservedPair]) -> Floats:
    """How far the farther side of each pair is from the states nearest to it: (pairs,)."""
    sides = np.stack([np.concatenate([s.reshape(len(s), -1).mean(0) for s in p]) for p in pairs])
    states = sides.reshape(2 * len(pairs), -1).astype(np.float32)
    states = (states - states.mean(0)) / (states.std(0) + 1e-6)
    places = np.linspace(0, len(states) - 1, min(REFERENCES, len(states))).astype(int)
    references = states[places]
    nearest = min(NEAREST, len(references) - 1)
    distances = np.concatenate(
        [
            _distance(states[n : n + TOGETHER], references, nearest)
            for n in range(0, len(states), TOGETHER)
        ]
    )
    return np.asarray(distances.reshape(-1, 2).max(1))


def _distance(states: Floats, references: Floats, nearest: int) -> Floats:
    squared = (states**2).sum(1)[:, None] + (references**2).sum(1) - 2 * states @ references.T
    ordered = np.sort(np.maximum(squared, 0), axis=1)
    return np.asarray(np.sqrt(ordered[:, nearest]))
