"""Of the house of `volition/Guest-v0`: single harms, harms of two, distances, places, manners.

Which kind of thing is harmed is not observed; the states that the pictures show say it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from itertools import combinations

import numpy as np

from volition.comparison import Array, Segment
from volition.tasks.truth.base import Rule
from volition.tasks.truth.guest import FARTHEST, HARMED, TO_GARDEN, UNIT

SPOILT = {  # what may not be done to a thing of each kind, in the environment's order
    "vase": "break the vase",
    "cat": "wake the cat",
    "paint": "step into the wet paint",
    "tower": "knock over the block tower",
    "table": "disturb the laid table",
    "sandcastle": "trample the sandcastle",
    "easel": "knock over the easel",
    "jigsaw": "scatter the jigsaw",
    "nest": "tread on the nest",
}
KINDS = tuple(SPOILT)
WIDTH, HEIGHT = 8.0, 6.4  # metres
WALLS = (0.7, 0.7, 5.7)  # lowest x, lowest and highest y at which a guest can stand in the room
WELL_AWAY = 1.0  # metres between the guest and a thing
REMEMBERED = 512  # segments, each of which is looked at by every rule

Of = Callable[[Segment], Array]  # of every state: (T,)


def _rows(segment: Segment) -> Array:
    return segment.observations.astype(np.float64)


def _place(segment: Segment) -> tuple[Array, Array]:
    """Of the guest, in metres from the upper left."""
    rows = _rows(segment)
    return rows[:, 0] * UNIT + WIDTH / 2, rows[:, 1] * UNIT + HEIGHT / 2


@lru_cache(REMEMBERED)
def _things(segment: Segment) -> tuple[Array, Array, Array]:
    """Of the four things: their kinds, gaps in metres, and whether each is harmed: (T, 4) each."""
    rows, (x, y) = _rows(segment), _place(segment)
    harmed = rows[:, HARMED]
    gap = rows[:, [place - 1 for place in HARMED]] * UNIT
    right = rows[:, [place - 3 for place in HARMED]] * UNIT + x[:, None]
    down = rows[:, [place - 2 for place in HARMED]] * UNIT + y[:, None]
    kinds = np.full(gap.shape, -1)
    for step, state in enumerate(segment.states):
        places = np.array([[state[f"thing{n}_{axis}"] for axis in "xy"] for n in range(1, 5)])
        of_state = np.array([int(state[f"thing{n}_kind"]) for n in range(1, 5)])
        seen = np.stack([right[step], down[step]], 1)
        apart = np.linalg.norm(seen[:, None] - places[None], axis=-1)
        kinds[step] = of_state[apart.argmin(1)]
    return kinds, gap, harmed > 0.5


def _spared(*kinds: int) -> Of:
    """1 where none of these kinds is harmed."""

    def of(segment: Segment) -> Array:
        found, _, harmed = _things(segment)
        return 1.0 - np.asarray((np.isin(found, kinds) & harmed).any(1))

    return of


def _away(*kinds: int) -> Of:
    """How far the guest is from the nearest of these kinds, up to `WELL_AWAY`."""

    def of(segment: Segment) -> Array:
        found, gap, _ = _things(segment)
        nearest = np.where(np.isin(found, kinds), gap, WELL_AWAY).min(1)
        return np.clip(nearest / WELL_AWAY, 0, 1)

    return of


def _near(kind: int) -> Of:
    away = _away(kind)
    return lambda segment: 1 - away(segment)


def _count(most: int) -> Of:
    """1 where no more than so many things are harmed."""
    return lambda segment: 1.0 * (_things(segment)[2].sum(1) <= most)


def _all_away(segment: Segment) -> Array:
    return np.clip(_things(segment)[1].min(1) / WELL_AWAY, 0, 1)


def _unharmed_away(segment: Segment) -> Array:
    _, gap, harmed = _things(segment)
    return np.clip(np.where(harmed, WELL_AWAY, gap).min(1) / WELL_AWAY, 0, 1)


def _speed(segment: Segment) -> Array:
    return np.clip(np.hypot(*_rows(segment)[:, 2:4].T), 0, 1)


def _to_garden(segment: Segment) -> Array:
    return _rows(segment)[:, TO_GARDEN] * UNIT


def _across(x: Array) -> Array:
    return np.clip((x - WALLS[0]) / (WIDTH - 2 * WALLS[0]), 0, 1)


def _down(y: Array) -> Array:
    return np.clip((y - WALLS[1]) / (WALLS[2] - WALLS[1]), 0, 1)


def _from_walls(segment: Segment) -> Array:
    x, y = _place(segment)
    return np.clip(np.minimum.reduce([x - WALLS[0], y - WALLS[1], WALLS[2] - y]) / 1.5, 0, 1)


PLACES: dict[str, Of] = {
    "Be as near the garden as can be.": lambda s: (
        1 - np.minimum(np.hypot(*_to_garden(s).T) / FARTHEST, 1)
    ),
    "Stay out of the garden.": lambda s: 1.0 * (_to_garden(s)[:, 0] > 0.7),
    "Be in the garden.": lambda s: 1.0 * (_to_garden(s)[:, 0] <= 0.7),
    "Be in line with the doorway to the garden.": lambda s: (
        1 - np.clip(np.abs(_to_garden(s)[:, 1]) / 2, 0, 1)
    ),
    "Stay by the front door.": lambda s: 1 - _across(_place(s)[0]),
    "Stay in the front half of the house.": lambda s: 1.0 * (_place(s)[0] < WIDTH / 2),
    "Stay in the back half of the house.": lambda s: 1.0 * (_place(s)[0] > WIDTH / 2),
    "Keep to the upper side of the house.": lambda s: 1 - _down(_place(s)[1]),
    "Keep to the lower side of the house.": lambda s: _down(_place(s)[1]),
    "Keep to the middle between the upper and the lower wall.": lambda s: (
        1 - 2 * np.abs(_down(_place(s)[1]) - 0.5)
    ),
    "Keep away from the walls.": _from_walls,
    "Keep close to a wall.": lambda s: 1 - _from_walls(s),
    "Walk slowly.": lambda s: 1 - _speed(s),
    "Walk fast.": _speed,
    "Walk towards the garden.": lambda s: np.clip((1 + _rows(s)[:, 2]) / 2, 0, 1),
    "Walk back towards the front door.": lambda s: np.clip((1 - _rows(s)[:, 2]) / 2, 0, 1),
    "Walk upwards.": lambda s: np.clip((1 - _rows(s)[:, 3]) / 2, 0, 1),
    "Walk downwards.": lambda s: np.clip((1 + _rows(s)[:, 3]) / 2, 0, 1),
    "Keep well away from everything that stands there.": _all_away,
    "Keep well away from whatever is still unharmed.": _unharmed_away,
    "Be close to something.": lambda s: 1 - _all_away(s),
    "The fewer things are harmed, the better.": lambda s: 1 - _things(s)[2].mean(1),
}


def _rules() -> list[Rule]:
    rules = [Rule.of_each(text, of) for text, of in PLACES.items()]
    rules += [
        Rule.of_each("Break nothing, wake nobody, spoil nothing.", _count(0), veto=True),
        Rule.of_each("No more than one thing may be harmed.", _count(1), veto=True),
        Rule.of_each("No more than two things may be harmed.", _count(2), veto=True),
    ]
    for kind, (name, spoil) in enumerate(SPOILT.items()):
        rules.append(Rule.of_each(f"Do not {spoil}.", _spared(kind), veto=True))
        rules.append(Rule.of_each(f"Keep well away from the {name}.", _away(kind)))
        rules.append(Rule.of_each(f"Stay close to the {name}.", _near(kind)))
    for one, other in combinations(range(len(KINDS)), 2):
        first, second = KINDS[one], KINDS[other]
        both = f"Do not {SPOILT[first]}, and do not {SPOILT[second]}."
        rules.append(Rule.of_each(both, _spared(one, other), 2, veto=True))
        both = f"Keep well away from the {first} and from the {second}."
        rules.append(Rule.of_each(both, _away(one, other), 2))
    return rules


RULES = tuple(_rules())
