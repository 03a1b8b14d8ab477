"""What a user waits for: whole processes, from the shell's prompt and back.

    python benchmarks/process.py [--quick]

`volition train pendulum` with an empty and with a filled compilation cache, report and film
included; its peak memory; and the start of the interpreter with `import volition` and
`volition --help`. Times are those of the machine and the moment: the least of several is taken.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from claims import claim, run_benchmark

TRAIN = [sys.executable, "-m", "volition.cli", "train", "pendulum", "--out"]


def timed(command: list[str], **environment: str) -> tuple[float, float]:
    """Wall seconds and peak memory in gigabytes of a process that must succeed."""
    started = time.perf_counter()
    process = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **environment},
    )
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} exited with {process.returncode}")
    return seconds, usage.ru_maxrss / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer repetitions")
    repetitions = 2 if parser.parse_args().quick else 5
    with tempfile.TemporaryDirectory() as folder:
        cache, runs = str(Path(folder) / "cache"), Path(folder)
        cold, _ = timed([*TRAIN, str(runs / "cold")], JAX_COMPILATION_CACHE_DIR=cache)
        warm = [
            timed([*TRAIN, str(runs / str(number))], JAX_COMPILATION_CACHE_DIR=cache)
            for number in range(repetitions)
        ]
    seconds, memory = min(s for s, _ in warm), max(m for _, m in warm)
    help_ = min(timed([sys.executable, "-m", "volition.cli", "--help"])[0] for _ in range(5))
    import_ = min(timed([sys.executable, "-c", "import volition"])[0] for _ in range(5))
    held = [
        claim("volition train pendulum, cold cache", round(cold, 1), "s", "<= 9", cold <= 9),
        claim(
            "volition train pendulum, warm cache",
            round(seconds, 1),
            "s",
            "<= 6",
            seconds <= 6,
            all=[round(s, 1) for s, _ in warm],
        ),
        claim(
            "volition train pendulum, peak memory", round(memory, 2), "GB", "< 1.5", memory < 1.5
        ),
        claim("volition --help", round(help_, 2), "s", "<= 0.5", help_ <= 0.5),
        claim("import volition", round(import_, 2), "s", "<= 0.5", import_ <= 0.5),
    ]
    claim("What a user waits for", sum(held), f"of {len(held)} claims hold", "all", all(held))


if __name__ == "__main__":
    run_benchmark(main)
