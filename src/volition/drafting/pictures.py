"""Which pictures of an environment are shown with a wish, and the page on which they are."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from math import ceil

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from volition.comparison import Frame, Pixels, Segment
from volition.envs.scene import find_scene
from volition.judges.sheets import LONGEST_EDGE, MOST_PATCHES, PATCH, storyboard
from volition.questions.covering import covering_pairs, covering_states
from volition.questions.exploring import coarse, farthest
from volition.questions.seeing import eye
from volition.tasks.task import EnvironmentSection
from volition.tasks.view import JudgeView

PICTURES = 16
LARGEST = 320  # pixels of the longer side, up to which a small picture is enlarged
MARGIN, HEADER, FONT = 6, 22, 18  # pixels
PAPER, INK = (236, 236, 236), (0, 0, 0)


def chosen_pictures(
    environment: EnvironmentSection, view: JudgeView, count: int, seed: int
) -> list[Frame]:
    """Pictures that look as different as they can, of what can happen; at most `count`.

    They are taken from what covers the environment and from what exploring brings about there, in
    the judge's own view. A clip is its storyboard.

    Raises:
        EnvironmentUnsupported: The environment fails.
        InputError: Hardly any two look different.
    """
    pairs = covering_pairs(environment, view, count, seed)
    segments = [segment for pair in pairs for segment in pair]
    segments += _explored(environment, view, 2 * count, seed)
    pictures = {picture.id: picture for picture in map(as_shown, segments)}
    found = list(pictures.values())
    looks = coarse(np.stack([picture.pixels for picture in found]))
    places = farthest(looks, count, np.random.default_rng(seed))
    return [found[place] for place in places]


def _explored(
    environment: EnvironmentSection, view: JudgeView, count: int, seed: int
) -> list[Segment]:
    """What exploring brings about, where states that are set cover what is shown otherwise."""
    scene = find_scene(environment)
    if scene is None or scene.ranges is None or view.clip is not None:
        return []
    seen, rng = eye(scene, view), np.random.default_rng([seed, 1])
    states = covering_states(environment, scene, count, rng)
    return [seen(state) for state in islice(states, count)]


def as_shown(segment: Segment) -> Frame:
    """A state as its frame, a clip as its storyboard."""
    first = segment.frames[0]
    if len(segment.frames) == 1:
        return first
    height, width = first.pixels.shape[:2]
    return storyboard(segment.frames, segment.shown, (width, height))


def draw_page(pictures: Sequence[Frame]) -> Pixels:
    """Pictures of one size on one page, the number of each above it, from 1.

    They are as large as a model may be shown one picture, and no larger than helps.

    Returns:
        uint8 (height, width, 3).
    """
    height, width = pictures[0].pixels.shape[:2]
    columns, size = max(
        (_largest((width, height), columns, len(pictures)) for columns in range(1, 13)),
        key=lambda found: (found[1][0], -max(_page_size(found[1], found[0], len(pictures)))),
    )
    page = Image.new("RGB", _page_size(size, columns, len(pictures)), PAPER)
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(FONT)
    for place, picture in enumerate(pictures):
        row, column = divmod(place, columns)
        left = MARGIN + column * (size[0] + MARGIN)
        top = row * (size[1] + HEADER + MARGIN)
        draw.text((left, top + HEADER - 4), f"{place + 1}", INK, font, anchor="ls")
        resampling = Image.Resampling.LANCZOS if size[0] < width else Image.Resampling.NEAREST
        page.paste(Image.fromarray(picture.pixels).resize(size, resampling), (left, top + HEADER))
    return np.asarray(page)


def _page_size(size: tuple[int, int], columns: int, count: int) -> tuple[int, int]:
    rows = -(-count // columns)
    return MARGIN + columns * (size[0] + MARGIN), rows * (size[1] + HEADER + MARGIN)


def _largest(picture: tuple[int, int], columns: int, count: int) -> tuple[int, tuple[int, int]]:
    """In so many columns, the width and height in which each picture can be shown; at least 1 x 1.

    One is enlarged by whole numbers alone.
    """
    factors = range(max(1, LARGEST // max(picture)), 0, -1)
    enlarged = [factor * picture[0] for factor in factors]
    for width in (*enlarged, *range(picture[0] - 1, 0, -1)):
        size = width, max(1, round(picture[1] * width / picture[0]))
        page = _page_size(size, columns, count)
        patches = ceil(page[0] / PATCH) * ceil(page[1] / PATCH)
        if max(page) <= LONGEST_EDGE and patches <= MOST_PATCHES:
            return columns, size
    return columns, (1, 1)
