"""A model that really looks: finds the pairs in a request's words and pictures and compares them.

It knows what a model would be told and no more: a picture is A because the words before it say so,
a card on a sheet has the number of its place. So pictures in a wrong order, a pair put the wrong
way round or a picture that is left out come back as wrong answers.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from PIL import Image

from volition.judges.sheets import choose_layout

Pixels = npt.NDArray[np.uint8]
Part = str | Pixels
Rule = Callable[[Pixels], float]

FRAMES = ((80, 80), (72, 72))  # of pictures on a contact sheet: a pendulum's, and of the probe
PRINCIPLE = re.compile(r"\(judge (?:under this principle|by this principle [^:]*): (.*)\)", re.M)
STEEPNESS = 40.0  # of the probability in the difference of two heights


class NotAPicture(Exception):
    """What was sent as a picture is none, or does not travel as it must."""


@dataclass(frozen=True)
class Pair:
    """Two pictures that are to be compared, the one called A first."""

    a: Pixels
    b: Pixels

    @property
    def key(self) -> str:
        """The same for the same two pictures, whichever way round."""
        return "+".join(
            sorted(hashlib.sha256(side.tobytes()).hexdigest() for side in (self.a, self.b))
        )


def ink_height(pixels: Pixels) -> float:
    """How high what is drawn lies, from 0 at the bottom to 1 at the top: a rod's, a disc's."""
    ink = 255.0 - pixels.min(axis=2)
    if not ink.any():
        return 0.5
    rows = np.arange(pixels.shape[0]) + 0.5
    depth = float((ink.sum(axis=1) * rows).sum() / ink.sum())
    height: int = pixels.shape[0]
    return 1.0 - depth / height


def decode(encoded: str) -> Pixels:
    """A base64 PNG as pixels."""
    try:
        data = base64.b64decode(encoded, validate=True)
        with Image.open(io.BytesIO(data)) as image:
            if image.format != "PNG":
                raise NotAPicture(f"the picture is {image.format}, not PNG")
            return np.asarray(image.convert("RGB"))
    except (binascii.Error, OSError) as error:
        raise NotAPicture(str(error)) from None


def decode_url(url: str) -> Pixels:
    """The picture in a data URL; any other address is refused."""
    head, _, encoded = url.partition(",")
    if head != "data:image/png;base64":
        raise NotAPicture(f"not a data URL with a PNG: {url[:40]!r}")
    return decode(encoded)


def find_pairs(parts: Sequence[Part]) -> list[Pair]:
    """The pairs that the words and pictures show, in the order of their numbers."""
    said = " ".join(part for part in parts if isinstance(part, str))
    if sheet := re.search(r"(\d+) numbered pair", said):
        return _on_sheet(_last_picture(parts), int(sheet[1]))
    if "over each other" in said:
        return [_overlaid(_last_picture(parts))]
    named = {
        before: part
        for before, part in pairwise(parts)
        if isinstance(before, str) and not isinstance(part, str) and before in ("A:", "B:")
    }
    return [Pair(named["A:"], named["B:"])] if len(named) == 2 else []


def find_principle(parts: Sequence[Part]) -> str:
    """Under which principle a single pair is judged; empty where it is the goal."""
    said = "\n".join(part for part in parts if isinstance(part, str))
    found = PRINCIPLE.search(said)
    return found[1] if found else ""


def compare(pair: Pair, rule: Rule) -> float:
    """The probability that A is better."""
    better = STEEPNESS * (rule(pair.a) - rule(pair.b))
    return 1.0 / (1.0 + math.exp(-min(max(better, -50.0), 50.0)))


def _last_picture(parts: Sequence[Part]) -> Pixels:
    return [part for part in parts if not isinstance(part, str)][-1]


def _on_sheet(sheet: Pixels, count: int) -> list[Pair]:
    height, width = sheet.shape[:2]
    layouts = {layout.size: layout for layout in (choose_layout(frame, count) for frame in FRAMES)}
    layout = layouts.get((width, height))
    if layout is None:
        raise NotAPicture(f"{count} pairs make a sheet of {[*layouts]}, not of {(width, height)}")
    pairs = []
    for place in range(count):
        left, top = layout.corner(place)
        sides = [
            sheet[
                top + layout.header : top + layout.header + layout.frame[1],
                left + inset : left + inset + layout.frame[0],
            ]
            for inset in layout.lefts
        ]
        pairs.append(Pair(*sides))
    return pairs


def _overlaid(laid: Pixels) -> Pair:
    """Red is the first, blue the second; each back as dark on white."""
    red, blue = laid[:, :, 0], laid[:, :, 2]
    return Pair(*(np.repeat(side[:, :, None], 3, axis=2) for side in (blue, red)))
