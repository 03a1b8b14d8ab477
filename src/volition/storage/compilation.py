"""JAX's persistent compilation cache: a program is compiled once for a machine, not once for a run.

Compiling is most of what a first run waits for. Import this module before the first compilation.
"""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs


def enable_cache() -> Path:
    """Points JAX at the cache in the user's cache folder; `JAX_COMPILATION_CACHE_DIR` wins.

    Returns:
        The folder.
    """
    import jax

    given = os.environ.get("JAX_COMPILATION_CACHE_DIR")
    folder = Path(given) if given else platformdirs.user_cache_path("volition") / "jax"
    for option, value in (
        ("jax_compilation_cache_dir", str(folder)),
        ("jax_persistent_cache_min_compile_time_secs", 0.0),
        ("jax_persistent_cache_min_entry_size_bytes", 0),
    ):
        jax.config.update(option, value)  # type: ignore[no-untyped-call]
    return folder
