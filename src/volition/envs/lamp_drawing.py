"""What the lamp and its ball look like: flat shapes in an evening room, drawn large and reduced."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from math import atan2, cos, exp, hypot, pi, sin

import numpy as np
from PIL import Image, ImageDraw

from volition.envs.lamp_body import LOWER_ARM, SHOULDER_HEIGHT, UPPER_ARM
from volition.segment import Pixels

Point = tuple[float, float]
Colour = tuple[int, int, int]

BALL_RADIUS = 0.065  # metres
OVERSAMPLING = 2  # in each direction, and then reduced: smooth edges
LEFT, RIGHT, TOP = -0.57, 0.75, 1.00  # of the picture, in metres; it is square
TABLE_EDGE = 0.075  # height in the picture at which the table ends behind, in metres
FLATNESS = 0.26  # of circles on the table, which is seen from slightly above

WALL_TOP, WALL_BOTTOM = (58, 47, 84), (148, 92, 104)
TABLE_BACK, TABLE_FRONT = (176, 112, 78), (132, 78, 60)
SHADOW, LIGHT, GLOW = (40, 26, 40), (255, 226, 150), (255, 246, 214)
SHADE, SHADE_DARK, CAP = (64, 190, 178), (42, 146, 144), (232, 240, 232)
ARM, ARM_DARK, JOINT, BASE, BASE_DARK = (
    (232, 240, 232), (190, 204, 204), (64, 190, 178), (64, 190, 178), (42, 146, 144),
)  # fmt: skip
BALL, BALL_DARK, STRIPE = (238, 96, 78), (176, 62, 66), (255, 236, 206)

# The shade from the side, in metres along its axis and across.
BELL = ((-0.014, 0.036), (0.016, 0.050), (0.050, 0.074), (0.095, 0.094), (0.140, 0.106))
RIM, RIM_WIDTH, RIM_DEPTH = 0.140, 0.106, 0.024
BULB, BULB_RADIUS = 0.144, 0.046
CONE_LENGTH, CONE_SPREAD, CONE_SLICES = 0.36, 0.30, 32
CONE_BRIGHTNESS = 0.55


class Canvas:
    """A picture under way: shapes in metres, the table's height being 0."""

    def __init__(self, size: int) -> None:
        self._scale = size * OVERSAMPLING / (RIGHT - LEFT)
        self._size = size
        self.image = _room(size).copy()
        self.draw = ImageDraw.Draw(self.image)

    def at(self, point: Point) -> Point:
        """The pixel at a point."""
        return (point[0] - LEFT) * self._scale, (TOP - point[1]) * self._scale

    def circle(self, centre: Point, radius: float, colour: Colour, flat: float = 1.0) -> None:
        self.draw.ellipse(self._box(centre, radius, flat), colour)

    def polygon(self, points: Sequence[Point], colour: Colour) -> None:
        self.draw.polygon([self.at(point) for point in points], colour)

    def bar(self, start: Point, end: Point, width: float, colour: Colour) -> None:
        """A thick line with round ends."""
        length = hypot(end[0] - start[0], end[1] - start[1])
        x, y = (start[1] - end[1]) * width / length / 2, (end[0] - start[0]) * width / length / 2
        corners = [(start[0] + x, start[1] + y), (end[0] + x, end[1] + y),
                   (end[0] - x, end[1] - y), (start[0] - x, start[1] - y)]  # fmt: skip
        self.polygon(corners, colour)
        for point in (start, end):
            self.circle(point, width / 2, colour)

    def soft(self, centre: Point, radius: float, colour: Colour, strength: float) -> None:
        """A flat circle on the table that fades out: a shadow."""
        mask = Image.new("L", self.image.size)
        draw = ImageDraw.Draw(mask)
        for step in range(8):
            box = self._box(centre, radius * (1 - step / 10), FLATNESS)
            draw.ellipse(box, round(255 * strength * (step + 1) / 8))
        box = tuple(map(round, self._box(centre, radius, FLATNESS)))
        self.image.paste(colour, box, mask.crop(box))

    def finish(self) -> Pixels:
        return np.asarray(self.image.reduce(OVERSAMPLING))

    def _box(self, centre: Point, radius: float, flat: float) -> tuple[float, float, float, float]:
        x, y = self.at(centre)
        radius *= self._scale
        return x - radius, y - radius * flat, x + radius, y + radius * flat


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
    elbow = _along(shoulder, angles[0], LOWER_ARM.length)
    neck = _along(elbow, angles[1], UPPER_ARM.length)
    canvas = Canvas(size)
    _light(canvas, neck, angles[2])
    canvas.soft((0.0, 0.0), 0.21, SHADOW, 0.55)
    canvas.soft((ball, 0.004), 0.085, SHADOW, 0.6)
    _base(canvas, shoulder)
    _ball(canvas, (ball, BALL_RADIUS), turned, _lit(neck, angles[2], (ball, BALL_RADIUS)))
    for start, end in ((shoulder, elbow), (elbow, neck)):
        canvas.bar(start, end, 0.040, ARM_DARK)
        canvas.bar(start, end, 0.024, ARM)
    canvas.circle(elbow, 0.032, JOINT)
    canvas.circle(elbow, 0.013, ARM)
    _head(canvas, neck, angles[2])
    return canvas.finish()


def _along(start: Point, angle: float, length: float) -> Point:
    return start[0] + length * cos(angle), start[1] + length * sin(angle)


