"""Promises of the documentation, checked."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

import volition
from volition import cli
from volition.run.folder import RunFolder
from volition.tasks.task import Task
from volition.tasks.toml import section_in

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
DOCS = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "docs").glob("*.md")}


def test_public_names() -> None:
    assert volition.__all__ == [
        "Comparison",
        "Goal",
        "Judge",
        "JudgeSettings",
        "Judgment",
        "LearnedReward",
        "Progress",
        "Result",
        "RewardModel",
        "Run",
        "Task",
        "VolitionError",
        "compare",
        "judge_pairs",
        "train",
    ]
    assert all(getattr(volition, name).__doc__ for name in volition.__all__)
    assert set(volition.__all__) < set(dir(volition))
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        volition.Nothing  # noqa: B018


@pytest.mark.parametrize("verb", cli.VERBS)
def test_every_verb_is_documented(verb: str) -> None:
    assert f"volition {verb}" in DOCS["command-line.md"]
    assert cli.VERBS[verb].__doc__


def test_every_key_of_a_task_is_documented() -> None:
    for name, field in Task.model_fields.items():
        if not field.exclude:
            section = section_in(field.annotation)
            for key in section.model_fields if section else [""]:
                written = f"{name}.{key}" if key else name
                assert f"`{written}`" in DOCS["tasks.md"], written


def test_every_file_of_a_run_is_documented() -> None:
    properties = [name for name, value in vars(RunFolder).items() if isinstance(value, property)]
    for name in properties:
        path = getattr(RunFolder(Path("RUN"), None, None), name)  # type: ignore[arg-type]
        assert path.name in DOCS["run-folder.md"], path


def test_every_module_is_in_the_tree() -> None:
    package = ROOT / "src" / "volition"
    for path in package.iterdir():
        if path.suffix == ".py" and not path.name.startswith("__"):
            assert path.name in CONTRIBUTING, path.name
        elif path.is_dir() and (path / "__init__.py").exists():
            assert f"{path.name}/" in CONTRIBUTING, path.name


def test_every_command_of_the_readme_exists() -> None:
    verbs = set(re.findall(r"^\s*(?:\$ )?volition (\w+)", README, flags=re.MULTILINE))
    assert verbs
    assert verbs <= set(cli.VERBS)
    targets = set(re.findall(r"^make (\w+)", README, flags=re.MULTILINE))
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert {"demo", "test"} <= targets
    assert all(f"\n{target}:" in makefile for target in targets)


def test_every_benchmark_that_is_named_exists() -> None:
    named = set(re.findall(r"benchmarks/\w+\.py", " ".join([README, *DOCS.values()])))
    assert len(named) > 30
    assert all((ROOT / path).is_file() for path in named)


def test_every_room_is_in_one_layer() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    layers = project["tool"]["importlinter"]["contracts"][0]["layers"]
    named = {module.strip() for layer in layers for module in layer.split("|")}
    package = ROOT / "src" / "volition"
    modules = {
        f"volition.{path.stem}"
        for path in package.iterdir()
        if not path.name.startswith("_")
        and (path.suffix == ".py" or (path / "__init__.py").exists())
    }
    assert modules == named
