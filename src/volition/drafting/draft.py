"""A draft: what somebody made of a wish in one environment, and whether a person approved it.

    task.toml           the environment and the goal in one sentence
    constitution.txt    principles and vetoes, for a person to edit
    draft.json          the wish, the pictures, who wrote what of which of them, what was approved
    pictures/           what was shown, by number
    pictures.png        the same on one page, as it was shown
    check/              what was asked of the principles, each by itself
    draft.html          principles beside pictures

A draft is a task folder that nothing trains on before it is approved, as it stands then.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import tomli_w

from volition.comparison import Frame, content_id, encode_png
from volition.drafting.consistency import Check
from volition.errors import InputError, RunError
from volition.goal import VETO, Goal, hidden_sign
from volition.storage.documents import read_document, write_document
from volition.storage.files import is_free, new_folder, write_whole
from volition.storage.pictures import read_frame
from volition.tasks.numbers import shown
from volition.tasks.task import TASK_FILE, Task

DRAFT_FILE, CONSTITUTION = "draft.json", "constitution.txt"
PICTURES, PAGE_OF_PICTURES, PAGE = "pictures", "pictures.png", "draft.html"
VERSION = 1  # of draft.json
LONGEST_WISH = 4000  # characters


@dataclass(frozen=True, slots=True)
class Sentence:
    """A principle or a veto.

    Attributes:
        picture: The number of the picture that made its writer think of it.
        why: In a few words.
    """

    text: str
    picture: int
    why: str


@dataclass(frozen=True, slots=True)
class Proposal:
    """What a wish means in one environment.

    Attributes:
        goal: In one sentence.
        questions: Which the wish leaves open, to the person whose wish it is.
    """

    goal: str
    principles: tuple[Sentence, ...]
    vetoes: tuple[Sentence, ...]
    questions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Subject:
    """What is drafted about: drafts of another subject are other drafts.

    Attributes:
        wish: In a person's words.
        task: What task.toml says beside the goal.
        view: What is shown of the environment, as it was found.
        count: How many pictures were wanted.
        seed: Of which ones.
    """

    wish: str
    task: Mapping[str, Any]
    view: Mapping[str, Any]
    count: int
    seed: int


@dataclass(frozen=True, slots=True)
class GivenReply:
    """A reply, as it came.

    Attributes:
        writer: Who wrote, such as `openai:gpt-6-luna`, or whoever it was without a connection.
        settings: All that the reply depends on.
        raw: Byte for byte as text.
        fault: Why it cannot be used; empty where it can, or was not read yet.
    """

    writer: str
    raw: str
    settings: Mapping[str, str] = field(default_factory=dict)
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Draft:
    """All that is known of a draft.

    Attributes:
        shown: What was shown, by the digests of the pictures in the order of their numbers.
        request: The version of the words in which it was asked for.
        spent_usd: US dollars; a request that is under way counts as much as it may cost at most.
        replies: All that came; of the last one is the proposal.
        approved: The digest of the goal that a person approved; empty where nobody did.
        check: What a few judgments said of the principles, where they were asked for.
        version: Of this document.
    """

    subject: Subject
    shown: tuple[str, ...]
    request: str
    spent_usd: float = 0.0
    replies: tuple[GivenReply, ...] = ()
    proposal: Proposal | None = None
    approved: str = ""
    check: Check | None = None
    version: int = VERSION

    @property
    def writer(self) -> str:
        """Who wrote the proposal; empty where there is none yet."""
        return self.replies[-1].writer if self.proposal else ""

    @property
    def unread(self) -> GivenReply | None:
        """The reply that came and was not read, if there is one."""
        last = self.replies[-1] if self.replies else None
        return last if last and self.proposal is None and not last.fault else None


def subject_of(task: Task, wish: str, count: int, seed: int) -> Subject:
    """What is drafted about: the task's environment and whatever is the same for every goal there.

    Args:
        task: Its view is what is shown. Its goal is left out, and its judgments, which are of that.
        wish: In a person's words.
        count: How many pictures are shown.
        seed: Of which ones.

    Raises:
        InputError: The wish says nothing, too much, or what is no text.
    """
    if not wish.strip():
        raise InputError("--goal says nothing: what is wished for?")
    if len(wish) > LONGEST_WISH:
        raise InputError(f"--goal has {len(wish):,} characters, and may have {LONGEST_WISH:,}")
    if any("\ud800" <= sign <= "\udfff" for sign in wish):
        raise InputError(f"--goal is not UTF-8 text: {shown(wish)}")
    if sign := hidden_sign(" ".join(wish.replace("\t", " ").splitlines())):
        raise InputError(
            f"--goal holds the sign U+{ord(sign):04X}, which nobody sees: leave it out of "
            f"{shown(wish)}"
        )
    kept = {"name", "environment", *({"reward", "training"} & task.model_fields_set)}
    document = task.model_dump(mode="json", include=kept, exclude_none=True, exclude_unset=True)
    document["name"] = task.name.removesuffix(f"-{task.chosen}")
    if task.goal.truth is not None and task.goal.text.strip() == wish.strip():
        document["goal"] = {"truth": task.goal.truth}  # evaluation measures the wish, not the draft
    return Subject(wish.strip(), document, task.view.model_dump(mode="json"), count, seed)


# The folder ----------------------------------------------------------------------------------


def is_draft(folder: Path) -> bool:
    """Whether that is a draft's folder, finished or not."""
    return (folder / DRAFT_FILE).is_file()


