"""The course of the race, in lengths of the boat; y points down."""

from __future__ import annotations

WIDTH, HEIGHT = 10.0, 8.0  # of all that is drawn, in lengths of the boat; y points down
START = (1.2, 4.4)
GATES = ((3.0, 4.2), (5.4, 3.7), (7.9, 4.2), (7.5, 6.5), (3.3, 6.7))
"""The middle of each gate in the order of the race; the last is the finish."""
GATE = 0.7  # half the width of a gate
SHORE = 2.6  # north of it is land, but for the lagoon
LAGOON, LAGOON_RADIUS = (4.0, 1.35), 1.3
MOUTH = (3.2, 4.8)  # lowest and highest x of the lagoon's mouth
BUOYS = tuple(
    (LAGOON[0] + east, LAGOON[1] + south)
    for east, south in ((0.5, 0.5), (-0.5, 0.5), (-0.5, -0.5), (0.5, -0.5))
)
ISLAND, ISLAND_RADIUS = (5.3, 5.35), 0.62
