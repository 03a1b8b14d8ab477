"""The lamps that one look made: a film of them side by side.

    python benchmarks/faces.py [--seed N] [--out FILE.webp]

`volition train lamp --goal NAME` for curious, ashamed, proud and hello, each on the bundled
judgments of a multimodal LLM, then one episode of every policy from the same seed. The last line
says how often the reward model decides a held-out pair as the judge did, and beside it the measures
of the task's simulated truth over 100 episodes, which no run has seen.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from claims import claim, run_benchmark
from volition.evidence.film import Episode, encode_animation, record, side_by_side
from volition.run.evaluation import FIRST_SEED
from volition.run.run import Run, train
from volition.storage.compilation import enable_cache
from volition.storage.files import write_whole

GOALS = ("curious", "ashamed", "proud", "hello")
EVERY = 2  # drawings, of 20 a second


def filmed(run: Run) -> Episode:
    """The first evaluation episode of a run."""
    folder = run.folder
    episode = Episode("first", FIRST_SEED, 0.0)
    record(run.policy, folder.task.environment, [episode], folder.task.view)
    return episode


def captioned(frame: Image.Image) -> Image.Image:
    """With the word of each goal under its lamp."""
    draw, font = ImageDraw.Draw(frame), ImageFont.load_default(18)
    for place, goal in enumerate(GOALS):
        middle = frame.width * (2 * place + 1) / (2 * len(GOALS))
        draw.text((middle, frame.height - 8), goal, font=font, fill="white", anchor="ms")
    return frame


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    enable_cache()
    results, episodes = {}, []
    with tempfile.TemporaryDirectory() as folder:
        for goal in GOALS:
            out = Path(folder) / goal
            run = train("lamp", goal, seed=arguments.seed, out=out)
            results[goal] = run.result
            episodes.append(filmed(run))
    if arguments.out:
        frames = side_by_side(episodes)[::EVERY]
        write_whole(arguments.out, encode_animation(frames, "webp", captioned))
    heldout = {goal: round(result.heldout_accuracy or 0.0, 3) for goal, result in results.items()}
    claim(
        "lamps from 90 judgments of one look each: held-out pairs decided as the judge did",
        min(heldout.values()),
        "worst goal",
        ">= 0.8",
        min(heldout.values()) >= 0.8,
        all=heldout,
        measures={goal: result.measures for goal, result in results.items()},
    )


if __name__ == "__main__":
    run_benchmark(main)
