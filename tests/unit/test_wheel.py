"""The wheel: what is in it, and how large it is."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MOST_BYTES = 6_000_000


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(out)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return next(out.glob("*.whl"))


def test_the_wheel_is_small(wheel: Path) -> None:
    assert wheel.stat().st_size <= MOST_BYTES


def test_all_that_a_run_needs_is_in_the_wheel(wheel: Path) -> None:
    """And of what lies in the package only sheets are left out, which are drawn again."""
    with zipfile.ZipFile(wheel) as archive:
        inside = set(archive.namelist())
    package = {
        path.relative_to(ROOT / "src").as_posix()
        for path in (ROOT / "src" / "volition").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert "volition/py.typed" in inside
    assert any(name.endswith("licenses/LICENSE") for name in inside)
    left_out = package - inside
    assert left_out
    assert all("/sheets/" in name and name.endswith(".png") for name in left_out)
    assert not any(name.startswith(("tests", "docs", "benchmarks")) for name in inside)
    assert "volition/tasks/bundled/pendulum/judgments/one-look/sheets/sheet.png" in inside
