"""Episodes of a policy as a Minari dataset (https://minari.farama.org).

The reward of a step is the learned one, by which the policy was trained. The environment's own is
no signal here either: what it had added up to by then stands in `infos`, for evaluation only.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gymnasium
import jax.numpy as jnp
import numpy as np

from volition.comparison import Array
from volition.errors import RunError, needed
from volition.learners.rollout import Rollout, episodes
from volition.run.run import Run
from volition.storage.files import is_free, new_folder

PLACE = "MINARI_DATASETS_PATH"  # by which Minari knows where its datasets are
TOLD = """{id} in {out}: {count} episodes, {steps} steps; rewards are the learned ones
read it: {place}={out} python -c "import minari; minari.load_dataset('{id}')\""""


@dataclass(slots=True)
class _Episode:
    """What is kept of one: a row more of observations and returns than of the others."""

    observations: list[Array]
    true_returns: list[float] = field(default_factory=lambda: [0.0])
    actions: list[Array] = field(default_factory=list)
    rewards: list[float] = field(default_factory=list)
    terminations: list[bool] = field(default_factory=list)


def export_episodes(run: Run, out: Path, count: int, seed: int) -> str:
    """Lets a run's policy act, and writes its episodes into the new folder `out`.

    Args:
        run: Whose policy.
        out: A folder of Minari datasets, with this one in it, named after the task.
        count: How many episodes.
        seed: Of the first.

    Returns:
        What was written, for a person.

    Raises:
        InputError: The extra `minari` is missing.
        RunError: The run has no policy yet, or `out` is there already or cannot be written.
    """
    if not is_free(out):
        raise RunError(f"{out} is there already: choose another folder with --out")
    minari = needed("minari", "minari", "an export for Minari")
    result, environment = run.result, run.folder.task.environment
    with closing(Rollout(environment, count, staging=run.staging)) as rollout:
        acted = _acted(run, rollout, seed)
        spaces = rollout.observation_space, rollout.action_space
    spec = deepcopy(gymnasium.spec(environment.id))
    spec.kwargs.update(environment.kwargs)
    named = f"{run.folder.task.name}/learned-v{run.folder.settings.version - 1}"
    simulated = "The judge is simulated: an error model in place of a judge. "
    with new_folder(out) as folder, _datasets_in(folder), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # nobody's name and address are known here
        minari.create_dataset_from_buffers(
            named,
            [_buffer(minari, number, seed, episode) for number, episode in enumerate(acted)],
            env=spec,
            eval_env=spec,
            observation_space=spaces[0],
            action_space=spaces[1],
            algorithm_name="volition",
            description=(
                f"Episodes of a policy that learned from judgments of {result.judge}. "
                f"{simulated if result.simulated else ''}The goal: "
                f"{run.folder.task.stated_goal().text} Rewards are those of the learned reward "
                "model; infos.true_return is the environment's own return so far, for evaluation "
                "only."
            ),
            data_format="arrow",
            jpeg_encoding=False,
        )
    steps = sum(len(episode.rewards) for episode in acted)
    return TOLD.format(id=named, out=out, count=count, steps=steps, place=PLACE)


def _acted(run: Run, rollout: Rollout, seed: int) -> list[_Episode]:
    """Episodes side by side, each to its end."""
    policy, reward = run.policy, run.reward_model
    acted: list[_Episode] = []
    for moment in episodes(rollout, policy, seed):
        step = moment.step
        if not acted:
            acted = [_Episode([seen]) for seen in np.asarray(step.transitions.observation)]
        reached = np.asarray(step.transitions.next_observation)
        rewards = np.asarray(reward(jnp.asarray(reached)))
        for number in np.flatnonzero(moment.running):
            episode = acted[number]
            episode.observations.append(reached[number])
            episode.actions.append(moment.actions[number])
            episode.rewards.append(float(rewards[number]))
            episode.terminations.append(bool(step.transitions.terminated[number]))
            episode.true_returns.append(float(step.true_returns[number]))
    return acted


def _buffer(minari: Any, number: int, seed: int, episode: _Episode) -> Any:
    """As Minari takes it. What ends without the environment's saying so was cut."""
    cut = [False] * len(episode.rewards)
    cut[-1] = not episode.terminations[-1]
    return minari.data_collector.EpisodeBuffer(
        id=number,
        seed=seed + number,
        observations=np.stack(episode.observations),
        actions=np.stack(episode.actions),
        rewards=episode.rewards,
        terminations=episode.terminations,
        truncations=cut,
        # A column, since Minari 0.5 cannot read numbers back that have no shape.
        infos={"true_return": np.array(episode.true_returns)[:, None]},
    )


@contextmanager
def _datasets_in(folder: Path) -> Iterator[None]:
    """Within the block Minari's datasets are there."""
    before = os.environ.get(PLACE)
    os.environ[PLACE] = str(folder)
    try:
        yield
    finally:
        if before is None:
            del os.environ[PLACE]
        else:
            os.environ[PLACE] = before
