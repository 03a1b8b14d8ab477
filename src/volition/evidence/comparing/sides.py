"""Which two policies are compared, and what is judged of them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

from volition.errors import InputError, RunError
from volition.evidence.comparing.acting import FRAMES
from volition.goal import Goal, Principle, Principles, in_one
from volition.judges.base import Assignment
from volition.learners.rollout import CUT_AFTER
from volition.run.correcting.changing import VERSIONS
from volition.run.correcting.comparing import AGAINST, place, what_it_does
from volition.run.creating import assignment_of
from volition.run.folder import CONFIG, RunFolder
from volition.run.run import Run
from volition.storage.database import DATABASE
from volition.tasks.task import GoalSection, Task, bundled_tasks
from volition.tasks.view import ClipSection

RANDOM = "random"


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two policies.

    Attributes:
        name: As the page calls it; the judge never sees it.
        run: None for the random policy.
        trained_on: Names of the judges that it learned from.
        home: The folder of the run of which this is a version; None for the random policy.
    """

    name: str
    run: Run | None
    trained_on: frozenset[str]
    home: Path | None = None

    @classmethod
    def find(cls, named: str) -> Side:
        """A run folder, or any folder with a run's configuration and its `policy/`; or `random`.

        Raises:
            RunError: There is no policy.
        """
        if named == RANDOM:
            return cls("the random policy", None, frozenset())
        run = Run.open(named)
        folder = run.folder
        if not folder.policy.is_dir():
            raise RunError(f"{named} has no policy yet: go on with `volition resume {named}`")
        judges: frozenset[str] = frozenset()
        home = home_of(folder.path)
        if (home / DATABASE).is_file():
            with RunFolder.open(home).open_store() as store:
                judges = frozenset(judge.name for judge in store.judges().values())
        path = folder.path.resolve()
        name = path.name if home == path else f"{home.name} version {path.name}"
        return cls(name, run, judges, home)

    @property
    def version(self) -> int:
        """Which version of its run it is."""
        return self.run.folder.settings.version if self.run else 1

    @property
    def policy(self) -> str:
        """Names what it does, if anything was learned."""
        return what_it_does(self.run.folder.path) if self.run else RANDOM


def home_of(path: Path) -> Path:
    """The folder of the run of which a folder holds a version: mostly itself."""
    path = path.resolve()
    run = path.parent.parent
    is_version = path.parent.name == VERSIONS and path.name.isdigit() and (run / CONFIG).is_file()
    return run if is_version else path


def find_sides(a: str, b: str) -> tuple[Side, Side]:
    """Both, as `Side.find` takes them; versions of one run are called so.

    Raises:
        RunError: One has no policy.
    """
    sides = Side.find(a), Side.find(b)
    if not are_versions(*sides):
        return sides
    first, second = (replace(side, name=f"version {side.version}") for side in sides)
    return first, second


def are_versions(a: Side, b: Side) -> bool:
    """Whether they are two versions of one run."""
    return a.home is not None and a.home == b.home and a.version != b.version


def beside(a: Side, b: Side, goal: str | None) -> Path:
    """The folder of a comparison, where nobody names one.

    That of two versions of a run lies in the run, unless they are judged by another goal.
    """
    if goal is None and are_versions(a, b):
        assert a.home is not None
        assert a.run is not None
        assert b.run is not None
        return place(a.home, (a.version, b.version), (a.run.folder.path, b.run.folder.path))
    names = [side.run.folder.path.resolve().name if side.run else RANDOM for side in (a, b)]
    runs = [side.run.folder.path for side in (a, b) if side.run]
    return (runs[0].parent if runs else Path()) / AGAINST.join(names)


def are_alike(judge: str, trained_on: Collection[str]) -> bool:
    """Whether it is one of them, whether its answers were recorded or not."""
    return judge.removeprefix("recorded:") in {n.removeprefix("recorded:") for n in trained_on}


@dataclass(frozen=True, slots=True)
class Matter:
    """What is judged.

    Attributes:
        task: Its view is a storyboard of `FRAMES`, unless it is one already.
        under: What each pair is put under: one of these.
        together: Principles that the goal's words hold.
    """

    task: Task
    under: Principles
    together: tuple[str, ...] = ()

    @property
    def assignment(self) -> Assignment:
        """What a judge of it is made for."""
        return replace(assignment_of(self.task), together=self.together)

    @property
    def said(self) -> str:
        """For a person: the goal, or what alone it is judged by."""
        alone = [one.text for one in self.under if one is not None]
        is_one = len(self.under) == 1 and alone
        return alone[0] if is_one else self.task.goal.text


def matter_of(a: Side, b: Side, goal: str | None) -> Matter:
    """What is judged of the two.

    The goal of a run that was corrected is put as a whole, since all of it is meant; a sentence
    that is one of its principles is put by itself.

    Args:
        a, b: The two.
        goal: Other than that of the first of them that is a run.

    Raises:
        InputError: The two act in different environments, or neither is a run.
    """
    runs = [side.run.folder for side in (a, b) if side.run]
    if not runs:
        raise InputError("the random policy against itself says nothing: name a run folder")
    ids = {run.task.environment.id for run in runs}
    if len(ids) > 1:
        raise InputError(f"the two act in different environments: {' and '.join(sorted(ids))}")
    task, stated = runs[0].task, runs[0].task.stated_goal()
    alone = None if goal is None else _principle(stated, goal)
    if alone is not None:
        matter = Matter(task, (alone,))
    elif goal is not None:
        other = _other_goal(task, goal)
        matter = Matter(other, other.stated_goal().put_under)
    elif runs[0].settings.corrections:
        matter = _whole(task)
    else:
        matter = Matter(task, stated.put_under)
    view = matter.task.view
    clip = view.clip or ClipSection(steps=CUT_AFTER, frames=FRAMES)
    seen = view.model_copy(update={"clip": clip, "overlay": False})
    changed = {"view": seen, "environment": task.environment}
    return replace(matter, task=matter.task.model_copy(update=changed))


def _principle(goal: Goal, words: str) -> Principle | None:
    """That of the goal which has these words."""
    known = [Principle(text) for text in goal.principles]
    known += [Principle(text, veto=True) for text in goal.vetoes]
    return next((one for one in known if one.text == words.strip()), None)


def _whole(task: Task) -> Matter:
    """All that the goal says, in one."""
    goal = task.goal_in_parts()
    parts = [Principle(text) for text in goal.principles]
    parts += [Principle(text, veto=True) for text in goal.vetoes]
    nothing = {"principles": (), "vetoes": (), "constitution": None, "together": False}
    section = task.goal.model_copy(update={"text": in_one(goal.text, parts), **nothing})
    whole = task.model_copy(update={"goal": section})
    return Matter(whole, (None,), tuple(one.text for one in parts))


def _other_goal(task: Task, goal: str) -> Task:
    """The bundled task of that goal's name in the same environment; else the goal in words."""
    for other in bundled_tasks():
        if other.chosen == goal and other.environment.id == task.environment.id:
            return other
    # No simulated judge knows what is true of a goal that somebody made up.
    stated = {"goal": GoalSection(text=goal), "name": f"{task.name}-in-other-words"}
    return task.model_copy(update=stated)
