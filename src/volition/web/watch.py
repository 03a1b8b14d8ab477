"""What `volition watch` does: serves the pages of runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from volition.errors import RunError
from volition.run.folder import CONFIG, RunFolder
from volition.web.serving import Address, serve
from volition.web.watching import Watch, watching_app

PORT = 8766


def watch(root: Path, address: Address, tell: Callable[[str], None]) -> None:
    """Lets people watch and steer runs until Ctrl-C, which stops no run.

    Args:
        root: A run, or a folder of runs.
        address: Where the pages are served.
        tell: Is told their address.

    Raises:
        RunError: It is neither, or damaged.
        InputError: Nobody can listen there.
    """
    if not root.is_dir():
        raise RunError(f"{root} is not a folder: name a run, or a folder of runs such as runs/")
    if (root / CONFIG).is_file():
        RunFolder.read_config(root)
    watched = Watch(root)
    try:
        serve(watching_app(watched), address, PORT, tell)
    finally:
        watched.close()
