"""The README's picture: what the judge saw and said, the reward it taught, the film of the policy.

    python benchmarks/hero.py RUN [--out FOLDER]

Drawn by Pillow at three times its size and reduced, which makes curves and letters smooth.
"""

from __future__ import annotations

import argparse
import io
import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from claims import run_benchmark
from volition.comparison import Pixels
from volition.evidence.film import Episode, encode_animation, record_chosen, side_by_side
from volition.evidence.report.landscapes import Landscape, landscape
from volition.evidence.report.pairs import Pair, judged_states, read_pairs, win_shares
from volition.evidence.report.reading import Evidence, read_evidence
from volition.run.run import Run
from volition.storage.compilation import enable_cache
from volition.storage.files import write_whole

DOCS_IMAGES = Path(__file__).parents[1] / "docs" / "images"
WIDTH, HEIGHT = 1600, 800
SCALE = 3  # drawn this much larger than it is saved
MARGIN, GUTTER, TOP = 56, 56, 132
COLUMNS = (490, 476, 410)  # with two gutters and two margins they fill the width

PAPER, CARD, INK, MUTED = "#fbfaf8", "#ffffff", "#1c1b19", "#605d57"
LINE, ACCENT, BAND, TRUTH = "#e0dcd4", "#0c6b64", "#d3e5e2", "#8b867c"

PAIRS = 60  # shown at most
STORYBOARD = (3, 4)  # columns and rows

Draw = ImageDraw.ImageDraw
Box = tuple[float, float, float, float]  # left, top, right, bottom in the saved picture's pixels


def write_hero(run: Run, png_path: Path, film_path: Path) -> None:
    """Writes the picture as PNG, and the film as animated WebP (or GIF, as its name ends).

    Raises:
        RunError: The run is unfinished, or damaged.
    """
    enable_cache()
    evidence = read_evidence(run)
    episodes = record_chosen(run)
    picture = compose(evidence, episodes)
    buffer = io.BytesIO()
    picture.quantize(256, dither=Image.Dither.NONE).save(buffer, "png", optimize=True)
    write_whole(png_path, buffer.getvalue())
    frames = side_by_side(episodes)
    decorate = _captioned(episodes, evidence.simulated)
    write_whole(film_path, encode_animation(frames, film_path.suffix[1:], decorate))


def compose(evidence: Evidence, episodes: Sequence[Episode]) -> Image.Image:
    """The picture, (HEIGHT, WIDTH)."""
    canvas = Image.new("RGB", (WIDTH * SCALE, HEIGHT * SCALE), PAPER)
    pen = _Pen(canvas)
    pairs = read_pairs(evidence)[:PAIRS]
    around = landscape(evidence.model, evidence.folder.task)
    left = float(MARGIN)
    boxes = []
    for width in COLUMNS:
        boxes.append((left, float(TOP), left + width, float(HEIGHT - MARGIN)))
        left += width + GUTTER
    judge = "a simulated judge" if evidence.simulated else "the judge"
    on = " on one picture" if len(list(evidence.folder.sheets.glob("*"))) == 1 else ""
    _heading(
        pen,
        boxes[0],
        "1",
        f"What {judge} saw, and chose",
        f"{len(pairs)} pairs{on}; outlined: its choice",
    )
    _draw_pairs(pen, boxes[0], pairs)
    if around is not None:
        peak = f"{abs(around.peak_degrees):.1f}°"
        note = f"it peaks {peak} from upright, and was never told where that is"
        _heading(
            pen,
            boxes[1],
            "2",
            "The reward that this taught",
            note if around.meant_upright else "in the direction of the rod",
        )
        _draw_circle(pen, boxes[1], around, evidence)
    else:
        _heading(
            pen,
            boxes[1],
            "2",
            "The reward that this taught",
            "judged states, from the highest to the lowest",
        )
        _draw_ladder(pen, boxes[1], evidence)
    worst = episodes[0]
    _heading(
        pen,
        boxes[2],
        "3",
        "The behaviour it led to",
        f"the {worst.place} of {len(evidence.true_returns)} episodes",
    )
    _draw_storyboard(pen, boxes[2], worst)
    return canvas.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)


