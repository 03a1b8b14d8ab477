"""What else a person may mind in an environment, in words: for whoever only counts.

A simulated writer knows these sentences and no others, and a simulated judge what is true under
each. They are many more than anybody plants, and many of them nearly say the same.
"""

from __future__ import annotations

from collections.abc import Mapping

from volition.tasks.truth.base import Rule
from volition.tasks.truth.rules import guest, lamp, regatta

__all__ = ["RULES"]

RULES: Mapping[str, Mapping[str, Rule]] = {
    name: {rule.text: rule for rule in rules}
    for name, rules in (
        ("guest", guest.RULES),
        ("lamp", lamp.RULES),
        ("regatta", regatta.RULES),
    )
}
"""By environment and by their sentences."""
