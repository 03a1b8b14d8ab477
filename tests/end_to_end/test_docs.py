"""The commands and snippets of the documentation, run in order, page by page, as they stand there.

Changed is only what a test has to: the judge is a server on loopback that looks at the pictures,
RUN is a finished run, a filled-in form takes the place of a person, and learning is shorter.
"""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from servers import Server, serving
from snippets import ROOT, Block, blocks
from volition import JudgeSettings
from volition.cli import main
from volition.run.run import Run
from volition.storage.compilation import enable_cache

STEPS = "400"  # environment steps of each training
RUNNABLE = ("", "bash", "python")
PAGES = sorted({b.page for b in blocks() if b.language in RUNNABLE and not b.why_not})


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(enable_cache()))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with serving(strict=False) as running:
        yield running


@pytest.fixture
def here(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with what the pages speak of."""
    folder = tmp_path / "here"
    shutil.copytree(run.folder.path, folder / "RUN")
    shutil.copytree(ROOT / "examples" / "cat", folder / "cat")
    (folder / "examples").symlink_to(ROOT / "examples")
    (folder / "camera").mkdir()
    for name, height in (("before", 40), ("after", 10)):
        pixels = np.full((64, 64, 3), 255, np.uint8)
        pixels[height : height + 8, 28:36] = 0
        Image.fromarray(pixels).save(folder / "camera" / f"{name}.png")
    monkeypatch.chdir(folder)
    return folder


def words_of(command: str, server: Server) -> list[str]:
    words = shlex.split(command)[1:]
    if any(word.startswith("openai:") for word in words):
        words += ["--base-url", server.openai, "--price-in", "0.1", "--price-out", "0.4"]
    if words[0] == "train":
        if "--steps" in words:
            words[words.index("--steps") + 1] = STEPS
        else:
            words += ["--steps", STEPS]
    changed = {"TASK": "pendulum", "N": "1"}
    return [changed.get(word, word) for word in words]


def run_commands(block: Block, server: Server, here: Path) -> None:
    for command in block.commands():
        if shlex.split(command)[0] == "volition":
            words = words_of(command, server)
            if words[0] == "answer":  # which somebody has written by then
                shutil.copyfile(here / "cat" / "answers.csv", here / "sheets" / "answers.csv")
            assert main(words) == 0, f"{block}: {command}"
        else:
            raise AssertionError(f"{block}: {command}: mark it, or run it")


def run_python(block: Block, server: Server) -> None:
    text = block.text.replace('"openai:MODEL"', "JUDGE")
    text = re.sub(r"\btrain\((\"\w+\")", rf"train(\1, steps={STEPS}", text)
    judge = JudgeSettings("openai:MODEL", base_url=server.openai, price_in=0.1, price_out=0.4)
    exec(compile(text, str(block), "exec"), {"JUDGE": judge})


@pytest.mark.parametrize("page", PAGES)
def test_what_a_page_says_to_do_works(page: str, server: Server, here: Path) -> None:
    for block in blocks():
        if block.page == page and block.language in RUNNABLE and not block.why_not:
            if block.language != "python":
                run_commands(block, server, here)
            elif block.text != (ROOT / "examples" / "cat" / "sunny.py").read_text("utf-8"):
                run_python(block, server)
