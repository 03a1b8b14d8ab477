"""Against a peer: whole-process time and true return on Pendulum-v1, beside `imitation`.

    python benchmarks/peers.py [--quick] [--seeds N] [--settings NAME] [--env FOLDER]

**What is compared.** Two whole processes, from the shell's point of view: imports, learning and 100
evaluation episodes included.

- `volition train pendulum --seed S`: reads recorded judgments, fits the reward model, trains the
  policy, evaluates it, and writes its report and film. Its compilation cache is a fresh folder: the
  first run fills it and is shown as the cold one; the runs that count are the warm ones after it.
- `imitation` 1.0.1's tutorial 5, preference comparisons (`peers/imitation_tutorial.py`), in an
  environment of its own with Gymnasium 0.29, built once and kept. The tutorial's cells are
  shortened and say by how much: `--settings` picks `proficient` (the default: 100,000 steps for the
  final learner, as its note says), `printed` (the cells as they stand) or `thorough` (60 iterations
  of comparison too, as its other note says).

**What is not equal.** The judges. volition learns from 60 recorded judgments of a multimodal LLM
that looked at a picture; `imitation` from 200 comparisons of 100-step fragments, answered by a
synthetic judge that reads the environment's true reward and is all but never wrong. The advantage
is the peer's.

**What is equal.** The episodes by which both are measured: reset seeds 10,000 to 10,099, the
deterministic policy, the environment's own reward. The machine: the runs take turns, on its CPU
only. PyTorch gets one thread: with two it took 79 s in place of 65 s, one run of each, and on a
busy machine the two wait for each other for minutes. CPU seconds stand beside wall time, for
machines that others use too.

The last line is one JSON object. `value` is the ratio of the median times, the peer's over ours.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import platformdirs

from claims import claim, run_benchmark

HERE = Path(__file__).parent / "peers"
TUTORIAL = HERE / "imitation_tutorial.py"
REQUIREMENTS = HERE / "requirements.txt"
PEER_PYTHONS = ((3, 11), (3, 12))
EPISODES = 100
TARGET = 5.0


class Settings(NamedTuple):
    """The two numbers that the tutorial shortens."""

    iterations: int
    learner_steps: int


SETTINGS = {
    "proficient": Settings(iterations=5, learner_steps=100_000),
    "printed": Settings(iterations=5, learner_steps=1_000),
    "thorough": Settings(iterations=60, learner_steps=100_000),
}


class Measured(NamedTuple):
    """One process: its times in seconds, and the JSON object on its last line."""

    wall_s: float
    cpu_s: float
    said: dict[str, Any]

    @property
    def true_return(self) -> float:
        return float(self.said["return_mean"])


def measure(command: Sequence[str | Path], variables: Mapping[str, str]) -> Measured:
    """Runs a command to its end, or leaves with what it said last."""
    before, started = os.times(), time.perf_counter()
    done = subprocess.run(
        command, env={**os.environ, **variables}, capture_output=True, text=True, check=False
    )
    wall_s, after = time.perf_counter() - started, os.times()
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(map(str, command))}\n{done.stderr[-2000:]}")
    cpu_s = sum(after[2:4]) - sum(before[2:4])  # user and system time of children
    return Measured(wall_s, cpu_s, json.loads(done.stdout.splitlines()[-1]))


# The peer


def peer_interpreter() -> str:
    """A Python that the peer's pinned versions work with: this one, or one that the PATH knows."""
    if sys.version_info[:2] in PEER_PYTHONS:
        return sys.executable
    names = [f"python{major}.{minor}" for major, minor in PEER_PYTHONS]
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None:
        raise SystemExit(f"the peer needs one of {', '.join(names)}; none is on the PATH")
    return found


def peer_folder() -> Path:
    """Where the peer's environment is kept: a folder of the user's cache for each set of pins."""
    pins = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()[:12]
    return platformdirs.user_cache_path("volition") / "benchmarks" / f"imitation-{pins}"


