"""A policy learned in sessions: each starts from reset environments and ends with a checkpoint.

The seed of a session's reset depends on its number alone, so a run that is killed and resumed goes
through the same states as one that was never interrupted, whatever the environment keeps inside.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from tensorboardX import SummaryWriter

from volition import learners
from volition.envs.scene import open_scene
from volition.errors import EnvironmentUnsupported, Interrupted
from volition.learners.base import Learner, Policy, RewardFunction, Transitions
from volition.learners.rollout import Rollout, Step
from volition.learners.visited import Visited
from volition.questions.filming import FILMED, Filming
from volition.reward.fit import check_inputs
from volition.reward.model import RewardModel
from volition.run.folder import RunFolder, Settings
from volition.run.interrupting import noted
from volition.run.online import Inquiry
from volition.run.progress import Listener, Progress
from volition.storage.tensors import load_tree, read_description, save_tree
from volition.tasks.task import Task

MIN_SESSION_STEPS = 200  # of every environment
LONGEST_EPISODE = 1000  # a session holds whole episodes, unless they are longer than this
TICK = 50  # steps between two signs of life
SAVING_SHARE = 20  # times as long as writing a checkpoint took, until the next one is written

POLICY_FILE = "policy.safetensors"

Measured = dict[str, float]


class Position(NamedTuple):
    """Where learning is, as arrays only: a checkpoint is the leaves of this tree."""

    state: Any  # the learner's
    actions: jax.Array  # to take next
    visited: Visited


class StateReward(eqx.Module):
    """The reward of a transition: what the reward model says of the state it leads to."""

    model: RewardModel

    def __call__(self, transitions: Transitions) -> jax.Array:
        return self.model(jnp.asarray(transitions.next_observation))


def make_learner(rollout: Rollout, task: Task, settings: Settings) -> Learner[Any]:
    """The learner for an environment's spaces.

    Raises:
        EnvironmentUnsupported: It cannot act there.
    """
    return learners.make(
        task.training.algorithm,
        rollout.observation_space,
        rollout.action_space,
        settings.envs,
        gamma=task.training.gamma,
        steps=settings.steps,
    )


def learn_policy(
    folder: RunFolder,
    model: RewardModel,
    told: Progress,
    listener: Listener,
    inquiry: Inquiry | None = None,
) -> list[Measured]:
    """Learns from the last checkpoint on; the checkpoint of the last session is left in the run.

    Args:
        folder: The run.
        model: The reward model, the only signal.
        told: What the listener knows already.
        listener: Is told how far this is.
        inquiry: What goes on being asked meanwhile; it may bring a new reward model at any time.

    Returns:
        What each session measured: env_steps, updates_per_s, learned_return, true_return (for
        evaluation only), judgments, and the learner's own metrics.

    Raises:
        Interrupted: Ctrl-C was pressed; a checkpoint has been written.
        JudgeUnavailable: The judge cannot be asked any more.
    """
    filming = filming_of(folder) if inquiry else None
    with closing(open_rollout(folder, filming)) as rollout:
        sessions = Sessions(folder, rollout, model, inquiry, filming)
        with noted() as pressed, _curves(folder.tensorboard, sessions.done) as curves:
            while not sessions.finished():
                measured = sessions.run_one(told, listener)
                sessions.save(at_once=sessions.finished() or pressed.is_set())
                for name, value in measured.items():
                    curves.add_scalar(name, value, int(measured["env_steps"]))
                told = replace(
                    inquiry.told(told) if inquiry else told,
                    env_steps=int(measured["env_steps"]),
                    updates_per_s=measured["updates_per_s"],
                    learned_return=measured["learned_return"],
                    true_return=measured["true_return"],
                )
                listener(told)
                if pressed.is_set() and not sessions.finished():
                    raise Interrupted(
                        f"stopped after {told.env_steps} steps; nothing is lost: "
                        f"go on with `volition resume {folder.path}`"
                    )
    return sessions.history


class Sessions:
    """The sessions of a run, from its last checkpoint on."""

    def __init__(
        self,
        folder: RunFolder,
        rollout: Rollout,
        model: RewardModel,
        inquiry: Inquiry | None,
        filming: Filming | None,
    ) -> None:
        self._folder, self._rollout, self._inquiry = folder, rollout, inquiry
        self._model = self._judged = model
        self._learner = make_learner(rollout, folder.task, folder.settings)
        self.history: list[Measured] = []
        if folder.checkpoint.is_file():
            self._position = checkpointed(folder)
            self.history = read_description(folder.checkpoint)["history"]
        else:
            self._position = start(folder.settings, rollout, self._learner)
        told = self._position.visited.states.shape[-1]
        self._filmed = filming.kept if filming and not told else None
        self._steps = session_steps(rollout.episode_limit)
        self._total = -(-folder.settings.steps // (self._steps * rollout.envs))
        self._saved_at, self._saving_s = time.perf_counter(), 0.0

    @property
    def done(self) -> int:
        return len(self.history)

    def finished(self) -> bool:
        return self.done >= self._total

    def run_one(self, told: Progress, listener: Listener) -> Measured:
        """The next session; returns what it measured."""
        envs, seed, inquiry = self._rollout.envs, self._folder.settings.seed, self._inquiry
        before = self.done * self._steps * envs

        def tick(taken: int) -> RewardFunction | None:
            steps = before + taken * envs
            visited = self._position.visited
            model = inquiry.turn(steps, visited, self._filmed) if inquiry else None
            listener(replace(inquiry.told(told) if inquiry else told, env_steps=steps))
            if model is None:
                return None
            self._model = model
            return self._reward()

        seeds = session_seed(seed, self.done), session_seed(seed, self.done + 1)
        self._position, taken, measured = run_session(
            self._rollout, self._learner, self._reward(), self._position, seeds, self._steps, tick
        )
        measured |= _returns(self._judged, taken)
        measured["env_steps"] = before + self._steps * envs
        if inquiry:
            measured["judgments"] = inquiry.told(told).judgments
        self.history.append(measured)
        return measured

    def save(self, at_once: bool) -> None:
        """Writes a checkpoint, unless the last one is so recent that writing would take up the run.

        Sessions that are lost with a killed process are done again, in the same way.
        """
        now = time.perf_counter()
        if at_once or now - self._saved_at >= SAVING_SHARE * self._saving_s:
            save_tree(self._folder.checkpoint, self._position, {"history": self.history})
            self._saved_at = time.perf_counter()
            self._saving_s = self._saved_at - now

    def _reward(self) -> StateReward:
        """The model normalised over what was visited; before that, over the judged states."""
        seen = self._position.visited.flat()
        return StateReward(self._model.normalised(seen) if len(seen) else self._model)


def practise(folder: RunFolder) -> None:
    """Gets the programs of learning and of evaluation ready by using them; nothing of it is kept.

    They depend on shapes alone, so a reward model that knows nothing will do.
    """
    settings, task = folder.settings, folder.task
    with closing(open_rollout(folder)) as rollout:
        learner = make_learner(rollout, task, settings)
        shape = learner.observation_shape
        blank = RewardModel.unfitted(
            check_inputs(task.reward, shape), shape if len(shape) == 3 else ()
        )
        reward = StateReward(blank.capped_by([None] * len(task.stated_goal().vetoes)))
        position = start(folder.settings, rollout, learner)
        steps = learner.learns_every + 1
        position, _, _ = run_session(rollout, learner, reward, position, (0, 0), steps)
    dtype = position.visited.observations.dtype
    learner.policy(position.state)(np.zeros((settings.episodes, *shape), dtype))


def filming_of(folder: RunFolder) -> Filming:
    """Films so much of the run that questions find something everywhere in it."""
    settings = folder.settings
    chance = min(1.0, FILMED / settings.steps)
    return Filming(folder.task.view, chance, np.random.default_rng(settings.seed))


def open_rollout(folder: RunFolder, filming: Filming | None = None) -> Rollout:
    """The run's environments, whose states are told where they can be, and filmed elsewhere."""
    environment, settings = folder.task.environment, folder.settings
    try:
        scene = open_scene(environment.id, environment.kwargs)
    except EnvironmentUnsupported:
        if filming is None:
            return Rollout(environment, settings.envs)
        return Rollout(environment, settings.envs, filming, drawn=True)
    return Rollout(environment, settings.envs, lambda env, *_: scene.capture(env))


