"""Judges: whatever answers comparisons. One file for each kind, one line here for each prefix."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING

from volition.errors import InputError

if TYPE_CHECKING:
    from volition.judges.base import Assignment, Judge
    from volition.judges.settings import JudgeSettings

# prefix: the module with `make(model, settings, assignment) -> Judge`; imported when it is first
# asked for, since each needs a client library of its own
JUDGES = {
    "openai": "volition.judges.live.openai",
    "anthropic": "volition.judges.live.anthropic",
    "gemini": "volition.judges.live.gemini",
    "local": "volition.judges.local",
    "simulated": "volition.judges.simulated",
}


def make_judge(settings: JudgeSettings, assignment: Assignment) -> Judge:
    """The judge that a person chose, for what it is to judge.

    Raises:
        InputError: There is no such provider, no model is named, or an option will not do.
        JudgeUnavailable: It cannot be asked: a package, a key or a model is missing.
    """
    prefix, _, model = settings.judge.partition(":")
    if prefix not in JUDGES or not model:
        known = ", ".join(f"{known}:MODEL" for known in JUDGES)
        raise InputError(f"there is no judge {settings.judge!r}: --judge takes one of {known}")
    make: Callable[[str, JudgeSettings, Assignment], Judge] = import_module(JUDGES[prefix]).make
    return make(model, settings, assignment)
