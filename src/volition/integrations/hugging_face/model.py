"""What a run learned as a folder that a hub takes: reward model, policy, film, and a card."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path, PurePath

from volition.errors import RunError
from volition.integrations.hugging_face.cards import CARD, model_card
from volition.judges.settings import JudgeSettings
from volition.run.evaluation import Evaluation
from volition.run.folder import CONFIG, RunFolder
from volition.run.results import Result
from volition.storage.documents import write_document
from volition.storage.files import is_free, new_folder
from volition.tasks.given import Given

FILM = "replay.mp4"  # which the page of a model shows


def export_model(run: RunFolder, out: Path) -> list[Path]:
    """Writes the reward model and the policy of a finished run, with its film, figures and card.

    The folder can be opened as a run, compared and played. It says nothing of this machine: paths
    and addresses are left out of its configuration.

    Returns:
        The files.

    Raises:
        RunError: The run is unfinished, or `out` is there already or cannot be written.
    """
    if not is_free(out):
        raise RunError(f"{out} is there already: choose another folder with --out")
    result = replace(run.read(run.result, Result), run="")
    evaluation = run.read(run.evaluation, Evaluation)
    try:
        with new_folder(out) as folder:
            for kept in (run.reward_model, run.policy, run.task.folder):
                shutil.copytree(kept, folder / kept.name)
            if run.film.is_file():
                shutil.copyfile(run.film, folder / FILM)
            (folder / CONFIG).write_text(_public(run).written(), encoding="utf-8")
            write_document(folder / run.result.name, result)
            write_document(folder / run.evaluation.name, evaluation)
            card = model_card(run, result, evaluation, (folder / FILM).is_file())
            (folder / CARD).write_text(card, encoding="utf-8")
            names = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    except OSError as error:
        raise RunError(f"{out} cannot be written: {error.strerror}") from error
    return [out / name for name in names]


def _public(run: RunFolder) -> RunFolder:
    """The run without what its configuration says of this machine."""
    settings, environment = run.settings, run.task.environment
    given = settings.given
    if given is not None:
        given = Given() if PurePath(given.task).name != given.task else replace(given, reuse="")
    corrections = tuple(replace(said, live=_nowhere(said.live)) for said in settings.corrections)
    return replace(
        run,
        task=run.task.model_copy(
            update={"environment": environment.model_copy(update={"home": None})}
        ),
        settings=replace(
            settings,
            judgments=PurePath(settings.judgments).name,
            given=given,
            live=_nowhere(settings.live),
            corrections=corrections,
            track=(),
            tracked_as="",
        ),
    )


def _nowhere(judge: JudgeSettings | None) -> JudgeSettings | None:
    return None if judge is None else replace(judge, base_url=None)