def start(settings: Settings, rollout: Rollout, learner: Learner[Any]) -> Position:
    """Where a run begins."""
    state, actions = learner.start(settings.seed, settings.steps)
    observed = rollout.reset(0)
    visited = Visited.empty(observed, rollout.fields, settings.steps)
    return Position(state, actions, visited)


def checkpointed(folder: RunFolder) -> Position:
    """Where a run was when its last checkpoint was written.

    Raises:
        RunError: There is none, or it is damaged.
    """
    with closing(open_rollout(folder)) as rollout:
        learner = make_learner(rollout, folder.task, folder.settings)
        begin = start(folder.settings, rollout, learner)
    position = load_tree(folder.checkpoint, begin)
    like = begin.visited
    visited = Visited(
        *(np.array(new, old.dtype) for new, old in zip(position.visited, like, strict=True))
    )
    return position._replace(visited=visited)


def save_policy(folder: RunFolder) -> None:
    """Writes the policy of the last checkpoint as safetensors."""
    with closing(Rollout(folder.task.environment, folder.settings.envs)) as rollout:
        learner = make_learner(rollout, folder.task, folder.settings)
    folder.policy.mkdir(exist_ok=True)
    description = {"environment": folder.task.environment.id}
    policy = learner.policy(checkpointed(folder).state)
    save_tree(folder.policy / POLICY_FILE, policy, description)


