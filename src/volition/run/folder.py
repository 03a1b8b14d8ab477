"""A run is a folder. What it holds, where, and how it is read back."""

from __future__ import annotations

import hashlib
import importlib.metadata
import platform
import secrets
import shutil
import tomllib
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Self, TypeVar

import tomli_w

from volition.envs.scene import scenes_of
from volition.errors import InputError, RunError, StoreError
from volition.goal import KINDS, Change, Kind, Principles
from volition.judges.settings import JudgeSettings
from volition.judgment import (
    JudgeIdentity,
    Judgment,
    Preference,
    as_people_say,
    derive_preferences,
    that_count,
)
from volition.questions.seeing import drawing
from volition.run.correcting.changing import VERSIONS, complete
from volition.run.gaming.record import GAMING, read_record
from volition.storage.documents import read_document, sealed, unsealed
from volition.storage.files import is_free, new_folder
from volition.storage.labels import LABELS, LabelLog, take_in
from volition.storage.store import Store
from volition.storage.tracking.tensorboard import Curves
from volition.storage.tracking.trackers import Subject, Together, Tracker
from volition.tasks.given import Given
from volition.tasks.task import Task, bundled_tasks

CONFIG = "config.toml"
FORMAT = 2  # of a run folder; 1 are those of 0.1, which say no number and are read as well
SECTIONS = ("settings", "task", "versions")  # of a configuration; the first is where 0.1 begins
UNREADABLE = (KeyError, TypeError, ValueError, InputError, OSError, AttributeError)
T = TypeVar("T")
Table = dict[str, Any]  # of TOML
VERSIONED = ("jax", "equinox", "optax", "gymnasium", "numpy")


@dataclass(frozen=True, slots=True)
class Correction:
    """What a person said of one version of a run, by which the next one was made.

    Attributes:
        kind: Of the change: `principle`, `veto` or `goal`.
        said: Its words.
        corrected: The number of the version of which it was said.
        begun: Environment steps that had been taken by then.
        ends: At the latest when so many have been.
        live: The live judge, where one is asked; else answers come in rounds.
        judge_id: Of the live judge, where it was tried.
        probe_usd: US dollars that trying it did cost.
        most_judgments: As many may have been asked of live judges by its end, from the first on,
            what compares this version with the one before among them.
        most_usd: Likewise US dollars, those of earlier comparisons among them; None is no limit.
        questions: How many of them may be about what the policy does now.
        compare: How many pairs of episodes may compare this version with the one before.
        proposal: Of what the person said or overruled, by its id, if there was one.
    """

    kind: Kind
    said: str
    corrected: int
    begun: int
    ends: int
    live: JudgeSettings | None = None
    judge_id: str | None = None
    probe_usd: float = 0.0
    most_judgments: int = 0
    most_usd: float | None = None
    questions: int = 0
    compare: int = 0
    proposal: str = ""

    @property
    def change(self) -> Change:
        return Change(self.kind, self.said)

    @property
    def most_learned_from(self) -> int:
        """As `most_judgments`, but for what compares the versions."""
        return self.most_judgments - self.compare


