"""A draft in short, for whoever goes on with it by a script."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from volition.drafting.consistency import Check
from volition.drafting.draft import PAGE, DraftedStage, Sentence, is_approved, open_draft


@dataclass(frozen=True, slots=True)
class Summary:
    """A draft, as the last line of standard output has it.

    Attributes:
        draft: Its folder.
        judge: Who wrote; empty where nobody has yet, as are all that follow.
        page: To look at.
    """

    draft: str
    wish: str
    environment: str
    judge: str
    cost_usd: float
    approved: bool
    page: str = ""
    goal: str = ""
    principles: tuple[Sentence, ...] = ()
    vetoes: tuple[Sentence, ...] = ()
    questions: tuple[str, ...] = ()
    check: Check | None = None
    stages: tuple[DraftedStage, ...] = ()


def summary(folder: Path) -> Summary:
    """Of the draft in a folder, as it was written.

    Raises:
        VolitionError: There is none, or it is damaged.
    """
    draft = open_draft(folder)
    environment: str = draft.subject.task["environment"]["id"]
    known = str(folder), draft.subject.wish, environment, draft.writer, draft.spent_usd
    said = draft.proposal
    if said is None:
        return Summary(*known, approved=False)
    return Summary(
        *known,
        is_approved(folder),
        str(folder / PAGE),
        said.goal,
        said.principles,
        said.vetoes,
        said.questions,
        draft.check,
        said.stages,
    )
