"""What the lamp and its ball look like: flat shapes in an evening room, drawn large and reduced."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from math import atan2, ceil, cos, exp, floor, hypot, pi, sin

import numpy as np
from PIL import Image, ImageDraw

from volition.comparison import Pixels
from volition.envs.own.lamp_body import LOWER_ARM, SHOULDER_HEIGHT, UPPER_ARM

Point = tuple[float, float]
Colour = tuple[int, int, int]

BALL_RADIUS = 0.065  # metres
OVERSAMPLING = 2  # in each direction, and then reduced: smooth edges
LEFT, RIGHT, TOP = -0.62, 0.73, 1.03  # of the picture, in metres; it is square
TABLE_EDGE = 0.075  # height in the picture at which the table ends behind, in metres
FLATNESS = 0.26  # of circles on the table, which is seen from slightly above

WALL_TOP, WALL_BOTTOM, WALL_GLOW = (56, 45, 84), (146, 90, 104), (206, 134, 116)
TABLE_BACK, TABLE_FRONT, TABLE_RIM = (184, 118, 82), (126, 74, 60), (216, 154, 110)
SHADOW, LIGHT, BULB = (48, 28, 40), (255, 226, 150), (255, 248, 222)
TEAL, DEEP_TEAL, CREAM, GREY = (64, 190, 178), (40, 142, 142), (240, 240, 228), (186, 198, 198)
BALL, BALL_IN_SHADE = (244, 98, 76), (184, 68, 70)
STRIPE, STRIPE_IN_SHADE = (255, 240, 212), (206, 156, 146)

# The shade from the side, in metres along its axis and across.
SHADE = ((-0.014, 0.036), (0.016, 0.050), (0.050, 0.074), (0.095, 0.094), (0.140, 0.106))
OPENING, OPENING_WIDTH, OPENING_DEPTH = 0.140, 0.106, 0.024
BULB_PLACE, BULB_RADIUS = 0.144, 0.046
CONE_LENGTH, CONE_SPREAD, CONE_SLICES = 0.30, 0.26, 24  # metres, metres a metre
CONE_BRIGHTNESS = 0.55


class Canvas:
    """A picture under way, in metres; the lamp stands at 0, and the table's height is 0."""

    def __init__(self, size: int) -> None:
        self.scale = size * OVERSAMPLING / (RIGHT - LEFT)
        self._image = _room(size).copy()
        self._draw = ImageDraw.Draw(self._image)

    def pixel(self, point: Point) -> Point:
        """Where a point is, in pixels from the left and from the top."""
        return (point[0] - LEFT) * self.scale, (TOP - point[1]) * self.scale

    def circle(self, centre: Point, radius: float, colour: Colour, flat: float = 1.0) -> None:
        (x, y), radius = self.pixel(centre), radius * self.scale
        self._draw.ellipse((x - radius, y - radius * flat, x + radius, y + radius * flat), colour)

    def polygon(self, points: Sequence[Point], colour: Colour) -> None:
        self._draw.polygon([self.pixel(point) for point in points], colour)

    def bar(self, start: Point, end: Point, width: float, colour: Colour) -> None:
        """A thick line with round ends."""
        aside = atan2(end[1] - start[1], end[0] - start[0]) + pi / 2
        sides = ((start, width), (end, width), (end, -width), (start, -width))
        self.polygon([along(point, aside, by / 2) for point, by in sides], colour)
        for point in (start, end):
            self.circle(point, width / 2, colour)

    def lay(self, veil: Veil, colour: Colour) -> None:
        """Lays a colour over the picture, as strongly as the veil says."""
        self._image.paste(colour, veil.corner, veil.mask)

    def finish(self) -> Pixels:
        """uint8 (size, size, 3)."""
        return np.asarray(self._image.reduce(OVERSAMPLING))