@dataclass(frozen=True, slots=True)
class RunSettings:
    """What was chosen for a run, beside the task itself.

    Attributes:
        judgments: Name of one of the task's sets of recorded judgments, or a path; empty where a
            live judge is asked.
        symmetric: Whether the reward model uses the symmetries that the task declares.
        steps: Environment steps in all.
        seed: Of everything random.
        envs: Environments side by side.
        episodes: Episodes of the evaluation.
        live: The live judge, where there is one.
        judge_id: Of the live judge that was found able.
        probe_usd: US dollars that trying it did cost.
        given: How the task was named; None of runs before 0.2.
        found: Of what the task left open, how it was found out, by the keys of task.toml.
        version: 1, and one more with each correction in words.
        corrections: Those that made this version, the first one first.
        goal_ids: Of the goals whose judgments count, each made from the one before; all that there
            are where there are none.
        track: What follows the run beside TensorBoard, of `TRACKERS`.
        tracked_as: By which id.
    """

    judgments: str
    symmetric: bool
    steps: int
    seed: int
    envs: int = 4
    episodes: int = 100
    live: JudgeSettings | None = None
    judge_id: str | None = None
    probe_usd: float = 0.0
    given: Given | None = None
    found: Mapping[str, str] = field(default_factory=dict)
    version: int = 1
    corrections: tuple[Correction, ...] = ()
    goal_ids: tuple[str, ...] = ()
    track: tuple[str, ...] = ()
    tracked_as: str = ""

    def tracked_by(self, names: Sequence[str]) -> RunSettings:
        """The same, followed by these; the id is no draw of the run's own, which its seed
        decides."""
        if not names:
            return self
        return replace(self, track=tuple(dict.fromkeys(names)), tracked_as=secrets.token_hex(4))

    @property
    def correction(self) -> Correction | None:
        """By which this version was made; None of the first."""
        return self.corrections[-1] if self.corrections else None

    @property
    def most_steps(self) -> int:
        """Environment steps in all, at most."""
        return self.corrections[-1].ends if self.corrections else self.steps

    @property
    def judge(self) -> JudgeSettings | None:
        """The live judge of this version, where there is one."""
        return self.corrections[-1].live if self.corrections else self.live

    @property
    def known_judge(self) -> str | None:
        """The id of that judge, where it was found able."""
        said = self.correction
        return said.judge_id if said and said.judge_id else self.judge_id

    @property
    def probing_usd(self) -> float:
        """US dollars that trying live judges did cost."""
        return self.probe_usd + sum(said.probe_usd for said in self.corrections)


