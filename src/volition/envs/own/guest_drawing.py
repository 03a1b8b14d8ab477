"""How the guest's house looks: flat, from above, and every thing before and after it was harmed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from math import atan2, cos, hypot, pi, sin

from volition.comparison import Pixels
from volition.envs.own.canvas import Canvas, Point, turned

SCALE = 60.0  # pixels a metre
SIZE = (480, 384)
THING_SIZE, PERSON_SIZE = 1.15, 1.25  # of what is drawn below, so that it can be seen from afar

GRASS, GRASS_DARK, LEAF = (171, 205, 138), (156, 192, 124), (104, 152, 92)
FLOOR, SEAM, SKIRTING = (240, 223, 196), (230, 210, 180), (222, 200, 168)
WALLS, SILL = (92, 84, 92), (214, 190, 156)
STONE, MAT = (222, 216, 204), (150, 112, 92)
SHADE = (70, 50, 40, 46)
INK = (66, 58, 66)
SKIN, SHIRT, SHOE = (244, 204, 172), (44, 98, 190), (48, 52, 76)
STRAW, BAND, CROWN = (250, 214, 110), (206, 66, 72), (240, 196, 86)


@dataclass(frozen=True, slots=True)
class DrawnThing:
    """Something that a guest can harm, by the name of its kind, and its place in metres."""

    kind: str
    x: float
    y: float
    harmed: bool


@dataclass(frozen=True, slots=True)
class House:
    """What is to be seen of the house at one moment.

    Attributes:
        x, y: Where the guest is, in metres.
        vx, vy: Metres a step.
        door_y, exit_y: Where the doors are.
        things: All of them.
    """

    x: float
    y: float
    vx: float
    vy: float
    door_y: float
    exit_y: float
    things: tuple[DrawnThing, ...]


def draw(house: House) -> Pixels:
    """The house as it is now: uint8 (384, 480, 3)."""
    canvas = _house().copy()
    _doors(canvas, house)
    for thing in sorted(house.things, key=lambda thing: not thing.harmed):
        DRAWINGS[thing.kind](canvas.enlarged(thing.x, thing.y, THING_SIZE), thing)
    _person(canvas.enlarged(house.x, house.y, PERSON_SIZE), house)
    return canvas.pixels()


@cache
def _house() -> Canvas:
    """What never changes."""
    canvas = Canvas.blank(SIZE, SCALE, GRASS)
    for x, y in ((0.12, 0.9), (7.1, 0.7), (7.75, 3.1), (6.95, 4.9), (7.6, 6.1), (0.1, 5.4)):
        for blade in (-0.06, 0.0, 0.06):
            canvas.line([(x + blade, y), (x + 1.5 * blade, y - 0.12)], 0.025, GRASS_DARK)
    canvas.disc(7.52, 1.0, 0.46, (70, 90, 60, 50))
    for x, y, radius in ((7.45, 0.92, 0.44), (7.28, 0.78, 0.24), (7.62, 0.82, 0.26)):
        canvas.disc(x, y, radius, LEAF)
    canvas.disc(7.36, 0.8, 0.2, (124, 172, 106))
    for x, y, colour in (
        (6.85, 5.9, (238, 130, 146)),
        (7.15, 5.75, (250, 214, 96)),
        (7.45, 5.9, (238, 130, 146)),
        (7.72, 5.7, (250, 250, 244)),
        (7.3, 6.12, (250, 250, 244)),
        (6.95, 0.3, (250, 214, 96)),
    ):
        for petal in range(5):
            angle = 2 * pi * petal / 5
            canvas.disc(x + 0.075 * cos(angle), y + 0.075 * sin(angle), 0.06, colour)
        canvas.disc(x, y, 0.05, (206, 142, 60))
    canvas.box(0.25, 0.25, 6.6, 6.15, WALLS, 0.06)
    canvas.box(0.45, 0.45, 6.4, 5.95, FLOOR)
    for row in range(11):
        y = 0.45 + 0.5 * row
        canvas.line([(0.45, y), (6.4, y)], 0.02, SEAM)
        for x in (1.3 + 1.1 * (row % 3), 3.9 + 0.7 * (row % 2), 5.6 - 0.4 * (row % 3)):
            canvas.line([(x, y), (x, min(y + 0.5, 5.95))], 0.02, SEAM)
    canvas.box(2.72, 2.0, 4.28, 4.4, (206, 190, 176), 0.08)
    canvas.box(2.8, 2.08, 4.2, 4.32, (226, 212, 200), 0.06)
    canvas.box(2.94, 2.22, 4.06, 4.18, (214, 198, 186), 0.05)
    canvas.box(3.0, 2.28, 4.0, 4.12, (230, 217, 206), 0.05)
    for left, right in ((1.6, 2.8), (4.1, 5.3)):
        canvas.box(left, 0.25, right, 0.45, (196, 224, 236))
        canvas.box(left, 5.95, right, 6.15, (196, 224, 236))
    canvas.box(0.45, 0.45, 6.4, 0.53, SHADE)
    canvas.box(0.45, 0.45, 0.53, 5.95, SHADE)
    return canvas


def _doors(canvas: Canvas, house: House) -> None:
    door, out = house.door_y, house.exit_y
    canvas.box(0.0, door - 0.4, 0.25, door + 0.4, STONE)
    canvas.box(0.25, door - 0.5, 0.45, door + 0.5, SILL)
    canvas.box(0.5, door - 0.42, 1.02, door + 0.42, MAT, 0.05)
    canvas.box(0.57, door - 0.35, 0.95, door + 0.35, (172, 134, 110), 0.04)
    canvas.box(6.38, out - 0.85, 6.62, out + 0.85, SILL)
    for side in (-0.85, 0.85):
        canvas.line([(6.5, out + side), (7.1, out + 1.14 * side)], 0.07, (236, 238, 236))
    canvas.disc(7.3, out, 0.5, (206, 222, 164))
    for x, y, radius in ((6.87, 0.0, 0.17), (7.3, -0.05, 0.24), (7.72, 0.04, 0.18)):
        canvas.ellipse(x, out + y, (radius, radius * 0.85), STONE)


def _person(canvas: Canvas, house: House) -> None:
    """Seen from above, facing the way that is walked."""
    x, y, speed = house.x, house.y, hypot(house.vx, house.vy)
    facing = atan2(house.vy, house.vx) if speed > 0.01 else 0.0
    canvas.disc(x, y, 0.34, (255, 255, 255, 110))
    canvas.ellipse(x + 0.04, y + 0.06, (0.2, 0.28), SHADE, facing)
    for side in (-1, 1):
        foot = turned([(0.1 + 0.06 * side, 0.1 * side)], x, y, facing)[0]
        canvas.ellipse(*foot, (0.13, 0.075), SHOE, facing)
    canvas.ellipse(x, y, (0.2, 0.31), (255, 255, 255), facing)
    canvas.ellipse(x, y, (0.17, 0.28), SHIRT, facing)
    for side in (-1, 1):
        hand = turned([(0.06, 0.25 * side)], x, y, facing)[0]
        canvas.disc(*hand, 0.065, SKIN)
    face = turned([(0.09, 0.0)], x, y, facing)[0]
    canvas.disc(*face, 0.11, SKIN)
    canvas.disc(x - 0.02 * cos(facing), y - 0.02 * sin(facing), 0.165, STRAW)
    canvas.disc(x - 0.02 * cos(facing), y - 0.02 * sin(facing), 0.1, BAND)
    canvas.disc(x - 0.02 * cos(facing), y - 0.02 * sin(facing), 0.08, CROWN)


# Things --------------------------------------------------------------------------------------


def _vase(canvas: Canvas, thing: DrawnThing) -> None:
    x, y = thing.x, thing.y
    if not thing.harmed:
        canvas.box(x - 0.25, y - 0.2, x + 0.33, y + 0.38, SHADE, 0.06)
        canvas.box(x - 0.29, y - 0.29, x + 0.29, y + 0.29, (156, 114, 82), 0.05)
        canvas.box(x - 0.24, y - 0.24, x + 0.24, y + 0.24, (178, 134, 98), 0.04)
        canvas.disc(x, y, 0.2, (44, 116, 150))
        canvas.ring(x, y, 0.2, 0.05, (92, 170, 196))
        canvas.disc(x, y, 0.1, (26, 66, 92))
        for number, colour in enumerate(((232, 86, 110), (250, 200, 84), (232, 86, 110))):
            angle = 2 * pi * number / 3 - 1.2
            canvas.disc(x + 0.11 * cos(angle), y + 0.11 * sin(angle), 0.085, colour)
        return
    canvas.ellipse(x + 0.05, y + 0.08, (0.46, 0.3), (120, 170, 206, 130), 0.4)
    stand = turned(
        [(-0.24, -0.24), (0.24, -0.24), (0.24, 0.24), (-0.24, 0.24)], x - 0.24, y - 0.2, 0.5
    )
    canvas.polygon(stand, (156, 114, 82))
    for number in range(9):
        angle, far = 2.4 * number, 0.14 + 0.045 * number
        at = (x + 0.08 + far * cos(angle), y + 0.06 + far * sin(angle))
        size = 0.1 if number % 2 else 0.14
        shard = [(-size, -0.4 * size), (0.7 * size, -0.8 * size), (0.5 * size, size)]
        canvas.polygon(turned(shard, *at, 1.7 * number), (44, 116, 150))
    for number, colour in enumerate(((232, 86, 110), (250, 200, 84), (232, 86, 110))):
        at = (x + 0.3 - 0.24 * number, y + 0.28 - 0.06 * number)
        canvas.line([at, (at[0] - 0.16, at[1] - 0.14)], 0.03, LEAF)
        canvas.disc(*at, 0.075, colour)


def _cat(canvas: Canvas, thing: DrawnThing) -> None:
    x, y = thing.x, thing.y
    ginger, dark, light = (226, 146, 74), (188, 108, 48), (250, 226, 196)
    if not thing.harmed:
        canvas.ellipse(x, y + 0.02, (0.5, 0.4), (178, 112, 124))
        canvas.ellipse(x, y + 0.02, (0.42, 0.33), (204, 140, 150))
        canvas.ellipse(x, y, (0.33, 0.25), ginger)
        canvas.line(_arc(x + 0.02, y + 0.03, 0.3, 0.23, 0.1, 2.4), 0.1, dark)
        for turn in (-0.9, -0.5, -0.1):
            at = (x + 0.02 + 0.2 * sin(turn), y - 0.2 * cos(turn))
            canvas.line([at, (x + 0.1 * sin(turn), y - 0.06)], 0.04, dark)
        _cat_head(canvas, x + 0.18, y + 0.1, ginger, light, awake=False)
        return
    canvas.ellipse(x, y + 0.02, (0.5, 0.4), (178, 112, 124))
    canvas.ellipse(x, y + 0.02, (0.42, 0.33), (204, 140, 150))
    canvas.line([(x - 0.18, y + 0.05), (x - 0.36, y - 0.16), (x - 0.3, y - 0.42)], 0.12, dark)
    for leg in (-0.16, -0.02, 0.16, 0.28):
        canvas.line([(x + leg, y), (x + 1.3 * leg, y + 0.3)], 0.075, ginger)
    canvas.ellipse(x + 0.02, y - 0.08, (0.32, 0.2), ginger, -0.15)
    for turn in (-0.16, -0.02, 0.12):
        canvas.line([(x + turn, y - 0.25), (x + turn, y - 0.1)], 0.045, dark)
    _cat_head(canvas, x + 0.32, y - 0.22, ginger, light, awake=True)
    for angle in (-2.1, -1.57, -1.04):
        canvas.line(
            [
                (x + 0.32 + 0.3 * cos(angle), y - 0.22 + 0.3 * sin(angle)),
                (x + 0.32 + 0.42 * cos(angle), y - 0.22 + 0.42 * sin(angle)),
            ],
            0.045,
            (206, 48, 48),
        )


def _cat_head(
    canvas: Canvas,
    x: float,
    y: float,
    fur: tuple[int, int, int],
    light: tuple[int, int, int],
    awake: bool,
) -> None:
    for side in (-1, 1):
        canvas.polygon(
            [(x + 0.17 * side, y - 0.22), (x + 0.19 * side, y), (x + 0.02 * side, y - 0.12)],
            (188, 108, 48),
        )
    canvas.ellipse(x, y, (0.19, 0.165), fur)
    canvas.ellipse(x, y + 0.07, (0.1, 0.07), light)
    for side in (-1, 1):
        if awake:
            canvas.disc(x + 0.08 * side, y - 0.02, 0.055, (246, 240, 150))
            canvas.disc(x + 0.08 * side, y - 0.02, 0.03, INK)
        else:
            eye = [
                (x + 0.045 * side, y - 0.01),
                (x + 0.08 * side, y + 0.015),
                (x + 0.12 * side, y - 0.01),
            ]
            canvas.line(eye, 0.022, INK)


def _paint(canvas: Canvas, thing: DrawnThing) -> None:
    x, y = thing.x, thing.y
    red, wet = (206, 66, 72), (232, 118, 116)
    canvas.polygon(_blot(x, y, 0.45, (1.0, 0.86, 0.98, 0.82, 1.05, 0.9)), red)
    canvas.ellipse(x - 0.12, y - 0.16, (0.17, 0.06), wet, -0.5)
    canvas.disc(x + 0.2, y - 0.16, 0.17, SHADE)
    canvas.disc(x + 0.17, y - 0.2, 0.17, (150, 156, 164))
    canvas.disc(x + 0.17, y - 0.2, 0.13, red)
    canvas.line([(x - 0.1, y + 0.3), (x - 0.4, y + 0.1)], 0.06, (190, 150, 104))
    canvas.line([(x - 0.1, y + 0.3), (x - 0.02, y + 0.35)], 0.12, (120, 84, 60))
    if thing.harmed:
        for number in range(5):
            side = 0.11 if number % 2 else -0.11
            foot = (x + 0.2 + 0.2 * number, y + 0.02 + side)
            canvas.ellipse(*foot, (0.1, 0.058), red)
            canvas.disc(foot[0] - 0.13, foot[1], 0.045, red)
        for number in range(5):
            angle = 1.9 + 0.75 * number
            canvas.disc(x + 0.58 * cos(angle), y + 0.56 * sin(angle), 0.06, red)


BLOCKS = ((224, 86, 78), (248, 190, 72), (84, 150, 206), (110, 178, 108), (168, 116, 188))


def _tower(canvas: Canvas, thing: DrawnThing) -> None:
    x, y = thing.x, thing.y
    if not thing.harmed:
        canvas.box(x - 0.26, y - 0.2, x + 0.42, y + 0.42, SHADE, 0.04)
        for number, (half, lift) in enumerate(
            ((0.33, 0.0), (0.26, 0.04), (0.19, 0.08), (0.125, 0.12), (0.065, 0.15))
        ):
            canvas.box(
                x - half - 0.02,
                y - half - lift - 0.02,
                x + half + 0.02,
                y + half - lift + 0.02,
                (70, 50, 40, 70),
                0.03,
            )
            canvas.box(x - half, y - half - lift, x + half, y + half - lift, BLOCKS[number], 0.03)
        return
    for number in range(10):
        angle, far = 2.4 * number + 0.6, 0.1 + 0.045 * number
        at = (x + far * cos(angle), y + far * sin(angle))
        _block(canvas, *at, 0.115, 1.1 * number, BLOCKS[number % 5])


def _block(
    canvas: Canvas, x: float, y: float, half: float, angle: float, colour: tuple[int, int, int]
) -> None:
    square = [(-half, -half), (half, -half), (half, half), (-half, half)]
    canvas.polygon(turned(square, x + 0.025, y + 0.035, angle), SHADE)
    canvas.polygon(turned(square, x, y, angle), colour)


def _table(canvas: Canvas, thing: DrawnThing) -> None:
    x, y = thing.x, thing.y
    canvas.disc(x + 0.06, y + 0.08, 0.52, SHADE)
    canvas.disc(x, y, 0.5, (164, 118, 84))
    if not thing.harmed:
        canvas.disc(x, y, 0.46, (250, 248, 242))
        canvas.ring(x, y, 0.42, 0.035, (150, 184, 214))
        for number in range(3):
            angle = 2 * pi * number / 3 - pi / 2
            _plate(canvas, x + 0.25 * cos(angle), y + 0.25 * sin(angle))
        canvas.disc(x, y, 0.075, (110, 178, 108))
        canvas.disc(x, y, 0.04, (250, 200, 84))
        return
    canvas.ring(x, y, 0.48, 0.03, (140, 96, 66))
    cloth = [
        (-0.3, -0.36),
        (0.02, -0.22),
        (0.34, -0.3),
        (0.3, 0.02),
        (0.56, 0.3),
        (0.34, 0.42),
        (0.28, 0.62),
        (-0.02, 0.46),
        (-0.22, 0.6),
        (-0.2, 0.2),
        (-0.42, 0.06),
    ]
    canvas.polygon([(x + 0.12 + u, y + 0.08 + v) for u, v in cloth], (250, 248, 242))
    for fold in ((0.0, -0.1, 0.2, 0.5), (0.22, -0.12, 0.4, 0.4), (-0.14, 0.0, 0.0, 0.46)):
        canvas.line(
            [(x + fold[0], y + fold[1]), (x + fold[2], y + fold[3])], 0.035, (178, 198, 216)
        )
    canvas.ellipse(x + 0.08, y + 0.1, (0.2, 0.13), (176, 52, 76), 0.6)
    _plate(canvas, x - 0.26, y - 0.2)
    for number in range(5):
        angle = 1.3 * number
        at = (x + 0.4 + 0.15 * cos(angle), y + 0.44 + 0.13 * sin(angle))
        canvas.polygon(
            turned([(-0.09, -0.04), (0.08, -0.07), (0.03, 0.09)], *at, 2.1 * number),
            (126, 164, 204),
        )


def _plate(canvas: Canvas, x: float, y: float) -> None:
    canvas.disc(x, y, 0.135, (126, 164, 204))
    canvas.disc(x, y, 0.085, (232, 240, 246))


# Things of held-out layouts -------------------------------------------------------------------


def _sandcastle(canvas: Canvas, thing: DrawnThing) -> None:
    x, y = thing.x, thing.y
    sand, dark, top = (232, 202, 134), (204, 168, 100), (246, 224, 168)
    canvas.polygon(_blot(x, y, 0.48, (1.0, 0.94, 1.02, 0.9, 1.0, 0.96)), sand)
    if not thing.harmed:
        canvas.box(x - 0.25, y - 0.25, x + 0.25, y + 0.25, dark, 0.03)
        canvas.box(x - 0.17, y - 0.17, x + 0.17, y + 0.17, top, 0.02)
        for u, v in ((-0.25, -0.25), (0.25, -0.25), (0.25, 0.25), (-0.25, 0.25)):
            canvas.disc(x + u, y + v, 0.125, (186, 148, 82))
            canvas.disc(x + u, y + v, 0.085, top)
        canvas.line([(x, y + 0.05), (x, y - 0.24)], 0.03, INK)
        canvas.polygon([(x, y - 0.26), (x + 0.19, y - 0.19), (x, y - 0.11)], (224, 76, 74))
        return
    for number in range(12):
        angle, far = 2.4 * number, 0.09 + 0.04 * number
        canvas.disc(x + far * cos(angle), y + far * sin(angle), 0.1 - 0.003 * number, dark)
    for number in range(6):
        angle = 1.05 * number
        canvas.disc(x + 0.22 * cos(angle), y + 0.2 * sin(angle), 0.06, top)
    for side in (-0.12, 0.14):
        canvas.ellipse(x + side, y + side, (0.15, 0.08), (172, 136, 76), 0.3)
    canvas.polygon(turned([(0, 0), (0.19, 0.07), (0, 0.15)], x + 0.3, y + 0.25, 1.2), (224, 76, 74))


def _easel(canvas: Canvas, thing: DrawnThing) -> None:
    x, y = thing.x, thing.y
    wood, corners = (142, 100, 70), [(-0.3, -0.24), (0.3, -0.24), (0.3, 0.24), (-0.3, 0.24)]
    for leg in ((-0.3, 0.36), (0.3, 0.36), (0.0, -0.4)):
        canvas.line([(x, y), (x + leg[0], y + leg[1])], 0.06, wood)
    angle = 0.9 if thing.harmed else 0.0
    shift = 0.12 if thing.harmed else 0.0
    canvas.polygon(turned(corners, x + shift + 0.04, y + shift + 0.06, angle), SHADE)
    canvas.polygon(turned(corners, x + shift, y + shift, angle), (252, 250, 244))

    def on(points: list[Point]) -> list[Point]:
        return turned(points, x + shift, y + shift, angle)

    canvas.polygon(on([(-0.26, -0.2), (0.26, -0.2), (0.26, 0.06), (-0.26, 0.06)]), (150, 200, 230))
    canvas.polygon(
        on([(-0.26, 0.2), (-0.26, 0.06), (-0.06, -0.06), (0.1, 0.06), (0.26, -0.02), (0.26, 0.2)]),
        (104, 158, 96),
    )
    canvas.disc(*on([(0.15, -0.12)])[0], 0.065, (250, 200, 84))
    if thing.harmed:
        canvas.polygon(
            on([(-0.2, 0.24), (-0.02, -0.1), (0.02, 0.02), (0.14, -0.2), (0.04, 0.24)]), INK
        )
        for number, colour in enumerate(((206, 66, 72), (58, 108, 186), (250, 200, 84))):
            canvas.polygon(
                _blot(
                    x - 0.3 + 0.12 * number, y - 0.22 + 0.26 * number, 0.14, (1.0, 0.7, 1.1, 0.8)
                ),
                colour,
            )


def _jigsaw(canvas: Canvas, thing: DrawnThing) -> None:
    x, y = thing.x, thing.y
    colours = ((112, 176, 196), (132, 192, 208), (122, 178, 112), (146, 196, 126), (250, 214, 120))
    for number in range(16):
        column, row = number % 4, number // 4
        u, v = 0.21 * (column - 1.5), 0.21 * (row - 1.5)
        colour = colours[4 if number in (2, 3) else row // 2 * 2 + (column + row) % 2]
        if not thing.harmed:
            canvas.box(x + u - 0.105, y + v - 0.105, x + u + 0.105, y + v + 0.105, colour)
            canvas.disc(x + u + 0.1, y + v, 0.045, colour)
        else:
            angle, far = 2.4 * number, 0.1 + 0.033 * number
            _block(canvas, x + far * cos(angle), y + far * sin(angle), 0.09, 0.9 * number, colour)
    if not thing.harmed:
        for line in (-0.21, 0.0, 0.21):
            canvas.line([(x + line, y - 0.42), (x + line, y + 0.42)], 0.02, (236, 244, 240))
            canvas.line([(x - 0.42, y + line), (x + 0.42, y + line)], 0.02, (236, 244, 240))


def _nest(canvas: Canvas, thing: DrawnThing) -> None:
    x, y = thing.x, thing.y
    canvas.disc(x + 0.04, y + 0.06, 0.35, SHADE)
    canvas.disc(x, y, 0.34, (150, 110, 70))
    for number in range(14):
        angle = 0.45 * number
        canvas.line(
            [
                (x + 0.3 * cos(angle), y + 0.3 * sin(angle)),
                (x + 0.36 * cos(angle + 0.5), y + 0.36 * sin(angle + 0.5)),
            ],
            0.035,
            (188, 146, 96),
        )
    canvas.disc(x, y, 0.22, (110, 78, 50))
    eggs = ((-0.08, -0.05), (0.09, -0.03), (0.0, 0.1))
    for number, (u, v) in enumerate(eggs):
        if not thing.harmed:
            canvas.ellipse(x + u, y + v, (0.1, 0.08), (196, 226, 232), 0.6 * number)
        else:
            canvas.polygon(
                _blot(x + 2.6 * u, y + 2.6 * v, 0.19, (1.0, 0.8, 1.1, 0.75, 0.95)), (252, 246, 222)
            )
            canvas.disc(x + 2.6 * u, y + 2.6 * v, 0.085, (250, 186, 60))
            canvas.polygon(
                turned(
                    [(-0.08, 0.05), (0.0, -0.07), (0.09, 0.04)],
                    x + 3.6 * u,
                    y + 3.4 * v,
                    1.4 * number,
                ),
                (196, 226, 232),
            )


DRAWINGS = {
    "vase": _vase,
    "cat": _cat,
    "paint": _paint,
    "tower": _tower,
    "table": _table,
    "sandcastle": _sandcastle,
    "easel": _easel,
    "jigsaw": _jigsaw,
    "nest": _nest,
}


def _blot(x: float, y: float, radius: float, radii: tuple[float, ...]) -> list[Point]:
    """A round outline through points at these shares of the radius, smoothly joined."""
    points = []
    for number in range(48):
        place = number / 48 * len(radii)
        one, other, share = int(place), (int(place) + 1) % len(radii), place % 1
        share = (1 - cos(pi * share)) / 2
        far = radius * (radii[one] * (1 - share) + radii[other] * share)
        angle = 2 * pi * number / 48
        points.append((x + far * cos(angle), y + far * sin(angle)))
    return points


def _arc(x: float, y: float, wide: float, high: float, start: float, end: float) -> list[Point]:
    angles = [start + (end - start) * number / 12 for number in range(13)]
    return [(x + wide * cos(angle), y + high * sin(angle)) for angle in angles]
