"""The learned policy in a window, or on film."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from volition.envs.making import check_alike
from volition.errors import RunError
from volition.evidence.film import Episode, record, write_mp4
from volition.learners.rollout import Rollout, episodes
from volition.run.folder import RunFolder
from volition.run.run import Run
from volition.tasks.task import EnvironmentSection


def show_episodes(
    run: Run, count: int, seed: int, kwargs: Mapping[str, Any]
) -> list[tuple[float, int | None]]:
    """Opens a window and acts in it, one episode after the other.

    Args:
        run: Whose policy.
        count: How many episodes.
        seed: Of the first.
        kwargs: Of the environment, beside the run's own.

    Returns:
        The environment's own return of each episode, and how many stages of the goal were done in
        it; None where it has none.

    Raises:
        EnvironmentUnsupported: The policy cannot act where `kwargs` lead.
        RunError: There is no display.
    """
    if sys.platform == "linux" and not any(map(os.environ.get, ("DISPLAY", "WAYLAND_DISPLAY"))):
        raise RunError("there is no display to open a window on: write a film with --out FILE")
    policy, staging, told = run.policy, run.staging, []
    where = _where(run.folder, kwargs)
    with closing(Rollout(where, 1, render_mode="human", staging=staging)) as rollout:
        for number in range(count):
            *_, last = episodes(rollout, policy, seed + number)
            reached = np.asarray(last.step.transitions.next_observation)
            done = None if staging is None else int(staging.passed(reached)[0])
            told.append((float(last.step.true_returns[0]), done))
    return told


def film_episodes(run: Run, count: int, seed: int, out: Path, kwargs: Mapping[str, Any]) -> Path:
    """Writes the episodes, as of `show_episodes`, one after the other as an MP4 film; returns its
    path.

    Raises:
        EnvironmentUnsupported: The policy cannot act where `kwargs` lead.
        RunError: The file cannot be written.
    """
    recorded = [Episode("", seed + number, float("nan")) for number in range(count)]
    where, view = _where(run.folder, kwargs), run.folder.task.view
    record(run.policy, where, recorded, view, staging=run.staging)
    try:
        return write_mp4([drawing for episode in recorded for drawing in episode.drawings], out)
    except OSError as error:
        raise RunError(f"{out} cannot be written: {error}") from error


def _where(folder: RunFolder, kwargs: Mapping[str, Any]) -> EnvironmentSection:
    own, made = folder.task.environment, folder.task.with_kwargs(kwargs).environment
    if made != own:
        check_alike(own.id, own.kwargs, made.kwargs)
    return made