@dataclass(frozen=True, slots=True)
class RunFolder:
    """The paths of a run, its task and its settings."""

    path: Path
    task: Task
    settings: RunSettings

    checkpoint = property(lambda self: self.path / "checkpoint.safetensors")
    reward_model = property(lambda self: self.path / "reward_model")
    policy = property(lambda self: self.path / "policy")
    kept = property(lambda self: self.path / "kept")
    tensorboard = property(lambda self: self.path / "tensorboard")
    sheets = property(lambda self: self.path / "sheets")
    film = property(lambda self: self.path / "policy.mp4")
    evaluation = property(lambda self: self.path / "evaluation.json")
    result = property(lambda self: self.path / "result.json")
    report = property(lambda self: self.path / "report.html")
    labels = property(lambda self: self.path / LABELS)
    audit = property(lambda self: self.path / "audit.json")
    control = property(lambda self: self.path / "control.json")
    progress = property(lambda self: self.path / "progress.json")
    versions_before = property(lambda self: self.path / VERSIONS)
    proposals = property(lambda self: self.path / "proposals")
    gaming = property(lambda self: self.path / GAMING)

    @classmethod
    @contextmanager
    def create(cls, path: Path, task: Task, settings: RunSettings) -> Iterator[Self]:
        """A new run folder with its configuration and the goal's files in it.

        It takes its place when the block that fills it ends well: all of it, or nothing.

        Raises:
            RunError: The folder is there already, or cannot be written.
        """
        if not is_free(path):
            hint = f", or go on with `volition resume {path}`" if (path / CONFIG).is_file() else ""
            raise RunError(f"{path} is there already: choose another folder with --out{hint}")
        names = {file: f"{n}-{Path(file).name}" for n, file in enumerate(task.goal.files)}
        try:
            with new_folder(path) as partial:
                run = cls(partial, task.with_files(names, partial / "task"), settings)
                run.task.folder.mkdir()
                for file, name in names.items():
                    shutil.copyfile(task.folder / file, run.task.folder / name)
                yield run
                document = {**run._document(), "files": dict(run._digests())}
                (partial / CONFIG).write_text(tomli_w.dumps(sealed(document)), encoding="utf-8")
        except OSError as error:
            raise RunError(f"{path} cannot be written: {error}") from error

    @classmethod
    def open(cls, path: Path) -> Self:
        """The run in a folder.

        Raises:
            RunError: It is no run folder, or its configuration was changed into something else.
        """
        file = path / CONFIG
        if not file.is_file():
            raise RunError(f"{path} holds no {CONFIG}: it is not a run folder")
        complete(path)
        return cls.read_config(path)

    @classmethod
    def read_config(cls, path: Path) -> Self:
        """The run whose configuration is in a folder, which may be a version of another.

        Raises:
            RunError: It was changed into something else.
        """
        file = path / CONFIG
        try:
            document = tomllib.loads(file.read_text(encoding="utf-8"))
            _check_format(path, document)
            document = unsealed(document, SECTIONS)
            task = Task.model_validate({**document["task"], "folder": path / "task"})
            if task.goal.truth is None and document["versions"]["volition"] == "0.1.0":
                task = _with_truth(task)
            run = cls(path, task, _settings(document["settings"]))
        except UNREADABLE as error:
            why = " ".join(str(error).split())[:300]
            raise RunError(f"{file} is not a run's configuration: {why}") from error
        for name in task.goal.files:
            if (run.task.folder / name).is_file():  # whoever only compares policies needs none
                run._check_file(f"task/{name}", document.get("files", {}))
        return run

    def check_files(self) -> list[str]:
        """One line for each file that came with the run and is not as it was."""
        text = (self.path / CONFIG).read_text(encoding="utf-8")
        digests = tomllib.loads(text).get("files", {})
        defects = []
        for name in digests:
            try:
                self._check_file(name, digests)
            except RunError as error:
                defects.append(str(error))
        return defects

    def _check_file(self, name: str, digests: Mapping[str, str]) -> None:
        """That one of the run's files is as it was; runs of 0.1 do not say how that was."""
        file = self.path / name
        if not file.is_file():
            raise RunError(f"{file} is missing: restore it from a copy")
        if name in digests and _digest(file) != digests[name]:
            raise RunError(f"{file} is not as it was when the run began: restore it from a copy")

    def _digests(self) -> Iterator[tuple[str, str]]:
        """What the run's files hold that are neither its own nor the store's, by their paths."""
        for folder in (self.task.folder, self.sheets):
            for file in sorted(folder.glob("*")):
                yield f"{folder.name}/{file.name}", _digest(file)

    def open_store(self) -> Store:
        """The run's store.

        Raises:
            StoreError: There is none, or a row of it is not as it was stored.
        """
        draw = drawing(scenes_of(self.task.environment), self.task.view)
        store = Store.open(self.path, draw)
        try:
            store.check()
        except StoreError:
            store.close()
            raise
        return store

    def take_in_labels(self, store: Store) -> int:
        """Makes judgments of what people have answered so far; returns how many answers that are.

        Raises:
            StoreError: One of them was changed.
        """
        log = LabelLog(self.path)
        log.refresh()
        if log.labels:
            take_in(log.labels, store)
        return len(log.labels)

    def judgments(self, store: Store) -> list[Judgment]:
        """Those from which this version learns: people's overrule those of others."""
        return self.counting(store.judgments(), store)

    def counting(
        self, said: Sequence[Judgment], store: Store, people: Collection[str] | None = None
    ) -> list[Judgment]:
        """Those of them from which this version learns.

        Args:
            said: All judgments of the store, as of one moment.
            store: The store.
            people: The ids of the judges who overrule others; by default of those who are people.
        """
        if people is None:
            people = [name for name, judge in store.judges().items() if judge.is_person]
        probes = {probe.comparison_id for probe in read_record(self.path).probes}
        if probes:
            said = [judgment for judgment in said if judgment.comparison_id not in probes]
        goal_ids, judgments = self.settings.goal_ids, as_people_say(said, people)
        if not goal_ids:
            return judgments
        return that_count(judgments, store.put(), goal_ids, self.task.stated_goal().by_vetoes)

    def preferences(self, store: Store) -> list[Preference]:
        """What a learner may use, derived anew from these."""
        return derive_preferences(self.judgments(store))

    def judges(self, store: Store) -> dict[str, JudgeIdentity]:
        """Who judged what this version learns from, by id."""
        judges = store.judges()
        if not self.settings.goal_ids:
            return judges
        judged = {judgment.judge_id for judgment in self.judgments(store)}
        return {name: judge for name, judge in judges.items() if name in judged}

    def comparison_ids(self, store: Store) -> list[str]:
        """Every comparison that was put under the goal of this version."""
        if not self.settings.goal_ids:
            return store.comparison_ids()
        goal_id = self.settings.goal_ids[-1]
        return [name for name, put in store.put().items() if put.goal_id == goal_id]

    def open_curves(self, judges: Collection[JudgeIdentity], done: int | None) -> Tracker:
        """What the numbers of this run are told as it learns.

        Args:
            judges: Who judges.
            done: As of `Curves`.

        Raises:
            RunError: They cannot be written.
        """
        curves, settings = Curves(self.tensorboard, done), self.settings
        if not settings.track:
            return curves
        simulated = any(judge.simulated for judge in judges)
        config = {
            "task": self.task.name,
            "environment": self.task.environment.id,
            "goal": self.task.stated_goal().text,
            "judge": ", ".join(sorted({judge.name for judge in judges})),
            "simulated": simulated,
            "seed": settings.seed,
            "steps": settings.most_steps,
            "version": settings.version,
            **self.versions(),
        }
        name = self.path.resolve().name
        subject = Subject(name, settings.tracked_as, self.path, config, simulated)
        return Together(curves, settings.track, subject)

    def put_under(self) -> Principles:
        """What one judgment of this version is put under, as of `Goal`."""
        said = [correction.change for correction in self.settings.corrections]
        return self.task.stated_goal().put_under_after(said)

    def read(self, file: Path, kind: type[T]) -> T:
        """One of the run's JSON files, as the value of that kind.

        Raises:
            RunError: It is not there yet, or damaged.
        """
        if not file.is_file():
            raise RunError(
                f"{self.path} is unfinished: it has no {file.name} yet; "
                f"go on with `volition resume {self.path}`"
            )
        return read_document(file, kind)

    def versions(self) -> dict[str, str]:
        """The versions that the run was made with, as its configuration says."""
        document = tomllib.loads((self.path / CONFIG).read_text(encoding="utf-8"))
        return dict(document["versions"])

    def written(self) -> str:
        """The text of a configuration that says what this one now says.

        Which versions made the run, and what came with it, stay as they were.
        """
        before = tomllib.loads((self.path / CONFIG).read_text(encoding="utf-8"))
        kept: Table = {name: before[name] for name in ("versions", "files") if name in before}
        return tomli_w.dumps(sealed({**self._document(), **kept}))

    def _document(self) -> Table:
        return {
            "format": FORMAT,
            "settings": _without_none(asdict(self.settings)),
            "task": self.task.model_dump(mode="json", exclude_none=True),
            "versions": current_versions(),
        }


