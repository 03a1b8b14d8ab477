"""What `examples/` shows runs: the notebook anywhere, other libraries where they are there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


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