def load_policy(folder: RunFolder) -> Policy:
    """The policy in a run folder: float32 (batch, obs_dim) to actions (batch, ...).

    Raises:
        RunError: There is none yet, or it is damaged.
    """
    with closing(Rollout(folder.task.environment, folder.settings.envs)) as rollout:
        learner = make_learner(rollout, folder.task, folder.settings)
    return load_tree(folder.policy / POLICY_FILE, learner.policy(learner.start(0, 1)[0]))


def run_session(
    rollout: Rollout,
    learner: Learner[Any],
    reward: RewardFunction,
    position: Position,
    seeds: tuple[int, int],
    steps: int,
    tick: Callable[[int], RewardFunction | None] = lambda _: None,
) -> tuple[Position, list[Step], Measured]:
    """Steps the environments `steps` times, learning after each.

    Args:
        rollout: The environments.
        learner: Updates the policy after every vector step.
        reward: The learner's only signal.
        position: Where the last session ended. What is visited is added to it.
        seeds: The resets of this session and of the next, for whose first observations the last
            actions are chosen.
        steps: Of every environment.
        tick: Is told how many have been taken, now and then; may give a new reward function.

    Returns:
        Where this session ended, its steps, and the learner's speed and last metrics.
    """
    state, actions, visited = position
    rollout.reset(seeds[0])
    taken: list[Step] = []
    started = time.perf_counter()
    for number in range(1, steps + 1):
        step = rollout.step(np.asarray(actions))
        following = step.observations if number < steps else rollout.reset(seeds[1])
        state, actions, metrics = learner.iterate(state, step.transitions, following, reward)
        visited.add(step)
        taken.append(step)
        if number % TICK == 0:
            later = tick(number)
            reward = reward if later is None else later
    actions.block_until_ready()
    seconds = time.perf_counter() - started
    measured = {name: float(value) for name, value in metrics.items()}
    measured["updates_per_s"] = steps * learner.updates_per_iteration / seconds
    return Position(state, actions, visited), taken, measured


def session_steps(episode_limit: int | None) -> int:
    """How many steps of every environment a session has: whole episodes where they are short."""
    if episode_limit is None or episode_limit > LONGEST_EPISODE:
        return LONGEST_EPISODE
    return episode_limit * -(-MIN_SESSION_STEPS // episode_limit)


def session_seed(seed: int, number: int) -> int:
    """The seed from which the environments of a session are reset."""
    return int(np.random.SeedSequence([seed, number]).generate_state(1)[0])


def _returns(model: RewardModel, steps: list[Step]) -> Measured:
    """Mean returns of the episodes that ended; NaN where none did."""
    reached = np.stack([step.transitions.next_observation for step in steps])
    rewards = np.asarray(model(jnp.asarray(reached)))  # (steps, envs)
    learned, true = [], []
    running = np.zeros(rewards.shape[1])
    for step, reward in zip(steps, rewards, strict=True):
        running = running + reward
        learned += running[step.ended].tolist()
        true += step.true_returns[step.ended].tolist()
        running[step.ended] = 0.0
    return {
        "learned_return": float(np.mean(learned)) if learned else float("nan"),
        "true_return": float(np.mean(true)) if true else float("nan"),
    }


@contextmanager
def _curves(folder: Path, sessions_done: int) -> Iterator[Any]:
    """TensorBoard events; those of a session that is done again are discarded there."""
    writer = SummaryWriter(str(folder), purge_step=sessions_done or None)
    try:
        yield writer
    finally:
        writer.close()
