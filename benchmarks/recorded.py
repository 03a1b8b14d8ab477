"""Large files of recorded judgments: how soon learning begins, in what memory, and the page's size.

    python benchmarks/recorded.py [--quick]

The judgments are simulated, and say so: pairs of pendulum states, judged by an eye that holds a
tilted rod for upright, which makes 8.4% of its answers wrong. Their lines name no pictures. Each
file is trained on by `volition train pendulum --judgments FILE`, a process of its own, for a few
steps, report and film included; the compilation cache is filled by a run on 50 judgments before.
`--quick` leaves out the largest file.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from claims import claim, run_benchmark

COUNTS = (500, 2000, 19_200)
WRONG = 0.084
TILT = WRONG * np.pi  # of uniform pairs a tilted eye gets that share of half a turn wrong
STEPS = "800"  # environment steps
SECONDS, GIGABYTES, MEGABYTES = 15.0, 1.0, 12.0  # at most


@dataclass(frozen=True, slots=True)
class Measured:
    """One run.

    Attributes:
        begun_s: Seconds from the start of the process until the policy begins to learn.
        total_s: Until its page was written.
        peak_gb: The most memory that it had.
        page_mb: Of the report.
    """

    begun_s: float
    total_s: float
    peak_gb: float
    page_mb: float


def write_judgments(count: int, file: Path) -> float:
    """Writes that many judgments; returns the share of them that is wrong."""
    rng = np.random.default_rng(count)
    angles = rng.uniform(-np.pi, np.pi, (count, 2)).round(6)
    speeds = rng.uniform(-8, 8, (count, 2)).round(6)
    seen_higher = np.cos(angles[:, 0] - TILT) > np.cos(angles[:, 1] - TILT)
    higher = np.cos(angles[:, 0]) > np.cos(angles[:, 1])
    with file.open("w", encoding="utf-8") as lines:
        for pair, (thetas, rates, first) in enumerate(
            zip(angles.tolist(), speeds.tolist(), seen_higher.tolist(), strict=True)
        ):
            sides = [
                {"theta": theta, "theta_dot": rate}
                for theta, rate in zip(thetas, rates, strict=True)
            ]
            line = {
                "pair": pair,
                "first": sides[0],
                "second": sides[1],
                "verdict": "first" if first else "second",
                "judge": "simulated tilted eye",
            }
            lines.write(json.dumps(line) + "\n")
    return float((seen_higher != higher).mean())


def train(judgments: Path, out: Path, cache: Path) -> Measured:
    """Trains on them in a process of its own."""
    words = ["train", "pendulum", "--judgments", str(judgments), "--steps", STEPS]
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "volition.cli", *words, "--out", str(out)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "JAX_COMPILATION_CACHE_DIR": str(cache)},
    )
    assert process.stderr is not None
    begun, lines = 0.0, list[str]()
    for line in process.stderr:
        lines.append(line)
        if line.startswith("policy ..."):
            begun = time.perf_counter() - started
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"volition {' '.join(words)}: {''.join(lines[-5:])}")
    total = time.perf_counter() - started
    page = (out / "report.html").stat().st_size / 1e6
    return Measured(begun, total, usage.ru_maxrss / 2**20, page)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="without the largest file")
    counts = COUNTS[:2] if parser.parse_args().quick else COUNTS
    held = []
    with tempfile.TemporaryDirectory() as name:
        folder, cache = Path(name), Path(name) / "cache"
        write_judgments(50, folder / "50.jsonl")
        train(folder / "50.jsonl", folder / "warm", cache)
        for count in counts:
            file = folder / f"{count}.jsonl"
            wrong = write_judgments(count, file)
            measured = train(file, folder / str(count), cache)
            about = f"{count} recorded judgments (simulated, {wrong:.1%} wrong)"
            begun, peak, page = measured.begun_s, measured.peak_gb, measured.page_mb
            held += [
                claim(
                    f"{about}: learning begins after",
                    round(begun, 1),
                    "s",
                    f"<= {SECONDS:g}",
                    begun <= SECONDS,
                    total_s=round(measured.total_s, 1),
                ),
                claim(
                    f"{about}: peak memory",
                    round(peak, 2),
                    "GB",
                    f"<= {GIGABYTES:g}",
                    peak <= GIGABYTES,
                ),
                claim(
                    f"{about}: the report's page",
                    round(page, 1),
                    "MB",
                    f"<= {MEGABYTES:g}",
                    page <= MEGABYTES,
                ),
            ]
    claim("Recorded judgments by the thousand", sum(held), f"of {len(held)}", "all", all(held))


if __name__ == "__main__":
    run_benchmark(main)
