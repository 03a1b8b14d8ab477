"""The page of a judge's certificate."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from volition.certifying.card import NONE, PAGE, Certificate, read_certificate
from volition.certifying.counting import Share
from volition.certifying.grading import TOLD
from volition.certifying.putting.offline import AGAIN, told
from volition.evidence.report.page import digest_source, read_source, template
from volition.storage.files import write_whole

MEANT = {
    "GREEN": "Fit to judge this goal, as far as this shows.",
    "AMBER": "Go on with what is said below in mind.",
    "RED": "Do not train on it.",
}


@dataclass(frozen=True, slots=True)
class Row:
    """A share in a table: what it is of, and what to hold it against."""

    name: str
    note: str
    share: Share


def write_page(folder: Path) -> Path:
    """Writes FOLDER/certificate.html of its certificate.json; returns its path.

    Raises:
        RunError: There is no certificate, or it was changed.
    """
    certificate = read_certificate(folder)
    script = read_source("report.js")
    page = template("certificate.html").render(
        card=certificate,
        meant=MEANT[certificate.verdict],
        simulated=certificate.simulated,
        consistency=_consistency(certificate),
        probes=[
            Row(probe.name, probe.skipped or _of_probe(probe.name), probe.passed)
            for probe in certificate.probes
        ],
        promises=[told(guarantee) for guarantee in certificate.guarantees],
        again=AGAIN if (folder / AGAIN).is_file() else "",
        style=Markup(read_source("report.css")),
        script=Markup(script),
        script_hashes=f"'sha256-{digest_source(script)}'",
    )
    write_whole(folder / PAGE, page)
    return folder / PAGE


def _consistency(card: Certificate) -> list[Row]:
    return [
        Row(
            "The same choice in both orders", "of the pairs that were put in both", card.consistent
        ),
        Row("What was shown first was chosen", "half is no bias", card.chose_first),
        Row("The same answer, asked again", "in the same order", card.repeated or NONE),
        Row("Choices that go in a circle", "of three states; a quarter is chance", card.cycles),
    ]


def _of_probe(name: str) -> str:
    return "shown, and not in the verdict" if name in TOLD else "answered as it must be"