class Veil:
    """How strongly to lay a colour over a part of a canvas: from 0 to 1. Later shapes replace."""

    def __init__(self, canvas: Canvas, low: Point, high: Point) -> None:
        self._canvas = canvas
        (left, bottom), (right, top) = canvas.pixel(low), canvas.pixel(high)
        self.corner = floor(left), floor(top)
        self.mask = Image.new("L", (ceil(right - left) + 1, ceil(bottom - top) + 1))
        self._draw = ImageDraw.Draw(self.mask)

    def polygon(self, points: Sequence[Point], strength: float) -> None:
        self._draw.polygon([self._pixel(point) for point in points], round(255 * strength))

    def disc(self, centre: Point, radius: float, strength: float) -> None:
        """A circle on the table."""
        (x, y), radius = self._pixel(centre), radius * self._canvas.scale
        box = (x - radius, y - radius * FLATNESS, x + radius, y + radius * FLATNESS)
        self._draw.ellipse(box, round(255 * strength))

    def clear_below(self, height: float) -> None:
        self._draw.rectangle((0, self._pixel((0, height))[1], *self.mask.size), 0)

    def _pixel(self, point: Point) -> Point:
        x, y = self._canvas.pixel(point)
        return x - self.corner[0], y - self.corner[1]


def draw_lamp(angles: Sequence[float], ball: float, turned: float, size: int) -> Pixels:
    """The lamp and its ball.

    Args:
        angles: Of the three links with the table, in radians.
        ball: Where it lies, in metres from the lamp's foot.
        turned: By how much it is turned, in radians.
        size: Width and height in pixels.

    Returns:
        uint8 (size, size, 3).
    """
    shoulder = (0.0, SHOULDER_HEIGHT)
    elbow = along(shoulder, angles[0], LOWER_ARM.length)
    neck = along(elbow, angles[1], UPPER_ARM.length)
    canvas = Canvas(size)
    _light(canvas, neck, angles[2])
    _shadow(canvas, 0.0, 0.22)
    _shadow(canvas, ball, 0.095)
    _foot(canvas, shoulder)
    _ball(canvas, (ball, BALL_RADIUS), turned, _lit(neck, angles[2], (ball, BALL_RADIUS)))
    for start, end in ((shoulder, elbow), (elbow, neck)):
        canvas.bar(start, end, 0.040, GREY)
        canvas.bar(start, end, 0.026, CREAM)
    canvas.circle(elbow, 0.032, TEAL)
    canvas.circle(elbow, 0.013, CREAM)
    _head(canvas, neck, angles[2])
    return canvas.finish()


def along(start: Point, angle: float, length: float) -> Point:
    """The point that far from `start` in that direction."""
    return start[0] + length * cos(angle), start[1] + length * sin(angle)


def _foot(canvas: Canvas, shoulder: Point) -> None:
    canvas.circle((0.0, 0.0), 0.155, DEEP_TEAL, FLATNESS)
    canvas.circle((0.0, 0.024), 0.155, TEAL, FLATNESS)
    canvas.bar((0.0, 0.03), shoulder, 0.048, GREY)
    canvas.circle(shoulder, 0.034, TEAL)
    canvas.circle(shoulder, 0.014, CREAM)


def _ball(canvas: Canvas, centre: Point, turned: float, lit: float) -> None:
    canvas.circle(centre, BALL_RADIUS, _mix(BALL_IN_SHADE, BALL, lit))
    bends = (-0.32, -0.16, 0.0, 0.16, 0.32)
    ends = [turned + side + bend for side in (pi / 2, -pi / 2) for bend in bends]
    band = [along(centre, angle, BALL_RADIUS) for angle in ends]
    canvas.polygon(band, _mix(STRIPE_IN_SHADE, STRIPE, lit))
    shine = along(centre, 0.7 * pi, 0.58 * BALL_RADIUS)
    canvas.circle(shine, 0.18 * BALL_RADIUS, _mix(BALL, BULB, 0.3 + 0.7 * lit))


def _head(canvas: Canvas, neck: Point, angle: float) -> None:
    def at(ahead: float, across: float) -> Point:
        return along(along(neck, angle, ahead), angle + pi / 2, across)

    def outline(share: float) -> list[Point]:
        return [
            at(ahead, side * share * across)
            for side, points in ((1, SHADE), (-1, SHADE[::-1]))
            for ahead, across in points
        ]

    canvas.bar(at(-0.052, 0.0), at(0.0, 0.0), 0.062, CREAM)
    canvas.polygon(outline(1.0), DEEP_TEAL)
    canvas.polygon(outline(0.42), TEAL)
    opening = [
        at(OPENING + OPENING_DEPTH * cos(turn), OPENING_WIDTH * sin(turn))
        for turn in np.linspace(0, 2 * pi, 40, endpoint=False).tolist()
    ]
    canvas.polygon(opening, LIGHT)
    canvas.circle(at(BULB_PLACE, 0.0), BULB_RADIUS, BULB)


