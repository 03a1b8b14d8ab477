"""Does the learner ever wait for the judge? A whole run beside its parts done alone.

    python benchmarks/overlap.py [--quick]

One run of `volition train pendulum` with a simulated judge that takes 1.5 s for an answer, 32
requests under way at most, against the longer of: putting the same number of questions to that
judge, and training as many steps on judgments that are there already. All in one process, the
compiled programs there before; whole runs, evaluation included. Beside it, the updates per second
while questions are chosen, drawn, judged and learned from, against a run that asks nothing.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from asked import opened
from claims import claim, run_benchmark
from volition.judges import make_judge
from volition.judges.settings import JudgeSettings
from volition.judging.thread import Judging
from volition.questions.covering import covering_comparisons
from volition.run.asking.live import limits_of
from volition.run.creating import assignment_of
from volition.run.run import Run, train
from volition.storage.compilation import enable_cache
from volition.storage.store import Store
from volition.tasks.task import Task

LATENCY_S, CONCURRENCY = 1.5, 32
TASK = opened(Task.find("pendulum"))


def live(judgments: int, latency_s: float) -> JudgeSettings:
    judge = f"simulated:exact?latency={latency_s:g}&per_request=1"
    return JudgeSettings(judge, judgments, concurrency=CONCURRENCY)


def updates_per_s(run: Run) -> float:
    """The median over the run's sessions, the first of which acts at random in part."""
    return statistics.median(session.updates_per_s for session in run.history[1:])


def judging_alone(judgments: int, folder: Path) -> float:
    """Seconds that the judge takes, everything being asked at once."""
    settings = live(judgments, LATENCY_S)
    with Store.create(folder) as store:
        goal_id = store.add_goal(TASK.stated_goal())
        comparisons = covering_comparisons(TASK.environment, TASK.view, goal_id, judgments, 0)
    started = time.perf_counter()
    with Judging(folder, limits_of(settings, judgments), 0) as judging:
        judging.ask(make_judge(settings, assignment_of(TASK)), comparisons)
        judging.wait()
    return time.perf_counter() - started


def timed_run(out: Path, steps: int, judge: JudgeSettings | None) -> tuple[float, Run]:
    started = time.perf_counter()
    run = train("pendulum", judge=judge, out=out, steps=steps)
    return time.perf_counter() - started, run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a shorter run, once")
    quick = parser.parse_args().quick
    steps, judgments, rounds = (16_000, 120, 1) if quick else (40_000, 300, 3)
    enable_cache()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        train("pendulum", judge=live(40, 0.1), out=Path(folder) / "compiled", steps=1600)
        for number in range(rounds):
            path = Path(folder) / str(number)
            judging_s = judging_alone(judgments, path / "judging")
            alone_s, alone = timed_run(path / "alone", steps, None)
            both_s, both = timed_run(path / "both", steps, live(judgments, LATENCY_S))
            rows.append(
                {
                    "judging_s": judging_s,
                    "training_s": alone_s,
                    "both_s": both_s,
                    "judgments": both.result.judgments,
                    "ratio": both_s / max(judging_s, alone_s),
                    "speed": updates_per_s(both) / updates_per_s(alone),
                }
            )
            print(rows[-1], flush=True)
    middle = {name: round(statistics.median(row[name] for row in rows), 3) for name in rows[0]}
    held = [
        claim(
            "updates per second while questions are asked and learned from, of those alone",
            middle["speed"],
            "share",
            ">= 0.8",
            middle["speed"] >= 0.8,
            simulated=True,
        ),
        claim(
            "a whole run with 1.5 s of simulated latency and 32 in flight, against the longer of "
            "judging alone and training alone",
            middle["ratio"],
            "times",
            "<= 1.15",
            middle["ratio"] <= 1.15,
            simulated=True,
            medians=middle,
        ),
    ]
    claim(
        "The learner never waits",
        sum(held),
        f"of {len(held)} claims hold",
        "all",
        all(held),
        simulated=True,
    )


if __name__ == "__main__":
    run_benchmark(main)
