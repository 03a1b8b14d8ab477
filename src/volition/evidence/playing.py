"""The learned policy in a window, or on film."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from volition.comparison import observed
from volition.envs.making import check_alike, make_env
from volition.errors import RunError
from volition.evidence.film import Episode, record, write_mp4
from volition.run.folder import RunFolder
from volition.run.run import Run
from volition.tasks.task import EnvironmentSection


def show_episodes(
    run: RunFolder, episodes: int, seed: int, kwargs: Mapping[str, Any]
) -> list[float]:
    """Opens a window and acts in it.

    Args:
        run: Whose policy.
        episodes: How many.
        seed: Of the first.
        kwargs: Of the environment, beside the run's own.

    Returns:
        The environment's own return of each episode.

    Raises:
        EnvironmentUnsupported: The policy cannot act where `kwargs` lead.
        RunError: There is no display.
    """
    if sys.platform == "linux" and not any(map(os.environ.get, ("DISPLAY", "WAYLAND_DISPLAY"))):
        raise RunError("there is no display to open a window on: write a film with --out FILE")
    policy, section = Run(run).policy, _where(run, kwargs)
    env = make_env(section.id, section.kwargs, render_mode="human")
    returns = []
    for number in range(episodes):
        observation, _ = env.reset(seed=seed + number)
        total, ended = 0.0, False
        while not ended:
            action = np.asarray(policy(observed(observation)[None]))[0]
            observation, reward, terminated, truncated, _ = env.step(action)
            total, ended = total + float(reward), terminated or truncated
        returns.append(total)
    env.close()
    return returns


def film_episodes(
    run: RunFolder, episodes: int, seed: int, out: Path, kwargs: Mapping[str, Any]
) -> Path:
    """Writes the episodes, as of `show_episodes`, one after the other as an MP4 film; returns its
    path.

    Raises:
        EnvironmentUnsupported: The policy cannot act where `kwargs` lead.
        RunError: The file cannot be written.
    """
    recorded = [Episode("", seed + number, float("nan")) for number in range(episodes)]
    record(Run(run).policy, _where(run, kwargs), recorded, run.task.view, batch=episodes)
    try:
        return write_mp4([drawing for episode in recorded for drawing in episode.drawings], out)
    except OSError as error:
        raise RunError(f"{out} cannot be written: {error}") from error


def _where(run: RunFolder, kwargs: Mapping[str, Any]) -> EnvironmentSection:
    own, made = run.task.environment, run.task.with_kwargs(kwargs).environment
    if made != own:
        check_alike(own.id, own.kwargs, made.kwargs)
    return made
