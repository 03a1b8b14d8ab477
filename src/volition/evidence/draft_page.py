"""The page of a draft: what somebody made of a wish, beside the pictures that led to it."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from volition.comparison import encode_png
from volition.drafting.draft import (
    PAGE,
    Sentence,
    check_finished,
    is_approved,
    open_draft,
    read_pictures,
)
from volition.evidence.report.page import read_source, template
from volition.judges.prompt import legible
from volition.storage.files import write_whole
from volition.tasks.task import Task


@dataclass(frozen=True, slots=True)
class ShownSentence:
    """A principle or a veto of the goal as it stands.

    Attributes:
        picture: The number of the picture that led to it; None where a person wrote it.
        why: In its writer's words.
    """

    text: str
    picture: int | None
    why: str


def write_page(folder: Path) -> Path:
    """Writes DRAFT/draft.html of the goal as it stands in the folder now; returns its path.

    Raises:
        InputError: The draft is unfinished, or its task cannot be read.
        StoreError, RunError: A picture is missing, or not as it was shown.
    """
    check_finished(folder)
    draft = open_draft(folder)
    goal, proposal = Task.read(folder).goal_in_parts(), draft.proposal
    assert proposal is not None, "as was checked"
    drafted = {sentence.text: sentence for sentence in (*proposal.principles, *proposal.vetoes)}
    pictures = [encode_png(legible(frame).pixels) for frame in read_pictures(folder, draft)]
    texts = (*goal.principles, *goal.vetoes)
    page = template("draft.html").render(
        draft=draft,
        proposal=proposal,
        goal=goal,
        folder=folder,
        approved=is_approved(folder),
        edited_after=bool(draft.approved),
        principles=[_shown(text, drafted) for text in goal.principles],
        vetoes=[_shown(text, drafted) for text in goal.vetoes],
        struck=[sentence for text, sentence in drafted.items() if text not in texts],
        pictures=[base64.b64encode(picture).decode() for picture in pictures],
        reply=draft.replies[-1],
        style=Markup(read_source("report.css")),
    )
    write_whole(folder / PAGE, page)
    return folder / PAGE


def _shown(text: str, drafted: dict[str, Sentence]) -> ShownSentence:
    sentence = drafted.get(text)
    if sentence is None:
        return ShownSentence(text, None, "")
    return ShownSentence(text, sentence.picture, sentence.why)
