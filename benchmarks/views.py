"""What the judge is shown where nobody says it, beside what was written by hand.

    python benchmarks/views.py [--quick] [--picture FILE] [--tasks TASK ...] [--envs ID ...]

Of bundled tasks, `view.crop` and `view.size` taken out of task.toml, and of any other environment
that is named: the part of the drawing, the size, how long the clips that would be shown are, and
the seconds of this process's own time that finding crop and size took. `--picture` draws both views
of the same moments beside each other, to be looked at. `--quick` takes the pendulum alone.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from PIL import Image

from claims import claim, run_benchmark
from volition.comparison import Pixels
from volition.errors import VolitionError
from volition.finding.drawings import drawings
from volition.finding.view import find_view
from volition.goal import Goal
from volition.judging.folders import view_asked
from volition.run.creating import task_for
from volition.tasks.task import Task
from volition.tasks.view import JudgeView

TASKS = [
    *("pendulum", "cartpole", "acrobot", "mountain-car", "lamp", "guest", "regatta"),
    *("lunar-lander", "half-cheetah-run", "hopper-hop", "reacher"),
]
SHOWN = (3, 9, 15, 20)  # of the drawings
SECONDS = 0.3


def row(views: list[JudgeView], task: Task) -> Pixels:
    """The same drawings as each view shows them, uint8 (height, width, 3)."""
    seen = drawings(task.environment)[list(SHOWN)]
    frames = [view.frame(drawing).pixels for view in views for drawing in seen]
    height = max(frame.shape[0] for frame in frames)
    space = ((0, 0), (0, 6), (0, 0))
    return np.concatenate(
        [
            np.pad(f, ((0, height + 6 - f.shape[0]), *space[1:]), constant_values=255)
            for f in frames
        ],
        1,
    )


def shown_before(task: Task) -> JudgeView:
    """What people wrote: in task.toml, or before the task's first judgments were asked for."""
    asked = view_asked(task.judgments_folder(None)) if task.judgments else None
    return asked or task.view


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--picture", type=Path)
    parser.add_argument("--tasks", nargs="*", default=TASKS)
    parser.add_argument("--envs", nargs="*", default=[])
    options = parser.parse_args()
    names = ["pendulum"] if options.quick else options.tasks
    tasks = [Task.find(name) for name in names]
    tasks += [task_for(env_id, Goal("whatever")) for env_id in options.envs]
    took: dict[str, float] = {}
    rows = []
    for task in tasks:
        left_open = task.model_copy(update={"view": JudgeView()})
        drawings(task.environment)  # what is imported and compiled once is not counted
        began = time.process_time()
        view, _ = find_view(left_open)
        by_hand = shown_before(task)
        took[task.name] = time.process_time() - began
        try:
            clip = find_view(left_open.model_copy(update={"view": view}), clip=True)[0].clip
        except VolitionError:
            clip = None
        said = f"{clip.steps} in {clip.frames}" if clip else "none"
        print(
            f"{task.name}: by hand {by_hand.crop} {by_hand.size}, found {view.crop} "
            f"{view.size}, clips {said}, {took[task.name]:.2f} s",
            flush=True,
        )
        if options.picture:
            rows.append(row([by_hand, view], left_open))
    if options.picture:
        width = max(each.shape[1] for each in rows)
        space = [((0, 0), (0, width - each.shape[1]), (0, 0)) for each in rows]
        padded = [np.pad(r, s, constant_values=255) for r, s in zip(rows, space, strict=True)]
        Image.fromarray(np.concatenate(padded)).save(options.picture)
    slowest = took.get("pendulum", max(took.values()))
    what = "pendulum" if "pendulum" in took else "slowest"
    claim(
        f"seconds of processor time to find the view ({what})",
        round(slowest, 3),
        "s",
        f"<= {SECONDS}",
        slowest <= SECONDS,
        took={name: round(seconds, 2) for name, seconds in took.items()},
    )


if __name__ == "__main__":
    run_benchmark(main)
