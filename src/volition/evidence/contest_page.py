"""The page of a comparison of two policies: every pair on film, and what was said of it."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from volition.evidence.report.page import digest_source, read_source, template


@dataclass(frozen=True, slots=True)
class ShownPair:
    """One pair.

    Attributes:
        seed: From which both environments were reset.
        film: H.264 in MP4, A on the left.
        preferred: A, B or tie, over all answers; None where there is none.
        said: Of each answer the probability of A, the side that was shown first, the principle
            under which it was asked (empty where there was none), and the reply as it came.
    """

    seed: int
    film: bytes
    preferred: str | None
    said: tuple[tuple[float, str, str, str], ...]

    @property
    def encoded(self) -> str:
        return base64.b64encode(self.film).decode()


def render_comparison(
    result: Mapping[str, Any], pairs: Sequence[ShownPair], trained_on: Sequence[str]
) -> bytes:
    """The page, with everything that it shows inside it."""
    script = read_source("report.js")
    page = template("comparison.html").render(
        result=result,
        pairs=pairs,
        trained_on=trained_on,
        simulated=result["simulated"],
        style=Markup(read_source("report.css")),
        script=Markup(script),
        script_hash=f"'sha256-{digest_source(script)}'",
    )
    return page.encode()
