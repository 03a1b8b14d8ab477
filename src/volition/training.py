"""A policy learned in sessions: each starts from reset environments and ends with a checkpoint.

The seed of a session's reset depends on its number alone, so a run that is killed and resumed goes
through the same states as one that was never interrupted, whatever the environment keeps inside.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from tensorboardX import SummaryWriter

from volition.errors import Interrupted
from volition.learners.base import RewardFunction, Transitions
from volition.learners.sac import SAC, Policy, SACSettings, SACState
from volition.progress import Listener, Progress
from volition.reward import RewardModel, check_inputs
from volition.rollout import Rollout, Step
from volition.run_folder import RunFolder, Settings
from volition.task import Task
from volition.tensors import load_tree, read_description, save_tree

MIN_SESSION_STEPS = 200  # of every environment
LONGEST_EPISODE = 1000  # a session holds whole episodes, unless they are longer than this
TICK = 50  # steps between two signs of life

POLICY_FILE = "policy.safetensors"

Position = tuple[SACState, jax.Array]  # the learner's state, and the actions to take next
Measured = dict[str, float]


class StateReward(eqx.Module):
    """The reward of a transition: what the reward model says of the state it leads to."""

    model: RewardModel

    def __call__(self, transitions: Transitions) -> jax.Array:
        return self.model(jnp.asarray(transitions.next_observation))


def make_learner(rollout: Rollout, task: Task, settings: Settings) -> SAC:
    """The learner for an environment's spaces.

    Raises:
        EnvironmentUnsupported: It cannot act there.
    """
    capacity = 1 << (settings.steps - 1).bit_length()  # all of the run: nothing is forgotten
    return SAC.for_spaces(
        rollout.observation_space,
        rollout.action_space,
        settings.envs,
        SACSettings(gamma=task.training.gamma, replay_capacity=capacity),
    )


def learn_policy(
    folder: RunFolder, model: RewardModel, told: Progress, listener: Listener
) -> list[Measured]:
    """Learns from the last checkpoint on; the checkpoint of the last session is left in the run.

    Args:
        folder: The run.
        model: The reward model, the only signal.
        told: What the listener knows already.
        listener: Is told how far this is.

    Returns:
        What each session measured: env_steps, updates_per_s, learned_return, true_return (for
        evaluation only), and the learner's own metrics.

    Raises:
        Interrupted: Ctrl-C was pressed; the session's checkpoint has been written.
    """
    settings = folder.settings
    with closing(Rollout(folder.task.environment, settings.envs)) as rollout:
        learner = make_learner(rollout, folder.task, settings)
        position: Position = learner.start(settings.seed, settings.steps)
        history: list[Measured] = []
        if folder.checkpoint.is_file():
            position = load_tree(folder.checkpoint, position)
            history = read_description(folder.checkpoint)["history"]
        steps = session_steps(rollout.episode_limit)
        sessions = -(-settings.steps // (steps * settings.envs))
        with _ctrl_c() as pressed, _curves(folder.tensorboard, len(history)) as curves:
            for number in range(len(history), sessions):
                done = number * steps * settings.envs

                def tick(taken: int, done: int = done, told: Progress = told) -> None:
                    listener(replace(told, env_steps=done + taken * settings.envs))

                reward = StateReward(_over_replay(model, position[0]))
                seeds = session_seed(settings.seed, number), session_seed(settings.seed, number + 1)
                position, steps_taken, measured = run_session(
                    rollout, learner, reward, position, seeds, steps, tick
                )
                measured |= _returns(model, steps_taken)
                measured["env_steps"] = done + steps * settings.envs
                history.append(measured)
                save_tree(folder.checkpoint, position, {"history": history})
                for name, value in measured.items():
                    curves.add_scalar(name, value, int(measured["env_steps"]))
                told = replace(
                    told,
                    env_steps=int(measured["env_steps"]),
                    updates_per_s=measured["updates_per_s"],
                    learned_return=measured["learned_return"],
                    true_return=measured["true_return"],
                )
                listener(told)
                if pressed.is_set() and number + 1 < sessions:
                    raise Interrupted(
                        f"stopped after {told.env_steps} steps; nothing is lost: "
                        f"go on with `volition resume {folder.path}`"
                    )
    return history


def practise(folder: RunFolder) -> None:
    """Gets the programs of learning and of evaluation ready by using them; nothing of it is kept.

    They depend on shapes alone, so a reward model that knows nothing will do.
    """
    settings, task = folder.settings, folder.task
    with closing(Rollout(task.environment, settings.envs)) as rollout:
        learner = make_learner(rollout, task, settings)
        model = RewardModel.unfitted(check_inputs(task.reward, learner.observation_dim))
        position = learner.start(settings.seed, settings.steps)
        (state, _), _, _ = run_session(rollout, learner, StateReward(model), position, (0, 0), 2)
    learner.policy(state)(np.zeros((settings.episodes, learner.observation_dim), np.float32))


def save_policy(folder: RunFolder) -> None:
    """Writes the policy of the last checkpoint as safetensors."""
    with closing(Rollout(folder.task.environment, folder.settings.envs)) as rollout:
        learner = make_learner(rollout, folder.task, folder.settings)
    position = load_tree(folder.checkpoint, learner.start(0, 1))
    folder.policy.mkdir(exist_ok=True)
    description = {"environment": folder.task.environment.id, "hidden": learner.settings.hidden}
    save_tree(folder.policy / POLICY_FILE, learner.policy(position[0]), description)


def load_policy(folder: RunFolder) -> Policy:
    """The policy in a run folder: float32 (batch, obs_dim) to actions (batch, action_dim).

    Raises:
        RunError: There is none yet, or it is damaged.
    """
    with closing(Rollout(folder.task.environment, folder.settings.envs)) as rollout:
        learner = make_learner(rollout, folder.task, folder.settings)
    return load_tree(folder.policy / POLICY_FILE, learner.policy(learner.start(0, 1)[0]))


def run_session(
    rollout: Rollout,
    learner: SAC,
    reward: RewardFunction,
    position: Position,
    seeds: tuple[int, int],
    steps: int,
    tick: Callable[[int], None] = lambda _: None,
) -> tuple[Position, list[Step], Measured]:
    """Steps the environments `steps` times, learning after each.

    Args:
        rollout: The environments.
        learner: Updates the policy after every vector step.
        reward: The learner's only signal.
        position: Where the last session ended.
        seeds: The resets of this session and of the next, for whose first observations the last
            actions are chosen.
        steps: Of every environment.
        tick: Is told how many have been taken, now and then.

    Returns:
        Where this session ended, its steps, and the learner's speed and last metrics.
    """
    state, actions = position
    rollout.reset(seeds[0])
    taken: list[Step] = []
    started = time.perf_counter()
    for number in range(1, steps + 1):
        step = rollout.step(np.asarray(actions))
        following = step.observations if number < steps else rollout.reset(seeds[1])
        state, actions, metrics = learner.iterate(state, step.transitions, following, reward)
        taken.append(step)
        if number % TICK == 0:
            tick(number)
    actions.block_until_ready()
    seconds = time.perf_counter() - started
    measured = {name: float(value) for name, value in metrics.items()}
    measured["updates_per_s"] = steps * learner.settings.updates_per_iteration / seconds
    return (state, actions), taken, measured


def session_steps(episode_limit: int | None) -> int:
    """How many steps of every environment a session has: whole episodes where they are short."""
    if episode_limit is None or episode_limit > LONGEST_EPISODE:
        return LONGEST_EPISODE
    return episode_limit * -(-MIN_SESSION_STEPS // episode_limit)


def session_seed(seed: int, number: int) -> int:
    """The seed from which the environments of a session are reset."""
    return int(np.random.SeedSequence([seed, number]).generate_state(1)[0])


def _over_replay(model: RewardModel, state: SACState) -> RewardModel:
    """The model normalised over what the policy has seen; before that, over the judged states."""
    stored = min(int(state.replay.added), state.replay.capacity)
    seen = np.asarray(state.replay.transitions.next_observation)[:stored]
    return model.normalised(seen) if stored else model


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


@contextmanager
def _ctrl_c() -> Iterator[threading.Event]:
    """Within the block the first Ctrl-C only sets the event; the second one stops at once."""
    pressed = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield pressed
        return

    def note(_signal: int, _frame: FrameType | None) -> None:
        if pressed.is_set():
            raise KeyboardInterrupt
        pressed.set()

    before = signal.signal(signal.SIGINT, note)
    try:
        yield pressed
    finally:
        signal.signal(signal.SIGINT, before)
