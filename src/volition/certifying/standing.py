"""What is known of a judge before a run trains on it: the newest certificate, if there is one."""

from __future__ import annotations

from pathlib import Path

from volition.certifying.card import FILE, Certificate, read_certificate
from volition.certifying.putting.asking import named
from volition.errors import JudgeUnfit, RunError
from volition.judges.settings import JudgeSettings
from volition.tasks.task import Task

FOLDER = Path("certificates")  # beside runs/


def find(
    task: Task, settings: JudgeSettings, folder: Path = FOLDER
) -> tuple[Certificate, Path] | None:
    """The newest certificate of this judge for this goal, and where it is."""
    files = sorted(folder.glob(f"*/{FILE}"), key=lambda file: file.stat().st_mtime, reverse=True)
    goal = task.stated_goal().text
    for file in files:
        try:
            certificate = read_certificate(file.parent)
        except RunError:
            continue
        about = certificate.environment, certificate.goal, certificate.named
        if about == (task.environment.id, goal, named(settings)):
            return certificate, file.parent
    return None


def check(task: Task, settings: JudgeSettings, forced: bool = False) -> str:
    """A warning where the judge's certificate has one; empty where it has none, or there is none.

    Raises:
        JudgeUnfit: It is RED, and nobody says that it is meant.
    """
    known = find(task, settings)
    if known is None or known[0].verdict == "GREEN":
        return ""
    certificate, folder = known
    said = f"{certificate.judge} is certified {certificate.verdict} for this goal ({folder}): "
    said += "; ".join(certificate.reasons)
    if certificate.verdict == "RED" and not forced:
        raise JudgeUnfit(f"{said}. Choose another judge, or train on it all the same with --force")
    return said
