"""Services that follow a run, as they are: `make test-extras`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from volition.run.run import train

SHORT = 800


def test_wandb_keeps_a_run_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    for name in ("WANDB_CONFIG_DIR", "WANDB_CACHE_DIR", "WANDB_DATA_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "wandb's own"))
    run = train("pendulum", out=tmp_path / "run", steps=SHORT, track=["wandb"])
    (kept,) = (tmp_path / "run" / "wandb").glob("offline-run-*/run-*.wandb")
    assert run.folder.settings.tracked_as in kept.name
    assert b"learned_return" in kept.read_bytes()
    assert b"recorded:one-look" in kept.read_bytes()


def test_trackio_keeps_a_run(tmp_path: Path) -> None:
    """In a process of its own, since it reads where to keep it when it is imported."""
    program = (
        "from volition import train\n"
        f"train('pendulum', out={str(tmp_path / 'run')!r}, steps={SHORT}, track=['trackio'])\n"
    )
    kept = tmp_path / "kept"
    environment = {**os.environ, "TRACKIO_DIR": str(kept)}
    subprocess.run([sys.executable, "-c", program], check=True, env=environment)
    found = [path for path in kept.rglob("*.db") if b"learned_return" in path.read_bytes()]
    assert found, [*kept.rglob("*")]
