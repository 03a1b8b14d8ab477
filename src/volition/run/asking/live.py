"""A run's live judge: which comparisons it is asked first, and the asking of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from volition.comparison import Comparison
from volition.errors import (
    EnvironmentUnsupported,
    InputError,
    Interrupted,
    JudgeUnavailable,
    RunError,
)
from volition.goal import Principles
from volition.judges.base import Judge
from volition.judges.settings import JudgeSettings
from volition.judging.limits import Limits, Wanted
from volition.judging.thread import Judging
from volition.judgment import Failure
from volition.run.interrupting import PAUSED, noted
from volition.run.results import Listener, Progress
from volition.storage.store import Store
from volition.tasks.task import TrainingSection

TICK_S = 0.2  # between two signs of life
KEPT = "every answer is kept"
MOST = 500  # questions at most, where nobody says how many
EARLY = 50  # of them at least that may be asked in the first stage of learning
AMONG = 5 / 3  # of those asked before it, likewise


@dataclass(frozen=True, slots=True)
class Quota:
    """How many comparisons a live judge is asked.

    Attributes:
        most: In all.
        first: Of those, before the policy begins to learn: whole requests.
        found: Whether it is to be found out how many are worth it; else all of them are asked.
    """

    most: int
    first: int
    found: bool = False

    def by(self, stage: int) -> int:
        """How many may have been asked by the end of a stage of learning, the first being 0.

        Where it is found how many are worth it, in each further stage as many as in all before it:
        so they grow with what is learned.
        """
        if not self.found:
            return self.most
        return min(self.most, max(EARLY, round(AMONG * self.first)) << stage)

    def before(self, stage: int) -> int:
        """How many by its beginning."""
        return self.by(stage - 1) if stage else self.first

    @classmethod
    def of(cls, settings: JudgeSettings, training: TrainingSection) -> Quota:
        """What a person chose, or else the task's own numbers."""
        said = settings.max_judgments or training.max_judgments
        most = said or MOST
        first = settings.first or training.first_judgments
        whole_requests = -(-first // settings.per_request) * settings.per_request
        return cls(most, min(most, whole_requests), said is None)


def limits_of(settings: JudgeSettings, most: int, spent_usd: float = 0.0) -> Limits:
    """What the judge may use yet.

    Args:
        settings: As a person chose.
        most: Judgments in all.
        spent_usd: What trying it did cost.
    """
    left = None if settings.max_usd is None else max(0.0, settings.max_usd - spent_usd)
    return Limits(left, most, settings.concurrency, patience_s=settings.patience)


@contextmanager
def live_judging(
    folder: Path,
    judge: Callable[[int], Judge],
    under: Principles,
    limits: Limits,
    seed: int,
    wanted: Callable[[], Wanted] = Wanted,
) -> Iterator[LiveJudging]:
    """A live judge, ready to be asked within the block.

    Args:
        folder: Of the store.
        judge: Makes it, given how many questions it was asked before.
        under: What one question is put under, as of `Goal`.
        limits: What it may use.
        seed: Of the presentation orders and the principles.
        wanted: What a person wants of it by now.

    Raises:
        Interrupted: Ctrl-C was pressed; what was under way has been waited for and stored.
        EnvironmentUnsupported: The environment failed.
        RunError: What was learned is not finite.
        JudgeUnavailable: The judge cannot be asked. What it answered is stored.
    """
    try:
        with Judging(folder, limits, seed, wanted) as judging:
            with Store.open(folder) as store:
                asked_before = store.judged_live()
            yield LiveJudging(judge(asked_before), under, judging, wanted)
    except KeyboardInterrupt:
        raise Interrupted(f"stopped while judging; {KEPT}") from None
    except (EnvironmentUnsupported, RunError) as error:
        raise type(error)(f"{error}; {KEPT}") from error
    except JudgeUnavailable as error:
        raise JudgeUnavailable(f"{error}; {KEPT}") from None


@dataclass(frozen=True, slots=True)
class Asking:
    """Comparisons, and what each of them is put under: one of these."""

    comparisons: Sequence[Comparison]
    under: Principles


@dataclass(frozen=True, slots=True)
class LiveJudging:
    """A run's live judge, and what puts questions to it: the store has no other writer.

    Attributes:
        put_under: What one question is put under, as of `Goal`.
        wanted: What a person wants of it by now.
    """

    judge: Judge
    put_under: Principles
    judging: Judging
    wanted: Callable[[], Wanted] = Wanted

    def all_pending(
        self,
        store: Store,
        ids: Sequence[str],
        listener: Listener,
        meanwhile: Callable[[], None],
    ) -> None:
        """Waits for a verdict on every one of these comparisons of the store that has none yet.

        Args:
            store: The run's store, for reading.
            ids: Of the comparisons.
            listener: Is told how far this is.
            meanwhile: Is done while the first answers are on their way.

        Raises:
            JudgeUnavailable: The judge cannot be asked.
            InputError: It gave no verdict at all.
        """
        comparisons = store.comparisons()
        asked = Asking([comparisons[name] for name in ids], self.put_under)
        self.answers(store, [asked], listener, meanwhile)
        if not store.preferences():
            raise InputError(
                f"{self.judge.identity.name} gave no verdict on any of {len(ids)} "
                f"comparisons{_why(store)}"
            )

    def answers(
        self,
        store: Store,
        asked: Sequence[Asking],
        listener: Listener,
        meanwhile: Callable[[], None],
        told: str = "",
    ) -> None:
        """Waits for a verdict on every one of these that has none yet.

        Args:
            store: The run's store, for reading.
            asked: What is put to the judge.
            listener: Is told how far this is.
            meanwhile: Is done while the first answers are on their way.
            told: What the listener is told beside.

        Raises:
            JudgeUnavailable: The judge cannot be asked.
        """
        verdicts = {preference.comparison_id for preference in store.preferences()}
        total = sum(len(some.comparisons) for some in asked)
        pending = [
            Asking([c for c in some.comparisons if c.id not in verdicts], some.under)
            for some in asked
        ]
        before = total - sum(len(some.comparisons) for some in pending)
        earlier = self.judging.standing().verdicts

        def report() -> None:
            standing = self.judging.standing()
            listener(
                Progress(
                    "judgments",
                    judgments=before + standing.verdicts - earlier,
                    comparisons=total,
                    cost_usd=standing.spent_usd,
                    waiting_for=PAUSED if self.wanted().pause else standing.waiting_for,
                    told=told,
                )
            )

        if before == total:
            if told:
                report()
            return
        with noted(lambda: self.wanted().stop) as pressed:
            for some in pending:
                self.judging.ask(self.judge, some.comparisons, some.under)
            report()
            meanwhile()
            while not self.judging.wait(TICK_S):
                if pressed.is_set():
                    raise KeyboardInterrupt
                report()
        report()

    def why(self, store: Store) -> str:
        """Why comparisons have no verdict, as the end of a sentence."""
        return _why(store)


def unjudged(store: Store, ids: Sequence[str]) -> list[str]:
    """A warning where some of these comparisons have no verdict, and why; else none."""
    verdicts = {preference.comparison_id for preference in store.preferences()}
    missing = sum(name not in verdicts for name in ids)
    return [f"{missing} comparisons have no verdict{_why(store)}"] if missing else []


def _why(store: Store) -> str:
    failures = [j.outcome for j in store.judgments() if isinstance(j.outcome, Failure)]
    if not failures:
        return ": the limits on judgments or dollars allowed no more"
    kinds = Counter(failure.kind for failure in failures).most_common()
    words = " ".join(next(f.message for f in failures if f.kind == kinds[0][0]).split())
    return (
        f" after {', '.join(f'{count} x {kind}' for kind, count in kinds)}, such as: {words:.200}"
    )
