"""Trees of arrays as safetensors with JSON beside them in the header. Never pickle."""

from __future__ import annotations

import json
from collections.abc import Sequence
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


def save_tree(path: Path, tree: Any, description: dict[str, Any]) -> None:
    """Writes every array of `tree` under its path in the tree, whole or not at all."""
    arrays = {name: np.asarray(leaf) for name, leaf in _named(tree)}
    encoded = save(arrays, metadata={"description": json.dumps(description)})
    write_whole(path, encoded)


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
    stored = _read_arrays(path)
    leaves = []
    for name, leaf in _named(like):
        array = stored.get(name)
        if array is None or array.shape != np.shape(leaf):
            defect = "missing" if array is None else f"of shape {array.shape}"
            raise RunError(f"{path}: {name} is {defect}, and must be of shape {np.shape(leaf)}")
        on_host = isinstance(leaf, np.ndarray)
        leaves.append(np.array(array, leaf.dtype) if on_host else jax.numpy.asarray(array))
    return jax.tree.unflatten(jax.tree.structure(like), leaves)


def load_arrays(path: Path, names: Sequence[str]) -> list[npt.NDArray[Any]]:
    """Some of the arrays in `path`, by their paths in the tree.

    Raises:
        RunError: The file is missing or damaged, or has none of a name.
    """
    stored = _read_arrays(path)
    if missing := [name for name in names if name not in stored]:
        raise RunError(f"{path}: {missing[0]} is missing")
    return [stored[name] for name in names]


def _read_arrays(path: Path) -> dict[str, npt.NDArray[Any]]:
    try:
        with safe_open(path, framework="numpy") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise RunError(f"{path} cannot be read: {error}") from error


def read_description(path: Path) -> dict[str, Any]:
    """The JSON that was saved with a tree.

    Raises:
        RunError: The file is missing or damaged.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            description: dict[str, Any] = json.loads(file.metadata()["description"])
    except (OSError, SafetensorError, KeyError, TypeError, json.JSONDecodeError) as error:
        raise RunError(f"{path} cannot be read: {error}") from error
    return description


def _named(tree: Any) -> list[tuple[str, Any]]:
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return [(jax.tree_util.keystr(path, simple=True, separator="."), leaf) for path, leaf in leaves]
