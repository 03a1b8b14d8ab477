"""How large a number may be that a person gives: the same in task.toml, in an option, in Python.

What is refused here would otherwise end much later: out of memory, in an overflow, or never.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from volition.errors import InputError


class Range(NamedTuple):
    """The least and the most that a number may be."""

    least: float
    most: float


COUNTS: Mapping[str, Range] = {
    "steps": Range(1, 100_000_000),
    "max_judgments": Range(1, 100_000),
    "first": Range(1, 100_000),
    "per_request": Range(1, 400),
    "samples": Range(1, 100),
    "concurrency": Range(1, 1_000),
    "reasoning_tokens": Range(1, 1_000_000),
    "pairs": Range(1, 100_000),
    "pictures": Range(2, 24),
    "per_sheet": Range(1, 400),
    "episodes": Range(1, 10_000),
    "seed": Range(0, 2**31 - 1),
}
DOLLARS, SECONDS = Range(0, 1_000_000), Range(0, 1_000_000)


def check_counts(**counts: object) -> None:
    """That each of these options is a whole number within its limits; None was not given.

    Raises:
        InputError: It names the option, its value and what is allowed.
    """
    for name, value in counts.items():
        if value is None:
            continue
        option, (least, most) = _option(name), COUNTS[name]
        if isinstance(value, bool) or not isinstance(value, int):
            raise InputError(f"{option} must be a whole number, not {shown(value)}")
        if value < least:
            must = "must not be negative:" if least == 0 else f"must be at least {least}, not"
            raise InputError(f"{option} {must} {shown(value)}")
        if value > most:
            raise InputError(f"{option} must be at most {most:,}, not {shown(value)}")


def check_dollars(**amounts: Any) -> None:
    """That each of these options is an amount of US dollars; None was not given.

    Raises:
        InputError: It names the option, its value and what is allowed.
    """
    _check_amounts("dollars", DOLLARS, amounts)


def check_seconds(**amounts: Any) -> None:
    """Likewise that each is a number of seconds."""
    _check_amounts("seconds", SECONDS, amounts)


def _check_amounts(unit: str, allowed: Range, amounts: Mapping[str, Any]) -> None:
    for name, value in amounts.items():
        if value is None:
            continue
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not allowed.least <= value <= allowed.most:
            raise InputError(
                f"{_option(name)} is a number of {unit} from 0 on, up to {allowed.most:,}, "
                f"not {shown(value)}"
            )


def shown(value: object) -> str:
    """A value as a message repeats it: as TOML has it, and never long."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) and value.bit_length() > 128:
        digits = int(value.bit_length() * math.log10(2)) + 1
        return f"a number of some {digits:,} digits"
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, str):
        return repr(value) if len(value) <= 80 else f"{value[:80]!r}..."
    if isinstance(value, list | tuple):
        return f"an array of {len(value)}"
    if isinstance(value, Mapping):
        return "a table"
    return str(value)


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"
