"""From answers to a certificate: what is counted of them, and the verdict. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from volition.certifying.answers import Answer, both_ways, by_pair, undone
from volition.certifying.card import Checked, Gap, Needs, Probe, Second, Verdict
from volition.certifying.counting import (
    Doubles,
    Share,
    beyond_chance,
    calibrated,
    calibration_error,
)
from volition.certifying.ranking import Ranking
from volition.judgment import Order

# Judgments of a judge without noise that the pendulum takes; of others as many more as their
# answers say less: 80% right takes 100, 70% takes 200 (docs/judges.md).
ENOUGH_BITS = 25
MOST = 500  # judgments that a run asks by itself
SAYS_LITTLE = 0.1  # bits: what chance explains, and fits no ranking either
MANY = 150  # from which on it is worth looking for another judge
CHANCE = 0.01  # answers that as likely come of no content at all show none
WIDE = 0.25  # an interval of the accuracy that leaves open whether to train on it
FEW = 40  # pairs in both orders, below which little is known
LEAST = 20  # below which nothing is said of chance
LEANS = 0.75  # of its answers go to one side
BY_PLACE, MOSTLY = 0.5, 0.6  # of the pairs: the same side both times
SOME_PAIRS = 10  # in both orders, that show whether it goes by position
SAYS_SOME = 0.15  # bits: with less, whoever goes by position in half of the pairs is not worth it
NAMED_FIRST = 0.95  # of the pairs: what could as well come of answering by turns
TIED = 0.25  # of the answers
CIRCLES = 0.15  # of three states; 0.25 are chance
FAILED = 0.2  # of the questions without an answer
PROBES_FAIL = 0.25  # of the gold probes of a kind, at least `PROBES` of them
PROBES = 4
PERCEPTS = ("the goal's picture beside others", "a blank picture")  # that tell whether it looks
# That are shown and decide nothing: what is the same shows the bias once more, and a goal may be
# about left and right.
TOLD = ("the same picture twice", "a pair mirrored")
GAPS = 5
RIGHT = 0.75


@dataclass(frozen=True, slots=True)
class Counted:
    """What is counted of the answers.

    Attributes:
        pairs, consistent, chose_first, cycles: As of `Certificate`.
        by_content: How likely so many consistent pairs come of a judge that does not look.
        by_place: Of the pairs in both orders, those in which it chose the side both times that it
            chooses more.
        named_first: Of the consistent pairs, those in which it chose the pair's first.
        all_first: As chose_first, of all answers.
        ties: Of all answers.
    """

    pairs: int
    consistent: Share
    chose_first: Share
    cycles: Share
    by_content: float
    by_place: Share
    named_first: Share
    all_first: Share
    ties: Share


def count(answers: Sequence[Answer]) -> Counted:
    """Consistency, leaning and circles of the answers."""
    ways = both_ways(answers)
    decided = [way for way in ways if way.decided]
    consistent = Share.of(sum(way.consistent for way in decided), len(ways))
    first = Share.of(sum(way.chose_first for way in decided), 2 * len(decided))
    # Whoever chooses a side and does not look is consistent only where two throws differ.
    leaning = first.share if first.trials else 0.5
    chance = 2 * leaning * (1 - leaning)
    by_content = beyond_chance(consistent.successes, len(decided), chance)
    sides = [sum(way.chose_first == times for way in decided) for times in (2, 0)]
    same = [way.forward > 0.5 for way in decided if way.consistent]
    chosen = [answer.p_shown_first > 0.5 for answer in answers if answer.p_shown_first != 0.5]
    return Counted(
        len(ways),
        consistent,
        first,
        _cycles(answers),
        by_content,
        by_place=Share.of(max(sides), len(ways)),
        named_first=Share.of(sum(same), len(same)),
        all_first=Share.of(sum(chosen), len(chosen)),
        ties=Share.of(len(answers) - len(chosen), len(answers)),
    )


def _cycles(answers: Sequence[Answer]) -> Share:
    """Of three states that were all compared with each other, where the choices go in a circle."""
    better: dict[tuple[str, str], bool] = {}
    for some in by_pair(answers).values():
        p_first = sum(answer.p_first for answer in some) / len(some)
        if some[0].first and p_first != 0.5:
            better[some[0].first, some[0].second] = p_first > 0.5
            better[some[0].second, some[0].first] = p_first < 0.5
    met: dict[str, set[str]] = {}
    for one, other in better:
        met.setdefault(one, set()).add(other)
    circles, triads = 0, 0
    for one, others in met.items():
        for two, three in combinations(sorted(name for name in others if name > one), 2):
            if three in met[two]:
                triads += 1
                circles += better[one, two] is better[two, three] is better[three, one]
    return Share.of(circles, triads)


# Labels --------------------------------------------------------------------------------------


def check(
    answers: Sequence[Answer],
    labels: Mapping[str, float],
    source: str,
    gaps: Mapping[str, float] | None = None,
) -> Checked | None:
    """The answers beside labels; None where no pair with an answer has one.

    Args:
        answers: As they came.
        labels: For each pair the probability that its first is better; 0.5 is left out.
        source: Whose labels.
        gaps: How far apart the two of a pair are, where somebody knows.
    """
    once = {(a.pair, a.order): a for a in reversed(answers)}.values()
    known = [a for a in once if labels.get(a.pair, 0.5) != 0.5 and a.p_shown_first != 0.5]
    if not known:
        return None
    is_first = np.array([labels[a.pair] > 0.5 for a in known])
    said = np.array([a.p_first for a in known])
    right = (said > 0.5) == is_first
    # Both sides of a pair, so that a bin holds what is said for and against.
    both, came = np.concatenate([said, 1 - said]), np.concatenate([is_first, ~is_first])
    pairs = {pair: place for place, pair in enumerate(sorted({a.pair for a in known}))}
    halves = np.random.default_rng(0).permutation(len(pairs)) % 2
    half = np.tile(halves[[pairs[a.pair] for a in known]], 2)
    after = calibrated(both, came.astype(np.float64), half)
    apart = None if gaps is None else np.array([gaps[a.pair] for a in known])
    return Checked(
        source,
        Share.of(int(right.sum()), len(right)),
        () if apart is None else _curve(apart, right),
        None if apart is None else _smallest(apart, right),
        calibration_error(both, came.astype(np.float64)),
        calibration_error(after, came.astype(np.float64)),
    )


def _curve(apart: Doubles, right: np.ndarray) -> tuple[Gap, ...]:
    """Accuracy by the size of the difference, in ranges that hold as many answers."""
    edges = np.unique(np.quantile(apart, np.linspace(0, 1, GAPS + 1)))
    places = np.clip(np.searchsorted(edges, apart, side="right") - 1, 0, max(0, len(edges) - 2))
    return tuple(
        Gap(
            float(apart[places == place].min()),
            float(apart[places == place].max()),
            Share.of(int(right[places == place].sum()), int((places == place).sum())),
        )
        for place in np.unique(places)
    )


def _smallest(apart: Doubles, right: np.ndarray) -> float | None:
    """The difference at which `RIGHT` of the answers are right, if right(gap) is
    1 - exp(-gap / c) / 2, the most likely c; None where that is beyond all that there are."""
    scales = np.exp(np.linspace(math.log(1e-3), math.log(30), 200))[:, None]
    wrong = np.clip(np.exp(-apart / scales) / 2, 1e-9, 0.5)
    likelihood = np.where(right, np.log1p(-wrong), np.log(wrong)).sum(1)
    gap = float(scales[np.argmax(likelihood), 0]) * math.log(0.5 / (1 - RIGHT))
    return gap if gap <= apart.max() else None


def beside(
    answers: Sequence[Answer],
    others: Sequence[Answer],
    judge: str,
    simulated: bool,
    labels: Mapping[str, float] | None,
) -> Second:
    """Another judge's answers to the same pairs beside these."""
    ours = {way.pair: way for way in both_ways(answers) if way.consistent}
    theirs = {way.pair: way for way in both_ways(others) if way.consistent}
    shared = sorted(ours.keys() & theirs.keys())
    same = [(ours[p].forward > 0.5) == (theirs[p].forward > 0.5) for p in shared]
    wrong = None
    if labels:
        logits = undone(answers), undone(others)
        known = [
            pair
            for pair in sorted(logits[0].keys() & logits[1].keys())
            if labels.get(pair, 0.5) != 0.5
        ]
        errors = np.array([[(of[p] > 0) != (labels[p] > 0.5) for p in known] for of in logits])
        if len(known) > 2 and (errors.std(1) > 0).all():
            correlated = np.asarray(np.corrcoef(errors.astype(np.float64)))
            wrong = float(correlated[0, 1])
    return Second(judge, simulated, Share.of(sum(same), len(same)), wrong)


