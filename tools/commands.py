"""Writes docs/commands.md, every option of every verb, from what `--help` prints.

    python tools/commands.py

The page is made before the documentation is built, and not kept: so it says what the program says.
"""

from __future__ import annotations

import contextlib
import io
import os
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "commands.md"
HEAD = """\
# Every option

What `volition VERB --help` prints, of this version. What the verbs are for:
[Verbs](command-line.md).
"""


def helped(verb: str) -> str:
    """What `volition VERB --help` prints."""
    from volition import cli

    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
        cli.main([verb, "--help"])
    return "\n".join(line.rstrip() for line in printed.getvalue().strip().splitlines())


def page() -> str:
    """The page as Markdown."""
    os.environ.update(COLUMNS="90", TERM="dumb", NO_COLOR="1")
    from volition import cli

    parts = [f"## volition {verb}\n\n```text\n{helped(verb)}\n```\n" for verb in cli.VERBS]
    return "\n".join([HEAD, *parts])


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
