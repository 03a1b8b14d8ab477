"""How many judgments the pendulum needs, by how well the judge sees. Every judge here is simulated.

    python benchmarks/labels.py [--quick] [--seeds N] [--plot]

For each kind of judge, number of judgments and seed: comparisons that cover the states are judged
(every seed has a judge of its own, with another eye and another bias), a reward model is fitted,
SAC learns from it with the task's settings, and 100 episodes are evaluated by the environment's own
reward. The number needed is the smallest at which the interquartile mean of the seeds' returns is
at least -150 (Agarwal et al., arXiv:2108.13264); intervals are 95% bootstrap intervals of it.
The pendulum's return forgives a reward whose peak is far off, so the peak is shown beside it. With
30% of the answers flipped, it is counted how many seeds reach -160 from 200 judgments.
`--plot` draws docs/images/labels.svg.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from asked import comparisons, data, judged, learned_return, opened
from claims import claim, run_benchmark
from pendulum import landscape
from volition.reward.fit import fit
from volition.storage.compilation import enable_cache
from volition.tasks.task import Task

TASK = opened(Task.find("pendulum"))
GOAL, GOAL_WITH_NOISE, NEEDED = -150.0, -160.0, 0.8  # 4 of 5 seeds
COMPARISONS = 300  # of a seed, of which the first ones are taken
FEWEST, MOST = 2.7, 340.0  # judgments at the sides of a diagram
WIDTH, HEIGHT, TOP, BOTTOM = 330, 230, 70, 300  # of a diagram, in pixels
PLOT = Path(__file__).parent.parent / "docs" / "images" / "labels.svg"

Tables = dict[str, dict[int, dict[str, Any]]]  # by case and number of judgments


@dataclass(frozen=True, slots=True)
class Case:
    """A kind of judge, and how many of its judgments may be needed at most."""

    label: str
    judge: str
    target: int
    counts: tuple[int, ...]
    symmetric: bool = False
    colour: str = "#4c78a8"


CASES = (
    Case("exact", "exact", 25, (3, 5, 10, 25), colour="#1b9e77"),
    Case("strong, mirror declared", "strong:{seed}", 60, (5, 10, 60), True, "#7570b3"),
    Case("strong", "strong:{seed}", 100, (5, 10, 25, 100), colour="#d95f02"),
    Case("mid", "mid:{seed}", 300, (10, 25, 100, 300), colour="#e7298a"),
)
FLIPPED = Case("30% flipped", "noisy:0.3", 200, (10, 25, 50, 200), colour="#666666")


def returns(case: Case, count: int, seeds: int) -> tuple[list[float], list[float]]:
    """The true return and the peak's distance from upright in degrees, of each seed."""
    found, peaks = [], []
    for seed in range(seeds):
        asked = comparisons(TASK.name, COMPARISONS, seed)[:count]
        judgments = judged(TASK, f"simulated:{case.judge.format(seed=seed)}", asked, seed)
        model = fit(data(asked, judgments), TASK.reward, case.symmetric, seed).model
        found.append(round(learned_return(TASK, model, seed), 1))
        peaks.append(landscape(model)[0])
    return found, peaks


def interquartile_mean(values: np.ndarray) -> np.ndarray:
    """Of the last axis: the mean without the lowest and the highest quarter, by weight."""
    ordered, count = np.sort(values, -1), values.shape[-1]
    edges = np.arange(count + 1)
    inside = np.clip(np.minimum(edges[1:], 0.75 * count) - np.maximum(edges[:-1], count / 4), 0, 1)
    return (ordered * inside).sum(-1) / inside.sum()


def interval(values: list[float]) -> tuple[float, float]:
    """95% percentile bootstrap of the interquartile mean."""
    drawn = np.random.default_rng(0).choice(values, (10_000, len(values)))
    low, high = np.quantile(interquartile_mean(drawn), [0.025, 0.975])
    return round(float(low), 1), round(float(high), 1)


def measure(case: Case, counts: tuple[int, ...], seeds: int) -> dict[int, dict[str, Any]]:
    table: dict[int, dict[str, Any]] = {}
    for count in counts:
        found, peaks = returns(case, count, seeds)
        table[count] = {
            "iqm": round(float(interquartile_mean(np.array(found))), 1),
            "interval": interval(found),
            "returns": found,
            "peak_degrees": peaks,
        }
        print(f"{case.label}, {count} judgments (simulated): {table[count]}", flush=True)
    return table


