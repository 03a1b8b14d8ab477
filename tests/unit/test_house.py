"""The house: rooms in order, small enough to be seen at once, and no circle among their files."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src"
PACKAGE = SOURCE / "volition"
MOST_MODULES = 10  # in a room
LARGE = ("envs/own", "tasks")  # rooms that hold as many as there are environments, or tasks


@cache
def modules() -> dict[str, Path]:
    """Every file of the package, by the name under which it is imported."""
    found = {}
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imported(path: Path) -> Iterator[str]:
    """The package's own modules that a file imports anywhere, for the type checker alone, too."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in modules())
        elif isinstance(node, ast.ImportFrom) and node.module in modules():
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in modules() else str(node.module)


def functions() -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    for name, path in modules().items():
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield f"{name}:{node.lineno} {node.name}", node


def signature(function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[str]:
    arguments = function.args
    for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
        if argument.annotation is not None:
            yield ast.unparse(argument.annotation)
    if function.returns is not None:
        yield ast.unparse(function.returns)


def test_the_top_is_values_and_rooms() -> None:
    files = [path for path in PACKAGE.glob("*.py") if path.name != "__init__.py"]
    folders = [path.parent for path in PACKAGE.glob("*/__init__.py")]
    assert len(files) <= 6, sorted(path.name for path in files)
    assert len(folders) <= 16, sorted(path.name for path in folders)


def test_no_room_is_crowded() -> None:
    for folder in {path.parent for path in modules().values()}:
        room = folder.relative_to(PACKAGE).as_posix()
        inside = [path.name for path in folder.glob("*.py") if path.name != "__init__.py"]
        assert room in LARGE or len(inside) <= MOST_MODULES, f"{room}: {sorted(inside)}"


def test_no_circle_among_files() -> None:
    graph = {name: set(imported(path)) - {name} for name, path in modules().items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        raise AssertionError(f"files import each other: {' -> '.join(error.args[1])}") from None


def test_functions_are_short() -> None:
    long = {
        name: node.end_lineno - node.lineno + 1
        for name, node in functions()
        if node.end_lineno is not None and node.end_lineno - node.lineno + 1 > 60
    }
    assert not long


def test_what_travels_has_a_type() -> None:
    """A dictionary of anything is taken or given where it is somebody else's document."""
    loose = [
        name for name, node in functions() if any("dict[str, Any]" in s for s in signature(node))
    ]
    assert len(loose) <= 20, loose


def test_the_formatter_decides() -> None:
    files = [*modules().values(), *ROOT.glob("tests/**/*.py"), *ROOT.glob("benchmarks/**/*.py")]
    mark = re.compile(r"# fmt: (skip|off)")
    marks = [path for path in files for _ in mark.findall(path.read_text(encoding="utf-8"))]
    assert len(marks) <= 10, marks
