"""Commands and snippets of README, docs and examples: each is read as the program reads it, and
what is not run says why. `tests/end_to_end/test_docs.py` runs the others."""

from __future__ import annotations

import ast
import functools
import re
import shlex
import tomllib
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import tyro

from snippets import ROOT, Block, blocks
from volition.cli.parsing import REGISTRY
from volition.cli.program import VERBS
from volition.errors import InputError
from volition.judging.recordings import Line
from volition.tasks.task import Task

BLOCKS = blocks()
REASONS = {
    "needs a key": 14,
    "needs a person": 12,
    "needs the network": 2,
    "takes minutes": 11,
    "needs an extra": 7,
}
"""Why a block is not run, and how many there may be of each."""
OTHERS = {
    *("pip", ".venv/bin/pip", "python3", "export", "ssh"),
    *("tensorboard", "opentelemetry-instrument"),
}
NUMBERS = {"N": "3", "SECONDS": "3"}


def _unrun(verb: Callable[..., int]) -> Callable[..., int]:
    @functools.wraps(verb)
    def unrun(*_: object, **__: object) -> int:
        return 0

    return unrun


UNRUN = {name: _unrun(verb) for name, verb in VERBS.items()}


def test_what_is_not_run_says_why() -> None:
    counted = Counter(block.why_not for block in BLOCKS if block.why_not)
    assert set(counted) <= set(REASONS), counted
    assert all(counted[reason] <= most for reason, most in REASONS.items()), counted
    assert {block.language for block in BLOCKS} <= {"", "text", "python", "toml", "json", "bash"}


@pytest.mark.parametrize("block", [b for b in BLOCKS if any(b.commands())], ids=str)
def test_every_command_is_one(block: Block) -> None:
    for command in block.commands():
        program, *words = shlex.split(re.sub(r"^[A-Z_]+=\S+ ", "", command))
        if program == "volition":
            words = [NUMBERS.get(word, word) for word in words]
            parsed = tyro.extras.subcommand_cli_from_dict(
                UNRUN, args=words, config=(tyro.conf.FlagCreatePairsOff,), registry=REGISTRY
            )
            assert parsed == 0, command
        elif program == "python":
            assert (ROOT / words[0]).is_file(), command
        elif program == "make":
            makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
            assert f"\n{words[0]}:" in makefile, command
        else:
            assert program in OTHERS, command


@pytest.mark.parametrize("block", [b for b in BLOCKS if b.language == "toml"], ids=str)
def test_every_task_is_one(block: Block, tmp_path: Path) -> None:
    """What is left out of a part is filled in."""
    document = tomllib.loads(block.text)
    missing = {
        "name": 'name = "part"\n',
        "environment": 'environment = { id = "Pendulum-v1" }\n',
        "goal": "" if "goals" in document else 'goal = { text = "up" }\n',
    }
    whole = "".join(text for key, text in missing.items() if key not in document) + block.text
    (tmp_path / "task.toml").write_text(whole, encoding="utf-8")
    constitution = "Move calmly.\nveto: Nothing may be broken.\n"
    (tmp_path / "constitution.txt").write_text(constitution, encoding="utf-8")
    assert all(task.stated_goal().text for task in Task.read_all(tmp_path).values())


@pytest.mark.parametrize("block", [b for b in BLOCKS if b.language == "json"], ids=str)
def test_every_line_of_judgments_is_one(block: Block) -> None:
    for line in block.text.splitlines():
        shown = line.replace(", …]", "]").replace("{…}", "{}")
        assert Line.model_validate_json(shown).p_shown_first in (0.0, 0.5, 1.0), line


@pytest.mark.parametrize("block", [b for b in BLOCKS if b.language == "python"], ids=str)
def test_all_python_is_python(block: Block) -> None:
    """And what it imports of Volition is there."""
    for node in ast.walk(ast.parse(block.text)):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("volition"):
            try:
                module = __import__(node.module, fromlist=["_"])
            except InputError as missing:
                if "pip install" in str(missing):  # an extra, which `make test-extras` has
                    continue
                raise
            assert all(hasattr(module, alias.name) for alias in node.names), ast.unparse(node)


def test_the_tutorials_files_are_those_of_the_example() -> None:
    """Which another test trains on."""
    shown = {block.text for block in BLOCKS if block.page == "docs/tutorial.md"}
    for name in ("sunny.py", "task.toml"):
        assert (ROOT / "examples" / "cat" / name).read_text(encoding="utf-8") in shown, name
