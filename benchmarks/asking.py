"""How long a person waits for a folder of questions: the whole process, shell to shell.

    python benchmarks/asking.py [--quick]

`volition ask pendulum --pairs 300`, which draws 600 states at 500x500, lays 300 pairs out on five
sheets and writes frames, sheets and forms. The least of several times; beside it the processor
seconds, which other work on the machine changes less.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time

from claims import run_benchmark
from volition.run.folder import current_versions

PAIRS = 300
TARGET_S = 5.0


def ask(folder: str) -> tuple[float, float]:
    """Seconds on the wall and of the processor."""
    command = [sys.executable, "-m", "volition.cli", "ask", "pendulum", "--pairs", str(PAIRS)]
    started = time.perf_counter()
    with subprocess.Popen([*command, "--out", folder], stdout=subprocess.DEVNULL) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{' '.join(command)} exited with {process.returncode}")
    return time.perf_counter() - started, usage.ru_utime + usage.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer repetitions")
    repetitions = 2 if parser.parse_args().quick else 5
    with tempfile.TemporaryDirectory() as folder:
        times = [ask(f"{folder}/{number}") for number in range(repetitions)]
    for wall, processor in times:
        print(f"{wall:.2f} s, {processor:.2f} s of the processor")
    seconds = min(wall for wall, _ in times)
    print(
        json.dumps(
            {
                "claim": f"volition ask pendulum --pairs {PAIRS}, whole process",
                "value": round(seconds, 2),
                "unit": "s",
                "target": f"<= {TARGET_S:g}",
                "holds": seconds <= TARGET_S,
                "processor_s": round(min(processor for _, processor in times), 2),
                "versions": current_versions(),
            }
        )
    )


if __name__ == "__main__":
    run_benchmark(main)
