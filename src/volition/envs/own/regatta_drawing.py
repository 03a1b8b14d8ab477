"""How the race looks: flat, from above."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from math import atan2, cos, hypot, pi, sin

from volition.comparison import Pixels
from volition.envs.own import regatta_course as course
from volition.envs.own.canvas import Canvas, Colour, Point, turned

SCALE = 48.0  # pixels for a length of the boat
SIZE = (480, 384)

BOAT_SIZE = 1.25  # of what is drawn below, so that it can be seen from afar
SEA, DEEP, LAGOON, FOAM = (84, 166, 206), (76, 156, 198), (126, 208, 214), (226, 244, 248)
SAND, GRASS, LEAF, ROCK = (242, 222, 170), (168, 202, 128), (96, 150, 88), (150, 144, 140)
SHADE = (20, 50, 80, 56)
HULL, DECK, SAIL, STRIPE = (150, 84, 54), (222, 180, 124), (255, 253, 246), (222, 72, 70)
AHEAD, PASSED, NEXT = (226, 62, 60), (74, 190, 84), (250, 200, 60)
INK = (40, 44, 58)


@dataclass(frozen=True, slots=True)
class Race:
    """What is to be seen of a race at one moment.

    Attributes:
        x, y: Where the boat is, in lengths of it.
        heading: In radians.
        speed: As a share of the greatest.
        gates: The middle of each, in the order of the race; the last is the finish.
        passed: How many of them.
        finished: Whether the race is.
        buoys: Where each is, and for how many steps it is away yet.
    """

    x: float
    y: float
    heading: float
    speed: float
    gates: tuple[Point, ...]
    passed: int
    finished: bool
    buoys: tuple[tuple[Point, int], ...]


def draw(race: Race) -> Pixels:
    """The race as it is now: uint8 (384, 480, 3)."""
    canvas = _sea().copy()
    for number, (buoy, away) in enumerate(race.buoys):
        _buoy(canvas, *buoy, away == 0, number)
    for number, gate in enumerate(race.gates[:-1]):
        colour = PASSED if number < race.passed else AHEAD
        _gate(canvas, _posts(race.gates, number), colour, number == race.passed, gate)
    _finish(canvas, _posts(race.gates, len(race.gates) - 1), race.finished)
    _boat(canvas.enlarged(race.x, race.y, BOAT_SIZE), race)
    return canvas.pixels()


@cache
def _sea() -> Canvas:
    """What never changes."""
    canvas = Canvas.blank(SIZE, SCALE, SEA)
    for row in range(13):
        for column in range(9):
            x, y = 0.3 + 1.2 * column + 0.6 * (row % 2), 0.35 + 0.62 * row
            wave = [(x - 0.14, y), (x - 0.05, y - 0.035), (x + 0.05, y), (x + 0.14, y - 0.035)]
            canvas.line(wave, 0.025, DEEP)
    _land(canvas, course.SHORE + 0.02, course.LAGOON, course.LAGOON_RADIUS, course.MOUTH)
    way = [course.START, *course.GATES]
    for (x0, y0), (x1, y1) in pairwise(way):
        length = hypot(x1 - x0, y1 - y0)
        for dot in range(1, int(length / 0.3)):
            share = 0.3 * dot / length
            canvas.disc(x0 + share * (x1 - x0), y0 + share * (y1 - y0), 0.035, (255, 255, 255, 150))
    _island(canvas, *course.ISLAND, course.ISLAND_RADIUS - 0.1)
    return canvas


def _land(
    canvas: Canvas, shore: float, middle: Point, radius: float, mouth: tuple[float, float]
) -> None:
    """The shore with the lagoon in it. A boat's middle keeps off it by about its half width."""
    width = SIZE[0] / SCALE
    coast = [(0.0, 0.0), (0.0, shore)]
    for number in range(41):
        x = width * number / 40
        coast.append((x, shore - 0.3 + 0.06 * sin(2.3 * x) + 0.04 * sin(5.1 * x)))
    coast += [(width, shore), (width, 0.0)]
    shallows = [(x, y + 0.12 if y else y) for x, y in coast]
    canvas.polygon(shallows, (150, 206, 216))
    canvas.polygon(coast, SAND)
    canvas.polygon([(x, y - 0.3 if y else y) for x, y in coast], GRASS)
    for grow, colour in ((0.46, SAND), (0.2, (170, 222, 220)), (0.12, LAGOON)):
        canvas.disc(*middle, radius + grow, colour)
        canvas.box(mouth[0] - grow, middle[1], mouth[1] + grow, shore - 0.3 + grow, colour)
    near = [(x, y) for x, y in coast[2:-2] if abs(x - middle[0]) < 2.2]
    deep = [(x, y + 0.12) for x, y in near]
    canvas.polygon([*deep, (deep[-1][0], 3.3), (deep[0][0], 3.3)], SEA)
    canvas.polygon([*near, *reversed(deep)], (150, 206, 216))
    canvas.box(mouth[0] - 0.12, shore - 0.6, mouth[1] + 0.12, shore - 0.2, LAGOON)
    for band, colour in enumerate(((116, 198, 212), (105, 187, 210), (94, 176, 208))):
        top = shore - 0.32 + 0.14 * band
        canvas.box(
            mouth[0] - 0.12 - 0.05 * band, top, mouth[1] + 0.12 + 0.05 * band, top + 0.14, colour
        )
    for x, y, size in (
        (0.55, 1.2, 0.36),
        (1.7, 1.45, 0.28),
        (6.2, 0.7, 0.4),
        (6.7, 1.6, 0.22),
        (7.9, 0.9, 0.38),
        (8.7, 1.5, 0.26),
        (9.4, 0.6, 0.34),
    ):
        canvas.disc(x + 0.06, y + 0.08, size, (60, 90, 50, 60))
        canvas.disc(x, y, size, LEAF)
        canvas.disc(x - 0.09, y - 0.1, 0.55 * size, (118, 172, 104))
    for x, y, lit, roof in (
        (1.2, 0.6, (206, 96, 78), (177, 83, 67)),
        (7.1, 0.75, (98, 130, 170), (84, 112, 146)),
    ):
        canvas.box(x - 0.25, y - 0.15, x + 0.35, y + 0.29, (60, 90, 50, 60))
        canvas.box(x - 0.3, y - 0.22, x + 0.3, y, lit)
        canvas.box(x - 0.3, y, x + 0.3, y + 0.22, roof)


