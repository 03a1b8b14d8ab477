"""The scripts of `examples/libraries`: `make test-extras`."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
LIBRARIES = {  # how far each script goes here
    "sb3_sac.py": ["--steps", "250", "--judge", "simulated:exact"],
    "sb3_ppo.py": ["--steps", "512"],
    "sb3_tqc.py": ["--steps", "200"],
    "cleanrl_ppo.py": ["--steps", "512"],
}


def test_every_script_is_tried() -> None:
    scripts = {path.name for path in (EXAMPLES / "libraries").glob("*.py")}
    assert scripts == set(LIBRARIES)
    readme = (EXAMPLES / "libraries" / "README.md").read_text(encoding="utf-8")
    assert all(name in readme for name in scripts)


@pytest.mark.parametrize("name", LIBRARIES)
def test_other_libraries_learn_from_judgments(name: str, tmp_path: Path) -> None:
    command = [sys.executable, str(EXAMPLES / "libraries" / name), *LIBRARIES[name]]
    done = subprocess.run(
        command, cwd=tmp_path, env=os.environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert re.search(r"after \d+ steps", done.stdout), done.stdout