# The verdict ---------------------------------------------------------------------------------


def judgments_needed(bits: float) -> int | None:
    """How many judgments that say so much each teach what the pendulum takes; None of too many."""
    needed = math.ceil(ENOUGH_BITS / bits) if bits > 0 else None
    return needed if needed is not None and needed <= 100_000 else None


def needs(ranking: Ranking, usd_each: float | None, minutes_each: float | None) -> Needs:
    """What training would take, by what a judgment costs and how long it takes."""
    count = judgments_needed(ranking.bits.value)
    if count is None:
        return Needs(None, None, None)
    usd = None if usd_each is None else count * usd_each
    return Needs(count, usd, None if minutes_each is None else count * minutes_each)


def verdict(
    counted: Counted,
    ranking: Ranking,
    failures: Share,
    repeated: Share | None,
    probes: Iterable[Probe],
) -> tuple[Verdict, tuple[str, ...]]:
    """GREEN, AMBER or RED, and why.

    No label and nothing that is true of the environment is in it.
    """
    probes = list(probes)
    red = [*_says_nothing(counted, ranking, failures), *_does_not_look(probes)]
    if red:
        return "RED", tuple(red)
    amber = [*_leaning(counted), *_doubtful(counted, ranking, failures), *_fails(probes)]
    if repeated is not None and repeated.trials >= PROBES and repeated.share < RIGHT:
        amber.append(
            "asked the same again, it changes its answer in "
            f"{repeated.trials - repeated.successes} of {repeated.trials}: let it vote (--samples)"
        )
    if amber:
        return "AMBER", tuple(amber)
    fits = ", and its answers fit together" if counted.cycles.trials else ""
    return "GREEN", (
        f"it chose the same of {counted.consistent.successes} of {counted.pairs} pairs in both "
        f"orders{fits}",
    )


