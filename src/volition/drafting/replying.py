"""A live model's reply, kept in a document before anything reads it, and read strictly."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import Field, dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from volition.drafting.draft import GivenReply
from volition.drafting.request import outline
from volition.drafting.strict import Unreadable
from volition.errors import InputError, JudgeUnavailable
from volition.judges.live.judge import LiveJudge
from volition.judges.live.probe import Trial
from volition.judges.prompt import Prompt
from volition.judges.settings import JudgeSettings
from volition.judges.writing import write
from volition.judgment import Failure, Reply


class Written(Protocol):
    """A document that replies are kept in: a dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    @property
    def spent_usd(self) -> float: ...

    @property
    def replies(self) -> tuple[GivenReply, ...]: ...


Document = TypeVar("Document", bound=Written)
Meant = TypeVar("Meant")


@dataclass(frozen=True, slots=True)
class Replies(Generic[Document]):
    """The replies in a document on disk.

    Attributes:
        file: Of the document.
        open: Reads it.
        save: Writes it, whole or not at all.
        version: Of the words in which is asked.
    """

    file: Path
    open: Callable[[Path], Document]
    save: Callable[[Path, Document], None]
    version: str

    def have_written(
        self, judges: Sequence[LiveJudge], prompt: Prompt, settings: JudgeSettings
    ) -> None:
        """Asks for a reply. What it may cost is on disk before, and it before anything reads it.

        Args:
            judges: The ways of asking, as of `writers`.
            prompt: What is put.
            settings: How long is waited, and what all may cost.

        Raises:
            InputError: The money does not suffice.
            JudgeUnavailable: The model cannot be asked.
            Interrupted: Ctrl-C was pressed.
        """
        folder = self.file.parent
        trial = Trial(settings.patience, settings.max_usd, self.open(folder).spent_usd)

        def reserve(spent_usd: float) -> None:
            self.save(folder, replace(self.open(folder), spent_usd=spent_usd))

        def keep(judge: LiveJudge, reply: Reply, spent_usd: float) -> None:
            raw = reply.raw.encode("utf-8", "replace").decode()  # half a surrogate pair is no text
            settings = {**judge.identity.settings, "prompt": self.version}
            before = self.open(folder)
            replies = (*before.replies, GivenReply(judge.name, raw, settings))
            self.save(folder, replace(before, replies=replies, spent_usd=spent_usd))

        write(judges, prompt, outline(prompt), trial, reserve, keep)

    def read(self, judge: LiveJudge, meaning: Callable[[str], Meant]) -> Meant:
        """What the last reply means.

        Args:
            judge: Who is to have written it.
            meaning: Reads its text, or raises `Unreadable`.

        Raises:
            InputError: Somebody else wrote it.
            JudgeUnavailable: It cannot be used, which is kept beside it.
        """
        folder = self.file.parent
        document = self.open(folder)
        came = document.replies[-1]
        if came.writer != judge.name:
            raise InputError(
                f"{folder} holds a reply of {came.writer} that was not read yet: name it with "
                "--judge"
            )
        text = judge.text(Reply("", came.raw))
        try:
            if isinstance(text, Failure):
                raise Unreadable(f"{text.kind}: {text.message}")
            return meaning(text)
        except Unreadable as faults:
            told = "; ".join(str(faults).splitlines())
            marked = (*document.replies[:-1], replace(came, fault=told))
            self.save(folder, replace(document, replies=marked))
            raise JudgeUnavailable(
                f"{came.writer} wrote nothing that can be used: {told}; its reply is kept in "
                f"{self.file}, and the same command asks once more"
            ) from None
