"""What a run's versions are, side by side: all of it read from its folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from volition.goal import Goal
from volition.judgment import Verdict
from volition.run.correcting.asking import JudgedAgain
from volition.run.correcting.changing import TASK
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
    proposed: str = ""


@dataclass(frozen=True, slots=True)
class Versions:
    """All of a run's, and which it is now; none are listed where it was never corrected."""

    now: int
    versions: tuple[Version, ...]


def versions_of(folder: RunFolder, store: Store) -> list[Version]:
    """A run's versions, the first one first; none where it was never corrected."""
    left = {
        int(path.name): _left(folder, path)
        for path in folder.versions_before.glob("*")
        if path.name.isdigit() and (path / CONFIG).is_file()
    }
    folders = {**left, folder.settings.version: folder}
    if len(folders) < 2:
        return []
    results = {number: _result(one) for number, one in folders.items()}
    before = {said.corrected for said in folder.settings.corrections}
    return [
        _version(folders[number], results, number, folder, store, number in before)
        for number in sorted(folders)
    ]


def _version(
    of: RunFolder,
    results: Mapping[int, Result | None],
    number: int,
    run: RunFolder,
    store: Store,
    in_line: bool,
) -> Version:
    result, said = results[number], of.settings.correction
    earlier = results.get(said.corrected) if said else None
    now = number == run.settings.version
    beside = "" if now else f"{of.path.parent.name}/{of.path.name}/"
    as_it_was = RunFolder(run.path, of.task, of.settings)
    judgments = as_it_was.judgments(store)
    return Version(
        number=number,
        now=now,
        undone=not (now or in_line),
        kind=said.kind if said else "",
        said=said.said if said else "",
        goal=of.task.goal_in_parts(),
        judgments=sum(isinstance(judgment.outcome, Verdict) for judgment in judgments),
        again=JudgedAgain(as_it_was, store).standing().told if said else "",
        cost_usd=_since(result, earlier, "cost_usd"),
        env_steps=None if result is None else round(_since(result, earlier, "env_steps") or 0),
        return_mean=result.return_mean if result else None,
        measures=result.measures if result else {},
        film=_beside(of.film, beside),
        report=_beside(of.report, beside),
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