def _island(canvas: Canvas, x: float, y: float, radius: float) -> None:
    canvas.disc(x, y, radius + 0.1, (146, 204, 218))
    canvas.disc(x, y, radius, SAND)
    canvas.disc(x - 0.02, y - 0.02, radius - 0.14, GRASS)
    canvas.disc(x + 0.2, y + 0.18, 0.13, ROCK)
    canvas.disc(x - 0.22, y + 0.16, 0.16, LEAF)
    canvas.disc(x + 0.05, y - 0.02, 0.2, (60, 90, 50, 60))
    for size, colour in (
        (0.2, (250, 248, 240)),
        (0.15, STRIPE),
        (0.1, (250, 248, 240)),
        (0.055, NEXT),
    ):
        canvas.disc(x, y - 0.06, size, colour)


def _buoy(canvas: Canvas, x: float, y: float, there: bool, number: int) -> None:
    if not there:
        canvas.ring(x, y, 0.16, 0.03, (255, 255, 255, 150))
        return
    canvas.disc(x + 0.04, y + 0.07, 0.19, SHADE)
    canvas.disc(x, y, 0.19, (246, 150, 46))
    canvas.disc(x, y, 0.115, (255, 214, 130))
    canvas.disc(x, y, 0.06, (246, 150, 46))


def _posts(gates: tuple[Point, ...], number: int) -> tuple[Point, Point]:
    """Both ends of a gate, across the way through it."""
    before = gates[number - 1] if number else (gates[0][0] - 1.0, gates[0][1])
    after = gates[min(number + 1, len(gates) - 1)]
    along = atan2(after[1] - before[1], after[0] - before[0])
    x, y = gates[number]
    across = (-0.68 * sin(along), 0.68 * cos(along))
    return (x + across[0], y + across[1]), (x - across[0], y - across[1])


def _gate(
    canvas: Canvas, posts: tuple[Point, Point], colour: Colour, is_next: bool, middle: Point
) -> None:
    if is_next:
        canvas.disc(*middle, 0.68, (255, 236, 150, 110))
    canvas.line(posts, 0.05, (255, 255, 255, 120))
    for x, y in posts:
        canvas.disc(x + 0.05, y + 0.08, 0.22, SHADE)
        canvas.disc(x, y, 0.22, (252, 252, 248))
        canvas.disc(x, y, 0.165, colour)
        canvas.line([(x, y), (x, y - 0.56)], 0.05, INK)
        canvas.polygon([(x + 0.02, y - 0.6), (x + 0.46, y - 0.45), (x + 0.02, y - 0.28)], colour)


