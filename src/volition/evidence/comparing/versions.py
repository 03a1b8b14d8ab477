"""A version of a run beside the one before, blind, by the judge of the correction between them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from volition.errors import InputError, Interrupted, JudgeUnavailable
from volition.evidence.comparing.contest import ABOUT, About, Contest
from volition.evidence.comparing.result import ContestResult
from volition.judges.base import Judge
from volition.run.asking.live import Asking, limits_of, live_judging
from volition.run.correcting.comparing import left_usd
from volition.run.correcting.versions import comparison_of, folders_of, is_to_be_compared
from volition.run.results import Listener, Progress
from volition.run.run import Run
from volition.storage.documents import read_document
from volition.storage.files import exclusively
from volition.storage.store import Store

STAGE = "comparison"


@dataclass(frozen=True, slots=True)
class VersionsCompared:
    """What came of it.

    Attributes:
        result: None where nothing was judged.
        told: One line for a person.
    """

    result: ContestResult | None
    told: str


def compare_with_before(run: Run, listener: Listener = lambda _: None) -> VersionsCompared | None:
    """Lets a corrected run's live judge compare it with the version before, under the whole goal.

    What was answered is on disk, so that doing it again asks only for what is missing. Nothing is
    done where the run was not corrected, nobody is connected, none of it was wanted, or it has
    been done.

    Raises:
        Interrupted: Ctrl-C was pressed.
        JudgeUnavailable: The judge cannot be asked.
        RunError: The run is unfinished, or in use.
    """
    folder, said = run.folder, run.folder.settings.correction
    if not is_to_be_compared(folder) or said is None:
        return None
    folders, number = folders_of(folder), folder.settings.version
    place = comparison_of(folders, number, folder.path)
    assert place is not None
    run.result  # noqa: B018 (raises where the run is unfinished)
    versions = f"version {number} is not compared with version {said.corrected}"
    by_hand = f"volition compare {folder.path} {folders[said.corrected].path}"
    with folder.open_store() as store:
        spent, judged = store.spent_usd(), store.judged_live()
    usd = left_usd(folder.path, said.most_usd, place)
    usd = None if usd is None else max(0.0, usd - spent)
    most = min(said.compare, said.most_judgments - judged)
    why = ""
    if run.judge.is_missing:
        why = "its judge was given as an object, and is not here"
    elif most < 1 or usd == 0.0:
        why = f"the correction has no {'dollars' if usd == 0.0 else 'judgments'} left"
    if why:
        later = f"`{by_hand} --judge PROVIDER:MODEL` does it, or `--ask FOLDER`"
        return VersionsCompared(None, f"{versions}, since {why}: {later}")
    try:
        with exclusively(folder.path):
            return _judged(run, folders[said.corrected].path, place, most, usd, listener)
    except KeyboardInterrupt:
        raise Interrupted(
            f"stopped before the versions were compared: go on with `volition resume {folder.path}`"
        ) from None
    except Interrupted as error:
        raise Interrupted(f"{error}: go on with `volition resume {folder.path}`") from None
    except JudgeUnavailable as error:
        raise JudgeUnavailable(
            f"{versions}: {error}: go on with `volition resume {folder.path}`"
        ) from None


def _judged(
    run: Run, before: Path, place: Path, most: int, usd: float | None, listener: Listener
) -> VersionsCompared:
    """Acts, unless that has been done; asks for what is missing; and counts."""
    settings, live = run.folder.settings, run.judge.settings
    assert live is not None

    def acted(count: int) -> None:
        told = f"both versions act in {most} pairs of episodes, from the same seeds"
        listener(Progress(STAGE, episodes=count, total_episodes=most, told=told))

    known = read_document(place / ABOUT, About) if (place / ABOUT).is_file() else None
    pairs, seed = (known.pairs, known.seed) if known else (most, 0)
    contest = Contest(str(run.folder.path), str(before), pairs=pairs, seed=seed, acted=acted)
    limits = replace(limits_of(live, most), max_usd=usd)

    def judge(asked_before: int) -> Judge:
        return run.judge.make(replace(contest.matter.assignment, asked_before=asked_before))

    def told(progress: Progress) -> None:
        listener(replace(progress, stage=STAGE))

    why = ""
    if differing := contest.differing():
        asked = [Asking(differing, contest.matter.under)]
        with (
            live_judging(
                contest.folder, judge, contest.matter.under, limits, settings.seed
            ) as asks,
            Store.open(contest.folder) as store,
        ):
            asks.answers(store, asked, told, lambda: None)
            why = asks.why(store)
    try:
        result = contest.conclude()
    except InputError:
        return VersionsCompared(None, f"version {settings.version} is not compared{why}")
    short = f"; {result.unjudged} pairs are left out{why}" if result.unjudged else ""
    return VersionsCompared(result, f"{result.summary}{short}")
