"""A run whose policy another library learns; judgments and reward model are as of any run."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, Self, SupportsFloat

import gymnasium
import numpy as np
import numpy.typing as npt

from volition.comparison import Observations
from volition.envs.scene import find_scene, make_env
from volition.errors import InputError
from volition.finding.horizon import Stage
from volition.goal import Goal
from volition.judges.base import Judge
from volition.judges.settings import JudgeSettings
from volition.learners.base import Transitions
from volition.learners.learned_reward import HostReward
from volition.learners.rollout import Step, Watch, Watched
from volition.learners.visited import Visited
from volition.questions.filming import Filming
from volition.run.asking.live import TICK_S
from volition.run.asking.online import Inquiry
from volition.run.folder import CONFIG
from volition.run.results import Listener, Progress
from volition.run.run import Run, named_task
from volition.run.sessions import MIN_SESSION_STEPS, TICK
from volition.storage.compilation import enable_cache
from volition.storage.documents import as_document
from volition.storage.files import exclusively
from volition.storage.store import Store
from volition.tasks.task import Task

STATE = "volition.state"  # in info: what the environment says itself of the state a step led to

Info = dict[str, Any]  # as Gymnasium has it


class JudgedRun:
    """Judgments and a reward model for a policy that another library learns. A context manager.

    As the block begins, the first questions are answered, and the reward model is fitted. Within it
    `turn` is told of every step: a live judge is then asked about what the policy reaches, as
    while `volition train` learns, and `reward` is replaced as its answers come. Every answer is on
    disk before it is used. The same folder goes on with the answers that it holds.

    Args:
        run: Its folder, and who is asked.
        listener: Is told how judging gets on.

    Attributes:
        reward: Of now; within the block.
    """

    reward: HostReward

    def __init__(self, run: Run, listener: Listener = lambda _: None) -> None:
        self.run, self._listener = run, listener
        self.steps = run.folder.settings.most_steps
        self._opened = ExitStack()
        self._inquiry: Inquiry | None = None
        self._filming: Filming | None = None
        self._visited: Visited | None = None
        self._turns, self._due = 0, MIN_SESSION_STEPS
        self._progress = Progress("policy", total_steps=self.steps)

    @classmethod
    def at(
        cls,
        out: str | Path,
        task: str | Path | Task,
        goal: Goal | str | None = None,
        *,
        judgments: str | Path | None = None,
        judge: str | JudgeSettings | Judge | None = None,
        steps: int | None = None,
        seed: int = 0,
        listener: Listener = lambda _: None,
    ) -> Self:
        """The run in the folder `out`, which is made where there is none.

        One that is there goes on as it began, whatever is said of it this time.

        Args:
            out: The run folder.
            task, goal, judgments, judge, seed: As of `volition.train`.
            steps: Environment steps over which questions are spread.
            listener: Is told how judging gets on.

        Raises:
            VolitionError: As from `volition.train`.
        """
        if (Path(out) / CONFIG).is_file():
            given = None if isinstance(judge, str | JudgeSettings) else judge
            return cls(Run.open(out, given), listener)
        made = Run.create(
            named_task(task, goal), judgments, out, live=judge, steps=steps, seed=seed
        )
        return cls(made, listener)

    def __enter__(self) -> Self:
        enable_cache()
        folder = self.run.folder
        with ExitStack() as stack:
            stack.enter_context(exclusively(folder.path))
            store = stack.enter_context(folder.open_store())
            folder.take_in_labels(store)
            stack.push(lambda kind, *_: self._end(store) if kind is None else None)
            self._inquiry = stack.enter_context(self.run.asking(store, self._listener))
            model, fitted = self.run.fit_reward(store)
            self.reward = HostReward(model)
            self._progress = replace(
                self._progress,
                judgments=fitted.judgments,
                heldout_accuracy=fitted.heldout_accuracy,
            )
            self._opened = stack.pop_all()
        return self

    def __exit__(self, *error: Any) -> bool | None:
        return self._opened.__exit__(*error)

    def make_env(self) -> gymnasium.Env[Any, Any]:
        """The environment of the run, with its own reward, as Volition observes it.

        Where a live judge is asked, `info` says of every step what questions are drawn from.
        """
        environment = self.run.folder.task.environment
        if self._inquiry is None:
            return make_env(environment.id, environment.kwargs)
        scene = find_scene(environment)
        if scene is not None:
            made = make_env(environment.id, environment.kwargs)
            return _Told(made, lambda env, *_: scene.capture(env))
        if self._filming is None:
            task, seed = self.run.folder.task, self.run.folder.settings.seed
            self._filming = Filming(task.view, 1.0, np.random.default_rng(seed))
            questions = self._inquiry.questions(self._stage)
            self._filming.spread_over(0, self.steps, questions)
        made = make_env(environment.id, environment.kwargs, render_mode="rgb_array")
        return _Told(made, self._filming)

    def turn(
        self,
        env_steps: int,
        seen: Observations,
        ended: npt.NDArray[np.bool_],
        states: npt.NDArray[np.float64] | None = None,
    ) -> bool:
        """Is told of a step of all environments.

        Args:
            env_steps: Taken so far.
            seen: What the reward model sees of what the step led to: (envs, ...).
            ended: Where the episode ended there: (envs,).
            states: What `info` says there of `STATE`: (envs, fields).

        Returns:
            Whether the reward is another one now.

        Raises:
            InputError: There were more environments before, or fewer.
            JudgeUnavailable: The judge cannot be asked any more. What it answered is stored.
        """
        states = np.zeros((len(seen), 0)) if states is None else states
        if self._visited is None:
            self._visited = Visited.empty(seen, states.shape[1], self.steps)
        envs = self._visited.ended.shape[1]
        if len(seen) != envs:
            raise InputError(f"{len(seen)} environments were stepped, and before that {envs}")
        transitions = Transitions(seen, np.zeros(len(seen)), seen, ended)
        self._visited.add(Step(transitions, seen, ended, np.zeros(len(seen)), states))
        self._turns += 1
        self._progress = replace(self._progress, env_steps=env_steps)
        return self._turns % TICK == 0 and self._look_up(env_steps, self._visited)

    def normalise(self, seen: Observations) -> None:
        """Gives the reward zero mean and unit scale over these: (rows, ...)."""
        self.reward.model = self.reward.model.normalised(seen)

    @property
    def progress(self) -> Progress:
        """How judging gets on."""
        return self._inquiry.report(self._progress) if self._inquiry else self._progress

    @property
    def _stage(self) -> Stage:
        return Stage(0, 0, self.steps)

    def _look_up(self, env_steps: int, visited: Visited) -> bool:
        model = None
        if self._inquiry is not None:
            filmed = self._filming.kept if self._filming else None
            model = self._inquiry.turn(env_steps, self._stage, visited, filmed)
            while model is None and self._inquiry.held_up:
                self._listener(self.progress)
                time.sleep(TICK_S)
                model = self._inquiry.turn(env_steps, self._stage, visited, filmed)
            self._listener(self.progress)
        rows = visited.stored * visited.ended.shape[1]
        if model is None and rows < self._due:
            return False
        self._due = 2 * rows
        self.reward.model = (model or self.reward.model).normalised(visited.flat())
        return True

    def _end(self, store: Store) -> None:
        """Learns from the last answers, too, and keeps the reward model as it was used."""
        model, fitted = self.run.fit_reward(store)
        if self._visited is not None:
            model = model.normalised(self._visited.flat())
            model.save(self.run.folder.reward_model, as_document(fitted))
        self.reward.model = model


class _Told(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Says in `info` what was watched of the state that a step led to."""

    def __init__(self, env: gymnasium.Env[Any, Any], watch: Watch) -> None:
        self._watched = Watched(env, watch)
        super().__init__(self._watched)

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, Info]:
        *result, info = self.env.step(action)
        observation, reward, terminated, truncated = result
        return observation, reward, terminated, truncated, {**info, STATE: self._watched.state}