def _finish(canvas: Canvas, posts: tuple[Point, Point], finished: bool) -> None:
    """A chequered line between two posts with flags; bunting and confetti once it was crossed."""
    (x0, y0), (x1, y1) = posts
    along = atan2(y1 - y0, x1 - x0)
    length = hypot(x1 - x0, y1 - y0)
    for row in range(2):
        for column in range(8):
            u, v = length * column / 8, 0.12 * row - 0.12
            cell = [(u, v), (u + length / 8, v), (u + length / 8, v + 0.12), (u, v + 0.12)]
            dark = (row + column) % 2
            canvas.polygon(turned(cell, x0, y0, along), INK if dark else (252, 252, 248))
    for x, y in posts:
        canvas.disc(x + 0.04, y + 0.06, 0.19, SHADE)
        canvas.disc(x, y, 0.19, (252, 252, 248))
        canvas.disc(x, y, 0.13, PASSED if finished else INK)
        canvas.line([(x, y), (x, y - 0.6)], 0.045, INK)
        for row in range(2):
            for column in range(3):
                left, top = x + 0.02 + 0.13 * column, y - 0.62 + 0.13 * row
                colour = (INK, (252, 252, 248))[(row + column) % 2]
                canvas.box(
                    left,
                    top,
                    left + 0.13,
                    top + 0.13,
                    PASSED if finished and colour == INK else colour,
                )
    if finished:
        x, y = (x0 + x1) / 2, (y0 + y1) / 2
        for number in range(26):
            angle, far = 2.4 * number, 0.55 + 0.04 * number
            at = (x + far * cos(angle), y + 0.75 * far * sin(angle))
            colour = (STRIPE, NEXT, PASSED, (58, 108, 186))[number % 4]
            canvas.polygon(
                turned(
                    [(-0.07, -0.035), (0.07, -0.035), (0.07, 0.035), (-0.07, 0.035)],
                    *at,
                    1.3 * number,
                ),
                colour,
            )


def _boat(canvas: Canvas, race: Race) -> None:
    x, y, heading, way = race.x, race.y, race.heading, race.speed

    def at(points: list[Point]) -> list[Point]:
        return turned(points, x, y, heading)

    if way > 0.05:
        for side in (-1, 1):
            wake = [
                (-0.3, 0.16 * side),
                (-0.45 - 1.0 * way, (0.2 + 0.22 * way) * side),
                (-0.45 - 0.85 * way, (0.12 + 0.14 * way) * side),
            ]
            canvas.polygon(at(wake), (*FOAM, 170))
        canvas.polygon(at([(-0.35, -0.1), (-0.5 - 0.6 * way, 0.0), (-0.35, 0.1)]), (*FOAM, 210))
        canvas.polygon(at([(0.62, 0.0), (0.3, 0.27), (0.36, 0.16)]), (*FOAM, 200))
        canvas.polygon(at([(0.62, 0.0), (0.3, -0.27), (0.36, -0.16)]), (*FOAM, 200))
    hull = _hull(0.56, 0.25)
    canvas.polygon(turned(hull, x + 0.05, y + 0.08, heading), SHADE)
    canvas.polygon(at(hull), (250, 248, 240))
    canvas.polygon(at(_hull(0.5, 0.205)), HULL)
    canvas.polygon(at(_hull(0.45, 0.165)), DECK)
    canvas.polygon(at([(-0.36, -0.1), (-0.12, -0.13), (-0.12, 0.13), (-0.36, 0.1)]), (176, 126, 80))
    canvas.disc(*at([(-0.27, 0.0)])[0], 0.09, (58, 108, 186))
    canvas.disc(*at([(-0.26, 0.0)])[0], 0.055, (244, 204, 172))
    _sails(canvas, x, y, heading)


def _sails(canvas: Canvas, x: float, y: float, heading: float) -> None:
    """The wind blows from the north-west; the sails swing out to the other side."""
    lee = 1.0 if sin(pi / 4 - heading) > 0 else -1.0
    angle = heading + pi - 0.55 * lee  # of the boom, from the mast
    mast = turned([(0.2, 0.0)], x, y, heading)[0]
    belly = [(0.7 * t, -lee * 0.3 * sin(pi * t) ** 0.8) for t in _TENTHS]
    jib = [(0.0, 0.0), *((0.42 * t - 0.04, lee * 0.22 * sin(pi * t)) for t in _TENTHS)]
    canvas.polygon(turned(belly, mast[0] + 0.07, mast[1] + 0.11, angle), SHADE)
    canvas.polygon(turned(jib, *mast, heading), (246, 240, 226))
    canvas.polygon(turned(belly, *mast, angle), SAIL)
    stripe = [belly[4], belly[6], (0.44, -lee * 0.0), (0.26, -lee * 0.0)]
    canvas.polygon(turned(stripe, *mast, angle), STRIPE)
    canvas.line(turned([(0.0, 0.0), (0.72, 0.0)], *mast, angle), 0.04, HULL)
    canvas.disc(*mast, 0.05, INK)


_TENTHS = [number / 10 for number in range(11)]


def _hull(length: float, half: float) -> list[Point]:
    """Pointed at the bow, broad amidships, cut off at the stern."""
    side = [(-0.8, 0.62), (-0.45, 0.9), (0.0, 1.0), (0.4, 0.78), (0.75, 0.36), (1.0, 0.0)]
    right = [(length * u, half * v) for u, v in side]
    return right + [(u, -v) for u, v in reversed(right[:-1])]
