"""A task folder: `task.toml`, goal pictures and recorded judgments, read and checked."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, field_validator, model_validator

from volition.errors import InputError, StoreError
from volition.goal import Goal, GoalStage, Principle, in_one, read_constitution
from volition.storage.pictures import read_frame
from volition.tasks.numbers import COUNTS, shown
from volition.tasks.toml import (
    Place,
    by_goal,
    check_format,
    check_kwargs,
    explain,
    line_of,
    read_toml,
)
from volition.tasks.truth import TRUTHS
from volition.tasks.view import JudgeView, Number, Section, Whole

TASK_FILE = "task.toml"
BUNDLED = Path(__file__).parent / "bundled"
FORMAT = 1  # of task.toml; one more with each change that an older Volition would read wrongly

MOST_SENTENCES, LONGEST_SENTENCE = 100, 4000  # of principles and vetoes; characters of each
LONGEST_GOAL = 20_000  # characters
HIDDEN = ("folder", "chosen", "more_kwargs", "is_file")  # what a Task knows of itself

Kwargs = dict[str, Any]
"""Keyword arguments of an environment, as `gymnasium.make` takes them."""


class EnvironmentSection(Section):
    """Which environment, as `gymnasium.make` takes it."""

    id: str = Field(min_length=1, max_length=200, pattern=r"^[^\s:]+(:[^\s:]+)?$")
    kwargs: Kwargs = Field(default={})
    home: str | None = None
    """A folder in which the module that the id names is looked for, too."""

    def model_post_init(self, _: Any) -> None:
        """Python has one list of places where modules are, wherever this is read."""
        if self.home is not None and self.home not in sys.path:
            sys.path.append(self.home)

    def beside(self, folder: Path) -> Self:
        """The same, and looked for in that folder if the module that its id names lies there."""
        module, colon, _ = self.id.partition(":")
        places = folder / module.partition(".")[0], folder / f"{module}.py"
        if not colon or self.home is not None or not any(place.exists() for place in places):
            return self
        return type(self)(id=self.id, kwargs=self.kwargs, home=str(folder.absolute()))


class StageSection(Section):
    """One of several things that are wanted in turn, as of `GoalStage`."""

    text: str = Field(min_length=1)
    done: str = ""

    @model_validator(mode="after")
    def _stage_says_something(self) -> Self:
        GoalStage(self.text, self.done)
        return self


class GoalSection(Section):
    """The goal in words and pictures; the paths of files are relative to the task folder."""

    text: str = Field(min_length=1, max_length=LONGEST_GOAL)
    images: tuple[str, ...] = ()
    counterexamples: tuple[str, ...] = ()
    principles: tuple[str, ...] = ()
    vetoes: tuple[str, ...] = ()
    stages: tuple[StageSection, ...] = ()
    """What is wanted in turn, where that is several things."""
    constitution: str | None = None
    """A file with further principles and vetoes, likewise relative."""
    together: bool = False
    """Whether what stands in the constitution is judged all at once, as part of the goal's words,
    and not each sentence by itself."""
    truth: str | None = None
    """What is true of it, by its name in `volition.tasks.truth`; for simulated judges and for
    evaluation only."""

    @field_validator("text")
    @classmethod
    def _text_says_something(cls, text: str) -> str:
        if not text.strip():
            raise ValueError("a goal needs words: its text is empty")
        return text

    @field_validator("truth")
    @classmethod
    def _truth_is_known(cls, truth: str | None) -> str | None:
        if truth is not None and truth not in TRUTHS:
            raise ValueError(f"{truth!r} is none of {', '.join(sorted(TRUTHS))}")
        return truth

    @property
    def files(self) -> tuple[str, ...]:
        """All that belongs to the goal and stands in files of its own, each once."""
        constitution = [self.constitution] if self.constitution else []
        return tuple(dict.fromkeys((*self.images, *self.counterexamples, *constitution)))


class Symmetry(Section):
    """A change of an observation that leaves the goal as well represented as before.

    Attributes:
        name: For a person to read.
        negate: The observation entries whose sign changes.
    """

    name: str = Field(min_length=1)
    negate: tuple[Annotated[Whole, Field(ge=0)], ...] = Field(min_length=1)

    @field_validator("negate")
    @classmethod
    def _entries_differ(cls, negate: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(negate)) < len(negate):
            raise ValueError(f"it names an entry twice: {list(negate)}")
        return negate


class RewardSection(Section):
    """What the reward model is given.

    Attributes:
        observations: The observation entries that a judge can see in a frame; all by default.
        symmetries: Declared symmetries of the goal; used where the user opts in.
        person_weight: As how many judgments one answer of a person counts.
        sees: By what it learns from judgments: observations, or the pictures that were judged, of
            which observations are then to tell as much as they can; or whichever foretells more of
            the judgments.
    """

    observations: tuple[Annotated[Whole, Field(ge=0)], ...] | None = None
    symmetries: tuple[Symmetry, ...] = ()
    person_weight: Annotated[Whole, Field(ge=1, le=100)] = 1
    sees: Literal["observations", "pictures", "auto"] = "observations"

    @model_validator(mode="after")
    def _observations_differ(self) -> Self:
        if self.observations is not None:
            if not self.observations:
                raise ValueError("observations names no entry: the reward model would see nothing")
            if len(set(self.observations)) < len(self.observations):
                raise ValueError(f"observations names an entry twice: {list(self.observations)}")
        return self


class JudgmentsSection(Section):
    """The folders of recorded judgments by name, and which is taken by default."""

    default: str
    sets: dict[str, str] = Field(min_length=1)

    @model_validator(mode="after")
    def _default_is_a_set(self) -> Self:
        if self.default not in self.sets:
            raise ValueError(f"default is {self.default!r}, which is none of {sorted(self.sets)}")
        return self


class TrainingSection(Section):
    """How long to train, how far ahead the policy looks, and how many judgments that takes.

    Attributes:
        algorithm: The learner; `auto` is SAC where observations and actions are vectors of numbers,
            otherwise PPO.
        steps: Environment steps at most.
        gamma: Discount factor of one environment step.
        max_judgments: Comparisons that are put to a live judge; found out where it is None.
        first_judgments: Those of them that cover the environment's states, before the policy begins
            to learn; the others are about what it does then.
    """

    algorithm: Literal["auto", "sac", "ppo"] = "auto"
    steps: Annotated[Whole, Field(ge=100, le=COUNTS["steps"].most)] = 256_000
    gamma: Annotated[Number, Field(gt=0, lt=1)] = 0.99
    max_judgments: Annotated[Whole, Field(ge=1, le=COUNTS["max_judgments"].most)] | None = None
    first_judgments: Annotated[Whole, Field(ge=1, le=COUNTS["first"].most)] = 30


class AlarmSection(Section):
    """What is done where a policy seems to exploit an error of the reward model.

    Attributes:
        action: `tell` says it; `ask` says it and checks what is rewarded most until reward model
            and judge agree again, within the questions that are allowed; `caution` does likewise,
            and meanwhile makes less of what the reward model's members disagree about; `stop` ends
            learning. `off` checks nothing.
    """

    action: Literal["ask", "tell", "caution", "stop", "off"] = "ask"


class Task(Section):
    """A task: an environment, a goal, and what the judge and the reward model see."""

    name: str = Field(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    summary: str = ""
    environment: EnvironmentSection
    goal: GoalSection
    view: JudgeView = JudgeView()
    reward: RewardSection = RewardSection()
    judgments: JudgmentsSection | None = None
    training: TrainingSection = TrainingSection()
    alarm: AlarmSection = AlarmSection()
    folder: Path = Field(default=Path(), exclude=True)

    chosen: str | None = Field(default=None, exclude=True)
    """Which of the goals of task.toml this is, where it names several."""

    more_kwargs: Kwargs = Field(default={}, exclude=True)
    """What the environment is made with beside, or in place of, what task.toml says."""

    is_file: bool = Field(default=False, exclude=True)
    """Whether it was read from `folder`."""

    @classmethod
    def find(cls, name_or_path: str, goal: str | None = None) -> Self:
        """The bundled task of that name, or the task in that folder.

        Args:
            name_or_path: Of the task.
            goal: One of its goals by name, where it has several; else its default one.

        Raises:
            InputError: There is no such task or goal, or its file is not as it must be.
        """
        folder = Path(name_or_path)
        if not (folder / TASK_FILE).is_file():
            bundled = BUNDLED / name_or_path
            if name_or_path in bundled_names():
                folder = bundled
            elif (folder / TASK_FILE).is_dir():
                raise InputError(f"{folder / TASK_FILE} is a folder, and must be a file")
            elif folder.is_dir():
                raise InputError(f"{folder} holds no {TASK_FILE}: it is not a task folder")
            else:
                raise InputError(
                    f"there is no task {shown(name_or_path)}: it is neither a folder nor one of "
                    f"the bundled tasks ({', '.join(bundled_names())})"
                )
        return cls.read(folder, goal)

    @classmethod
    def read(cls, folder: Path, goal: str | None = None) -> Self:
        """The task in `folder`, with the goal of that name where it has several.

        Raises:
            InputError: There is no such goal, or task.toml is wrong: it names file, line, key and
                what is allowed.
        """
        tasks = cls.read_all(folder)
        if goal is None:
            return next(iter(tasks.values()))
        if goal not in tasks:
            named = [name for name in tasks if name]
            has = f"its goals are {', '.join(named)}" if named else "its one goal has no name"
            raise InputError(f"{folder / TASK_FILE}: there is no goal {goal!r}: {has}")
        return tasks[goal]

    @classmethod
    def read_all(cls, folder: Path) -> dict[str | None, Self]:
        """A task for each goal of the one in `folder`, the default one first.

        Every goal is checked, whichever is wanted. A single goal's name is None.

        Raises:
            InputError: Its task.toml names file, line, key and what is allowed.
        """
        path = folder / TASK_FILE
        text, document = read_toml(path)
        if hidden := [key for key in document if key in HIDDEN]:
            raise InputError(
                f"{path}:{line_of(text, hidden[:1])}: {hidden[0]}: there is no such key"
            )
        check_format(path, text, document, FORMAT)
        tasks = {}
        for name, resolved in by_goal(path, text, document).items():
            where = Place(path, text, name, document.get("goals", {}).get(name, {}))
            try:
                read = {"folder": folder, "chosen": name, "is_file": True}
                task = cls.model_validate({**resolved, **read})
                found = {"environment": task.environment.beside(folder)}
                task = task.model_copy(update=found)
            except ValidationError as error:
                raise InputError(explain(where, error, cls)) from None
            _check_files(task, where)
            tasks[name] = task
        return tasks

    def stated_goal(self) -> Goal:
        """The goal as judges are told it.

        Raises:
            InputError: As of `goal_in_parts`, or it has stages and principles beside them.
        """
        if self.goal.together:
            goal = self._goal(in_one(self.goal.text, self._constitution()), [])
        else:
            goal = self.goal_in_parts()
        if goal.stages and goal.principles:
            raise InputError(
                f"the goal of {self.name} has stages, each judged by itself, and beside "
                f"them the principle {goal.principles[0]!r}: say it in a stage, or make it part of "
                "the goal's words, in a constitution with goal.together = true"
            )
        return goal

    def goal_in_parts(self) -> Goal:
        """The goal, with the paths of its pictures resolved and its constitution read.

        Raises:
            InputError: The constitution cannot be read, or says nothing; or a principle is empty,
                or a veto, too.
        """
        return self._goal(self.goal.text, self._constitution())

    def _goal(self, text: str, further: Sequence[Principle]) -> Goal:
        own = (*self.goal.principles, *self.goal.vetoes)
        _check_sentences(f"the goal of {self.name}", [*own, *(each.text for each in further)])
        try:
            return Goal(
                text,
                [self.folder / image for image in self.goal.images],
                [self.folder / image for image in self.goal.counterexamples],
                _each_once(self.goal.principles, [p.text for p in further if not p.veto]),
                _each_once(self.goal.vetoes, [p.text for p in further if p.veto]),
                [GoalStage(stage.text, stage.done) for stage in self.goal.stages],
            )
        except ValueError as error:
            raise InputError(f"the goal of {self.name}: {error}") from None

    def _constitution(self) -> list[Principle]:
        if self.goal.constitution is None:
            return []
        path = self.folder / self.goal.constitution
        try:
            principles = read_constitution(path.read_text(encoding="utf-8-sig"))
        except UnicodeDecodeError:
            raise InputError(f"{path} is not UTF-8 text: save it as UTF-8") from None
        except OSError as error:
            raise InputError(f"{path} cannot be read: {error.strerror}") from error
        if not principles:
            raise InputError(f"{path} holds no principle: write one on each line")
        _check_sentences(str(path), [principle.text for principle in principles])
        return principles

    def with_files(self, names: Mapping[str, str], folder: Path) -> Self:
        """The same task in another folder, where its goal's files have other names."""
        changed = {
            "images": tuple(names[picture] for picture in self.goal.images),
            "counterexamples": tuple(names[picture] for picture in self.goal.counterexamples),
            "constitution": self.goal.constitution and names[self.goal.constitution],
        }
        goal = self.goal.model_copy(update=changed)
        return self.model_copy(update={"goal": goal, "folder": folder})

    def with_kwargs(self, kwargs: Mapping[str, Any]) -> Self:
        """The same task in its environment made with these keyword arguments, too.

        Raises:
            InputError: One of them cannot be kept in a run.
        """
        check_kwargs(kwargs)
        made = self.environment.model_copy(update={"kwargs": {**self.environment.kwargs, **kwargs}})
        more = {**self.more_kwargs, **kwargs}
        return self.model_copy(update={"environment": made, "more_kwargs": more})

    def judgments_folder(self, chosen: str | None) -> Path:
        """Where the judgments named `chosen` are: a set of this task, or any path.

        Raises:
            InputError: There is no such set and no such path, or the task has no judgments.
        """
        sets = self.judgments.sets if self.judgments else {}
        if chosen is None:
            if self.judgments is None:
                raise InputError(
                    f"the task {self.name} needs a judge, and has no recorded judgments of its "
                    "own: name a judge with --judge PROVIDER:MODEL, or give judgments with "
                    "--judgments PATH"
                )
            chosen = self.judgments.default
        path = self.folder / sets[chosen] if chosen in sets else Path(chosen)
        if not chosen or not path.exists():
            named = f" or one of the task's sets ({', '.join(sets)})" if sets else ""
            raise InputError(
                f"there are no judgments at {path if chosen else repr(chosen)}: --judgments takes "
                f"a folder with judgments.jsonl in it, such a file{named}"
            )
        return path


