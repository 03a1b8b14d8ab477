"""The fenced blocks of README, docs and examples.

What stands in a block is run by a test, or a line above it says why not:

    <!-- not run: needs a key -->

Blocks of `text` are what a program prints, or a drawing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
GENERATED = ROOT / "docs" / "commands.md"
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted(path for path in (ROOT / "docs").rglob("*.md") if path != GENERATED),
    *sorted((ROOT / "examples").rglob("README.md")),
]
BLOCK = re.compile(r"(?:^<!-- not run: ([^\n]*) -->\n+)?^```(\w*)\n(.*?)^```", re.M | re.S)


@dataclass(frozen=True)
class Block:
    """One fenced block; `why_not` says why it is not run, where it is not."""

    page: str
    line: int
    language: str
    text: str
    why_not: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"

    def commands(self) -> Iterator[str]:
        """Its command lines, without what is said of them behind a #."""
        if self.language in ("", "bash"):
            for line in self.text.replace("\\\n", " ").splitlines():
                if command := re.sub(r"\s+#.*$", "", line).strip():
                    yield command


def blocks() -> list[Block]:
    found = []
    for path in PAGES:
        text = path.read_text(encoding="utf-8")
        page = path.relative_to(ROOT).as_posix()
        for match in BLOCK.finditer(text):
            line = text.count("\n", 0, match.start(2)) + 1
            found.append(Block(page, line, match[2], match[3], match[1] or ""))
    return found
