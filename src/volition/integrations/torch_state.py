"""What a torch module and its optimizer hold, as arrays and JSON: to keep it takes no pickle."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

Arrays = dict[str, npt.NDArray[Any]]
PLAIN = (bool, int, float, str, type(None))


def packed(state: object, arrays: Arrays) -> Any:
    """`state` as JSON, in which arrays and tensors are the names under which `arrays` has them.

    Raises:
        TypeError: It holds something else than numbers, text, arrays, and lists and mappings of
            these.
    """
    if isinstance(state, torch.Tensor):
        return {"tensor": _added(state.detach().cpu().numpy(), arrays)}
    if isinstance(state, np.ndarray):
        return {"array": _added(state, arrays)}
    if isinstance(state, np.bool_ | np.integer | np.floating):
        return state.item()
    if isinstance(state, PLAIN):
        return state
    if isinstance(state, Mapping):
        return {"mapping": [[key, packed(value, arrays)] for key, value in state.items()]}
    if isinstance(state, list | tuple):
        rows = [packed(value, arrays) for value in state]
        return {"tuple": rows} if isinstance(state, tuple) else rows
    raise TypeError(f"{type(state).__name__} is neither a number, text, array, list nor mapping")


def unpacked(document: Any, arrays: Mapping[str, npt.NDArray[Any]]) -> Any:
    """What was packed."""
    if isinstance(document, list):
        return [unpacked(value, arrays) for value in document]
    if not isinstance(document, dict):
        return document
    ((kind, content),) = document.items()
    if kind == "mapping":
        return {key: unpacked(value, arrays) for key, value in content}
    if kind == "tuple":
        return tuple(unpacked(value, arrays) for value in content)
    array = arrays[content].copy()
    return torch.from_numpy(array) if kind == "tensor" else array


def _added(array: npt.NDArray[Any], arrays: Arrays) -> str:
    name = f"a{len(arrays)}"
    arrays[name] = np.ascontiguousarray(array).reshape(array.shape)
    return name
