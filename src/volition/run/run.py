"""The outer loop: judgments -> preferences -> reward model -> policy -> evaluation.

Every stage leaves its result in the run folder, whole or not at all, and `advance` does what is
not there yet: a run and its resumption are the same call. The policy is learned in sessions. A
session starts from environments reset by a seed of its own and ends with a checkpoint, so a
resumed run goes through the same states as one that was never interrupted, bit for bit.
"""

from __future__ import annotations

import json
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from volition.envs.scene import scenes_of
from volition.errors import InputError
from volition.goal import Goal
from volition.judging.recordings import import_recording, read_recording
from volition.judgment import Preference
from volition.learners.base import Policy
from volition.learners.rollout import Rollout
from volition.reward.fit import check_inputs, fit
from volition.reward.learning import digest, learn_reward, preference_data, warnings
from volition.reward.model import FILE, RewardModel
from volition.reward.preferences import PreferenceData
from volition.run.evaluation import evaluate, measures_of
from volition.run.folder import LiveSettings, RunFolder, Settings
from volition.run.live import (
    choose_comparisons,
    judging_live,
    limits_of,
    make_judge,
    tried,
    unasked,
    unjudged,
)
from volition.run.online import Inquiry
from volition.run.progress import Listener, Progress
from volition.run.sessions import (
    Measured,
    learn_policy,
    load_policy,
    make_learner,
    practise,
    save_policy,
)
from volition.storage.compilation import enable_cache
from volition.storage.files import write_whole
from volition.storage.store import Store
from volition.storage.tensors import read_description
from volition.tasks.task import EnvironmentSection, GoalSection, Task


def train(
    task: str | Path | Task,
    goal: Goal | str | None = None,
    *,
    judgments: str | Path | None = None,
    judge: str | LiveSettings | None = None,
    reuse: str | Path | None = None,
    out: str | Path | None = None,
    steps: int | None = None,
    seed: int = 0,
    symmetric: bool = False,
    listener: Listener = lambda _: None,
) -> Run:
    """Trains an agent to reach a goal, on judgments alone.

    Args:
        task: A bundled task's name, a task folder, or an environment id together with a `Goal`.
        goal: What is wanted, where `task` is an environment id; else the name of one of its goals.
        judgments: One of the task's sets of recorded judgments, or a path to others.
        judge: In their place a live judge, as `PROVIDER:MODEL` or with all its settings.
        reuse: A run folder whose answers of the same judge are taken over.
        out: The run folder; by default a new one under `runs/`.
        steps: Environment steps; the task's own number by default.
        seed: Of everything random.
        symmetric: Use the symmetries that the task declares.
        listener: Is told how the run is getting on.

    Raises:
        VolitionError: One of its kinds, with what is wrong and what to do.
    """
    if isinstance(goal, Goal):
        task = task_for(str(task), goal)
    elif not isinstance(task, Task):
        task = Task.find(str(task), goal)
    if isinstance(judge, str):
        training = task.training
        judge = LiveSettings(judge, training.max_judgments, first=training.first_judgments)
    run = Run.create(
        task, judgments, out, live=judge, reuse=reuse, steps=steps, seed=seed, symmetric=symmetric
    )
    run.advance(listener)
    return run


def task_for(env_id: str, goal: Goal) -> Task:
    """A task made on the fly from an environment's id and a goal."""
    name = env_id.rpartition("/")[2].lower()
    absolute = [
        [str(path.absolute()) for path in some] for some in (goal.images, goal.counterexamples)
    ]
    section = GoalSection(
        text=goal.text,
        images=tuple(absolute[0]),
        counterexamples=tuple(absolute[1]),
        principles=goal.principles,
        vetoes=goal.vetoes,
    )
    return Task(name=name, environment=EnvironmentSection(id=env_id), goal=section)


