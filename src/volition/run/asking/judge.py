"""Who judges a run live, what they may use, and what they are to be asked while a policy learns."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from volition.errors import JudgeUnavailable
from volition.judges import make_judge
from volition.judges.base import Assignment, Judge
from volition.judges.settings import JudgeSettings
from volition.judging.limits import Limits, Wanted
from volition.run.asking.live import LiveJudging, Quota, limits_of, live_judging
from volition.run.asking.online import Plan
from volition.run.correcting.asking import JudgedAgain
from volition.run.correcting.comparing import left_usd
from volition.run.creating import OBJECT, assignment_of
from volition.run.folder import RunFolder
from volition.storage.store import Store


@dataclass(frozen=True, slots=True)
class LiveJudge:
    """The live judge of a run's version.

    Attributes:
        folder: Of the run.
        given: The object of Python's that judges, in place of whom the settings name.
        patience: As of `JudgeSettings`, this time; by default as the run began.
    """

    folder: RunFolder
    given: Judge | None = None
    patience: float | None = None

    @property
    def settings(self) -> JudgeSettings | None:
        """How it is asked; None where nobody is."""
        settings = self.folder.settings.judge
        if settings is None or self.patience is None:
            return settings
        return replace(settings, patience=self.patience)

    @property
    def is_missing(self) -> bool:
        """Whether it was an object of Python's which nobody gave this time."""
        settings = self.settings
        return settings is not None and settings.judge.startswith(OBJECT) and self.given is None

    def make(self, assignment: Assignment) -> Judge:
        """The judge that the version began with, for what it is to judge.

        Raises:
            JudgeUnavailable: It cannot be asked.
        """
        known_id, settings = self.folder.settings.known_judge, self.settings
        assert settings is not None
        if not settings.judge.startswith(OBJECT):
            return make_judge(settings, replace(assignment, known_id=known_id))
        if self.given is None or self.given.identity.id != known_id:
            raise JudgeUnavailable(
                f"the run began with a judge that was given as an object, "
                f"{settings.judge.removeprefix(OBJECT)} ({known_id}): go on in Python with that "
                "very one, by Run.open(path, judge).advance()"
            )
        return self.given

    @contextmanager
    def judging(self, wanted: Callable[[], Wanted]) -> Iterator[LiveJudging]:
        """It, ready to be asked within the block, as of `live_judging`.

        Args:
            wanted: What a person wants of judging by now.
        """
        folder, seed = self.folder, self.folder.settings.seed
        about = assignment_of(folder.task)

        def judge(asked_before: int) -> Judge:
            return self.make(replace(about, asked_before=asked_before))

        def left() -> Wanted:
            """Trying the judge was paid for out of the same purse."""
            said = wanted()
            if said.max_usd is None:
                return said
            return replace(said, max_usd=max(0.0, said.max_usd - folder.settings.probe_usd))

        under = folder.put_under()
        with live_judging(folder.path, judge, under, self._limits(), seed, left) as judging:
            yield judging

    def _limits(self) -> Limits:
        settings, said = self.settings, self.folder.settings.correction
        assert settings is not None
        if said is None:
            most = Quota.of(settings, self.folder.task.training).most
            return limits_of(settings, most, self.folder.settings.probe_usd)
        most_usd = left_usd(self.folder.path, said.most_usd)
        return replace(limits_of(settings, said.most_learned_from), max_usd=most_usd)

    def plan(self, store: Store) -> Plan:
        """What it is asked while the policy learns."""
        folder, live = self.folder, self.settings
        said, goal = folder.settings.correction, folder.task.stated_goal()
        assert live is not None
        quota, asked = Quota.of(live, folder.task.training), None
        if said is not None:
            asked = len(folder.comparison_ids(store))
            again = asked - len(JudgedAgain(folder, store).asked_about_now())
            left = max(0, said.most_learned_from - store.judged_live())
            quota = Quota(max(again, min(again + said.questions, asked + left)), again)
        return Plan(
            folder.task.environment,
            folder.task.view,
            store.add_goal(goal),
            quota,
            folder.settings.seed,
            live.per_request,
            live.concurrency,
            live.querying,
            asked,
            goal.stages,
        )
