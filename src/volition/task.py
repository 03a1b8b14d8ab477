"""A task folder: `task.toml`, goal pictures and recorded judgments, read and checked."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol, Self

import numpy as np
import numpy.typing as npt
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from volition.errors import InputError
from volition.goal import Goal, Principle, read_constitution
from volition.segment import Frame, Observations, Pixels, State, spaced
from volition.task_file import Place, by_goal, explain, line_of

TASK_FILE = "task.toml"
BUNDLED = Path(__file__).parent / "tasks"

Fraction = Annotated[float, Field(ge=0, le=1)]
PixelCount = Annotated[int, Field(ge=8, le=4096)]


class Section(BaseModel):
    """A table of task.toml: every key is known and none may be changed."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class EnvironmentSection(Section):
    """Which environment, as `gymnasium.make` takes it."""

    id: str = Field(min_length=1)
    kwargs: dict[str, Any] = {}


class GoalSection(Section):
    """The goal in words and pictures; the paths of files are relative to the task folder."""

    text: str = Field(min_length=1)
    images: tuple[str, ...] = ()
    counterexamples: tuple[str, ...] = ()
    principles: tuple[str, ...] = ()
    vetoes: tuple[str, ...] = ()
    constitution: str | None = None
    """A file with further principles and vetoes, likewise relative."""

    @property
    def files(self) -> tuple[str, ...]:
        """All that belongs to the goal and stands in files of its own, each once."""
        constitution = [self.constitution] if self.constitution else []
        return tuple(dict.fromkeys((*self.images, *self.counterexamples, *constitution)))


class ClipSection(Section):
    """A segment of several steps, shown as a storyboard.

    Attributes:
        steps: Consecutive observations of a segment.
        frames: Pictures of it, evenly spaced over the steps, the first and the last included.
    """

    steps: Annotated[int, Field(ge=2, le=1000)]
    frames: Annotated[int, Field(ge=2, le=16)]

    @model_validator(mode="after")
    def _a_frame_has_a_step(self) -> Self:
        if self.frames > self.steps:
            raise ValueError(
                f"a clip of {self.steps} steps cannot be shown in {self.frames} frames"
            )
        return self


class JudgeView(Section):
    """What the judge is shown of an environment's drawing.

    Attributes:
        crop: left, top, right, bottom as fractions of the drawing; the whole drawing by default.
        size: width and height in pixels to which the crop is reduced; as drawn by default.
        overlay: Lay the two states of a pair over each other, for differences too small to see side
            by side.
        clip: Judge clips, where what is wanted does not show in one state; single states by
            default.
    """

    crop: tuple[Fraction, Fraction, Fraction, Fraction] = (0, 0, 1, 1)
    size: tuple[PixelCount, PixelCount] | None = None
    overlay: bool = False
    clip: ClipSection | None = None

    @property
    def steps(self) -> int:
        """Steps of a segment."""
        return self.clip.steps if self.clip else 1

    @property
    def shown(self) -> tuple[int, ...]:
        """The steps of a segment, from 0, of which the judge sees a frame."""
        return spaced(self.clip.steps, self.clip.frames) if self.clip else (0,)

    @model_validator(mode="after")
    def _crop_has_an_inside(self) -> Self:
        left, top, right, bottom = self.crop
        if left >= right or top >= bottom:
            raise ValueError("crop is left, top, right, bottom with left < right and top < bottom")
        return self

    def frame(self, drawing: Pixels) -> Frame:
        """The frame of a drawing, uint8 (height, width, 3)."""
        height, width = drawing.shape[:2]
        left, top, right, bottom = self.crop
        rows = slice(round(top * height), round(bottom * height))
        columns = slice(round(left * width), round(right * width))
        picture = Image.fromarray(drawing[rows, columns])
        if self.size is not None:
            picture = picture.resize(self.size, Image.Resampling.LANCZOS)
        return Frame(np.asarray(picture))


class Symmetry(Section):
    """A change of an observation that leaves the goal as well represented as before.

    Attributes:
        name: For a person to read.
        negate: The observation entries whose sign changes.
    """

    name: str = Field(min_length=1)
    negate: tuple[Annotated[int, Field(ge=0)], ...] = Field(min_length=1)