class _Pen:
    """Draws in the saved picture's pixels onto the larger canvas."""

    def __init__(self, canvas: Image.Image) -> None:
        self.canvas = canvas
        self.draw: Draw = ImageDraw.Draw(canvas)

    def text(
        self, at: tuple[float, float], text: str, size: float, colour: str, anchor: str = "ls"
    ) -> None:
        font = ImageFont.load_default(size * SCALE)
        self.draw.text(_up(at), text, colour, font, anchor)

    def line(self, points: Sequence[tuple[float, float]], colour: str, width: float) -> None:
        self.draw.line([_up(point) for point in points], colour, round(width * SCALE))

    def curve(self, points: Sequence[tuple[float, float]], colour: str, width: float) -> None:
        """A line with round joints, which Pillow's own lines lack."""
        self.line(points, colour, width)
        for point in points:
            self.circle(point, width / 2, colour, None)

    def dashes(self, points: Sequence[tuple[float, float]], colour: str, width: float) -> None:
        for start in range(0, len(points) - 4, 8):
            self.curve(points[start : start + 5], colour, width)

    def polygon(self, points: Sequence[tuple[float, float]], colour: str) -> None:
        self.draw.polygon([_up(point) for point in points], colour)

    def circle(
        self,
        centre: tuple[float, float],
        radius: float,
        fill: str | None,
        outline: str | None,
        width: float = 1,
    ) -> None:
        self.draw.circle(_up(centre), radius * SCALE, fill, outline, round(width * SCALE))

    def box(
        self, box: Box, radius: float, fill: str | None, outline: str | None, width: float = 1
    ) -> None:
        self.draw.rounded_rectangle(
            [side * SCALE for side in box], radius * SCALE, fill, outline, round(width * SCALE)
        )

    def picture(self, pixels: Pixels, box: Box, radius: float) -> None:
        """A picture in a card with round corners, scaled to fit and centred."""
        left, top, right, bottom = (round(side * SCALE) for side in box)
        picture = Image.fromarray(pixels)
        ratio = min((right - left) / picture.width, (bottom - top) / picture.height)
        size = (round(picture.width * ratio), round(picture.height * ratio))
        picture = picture.resize(size, Image.Resampling.LANCZOS)
        mask = Image.new("L", size, 0)
        ImageDraw.Draw(mask).rounded_rectangle((0, 0, *size), radius * SCALE, 255)
        at = ((left + right - size[0]) // 2, (top + bottom - size[1]) // 2)
        self.canvas.paste(picture, at, mask)


def _up(point: tuple[float, float]) -> tuple[float, float]:
    return point[0] * SCALE, point[1] * SCALE


def _heading(pen: _Pen, box: Box, number: str, title: str, note: str) -> None:
    left, top, right, _ = box
    pen.text((left, top - 62), number, 25, ACCENT)
    pen.text((left + 26, top - 62), title, 25, INK)
    pen.text((left + 26, top - 34), note, 16, MUTED)
    pen.line([(left, top - 16), (right, top - 16)], LINE, 1)


def _draw_pairs(pen: _Pen, box: Box, pairs: Sequence[Pair]) -> None:
    left, top, right, bottom = box
    columns = max(1, round(math.sqrt(len(pairs) * (right - left) / (bottom - top) / 1.95)))
    rows = -(-len(pairs) // columns)
    gap = 16
    side = min(((right - left + gap) / columns - gap - 4) / 2, (bottom - top) / rows - 8)
    pitch = (right - left - 2 * side - 4) / max(columns - 1, 1)
    row_pitch = min((bottom - top - side) / max(rows - 1, 1), side + 14)
    for number, pair in enumerate(pairs):
        x, y = left + number % columns * pitch, top + number // columns * row_pitch
        for name, segment in (("A", pair.a), ("B", pair.b)):
            card = (x, y, x + side, y + side)
            chosen = pair.chosen == name
            pen.box(card, 5, CARD, None if chosen else LINE)
            inner = (card[0] + 2, card[1] + 2, card[2] - 2, card[3] - 2)
            pen.picture(segment.frames[-1].pixels, inner, 4)
            if chosen:
                pen.box(card, 5, None, ACCENT, 2.5)
            x += side + 4


def _draw_circle(pen: _Pen, box: Box, around: Landscape, evidence: Evidence) -> None:
    left, top, right, bottom = box
    rim = min(right - left, bottom - top) / 2 - 16
    centre = ((left + right) / 2, top + rim + 36)
    low = float((around.mean - around.spread).min())
    reach = float((around.mean + around.spread).max()) - low

    def ring(radii: np.ndarray) -> list[tuple[float, float]]:
        angles = np.radians(np.append(around.degrees, around.degrees[0]))
        radii = np.append(radii, radii[0]) * rim * 0.9
        return [
            (centre[0] - r * math.sin(a), centre[1] - r * math.cos(a))
            for a, r in zip(angles.tolist(), radii.tolist(), strict=True)
        ]

    mean = (around.mean - low) / reach
    pen.circle(centre, rim, CARD, LINE)
    pen.line([(centre[0] - rim, centre[1]), (centre[0] + rim, centre[1])], LINE, 1)
    pen.line([(centre[0], centre[1] - rim), (centre[0], centre[1] + rim)], LINE, 1)
    outer, inner = (ring(mean + sign * around.spread / reach) for sign in (1, -1))
    pen.polygon(outer + inner[::-1], BAND)
    if around.meant_upright:
        height = mean.min() + (around.height + 1) / 2 * (mean.max() - mean.min())
        pen.dashes(ring(height), TRUTH, 2)
    pen.curve(ring(mean), ACCENT, 4)
    _draw_judged(pen, centre, rim, around, evidence)
    pen.circle(centre, 4, INK, None)
    pen.text((centre[0], centre[1] - rim - 16), "upright", 16, MUTED, "ms")
    pen.text((centre[0], centre[1] + rim + 30), "hanging down", 16, MUTED, "ms")
    _legend(pen, (left, bottom), around.meant_upright)


def _draw_judged(
    pen: _Pen, centre: tuple[float, float], rim: float, around: Landscape, evidence: Evidence
) -> None:
    """The judged states on the rim: filled where they were preferred."""
    won = win_shares(evidence)
    for name, segment in judged_states(evidence).items():
        angle = float(around.circle.angle(segment.observations)[-1])
        at = (centre[0] - rim * math.sin(angle), centre[1] - rim * math.cos(angle))
        pen.circle(at, 5, ACCENT if won.get(name, 0) > 0.5 else CARD, ACCENT, 1.5)


def _legend(pen: _Pen, at: tuple[float, float], with_height: bool) -> None:
    x, y = at
    pen.curve([(x + 2, y - 29), (x + 24, y - 29)], ACCENT, 4)
    pen.text((x + 34, y - 24), "learned reward", 16, INK)
    if with_height:
        for start in (2, 11, 20):
            pen.line([(x + start, y - 5), (x + start + 5, y - 5)], TRUTH, 2)
        pen.text((x + 34, y), "true height, for evaluation only", 16, MUTED)
    for start, fill in ((262, ACCENT), (276, CARD)):
        pen.circle((x + start, y - 29), 5, fill, ACCENT, 1.5)
    pen.text((x + 290, y - 24), "judged, preferred or not", 16, MUTED)


def _draw_ladder(pen: _Pen, box: Box, evidence: Evidence) -> None:
    """Judged states from the highest predicted reward, above, to the lowest."""
    left, top, right, bottom = box
    segments = evidence.segments
    values = {name: float(evidence.values[name].mean()) for name in segments}
    ranked = sorted(segments, key=lambda name: -values[name])
    low, high = values[ranked[-1]], values[ranked[0]]
    rungs = min(6, len(ranked))
    pitch = (bottom - top) / rungs
    start = left + 1.6 * (pitch - 8) + 20
    for rung, place in enumerate(np.linspace(0, len(ranked) - 1, rungs).round().astype(int)):
        y, name = top + rung * pitch, ranked[place]
        card = (left, y, left + 1.6 * (pitch - 8), y + pitch - 8)
        pen.box(card, 6, CARD, LINE)
        inner = (card[0] + 2, card[1] + 2, card[2] - 2, card[3] - 2)
        pen.picture(segments[name].frames[-1].pixels, inner, 5)
        share = (values[name] - low) / max(high - low, 1e-6)
        middle, end = y + pitch / 2 - 4, start + 8 + share * (right - start - 90)
        pen.box((start, middle - 4, end, middle + 4), 4, ACCENT, None)
        pen.text((end + 12, middle + 7), f"{values[name]:.1f}", 18, INK)


def _draw_storyboard(pen: _Pen, box: Box, episode: Episode) -> None:
    left, top, right, _ = box
    columns, rows = STORYBOARD
    gap = 12.0
    side = (right - left - gap * (columns - 1)) / columns
    height, width = episode.drawings[0].shape[:2]
    tall = side * min(1.0, height / width)
    for number, drawing in enumerate(telling_drawings(episode, columns * rows)):
        x = left + number % columns * (side + gap)
        y = top + number // columns * (tall + 28)
        pen.box((x, y, x + side, y + tall), 6, CARD, LINE)
        pen.picture(episode.drawings[drawing], (x + 2, y + 2, x + side - 2, y + tall - 2), 5)
        pen.text((x + side / 2, y + tall + 17), f"step {episode.steps[drawing]}", 13, MUTED, "ms")


def telling_drawings(episode: Episode, count: int) -> list[int]:
    """Drawings evenly spread over how far the observations have moved, the last one among them."""
    seen = np.stack(episode.observations)[episode.steps]
    scaled = seen / np.maximum(seen.std(0), 1e-6)
    moved = np.concatenate([[0.0], np.linalg.norm(np.diff(scaled, axis=0), axis=1).cumsum()])
    wanted = np.linspace(0, moved[-1], count)[:-1]
    drawings = {int(drawing) for drawing in np.searchsorted(moved, wanted - 1e-9)}
    return sorted({*drawings, len(episode.drawings) - 1})


def _captioned(
    episodes: Sequence[Episode], simulated: bool
) -> Callable[[Image.Image], Image.Image]:
    """Adds a line under each panel of the film that says which episode it is."""
    label = ", simulated judge" if simulated else ""
    font = ImageFont.load_default(19)

    def caption(frame: Image.Image) -> Image.Image:
        captioned = Image.new("RGB", (frame.width, frame.height + 40), CARD)
        captioned.paste(frame, (0, 0))
        draw, panel = ImageDraw.Draw(captioned), frame.width / len(episodes)
        for number, episode in enumerate(episodes):
            at = ((number + 0.5) * panel, frame.height + 22)
            draw.text(at, f"{episode.place} episode{label}", MUTED, font, "mm")
        return captioned

    return caption


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", help="a finished run")
    parser.add_argument("--out", type=Path, default=DOCS_IMAGES)
    arguments = parser.parse_args()
    run = Run.open(arguments.run)
    name = run.folder.task.name
    write_hero(run, arguments.out / f"{name}.png", arguments.out / f"{name}.webp")


if __name__ == "__main__":
    run_benchmark(main)
