"""export, import and push."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from volition.cli.options import Folder, option
from volition.errors import InputError
from volition.tasks.numbers import check_counts

Format = Literal["dataset", "model", "minari", "imitation"]
LISTED = 8  # files, where there are many


def export(
    run: Folder,
    *,
    format: Annotated[
        Format,
        arg(
            help="What is written: the judgments as a dataset with a card, JSONL and Parquet; the "
            "reward model and the policy with a card; episodes of the policy for Minari; or the "
            "judgments as the library imitation has preferences."
        ),
    ] = "dataset",
    out: Annotated[
        Path | None, option("FOLDER", "A new folder; by default RUN/export or RUN/export-FORMAT.")
    ] = None,
    episodes: Annotated[
        int | None, option("N", "Of the policy, for Minari; by default 10.")
    ] = None,
    seed: Annotated[int | None, option("INT", "Of the first of them; by default 0.")] = None,
) -> int:
    """Write what a run holds for other people's programs: judgments, models or episodes."""
    from volition.run.folder import RunFolder

    check_counts(episodes=episodes, seed=seed)
    if format != "minari" and (episodes, seed) != (None, None):
        name = "--episodes" if episodes is not None else "--seed"
        raise InputError(f"{name} goes with --format minari: nothing else has episodes")
    folder = RunFolder.open(run)
    to = out or run / ("export" if format == "dataset" else f"export-{format}")
    if format == "dataset":
        from volition.integrations.hugging_face.dataset import export as export_judgments

        count, files = export_judgments(folder, to)
        print(f"{count} answers in {_listed(files)}")
    elif format == "model":
        from volition.integrations.hugging_face.model import export_model

        print(f"reward model and policy in {_listed(export_model(folder, to))}")
    elif format == "minari":
        from volition.integrations.minari_episodes import export_episodes
        from volition.run.run import Run

        told = export_episodes(Run(folder), to, 10 if episodes is None else episodes, seed or 0)
        print(told)
    else:
        from volition.integrations.imitation_preferences import export_preferences

        print(f"{export_preferences(folder, to)} preferences in {to}")
    return 0


def import_(
    source: Annotated[
        Positional[Path],
        option(
            "SOURCE",
            "What was exported as a dataset or for imitation, a Parquet or JSONL file of it, or a "
            "folder that the library datasets saved.",
        ),
    ],
    *,
    out: Annotated[Path, option("FOLDER", "A new folder for the recording.")],
    judge: Annotated[
        str | None, option("NAME", "Take this judge's answers, where several answered.")
    ] = None,
) -> int:
    """Make a recording of exported judgments, for `volition train --judgments`."""
    from volition.integrations.hugging_face.importing import import_rows
    from volition.integrations.imitation_preferences import import_preferences, is_preferences

    take = import_preferences if is_preferences(source) else import_rows
    imported = take(source, out, judge)
    print(f"{imported.judgments} judgments of {imported.judge} in {imported.folder}")
    if imported.left_out:
        print(f"{imported.left_out} answers without a verdict are left out", file=sys.stderr)
    for goal in imported.goals:
        print(f"judged under: {goal}")
    print(f"train on them: volition train TASK --judgments {imported.folder}")
    return 0


def push(
    folder: Annotated[Positional[Path], option("FOLDER", "What `volition export` wrote.")],
    repository: Annotated[Positional[str], option("OWNER/NAME", "A repository of the hub.")],
    *,
    private: Annotated[
        bool, arg(help="Make it so that nobody else sees it.", help_behavior_hint="")
    ] = False,
    dry_run: Annotated[
        bool, arg(help="Say what would be put there, and stop.", help_behavior_hint="")
    ] = False,
) -> int:
    """Put an exported dataset or model into a repository of the Hugging Face hub."""
    from volition.integrations.hugging_face.hub import planned
    from volition.integrations.hugging_face.hub import push as push_folder

    upload = planned(folder)
    size = sum(upload.files.values()) / 1e6
    print(f"{upload.kind}: {len(upload.files)} files, {size:.1f} MB, {_listed([*upload.files])}")
    if not dry_run:
        print(push_folder(folder, repository, private))
    return 0


def _listed(files: Sequence[object]) -> str:
    named = [str(file) for file in files]
    more = len(named) - LISTED
    return ", ".join(named) if more <= 0 else f"{', '.join(named[:LISTED])} and {more} more"