def peer_environment(folder: Path) -> Path:
    """The peer's own Python, with its environment built if this is the first time."""
    binaries = folder / ("Scripts" if os.name == "nt" else "bin")
    python, complete = binaries / "python", folder / "complete"
    if not complete.exists():
        print(f"building imitation's environment in {folder}", flush=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        pins = REQUIREMENTS.read_text().splitlines()
        torch = next(pin for pin in pins if pin.startswith("torch=="))
        subprocess.run([peer_interpreter(), "-m", "venv", folder], check=True)
        subprocess.run([*pip, "--constraint", str(REQUIREMENTS), torch], check=True)
        subprocess.run([*pip, "--requirement", str(REQUIREMENTS)], check=True)
        complete.touch()
    return python


def run_peer(python: Path, seed: int, settings: Settings, scratch: Path) -> Measured:
    """`imitation`'s tutorial 5, whole."""
    arguments = {
        "--seed": seed,
        "--iterations": settings.iterations,
        "--learner-steps": settings.learner_steps,
        "--episodes": EPISODES,
    }
    words = [str(word) for pair in arguments.items() for word in pair]
    variables = {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1", "TMPDIR": str(scratch)}
    return measure([python, "-I", TUTORIAL, *words], variables)


# Ours


def run_ours(seed: int, scratch: Path, name: str) -> Measured:
    """`volition train pendulum`, whole, with the compilation cache of this benchmark."""
    variables = {"JAX_PLATFORMS": "cpu", "JAX_COMPILATION_CACHE_DIR": str(scratch / "compiled")}
    words = ["train", "pendulum", "--seed", str(seed), "--json", "--out", str(scratch / name)]
    measured = measure([sys.executable, "-m", "volition.cli", *words], variables)
    if measured.said["episodes"] != EPISODES:
        raise SystemExit(f"volition evaluated {measured.said['episodes']} episodes: {EPISODES}")
    return measured


# Both


def show(name: str, seed: int, measured: Measured) -> Measured:
    deviation = measured.said["return_std"]
    print(
        f"{name:<16} {seed:>4} {measured.wall_s:>8.1f} {measured.cpu_s:>8.1f} "
        f"{measured.true_return:>8.1f} {deviation:>6.1f}",
        flush=True,
    )
    return measured


def compare(
    python: Path, seeds: range, settings: Settings, scratch: Path
) -> tuple[list[Measured], list[Measured]]:
    """The peer's runs and our warm ones, taking turns; the cold one is only shown."""
    print(f"{'':<16} {'seed':>4} {'wall s':>8} {'CPU s':>8} {'return':>8} {'std':>6}")
    show("volition (cold)", seeds[0], run_ours(seeds[0], scratch, "cold"))
    peers, ours = [], []
    for seed in seeds:
        peers.append(show("imitation", seed, run_peer(python, seed, settings, scratch)))
        ours.append(show("volition", seed, run_ours(seed, scratch, f"seed-{seed}")))
    return peers, ours


def medians(runs: Sequence[Measured]) -> dict[str, float]:
    return {
        "return": round(statistics.median(run.true_return for run in runs), 1),
        "wall_s": round(statistics.median(run.wall_s for run in runs), 1),
        "cpu_s": round(statistics.median(run.cpu_s for run in runs), 1),
        "runs": len(runs),
    }


def conclude(
    peers: Sequence[Measured], ours: Sequence[Measured], name: str, peer_versions: dict[str, Any]
) -> bool:
    """Prints the last line; returns whether the claim holds."""
    peer, our = medians(peers), medians(ours)
    ratio = peer["wall_s"] / our["wall_s"]
    comparisons, judgments = peers[0].said["comparisons"], ours[0].said["judgments"]
    return claim(
        "Pendulum-v1, whole process: a better true return than imitation's preference comparisons "
        f"(tutorial 5, {name}), in less than a fifth of the time",
        round(ratio, 2),
        "times as fast",
        f"a better median return, and >= {TARGET:g} times as fast",
        our["return"] > peer["return"] and ratio >= TARGET,
        volition=our | {"judge": f"a multimodal LLM: {judgments} recorded judgments"},
        imitation=peer | {"judge": f"synthetic, the true reward: {comparisons} comparisons"},
        imitation_versions=peer_versions,
    )


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="one seed")
    parser.add_argument("--seeds", type=int, default=3, help="how many, from 0 on")
    parser.add_argument("--settings", choices=SETTINGS, default="proficient")
    parser.add_argument("--env", type=Path, help="the peer's environment; built where absent")
    arguments = parser.parse_args()
    if arguments.seeds < 1:
        parser.error(f"--seeds must be at least 1, not {arguments.seeds}")
    return arguments


def main() -> None:
    arguments = parse()
    python = peer_environment(arguments.env or peer_folder())
    # Asking for the versions also brings the peer's files into memory: no run pays for a cold disk.
    versions = measure([python, "-I", TUTORIAL, "--versions"], {}).said
    seeds = range(1 if arguments.quick else arguments.seeds)
    with tempfile.TemporaryDirectory() as folder:
        peers, ours = compare(python, seeds, SETTINGS[arguments.settings], Path(folder))
    conclude(peers, ours, arguments.settings, versions)


if __name__ == "__main__":
    run_benchmark(main)
