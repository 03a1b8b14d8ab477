"""The small environments of the tests, by ids that a command line can name: hostile:Odd-NAME-v0."""

import gymnasium

from odd import ODD

for name, kind in ODD.items():
    gymnasium.register(f"Odd-{name}-v0", kind)  # type: ignore[arg-type]
