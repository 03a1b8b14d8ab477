"""The page of verdicts that a person looks through before they overrule some of them."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from volition.comparison import Frame, encode_png
from volition.evidence.report.page import read_source, template
from volition.judges.prompt import legible
from volition.judges.sheets import storyboard
from volition.run.correcting.looking import FORM, MODEL, PAGE, Verdicts, open_verdicts
from volition.storage.files import write_whole
from volition.storage.pictures import read_frame
from volition.storage.store import FRAMES


@dataclass(frozen=True, slots=True)
class ShownPair:
    """A pair as the page shows it: what was said, and both pictures as PNG in base64."""

    number: int
    choice: str
    by: str
    principle: str | None
    judged: bool
    a: str
    b: str


def write_page(folder: Path) -> Path:
    """Writes verdicts.html into a folder that `write_verdicts` wrote; returns its path.

    Raises:
        InputError: It is no such folder.
        StoreError: A picture is missing.
    """
    verdicts = open_verdicts(folder)
    pairs = [
        ShownPair(
            int(number),
            said.choice,
            said.by,
            said.principle,
            said.by != MODEL,
            _picture(folder, verdicts, said.a),
            _picture(folder, verdicts, said.b),
        )
        for number, said in verdicts.said.items()
    ]
    page = template("verdicts.html").render(
        verdicts=verdicts,
        pairs=pairs,
        clips=len(verdicts.steps) > 1,
        folder=folder,
        form=FORM,
        style=Markup(read_source("report.css")),
    )
    write_whole(folder / PAGE, page)
    return folder / PAGE


def _picture(folder: Path, verdicts: Verdicts, frame_ids: tuple[str, ...]) -> str:
    frames = [read_frame(folder / FRAMES / f"{frame_id}.png") for frame_id in frame_ids]
    frame = frames[0]
    if len(frames) > 1:
        height, width = frame.pixels.shape[:2]
        frame = storyboard(frames, verdicts.steps, (width, height))
    return base64.b64encode(encode_png(_enlarged(frame).pixels)).decode()


def _enlarged(frame: Frame) -> Frame:
    """A small picture as large as a person can see; no other is changed."""
    return legible(frame) if max(frame.pixels.shape[:2]) < 160 else frame
