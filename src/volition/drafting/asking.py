"""Having a draft written: by a live model at once, or by anybody who is given a folder.

Every step leaves on disk what the next one needs, in this order: the pictures and the wish, what a
request may cost, the reply as it came, what it says. So a draft that is killed at any moment goes
on from there, and nothing that was answered is paid for again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from volition.comparison import Frame, encode_png
from volition.drafting import draft as drafts
from volition.drafting.draft import Draft, GivenReply, Subject, begin, finish, open_draft, save
from volition.drafting.pictures import chosen_pictures, draw_page
from volition.drafting.reply import read_reply
from volition.drafting.replying import Replies
from volition.drafting.request import VERSION, compose, empty_answer, instructions, schema
from volition.drafting.strict import Unreadable, written_in
from volition.errors import InputError
from volition.finding.view import find_view
from volition.judges.live.judge import LiveJudge
from volition.judges.settings import JudgeSettings
from volition.judges.writing import writers
from volition.judging.answers import read_name
from volition.storage.files import exclusively, write_whole
from volition.tasks.task import Task
from volition.tasks.view import JudgeView

ANSWER, README = "answer.json", "README.md"
MOST_TOKENS = 4000  # of what is written

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Wanted:
    """A draft that is wanted.

    Attributes:
        task: Whose environment it is about, and by whose view that is shown.
        wish: In a person's words.
        count: How many pictures are shown.
        seed: Of which ones.
        clip: Whether clips are shown, where the task does not say.
    """

    task: Task
    wish: str
    count: int
    seed: int = 0
    clip: bool = False

    def subject(self) -> Subject:
        view = find_view(self.task, self.clip)[0]
        task = self.task.model_copy(update={"view": view})
        return drafts.subject_of(task, self.wish, self.count, self.seed)


def draft_live(folder: Path, wanted: Wanted, settings: JudgeSettings, tell: Tell) -> Draft:
    """Has a live model write a draft, or goes on with one.

    Args:
        folder: Of the draft; a new one, or one that was begun about the same.
        wanted: What is wanted.
        settings: Who writes, and what that may use.
        tell: Is told what is under way.

    Raises:
        InputError: The judge cannot write, the folder is of something else, or the money does not
            suffice.
        JudgeUnavailable: The judge cannot be asked, or wrote nothing that can be used; what it
            wrote is kept.
        Interrupted: Ctrl-C was pressed.
    """
    judges = writers(settings, schema(), MOST_TOKENS)
    _begun(folder, wanted, tell)
    with exclusively(folder):
        draft = open_draft(folder)
        if draft.proposal is not None:
            return draft
        if draft.unread is None:
            _have_written(folder, judges, settings, tell)
        return _read_live(folder, judges)


def draft_asked(folder: Path, wanted: Wanted, tell: Tell) -> Draft:
    """Writes the request into a folder, for whoever writes without a connection.

    Raises:
        InputError: The folder is there already, and not of the same request.
    """
    _begun(folder, wanted, tell)
    draft = open_draft(folder)
    clips = _shows_clips(draft)
    page = instructions(draft.subject.wish, len(draft.shown), clips)
    write_whole(folder / README, page)
    if not (folder / ANSWER).exists():
        write_whole(folder / ANSWER, empty_answer())
    return draft


def take_answer(path: Path, writer: str) -> tuple[Path, Draft]:
    """Makes a draft of what was written: all of it, or nothing where a fault is in it.

    Args:
        path: The folder of the request, or a file in it.
        writer: Who wrote.

    Returns:
        The folder, and the draft.

    Raises:
        InputError: There is no such folder or file; it is answered otherwise; or a line for each
            fault, with the file, the place and the value.
    """
    file = path / ANSWER if path.is_dir() else path
    folder, name = file.parent, read_name(writer)
    draft = open_draft(folder)
    text = written_in(file)
    if draft.proposal is not None:
        if draft.replies[-1].raw == text and draft.writer == name:
            return folder, draft
        raise InputError(f"{folder} has the draft of {draft.writer} already: ask in another folder")
    try:
        proposal = read_reply(text, len(draft.shown))
    except Unreadable as faults:
        lines = [f"{file}: {line}" for line in str(faults).splitlines()]
        raise InputError("\n".join(lines)) from None
    with exclusively(folder):
        given = (*draft.replies, GivenReply(name, text))
        return folder, finish(folder, replace(draft, replies=given), proposal)


# Beginning -----------------------------------------------------------------------------------


def _begun(folder: Path, wanted: Wanted, tell: Tell) -> None:
    """That the folder holds the pictures and the wish: they are chosen now, or were before."""
    if drafts.is_draft(folder):
        before, subject = open_draft(folder).subject, wanted.subject()
        if before != subject:
            other = "another wish" if before.wish != subject.wish else "the wish shown otherwise"
            raise InputError(
                f"{folder} is a draft of {other} ({before.wish!r:.80}): choose another folder"
            )
        return
    tell(f"choosing {wanted.count} pictures of {wanted.task.environment.id} ...")
    subject = wanted.subject()
    view = JudgeView.model_validate(subject.view)
    pictures = chosen_pictures(wanted.task.environment, view, wanted.count, wanted.seed)
    draft = Draft(subject, tuple(picture.id for picture in pictures), VERSION)
    begin(folder, draft, pictures, encode_png(draw_page(pictures)))


def _shows_clips(draft: Draft) -> bool:
    return draft.subject.view["clip"] is not None


# Live ----------------------------------------------------------------------------------------


def _replies(folder: Path) -> Replies[Draft]:
    return Replies(folder / drafts.DRAFT_FILE, open_draft, save, VERSION)


def _have_written(
    folder: Path, judges: list[LiveJudge], settings: JudgeSettings, tell: Tell
) -> None:
    draft = open_draft(folder)
    pictures = drafts.read_pictures(folder, draft)
    page = Frame(draw_page(pictures))
    prompt = compose(draft.subject.wish, page, len(pictures), _shows_clips(draft))
    tell(f"asking {settings.judge} what the wish means here ...")
    _replies(folder).have_written(judges, prompt, settings)


def _read_live(folder: Path, judges: list[LiveJudge]) -> Draft:
    """What the reply on disk proposes."""
    draft = open_draft(folder)
    proposal = _replies(folder).read(judges[0], lambda text: read_reply(text, len(draft.shown)))
    return finish(folder, draft, proposal)