def _base(canvas: Canvas, shoulder: Point) -> None:
    canvas.circle((0.0, 0.0), 0.150, BASE_DARK, FLATNESS)
    canvas.circle((0.0, 0.022), 0.150, BASE, FLATNESS)
    canvas.bar((0.0, 0.03), shoulder, 0.044, ARM_DARK)
    canvas.circle(shoulder, 0.030, JOINT)
    canvas.circle(shoulder, 0.012, ARM)


def _ball(canvas: Canvas, centre: Point, turned: float, lit: float) -> None:
    radius = BALL_RADIUS
    canvas.circle(centre, radius, _mix(BALL_DARK, BALL, 0.25 + 0.75 * lit))
    stripe = [
        _along(centre, turned + side + bend, radius)
        for side, bends in ((pi / 2, (-0.3, 0.0, 0.3)), (-pi / 2, (-0.3, 0.0, 0.3)))
        for bend in bends
    ]
    canvas.polygon(stripe, _mix((206, 160, 150), STRIPE, lit))
    shine = (centre[0] - 0.35 * radius, centre[1] + 0.42 * radius)
    canvas.circle(shine, 0.2 * radius, _mix(BALL, GLOW, 0.3 + 0.6 * lit))


def _head(canvas: Canvas, neck: Point, angle: float) -> None:
    def local(along: float, across: float) -> Point:
        return _along(_along(neck, angle, along), angle + pi / 2, across)

    def outline(share: float) -> list[Point]:
        above = [local(along, share * across) for along, across in BELL]
        return above + [local(along, -across) for along, across in reversed(BELL)]

    canvas.bar(local(-0.052, 0.0), local(0.0, 0.0), 0.062, CAP)
    canvas.polygon(outline(1.0), SHADE_DARK if cos(angle) > 0 else SHADE)
    rim = [
        local(RIM + RIM_DEPTH * cos(t), RIM_WIDTH * sin(t))
        for t in np.linspace(0, 2 * pi, 32, endpoint=False)
    ]
    canvas.polygon(outline(0.35), SHADE if cos(angle) > 0 else SHADE_DARK)
    canvas.polygon(rim, LIGHT)
    canvas.circle(local(BULB, 0.0), BULB_RADIUS, GLOW)


def _light(canvas: Canvas, neck: Point, angle: float) -> None:
    """The cone of light, which fades with distance and ends at the table, and its pool there."""
    mask = Image.new("L", canvas.image.size)
    draw = ImageDraw.Draw(mask)

    def edge(distance: float, side: float) -> Point:
        across = side * (RIM_WIDTH + CONE_SPREAD * distance)
        return _along(_along(neck, angle, RIM + distance), angle + pi / 2, across)

    def brightness(distance: float) -> int:
        return round(255 * CONE_BRIGHTNESS * (1 - distance / CONE_LENGTH) ** 1.3)

    for part in range(CONE_SLICES):
        near, far = (CONE_LENGTH * n / CONE_SLICES for n in (part, part + 1))
        corners = [edge(near, 1), edge(far, 1), edge(far, -1), edge(near, -1)]
        draw.polygon([canvas.at(point) for point in corners], brightness(near))
    floor = canvas.at((0.0, 0.0))[1]
    draw.rectangle((0, floor, mask.width, mask.height), 0)
    if angle < 0:
        _pool(canvas, draw, neck, angle, brightness)
    canvas.image.paste(LIGHT, (0, 0), mask)


def _pool(canvas: Canvas, draw: ImageDraw.ImageDraw, neck: Point, angle: float, brightness) -> None:
    depth = neck[1] / max(1e-6, -sin(angle))
    distance = depth - RIM
    if distance >= CONE_LENGTH:
        return
    centre = (neck[0] + depth * cos(angle), 0.0)
    width = (RIM_WIDTH + CONE_SPREAD * distance) / max(0.35, -sin(angle))
    for step in range(6):
        radius = width * (1.12 - 0.04 * step)
        canvas_box = canvas._box(centre, radius, FLATNESS)
        draw.ellipse(canvas_box, round(brightness(max(0.0, distance)) * (step + 1) / 5))


def _lit(neck: Point, angle: float, ball: Point) -> float:
    """How much light falls on the ball, from 0 to 1."""
    x, y = ball[0] - neck[0], ball[1] - neck[1]
    off = abs((atan2(y, x) - angle + pi) % (2 * pi) - pi)
    return exp(-((off / 0.45) ** 4)) * min(1.0, max(0.0, 1.5 - hypot(x, y) / 0.5))


def _mix(one: Colour, other: Colour, share: float) -> Colour:
    return tuple(round(a + share * (b - a)) for a, b in zip(one, other, strict=True))


@cache
def _room(size: int) -> Image.Image:
    """The wall and the table, without the lamp."""
    side = size * OVERSAMPLING
    edge = round((TOP - TABLE_EDGE) * side / (RIGHT - LEFT))
    pixels = np.empty((side, side, 3))
    rows = np.linspace(0, 1, edge)[:, None]
    pixels[:edge] = (np.array(WALL_TOP) * (1 - rows) + np.array(WALL_BOTTOM) * rows)[:, None]
    rows = np.linspace(0, 1, side - edge)[:, None]
    pixels[edge:] = (np.array(TABLE_BACK) * (1 - rows) + np.array(TABLE_FRONT) * rows)[:, None]
    return Image.fromarray(pixels.round().astype(np.uint8))
