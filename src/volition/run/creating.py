"""How a run begins: everything is tried before anything is kept."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pydantic import ValidationError

from volition.comparison import Comparison, Frame
from volition.envs.scene import scenes_of
from volition.errors import EnvironmentUnsupported, InputError
from volition.finding.found import Found, find_out
from volition.goal import Goal
from volition.judges import make_judge
from volition.judges.base import Assignment, Judge
from volition.judges.settings import JudgeSettings
from volition.judging.limits import Limits, check_price
from volition.judging.prediction import Prediction, predict
from volition.judging.recordings import import_recording, open_recording
from volition.judging.thread import reuse
from volition.learners.rollout import AtRandom, Rollout
from volition.questions.covering import covering_comparisons, covering_pairs
from volition.reward.fit import check_inputs
from volition.reward.preferences import PreferenceData
from volition.reward.stages import check_observed
from volition.run.asking.live import Quota, limits_of
from volition.run.folder import RunFolder, RunSettings
from volition.run.sessions import Setup
from volition.storage.store import Store
from volition.tasks.given import Given
from volition.tasks.kwargs import can_be_said
from volition.tasks.numbers import shown
from volition.tasks.task import (
    BUNDLED,
    EnvironmentSection,
    GoalSection,
    RewardSection,
    StageSection,
    Task,
)
from volition.tasks.truth import TRUTHS, truth_of

if TYPE_CHECKING:
    from volition.judges.still_or_clip import Opening

CLIP = "view.clip"  # the key of task.toml
OBJECT = "object:"  # what the name of a judge begins with that was given as an object


def task_for(env_id: str, goal: Goal) -> Task:
    """A task made on the fly from an environment's id and a goal.

    Raises:
        EnvironmentUnsupported: That can be no environment's id.
    """
    try:
        environment = EnvironmentSection(id=env_id).beside(Path.cwd())
    except ValidationError:
        raise EnvironmentUnsupported(
            f"{shown(env_id)} is no environment's id: it is such as Pendulum-v1, "
            "NAMESPACE/NAME-v0 or MODULE:NAME-v0"
        ) from None
    name = re.sub(r"[^a-z0-9._-]+", "-", re.split("[/:]", env_id)[-1].lower()).strip("._-")
    section = GoalSection(
        text=goal.text,
        images=tuple(str(path.absolute()) for path in goal.images),
        counterexamples=tuple(str(path.absolute()) for path in goal.counterexamples),
        principles=goal.principles,
        vetoes=goal.vetoes,
        stages=tuple(StageSection(text=stage.text, done=stage.done) for stage in goal.stages),
    )
    return Task(name=name[:60] or "task", environment=environment, goal=section)


def given_of(task: Task, reused: str | Path | None) -> Given:
    """How a command line would name this very task; empty where it cannot, as of one that was made
    or changed in Python."""
    kwargs = task.more_kwargs if task.is_file else task.environment.kwargs
    if not all(map(can_be_said, kwargs.values())):
        return Given()
    if task.is_file:
        is_bundled = task.folder.parent == BUNDLED
        name = task.folder.name if is_bundled else str(task.folder)
        given = Given(task=name, goal=task.chosen or "", kwargs=kwargs)
    else:
        given = Given(env=task.environment.id, goal=task.goal.text, kwargs=kwargs)
    if task_of(given).model_dump() != task.model_dump():
        return Given()
    return replace(given, reuse=str(reused) if reused is not None else "")


def task_of(given: Given) -> Task:
    """The task that was named so.

    Raises:
        VolitionError: There is none any more.
    """
    if given.env:
        task = task_for(given.env, Goal(given.goal))
    else:
        task = Task.find(given.task, given.goal or None)
    return task.with_kwargs(given.kwargs)


def setup_of(task: Task, settings: RunSettings) -> Setup:
    """Who learns where in a run."""
    further = tuple((said.begun, said.ends) for said in settings.corrections)
    return Setup(
        task.environment,
        task.training,
        settings.steps,
        settings.seed,
        settings.envs,
        task.view.clip is not None,
        further,
        len(task.goal.stages),
        _is_learned_anew(settings),
    )


def _is_learned_anew(settings: RunSettings) -> bool:
    """Whether it is after a veto, which nearly all that was visited may violate, and there are as
    many steps for it as the run took when it was new."""
    said = settings.correction
    if said is None or said.kind != "veto":
        return False
    return said.ends - said.begun >= settings.corrections[0].begun


def assignment_of(task: Task) -> Assignment:
    """What a judge of this task is made for."""
    return Assignment(task.stated_goal(), task.view, task.goal.truth or "")


def check_environment(setup: Setup, section: RewardSection, truth: str | None) -> None:
    """That the learner can act in the environment, and the reward model see what the task says.

    What is named as true of the goal must be about an environment that observes as much.

    Raises:
        EnvironmentUnsupported, InputError: It cannot.
    """
    with closing(Rollout(setup.environment, setup.envs)) as rollout:
        shape = setup.learner(rollout).observation_shape
        if setup.goal_stages:
            check_observed(shape, setup.environment.id)
        rollout.reset(0)
        rollout.step(AtRandom(rollout, 0)(np.zeros(setup.envs)))
    check_inputs(section, shape)
    if truth is not None and (len(shape) != 1 or max(TRUTHS[truth].seen) >= shape[0]):
        raise InputError(
            f"goal.truth is {truth!r}, which is about other observations than {shape}, those of "
            f"{setup.environment.id}: leave it out"
        )


def create_with_recording(
    path: Path, task: Task, settings: RunSettings, chosen: str | None
) -> None:
    """A run folder with recorded judgments in its store.

    Args:
        path: Of the folder.
        task: What is to be done.
        settings: Of the run.
        chosen: One of the task's sets of judgments by name, or a path; None is the default set.

    Raises:
        VolitionError: The judgments, the environment or the folder will not do.
    """
    source = task.judgments_folder(chosen)
    name = chosen or (task.judgments.default if task.judgments else source.name)
    settings = replace(settings, judgments=name)
    check_environment(setup_of(task, settings), task.reward, task.goal.truth)
    with RunFolder.create(path, task, settings) as folder, Store.create(folder.path) as store:
        goal_id = store.add_goal(task.stated_goal())
        scenes = scenes_of(task.environment)
        recording = open_recording(source, Path(name).name, goal_id, scenes, task.view)
        import_recording(recording, store)
        PreferenceData.gather(store.observed(), store.preferences()).check_decided()
        for sheet in recording.sheets():
            folder.sheets.mkdir(exist_ok=True)
            shutil.copyfile(sheet, folder.sheets / sheet.name)


def create_with_judge(
    path: Path,
    task: Task,
    settings: RunSettings,
    live: JudgeSettings,
    judge: Judge | None,
    reused: Path | None,
    as_clips: Callable[[], Found] | None,
) -> None:
    """A run folder with what a live judge is to be asked first.

    Args:
        path: Of the folder.
        task: What is to be done.
        settings: Of the run.
        live: Which judge, and what it may use.
        judge: The judge itself; by default it is made and tried.
        reused: A run folder whose answers of the same judge are taken over.
        as_clips: Finds out anew what the task leaves open, where clips are judged; None where it is
            said whether they are, and nobody has to be asked.

    Raises:
        VolitionError: The judge, the environment or the folder will not do.
    """
    check_environment(setup_of(task, settings), task.reward, task.goal.truth)
    quota = Quota.of(live, task.training)
    # Before the judge is tried, which is paid for: the environment may fail in it.
    pairs = covering_pairs(task.environment, task.view, quota.first, settings.seed)
    judge = judge or make_judge(live, assignment_of(task))
    spent = judge.capability.cost_usd if judge.capability else 0.0
    if as_clips is not None:
        limits = limits_of(live, quota.most, spent)
        opening = _opening(judge, task, pairs[0][0].frames[0], limits)
        if opening is not None:
            spent += opening.cost_usd
            before = task
            task, how = _as_judge_says(opening, Found(task, settings.found), as_clips)
            settings = replace(settings, found=how)
            if task.view != before.view:
                pairs = covering_pairs(task.environment, task.view, quota.first, settings.seed)
    settings = replace(settings, live=live, judge_id=judge.identity.id, probe_usd=spent)
    with RunFolder.create(path, task, settings) as folder, Store.create(folder.path) as store:
        goal_id = store.add_goal(task.stated_goal())
        known = reuse(reused, store, judge.identity, goal_id) if reused is not None else 0
        if quota.first > known:
            comparisons = [Comparison.between(goal_id, *pair) for pair in pairs[known:]]
            check_price(judge, limits_of(live, quota.most, spent), comparisons[:1])
            store.add_comparisons(comparisons)


def _opening(judge: Judge, task: Task, frame: Frame, limits: Limits) -> Opening | None:
    """What a judge says that can be asked first whether it takes clips; None of any other."""
    from volition.judges.live.judge import LiveJudge
    from volition.judges.simulated import SimulatedJudge
    from volition.judges.still_or_clip import Opening, ask_still_or_clip

    if isinstance(judge, SimulatedJudge):
        moves = truth_of(task.goal.truth or "").moves
        can = "cannot" if moves else "can"
        return Opening(moves, 0.0, f"{judge.identity.name} knows that one picture {can} show this")
    if not isinstance(judge, LiveJudge):
        return None
    goal = task.stated_goal()
    return ask_still_or_clip(judge, goal, frame, limits.patience_s, limits.max_usd)


def _as_judge_says(opening: Opening, found: Found, as_clips: Callable[[], Found]) -> Found:
    """What was found out, for clips where the judge wants them and there are any."""
    said = opening.said
    if opening.clip:
        try:
            task, how = as_clips()
        except InputError as error:
            said += f", but {error}"
        else:
            return Found(task, {**how, CLIP: f"{said}: {how[CLIP]}"})
    return Found(found.task, {**found.how, CLIP: f"{said}: states are shown, one picture each"})


def predict_judging(task: Task, live: JudgeSettings, seed: int, clip: bool = False) -> Prediction:
    """What judging will use at most; nothing is asked, and nothing written."""
    task = find_out(task, clip).task
    judge = make_judge(live, replace(assignment_of(task), probe=False))
    quota = Quota.of(live, task.training)
    limits = limits_of(live, quota.most)
    few = covering_comparisons(task.environment, task.view, "prediction", quota.by(0), seed)
    check_price(judge, limits, few[:1])
    # Any other takes as much as one of these, and is not drawn.
    return predict(judge, list(islice(cycle(few), quota.most)), limits)