class Run:
    """A run folder, and the stages that fill it."""

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder

    @classmethod
    def create(
        cls,
        task: Task,
        judgments: str | Path | None = None,
        out: str | Path | None = None,
        *,
        live: LiveSettings | None = None,
        reuse: str | Path | None = None,
        steps: int | None = None,
        seed: int = 0,
        symmetric: bool = False,
    ) -> Run:
        """A run with its judgments in the store, or with what a live judge is to be asked.

        Raises:
            VolitionError: The judgments, the judge, the environment or the folder will not do.
                Nothing is left behind then.
        """
        if live is not None and judgments is not None:
            raise InputError("give either recorded judgments or a live judge, not both")
        if reuse is not None and live is None:
            raise InputError("only a live judge's answers can be reused: name it with --judge")
        if symmetric and not task.reward.symmetries:
            raise InputError(f"the task {task.name} declares no symmetry to use")
        path = Path(out) if out else Path("runs") / f"{task.name}-{time.strftime('%Y%m%d-%H%M%S')}"
        settings = Settings("", symmetric, steps or task.training.steps, seed)
        if live is None:
            chosen = str(judgments) if judgments is not None else None
            _with_recording(path, task, settings, chosen)
        else:
            _with_judge(path, task, settings, live, Path(reuse) if reuse is not None else None)
        return cls.open(path)

    @classmethod
    def open(cls, path: str | Path) -> Run:
        """The run in a folder."""
        return cls(RunFolder.open(Path(path)))

    @property
    def reward_model(self) -> RewardModel:
        """The reward model; normalised over the replay once the policy is learned."""
        return RewardModel.load(self.folder.reward_model)

    @property
    def policy(self) -> Policy:
        """The learned policy: float32 (batch, obs_dim) to actions (batch, ...)."""
        return load_policy(self.folder)

    def advance(self, listener: Listener = lambda _: None) -> dict[str, Any]:
        """Does every stage that is not done yet; returns the result, as in `result.json`.

        Raises:
            Interrupted: Ctrl-C was pressed; a checkpoint has been written.
        """
        enable_cache()
        self._forget_what_is_outdated()
        if self.folder.result.is_file():
            return self.folder.read(self.folder.result)
        started = time.perf_counter()
        with self.folder.open_store() as store:
            history = self._learn(store, listener)
            learned = learn_reward(self.folder, store)
            live = self.folder.settings.live
            cost = store.cost_usd() + (live.probe_usd if live else 0.0)
            judges = store.judges().values()
            missing = [*unjudged(store), *unasked(store, self.folder.settings)]
        save_policy(self.folder)
        listener(
            Progress(
                "evaluation",
                judgments=learned["judgments"],
                cost_usd=cost,
                env_steps=int(history[-1]["env_steps"]),
                heldout_accuracy=learned["heldout"]["share"],
            )
        )
        settings, task = self.folder.settings, self.folder.task
        evaluation = evaluate(
            self.policy, self.reward_model, task.environment, settings.episodes, measures_of(task)
        )
        write_whole(self.folder.evaluation, json.dumps(evaluation.as_dict()))
        result = {
            "run": str(self.folder.path),
            "task": task.name,
            "judge": ", ".join(judge.name for judge in judges),
            "simulated": any(judge.simulated for judge in judges),
            "judgments": learned["judgments"],
            "cost_usd": round(cost, 9),
            "return_mean": evaluation.mean,
            "return_std": evaluation.std,
            "measures": evaluation.measured,
            "episodes": settings.episodes,
            "heldout_accuracy": learned["heldout"]["share"],
            "principles": learned["principles"],
            "vetoes": learned["vetoes"],
            "alarms": learned["alarms"],
            "env_steps": int(history[-1]["env_steps"]),
            "updates_per_s": float(np.median([session["updates_per_s"] for session in history])),
            "wall_s": time.perf_counter() - started,
            "seed": settings.seed,
            "warnings": [*missing, *warnings(learned), *evaluation.warnings],
        }
        write_whole(self.folder.result, json.dumps(result, indent=2))
        return result

    def _learn(self, store: Store, listener: Listener) -> list[Measured]:
        """Judges, fits and learns; with a live judge all three go on side by side."""
        folder = self.folder
        with ThreadPoolExecutor(1) as beside, judging_live(folder) as asking:
            if asking:
                asking.all_pending(store, listener, lambda: warm_up(folder, store))
            practised = beside.submit(practise, folder)
            learned = learn_reward(folder, store)
            practised.result()
            told = Progress(
                "policy",
                total_steps=folder.settings.steps,
                judgments=learned["judgments"],
                heldout_accuracy=learned["heldout"]["share"],
            )
            listener(told)
            if asking is None:
                return learn_policy(folder, self.reward_model, told, listener)
            with Inquiry(asking) as inquiry:
                history = learn_policy(folder, self.reward_model, told, listener, inquiry)
                inquiry.finish()
                return history

    def _forget_what_is_outdated(self) -> None:
        """Removes all that was learned from other judgments than the store's, such as from fewer.

        So the result of a run that asks nobody meanwhile depends on its judgments and never on when
        they came. The reward model, by which this is seen, goes last: killed in between, it is done
        again. A live run that is not finished goes on: new answers are what it lives on.
        """
        folder = self.folder
        unfinished = not folder.result.is_file()
        if not (folder.reward_model / FILE).is_file() or (folder.settings.live and unfinished):
            return
        with folder.open_store() as store:
            current = digest(store.preferences())
        if read_description(folder.reward_model / FILE)["preferences"] == current:
            return
        for file in (
            folder.result,
            folder.evaluation,
            folder.report,
            folder.film,
            folder.checkpoint,
        ):
            file.unlink(missing_ok=True)
        for learned in (folder.policy, folder.tensorboard, folder.reward_model):
            shutil.rmtree(learned, ignore_errors=True)


