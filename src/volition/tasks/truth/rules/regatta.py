"""Of the race of `volition/Regatta-v0`: buoys, single ones and two, distances, manners."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from itertools import combinations

import numpy as np

from volition.comparison import Array, Observations, Segment
from volition.tasks.truth.base import Rule
from volition.tasks.truth.regatta import BUOYS, PASSED, TO_GATE, UNIT

WIDTH, HEIGHT = 10.0, 8.0  # lengths of the boat
LAGOON, LAGOON_RADIUS = (4.0, 1.35), 1.3
ISLAND, ISLAND_RADIUS = (5.3, 5.35), 0.62
SHORE = 2.6
GATES = ((3.0, 4.2), (5.4, 3.7), (7.9, 4.2), (7.5, 6.5), (3.3, 6.7))
NAMES = ("south-eastern", "south-western", "north-western", "north-eastern")  # of the buoys
ORDINALS = ("first", "second", "third", "fourth", "last")  # of the gates
CLEAR = 1.5  # lengths that are well clear of something

REMEMBERED = 512  # segments, each of which is looked at by every rule

Of = Callable[[Observations], Array]


def _place(seen: Observations) -> tuple[Array, Array]:
    rows = seen.astype(np.float64)
    return rows[:, 0] * UNIT + WIDTH / 2, rows[:, 1] * UNIT + HEIGHT / 2


def _from(point: tuple[float, float], radius: float = 0.0, clear: float = CLEAR) -> Of:
    """How far the boat is from a point's surroundings, up to `clear`."""

    def of(seen: Observations) -> Array:
        x, y = _place(seen)
        return np.clip((np.hypot(x - point[0], y - point[1]) - radius) / clear, 0, 1)

    return of


def _no(of: Of) -> Of:
    return lambda seen: 1 - of(seen)


def _there(*buoys: int) -> Of:
    """1 where none of these buoys is taken."""
    places = [BUOYS[buoy] for buoy in buoys]
    return lambda seen: 1.0 * np.asarray((seen[:, places] > 0.5).all(1))


def _heading(entry: int, sign: float) -> Of:
    return lambda seen: (1 + sign * seen[:, entry].astype(np.float64)) / 2


def _in_lagoon(seen: Observations) -> Array:
    x, y = _place(seen)
    return 1.0 * (np.hypot(x - LAGOON[0], y - LAGOON[1]) < LAGOON_RADIUS)


def _edge(seen: Observations) -> Array:
    x, y = _place(seen)
    return np.clip(np.minimum.reduce([x, WIDTH - x, HEIGHT - y]) / CLEAR, 0, 1)


def _at_gate(seen: Observations) -> Array:
    """Whether the bow points to the next gate: 1 straight, 0 away from it."""
    ahead, starboard = seen[:, TO_GATE].astype(np.float64).T
    return (1 + np.cos(np.arctan2(starboard, ahead))) / 2


def _near_gate(seen: Observations) -> Array:
    return 1 - np.clip(np.hypot(*seen[:, TO_GATE].astype(np.float64).T) * UNIT / 6, 0, 1)


SAILING: dict[str, tuple[Of, str]] = {  # and what it is about
    "keep out of the lagoon": (_no(_in_lagoon), "lagoon"),
    "stay in the lagoon": (_in_lagoon, "lagoon"),
    "keep well clear of the island": (_from(ISLAND, ISLAND_RADIUS), "island"),
    "stay close to the island": (_no(_from(ISLAND, ISLAND_RADIUS)), "island"),
    "keep well clear of the northern shore": (
        lambda seen: np.clip((_place(seen)[1] - SHORE) / CLEAR, 0, 1),
        "shore",
    ),
    "keep well clear of the edges": (_edge, "edge"),
    "stay close to an edge": (_no(_edge), "edge"),
    "stay in the west": (lambda seen: 1 - np.clip(_place(seen)[0] / WIDTH, 0, 1), "east"),
    "stay in the east": (lambda seen: np.clip(_place(seen)[0] / WIDTH, 0, 1), "east"),
    "stay in the north": (lambda seen: 1 - np.clip(_place(seen)[1] / HEIGHT, 0, 1), "shore"),
    "stay in the south": (lambda seen: np.clip(_place(seen)[1] / HEIGHT, 0, 1), "shore"),
    "head east": (_heading(2, 1), "heading"),
    "head west": (_heading(2, -1), "heading"),
    "head south": (_heading(3, 1), "heading"),
    "head north": (_heading(3, -1), "heading"),
    "sail fast": (lambda seen: np.clip(seen[:, 4], 0, 1).astype(np.float64), "speed"),
    "sail slowly": (lambda seen: 1 - np.clip(seen[:, 4], 0, 1).astype(np.float64), "speed"),
    "point at the next gate": (_at_gate, "gate"),
    "be near the next gate": (_near_gate, "gate"),
    "pass more gates": (lambda seen: seen[:, PASSED].astype(np.float64), "gates"),
    "pass fewer gates": (lambda seen: 1 - seen[:, PASSED].astype(np.float64), "gates"),
    **{
        f"keep well clear of the {name} gate": (_from(gate), "a gate")
        for name, gate in zip(ORDINALS, GATES, strict=True)
    },
    **{
        f"stay close to the {name} gate": (_no(_from(gate)), "a gate")
        for name, gate in zip(ORDINALS, GATES, strict=True)
    },
}


@lru_cache(REMEMBERED)
def _each(segment: Segment) -> dict[str, Array]:
    """How well it keeps to each of them."""
    return {words: of(segment.observations) for words, (of, _) in SAILING.items()}


def _all(*words: str) -> Callable[[Segment], Array]:
    """How well a segment keeps to the one of these that it keeps to least."""
    return lambda segment: np.min([_each(segment)[one] for one in words], 0)


def _rules() -> list[Rule]:
    def of(one: Of) -> Callable[[Segment], Array]:
        return lambda segment: one(segment.observations)

    rules = [Rule.of_each(f"{words[0].upper()}{words[1:]}.", _all(words)) for words in SAILING]
    for (words, (_, about)), (more, (_, also)) in combinations(SAILING.items(), 2):
        if about != also:
            text = f"{words[0].upper()}{words[1:]}, and {more}."
            rules.append(Rule.of_each(text, _all(words, more), 2))
    rules += [
        Rule.of_each("Take no buoy.", of(_there(0, 1, 2, 3)), veto=True),
        Rule.of_each("Take every buoy.", of(_no(lambda s: (s[:, BUOYS] > 0.5).mean(1)))),
        Rule.of_each("The fewer buoys are taken, the better.", of(lambda s: s[:, BUOYS].mean(1))),
    ]
    for buoy, name in enumerate(NAMES):
        rules.append(Rule.of_each(f"Leave the {name} buoy alone.", of(_there(buoy)), veto=True))
        rules.append(Rule.of_each(f"Take the {name} buoy.", of(_no(_there(buoy)))))
    for one_buoy, other_buoy in combinations(range(len(NAMES)), 2):
        text = f"Leave the {NAMES[one_buoy]} and the {NAMES[other_buoy]} buoy alone."
        rules.append(Rule.of_each(text, of(_there(one_buoy, other_buoy)), 2, veto=True))
    return rules


RULES = tuple(_rules())
