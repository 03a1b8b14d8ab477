"""The outer loop: judgments -> preferences -> reward model -> policy -> evaluation.

Every stage leaves its result in the run folder, whole or not at all, and `advance` does what is
not there yet: a run and its resumption are the same call. The policy is learned in sessions. A
session starts from environments reset by a seed of its own and ends with a checkpoint, so a
resumed run goes through the same states as one that was never interrupted, bit for bit.

A stage takes values and returns values. Only `Run` knows the folder.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from volition.drafting.draft import check_approved
from volition.errors import InputError, Interrupted, JudgeUnavailable
from volition.finding.found import find_out
from volition.goal import Goal
from volition.judges.base import Judge
from volition.judges.settings import JudgeSettings
from volition.judging.folders import view_asked
from volition.learners.base import Policy, PolicyForm
from volition.learners.checkpoint import Checkpoint
from volition.learners.policies import load_policy, save_policy, says_its_form
from volition.learners.rollout import Rollout
from volition.reward.learning import (
    RewardFit,
    read_fit,
)
from volition.reward.model import RewardModel
from volition.reward.stages import Staging
from volition.run.asking.judge import LiveJudge
from volition.run.asking.live import LiveJudging, unjudged
from volition.run.asking.online import Asked, Inquiry
from volition.run.correcting.asking import JudgedAgain, judge_again
from volition.run.creating import (
    OBJECT,
    create_with_judge,
    create_with_recording,
    given_of,
    setup_of,
    task_for,
)
from volition.run.evaluation import LEAST_SECONDS, SHARE, Evaluation, doubts, evaluate, measures_of
from volition.run.fitting import Fitting
from volition.run.folder import RunFolder, RunSettings
from volition.run.gaming.guard import Guard
from volition.run.gaming.record import read_record
from volition.run.interrupting import Helm, Telling
from volition.run.results import Listener, Progress, Result, Session
from volition.run.sessions import Learned, Setup, learn_policy
from volition.storage.compilation import enable_cache
from volition.storage.documents import write_document
from volition.storage.files import exclusively
from volition.storage.labels import LabelLog, take_in
from volition.storage.store import Store
from volition.storage.tracking.trackers import check_trackers
from volition.tasks.numbers import check_counts
from volition.tasks.task import Task


def train(
    task: str | Path | Task,
    goal: Goal | str | None = None,
    *,
    judgments: str | Path | None = None,
    judge: str | JudgeSettings | Judge | None = None,
    reuse: str | Path | None = None,
    out: str | Path | None = None,
    steps: int | None = None,
    seed: int = 0,
    symmetric: bool = False,
    clip: bool = False,
    track: Sequence[str] = (),
    listener: Listener = lambda _: None,
) -> Run:
    """Trains an agent to reach a goal, on judgments alone.

    Args:
        task: A bundled task's name, a task folder, or an environment id together with a `Goal`.
        goal: What is wanted, where `task` is an environment id; else the name of one of its goals.
        judgments: One of the task's sets of recorded judgments, or a path to others.
        judge: In their place a live judge: as `PROVIDER:MODEL`, with all its settings, or an
            object of your own that is a `Judge`.
        reuse: A run folder whose answers of the same judge are taken over.
        out: The run folder; by default a new one under `runs/`.
        steps: Environment steps; the task's own number by default.
        seed: Of everything random.
        symmetric: Use the symmetries that the task declares.
        clip: Show a live judge clips, whatever it says itself; else it is asked where the task does
            not say.
        track: What follows the run beside TensorBoard: `wandb`, `trackio`.
        listener: Is told how the run is getting on.

    Raises:
        VolitionError: One of its kinds, with what is wrong and what to do.
    """
    run = Run.create(
        named_task(task, goal),
        judgments,
        out,
        live=judge,
        reuse=reuse,
        steps=steps,
        seed=seed,
        symmetric=symmetric,
        clip=clip,
        track=track,
    )
    run.advance(listener)
    return run


def named_task(task: str | Path | Task, goal: Goal | str | None = None) -> Task:
    """The task that is meant, as of `train`.

    Raises:
        VolitionError: There is none, or it has no such goal.
    """
    if isinstance(goal, Goal):
        return task_for(str(task), goal)
    return task if isinstance(task, Task) else Task.find(str(task), goal)


class Run:
    """A run folder, and the stages that fill it.

    Args:
        folder: What it is made of.
        judge: Who is asked, in place of whom the settings name.
    """

    def __init__(
        self, folder: RunFolder, judge: Judge | None = None, patience: float | None = None
    ) -> None:
        self.folder = folder
        self.judge = LiveJudge(folder, judge, patience)
        self._fitting = Fitting(folder)
        self._helm = Helm(folder.control)

    @classmethod
    def create(
        cls,
        task: Task,
        judgments: str | Path | None = None,
        out: str | Path | None = None,
        *,
        live: str | JudgeSettings | Judge | None = None,
        reuse: str | Path | None = None,
        steps: int | None = None,
        seed: int = 0,
        symmetric: bool = False,
        clip: bool = False,
        track: Sequence[str] = (),
    ) -> Run:
        """A run with its judgments in the store, or with what a live judge is to be asked.

        Raises:
            VolitionError: The judgments, the judge, the environment or the folder will not do.
                Nothing is left behind then.
        """
        check_counts(steps=steps, seed=seed)
        check_trackers(track)
        check_approved(task)
        if live is not None and judgments is not None:
            raise InputError("give either recorded judgments or a live judge, not both")
        if reuse is not None and live is None:
            raise InputError("only a live judge's answers can be reused: name it with --judge")
        if clip and live is None:
            raise InputError(
                "recorded judgments are of states or of clips already: leave --clip out"
            )
        if symmetric and not task.reward.symmetries:
            raise InputError(f"the task {task.name} declares no symmetry to use")
        path = Path(out) if out else Path("runs") / f"{task.name}-{time.strftime('%Y%m%d-%H%M%S')}"
        given, left_open = given_of(task, reuse), _with_steps(task, steps)
        chosen = str(judgments) if judgments is not None else None
        if live is None:
            asked = view_asked(task.judgments_folder(chosen))
        else:
            asked = None if reuse is None else RunFolder.open(Path(reuse)).task.view
        task, how = find_out(left_open, clip, asked)
        if task.view.clip is not None and task.reward.sees != "observations":
            raise InputError(
                f"reward.sees is {task.reward.sees!r}, and this goal is judged by clips: pictures "
                "are seen of single states only; leave it out"
            )
        settings = RunSettings("", symmetric, task.training.steps, seed, given=given, found=how)
        settings = settings.tracked_by(track)
        judge: Judge | None = None
        if live is None:
            create_with_recording(path, task, settings, chosen)
        else:
            if not isinstance(live, str | JudgeSettings):
                judge, live = live, OBJECT + live.identity.name
            chosen_judge = JudgeSettings(live) if isinstance(live, str) else live
            reused = Path(reuse) if reuse is not None else None
            said = clip or reuse is not None or "clip" in left_open.view.model_fields_set
            as_clips = None if said else partial(find_out, left_open, clip=True)
            create_with_judge(path, task, settings, chosen_judge, judge, reused, as_clips)
        return cls(RunFolder.open(path), judge)

    @classmethod
    def open(
        cls, path: str | Path, judge: Judge | None = None, patience: float | None = None
    ) -> Run:
        """The run in a folder.

        Args:
            path: Of the folder.
            judge: The one that it began with, where that was an object.
            patience: As of `JudgeSettings`, this time; by default as the run began.
        """
        return cls(RunFolder.open(Path(path)), judge, patience)

    @property
    def reward_model(self) -> RewardModel:
        """The reward model; normalised over the replay once the policy is learned."""
        return RewardModel.load(self.folder.reward_model)

    @property
    def policy(self) -> Policy:
        """The learned policy: float32 (batch, obs_dim) to actions (batch, ...)."""
        folder = self.folder.policy
        return load_policy(folder, None if says_its_form(folder) else self._form_of_policy())

    @property
    def staging(self) -> Staging | None:
        """What says which stage is under way, which the policy observes; None of a goal that has
        none."""
        return Staging.of(self.reward_model) if self.folder.task.goal.stages else None

    @property
    def result(self) -> Result:
        """What came of it, in the folder where the run is now.

        Raises:
            RunError: It is unfinished.
        """
        read = self.folder.read(self.folder.result, Result)
        return replace(read, run=str(self.folder.path))

    @property
    def evaluation(self) -> Evaluation:
        """What the policy did, by the environment's own reward.

        Raises:
            RunError: It is unfinished.
        """
        return self.folder.read(self.folder.evaluation, Evaluation)

    @property
    def history(self) -> list[Session]:
        """What every session of learning measured, up to the last checkpoint.

        Raises:
            RunError: There is no checkpoint yet.
        """
        history = Checkpoint(self.folder.checkpoint, self.folder.kept).history()
        return [Session.of(scalars) for scalars in history]

    @property
    def reward_fit(self) -> RewardFit:
        """What is known of the reward model's fit.

        Raises:
            RunError: There is none yet.
        """
        return read_fit(self.folder.reward_model)

    def advance(self, listener: Listener = lambda _: None) -> Result:
        """Does every stage that is not done yet.

        Raises:
            Interrupted: Ctrl-C was pressed; a checkpoint has been written.
            RunError: Another process goes on with this run, or its folder cannot be written.
        """
        with exclusively(self.folder.path):
            if self.folder.control.is_file():
                self._helm.begin()
            with Telling(self.folder.progress, self._helm, listener) as telling:
                return self._advance(telling)

    def _advance(self, listener: Listener) -> Result:
        enable_cache()
        self._take_in_labels()
        self._fitting.forget_what_is_outdated()
        if self.folder.result.is_file():
            return self.result
        started = time.perf_counter()
        with self._resumable(), self.folder.open_store() as store:
            (policy, kept_steps, history, ended), asked = self._learn(store, listener)
            _, learned = self.fit_reward(store)
            cost = store.cost_usd() + self.folder.settings.probing_usd
            judges = [*self.folder.judges(store).values()]
            missing = [*unjudged(store, self.folder.comparison_ids(store)), *asked.warnings]
        save_policy(self.folder.policy, policy)
        evaluation = self._evaluate(history, learned, cost, started, listener)
        gaming = read_record(self.folder.path)
        result = Result(
            run=str(self.folder.path),
            task=self.folder.task.name,
            judge=", ".join(dict.fromkeys(judge.name for judge in judges)),
            simulated=any(judge.simulated for judge in judges),
            judgments=learned.judgments,
            cost_usd=round(cost, 9),
            return_mean=evaluation.mean,
            return_std=evaluation.std,
            measures=evaluation.measured,
            episodes=len(evaluation.true_returns),
            heldout_accuracy=learned.heldout_accuracy,
            principles=learned.principles,
            vetoes=learned.vetoes,
            alarms=learned.alarms,
            gaming=gaming.alarms,
            stages=learned.stages,
            stages_done=evaluation.stages_done,
            env_steps=history[-1].env_steps,
            updates_per_s=float(np.median([session.updates_per_s for session in history])),
            wall_s=time.perf_counter() - started,
            seed=self.folder.settings.seed,
            kept_steps=kept_steps,
            warnings=(
                *gaming.told,
                *missing,
                *learned.warnings,
                *evaluation.warnings,
                *doubts(evaluation, self._since_corrected(history), learned.good),
                *self._unheeded(kept_steps),
            ),
            ended=ended,
            asked=asked.told,
            version=self.folder.settings.version,
        )
        write_document(self.folder.result, result)
        return result

    @contextmanager
    def asking(self, store: Store, listener: Listener = lambda _: None) -> Iterator[Inquiry | None]:
        """Its live judge, which is asked while somebody else learns the policy; None of recorded
        judgments. What was asked first is answered by then, and all of it when the block ends well.

        Raises:
            Interrupted, JudgeUnavailable, RunError: As from `advance`.
        """
        if self.folder.settings.judge is None:
            yield None
            return
        with self.judge.judging(self._helm) as live:
            live.all_pending(store, self.folder.comparison_ids(store), listener, lambda: None)
            with self._inquiry(live, store) as inquiry:
                yield inquiry
                inquiry.finish()

    def fit_reward(self, store: Store) -> tuple[RewardModel, RewardFit]:
        """The reward model of all that the store holds; it is fitted unless that has been done.

        Raises:
            JudgeUnfit: A judge's answers say nothing.
        """
        return self._fitting.fit(store)

    # Stages ----------------------------------------------------------------------------------

    def _learn(self, store: Store, listener: Listener) -> tuple[Learned, Asked]:
        """Judges, fits and learns; with a live judge all three go on side by side."""
        folder = self.folder
        if folder.settings.judge is None:
            return self._learn_policy(store, listener, None)
        with self.judge.judging(self._helm) as live:
            warm_up = partial(self._fitting.warm_up, store)
            asked = folder.comparison_ids(store)
            if folder.settings.correction is not None:
                judge_again(live, folder, store, listener, warm_up)
                asked = JudgedAgain(folder, store).asked_about_now()
            live.all_pending(store, asked, listener, warm_up)
            return self._learn_policy(store, listener, live)

    def _learn_policy(
        self, store: Store, listener: Listener, live: LiveJudging | None
    ) -> tuple[Learned, Asked]:
        folder, setup = self.folder, self._setup()
        listener(Progress("reward model", total_steps=folder.settings.most_steps))
        with ThreadPoolExecutor(1) as beside:
            practised = beside.submit(self._fitting.practise)
            model, fitted = self.fit_reward(store)
            practised.result()
        progress = Progress(
            "policy",
            total_steps=folder.settings.most_steps,
            judgments=fitted.judgments,
            heldout_accuracy=fitted.heldout_accuracy,
        )
        listener(progress)
        learn = partial(
            learn_policy,
            setup,
            model,
            Checkpoint(folder.checkpoint, folder.kept),
            partial(folder.open_curves, folder.judges(store).values()),
            helm=self._helm,
        )
        if live is None:
            return learn(progress, listener), Asked()
        guard = Guard.of(folder, live, self.judge.plan(store).quota)
        with self._inquiry(live, store, guard) as inquiry:
            filming = setup.filming(folder.task.view)
            learned = learn(progress, listener, companion=inquiry, filming=filming)
            inquiry.finish()
            if self._helm.stops():
                raise Interrupted(f"stopped after {learned.history[-1].env_steps} steps")
            return learned, inquiry.asked()

    def _inquiry(self, live: LiveJudging, store: Store, guard: Guard | None = None) -> Inquiry:
        hear = partial(self._hear, live, LabelLog(self.folder.path))
        plan, fitting = self.judge.plan(store), self._fitting
        return Inquiry(live, plan, store.shown(), fitting.again, fitting.weigh, hear, guard)

    def _evaluate(
        self,
        history: list[Session],
        learned: RewardFit,
        cost: float,
        started: float,
        listener: Listener,
    ) -> Evaluation:
        task, count = self.folder.task, self.folder.settings.episodes
        progress = Progress(
            "evaluation",
            judgments=learned.judgments,
            cost_usd=cost,
            env_steps=history[-1].env_steps,
            heldout_accuracy=learned.heldout_accuracy,
            total_episodes=count,
        )
        listener(progress)
        evaluation = evaluate(
            self.policy,
            self.reward_model,
            task.environment,
            count,
            measures_of(task.goal.truth),
            max(LEAST_SECONDS, SHARE * (time.perf_counter() - started)),
            lambda ended: listener(replace(progress, episodes=ended)),
        )
        means = {"true_return_mean": evaluation.mean, "true_return_std": evaluation.std}
        write_document(self.folder.evaluation, evaluation, **means)
        return evaluation

    def _form_of_policy(self) -> PolicyForm:
        """By the environment, for policies of 0.1, whose files do not say it."""
        setup = self._setup()
        with closing(Rollout(setup.environment, setup.envs)) as rollout:
            learner = setup.learner(rollout)
        return learner.policy(learner.start(0, 1)[0]).form

    def _hear(self, live: LiveJudging, log: LabelLog) -> int:
        """Takes in what people have answered since; returns how many answers that are."""
        fresh = log.refresh()
        if fresh:
            live.judging.write(partial(take_in, fresh))
        return len(fresh)

    def _since_corrected(self, history: list[Session]) -> list[Session]:
        """What was measured of this version."""
        said = self.folder.settings.correction
        return history if said is None else [s for s in history if s.env_steps > said.begun]

    def _unheeded(self, kept_steps: int) -> list[str]:
        """Whether a correction has left the policy as it was."""
        said = self.folder.settings.correction
        if said is None or kept_steps > said.begun:
            return []
        return [
            "what was said has changed nothing that the policy does: none since does better by the "
            "reward of now than the one from before, which is kept; more answers (`volition ask "
            f"{self.folder.path}`) or more --steps may help"
        ]

    def _setup(self) -> Setup:
        return setup_of(self.folder.task, self.folder.settings)

    @contextmanager
    def _resumable(self) -> Iterator[None]:
        """Whoever stops the run is told how to go on with it."""
        how = f"go on with `volition resume {self.folder.path}`"
        try:
            yield
        except Interrupted as error:
            raise Interrupted(f"{error}: {how}") from None
        except JudgeUnavailable as error:
            raise JudgeUnavailable(f"{error}: {how}") from None

    def _take_in_labels(self) -> None:
        if self.folder.labels.is_file():
            with self.folder.open_store() as store:
                self.folder.take_in_labels(store)


def _with_steps(task: Task, steps: int | None) -> Task:
    """The task that takes so many steps at most; None leaves it as it is."""
    if steps is None:
        return task
    training = task.training.model_copy(update={"steps": steps})
    return task.model_copy(update={"training": training})