def _says_nothing(counted: Counted, ranking: Ranking, failures: Share) -> list[str]:
    reasons = []
    if 2 * counted.ties.successes > counted.ties.trials:
        reasons.append(
            f"it called {counted.ties.successes} of {counted.ties.trials} pairs shown a tie, which "
            "teaches nothing: have it choose, or ask about states that differ more"
        )
    by_position = _by_position(counted, ranking)
    if by_position:
        reasons.append(by_position)
    elif (
        not reasons
        and counted.pairs >= LEAST
        and counted.by_content > CHANCE
        and ranking.bits.value < SAYS_LITTLE
    ):
        reasons.append(
            f"its answers do not follow what is shown: of {counted.pairs} pairs put in both "
            f"orders it chose the same in {counted.consistent.successes}, which chance explains. "
            "Take another judge, or show it more of a state"
        )
    # Pairs that share no state tell little: then it is RED where even the best that may be is.
    bits = ranking.bits.value if counted.cycles.trials else ranking.bits.high
    needed = judgments_needed(bits)
    if needed is None or needed > MOST:
        often = "no number of" if needed is None else f"some {needed:,}"
        reasons.append(
            f"its answers say {bits:.3f} bits each: {often} judgments would be "
            f"needed, and a run asks {MOST} at most by itself"
        )
    if failures.trials and failures.share > 0.5:
        reasons.append(f"{failures.successes} of {failures.trials} questions have no answer")
    return reasons


def _by_position(counted: Counted, ranking: Ranking) -> str:
    """Why it is taken to choose by where a thing is shown; empty where it is not."""
    place, shown = counted.by_place, counted.all_first
    if counted.pairs >= SOME_PAIRS:
        side = _side(counted.chose_first)[0]
        mostly = place.share >= MOSTLY
        if mostly or (place.share >= BY_PLACE and ranking.bits.value < SAYS_SOME):
            return (
                f"it chooses by position: in {place.successes} of {place.trials} pairs put in both "
                f"orders it chose what was shown {side} both times. Take another judge"
            )
    elif shown.trials >= LEAST and not 1 - LEANS < shown.share < LEANS:
        side, successes = _side(shown)
        return (
            f"it chose what was shown {side} in {successes} of {shown.trials} answers, and "
            f"{counted.pairs} pairs were put in both orders: nothing tells that from choosing by "
            f"position. Put {FEW} pairs in both orders"
        )
    return ""


