"""How long to learn, how far ahead to look, and how many judgments that takes."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from typing import NamedTuple

from volition.envs.making import make_env
from volition.tasks.task import EnvironmentSection, Task, TrainingSection

LOOKS = 6  # the horizon of a discount, 1 / (1 - gamma) steps, so many times in an episode
FIRST_OF_A_STAGE = 45  # questions that cover what can be, before the policy begins to learn
LEAST_GAMMA, MOST_GAMMA = 0.95, 0.99  # whatever the length of an episode


class Stage(NamedTuple):
    """A part of learning.

    Attributes:
        number: From 0.
        begin, end: Environment steps by its beginning and by its end, from the first of all.
    """

    number: int
    begin: int
    end: int


class Stages(NamedTuple):
    """The parts that learning has: each is as long as all before it together.

    So every schedule that has an end, such as that of the learning rate, is well defined before
    anybody knows how long learning will go on: it restarts with each stage (Loshchilov and Hutter,
    arXiv:1608.03983, with a period that doubles).

    Attributes:
        first: Environment steps of the first.
        most: Environment steps in all, at most, before anything was corrected.
        session: Environment steps of a session; a stage ends with one.
        further: After these, one stage for each correction: where it begins, and where it ends at
            the latest. The next one begins where learning had ended.
    """

    first: int
    most: int
    session: int
    further: tuple[tuple[int, int], ...] = ()

    @property
    def last(self) -> int:
        """Environment steps in all, at most."""
        return self.further[-1][1] if self.further else self.most

    @property
    def anew(self) -> int:
        """How many sessions there were when the last correction began; 0 where there is none."""
        return self.sessions(self.further[-1][0]) if self.further else 0

    def of(self, session: int) -> Stage:
        """The stage of a session; sessions are counted from 1."""
        for begun, ends in reversed(self.further):
            if session > self.sessions(begun):
                return Stage(0, begun, ends)
        number, begin, end = 0, 0, min(self.first, self.most)
        while self.sessions(end) < session and end < self.most:
            number, begin, end = number + 1, end, min(2 * end, self.most)
        return Stage(number, begin, end)

    def sessions(self, steps: int) -> int:
        """How many sessions there are by the end of so many environment steps."""
        return -(-steps // self.session)


def find_horizon(task: Task) -> tuple[TrainingSection, Mapping[str, str]]:
    """The task's section `training` with what it leaves open, and how each key was found.

    What the task says itself is left as it is (`model_fields_set`).

    Raises:
        EnvironmentUnsupported: The environment fails.
    """
    training, how = task.training, dict[str, str]()
    if "gamma" not in training.model_fields_set:
        limit, clip = time_limit(task.environment), task.view.clip
        gamma = discount(limit, clip.steps if clip is not None else 1)
        training = training.model_copy(update={"gamma": gamma})
        length = f"episodes of {limit} steps" if limit else "episodes without a time limit"
        clips = f", and clips of {clip.steps}" if clip is not None else ""
        how["training.gamma"] = f"{gamma:g}, for {length}{clips}"
    if "steps" not in training.model_fields_set:
        how["training.steps"] = (
            f"{training.steps:,} at most: learned until the learned reward no longer rises"
        )
    count = len(task.goal.stages)
    if count and "first_judgments" not in training.model_fields_set:
        first = FIRST_OF_A_STAGE * count
        training = training.model_copy(update={"first_judgments": first})
        how["training.first_judgments"] = (
            f"{first}, for {count} stages that are judged each by itself"
        )
    return training, how


def time_limit(environment: EnvironmentSection) -> int | None:
    """The steps after which its episodes are cut; None where Gymnasium knows of no limit.

    Raises:
        EnvironmentUnsupported: It cannot be made.
    """
    with closing(make_env(environment.id, environment.kwargs)) as env:
        limit: int | None = env.spec.max_episode_steps if env.spec else None
    return limit


def discount(limit: int | None, judged: int = 1) -> float:
    """The discount of one step, whose horizon is a sixth of an episode, and no less than a clip.

    A much farther one makes values hard to learn; a nearer one does not see what an action leads
    to. Within the bounds, and to two digits, as what is found so is no more exact.

    Args:
        limit: Steps of an episode; None where they have no limit.
        judged: Steps of what is judged: 1 of a state.
    """
    wanted = MOST_GAMMA if limit is None else 1.0 - LOOKS / limit
    wanted = max(LEAST_GAMMA, wanted, 1.0 - 1.0 / judged)
    return round(min(MOST_GAMMA, wanted), 2)
