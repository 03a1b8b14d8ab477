"""How the hall looks: flat, from the side, with the guest before the door."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from math import cos, pi, sin

from volition.comparison import Pixels
from volition.envs.own.canvas import Canvas, Colour, Point

SCALE = 56.0  # pixels a metre
SIZE = (448, 224)
WIDTH, HEIGHT = 8.0, 4.0  # metres; y points down
FLOOR, CEILING = 3.45, 0.35
WALL = (1.72, 1.88)  # with the doorway in it
LINTEL = 1.05  # height of the top of the doorway
GUEST_X, LAMP_X = 0.85, 5.3
MAT = (6.75, 7.65)
TALL, HIP, HEAD = 1.75, 0.95, 0.2  # of a person, in metres above the floor; the head's radius
ARM, LEG_APART = 0.62, 0.13

SKY, GRASS, PATH = (150, 200, 232), (126, 176, 110), (204, 190, 164)
DARK, BRIGHT = (92, 92, 120), (250, 232, 190)  # the hall without and with light
BOARDS, SKIRTING, EDGE = (134, 96, 74), (104, 76, 66), (70, 56, 60)
DOOR, DOOR_INSIDE, KNOB = (176, 84, 58), (146, 66, 48), (240, 204, 96)
HOST, HOST_LEGS, SKIN = (36, 92, 140), (34, 44, 66), (240, 200, 168)
GUEST, GUEST_LEGS, HAT = (150, 62, 104), (74, 52, 70), (90, 40, 66)
SHADE_DARK, SHADE_LIT, POST = (120, 116, 124), (255, 214, 92), (60, 52, 58)
MAT_COLOUR, MAT_STRIPE = (188, 60, 62), (244, 214, 130)
GLOW = (255, 236, 160)


@dataclass(frozen=True, slots=True)
class Hall:
    """What is to be seen of the hall at one moment.

    Attributes:
        x, vx: Where the host is, in metres from the left, and how fast, to the right.
        door: How far the door is open, from 0 to 1.
        lamp: How bright the lamp is, from 0 to 1.
        bow: How deeply the host bows, from 0 to 1.
    """

    x: float
    vx: float
    door: float
    lamp: float
    bow: float


def draw(hall: Hall) -> Pixels:
    """The hall as it is now: uint8 (224, 448, 3)."""
    canvas = _room(round(hall.lamp, 2)).copy()
    _person(canvas, GUEST_X, 1.0, 0.0, (GUEST, GUEST_LEGS))
    canvas.box(GUEST_X - 0.24, FLOOR - TALL - 0.24, GUEST_X + 0.24, FLOOR - TALL - 0.18, HAT)
    canvas.box(GUEST_X - 0.14, FLOOR - TALL - 0.42, GUEST_X + 0.14, FLOOR - TALL - 0.2, HAT)
    _door(canvas, hall.door)
    _person(canvas, hall.x, -1.0, hall.bow, (HOST, HOST_LEGS))
    return canvas.pixels()


@cache
def _room(lamp: float) -> Canvas:
    """All that stands still, in the light of the lamp."""
    canvas = Canvas.blank(SIZE, SCALE, SKY)
    canvas.box(0.0, FLOOR - 0.35, WALL[0], HEIGHT, GRASS)
    canvas.box(0.0, FLOOR, WALL[1], HEIGHT, PATH)
    canvas.disc(0.5, 0.75, 0.26, (255, 240, 180))
    canvas.box(WALL[1], CEILING, WIDTH, FLOOR, _mixed(DARK, BRIGHT, lamp))
    canvas.box(WALL[0], 0.0, WIDTH, CEILING, EDGE)
    canvas.box(WALL[1], FLOOR, WIDTH, HEIGHT, _mixed(_mixed(BOARDS, EDGE, 0.5), BOARDS, lamp))
    canvas.box(WALL[1], FLOOR - 0.12, WIDTH, FLOOR, SKIRTING)
    canvas.box(*(WALL[0], CEILING, WALL[1], LINTEL), EDGE)
    canvas.box(MAT[0], FLOOR - 0.03, MAT[1], FLOOR + 0.14, MAT_COLOUR)
    for stripe in range(4):
        left = MAT[0] + 0.08 + 0.22 * stripe
        canvas.box(left, FLOOR, left + 0.08, FLOOR + 0.11, MAT_STRIPE)
    _lamp(canvas, lamp)
    return canvas


def _lamp(canvas: Canvas, lamp: float) -> None:
    """A lamp that hangs from the ceiling with a cord to pull; lit, it has a halo."""
    top, y = CEILING, 1.0
    for ring in range(6):
        strength = int(46 * lamp)
        canvas.disc(LAMP_X, y + 0.1, 0.35 + 0.22 * ring, (*GLOW, strength))
    canvas.line([(LAMP_X, top), (LAMP_X, y - 0.1)], 0.05, POST)
    shade = [(-0.14, -0.16), (0.14, -0.16), (0.36, 0.2), (-0.36, 0.2)]
    corners = [(LAMP_X + dx, y + dy) for dx, dy in shade]
    canvas.polygon(corners, _mixed(SHADE_DARK, SHADE_LIT, lamp))
    canvas.disc(LAMP_X, y + 0.24, 0.11, _mixed((150, 146, 140), (255, 250, 220), lamp))
    canvas.line([(LAMP_X + 0.24, y + 0.2), (LAMP_X + 0.24, y + 0.85)], 0.025, POST)
    canvas.disc(LAMP_X + 0.24, y + 0.9, 0.06, KNOB)


def _door(canvas: Canvas, opened: float) -> None:
    """The door's leaf: edge on where it is shut, turned into the hall as it opens."""
    width = 0.16 + 0.74 * sin(opened * pi / 2)
    slant = 0.16 * sin(opened * pi / 2)
    left = WALL[0]
    leaf: list[Point] = [
        (left, LINTEL),
        (left + width, LINTEL + slant),
        (left + width, FLOOR + slant / 2),
        (left, FLOOR),
    ]
    canvas.polygon(leaf, _mixed(DOOR, DOOR_INSIDE, opened))
    canvas.line([*leaf, leaf[0]], 0.03, EDGE)
    if opened > 0.15:
        canvas.disc(left + width - 0.1, (LINTEL + FLOOR) / 2 + 0.2, 0.055, KNOB)
    else:
        canvas.disc(left + width + 0.03, (LINTEL + FLOOR) / 2 + 0.2, 0.055, KNOB)