class RewardSection(Section):
    """What the reward model is given.

    Attributes:
        observations: The observation entries that a judge can see in a frame; all by default.
        symmetries: Declared symmetries of the goal; used where the user opts in.
    """

    observations: tuple[Annotated[int, Field(ge=0)], ...] | None = None
    symmetries: tuple[Symmetry, ...] = ()

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
        algorithm: The learner; `auto` is PPO for discrete actions and for pictures, otherwise SAC.
        steps: Environment steps in all.
        gamma: Discount factor of one environment step.
        max_judgments: Comparisons that are put to a live judge.
        first_judgments: Those of them that cover the environment's states, before the policy begins
            to learn; the others are about what it does then.
    """

    algorithm: Literal["auto", "sac", "ppo"] = "auto"
    steps: Annotated[int, Field(ge=100)] = 20_000
    gamma: Annotated[float, Field(gt=0, lt=1)] = 0.99
    max_judgments: Annotated[int, Field(ge=1)] = 100
    first_judgments: Annotated[int, Field(ge=1)] = 30


class Task(Section):
    """A task: an environment, a goal, and what the judge and the reward model see."""

    name: str = Field(min_length=1, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    summary: str = ""
    environment: EnvironmentSection
    goal: GoalSection
    view: JudgeView = JudgeView()
    reward: RewardSection = RewardSection()
    judgments: JudgmentsSection | None = None
    training: TrainingSection = TrainingSection()
    folder: Path = Field(default=Path(), exclude=True)

    chosen: str | None = Field(default=None, exclude=True)
    """Which of the goals of task.toml this is, where it names several."""

    more_kwargs: dict[str, Any] = Field(default={}, exclude=True)
    """What the environment is made with beside, or in place of, what task.toml says."""

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
            elif folder.is_dir():
                raise InputError(f"{folder} holds no {TASK_FILE}: it is not a task folder")
            else:
                raise InputError(
                    f"there is no task {name_or_path!r}: it is neither a folder nor one of the "
                    f"bundled tasks ({', '.join(bundled_names())})"
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
        try:
            text = path.read_text(encoding="utf-8")
            document = tomllib.loads(text)
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{path} cannot be read: {error}") from error
        except tomllib.TOMLDecodeError as error:
            raise InputError(f"{path} is not valid TOML: {error}") from error
        tasks = {}
        for name, resolved in by_goal(path, text, document).items():
            where = Place(path, text, name, document.get("goals", {}).get(name, {}))
            try:
                task = cls.model_validate({**resolved, "folder": folder, "chosen": name})
            except ValidationError as error:
                raise InputError(explain(where, error, cls)) from None
            for file in task.goal.files:
                if not (folder / file).is_file():
                    line = line_of(text, [*where.written(("goal",)), file])
                    is_text = file == task.goal.constitution
                    kind = "constitution" if is_text else "goal picture"
                    raise InputError(f"{path}:{line}: the {kind} {file} is missing")
            task.stated_goal()
            tasks[name] = task
        return tasks

    def stated_goal(self) -> Goal:
        """The goal, with the paths of its pictures resolved and its constitution read.

        Raises:
            InputError: The constitution cannot be read, or says nothing; or a principle is empty,
                or a veto, too.
        """
        further = self._constitution()
        try:
            return Goal(
                self.goal.text,
                [self.folder / image for image in self.goal.images],
                [self.folder / image for image in self.goal.counterexamples],
                _each_once(self.goal.principles, [p.text for p in further if not p.veto]),
                _each_once(self.goal.vetoes, [p.text for p in further if p.veto]),
            )
        except ValueError as error:
            raise InputError(f"the goal of {self.name}: {error}") from None

    def _constitution(self) -> list[Principle]:
        if self.goal.constitution is None:
            return []
        path = self.folder / self.goal.constitution
        try:
            principles = read_constitution(path.read_text(encoding="utf-8-sig"))
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{path} cannot be read: {error}") from error
        if not principles:
            raise InputError(f"{path} holds no principle: write one on each line")
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
        """The same task in its environment made with these keyword arguments, too."""
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
        if not path.exists():
            named = f" or one of the task's sets ({', '.join(sets)})" if sets else ""
            raise InputError(
                f"there are no judgments at {path}: --judgments takes a folder with "
                f"judgments.jsonl in it, such a file{named}"
            )
        return path


class Scene(Protocol):
    """An environment that can be set to a state, and then observed and drawn."""

    fields: tuple[str, ...]
    """The names of the environment's own state, in its order and units."""

    @property
    def ranges(self) -> Mapping[str, tuple[float, float]] | None:
        """Lowest and highest value of every field, in the order of the fields: the part of its
        state space worth asking about. None where hardly any state of such a box is possible."""
        ...

    def observe(self, state: State) -> Observations:
        """float32 (obs_dim,): what is observed in `state`."""
        ...

    def draw(self, state: State) -> Pixels:
        """uint8 (height, width, 3): the environment's own drawing of `state`."""
        ...

    def capture(self, env: Any) -> npt.NDArray[np.float64]:
        """float64 (fields,): the state that a live environment of this kind is in now.

        It is called at every step of every environment, so it takes microseconds.
        """
        ...


Scenes = Callable[[dict[str, Any] | None], Scene]
"""The scene of an environment as these keyword arguments make it; None: as its task does."""


def _each_once(*said: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(each for some in said for each in some))


def bundled_names() -> list[str]:
    """The names of the tasks that come with the package."""
    return sorted(path.parent.name for path in BUNDLED.glob(f"*/{TASK_FILE}"))


def bundled_tasks() -> Iterator[Task]:
    """The tasks that come with the package, one for each of their goals."""
    for name in bundled_names():
        yield from Task.read_all(BUNDLED / name).values()
