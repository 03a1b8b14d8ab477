"""What a correction asks again: chosen from what the store holds, so that it is the same whenever
it is chosen, and nothing that was answered is asked again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from volition.comparison import Comparison, Segment
from volition.errors import InputError
from volition.goal import Change, Principle, Principles
from volition.judging.recordings import HUMAN
from volition.judgment import (
    Order,
    Preference,
    Verdict,
    as_people_say,
    derive_preferences,
    that_count,
)
from volition.reward.preferences import Proportion
from volition.run.asking.live import Asking, LiveJudging
from volition.run.correcting.choosing import (
    Known,
    again,
    described,
    has_changed,
    most_again,
    sample_size,
    spread,
)
from volition.run.folder import RunFolder
from volition.run.results import Listener
from volition.storage.store import Store


@dataclass(frozen=True, slots=True)
class Again:
    """How far judging again is.

    Attributes:
        judged: Pairs that had been judged before the correction.
        sample: How many of them are judged again first, and
        changed: how many of those that were are answered otherwise.
        asked: Pairs with an answer under the corrected goal, the sample's among them.
    """

    judged: int
    sample: int
    changed: Proportion
    asked: int

    @property
    def told(self) -> str:
        """For a person."""
        return (
            f"{self.sampled}; {self.asked} of {self.judged} judged pairs were judged again, "
            f"{self.judged - self.asked} stay"
        )

    @property
    def sampled(self) -> str:
        """What the sample has shown."""
        changed, answered = self.changed
        share = f", {self.changed.share:.0%}" if answered else ""
        return f"{changed} of {answered} answers of the sample are others now{share}"


class JudgedAgain:
    """The pairs of a corrected run that were judged before, and what became of them.

    Args:
        folder: Of the run, which has been corrected.
        store: Its store.
    """

    def __init__(self, folder: RunFolder, store: Store) -> None:
        self._folder, self._store = folder, store
        correction = folder.settings.correction
        assert correction is not None
        self._change, self._goal_id = correction.change, folder.settings.goal_ids[-1]
        known, told = known_before(folder, store, folder.settings.goal_ids[:-1]), overruled(store)
        self.known = [one for one in known if one.pair not in told]
        if not self.known:
            raise InputError(f"{folder.path} holds no judged pair that a correction could change")
        self._segments = store.segments()
        observed = [
            (self._segments[first].observations, self._segments[second].observations)
            for first, second in (one.pair for one in self.known)
        ]
        self._described = described(self.known, observed)
        self.sample = spread(self._described, sample_size(len(self.known)))

    def questions(self, places: Sequence[int]) -> list[Asking]:
        """These pairs as they are put to a judge: together what is put under the same."""
        by_under: dict[Principles, list[Comparison]] = {}
        for place in places:
            by_under.setdefault((self.under(place),), []).append(self.comparison(place))
        return [Asking(comparisons, under) for under, comparisons in by_under.items()]

    def comparison(self, place: int) -> Comparison:
        return Comparison.between(self._goal_id, *self.sides(place))

    def sides(self, place: int) -> tuple[Segment, Segment]:
        first, second = self.known[place].pair
        return self._segments[first], self._segments[second]

    def under(self, place: int) -> Principle | None:
        """Under which principle a pair is judged again: the correction's, or what it was judged
        under before where the goal has another sentence."""
        principle = self.known[place].principle
        if self._change.kind == "goal" and principle is not None:
            return Principle(principle)
        return self._change.under

    def further(self) -> list[int]:
        """The pairs that are judged again beyond the sample, once that has its answers."""
        put = self.put_again()
        begun = [
            place
            for place, one in enumerate(self.known)
            if one.pair in put and place not in self.sample
        ]
        if begun:
            return begun
        answered = self._answered()
        places = [place for place in self.sample if place in answered]
        if not places:
            return []
        most = most_again(len(self.known)) - (len(self.sample) - len(places))
        return again(self._described, places, [self._changed(p, answered) for p in places], most)

    def is_answered(self, place: int) -> bool:
        return place in self._answered()

    def put_again(self) -> set[tuple[str, str]]:
        """The pairs that were put to a judge again."""
        put = {p.pair for p in self._store.put().values() if p.goal_id == self._goal_id}
        return put.intersection(one.pair for one in self.known)

    def asked_about_now(self) -> list[str]:
        """The comparisons under the corrected goal of what had not been judged before."""
        before = {one.pair for one in self.known}
        put = self._store.put().items()
        return [name for name, p in put if p.goal_id == self._goal_id and p.pair not in before]

    def standing(self) -> Again:
        """How far it is."""
        answered = self._answered()
        places = [place for place in self.sample if place in answered]
        changed = sum(self._changed(place, answered) for place in places)
        proportion = Proportion(changed, len(places))
        return Again(len(self.known), len(self.sample), proportion, len(answered))

    def _changed(self, place: int, answered: dict[int, float]) -> bool:
        return has_changed(self.known[place].p_first, answered[place], self._change.kind)

    def _answered(self) -> dict[int, float]:
        """P(first preferred) under the corrected goal, of the pairs that have an answer."""
        put = self._store.put()
        ids = {p.pair: name for name, p in put.items() if p.goal_id == self._goal_id}
        places = {ids[one.pair]: place for place, one in enumerate(self.known) if one.pair in ids}
        preferences = derive_preferences(
            judgment for judgment in self._store.judgments() if judgment.comparison_id in places
        )
        return {places[p.comparison_id]: as_told(p, self._change) for p in preferences}


def as_told(preference: Preference, change: Change) -> float:
    """P(first preferred) by the last answer because of a change. Where that says whether a veto is
    kept to, what violates it is worse than the other side, and what keeps to it may be either."""
    answer = preference.answers[-1]
    if change.kind != "veto" or change.under is None or answer.principle != change.under.text:
        return preference.p_first
    keeps = answer.p_first >= 0.5 if answer.order is Order.FORWARD else answer.p_first <= 0.5
    return 0.5 if keeps else answer.p_first


def overruled(store: Store) -> set[tuple[str, str]]:
    """The pairs of which a person said something: no judge is asked about them again."""
    people = {name for name, judge in store.judges().items() if judge.name.startswith(HUMAN)}
    put = store.put()
    return {
        put[judgment.comparison_id].pair
        for judgment in store.judgments()
        if judgment.judge_id in people and isinstance(judgment.outcome, Verdict)
    }


def known_before(folder: RunFolder, store: Store, goal_ids: Sequence[str]) -> list[Known]:
    """What had been judged under these goals, but for what was judged by a veto alone."""
    put, vetoes = store.put(), folder.task.stated_goal().by_vetoes
    people = [name for name, judge in store.judges().items() if judge.is_person]
    counting = that_count(as_people_say(store.judgments(), people), put, goal_ids, vetoes)
    ordinary = [judgment for judgment in counting if judgment.principle not in vetoes]
    return [
        Known(put[p.comparison_id].pair, p.p_first, p.answers[-1].principle)
        for p in derive_preferences(ordinary)
    ]


def judge_again(
    live: LiveJudging,
    folder: RunFolder,
    store: Store,
    listener: Listener,
    meanwhile: Callable[[], None],
) -> Again:
    """Puts the sample to a live judge, and then what may have changed with it.

    Raises:
        JudgeUnavailable: The judge cannot be asked. What it answered is stored.
        InputError: It gave no verdict at all.
    """
    judging = JudgedAgain(folder, store)
    live.answers(store, judging.questions(judging.sample), listener, meanwhile)
    standing = judging.standing()
    if not standing.changed.trials:
        raise InputError(
            f"{live.judge.identity.name} gave no verdict on any pair of the sample"
            f"{live.why(store)}: go on with `volition resume {folder.path}`, or take the "
            f"correction back with `volition say {folder.path} --undo`"
        )
    further = judging.questions(judging.further())
    live.answers(store, further, listener, _nothing, standing.sampled)
    standing = judging.standing()
    live.answers(store, [], listener, _nothing, standing.told)
    return standing


def _nothing() -> None:
    pass
