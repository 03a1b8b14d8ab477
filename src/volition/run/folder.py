"""A run is a folder. What it holds, where, and how it is read back."""

from __future__ import annotations

import hashlib
import importlib.metadata
import platform
import shutil
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self, TypeVar

import tomli_w

from volition.envs.scene import scenes_of
from volition.errors import InputError, RunError, StoreError
from volition.judges.settings import JudgeSettings
from volition.questions.seeing import drawing
from volition.storage.documents import read_document, sealed, unsealed
from volition.storage.files import is_free, new_folder
from volition.storage.store import Store
from volition.tasks.given import Given
from volition.tasks.task import Task, bundled_tasks

CONFIG = "config.toml"
SECTIONS = ("settings", "task", "versions")  # of a configuration; the first is where 0.1 begins
UNREADABLE = (KeyError, TypeError, ValueError, InputError, OSError, AttributeError)
T = TypeVar("T")
Table = dict[str, Any]  # of TOML
VERSIONED = ("jax", "equinox", "optax", "gymnasium", "numpy")


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
        try:
            document = unsealed(tomllib.loads(file.read_text(encoding="utf-8")), SECTIONS)
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

    def _document(self) -> Table:
        return {
            "settings": _without_none(asdict(self.settings)),
            "task": self.task.model_dump(mode="json", exclude_none=True),
            "versions": current_versions(),
        }


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
    return RunSettings(**{**tried, **table, "live": judge, "given": given})


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _without_none(table: Table) -> Table:
    """The table as TOML can say it, which leaves out what is not there."""
    return {
        key: _without_none(value) if isinstance(value, dict) else value
        for key, value in table.items()
        if value is not None
    }


def current_versions() -> dict[str, str]:
    """Versions of Volition, Python and what a result depends on."""
    packages = {name: importlib.metadata.version(name) for name in VERSIONED}
    return {
        "volition": importlib.metadata.version("volition"),
        "python": platform.python_version(),
        **packages,
    }