def _light(canvas: Canvas, neck: Point, angle: float) -> None:
    """The cone of light, which fades with distance, and its pool where it meets the table."""

    def edge(distance: float, side: int) -> Point:
        across = side * (OPENING_WIDTH + CONE_SPREAD * distance)
        return along(along(neck, angle, OPENING + distance), angle + pi / 2, across)

    reach = OPENING + CONE_LENGTH + OPENING_WIDTH
    low = neck[0] - reach, min(neck[1] - reach, -0.12)
    veil = Veil(canvas, low, (neck[0] + reach, neck[1] + reach))
    for part in range(CONE_SLICES):
        near, far = (CONE_LENGTH * number / CONE_SLICES for number in (part, part + 1))
        corners = [edge(near, 1), edge(far, 1), edge(far, -1), edge(near, -1)]
        veil.polygon(corners, _brightness(near))
    veil.clear_below(0.0)
    if angle < 0:
        slope = -sin(angle)
        distance = neck[1] / slope - OPENING  # from the shade to the table
        radius = (OPENING_WIDTH + CONE_SPREAD * distance) / max(0.5, slope)
        foot = along(neck, angle, neck[1] / slope)[0], 0.0
        for ring in range(5 if distance < CONE_LENGTH else 0):
            veil.disc(foot, radius * (1.1 - 0.05 * ring), _brightness(distance) * (ring + 1) / 4)
    canvas.lay(veil, LIGHT)


def _brightness(distance: float) -> float:
    """Of the cone, so many metres before the shade."""
    return CONE_BRIGHTNESS * max(0.0, 1 - distance / CONE_LENGTH) ** 1.3


def _shadow(canvas: Canvas, place: float, radius: float) -> None:
    """Soft, on the table."""
    veil = Veil(canvas, (place - radius, -radius), (place + radius, radius))
    for ring in range(8):
        veil.disc((place, 0.0), radius * (1 - ring / 10), 0.07 * (ring + 1))
    canvas.lay(veil, SHADOW)


def _lit(neck: Point, angle: float, ball: Point) -> float:
    """How much of the light falls on the ball, from 0 to 1."""
    x, y = ball[0] - neck[0], ball[1] - neck[1]
    aside = abs((atan2(y, x) - angle + pi) % (2 * pi) - pi)
    return exp(-((aside / 0.5) ** 4)) * min(1.0, max(0.0, 1.7 - hypot(x, y) / 0.4))


def _mix(one: Colour, other: Colour, share: float) -> Colour:
    red, green, blue = (round(a + share * (b - a)) for a, b in zip(one, other, strict=True))
    return red, green, blue


@cache
def _room(size: int) -> Image.Image:
    """The wall, with a glow on it, and the table, before anything stands there."""
    side = size * OVERSAMPLING
    x, y = np.meshgrid(np.linspace(LEFT, RIGHT, side), TOP - np.linspace(0, RIGHT - LEFT, side))

    def blend(one: Colour, other: Colour, share: np.ndarray) -> np.ndarray:
        return np.array(one) + np.clip(share, 0, 1)[..., None] * (np.array(other) - one)

    wall = blend(WALL_TOP, WALL_BOTTOM, (TOP - y) / (TOP - TABLE_EDGE))
    glow = np.exp(-(((x - 0.1) / 0.5) ** 2) - ((y - 0.25) / 0.4) ** 2)
    wall += 0.45 * glow[..., None] * (np.array(WALL_GLOW) - wall)
    bottom = TOP - (RIGHT - LEFT)
    table = blend(TABLE_BACK, TABLE_FRONT, (TABLE_EDGE - y) / (TABLE_EDGE - bottom))
    table[y > TABLE_EDGE - 0.008] = TABLE_RIM
    pixels = np.where((y > TABLE_EDGE)[..., None], wall, table)
    return Image.fromarray(pixels.round().astype(np.uint8))