@dataclass(frozen=True, slots=True)
class Panel:
    """One of the two diagrams, `left` pixels from the left.

    Attributes:
        rows: Of a table: value, lowest and highest of each number of judgments.
        bounds: The values at the bottom and at the top.
        marks: Values that are written at the side.
    """

    left: int
    title: str
    rows: Callable[[dict[str, Any]], tuple[float, float, float]]
    bounds: tuple[float, float]
    marks: tuple[float, ...]

    def x(self, count: float) -> float:
        return self.left + WIDTH * math.log(count / FEWEST) / math.log(MOST / FEWEST)

    def y(self, value: float) -> float:
        low, high = self.bounds
        inside = min(max(value, min(low, high)), max(low, high))
        return BOTTOM - HEIGHT * (inside - low) / (high - low)

    def draw(self, tables: Tables) -> list[str]:
        right = self.left + WIDTH
        parts = [written(self.left, TOP - 18, self.title, "start")]
        for mark in self.marks:
            parts.append(stroke(self.left, self.y(mark), right, self.y(mark), "#8886"))
            parts.append(written(self.left - 8, self.y(mark) + 4, f"{mark:g}", "end"))
        parts += [written(self.x(n), BOTTOM + 20, str(n)) for n in (3, 10, 25, 50, 100, 300)]
        for case in (*CASES, FLIPPED):
            rows = {count: self.rows(row) for count, row in tables[case.label].items()}
            points = " ".join(f"{self.x(n):.1f},{self.y(row[0]):.1f}" for n, row in rows.items())
            parts.append(
                f'<polyline points="{points}" stroke="{case.colour}" stroke-width="2" fill="none"/>'
            )
            for n, (value, low, high) in rows.items():
                x = self.x(n)
                parts.append(stroke(x, self.y(low), x, self.y(high), case.colour))
                parts.append(
                    f'<circle cx="{x:.1f}" cy="{self.y(value):.1f}" r="3" fill="{case.colour}"/>'
                )
        return parts


def written(x: float, y: float, words: str, anchor: str = "middle") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="13">{words}</text>'


def stroke(x1: float, y1: float, x2: float, y2: float, colour: str) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}"/>'


def of_return(row: dict[str, Any]) -> tuple[float, float, float]:
    return (row["iqm"], *row["interval"])


def of_peak(row: dict[str, Any]) -> tuple[float, float, float]:
    peaks = row["peak_degrees"]
    return float(interquartile_mean(np.array(peaks))), min(peaks), max(peaks)


def plot(tables: Tables, seeds: int) -> str:
    """An SVG that can be read on light and on dark."""
    panels = (
        Panel(
            60, "true return: IQM, 95% bootstrap", of_return, (-400, -120), (-400, -300, -200, GOAL)
        ),
        Panel(
            460,
            "degrees off upright of the reward's peak: IQM, range",
            of_peak,
            (0, 60),
            (0, 20, 40, 60),
        ),
    )
    parts = [written(60, 22, f"Pendulum-v1 from simulated judges, {seeds} seeds", "start")]
    for panel in panels:
        parts += panel.draw(tables)
        parts.append(written(panel.left + WIDTH / 2, BOTTOM + 40, "judgments"))
    for x, case in zip((60, 160, 370, 480, 560), (*CASES, FLIPPED), strict=True):
        parts.append(f'<circle cx="{x}" cy="{BOTTOM + 64}" r="5" fill="{case.colour}"/>')
        parts.append(written(x + 10, BOTTOM + 68, case.label, "start"))
    size = 'viewBox="0 0 820 400" width="820" height="400"'
    opened = f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" fill="#777">'
    return "\n".join([opened, *parts, "</svg>\n"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="the targets alone, with three seeds")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--plot", action="store_true", help=f"draws docs/images/{PLOT.name}")
    options = parser.parse_args()
    seeds = 3 if options.quick else options.seeds
    enable_cache()
    tables: Tables = {}
    for case in (*CASES, FLIPPED):
        counts = (case.target,) if options.quick else case.counts
        tables[case.label] = measure(case, counts, seeds)
    held = [claim_needed(case, tables[case.label], seeds) for case in CASES]
    found = tables[FLIPPED.label][FLIPPED.target]["returns"]
    reached = sum(value >= GOAL_WITH_NOISE for value in found)
    held.append(
        claim(
            f"Pendulum-v1 from {FLIPPED.target} judgments, 30% flipped: seeds that reach -160",
            reached,
            f"of {seeds} seeds",
            ">= 4 of 5",
            reached >= NEEDED * seeds,
            simulated=True,
            table=tables[FLIPPED.label],
        )
    )
    if options.plot:
        PLOT.write_text(plot(tables, seeds))
    claim(
        "Judgments that the pendulum needs",
        sum(held),
        f"of {len(held)} claims hold",
        "all",
        all(held),
        simulated=True,
    )


def claim_needed(case: Case, table: dict[int, dict[str, Any]], seeds: int) -> bool:
    """The smallest number from which on every number measured is enough."""
    enough = [count for count, row in table.items() if row["iqm"] >= GOAL]
    # from there on every larger number is enough, too
    needed = [count for count in enough if all(c in enough for c in table if c > count)]
    return claim(
        f"Pendulum-v1, judge {case.label}: judgments for a return of {GOAL:g}",
        min(needed) if needed else None,
        "judgments, of the numbers measured",
        f"<= {case.target}",
        bool(needed) and min(needed) <= case.target,
        simulated=True,
        seeds=seeds,
        table=table,
    )


if __name__ == "__main__":
    run_benchmark(main)
