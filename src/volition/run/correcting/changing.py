"""From one version of a run to another, so that a kill at any moment leaves both possible.

A version that is left is copied whole into `versions/N`. Then what is to be is written down, in one
file; then it is done, each file whole or not at all; then that file is removed. Whoever opens a run
in which it is there does the rest of it first.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

from volition.errors import RunError
from volition.storage.documents import sealed, unsealed
from volition.storage.files import exclusively, new_folder, write_whole

VERSIONS = "versions"
PENDING = "change.json"
CONFIGURATION = "config.toml"
CURVES = "tensorboard"  # the one thing that is written on in place
LEARNER = ("checkpoint.safetensors", "kept", CURVES)  # goes on in the next version
TASK = "task"  # is the same in all versions, and stays
OUTCOME = ("result.json", "evaluation.json", "report.html", "policy.mp4", "policy", "reward_model")


def archive(run: Path, version: int) -> Path:
    """Copies what a run holds of its version into `versions/N`: all of it, or nothing.

    A file that is only ever written whole, in place of the one before, is linked.
    """
    to = run / VERSIONS / str(version)
    to.parent.mkdir(exist_ok=True)
    for killed in to.parent.glob(".*.partial"):
        shutil.rmtree(killed, ignore_errors=True)
    shutil.rmtree(to, ignore_errors=True)  # as it was before it was gone on with
    with new_folder(to) as partial:
        for name in (*LEARNER, *OUTCOME, CONFIGURATION, TASK):
            _copy(run / name, partial / name)
    return to


def change(run: Path, configuration: str, version: int | None = None) -> None:
    """Makes a run another version, once what it was is in `versions/`.

    Args:
        run: The folder.
        configuration: The text of its `config.toml` by then.
        version: To which it goes back; None is a new one, which begins from where learning is.
    """
    document = {"config": configuration, "version": version}
    write_whole(run / VERSIONS / PENDING, json.dumps(sealed(document)))
    _do(run, configuration, version)


def complete(run: Path) -> None:
    """Does the rest of a change that was interrupted, where one was.

    Raises:
        RunError: Another process is in it, or what was to be cannot be read.
    """
    file = run / VERSIONS / PENDING
    if not file.is_file():
        return
    with exclusively(run):
        try:
            document = unsealed(json.loads(file.read_text(encoding="utf-8")), ())
            configuration, version = document["config"], document["version"]
        except (ValueError, KeyError) as error:
            raise RunError(f"{file} cannot be read: {error}; restore it from a copy") from error
        _do(run, configuration, version)


def begin_again(run: Path, version: int) -> None:
    """Puts the learner where it was in a version that was left."""
    for name in LEARNER:
        _replace(run / VERSIONS / str(version) / name, run / name)


def _do(run: Path, configuration: str, version: int | None) -> None:
    for name in OUTCOME:
        _remove(run / name)
    if version is not None:
        for name in (*LEARNER, *OUTCOME):
            _replace(run / VERSIONS / str(version) / name, run / name)
    write_whole(run / CONFIGURATION, configuration)
    (run / VERSIONS / PENDING).unlink()


def _replace(source: Path, target: Path) -> None:
    _remove(target)
    _copy(source, target)


def _copy(source: Path, target: Path) -> None:
    one = shutil.copyfile if source.name == CURVES else _link
    if source.is_dir():
        shutil.copytree(source, target, copy_function=one)
    elif source.is_file():
        one(source, target)


def _link(source: str | Path, target: str | Path) -> None:
    """Another name of the same file, or a copy where the file system has no such names."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