def _with_recording(path: Path, task: Task, settings: Settings, chosen: str | None) -> None:
    """A run folder with recorded judgments in its store."""
    source = task.judgments_folder(chosen)
    name = chosen or (task.judgments.default if task.judgments else source.name)
    settings = replace(settings, judgments=name)
    check_environment(task, settings)
    with RunFolder.create(path, task, settings) as folder, Store.create(folder.path) as store:
        goal_id = store.add_goal(task.stated_goal())
        scenes = scenes_of(task.environment)
        recording = read_recording(source, Path(name).name, goal_id, scenes, task.view)
        import_recording(recording, store)
        preference_data(store).check_decided()
        for sheet in recording.sheets:
            folder.sheets.mkdir(exist_ok=True)
            shutil.copyfile(sheet, folder.sheets / sheet.name)


def _with_judge(
    path: Path, task: Task, settings: Settings, live: LiveSettings, reused: Path | None
) -> None:
    """A run folder with what a live judge is to be asked."""
    limits_of(live)
    check_environment(task, settings)
    judge = make_judge(task, live)
    live = tried(live, judge)
    settings = replace(settings, live=live)
    with RunFolder.create(path, task, settings) as folder, Store.create(folder.path) as store:
        goal_id = store.add_goal(task.stated_goal())
        choose_comparisons(task, live, judge, store, goal_id, settings.seed, reused)


def warm_up(folder: RunFolder, store: Store) -> None:
    """Compiles what comes next. Programs depend on shapes, not on what a judge will answer."""
    guesses = [Preference(name, float(n % 2), 1.0) for n, name in enumerate(store.comparison_ids())]
    data = PreferenceData.gather(store.observed(), guesses)
    fit(data, folder.task.reward, folder.settings.symmetric, folder.settings.seed)
    practise(folder)


def check_environment(task: Task, settings: Settings) -> None:
    """That the learner can act in the environment, and the reward model see what the task says.

    Raises:
        EnvironmentUnsupported, InputError: It cannot.
    """
    with closing(Rollout(task.environment, 1)) as rollout:
        learner = make_learner(rollout, task, settings)
        check_inputs(task.reward, learner.observation_shape)
