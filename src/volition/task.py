"""A task folder: `task.toml`, goal pictures and recorded judgments, read and checked."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol, Self

import numpy as np
import numpy.typing as npt
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from volition.errors import InputError
from volition.goal import Goal
from volition.segment import Frame, Observations, Pixels, State, spaced

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
    """The goal in words and pictures; picture paths are relative to the task folder."""

    text: str = Field(min_length=1)
    images: tuple[str, ...] = ()
    counterexamples: tuple[str, ...] = ()
    principles: tuple[str, ...] = ()


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
        algorithm: The learner.
        steps: Environment steps in all.
        gamma: Discount factor of one environment step.
        max_judgments: Comparisons that are put to a live judge.
    """

    algorithm: Literal["sac"] = "sac"
    steps: Annotated[int, Field(ge=100)] = 20_000
    gamma: Annotated[float, Field(gt=0, lt=1)] = 0.99
    max_judgments: Annotated[int, Field(ge=1)] = 100


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

    @classmethod
    def find(cls, name_or_path: str) -> Self:
        """The bundled task of that name, or the task in that folder.

        Raises:
            InputError: There is no such task, or its file is not as it must be.
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
        return cls.read(folder)

    @classmethod
    def read(cls, folder: Path) -> Self:
        """The task in `folder`.

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
        try:
            task = cls.model_validate({**document, "folder": folder})
        except ValidationError as error:
            raise InputError(_explain(path, text, error)) from None
        for picture in (*task.goal.images, *task.goal.counterexamples):
            if not (folder / picture).is_file():
                raise InputError(
                    f"{path}:{_line_of(text, picture)}: the goal picture {picture} is missing"
                )
        return task

    def stated_goal(self) -> Goal:
        """The goal, with the paths of its pictures resolved."""
        return Goal(
            self.goal.text,
            [self.folder / image for image in self.goal.images],
            [self.folder / image for image in self.goal.counterexamples],
            self.goal.principles,
        )

    def with_pictures(self, names: Mapping[str, str], folder: Path) -> Self:
        """The same task in another folder, where its goal's pictures have other names."""
        images = tuple(names[picture] for picture in self.goal.images)
        counterexamples = tuple(names[picture] for picture in self.goal.counterexamples)
        goal = self.goal.model_copy(update={"images": images, "counterexamples": counterexamples})
        return self.model_copy(update={"goal": goal, "folder": folder})

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


def bundled_names() -> list[str]:
    """The names of the tasks that come with the package."""
    return sorted(path.parent.name for path in BUNDLED.glob(f"*/{TASK_FILE}"))


def _explain(path: Path, text: str, error: ValidationError) -> str:
    lines = []
    for problem in error.errors():
        location = problem["loc"]
        key = ".".join(str(part) for part in location) or "task"
        said = problem["msg"].removeprefix("Value error, ")
        if problem["type"] == "extra_forbidden":
            said = f"there is no such key; allowed here: {', '.join(_table(location[:-1]))}"
        elif problem["type"] not in ("missing", "value_error"):
            said += f" (it is {problem['input']!r})"
        named = [part for part in location if isinstance(part, str)]
        lines.append(f"{path}:{_line_of(text, named[-1]) if named else 1}: {key}: {said}")
    return "\n".join(lines)


def _table(location: tuple[int | str, ...]) -> list[str]:
    """The keys that the table at `location` may have."""
    model: Any = Task
    for part in location:
        if isinstance(part, str) and isinstance(model, type) and issubclass(model, BaseModel):
            model = section_in(model.model_fields[part].annotation)
    fields: Mapping[str, Any] = getattr(model, "model_fields", {})
    return [name for name in fields if name != "folder"]


def section_in(annotation: Any) -> type[BaseModel] | None:
    """The section inside an annotation such as `Section | None` or `tuple[Section, ...]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in getattr(annotation, "__args__", ()):
        if (found := section_in(inner)) is not None:
            return found
    return None


def _line_of(text: str, word: str) -> int:
    """The first line of `text` with `word` as a whole, or 1 where a key is missing."""
    for number, line in enumerate(text.splitlines(), start=1):
        if re.search(rf"(?<![\w.-]){re.escape(word)}(?![\w-])", line):
            return number
    return 1