def _check_format(path: Path, document: Mapping[str, Any]) -> None:
    """That this program reads such a run.

    Raises:
        RunError: A newer one made it.
    """
    number = document.get("format", 1)
    if isinstance(number, int) and number > FORMAT:
        made = document.get("versions", {}).get("volition", "a newer version")
        raise RunError(
            f"{path} is a run of format {number}, made by Volition {made}, and this one reads up "
            f"to {FORMAT}: install that version"
        )


def _with_truth(task: Task) -> Task:
    """The task of a run of 0.1, whose configuration does not say what is true of its goal."""
    for bundled in bundled_tasks():
        same_goal = bundled.goal.text == task.goal.text
        if same_goal and (bundled.name, bundled.environment.id) == (task.name, task.environment.id):
            goal = task.goal.model_copy(update={"truth": bundled.goal.truth})
            return task.model_copy(update={"goal": goal})
    return task


def _settings(table: Mapping[str, Any]) -> RunSettings:
    """The settings in config.toml; those of 0.1 say of the live judge who it was found to be."""
    live = dict(table.get("live", {}))
    tried = {name: live.pop(name) for name in ("judge_id", "probe_usd") if name in live}
    judge = JudgeSettings(**live) if live else None
    given = Given(**table["given"]) if "given" in table else None
    lists: Table = {
        "corrections": tuple(_correction(row) for row in table.get("corrections", ())),
        "goal_ids": tuple(table.get("goal_ids", ())),
        "track": tuple(table.get("track", ())),
    }
    return RunSettings(**{**tried, **table, **lists, "live": judge, "given": given})


def _correction(row: Mapping[str, Any]) -> Correction:
    live = JudgeSettings(**row["live"]) if "live" in row else None
    correction = Correction(**{**row, "live": live})
    if correction.kind not in KINDS:
        raise ValueError(f"a correction is one of {KINDS}, not {correction.kind!r}")
    return correction


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _without_none(table: Table) -> Table:
    """The table as TOML can say it, which leaves out what is not there."""
    return {key: _said(value) for key, value in table.items() if value is not None}


def _said(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_said(one) for one in value]
    return _without_none(value) if isinstance(value, dict) else value


def current_versions() -> dict[str, str]:
    """Versions of Volition, Python and what a result depends on."""
    packages = {name: importlib.metadata.version(name) for name in VERSIONED}
    return {
        "volition": importlib.metadata.version("volition"),
        "python": platform.python_version(),
        **packages,
    }
