"""Flat shapes in metres on a picture, anti-aliased: drawn large, then reduced."""

from __future__ import annotations

from collections.abc import Sequence
from math import cos, pi, sin

import numpy as np
from PIL import Image, ImageDraw

from volition.comparison import Pixels

SUPERSAMPLING = 3  # pixels drawn for each pixel shown, along each axis

Colour = tuple[int, int, int] | tuple[int, int, int, int]
Point = tuple[float, float]


class Canvas:
    """A picture that is drawn on in metres, x to the right and y downwards.

    A colour with a fourth number, from 0 to 255, covers what is beneath it by that much only.
    """

    def __init__(self, image: Image.Image, scale: float, origin: Point = (0.0, 0.0)) -> None:
        self._image = image
        self._scale = scale  # drawn pixels a metre
        self._origin = origin  # where (0, 0) is, in drawn pixels
        self._draw = ImageDraw.Draw(image, "RGBA")

    @classmethod
    def blank(cls, size: tuple[int, int], pixels_per_metre: float, colour: Colour) -> Canvas:
        """A canvas of one colour, which shows `size` (width, height) pixels."""
        large = (size[0] * SUPERSAMPLING, size[1] * SUPERSAMPLING)
        return cls(Image.new("RGB", large, colour), pixels_per_metre * SUPERSAMPLING)

    def copy(self) -> Canvas:
        """Another canvas with the same on it: what never changes is drawn once."""
        return Canvas(self._image.copy(), self._scale)

    def enlarged(self, x: float, y: float, times: float) -> Canvas:
        """The same picture, on which everything comes out larger and (x, y) stays in its place."""
        left, top = self._pixel((x, y))
        scale = self._scale * times
        return Canvas(self._image, scale, (left - x * scale, top - y * scale))

    def pixels(self) -> Pixels:
        """What is on it: uint8 (height, width, 3)."""
        return np.asarray(self._image.reduce(SUPERSAMPLING))

    def polygon(self, points: Sequence[Point], colour: Colour) -> None:
        self._draw.polygon([self._pixel(point) for point in points], fill=colour)

    def disc(self, x: float, y: float, radius: float, colour: Colour) -> None:
        self._draw.ellipse(self._corners(x, y, radius), fill=colour)

    def ring(self, x: float, y: float, radius: float, width: float, colour: Colour) -> None:
        pixels = max(1, round(width * self._scale))
        self._draw.ellipse(self._corners(x, y, radius), outline=colour, width=pixels)

    def ellipse(self, x: float, y: float, radii: Point, colour: Colour, angle: float = 0.0) -> None:
        """An ellipse whose first radius points along `angle`, in radians."""
        points = [(radii[0] * cos(t), radii[1] * sin(t)) for t in _ROUND]
        self.polygon(turned(points, x, y, angle), colour)

    def box(
        self,
        left: float,
        top: float,
        right: float,
        bottom: float,
        colour: Colour,
        rounded: float = 0.0,
    ) -> None:
        corners = [*self._pixel((left, top)), *self._pixel((right, bottom))]
        if rounded:
            self._draw.rounded_rectangle(corners, rounded * self._scale, fill=colour)
        else:
            self._draw.rectangle(corners, fill=colour)

    def line(self, points: Sequence[Point], width: float, colour: Colour) -> None:
        """A line through `points` with round joints and ends."""
        scaled = [self._pixel(point) for point in points]
        pixels = max(1, round(width * self._scale))
        self._draw.line(scaled, fill=colour, width=pixels, joint="curve")
        if len(colour) == 3:  # ends of a see-through line would show through it
            for x, y in (points[0], points[-1]):
                self.disc(x, y, width / 2, colour)

    def _corners(self, x: float, y: float, radius: float) -> list[float]:
        return [*self._pixel((x - radius, y - radius)), *self._pixel((x + radius, y + radius))]

    def _pixel(self, point: Point) -> Point:
        return (self._origin[0] + point[0] * self._scale, self._origin[1] + point[1] * self._scale)


def turned(points: Sequence[Point], x: float, y: float, angle: float) -> list[Point]:
    """Points turned by `angle` about the origin, from x towards y, and then moved by (x, y)."""
    c, s = cos(angle), sin(angle)
    return [(x + c * u - s * v, y + s * u + c * v) for u, v in points]


_ROUND = [2 * pi * number / 40 for number in range(40)]
