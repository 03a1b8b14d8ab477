"""How many judgments the pendulum needs, by how well the judge sees. Every judge here is simulated.

    python benchmarks/labels.py [--quick] [--seeds N] [--plot]

For each kind of judge, number of judgments and seed: comparisons that cover the states are judged
(every seed has a judge of its own, with another eye and another bias), a reward model is fitted,
SAC learns from it with the task's settings, and 100 episodes are evaluated by the environment's own
reward. The number needed is the smallest at which the interquartile mean of the seeds' returns is
at least -150 (Agarwal et al., arXiv:2108.13264); intervals are 95% bootstrap intervals of it.
With 30% of the answers flipped, it is counted how many seeds reach -160 from 200 judgments.
`--plot` draws docs/images/labels.svg.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from asked import comparisons, data, judged, learned_return
from claims import claim
from pendulum import landscape
from volition.compilation import enable_cache
from volition.reward import fit
from volition.task import Task

TASK = Task.find("pendulum")
GOAL, GOAL_WITH_NOISE, NEEDED = -150.0, -160.0, 0.8  # 4 of 5 seeds
MOST = 400  # comparisons of a seed, of which the first ones are taken
PLOT = Path(__file__).parent.parent / "docs" / "images" / "labels.svg"


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
        asked = comparisons(TASK.name, MOST, seed)[:count]
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


def plot(tables: dict[str, dict[int, dict[str, Any]]], seeds: int) -> str:
    """An SVG of the interquartile means and their intervals, readable on light and on dark."""
    left, right, top, bottom = 70, 600, 50, 380
    worst, best, fewest, most = -500.0, -120.0, 2.7, 350.0

    def x(count: float) -> float:
        return left + (right - left) * math.log(count / fewest) / math.log(most / fewest)

    def y(value: float) -> float:
        return bottom - (bottom - top) * (max(value, worst) - worst) / (best - worst)

    def text(at: tuple[float, float], words: str, anchor: str = "middle", size: int = 13) -> str:
        return (f'<text x="{at[0]:.1f}" y="{at[1]:.1f}" text-anchor="{anchor}" '
                f'font-size="{size}">{words}</text>')  # fmt: skip

    def line(ends: tuple[float, float, float, float], style: str) -> str:
        x1, y1, x2, y2 = ends
        return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" {style}/>'

    grey = 'stroke="#8888" stroke-width="1"'
    parts = [line((left, y(v), right, y(v)), grey) + text((left - 8, y(v) + 4), f"{v:g}", "end")
             for v in (-500, -400, -300, -200)]  # fmt: skip
    parts.append(line((left, y(GOAL), right, y(GOAL)), 'stroke="#888" stroke-dasharray="5 4"'))
    parts.append(text((left - 8, y(GOAL) + 4), f"{GOAL:g}", "end"))
    parts += [text((x(n), bottom + 22), str(n)) for n in (3, 5, 10, 25, 50, 100, 200, 300)]
    for number, case in enumerate((*CASES, FLIPPED)):
        table = tables[case.label]
        points = [(x(count), y(row["iqm"])) for count, row in table.items()]
        path = " ".join(f"{px:.1f},{py:.1f}" for px, py in points)
        stroke = f'stroke="{case.colour}" stroke-width="2" fill="none"'
        parts.append(f'<polyline points="{path}" {stroke}/>')
        for (px, py), row in zip(points, table.values(), strict=True):
            low, high = row["interval"]
            parts.append(line((px, y(low), px, y(high)), stroke))
            parts.append(f'<circle cx="{px:.1f}" cy="{py:.1f}" r="3.5" fill="{case.colour}"/>')
        row_y = y(-330) + 22 * number
        parts.append(line((415, row_y, 440, row_y), stroke))
        parts.append(text((447, row_y + 4), case.label, "start"))
    parts.append(
        text((left, 24), f"Pendulum-v1 from simulated judges ({seeds} seeds)", "start", 15)
    )
    parts.append(text(((left + right) / 2, bottom + 44), "judgments"))
    parts.append(text((left, 42), "true return of 100 episodes: interquartile mean, 95% bootstrap",
                      "start", 12))  # fmt: skip
    frame = (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 640 440" width="640" height="440" '
    )
    return f'{frame}font-family="sans-serif" fill="#777">\n' + "\n".join(parts) + "\n</svg>\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="the targets alone, with three seeds")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--plot", action="store_true", help=f"draws docs/images/{PLOT.name}")
    options = parser.parse_args()
    seeds = 3 if options.quick else options.seeds
    enable_cache()
    tables: dict[str, dict[int, dict[str, Any]]] = {}
    for case in (*CASES, FLIPPED):
        counts = (case.target,) if options.quick else case.counts
        tables[case.label] = measure(case, counts, seeds)
    held = [claim_needed(case, tables[case.label], seeds) for case in CASES]
    found = tables[FLIPPED.label][FLIPPED.target]["returns"]
    reached = sum(value >= GOAL_WITH_NOISE for value in found)
    held.append(
        claim(
            f"Pendulum-v1 from {FLIPPED.target} judgments, 30% flipped: seeds that reach -160",
            reached, f"of {seeds} seeds", ">= 4 of 5", reached >= NEEDED * seeds,
            simulated=True, table=tables[FLIPPED.label],
        )
    )  # fmt: skip
    if options.plot:
        PLOT.write_text(plot(tables, seeds))
    claim("Judgments that the pendulum needs", sum(held), f"of {len(held)} claims hold", "all",
          all(held), simulated=True)  # fmt: skip


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
        simulated=True, seeds=seeds, table=table,
    )  # fmt: skip


if __name__ == "__main__":
    main()
