"""A run's live judge: which comparisons it is asked, and the asking of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from volition.errors import InputError, Interrupted, JudgeUnavailable
from volition.judges import judge as judge_named
from volition.judges.base import Judge, JudgeOptions, Price
from volition.judging.engine import check_price
from volition.judging.limits import Limits
from volition.judging.prediction import Prediction, predict
from volition.judging.thread import Judging, reuse
from volition.judgment import Failure
from volition.questions.covering import covering
from volition.run.folder import LiveSettings, RunFolder, Settings
from volition.run.interrupting import noted
from volition.run.progress import Listener, Progress
from volition.storage.store import Store
from volition.tasks.task import Task

TICK_S = 0.2  # between two signs of life


def make_judge(task: Task, live: LiveSettings, probe: bool = True, asked: int = 0) -> Judge:
    """The judge that a person chose, for this task.

    Args:
        task: Whose goal it is to judge.
        live: Which judge, and how.
        probe: Whether it is tried first.
        asked: How many questions the run has put to it already.

    Raises:
        InputError: What was chosen is not possible.
        JudgeUnavailable: The judge cannot be asked, or cannot judge.
    """
    try:
        price = None
        if live.price_in is not None and live.price_out is not None:
            price = Price(live.price_in, live.price_out)
        options = JudgeOptions(
            task.stated_goal(),
            task.view,
            task=task.name,
            base_url=live.base_url,
            price=price,
            explain=live.explain,
            per_request=live.per_request,
            samples=live.samples,
            probe=probe,
            known_id=live.judge_id,
            max_usd=live.max_usd,
            asked=asked,
        )
    except ValueError as error:
        raise InputError(str(error)) from None
    if (live.price_in is None) != (live.price_out is None):
        raise InputError("--price-in and --price-out go together")
    return judge_named(live.judge, options)


def tried(live: LiveSettings, judge: Judge) -> LiveSettings:
    """The settings with what is known once the judge was tried: who it is, and what that cost."""
    cost = judge.capability.cost_usd if judge.capability else 0.0
    return replace(live, judge_id=judge.identity.id, probe_usd=cost)


def limits_of(live: LiveSettings) -> Limits:
    """What the judge may use yet, once it was tried.

    Raises:
        InputError: A limit is not possible.
    """
    if live.first < 1:
        raise InputError(f"--first is a number from 1 on, not {live.first}")
    try:
        limits = Limits(live.max_usd, live.max_judgments, live.concurrency)
    except ValueError as error:
        raise InputError(str(error)) from None
    if limits.max_usd is None:
        return limits
    return replace(limits, max_usd=max(0.0, limits.max_usd - live.probe_usd))


def choose_comparisons(
    task: Task,
    live: LiveSettings,
    judge: Judge,
    store: Store,
    goal_id: str,
    seed: int,
    reused: Path | None,
) -> None:
    """Stores what the judge is to be asked, after what it has answered elsewhere already.

    Raises:
        InputError, StoreError: There is nothing to reuse, or a limit cannot be kept.
    """
    known = reuse(reused, store, judge.identity, goal_id) if reused is not None else 0
    whole_requests = -(-live.first // live.per_request) * live.per_request
    first = min(whole_requests, live.max_judgments) - known
    if first > 0:
        comparisons = covering(task, goal_id, first, seed)
        check_price(judge, limits_of(live), comparisons[:1])
        store.add_comparisons(comparisons)


def predict_judging(task: Task, live: LiveSettings, seed: int) -> Prediction:
    """What judging will use at most; nothing is asked, and nothing written."""
    judge, limits = make_judge(task, live, probe=False), limits_of(live)
    comparisons = covering(task, "prediction", live.max_judgments, seed)
    check_price(judge, limits, comparisons[:1])
    return predict(judge, comparisons, limits)


@contextmanager
def judging_live(folder: RunFolder) -> Iterator[Asking | None]:
    """The run's live judge, ready to be asked within the block; None where it has none.

    Raises:
        Interrupted: Ctrl-C was pressed; what was under way has been waited for and stored.
        JudgeUnavailable: The judge cannot be asked. What it answered is stored.
    """
    live = folder.settings.live
    if live is None:
        yield None
        return
    try:
        with Judging(folder.path, limits_of(live), folder.settings.seed) as judging:
            with folder.open_store() as store:
                asked = store.judged_live()
            yield Asking(folder, live, make_judge(folder.task, live, asked=asked), judging)
    except KeyboardInterrupt:
        raise Interrupted(f"stopped while judging; {_kept(folder)}") from None
    except JudgeUnavailable as error:
        raise JudgeUnavailable(f"{error}\n{_kept(folder)}") from None


@dataclass(frozen=True, slots=True)
class Asking:
    """A run's live judge, and what puts questions to it: the store has no other writer."""

    folder: RunFolder
    live: LiveSettings
    judge: Judge
    judging: Judging

    def all_pending(self, store: Store, listener: Listener, meanwhile: Callable[[], None]) -> None:
        """Waits for a verdict on every comparison of the store that has none yet.

        Args:
            store: The run's store, for reading.
            listener: Is told how far this is.
            meanwhile: Is done while the first answers are on their way.

        Raises:
            JudgeUnavailable: The judge cannot be asked.
            InputError: It gave no verdict at all.
        """
        comparisons = store.comparisons()
        answered = {preference.comparison_id for preference in store.preferences()}
        pending = [c for comparison_id, c in comparisons.items() if comparison_id not in answered]
        if not pending:
            return

        def tell() -> None:
            standing = self.judging.standing()
            judged = len(answered) + standing.verdicts
            listener(
                Progress(
                    "judgments",
                    judgments=judged,
                    comparisons=len(comparisons),
                    cost_usd=standing.spent_usd,
                )
            )

        with noted() as pressed:
            self.judging.ask(self.judge, pending, self.folder.task.stated_goal().put_under)
            tell()
            meanwhile()
            while not self.judging.wait(TICK_S):
                if pressed.is_set():
                    raise KeyboardInterrupt
                tell()
        tell()
        if not store.preferences():
            raise InputError(
                f"{self.live.judge} gave no verdict on any of {len(comparisons)} "
                f"comparisons{_why(store)}"
            )


def unjudged(store: Store) -> list[str]:
    """A warning where comparisons have no verdict, and why; else none."""
    missing = len(store.comparison_ids()) - len(store.preferences())
    return [f"{missing} comparisons have no verdict{_why(store)}"] if missing else []


def unasked(store: Store, settings: Settings) -> list[str]:
    """A warning where the policy had learned before its live judge was asked all that it might."""
    live, asked = settings.live, len(store.comparison_ids())
    if live is None or asked >= live.max_judgments:
        return []
    return [
        f"{asked} of at most {live.max_judgments} comparisons were asked by the time the policy "
        f"had learned its {settings.steps} steps: with more --steps, or a larger --first, there is "
        "time for more"
    ]


def _kept(folder: RunFolder) -> str:
    return f"every answer is kept: go on with `volition resume {folder.path}`"


def _why(store: Store) -> str:
    kinds = Counter(j.outcome.kind for j in store.judgments() if isinstance(j.outcome, Failure))
    if not kinds:
        return ": the limits on judgments or dollars allowed no more"
    return " after " + ", ".join(f"{count} x {kind}" for kind, count in kinds.most_common())
