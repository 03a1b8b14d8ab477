"""What was exported put into a repository of a hub."""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from volition.errors import InputError, RunError, needed
from volition.integrations.hugging_face.cards import CARD

DATASET, MODEL = "dataset", "model"
TELLS = {"comparisons.parquet": DATASET, "reward_model": MODEL}  # what an export of a kind holds


@dataclass(frozen=True, slots=True)
class Upload:
    """What is put where.

    Attributes:
        kind: Of the repository.
        files: Of the folder, with their sizes in bytes.
    """

    kind: str
    files: dict[str, int]


def planned(folder: Path) -> Upload:
    """What `push` would put there.

    Raises:
        InputError: The folder is none that `volition export` wrote.
    """
    kinds = [kind for name, kind in TELLS.items() if (folder / name).exists()]
    if not kinds or not (folder / CARD).is_file():
        raise InputError(
            f"{folder} is no export of judgments or of a model: write one with `volition export`"
        )
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    files = {path.relative_to(folder).as_posix(): path.stat().st_size for path in paths}
    return Upload(kinds[0], files)


def push(folder: Path, repository: str, private: bool) -> str:
    """Puts a folder that `volition export` wrote into a repository, which is made if it is new.

    Whoever is logged in by `hf auth login`, or by `HF_TOKEN`, does it; where the hub is says
    `HF_ENDPOINT`.

    Args:
        folder: What is put there.
        repository: As `OWNER/NAME`.
        private: Whether nobody else may see it. What is new and not private is as its owner has it.

    Returns:
        Its address.

    Raises:
        InputError: The folder is no export, the name is none, nobody is logged in, or the extra
            `hf` is missing.
        RunError: The hub cannot be reached, or refuses; or what is to be private is there already,
            and everybody can see it.
    """
    upload = planned(folder)
    hub = needed("huggingface_hub", "hf", "volition push")
    errors = import_module("huggingface_hub.errors")
    api = hub.HfApi(endpoint=os.environ.get("HF_ENDPOINT"), library_name="volition")
    if hub.get_token() is None:
        raise InputError(
            f"nobody is logged in to {api.endpoint}: run `hf auth login`, or set HF_TOKEN"
        )
    try:
        api.create_repo(repository, repo_type=upload.kind, private=private or None, exist_ok=True)
        if private and not api.repo_info(repository, repo_type=upload.kind).private:
            raise RunError(
                f"{repository} is there already, and everybody can see it: choose another name, or "
                "make it private there"
            )
        done = api.upload_folder(
            repo_id=repository,
            repo_type=upload.kind,
            folder_path=folder,
            commit_message=f"Upload {upload.kind} with volition",
        )
    except RunError:
        raise
    except errors.HFValidationError as error:
        raise InputError(f"{repository}: {_first(error)}") from None
    except Exception as error:  # its own, those of its HTTP client, and of what it uploads by
        raise RunError(
            f"{repository} cannot be pushed to {api.endpoint}: {_first(error)}"
        ) from None
    return str(done.repo_url)


def _first(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
