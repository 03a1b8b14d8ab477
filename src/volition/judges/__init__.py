"""Judges: whatever answers comparisons. One file for each kind, one line here for each prefix."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING

from volition.errors import InputError

if TYPE_CHECKING:
    from volition.judges.base import Judge, JudgeOptions

# prefix: the module with `make(model, options) -> Judge`; imported when it is first asked for,
# since each needs a client library of its own
JUDGES = {
    "openai": "volition.judges.live.openai",
    "anthropic": "volition.judges.live.anthropic",
    "gemini": "volition.judges.live.gemini",
    "local": "volition.judges.local",
    "simulated": "volition.judges.simulated",
}


def judge(name: str, options: JudgeOptions) -> Judge:
    """The judge that `PROVIDER:MODEL` names.

    Raises:
        InputError: There is no such provider, or no model is named.
        JudgeUnavailable: It cannot be asked: a package, a key or a model is missing.
    """
    prefix, _, model = name.partition(":")
    if prefix not in JUDGES or not model:
        known = ", ".join(f"{known}:MODEL" for known in JUDGES)
        raise InputError(f"there is no judge {name!r}: --judge takes one of {known}")
    make: Callable[[str, JudgeOptions], Judge] = import_module(JUDGES[prefix]).make
    return make(model, options)
