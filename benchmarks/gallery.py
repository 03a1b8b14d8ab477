"""Pictures of finished runs for the documentation: judged pairs, learned reward, film.

    python benchmarks/gallery.py RUN [RUN ...] [--docs FOLDER]

Of each run three pictures of at most 150 kB go into docs/images/, and a section into
docs/gallery.md: the goal, a sheet of judged pairs with the answers marked, judged states from the
lowest to the highest learned reward, and the film of an episode of median return. The section of a
run of the same task is replaced; the others stay as they are. Nothing is measured here: what stands
in the section is what the run's result.json says.
"""

from __future__ import annotations

import argparse
import io
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from textwrap import fill

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from claims import claim, run_benchmark
from volition.comparison import Pixels
from volition.evidence.film import Episode, encode_animation, record
from volition.evidence.report.pairs import Pair, read_pairs
from volition.evidence.report.reading import Evidence, read_evidence
from volition.judges.sheets import NumberedPair, draw_sheets
from volition.run.run import Run
from volition.storage.compilation import enable_cache

DOCS = Path(__file__).parents[1] / "docs"
MOST_BYTES = 150_000
STATES, CLIPS = 8, 3  # pairs on the sheet
RUNGS, RUNG = 9, 92  # of the ladder, and pixels of the longer side of each
WIDTHS = (480, 400, 320, 260, 200, 160, 120)  # of a picture, the first that is small enough
COLOURS = (256, 128, 64, 32)
HEAD = """\
# Gallery

What finished runs look like: the goal in words, pairs that the judge was shown with its answers
marked, judged states from the lowest to the highest learned reward (logits), and an episode of
median return. Written by `benchmarks/gallery.py` from the runs' folders. A simulated judge is an
error model in place of a judge, and is named as such.
"""


def sheet(evidence: Evidence) -> Image.Image:
    """Some of the judged pairs, evenly spread over the order in which they were judged."""
    pairs = [pair for pair in read_pairs(evidence) if pair.chosen in ("A", "B", "tie")]
    count = CLIPS if evidence.folder.task.view.clip else STATES
    chosen = [pairs[place] for place in _spread(len(pairs), count)]
    numbered = [NumberedPair(number, pair.a, pair.b) for number, pair in enumerate(chosen, 1)]
    (drawn,) = draw_sheets(numbered, len(numbered), _answers(chosen))
    return Image.fromarray(drawn)


def _answers(pairs: Sequence[Pair]) -> dict[int, str]:
    return {number: pair.chosen for number, pair in enumerate(pairs, 1)}


def ladder(evidence: Evidence) -> Image.Image:
    """Judged segments from the lowest to the highest predicted reward, in logits."""
    segments = evidence.segments
    values = {name: float(evidence.values[name].mean()) for name in segments}
    ranked = sorted(segments, key=values.__getitem__)
    rungs = [ranked[place] for place in _spread(len(ranked), RUNGS)]
    pictures = []
    for name in rungs:
        picture = Image.fromarray(segments[name].frames[-1].pixels)
        scale = RUNG / max(picture.size)
        size = (round(picture.width * scale), round(picture.height * scale))
        pictures.append(picture.resize(size, Image.Resampling.LANCZOS))
    width, height = pictures[0].size
    drawn = Image.new("RGB", (len(rungs) * (width + 6) + 6, height + 30), "white")
    pen, font = ImageDraw.Draw(drawn), ImageFont.load_default(14)
    for number, (name, picture) in enumerate(zip(rungs, pictures, strict=True)):
        left = 6 + number * (width + 6)
        drawn.paste(picture, (left, 6))
        at = (left + width / 2, height + 18)
        pen.text(at, f"{values[name]:.1f}", (60, 60, 66), font, "mm")
    return drawn


def labelled(picture: Image.Image, simulated: bool) -> Image.Image:
    """The picture, with a line under it where no real judge is behind it."""
    if not simulated:
        return picture
    drawn = Image.new("RGB", (picture.width, picture.height + 24), "white")
    drawn.paste(picture.convert("RGB"))
    font, at = ImageFont.load_default(14), (8, picture.height + 12)
    ImageDraw.Draw(drawn).text(at, "simulated judge", (60, 60, 66), font, "lm")
    return drawn


def _spread(length: int, count: int) -> list[int]:
    return np.linspace(0, length - 1, min(count, length)).round().astype(int).tolist()


