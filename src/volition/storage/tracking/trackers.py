"""What follows a run beside TensorBoard: the same numbers, told to services of one's choice."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from volition.errors import InputError, needed

LOG = logging.getLogger("volition")
PROJECT = "volition"  # unless the service's own variable names another
SIMULATED = "simulated judge"  # what a run is labelled whose judge is no judge


class Tracker(Protocol):
    """Whatever is told numbers by name over steps."""

    def add(self, scalars: Mapping[str, float], step: int) -> None:
        """Takes numbers that were measured by a step."""
        ...

    def close(self) -> None:
        """Ends it."""
        ...


@dataclass(frozen=True, slots=True)
class Subject:
    """A run, as a service shows it.

    Attributes:
        name: For a person.
        id: By which it is the same run when it goes on.
        folder: In which a service may keep what it has not sent.
        config: What was chosen for it.
        simulated: Whether its judge is an error model in place of one.
    """

    name: str
    id: str
    folder: Path
    config: Mapping[str, Any]
    simulated: bool


class WeightsAndBiases:
    """Weights & Biases (https://wandb.ai), which `WANDB_MODE=offline` keeps in the run's folder."""

    def __init__(self, subject: Subject) -> None:
        wandb = needed("wandb", "wandb", "--track wandb")
        self._run = wandb.init(
            project=None if _named("WANDB_PROJECT") else PROJECT,
            name=subject.name,
            id=subject.id,
            resume="allow",
            dir=subject.folder,
            config=dict(subject.config),
            tags=[SIMULATED] if subject.simulated else None,
            settings=wandb.Settings(console="off"),
        )

    def add(self, scalars: Mapping[str, float], step: int) -> None:
        self._run.log(dict(scalars), step=step)

    def close(self) -> None:
        self._run.finish()


class Trackio:
    """Trackio (https://huggingface.co/docs/trackio), which keeps what it is told on this machine.

    It knows no tags, so the name says that a judge is simulated.
    """

    def __init__(self, subject: Subject) -> None:
        trackio = needed("trackio", "trackio", "--track trackio")
        label = f" ({SIMULATED})" if subject.simulated else ""
        self._run = trackio.init(
            project=_named("TRACKIO_PROJECT") or PROJECT,
            name=f"{subject.name}-{subject.id}{label}",
            config=dict(subject.config),
            resume="allow",
            embed=False,
            auto_log_gpu=False,
            auto_log_cpu=False,
        )

    def add(self, scalars: Mapping[str, float], step: int) -> None:
        self._run.log(dict(scalars), step=step)

    def close(self) -> None:
        self._run.finish()


TRACKERS: Mapping[str, type[WeightsAndBiases] | type[Trackio]] = {
    "wandb": WeightsAndBiases,
    "trackio": Trackio,
}


def check_trackers(names: Sequence[str]) -> None:
    """That these can follow a run, before it begins.

    Raises:
        InputError: There is none of a name, or its extra is missing.
    """
    for name in names:
        if name not in TRACKERS:
            raise InputError(
                f"--track takes {' and '.join(TRACKERS)}, not {name!r}; TensorBoard's curves are "
                "written in any case"
            )
        needed(name, name, f"--track {name}")


class Together:
    """Curves that must be written, and services that may fail: a run needs none of them.

    Args:
        curves: TensorBoard's.
        names: Of the services.
        subject: What they follow.
    """

    def __init__(self, curves: Tracker, names: Sequence[str], subject: Subject) -> None:
        self._curves = curves
        self._services: dict[str, Tracker] = {}
        for name in names:
            with self._forgiven(name):
                self._services[name] = TRACKERS[name](subject)

    def add(self, scalars: Mapping[str, float], step: int) -> None:
        """Tells all of them.

        Raises:
            RunError: The curves cannot be written.
        """
        self._curves.add(scalars, step)
        for name, service in [*self._services.items()]:
            with self._forgiven(name):
                service.add(scalars, step)

    def close(self) -> None:
        try:
            self._curves.close()
        finally:
            for name, service in [*self._services.items()]:
                with self._forgiven(name):
                    service.close()

    @contextmanager
    def _forgiven(self, name: str) -> Iterator[None]:
        """A service that fails is left out from then on. It prints where nobody reads results."""
        try:
            with redirect_stdout(sys.stderr):
                yield
        except Exception as error:
            self._services.pop(name, None)
            why = " ".join(f"{type(error).__name__}: {error}".split())[:200]
            LOG.warning("%s does not follow the run any more: %s", name, why)


def _named(variable: str) -> str:
    return os.environ.get(variable, "")
