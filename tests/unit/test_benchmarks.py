"""Beside measuring, every benchmark names what it misses and leaves nothing behind."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from volition.errors import EnvironmentUnsupported

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
SCRIPTS = sorted(
    path
    for path in BENCHMARKS.glob("*.py")
    if '__name__ == "__main__"' in path.read_text(encoding="utf-8")
)


@pytest.fixture
def claims(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    yield __import__("claims")
    sys.modules.pop("claims", None)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_every_benchmark_runs_as_all_do(script: Path) -> None:
    assert script.read_text(encoding="utf-8").endswith("    run_benchmark(main)\n")


def test_nothing_is_left_in_the_temporary_directory(
    claims: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)

    def main() -> None:
        """Makes folders as Stable-Baselines3 does, and never removes them."""
        for number in range(40):
            Path(tempfile.gettempdir(), f"SB3-{number}").mkdir()
        Path(tempfile.mkdtemp(), "log").touch()

    claims.run_benchmark(main)
    assert list(tmp_path.iterdir()) == []
    assert os.environ["TMPDIR"] == str(tmp_path)
    assert tempfile.gettempdir() == str(tmp_path)


def absent(name: str) -> Callable[[], None]:
    def main() -> None:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    return main


@pytest.mark.parametrize(
    ("module", "extra"),
    [("torch", "bench"), ("stable_baselines3.common", "bench"), ("mujoco", "mujoco")],
)
def test_an_extra_that_is_not_there_is_named(claims: ModuleType, module: str, extra: str) -> None:
    with pytest.raises(SystemExit, match=rf'is not installed: pip install "volition\[{extra}\]"'):
        claims.run_benchmark(absent(module))
    with pytest.raises(ModuleNotFoundError):
        claims.run_benchmark(absent("a_typing_error"))


def test_an_error_raised_on_purpose_is_one_line(claims: ModuleType) -> None:
    def main() -> None:
        raise EnvironmentUnsupported("Ant-v5 needs a package more")

    with pytest.raises(SystemExit, match=r"^error: Ant-v5 needs a package more$"):
        claims.run_benchmark(main)


@pytest.mark.parametrize("script", ["learner.py", "pixels.py", "ppo.py"])
def test_peers_that_are_not_installed_are_named(script: str, tmp_path: Path) -> None:
    """As without the extra: whatever is called like a peer's package cannot be imported."""
    (tmp_path / "stable_baselines3.py").write_text(
        "raise ModuleNotFoundError('none', name='stable_baselines3')"
    )
    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / script), "--help"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert (
        done.stderr == 'error: stable_baselines3 is not installed: pip install "volition[bench]"\n'
    )