def _person(
    canvas: Canvas, x: float, facing: float, bow: float, colours: tuple[Colour, Colour]
) -> None:
    """Somebody who stands at `x` and faces right (1) or left (-1), bent from the hip by `bow`."""
    coat, legs = colours
    canvas.ellipse(x, FLOOR + 0.03, (0.36, 0.06), (30, 26, 36, 90))
    for side in (-1, 1):
        canvas.line([(x, FLOOR - HIP), (x + side * LEG_APART, FLOOR - 0.04)], 0.17, legs)
        foot = x + side * LEG_APART
        canvas.line([(foot, FLOOR - 0.04), (foot + 0.1 * facing, FLOOR - 0.04)], 0.1, legs)
    lean = bow * 0.55 * pi
    along = (facing * sin(lean), -cos(lean))

    def up(metres: float, aside: float = 0.0) -> Point:
        return (
            x + along[0] * metres - along[1] * aside,
            FLOOR - HIP + along[1] * metres + along[0] * aside,
        )

    back = TALL - HIP - HEAD
    canvas.line([up(0.0), up(back - 0.08)], 0.38, coat)
    shoulder = up(back - 0.12)
    hand = (shoulder[0] + 0.16 * facing, shoulder[1] + ARM)
    canvas.line([shoulder, hand], 0.12, _mixed(coat, EDGE, 0.35))
    canvas.disc(*hand, 0.075, SKIN)
    canvas.disc(*up(back + HEAD - 0.06), HEAD, SKIN)
    canvas.disc(*up(back + HEAD + 0.05, -0.05), HEAD * 0.82, (88, 62, 44))
    canvas.disc(*up(back + HEAD - 0.1, 0.05 * facing), HEAD * 0.8, SKIN)


def _mixed(one: Colour, other: Colour, share: float) -> Colour:
    return tuple(round(a + share * (b - a)) for a, b in zip(one, other, strict=False))  # type: ignore[return-value]
