"""The outer loop: judgments -> preferences -> reward model -> policy -> evaluation.

Every stage leaves its result in the run folder, whole or not at all, and `advance` does what is
not there yet: a run and its resumption are the same call. The policy is learned in sessions. A
session starts from environments reset by a seed of its own and ends with a checkpoint, so a
resumed run goes through the same states as one that was never interrupted, bit for bit.

A stage takes values and returns values. Only `Run` knows the folder.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from volition.comparison import Observations, Segment, reduced
from volition.drafting.draft import check_approved
from volition.errors import InputError, Interrupted, JudgeUnavailable
from volition.finding.found import find_out
from volition.goal import Goal
from volition.judges import make_judge
from volition.judges.base import Assignment, Judge
from volition.judges.settings import JudgeSettings
from volition.judging.folders import view_asked
from volition.judging.limits import Wanted
from volition.judgment import Preference
from volition.learners.base import Policy, PolicyForm
from volition.learners.checkpoint import Checkpoint
from volition.learners.policies import load_policy, save_policy, says_its_form
from volition.learners.rollout import Rollout
from volition.questions.covering import Looks, unjudged_looks
from volition.reward.fit import fit
from volition.reward.learning import (
    Doubling,
    Judged,
    Recipe,
    RewardFit,
    Seen,
    digest,
    doubling,
    read_fit,
    verdicts,
)
from volition.reward.model import FILE, RewardModel
from volition.reward.preferences import PreferenceData
from volition.reward.stages import Staging, learn, weigh
from volition.run.correcting.asking import JudgedAgain, judge_again
from volition.run.correcting.changing import begin_again
from volition.run.correcting.comparing import left_usd
from volition.run.creating import (
    OBJECT,
    assignment_of,
    create_with_judge,
    create_with_recording,
    given_of,
    setup_of,
    task_for,
)
from volition.run.evaluation import LEAST_SECONDS, SHARE, Evaluation, doubts, evaluate, measures_of
from volition.run.folder import RunFolder, RunSettings
from volition.run.gaming.guard import Guard
from volition.run.gaming.record import read_record
from volition.run.interrupting import Helm, Telling
from volition.run.live import LiveJudging, Quota, limits_of, live_judging, unjudged
from volition.run.online import Asked, Inquiry, Plan
from volition.run.results import Listener, Progress, Result, Session
from volition.run.sessions import Learned, Setup, learn_policy, practise
from volition.storage.compilation import enable_cache
from volition.storage.documents import as_document, write_document
from volition.storage.files import exclusively
from volition.storage.labels import LabelLog, take_in
from volition.storage.store import Store
from volition.tasks.numbers import check_counts
from volition.tasks.task import Task

UNJUDGED = 2000  # moments whose pictures are drawn, where judgments are learned from pictures


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
        listener: Is told how the run is getting on.

    Raises:
        VolitionError: One of its kinds, with what is wrong and what to do.
    """
    if isinstance(goal, Goal):
        task = task_for(str(task), goal)
    elif not isinstance(task, Task):
        task = Task.find(str(task), goal)
    run = Run.create(
        task,
        judgments,
        out,
        live=judge,
        reuse=reuse,
        steps=steps,
        seed=seed,
        symmetric=symmetric,
        clip=clip,
    )
    run.advance(listener)
    return run


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
        self._judge, self._patience = judge, patience
        self._helm = Helm(folder.control)
        self._looks: Looks | None = None

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
    ) -> Run:
        """A run with its judgments in the store, or with what a live judge is to be asked.

        Raises:
            VolitionError: The judgments, the judge, the environment or the folder will not do.
                Nothing is left behind then.
        """
        check_counts(steps=steps, seed=seed)
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
        self._forget_what_is_outdated()
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

    def fit_reward(self, store: Store) -> tuple[RewardModel, RewardFit]:
        """The reward model of all that the store holds; it is fitted unless that has been done.

        Raises:
            JudgeUnfit: A judge's answers say nothing.
        """
        folder = self.folder
        if (folder.reward_model / FILE).is_file():
            known = read_fit(folder.reward_model)
            if known.preferences == digest(folder.preferences(store)):
                return self.reward_model, known
        judged = self._judged(store)
        model, learned = learn(judged, self._recipe(), partial(self._look, store))
        model.save(folder.reward_model, as_document(learned))
        return model, learned

    # Stages ----------------------------------------------------------------------------------

    def _learn(self, store: Store, listener: Listener) -> tuple[Learned, Asked]:
        """Judges, fits and learns; with a live judge all three go on side by side."""
        folder = self.folder
        if folder.settings.judge is None:
            return self._learn_policy(store, listener, None)
        with self._live_judging() as live:
            warm_up = partial(self._warm_up, store)
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
            practised = beside.submit(self._practise)
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
            folder.tensorboard,
            helm=self._helm,
        )
        if live is None:
            return learn(progress, listener), Asked()
        plan = self._plan(store)
        hear = partial(self._hear, live, LabelLog(folder.path))
        guard = Guard.of(folder, live, plan.quota)
        with Inquiry(live, plan, store.shown(), self._refit, self._weigh, hear, guard) as inquiry:
            filming = setup.filming(folder.task.view)
            learned = learn(progress, listener, companion=inquiry, filming=filming)
            inquiry.finish()
            if self._helm.stops():
                raise Interrupted(f"stopped after {learned.history[-1].env_steps} steps")
            return learned, inquiry.asked()

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

    def _refit(self) -> tuple[RewardModel, RewardFit]:
        """On another thread, which has a connection of its own."""
        with self.folder.open_store() as store:
            return self.fit_reward(store)

    def _hear(self, live: LiveJudging, log: LabelLog) -> int:
        """Takes in what people have answered since; returns how many answers that are."""
        fresh = log.refresh()
        if fresh:
            live.judging.write(partial(take_in, fresh))
        return len(fresh)

    def _weigh(self) -> Doubling:
        """Likewise."""
        with self.folder.open_store() as store:
            judged = self._judged(store)
        recipe = self._recipe()
        return weigh(judged, recipe) if recipe.stages else doubling(judged, recipe)

    def _warm_up(self, store: Store) -> None:
        """Compiles what comes next. Programs depend on shapes, not on what a judge will answer."""
        ids, recipe = store.comparison_ids(), self._recipe()
        guesses = [Preference(name, float(n % 2), 1.0) for n, name in enumerate(ids)]
        data = PreferenceData.gather(store.observed(), guesses)
        fit(data, recipe.section, recipe.symmetric, recipe.seed)
        self._practise()

    def _practise(self) -> None:
        recipe = self._recipe()
        practise(self._setup(), recipe.section, len(recipe.vetoes))

    # What they are given ---------------------------------------------------------------------

    def _judged(self, store: Store) -> Judged:
        judges, said = store.judges(), store.judgments()
        counting = self.folder.counting(said, store)
        people = {name for name, judge in judges.items() if judge.is_person}
        # Of the same moment: others may be answering meanwhile.
        others = verdicts(
            j for j in self.folder.counting(said, store, ()) if j.judge_id not in people
        )
        return Judged(counting, store.observed(), judges, verdicts(counting) - others)

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

    def _look(self, store: Store) -> Seen:
        """The pictures of what was judged, and of what was not, which are drawn once."""
        task, settings = self.folder.task, self.folder.settings
        if self._looks is None:
            self._looks = unjudged_looks(task.environment, task.view, UNJUDGED, settings.seed)

        def picture(side: Segment) -> Observations:
            pixels: Observations = reduced(side.frames[0].pixels)
            return pixels[None]

        judged = {
            comparison_id: (picture(comparison.first), picture(comparison.second))
            for comparison_id, comparison in store.comparisons().items()
        }
        return Seen(judged, *self._looks)

    def _recipe(self) -> Recipe:
        task, settings = self.folder.task, self.folder.settings
        return Recipe(
            task.reward,
            task.stated_goal().vetoes,
            settings.symmetric,
            settings.seed,
            "reward.observations" in settings.found,
            tuple(said.said for said in settings.corrections if said.kind == "principle"),
            task.stated_goal().stages,
        )

    @contextmanager
    def _live_judging(self) -> Iterator[LiveJudging]:
        task, settings = self.folder.task, self.folder.settings
        live, said = self.live, settings.correction
        assert live is not None
        if said is None:
            limits = limits_of(live, Quota.of(live, task.training).most, settings.probe_usd)
        else:
            most_usd = left_usd(self.folder.path, said.most_usd)
            limits = replace(limits_of(live, said.most_learned_from), max_usd=most_usd)
        path, under, seed = self.folder.path, self.folder.put_under(), settings.seed
        about = assignment_of(task)

        def judge(asked_before: int) -> Judge:
            return self.judge_of(replace(about, asked_before=asked_before))

        with live_judging(path, judge, under, limits, seed, self._wanted) as judging:
            yield judging

    def _wanted(self) -> Wanted:
        """What a person wants of judging: what trying the judge did cost is of the same purse."""
        wanted = self._helm()
        if wanted.max_usd is None:
            return wanted
        return replace(wanted, max_usd=max(0.0, wanted.max_usd - self.folder.settings.probe_usd))

    @property
    def live(self) -> JudgeSettings | None:
        """The live judge of this version, where there is one."""
        live = self.folder.settings.judge
        if live is None or self._patience is None:
            return live
        return replace(live, patience=self._patience)

    @property
    def is_without_its_judge(self) -> bool:
        """Whether that was an object of Python's which nobody gave this time."""
        live = self.live
        return live is not None and live.judge.startswith(OBJECT) and self._judge is None

    def judge_of(self, assignment: Assignment) -> Judge:
        """The judge that the version began with, for what it is to judge.

        Raises:
            JudgeUnavailable: It cannot be asked.
        """
        known_id, live = self.folder.settings.known_judge, self.live
        assert live is not None
        if not live.judge.startswith(OBJECT):
            return make_judge(live, replace(assignment, known_id=known_id))
        if self._judge is None or self._judge.identity.id != known_id:
            raise JudgeUnavailable(
                f"the run began with a judge that was given as an object, "
                f"{live.judge.removeprefix(OBJECT)} ({known_id}): go on in Python with that very "
                "one, by Run.open(path, judge).advance()"
            )
        return self._judge

    def _plan(self, store: Store) -> Plan:
        task, settings = self.folder.task, self.folder.settings
        live, said, asked = settings.judge, settings.correction, None
        assert live is not None
        quota = Quota.of(live, task.training)
        if said is not None:
            asked = len(self.folder.comparison_ids(store))
            again = asked - len(JudgedAgain(self.folder, store).asked_about_now())
            left = max(0, said.most_learned_from - store.judged_live())
            quota = Quota(max(again, min(again + said.questions, asked + left)), again)
        return Plan(
            task.environment,
            task.view,
            store.add_goal(task.stated_goal()),
            quota,
            settings.seed,
            live.per_request,
            live.concurrency,
            live.querying,
            asked,
            task.stated_goal().stages,
        )

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

    def _forget_what_is_outdated(self) -> None:
        """Removes all that was learned from other judgments than the store's, such as from fewer.

        So the result of a run that asks nobody meanwhile depends on its judgments and never on when
        they came. The reward model, by which this is seen, goes last: killed in between, it is done
        again. A live run that is not finished goes on: new answers are what it lives on.
        """
        folder = self.folder
        unfinished = not folder.result.is_file()
        if not (folder.reward_model / FILE).is_file() or (folder.settings.judge and unfinished):
            return
        with folder.open_store() as store:
            current = digest(folder.preferences(store))
        if read_fit(folder.reward_model).preferences == current:
            return
        for file in (
            folder.result,
            folder.evaluation,
            folder.report,
            folder.film,
            folder.checkpoint,
        ):
            file.unlink(missing_ok=True)
        said = folder.settings.correction
        if said is not None:  # the learner goes on from where it was before the correction
            begin_again(folder.path, said.corrected)
        for outdated in (
            folder.policy,
            *((folder.kept, folder.tensorboard) if said is None else ()),
            folder.reward_model,
        ):
            shutil.rmtree(outdated, ignore_errors=True)


def _with_steps(task: Task, steps: int | None) -> Task:
    """The task that takes so many steps at most; None leaves it as it is."""
    if steps is None:
        return task
    training = task.training.model_copy(update={"steps": steps})
    return task.model_copy(update={"training": training})
