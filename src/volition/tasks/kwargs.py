"""Keyword arguments of an environment, as a command line says them."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from typing import Any

WORD = re.compile(r"[A-Za-z_][\w./-]*")  # a string that needs no quotes
NOT_TOML = {"True": "true", "False": "false"}
NOT_BARE = {*NOT_TOML, *NOT_TOML.values(), "inf", "nan"}  # what is or seems to be no string


def said_kwargs(kwargs: Mapping[str, Any]) -> str:
    """Keyword arguments as `--kwargs` takes them, for a shell."""
    return shlex.join(
        f"{name}={value if is_word(value) else json.dumps(value, ensure_ascii=False)}"
        for name, value in kwargs.items()
    )


def is_word(value: object) -> bool:
    """Whether a value is text that needs no quotes."""
    return isinstance(value, str) and bool(WORD.fullmatch(value)) and value not in NOT_BARE


def can_be_said(value: object) -> bool:
    """Whether a word of a command line can be that value; tables are for task.toml."""
    if isinstance(value, list):
        return all(map(can_be_said, value))
    return isinstance(value, str | int | float)
