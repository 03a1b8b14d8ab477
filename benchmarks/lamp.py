"""The lamp's goals: what a policy that was trained on judgments does, by what is true of them.

    python benchmarks/lamp.py [--quick] [--seeds N] [--goal NAME] [--picture FILE]

Each seed is a whole run of `volition train lamp --goal NAME`, judged by another simulated judge: it
answers from what is true (`volition.tasks.truth`), with the errors of a strong multimodal LLM, and
has an eye of its own. A posture is held where in the last half of an episode the potential of every
frame is at least nine tenths of its best; the episodes are the evaluation's 100. The picture has
postures that a person chose above those that the first seed's policies hold."""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from claims import claim, run_benchmark
from volition.envs.own.lamp_drawing import draw_lamp
from volition.envs.scene import make_env
from volition.run.evaluation import FIRST_SEED
from volition.run.run import Run, train
from volition.storage.compilation import enable_cache
from volition.tasks.task import Task

LONGEST_S, MOST_JUDGMENTS = 300, 300
POSTURES = ("curious", "ashamed", "proud")
GREETING = 0.7  # of the potential of nodding, from 0 to 1; a lamp that looks ahead has 0.4
CHOSEN = {  # degrees of lower arm, upper arm and head with the table, and the ball in metres
    "curious": (66, 2, -52, 0.50),
    "ashamed": (60, 180, -112, 0.50),
    "proud": (90, 86, 28, 0.50),
    "hello": (92, 60, -10, 0.50),
}
SIZE, EPISODE = 240, 100


@dataclass(frozen=True, slots=True)
class Outcome:
    """One seed: the one measure of each evaluation episode, and what the run took."""

    measured: tuple[float, ...]
    judgments: int
    seconds: float
    run: Run

    @property
    def share(self) -> float:
        return float(np.mean(self.measured))


def learn(goal: str, seed: int, folder: Path) -> Outcome:
    task, judge = Task.find("lamp", goal), f"simulated:strong:{seed}"
    started = time.perf_counter()
    run = train(task, judge=judge, seed=seed, out=folder / f"{goal}-{seed}")
    seconds = time.perf_counter() - started
    (measured,) = run.evaluation.measures.values()
    result = run.result
    return Outcome(tuple(measured), result.judgments, seconds, run)


def check(goal: str, outcomes: list[Outcome]) -> list[bool]:
    shares = [round(outcome.share, 3) for outcome in outcomes]
    judgments = [outcome.judgments for outcome in outcomes]
    slowest = max(outcome.seconds for outcome in outcomes)
    took = {
        "simulated": True,
        "judge": "simulated:strong",
        "judgments": judgments,
        "seconds": [round(outcome.seconds, 1) for outcome in outcomes],
    }
    if goal in POSTURES:
        held = claim(
            f"lamp-{goal}: the posture is held",
            min(shares),
            "share of the frames of the last half, worst seed",
            ">= 0.99",
            min(shares) >= 0.99,
            all=shares,
            **took,
        )
    else:
        held = claim(
            f"lamp-{goal}: the lamp nods",
            min(shares),
            "potential from 0 to 1, worst seed",
            f">= {GREETING}",
            min(shares) >= GREETING,
            all=shares,
            **took,
        )
    few = max(judgments) <= MOST_JUDGMENTS
    return [
        held,
        claim(
            f"lamp-{goal}: a whole run on judgments",
            round(slowest, 1),
            "s, slowest seed",
            f"<= {LONGEST_S} s on two cores, with <= {MOST_JUDGMENTS} judgments",
            slowest <= LONGEST_S and few,
            **took,
        ),
    ]


def reached(run: Run) -> npt.NDArray[np.uint8]:
    """How the policy's first evaluation episode ends."""
    env = make_env(run.folder.task.environment.id, {"size": SIZE}, render_mode="rgb_array")
    observation, _ = env.reset(seed=FIRST_SEED)
    for _ in range(EPISODE):
        action = np.asarray(run.policy(observation[None]))[0]
        observation, *_ = env.step(action)
    return np.asarray(env.render())


def draw(shown: dict[str, Run], file: Path) -> None:
    """Two rows: postures that a person chose, and those that were learned."""
    font = ImageFont.load_default(15)
    sheet = Image.new("RGB", ((SIZE + 8) * len(shown) + 8, 2 * (SIZE + 32)), "white")
    pen = ImageDraw.Draw(sheet)
    for column, (goal, run) in enumerate(shown.items()):
        *degrees, ball = CHOSEN[goal]
        angles = np.radians(degrees).tolist()
        left = 8 + column * (SIZE + 8)
        rows = (
            ("chosen by a person", draw_lamp(angles, ball, 0.4, SIZE)),
            ("learned", reached(run)),
        )
        for row, (said, picture) in enumerate(rows):
            top = row * (SIZE + 32)
            pen.text((left, top + 8), f"{goal}: {said}", "black", font)
            sheet.paste(Image.fromarray(picture), (left, top + 28))
    sheet.save(file)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one seed")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--goal", choices=list(CHOSEN), help="that one only")
    parser.add_argument("--picture", type=Path, help="where to draw what was learned")
    options = parser.parse_args()
    enable_cache()
    held, shown = [], {}
    with tempfile.TemporaryDirectory() as folder:
        for goal in [options.goal] if options.goal else list(CHOSEN):
            outcomes = [
                learn(goal, seed, Path(folder))
                for seed in range(1 if options.quick else options.seeds)
            ]
            held += check(goal, outcomes)
            shown[goal] = outcomes[0].run
        if options.picture:
            draw(shown, options.picture)
    claim("the lamp's bars", sum(held), f"of {len(held)} claims hold", "all", all(held))


if __name__ == "__main__":
    run_benchmark(main)
