"""How the words of a command line become numbers; no message shows a type of Python's."""

from __future__ import annotations

from types import NoneType
from typing import Any, get_args

from tyro.constructors import ConstructorRegistry, PrimitiveConstructorSpec, PrimitiveTypeInfo

from volition.tasks.numbers import shown

NUMBERS: dict[Any, str] = {int: "a whole number", float: "a number"}

REGISTRY = ConstructorRegistry()


@REGISTRY.primitive_rule
def _number(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[Any] | None:
    """Reads `int`, `float`, and either where it may be left out."""
    kinds = [kind for kind in get_args(info.type) or (info.type,) if kind is not NoneType]
    if len(kinds) != 1 or kinds[0] not in NUMBERS:
        return None
    (kind,) = kinds

    def read(words: list[str]) -> Any:
        try:
            return kind(words[0])
        except ValueError:
            raise ValueError(f"{shown(words[0])} is not {NUMBERS[kind]}") from None

    return PrimitiveConstructorSpec(
        nargs=1,
        metavar=kind.__name__.upper(),
        instance_from_str=read,
        is_instance=lambda value: isinstance(value, (kind, NoneType)),
        str_from_instance=lambda value: [str(value)],
    )
