"""What is put to a judge: how a state is seen, what covers an environment, what is worth asking."""

from typing import Literal

Querying = Literal["information", "disagreement", "uniform"]
"""How comparisons are chosen once a reward model has learned: by what they would tell (BALD), by
how much its members disagree, or any."""
