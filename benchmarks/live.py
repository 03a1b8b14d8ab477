"""A pendulum that swings up on fifty live judgments.

    python benchmarks/live.py [--quick]

The judge is `openai:` over its best wire, asked on loopback: a server in a process of its own,
which speaks the provider's protocol, decodes the pictures it gets and answers by what it sees on
them (the tests' own, in `tests/servers`). It is no multimodal LLM, and the figures say nothing of
how well one judges; they say what the way from a live judge to a policy is worth. The returns are
the environment's own, over 100 fixed-seed episodes, for evaluation only.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from claims import claim, run_benchmark
from volition.judges.settings import JudgeSettings
from volition.run.run import train

JUDGMENTS = 50
TARGET = -160.0


@contextmanager
def serving(*arguments: str) -> Iterator[str]:
    """The address of a server that answers from the pixels, run with these arguments."""
    tests = Path(__file__).parents[1] / "tests"
    with subprocess.Popen(
        [sys.executable, "-m", "servers", *arguments], cwd=tests, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip() + "/v1"
        finally:
            process.kill()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one seed")
    seeds = 1 if parser.parse_args().quick else 5
    returns, costs, judgments, seconds = [], [], [], []
    with serving() as address, tempfile.TemporaryDirectory() as folder:
        live = JudgeSettings(
            "openai:test", JUDGMENTS, base_url=address, price_in=0.1, price_out=0.4
        )
        for seed in range(seeds):
            run = train("pendulum", judge=live, seed=seed, out=Path(folder) / str(seed))
            result = run.result
            returns.append(round(result.return_mean, 1))
            costs.append(round(result.cost_usd, 5))
            judgments.append(result.judgments)
            seconds.append(round(result.wall_s, 1))
    claim(
        f"Pendulum-v1 from at most {JUDGMENTS} live judgments over loopback: true return",
        min(returns),
        f"worst of {seeds} seeds",
        f">= {TARGET:g}",
        min(returns) >= TARGET and max(judgments) <= JUDGMENTS,
        all=returns,
        judgments=judgments,
        cost_usd_at_small_model_prices=costs,
        seconds=seconds,
    )


if __name__ == "__main__":
    run_benchmark(main)
