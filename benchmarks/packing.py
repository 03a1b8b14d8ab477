"""What a comparison costs in tokens: 12 and 60 of them on a contact sheet, against one a request.

    python benchmarks/packing.py [--quick]

The prompts are those that judges send (`volition.judges.prompt`), about the bundled pendulum with
its goal picture. Pictures are counted by the formulas that the providers publish:

- openai, patches: 1.2 tokens for each patch of 32x32 pixels, 1,536 patches at most (current
  models); tiles: 85 + 170 for each 512x512 tile, the shorter side reduced to 768 first (gpt-4o and
  its like). OpenAI, "Images and vision", Calculating costs.
- anthropic: a token for each patch of 28x28 pixels. Anthropic, "Vision".
- gemini, resolutions: 560 tokens for a picture at medium and 1,120 at high resolution, which is
  asked for with a sheet (Gemini 3 and later); tiles: 258 up to 384x384 pixels, else 258 for each
  768x768 tile (Gemini 2). Google, "Media resolution" and "Understand and count tokens".

Words are counted as the pieces into which every provider's tokenizer cuts text first: runs of
letters, up to three digits, runs of punctuation. Common words and JSON's punctuation are one token
each; rarer words are more, and there are as many of them in either kind of request.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from pathlib import Path

import numpy as np

from asked import opened
from claims import run_benchmark
from volition.comparison import Comparison
from volition.envs.scene import open_scene
from volition.judges.base import Question
from volition.judges.prompt import Brief, Picture, Prompt, ask_for_json, compose
from volition.judgment import Order
from volition.questions.covering import coverage_pairs
from volition.questions.seeing import eye
from volition.run.folder import current_versions
from volition.storage.pictures import read_frame
from volition.tasks.task import Task

PIECE = re.compile(r"[A-Za-z]+|\d{1,3}|[^A-Za-z\d\s]+")
TARGETS = {12: 1 / 8, 60: 1 / 15}
Size = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Counting:
    """How a provider counts a picture: of a width and height, on a sheet or alone."""

    name: str
    tokens: Callable[[Size, bool], int]


def openai_patches(size: Size, packed: bool) -> int:
    return ceil(1.2 * min(1536, ceil(size[0] / 32) * ceil(size[1] / 32)))


def openai_tiles(size: Size, packed: bool) -> int:
    scale = min(1.0, 2048 / max(size), 768 / min(size))
    return 85 + 170 * ceil(size[0] * scale / 512) * ceil(size[1] * scale / 512)


def anthropic_patches(size: Size, packed: bool) -> int:
    return ceil(size[0] / 28) * ceil(size[1] / 28)


def gemini_resolutions(size: Size, packed: bool) -> int:
    return 1120 if packed else 560


def gemini_tiles(size: Size, packed: bool) -> int:
    return 258 * (1 if max(size) <= 384 else ceil(size[0] / 768) * ceil(size[1] / 768))


COUNTINGS = (
    Counting("openai patches", openai_patches),
    Counting("openai tiles", openai_tiles),
    Counting("anthropic", anthropic_patches),
    Counting("gemini resolutions", gemini_resolutions),
    Counting("gemini tiles", gemini_tiles),
)


def questions(count: int) -> tuple[Brief, list[Question]]:
    task = opened(Task.find("pendulum"))
    goal = task.stated_goal()
    scene = open_scene(task.environment.id)
    seen = eye(scene, task.view)
    pairs = coverage_pairs(scene, count, np.random.default_rng(0), lambda s: seen(s).frames[0])
    asked = [
        Question(Comparison.between("goal", seen(one), seen(other)), Order.FORWARD)
        for one, other in pairs
    ]
    return Brief(goal.text, tuple(read_frame(Path(image)) for image in goal.images)), asked


def words(prompt: Prompt) -> int:
    said = [part for part in (*prompt.goal, *prompt.shown) if isinstance(part, str)]
    letters = {str(number): "A" for number in range(1, len(prompt.questions) + 1)}
    answer = json.dumps(letters, separators=(",", ":"))  # the form that the prompt shows
    text = "\n".join((prompt.system, *said, ask_for_json(prompt, explain=False), answer))
    return len(PIECE.findall(text))


def tokens(prompt: Prompt, counting: Counting) -> float:
    """Of one comparison, in the request and in the answer."""
    pictures = [part for part in (*prompt.goal, *prompt.shown) if isinstance(part, Picture)]
    count = len(prompt.questions)
    seen = sum(counting.tokens(picture.size, count > 1) for picture in pictures)
    return (words(prompt) + seen) / count


def main() -> None:
    brief, asked = questions(max(TARGETS))
    prompts = {count: compose(brief, asked[:count]) for count in (1, *TARGETS)}
    for count, prompt in prompts.items():
        sizes = [part.size for part in (*prompt.goal, *prompt.shown) if isinstance(part, Picture)]
        print(f"{count:2} a request: pictures {sizes}, {words(prompt)} words and signs")
    shares: dict[int, dict[str, float]] = {count: {} for count in TARGETS}
    for counting in COUNTINGS:
        alone = tokens(prompts[1], counting)
        line = f"{counting.name:20} {alone:7.1f} tokens a comparison alone"
        for count in TARGETS:
            packed = tokens(prompts[count], counting)
            shares[count][counting.name] = round(packed / alone, 4)
            line += f"; {packed:6.1f} in {count}s, 1/{alone / packed:.1f}"
        print(line)
    worst = {count: max(share.values()) for count, share in shares.items()}
    print(
        json.dumps(
            {
                "claim": "tokens of a comparison on a contact sheet, of those of one alone; the "
                "dearest of the providers' ways of counting",
                "value": {str(count): share for count, share in worst.items()},
                "unit": "share",
                "target": {str(count): round(target, 4) for count, target in TARGETS.items()},
                "holds": all(worst[count] <= target for count, target in TARGETS.items()),
                "providers": shares,
                "versions": current_versions(),
            }
        )
    )


if __name__ == "__main__":
    if extra := set(sys.argv[1:]) - {"--quick"}:
        sys.exit(f"unknown: {extra}; usage: packing.py [--quick]")
    run_benchmark(main)