def _check_files(task: Task, where: Place) -> None:
    """That the goal's files are there and can be used.

    Raises:
        InputError: It names task.toml, the line, and the file.
    """

    def wrong(file: str | None, reason: object) -> InputError:
        place = where.written(("goal",))
        line = line_of(where.text, place if file is None else [*place, file])
        return InputError(f"{where.path}:{line}: {reason}")

    for file in task.goal.files:
        if not (task.folder / file).is_file():
            kind = "constitution" if file == task.goal.constitution else "goal picture"
            raise wrong(file, f"the {kind} {file} is missing")
    for file in (*task.goal.images, *task.goal.counterexamples):
        try:
            read_frame(task.folder / file)
        except StoreError as error:
            raise wrong(file, f"the goal picture {file}: {error}") from None
    try:
        task.stated_goal()
    except InputError as error:
        raise wrong(task.goal.constitution, error) from None


def _check_sentences(where: str, sentences: Sequence[str]) -> None:
    """That judges can be told all of them.

    Raises:
        InputError: They are too many, or one is too long.
    """
    if len(sentences) > MOST_SENTENCES:
        raise InputError(
            f"{where} holds {len(sentences):,} principles and vetoes, and may hold "
            f"{MOST_SENTENCES}: keep those that matter"
        )
    longest = max(sentences, key=len, default="")
    if len(longest) > LONGEST_SENTENCE:
        raise InputError(
            f"{where} holds a sentence of {len(longest):,} characters, and it may have "
            f"{LONGEST_SENTENCE:,}: {shown(longest)}"
        )


def _each_once(*lists: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(sentence for some in lists for sentence in some))


def bundled_names() -> list[str]:
    """The names of the tasks that come with the package."""
    return sorted(path.parent.name for path in BUNDLED.glob(f"*/{TASK_FILE}"))


def bundled_tasks() -> Iterator[Task]:
    """The tasks that come with the package, one for each of their goals."""
    for name in bundled_names():
        yield from Task.read_all(BUNDLED / name).values()