def film(evidence: Evidence) -> list[Pixels]:
    """The evaluation episode of median return, acted again."""
    folder, returns = evidence.folder, evidence.true_returns
    median = int(np.argsort(returns, kind="stable")[(len(returns) - 1) // 2])
    episode = Episode("median", 10_000 + median, returns[median])
    record(Run(folder).policy, folder.task.environment, [episode], folder.task.view)
    return episode.drawings


def small_png(picture: Image.Image) -> bytes:
    """The picture in as many colours, and as large, as `MOST_BYTES` allow."""
    for scale in (1.0, 0.85, 0.7, 0.55, 0.45):
        size = (round(picture.width * scale), round(picture.height * scale))
        reduced = picture.resize(size, Image.Resampling.LANCZOS)
        for colours in COLOURS:
            buffer = io.BytesIO()
            reduced.quantize(colours, dither=Image.Dither.NONE).save(buffer, "png", optimize=True)
            if buffer.tell() <= MOST_BYTES:
                return buffer.getvalue()
    raise ValueError(f"a picture of {picture.size} cannot be brought under {MOST_BYTES} bytes")


def small_film(frames: Sequence[Pixels], simulated: bool) -> bytes:
    """The frames as animated WebP, as large and as fluent as `MOST_BYTES` allow."""
    for every in (2, 3, 5, 8):
        # The same picture again is kept once, for longer: so the film lasts as long.
        held = [frames[number - number % every] for number in range(len(frames))]
        for width in WIDTHS:
            if width <= max(frames[0].shape[1], WIDTHS[-1]):
                encoded = encode_animation(held, "webp", _resized(width, simulated))
                if len(encoded) <= MOST_BYTES:
                    return encoded
    raise ValueError(f"a film of {len(frames)} frames cannot be brought under {MOST_BYTES} bytes")


def _resized(width: int, simulated: bool) -> Callable[[Image.Image], Image.Image]:
    def resize(frame: Image.Image) -> Image.Image:
        size = (width, round(frame.height * width / frame.width))
        return labelled(frame.resize(size, Image.Resampling.LANCZOS), simulated)

    return resize


def section(evidence: Evidence, name: str) -> str:
    """What the page says of a run."""
    task, result = evidence.folder.task, evidence.result
    judge = result.judge + (", a simulated judge" if result.simulated else "")
    measures = result.measures
    reached = "".join(f"; {said}: {value:.2f}" for said, value in measures.items())
    alt = task.goal.text.replace("]", ")").replace("[", "(")
    said = (
        f"{task.environment.id}, {result.judgments} judgments of {judge}; held-out accuracy of "
        f"the reward model {result.heldout_accuracy or 0:.1%}; true return "
        f"{result.return_mean:.1f} ± {result.return_std:.1f} over {result.episodes} "
        f"episodes (evaluation only){reached}."
    )
    return f"""\
## {task.name}

> {task.goal.text}

{fill(said, 100)}

![Judged pairs: {alt}](images/{name}-pairs.png)
![Judged states from the lowest to the highest learned reward](images/{name}-reward.png)
![An episode of median return](images/{name}.webp)
"""


def with_sections(page: str, sections: dict[str, str]) -> str:
    """The page with these sections in the place of their older ones, in the order of names."""
    kept = {part.split("\n", 1)[0].strip(): f"## {part}" for part in page.split("\n## ")[1:]}
    every = {**{name: f"{text.rstrip()}\n" for name, text in kept.items()}, **sections}
    return "\n".join([HEAD, *(every[name] for name in sorted(every))])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN")
    parser.add_argument("--docs", type=Path, default=DOCS, help="where gallery.md and images/ are")
    options = parser.parse_args()
    enable_cache()
    images, page = options.docs / "images", options.docs / "gallery.md"
    images.mkdir(parents=True, exist_ok=True)
    sections, sizes = {}, {}
    for run in options.runs:
        evidence = read_evidence(Run.open(run))
        task = evidence.folder.task.name
        name = "gallery-" + re.sub(r"[^a-z0-9-]", "-", task.lower())
        written = {
            f"{name}-pairs.png": small_png(labelled(sheet(evidence), evidence.simulated)),
            f"{name}-reward.png": small_png(labelled(ladder(evidence), evidence.simulated)),
            f"{name}.webp": small_film(film(evidence), evidence.simulated),
        }
        for file, content in written.items():
            (images / file).write_bytes(content)
            sizes[file] = len(content)
        sections[task] = section(evidence, name)
    text = page.read_text(encoding="utf-8") if page.is_file() else ""
    page.write_text(with_sections(text, sections), encoding="utf-8")
    largest = max(sizes.values())
    claim(
        "gallery: the largest picture",
        largest,
        "bytes",
        f"<= {MOST_BYTES}",
        largest <= MOST_BYTES,
        pictures=sizes,
        page=str(page),
    )


if __name__ == "__main__":
    run_benchmark(main)
