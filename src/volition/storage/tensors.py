"""Trees of arrays as safetensors with JSON beside them in the header. Never pickle.

Such a file has no checksum of its own, so a digest of all that is in it stands in its header.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import jax
import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from volition.errors import RunError
from volition.storage.files import write_whole

Tree = TypeVar("Tree")
Arrays = dict[str, npt.NDArray[Any]]
DESCRIPTION, DIGEST, DESCRIBED = "description", "sha256", "described"
UNREADABLE = (OSError, SafetensorError, ValueError, KeyError, TypeError, AttributeError)


def save_tree(path: Path, tree: Any, description: dict[str, Any]) -> None:
    """Writes every array of `tree` under its path in the tree, whole or not at all."""
    arrays = {name: np.asarray(leaf) for name, leaf in _named(tree)}
    # one entry, since a header's entries come in any order, and the same tree makes the same file
    header = json.dumps({DIGEST: _digest(description, arrays), DESCRIBED: description})
    write_whole(path, save(arrays, metadata={DESCRIPTION: header}))


def check_finite(tree: Any, what: str) -> None:
    """That no number of a tree is NaN or infinite, before it is kept.

    Raises:
        RunError: One is; the message begins with `what`, and names it.
    """
    for name, leaf in _named(tree):
        array = np.asarray(leaf)
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            value = array[~np.isfinite(array)][0]
            raise RunError(
                f"{what} is not finite and is not saved: {name} holds {value}. Numbers that the "
                "environment observes may be too large: scale them down"
            )


def load_tree(path: Path, like: Tree) -> Tree:
    """The tree in `path`, of the form of `like`: the host's arrays are the host's again.

    Raises:
        RunError: The file is missing or damaged, or holds other arrays than `like`.
    """
    stored, _ = _read(path)
    leaves = []
    for name, leaf in _named(like):
        array = stored.get(name)
        if array is None or array.shape != np.shape(leaf):
            defect = "missing" if array is None else f"of shape {array.shape}"
            raise RunError(f"{path}: {name} is {defect}, and must be of shape {np.shape(leaf)}")
        on_host = isinstance(leaf, np.ndarray)
        leaves.append(np.array(array, leaf.dtype) if on_host else jax.device_put(array))
    return jax.tree.unflatten(jax.tree.structure(like), leaves)


def load_arrays(path: Path, names: Sequence[str]) -> list[npt.NDArray[Any]]:
    """Some of the arrays in `path`, by their paths in the tree.

    Raises:
        RunError: The file is missing or damaged, or has none of a name.
    """
    stored, _ = _read(path)
    if missing := [name for name in names if name not in stored]:
        raise RunError(f"{path}: {missing[0]} is missing")
    return [stored[name] for name in names]


def read_description(path: Path) -> dict[str, Any]:
    """The JSON that was saved with a tree.

    Raises:
        RunError: The file is missing or damaged.
    """
    _, description = _read(path)
    return description


def check_tree(path: Path) -> None:
    """That a file holds what was saved.

    Raises:
        RunError: The file is missing or damaged.
    """
    _read(path)


def _read(path: Path) -> tuple[Arrays, dict[str, Any]]:
    """The arrays in a file, and what was saved with them; files of 0.1 have no digest."""
    if not path.is_file():
        raise RunError(f"{path} is missing")
    try:
        with safe_open(path, framework="numpy") as file:
            header = json.loads(file.metadata()[DESCRIPTION])
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if DIGEST not in header and DESCRIBED not in header:
            return arrays, header
        if header[DIGEST] != _digest(header[DESCRIBED], arrays):
            raise ValueError("its bytes are not those that were written")
        return arrays, header[DESCRIBED]
    except UNREADABLE as error:
        why = " ".join(str(error).split())[:200]
        raise RunError(f"{path} cannot be read: {why}; restore it from a copy") from error


def _digest(description: Mapping[str, object], arrays: Arrays) -> str:
    read_back = json.loads(json.dumps(description))  # in which every key is text
    digest = hashlib.sha256(json.dumps(read_back, sort_keys=True).encode())
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(json.dumps([name, str(array.dtype), array.shape]).encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _named(tree: Any) -> list[tuple[str, Any]]:
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return [(jax.tree_util.keystr(path, simple=True, separator="."), leaf) for path, leaf in leaves]
