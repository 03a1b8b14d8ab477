"""What `examples/` shows runs: the notebook anywhere, other libraries where they are there."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
LIBRARIES = {  # what each script needs, and how far it goes here
    "sb3_sac.py": ("sb3_contrib", ["--steps", "250", "--judge", "simulated:exact"]),
    "sb3_ppo.py": ("sb3_contrib", ["--steps", "512"]),
    "sb3_tqc.py": ("sb3_contrib", ["--steps", "200"]),
    "cleanrl_ppo.py": ("torch", ["--steps", "512"]),
}


def test_the_notebook_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    cells = json.loads((EXAMPLES / "quickstart.ipynb").read_text(encoding="utf-8"))["cells"]
    names: dict[str, object] = {"__name__": "__main__"}
    for cell in cells:
        if cell["cell_type"] == "code":
            exec("".join(cell["source"]), names)
    judged, run = names["judged"], names["run"]
    assert isinstance(judged, list)
    for pair in judged:
        first, second = (int(file.stem) for file in pair.files)
        assert pair.p_first == float(first > second)
    assert run.result.judgments == 60  # type: ignore[attr-defined]
    assert (tmp_path / "runs" / "quickstart" / "result.json").is_file()


def test_every_script_is_tried() -> None:
    scripts = {path.name for path in (EXAMPLES / "libraries").glob("*.py")}
    assert scripts == set(LIBRARIES)
    readme = (EXAMPLES / "libraries" / "README.md").read_text(encoding="utf-8")
    assert all(name in readme for name in scripts)


@pytest.mark.slow
@pytest.mark.parametrize("name", LIBRARIES)
def test_other_libraries_learn_from_judgments(name: str, tmp_path: Path) -> None:
    needed, options = LIBRARIES[name]
    if find_spec(needed) is None:
        pytest.skip(f"{needed} is not installed: pip install 'volition[sb3]'")
    command = [sys.executable, str(EXAMPLES / "libraries" / name), *options]
    done = subprocess.run(
        command, cwd=tmp_path, env=os.environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert re.search(r"after \d+ steps", done.stdout), done.stdout