def begin(folder: Path, draft: Draft, pictures: Sequence[Frame], page: bytes) -> None:
    """Writes the new folder of a draft to which nobody has replied: all of it, or nothing.

    Args:
        folder: To be written.
        draft: What it is about.
        pictures: What is shown, in the order of the numbers.
        page: The same on one page, as PNG.

    Raises:
        InputError: The folder is there already.
        RunError: It cannot be written.
    """
    if not is_free(folder):
        raise InputError(f"{folder} is there already: choose another folder")
    with new_folder(folder) as partial:
        (partial / PICTURES).mkdir()
        for number, picture in enumerate(pictures, start=1):
            path = partial / PICTURES / picture_name(number)
            path.write_bytes(encode_png(picture.pixels))
        (partial / PAGE_OF_PICTURES).write_bytes(page)
        save(partial, draft)


def picture_name(number: int) -> str:
    return f"{number:02}.png"


def save(folder: Path, draft: Draft) -> None:
    """Writes draft.json, whole or not at all."""
    write_document(folder / DRAFT_FILE, draft)


def open_draft(folder: Path) -> Draft:
    """The draft in a folder.

    Raises:
        InputError: There is none.
        RunError: It is damaged, or of a newer version than this one.
    """
    if not is_draft(folder):
        raise InputError(f"{folder} holds no {DRAFT_FILE}: it is not a draft")
    draft = read_document(folder / DRAFT_FILE, Draft)
    if draft.version != VERSION:
        raise RunError(
            f"{folder / DRAFT_FILE} is of version {draft.version}, and this program reads "
            f"version {VERSION}"
        )
    return draft


def read_pictures(folder: Path, draft: Draft) -> list[Frame]:
    """What was shown, in the order of the numbers.

    Raises:
        StoreError: One is missing, or no picture.
        RunError: One is not as it was shown.
    """
    pictures = []
    for number, digest in enumerate(draft.shown, start=1):
        path = folder / PICTURES / picture_name(number)
        picture = read_frame(path)
        if picture.id != digest:
            raise RunError(f"{path} is not as it was shown: restore it from a copy")
        pictures.append(picture)
    return pictures


def finish(folder: Path, draft: Draft, proposal: Proposal) -> Draft:
    """Writes what the last reply proposes as a task that nobody has approved."""
    done = replace(draft, proposal=proposal)
    write_whole(folder / CONSTITUTION, written_constitution(done.writer, proposal))
    known = draft.subject.task
    goal = {"text": proposal.goal, "constitution": CONSTITUTION, "together": True}
    document = {**known, "goal": {**goal, **known.get("goal", {})}}
    write_whole(folder / TASK_FILE, tomli_w.dumps(document))
    save(folder, done)
    return done


def written_constitution(writer: str, proposal: Proposal) -> str:
    """The file that a person edits: every sentence below the picture that led to it, and why."""
    lines = [
        f"# Drafted by {writer}. One principle a line; what begins with veto: may never happen.",
        "# Change, add and strike out whatever you like. Then approve it.",
    ]
    told = [("", sentence) for sentence in proposal.principles]
    told += [(f"{VETO} ", sentence) for sentence in proposal.vetoes]
    for mark, sentence in told:
        because = f": {sentence.why}" if sentence.why else ""
        lines += ["", f"# picture {sentence.picture}{because}", f"{mark}{sentence.text}"]
    return "\n".join(lines) + "\n"


# Approval ------------------------------------------------------------------------------------


def approve(folder: Path) -> Goal:
    """Notes that a person approves the goal as it stands in the folder; returns it.

    Raises:
        InputError: The draft is unfinished, or task.toml or constitution.txt are wrong, or hold
            what nobody sees.
    """
    check_finished(folder)
    draft, task = open_draft(folder), Task.read(folder)
    goal = task.goal_in_parts()
    for file, text in (
        (TASK_FILE, goal.text),
        *((CONSTITUTION, sentence) for sentence in (*goal.principles, *goal.vetoes)),
    ):
        if sign := hidden_sign(" ".join(text.splitlines())):
            raise InputError(
                f"{folder / file} holds the sign U+{ord(sign):04X}, which nobody sees, so that it "
                f"is not what a person reads: take it out of {shown(text)}"
            )
    save(folder, replace(draft, approved=_digest(task)))
    return goal


def check_finished(folder: Path) -> None:
    """That a folder is no draft to which nobody has replied yet.

    Raises:
        InputError: It is.
    """
    if is_draft(folder) and open_draft(folder).proposal is None:
        raise InputError(f"{folder} is an unfinished draft: nobody has written one yet")


def is_approved(folder: Path) -> bool:
    """Whether a person approved the goal of a finished draft as it stands in the folder now."""
    return open_draft(folder).approved == _digest(Task.read(folder))


def check_approved(task: Task) -> None:
    """That a task is no draft, or one that a person approved as it stands.

    Raises:
        InputError: It is, and nobody did.
    """
    if not (task.is_file and is_draft(task.folder)):
        return
    approved, folder = open_draft(task.folder).approved, task.folder
    if not approved:
        raise InputError(
            f"{folder} is a draft that nobody has approved: read and edit {folder / CONSTITUTION}, "
            f"then `volition draft {folder} --approve`"
        )
    if approved != _digest(Task.read(folder, task.chosen)):
        raise InputError(
            f"{folder} was edited after it was approved: approve it again, as it stands now, with "
            f"`volition draft {folder} --approve`"
        )


def _digest(task: Task) -> str:
    """Of all that is approved: the goal and the environment; not of comments, nor of how long is
    trained."""
    goal = task.goal_in_parts()
    pictures = [read_frame(path).id for path in goal.pictures]
    said = {
        "goal": [goal.text, goal.principles, goal.vetoes, task.goal.together, pictures],
        "environment": [task.environment.id, task.environment.kwargs],
    }
    return content_id(json.dumps(said, sort_keys=True).encode())