def _side(first: Share) -> tuple[str, int]:
    """Which side is chosen more, and how often."""
    second = first.trials - first.successes
    return ("first", first.successes) if first.successes >= second else ("second", second)


def _does_not_look(probes: Sequence[Probe]) -> list[str]:
    return [
        f"shown {probe.name}, it chose rightly in {probe.passed.successes} of "
        f"{probe.passed.trials}: it does not look, or cannot judge these pictures"
        for probe in probes
        if probe.name in PERCEPTS and probe.passed.trials >= PROBES and probe.passed.share <= 0.5
    ]


def _leaning(counted: Counted) -> list[str]:
    first = counted.chose_first
    if not first.trials or 1 - LEANS < first.share < LEANS:
        return []
    side, chosen = _side(first)
    return [
        f"it leans to what is shown {side} ({chosen / first.trials:.0%} of its answers): the bias "
        "is undone in training, at the price of more judgments"
    ]


def _doubtful(counted: Counted, ranking: Ranking, failures: Share) -> list[str]:
    reasons = []
    needed = judgments_needed(ranking.bits.value)
    if needed is not None and needed > MANY:
        reasons.append(
            f"some {needed:,} judgments are needed: of a better judge {ENOUGH_BITS} to {MANY} do"
        )
    low, high = ranking.accuracy.low, ranking.accuracy.high
    if high - low > WIDE:
        reasons.append(
            f"how often it is right is hardly known ({low:.0%} to {high:.0%}): ask about more "
            "pairs, in both orders, of states that several of them share"
        )
    if counted.pairs < FEW:
        reasons.append(
            f"only {counted.pairs} pairs were answered in both orders: {FEW} say something"
        )
    if counted.pairs >= LEAST and counted.by_content > CHANCE:
        reasons.append(
            f"of {counted.pairs} pairs put in both orders it chose the same in "
            f"{counted.consistent.successes}, which chance explains: ask about more pairs"
        )
    if counted.cycles.trials >= FEW and counted.cycles.share > CIRCLES:
        reasons.append(
            f"of three states its choices go in a circle in {counted.cycles.share:.0%}, where "
            "chance does in 25%"
        )
    named = counted.named_first
    side, chosen = _side(named)
    if named.trials >= SOME_PAIRS and chosen >= NAMED_FIRST * named.trials:
        reasons.append(
            f"in {chosen} of {named.trials} pairs it chose the {side}: either that is always the "
            "better one, or it answers by turns. Deal which of a pair comes first, and ask again"
        )
    if counted.ties.trials and TIED < counted.ties.share <= 0.5:
        reasons.append(
            f"it called {counted.ties.successes} of {counted.ties.trials} pairs shown a tie: they "
            "teach nothing, so have it choose"
        )
    if failures.trials and failures.share > FAILED:
        reasons.append(f"{failures.successes} of {failures.trials} questions have no answer")
    return reasons


def _fails(probes: Sequence[Probe]) -> list[str]:
    return [
        f"shown {probe.name}, it did not answer as it must in "
        f"{probe.passed.trials - probe.passed.successes} of {probe.passed.trials}"
        for probe in probes
        if probe.name not in TOLD
        and probe.passed.trials >= PROBES
        and 1 - probe.passed.share > PROBES_FAIL
    ]


def repeats(answers: Sequence[Answer]) -> Share | None:
    """Of answers that were asked for again in the same order, those that stayed the same."""
    same, asked = 0, 0
    for some in by_pair(answers).values():
        for order in Order:
            said = [a.p_shown_first for a in some if a.order is order]
            for again in said[1:]:
                asked += 1
                same += (said[0] > 0.5) == (again > 0.5) and (said[0] < 0.5) == (again < 0.5)
    return Share.of(same, asked) if asked else None
