"""What every benchmark here does: it prints one JSON object a claim, the last being the verdict.

It says in one line what it misses, and leaves nothing in the temporary directory.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable
from typing import Any

from volition.errors import VolitionError
from volition.run.folder import current_versions

EXTRAS = {  # of this package, by what each brings
    "stable_baselines3": "bench",
    "torch": "bench",
    "transformers": "local",
    "mujoco": "mujoco",
    "Box2D": "box2d",
    "anthropic": "anthropic",
    "google": "gemini",
}


def claim(text: str, value: Any, unit: str, target: str, holds: bool, **more: Any) -> bool:
    """Prints one claim; returns whether it holds."""
    document = {
        "claim": text,
        "value": value,
        "unit": unit,
        "target": target,
        "holds": bool(holds),
        **more,
        "versions": current_versions(),
    }
    print(json.dumps(document), flush=True)
    return bool(holds)


def run_benchmark(main: Callable[[], object]) -> None:
    """Runs a benchmark; whatever it and its libraries write to work with goes with it."""
    before = os.environ.get("TMPDIR")
    with tempfile.TemporaryDirectory(prefix="volition-benchmark-") as scratch:
        os.environ["TMPDIR"] = tempfile.tempdir = scratch
        try:
            main()
        except ModuleNotFoundError as error:
            sys.exit(missing(error))
        except VolitionError as error:
            sys.exit(f"error: {error}")
        finally:
            tempfile.tempdir = None
            os.environ.pop("TMPDIR")
            if before is not None:
                os.environ["TMPDIR"] = before


def missing(error: ModuleNotFoundError) -> str:
    """What a benchmark needs more, and how it is installed.

    Raises:
        ModuleNotFoundError: No extra brings it.
    """
    module = (error.name or "").partition(".")[0]
    if module not in EXTRAS:
        raise error
    return f'error: {module} is not installed: pip install "volition[{EXTRAS[module]}]"'
