"""What a run's versions are, side by side: all of it read from its folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from volition.goal import Goal
from volition.judgment import Verdict
from volition.run.correcting.asking import JudgedAgain
from volition.run.correcting.changing import TASK
from volition.run.correcting.comparing import RESULT, Compared, place, read_compared
from volition.run.correcting.proposal.kept import told_of
from volition.run.folder import CONFIG, RunFolder
from volition.run.results import Result
from volition.storage.store import Store


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a run.

    Attributes:
        number: From 1.
        now: Whether the run is this one now.
        undone: Whether it was taken back.
        kind, said: Of the correction that made it; empty of the first.
        proposed: Who wrote that, and of what, where it was proposed.
        goal: By then, in words.
        judgments: From which it learns, once it has.
        again: What was judged again for it; empty of the first.
        cost_usd: What its judging did cost; None while it is unfinished.
        env_steps: Environment steps that it took, likewise.
        return_mean: By the environment's own reward, likewise.
        measures: What was measured of it besides.
        film, report: Beside the run's own page, where they are there.
        before: The number of the version of which it was said; None of the first.
        asked: Pairs that were judged again for it; and
        kept: those that were not, so that their answer counts as it was.
        new: Pairs that were judged for it and had not been before.
        compared: What came of comparing it with the version before, blind; None where nobody has.
    """

    number: int
    now: bool
    undone: bool
    kind: str
    said: str
    goal: Goal
    judgments: int
    again: str
    cost_usd: float | None
    env_steps: int | None
    return_mean: float | None
    measures: Mapping[str, float] = field(default_factory=dict)
    film: str = ""
    report: str = ""
    before: int | None = None
    asked: int = 0
    kept: int = 0
    new: int = 0
    compared: Compared | None = None
    proposed: str = ""


@dataclass(frozen=True, slots=True)
class Versions:
    """All of a run's, and which it is now; none are listed where it was never corrected."""

    now: int
    versions: tuple[Version, ...]


def versions_of(folder: RunFolder, store: Store) -> list[Version]:
    """A run's versions, the first one first; none where it was never corrected."""
    folders = folders_of(folder)
    if len(folders) < 2:
        return []
    return [_version(folders, number, folder, store) for number in sorted(folders)]


def folders_of(run: RunFolder) -> dict[int, RunFolder]:
    """Each version's own folder, by its number: that of the run is the newest one's."""
    left = {
        int(path.name): _left(run, path)
        for path in run.versions_before.glob("*")
        if path.name.isdigit() and (path / CONFIG).is_file()
    }
    return {**left, run.settings.version: run}


def comparison_of(folders: Mapping[int, RunFolder], number: int, run: Path) -> Path | None:
    """Where the comparison of a version with the one before is kept; None where there is none."""
    said = folders[number].settings.correction
    if said is None or said.corrected not in folders:
        return None
    numbers = number, said.corrected
    return place(run, numbers, (folders[number].path, folders[said.corrected].path))


def is_to_be_compared(run: RunFolder) -> bool:
    """Whether the newest version is to be compared with the one before by a live judge, and nobody
    has counted yet what that came to."""
    said = run.settings.correction
    if said is None or said.live is None or not said.compare:
        return False
    comparison = comparison_of(folders_of(run), run.settings.version, run.path)
    return comparison is not None and not (comparison / RESULT).is_file()


def _version(
    folders: Mapping[int, RunFolder], number: int, run: RunFolder, store: Store
) -> Version:
    of, said = folders[number], folders[number].settings.correction
    result = _result(of)
    earlier = _result(folders[said.corrected]) if said and said.corrected in folders else None
    now = number == run.settings.version
    in_line = number in {said.corrected for said in run.settings.corrections}
    beside = "" if now else f"{of.path.parent.name}/{of.path.name}/"
    as_it_was = RunFolder(run.path, of.task, of.settings)
    judgments, again = as_it_was.judgments(store), JudgedAgain(as_it_was, store) if said else None
    standing = again.standing() if again else None
    answered = {j.comparison_id for j in judgments if isinstance(j.outcome, Verdict)}
    comparison = comparison_of(folders, number, run.path)
    return Version(
        number=number,
        now=now,
        undone=not (now or in_line),
        kind=said.kind if said else "",
        said=said.said if said else "",
        goal=of.task.goal_in_parts(),
        judgments=sum(isinstance(judgment.outcome, Verdict) for judgment in judgments),
        again=standing.told if standing else "",
        cost_usd=_since(result, earlier, "cost_usd"),
        env_steps=None if result is None else round(_since(result, earlier, "env_steps") or 0),
        return_mean=result.return_mean if result else None,
        measures=result.measures if result else {},
        film=_beside(of.film, beside),
        report=_beside(of.report, beside),
        before=said.corrected if said else None,
        asked=standing.asked if standing else 0,
        kept=standing.judged - standing.asked if standing else 0,
        new=len(answered.intersection(again.asked_about_now())) if again else 0,
        compared=read_compared(run.path, comparison) if comparison else None,
        proposed=told_of(run.proposals / said.proposal) if said and said.proposal else "",
    )


def _since(result: Result | None, earlier: Result | None, name: str) -> float | None:
    if result is None:
        return None
    return float(getattr(result, name)) - (float(getattr(earlier, name)) if earlier else 0.0)


def _beside(file: Path, beside: str) -> str:
    return f"{beside}{file.name}" if file.is_file() else ""


def _left(run: RunFolder, path: Path) -> RunFolder:
    """A version that was left, with the run's own files of its goal."""
    left = RunFolder.read_config(path)
    task = left.task.model_copy(update={"folder": run.path / TASK})
    return RunFolder(path, task, left.settings)


def _result(folder: RunFolder) -> Result | None:
    return folder.read(folder.result, Result) if folder.result.is_file() else None


def told(versions: Sequence[Version]) -> list[str]:
    """The versions as lines for a terminal."""
    lines = []
    for version in versions:
        state = " (now)" if version.now else " (taken back)" if version.undone else ""
        said = f'{version.kind}: "{version.said}"' if version.said else f'"{version.goal.text}"'
        lines.append(f"version {version.number}{state}, {said}")
        if version.proposed:
            lines.append(f"    {version.proposed}")
        lines.append(f"    {version.judgments} judgments" + _measured(version))
        if version.again:
            lines.append(f"    {version.again}")
        if version.compared:
            lines.append(f"    against version {version.before}: {version.compared.told}")
        if version.film:
            lines.append(f"    film: {version.film}")
    return lines


def _measured(version: Version) -> str:
    if version.return_mean is None:
        return ", unfinished"
    measures = "".join(f", {name} {mean:.4g}" for name, mean in version.measures.items())
    return (
        f", {version.env_steps:,} steps, ${version.cost_usd:.4f}, "
        f"true return {version.return_mean:.1f}{measures} (evaluation only)"
    )
