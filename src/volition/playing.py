"""The learned policy in a window, or on film."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np

from volition.envs.scene import make_env
from volition.errors import RunError
from volition.report.film import Episode, record, write_mp4
from volition.run_folder import RunFolder
from volition.segment import observed
from volition.training import load_policy


def show_episodes(run: RunFolder, episodes: int, seed: int) -> list[float]:
    """Opens a window and acts in it.

    Returns:
        The environment's own return of each episode.

    Raises:
        RunError: There is no display.
    """
    if sys.platform == "linux" and not any(map(os.environ.get, ("DISPLAY", "WAYLAND_DISPLAY"))):
        raise RunError("there is no display to open a window on: write a film with --out FILE")
    policy, section = load_policy(run), run.task.environment
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


def film_episodes(run: RunFolder, episodes: int, seed: int, out: Path) -> Path:
    """Writes the episodes one after the other as an MP4 film; returns its path.

    Raises:
        RunError: The file cannot be written.
    """
    recorded = [Episode("", seed + number, float("nan")) for number in range(episodes)]
    record(load_policy(run), run.task.environment, recorded, run.task.view, batch=episodes)
    try:
        return write_mp4([drawing for episode in recorded for drawing in episode.drawings], out)
    except OSError as error:
        raise RunError(f"{out} cannot be written: {error}") from error
