"""The gaming alarm beside a live judge: when it checks, what it makes of the answers, what it does.

The checks of a run are foretold, put on record and asked; when they are answered they are weighed
(`volition.run.gaming.divergence`). Nothing of it looks at what is true. All that is slow is called
on the thread that chooses questions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple, Self

import numpy as np

from volition.comparison import Comparison, Segment, Shown, shown_together
from volition.finding.horizon import Stage
from volition.goal import Principles
from volition.judges.live.judge import models_behind
from volition.judging.lane import Standing
from volition.judgment import Order, Showing
from volition.questions.candidates import Candidates
from volition.questions.checking import check_comparisons
from volition.questions.choosing import PEAKS
from volition.reward.learning import RewardFit
from volition.reward.model import RewardModel, opinions
from volition.run.asking.live import LiveJudging, Quota
from volition.run.folder import RunFolder
from volition.run.gaming.probing import known_answers
from volition.run.gaming.record import Check, GamingRecord, ProbePut, read_record
from volition.run.gaming.weighing import weighed
from volition.run.results import Progress
from volition.storage.documents import write_document
from volition.storage.store import Store

BATCH = 4  # checks that are put together
FOLLOWING = 8  # likewise, where the last ones were answered otherwise than foretold
MOST_FOLLOWING = 96  # checks after an alarm, until reward model and judge agree
SUSPICIOUS = 1.5  # of evidence: then further checks follow at once
OF_A_STAGE = 30  # checks in each stage of learning, where it is found how many questions are asked
END = 0.9  # of a stage, until which checks are put; half of them in its first quarter
PROBED = (0.05, 0.5, 0.9)  # of a stage, when known answers are asked for; later ones at its end
LEAST_PROBED = 20  # checks that are allowed, where probes are put, too


@dataclass(frozen=True, slots=True)
class Reached:
    """What a policy has visited: lately, and at any time."""

    latest: Candidates
    earlier: Candidates


class Moment(NamedTuple):
    """When somebody looks.

    Attributes:
        stage: Of learning.
        env_steps: Taken so far.
        left: How many questions there may be yet.
    """

    stage: Stage
    env_steps: int
    left: int

    @property
    def share(self) -> float:
        """Of the stage that is over."""
        return (self.env_steps - self.stage.begin) / (self.stage.end - self.stage.begin)


class Guard:
    """Checks what a policy is rewarded most for.

    Args:
        folder: Of the run.
        live: The judge, and what puts questions to it.
        quota: How many questions there may be, the checks among them.
    """

    def __init__(self, folder: RunFolder, live: LiveJudging, quota: Quota) -> None:
        self._folder, self._live, self._quota = folder, live, quota
        self._action = folder.task.alarm.action
        self.record = read_record(folder.path)
        self._open = 0  # checks and probes that are yet to be answered, as far as is known
        self._never = 0  # that nobody will answer
        self._lost = 0  # comparisons that were given up, or that the budget did not allow
        self._evidence = 1.0
        self._seen = -1  # verdicts when answers were weighed last
        self._probes_before: int | None = None
        self.unlearned = 0  # answers that came in this process, and that nothing is learned from
        self._lowered = self._spent = self._urgent = False
        self._at = 0  # environment steps when somebody looked last
        self._raised_now = ""

    @classmethod
    def of(cls, folder: RunFolder, live: LiveJudging, quota: Quota) -> Self | None:
        """None where nothing is checked: nobody wants it, a correction is learned, which changes
        what is wanted, the goal has stages, or hardly anything may be asked."""
        task, settings = folder.task, folder.settings
        if task.alarm.action == "off" or settings.corrections or task.goal.stages:
            return None
        guard = cls(folder, live, quota)
        return guard if guard.reserved or quota.found else None

    @property
    def asked(self) -> int:
        """How many judgments were asked for."""
        return self.record.asked

    @property
    def stored(self) -> int:
        """How many comparisons of the store are its own."""
        return len(self.record.checks) + len(self.record.probes)

    @property
    def reserved(self) -> int:
        """How many questions are kept for it, where a person said how many there may be."""
        if self._quota.found:
            return 0
        share = round(PEAKS * (self._quota.most - self._quota.first))
        return share if share >= BATCH else 0

    @property
    def stopping(self) -> str:
        """Why learning is to stop, by what was raised in this process; empty: it is not."""
        return self._raised_now if self._action == "stop" else ""

    @property
    def following(self) -> bool:
        """Whether further checks are worth it at once."""
        if self._spent:
            return False
        standing = self.record.diverged
        if standing is None:
            return self._evidence >= SUSPICIOUS
        later = sum(check.batch > standing.batch for check in self.record.checks)
        return self._action in ("ask", "caution") and later < MOST_FOLLOWING

    def handed(self, model: RewardModel) -> RewardModel:
        """The reward model as a policy is to learn from it."""
        if self._action == "caution" and self.record.diverged is not None:
            return model.more_cautious()
        return model

    def report(self, progress: Progress) -> Progress:
        """The same with what is known of it now."""
        evidence = math.log10(max(self._evidence, 1e-12))
        return replace(progress, alarms=self.record.told, evidence=evidence)

    # When ------------------------------------------------------------------------------------

    def wants(self, stage: Stage, env_steps: int, standing: Standing, left: int) -> bool:
        """Whether there is something to weigh or to ask, with so many questions left."""
        verdicts, now = standing.verdicts, Moment(stage, env_steps, left)
        if self._seen < 0:
            return True
        if self._open and verdicts > self._seen:
            return not standing.waiting or verdicts - self._seen >= self._open
        if self._open:
            return _lost(standing) > self._lost
        return self._count(now) > 0 or self._probing(now)

    def by(self, stage: int) -> int:
        """How many checks are put by the end of a stage, where all are answered as foretold."""
        if stage < 0:
            return 0
        if not self._quota.found:
            return self.reserved
        return max(OF_A_STAGE * (stage + 1), round(PEAKS * self._quota.by(stage)))

    def _count(self, now: Moment) -> int:
        """How many checks are to be put now."""
        if self._open or now.left <= 0:
            return 0
        if self.following or self._urgent:
            return min(FOLLOWING, now.left)
        if now.share <= 0:  # nothing is visited yet
            return 0
        share = min(1.0, now.share / END)
        before, by = self.by(now.stage.number - 1), self.by(now.stage.number)
        due = before + max(BATCH, round(share**0.5 * (by - before))) - len(self.record.checks)
        return min(due, now.left) if due >= BATCH or (share == 1 and due > 0) else 0

    def _probing(self, now: Moment) -> bool:
        if self._live.judge.identity.simulated or self.by(now.stage.number) < LEAST_PROBED:
            return False
        due = sum(now.share >= at for at in PROBED) + 2 * now.stage.number
        return not self._open and self.record.probings < due and now.left >= len(PROBED)

    # What is done, on the thread that chooses questions -----------------------------------------

    def look(
        self,
        model: RewardModel,
        fit: RewardFit,
        now: Moment,
        reached: Callable[[], Reached],
        shown_before: set[Shown],
        rng: np.random.Generator,
    ) -> bool:
        """Weighs what was answered, and asks what is due.

        Args:
            model: The reward model, which has not seen what is asked now.
            fit: What is known of it.
            now: When that is.
            reached: What the policy has visited.
            shown_before: Pictures that are not to be shown together again; it grows.
            rng: Of the pairs that are considered.

        Returns:
            Whether the policy is to learn from another reward than before: as of `handed`.
        """
        with self._folder.open_store() as store:
            self._weigh(store, now.env_steps)
            if self._probing(now):
                self._put_probes(store, model, fit)
            if count := self._count(now):
                places, (goal_id, *_) = reached(), store.goal_texts()
                beside = [Candidates.filmed(self._judged(store)), places.earlier]
                said = partial(opinions, model)
                chosen = check_comparisons(
                    places.latest, beside, said, goal_id, shown_before, count, rng
                )
                shown_before |= {_pictures(comparison) for comparison, _ in chosen}
                self._spent, self._urgent = not chosen, False
                self._put_checks(chosen, fit, now.env_steps)
        lowered = self._action == "caution" and self.record.diverged is not None
        changed, self._lowered = lowered is not self._lowered, lowered
        return changed

    def conclude(self) -> None:
        """Weighs the last answers."""
        with self._folder.open_store() as store:
            self._weigh(store, self._at)

    def _weigh(self, store: Store, env_steps: int) -> None:
        standing = self._live.judging.standing()
        first, self._seen, self._at = self._seen < 0, standing.verdicts, env_steps
        self._lost = _lost(standing)
        judgments = store.judgments()
        models = models_behind(judgment.reply.raw for judgment in judgments)
        came = weighed(self.record, judgments, models, env_steps, self._action)
        if first:  # whatever a process before this one asked was waited for
            self._never = came.unanswered
        self._open = max(0, came.unanswered - self._never - self._lost)
        self._evidence = came.evidence
        if self._probes_before is None:
            self._probes_before = came.probed
        self.unlearned = came.probed - self._probes_before
        if came.record != self.record:
            fresh = came.record.alarms[len(self.record.alarms) :]
            others = any(alarm.kind != "diverged" for alarm in fresh)
            self._urgent = self._urgent or (others and self._action in ("ask", "caution"))
            self._raised_now = "; ".join([self._raised_now, *(a.reason for a in fresh)]).strip("; ")
            self._write(came.record)

    def _put_checks(
        self, chosen: Sequence[tuple[Comparison, float]], fit: RewardFit, env_steps: int
    ) -> None:
        judge = fit.judges.get(self._live.judge.identity.id)
        slope, bias = (judge.slope, judge.bias) if judge else (1.0, 0.0)
        batch, heldout = self.record.batches, fit.heldout.share
        checks = [
            Check(comparison.id, batch, env_steps, slope * logit, bias, heldout)
            for comparison, logit in chosen
        ]
        if checks:
            self._write(replace(self.record, checks=(*self.record.checks, *checks)))
            self._open += len(checks)
            self._ask([comparison for comparison, _ in chosen])

    def _put_probes(self, store: Store, model: RewardModel, fit: RewardFit) -> None:
        if self.record.probings:
            known = store.comparisons()
            asked = [known[p.comparison_id] for p in self.record.probes if p.comparison_id in known]
        else:
            pictures = self._folder.task.stated_goal().images
            gold = known_answers(store, model, self._live.judge.identity.id, pictures)
            asked = [one.comparison for one in gold]
            probes = tuple(ProbePut(g.comparison.id, bool(g.first_better)) for g in gold)
            self._write(replace(self.record, probes=probes))
        self._write(replace(self.record, probings=self.record.probings + 1))
        self._open += len(asked)
        self._ask(asked, Showing(Order.FORWARD, self.record.probings))

    def _judged(self, store: Store) -> list[Segment]:
        """What the reward model has learned from, each once."""
        learned_from = self._folder.preferences(store)
        comparisons = store.comparisons()  # after them: others are added meanwhile
        learned = [comparisons[preference.comparison_id] for preference in learned_from]
        return [*{s.id: s for c in learned for s in (c.first, c.second)}.values()]

    def _ask(self, comparisons: list[Comparison], showing: Showing | None = None) -> None:
        under: Principles = tuple(
            one for one in self._live.put_under if one is None or not one.veto
        )
        self._live.judging.ask(self._live.judge, comparisons, under, showing)

    def _write(self, record: GamingRecord) -> None:
        write_document(self._folder.gaming, record)
        self.record = record


def _lost(standing: Standing) -> int:
    return standing.given_up + standing.unasked


def _pictures(comparison: Comparison) -> Shown:
    return shown_together(comparison.first.frames, comparison.second.frames)
