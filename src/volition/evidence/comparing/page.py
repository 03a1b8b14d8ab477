"""The page of a comparison of two policies: every pair on film, and what was said of it."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from volition.evidence.comparing.result import ContestResult
from volition.evidence.report.page import digest_source, read_source, template


@dataclass(frozen=True, slots=True)
class ShownReply:
    """One answer to a pair.

    Attributes:
        p_a: The probability of A.
        shown_first: Which side was: A or B.
        principle: Under which it was asked; empty where there was none.
        raw: The reply as it came.
    """

    p_a: float
    shown_first: str
    principle: str
    raw: str


@dataclass(frozen=True, slots=True)
class ShownPair:
    """One pair.

    Attributes:
        seed: From which both environments were reset.
        film: H.264 in MP4, A on the left.
        preferred: A, B or tie, over all answers; None where there is none.
        replies: Every answer.
    """

    seed: int
    film: bytes
    preferred: str | None
    replies: tuple[ShownReply, ...]

    @property
    def encoded(self) -> str:
        return base64.b64encode(self.film).decode()


def render_comparison(
    result: ContestResult, pairs: Sequence[ShownPair], trained_on: Sequence[str]
) -> bytes:
    """The page, with everything that it shows inside it."""
    script = read_source("report.js")
    page = template("comparison.html").render(
        result=result,
        pairs=pairs,
        trained_on=trained_on,
        simulated=result.simulated,
        style=Markup(read_source("report.css")),
        script=Markup(script),
        script_hashes=f"'sha256-{digest_source(script)}'",
    )
    return page.encode()
