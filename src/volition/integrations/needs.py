"""Packages that are needed for one thing alone, and which extra brings them."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from volition.errors import InputError


def needed(package: str, extra: str, purpose: str) -> ModuleType:
    """A package that an extra brings.

    Args:
        package: As it is imported.
        extra: Of Volition.
        purpose: What it is needed for, as a message says it.

    Raises:
        InputError: It is not installed.
    """
    try:
        return import_module(package)
    except ModuleNotFoundError as error:
        if error.name != package:
            raise
        raise InputError(
            f'{purpose} needs {package}, which is not installed: pip install "volition[{extra}]"'
        ) from None
