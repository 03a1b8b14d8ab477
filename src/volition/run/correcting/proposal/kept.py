"""A proposal on disk, in its run: `proposals/ID`, the id being that of all that it is about.

    proposal.json    what it is about, what was shown, every reply as it came, what it proposes
    pages/           what was shown
    judgments.jsonl  what a person overruled, and stood.jsonl: what they let stand
    frames/          and observations/: the pictures that these name
    check/           what was asked of the overruled pairs by the proposal alone

Every step leaves on disk what the next one needs, in this order: the pages; what a request may
cost; the reply as it came; what it says. So what is killed goes on, and nothing is asked twice.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from volition.comparison import Frame, Segment, content_id
from volition.drafting.draft import GivenReply
from volition.drafting.pictures import as_shown, draw_page
from volition.envs.scene import scenes_of
from volition.errors import InputError, RunError
from volition.goal import Change
from volition.judges.sheets import NumberedPair, draw_sheets, pairs_on_a_sheet
from volition.judging.folders import Row
from volition.judging.recordings import HUMAN, JUDGMENTS_FILE, Judged, open_recording
from volition.judgment import Order, Verdict
from volition.questions.exploring import coarse, farthest
from volition.run.correcting.looking import Looked
from volition.run.correcting.proposal.request import VERSION, Shown, lines_of
from volition.run.folder import RunFolder
from volition.run.rounds import candidates_of
from volition.storage.documents import as_document, read_document, write_document
from volition.storage.files import is_free, new_folder
from volition.storage.pictures import read_frame, write_frame
from volition.tasks.task import Task

PROPOSAL, PAGES, STOOD = "proposal.json", "pages", "stood.jsonl"
MOMENTS = 12  # of what the policy does, that are shown with words
MOST_SHOWN = 24  # pairs that were overruled, and likewise of those that were not
LONGEST_WORDS = 4000  # characters of what a person says

Tell = Callable[[str], None]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Subject:
    """What a proposal is about: proposals about something else are other proposals.

    Attributes:
        version: Of the run.
        goal: Its words, principles and vetoes.
        words: What a person said; empty where they overruled.
        by: Who overruled.
        overruled: The digest of what they overruled, and let stand.
    """

    version: int
    goal: tuple[str, tuple[str, ...], tuple[str, ...]]
    words: str = ""
    by: str = ""
    overruled: str = ""


@dataclass(frozen=True, slots=True)
class Explained:
    """How the pairs that a person overruled are judged by the proposal alone.

    Attributes:
        judge: Who judged.
        simulated: Whether that is an error model in place of a judge.
        same: Pairs of which it prefers what the person does.
        other: Pairs of which it prefers the other side.
        ties: Pairs of which it prefers neither.
        of: Pairs in all; of those that are none of these nobody knows.
        cost_usd: US dollars.
    """

    judge: str
    simulated: bool
    same: int
    other: int
    ties: int
    of: int
    cost_usd: float = 0.0

    @property
    def told(self) -> str:
        """For a person."""
        by = f"the simulated judge {self.judge}" if self.simulated else self.judge
        unknown = self.of - self.same - self.other - self.ties
        beside = f", {unknown} unanswered" if unknown else ""
        return (
            f"by it alone {by} judges {self.same} of the {self.of} overruled pairs as the person "
            f"does ({self.same / max(1, self.of):.0%}), {self.other} otherwise, {self.ties} as "
            f"ties{beside}"
        )


@dataclass(frozen=True, slots=True)
class Proposal:
    """All that is known of a proposal.

    Attributes:
        shown: The pages that were shown, by their digests.
        count: Moments on them, or pairs.
        lines: What was told of the pairs.
        request: The version of the words in which it was asked for.
        spent_usd: US dollars; a request that is under way counts as much as it may cost at most.
        replies: All that came; of the last one is the change.
        change: What is proposed, where somebody has written.
        why: In its writer's words.
        simulated: Whether it was written for counting alone.
        explained: Whether the overruled pairs are judged by it as the person does.
    """

    subject: Subject
    shown: tuple[str, ...]
    count: int
    lines: tuple[str, ...] = ()
    request: str = VERSION
    spent_usd: float = 0.0
    replies: tuple[GivenReply, ...] = ()
    change: Change | None = None
    why: str = ""
    simulated: bool = False
    explained: Explained | None = None

    @property
    def writer(self) -> str:
        """Who wrote; empty where nobody has."""
        return self.replies[-1].writer if self.change else ""

    @property
    def unread(self) -> GivenReply | None:
        """The reply that came and was not read, if there is one."""
        last = self.replies[-1] if self.replies else None
        return last if last and self.change is None and not last.fault else None

    @property
    def cost_usd(self) -> float:
        """What all of it may have cost."""
        return self.spent_usd + (self.explained.cost_usd if self.explained else 0.0)


# The folder ----------------------------------------------------------------------------------


def folder_of(run: RunFolder, name: str) -> Path:
    """Where the proposal of that id is kept."""
    return run.proposals / name


def is_proposal(folder: Path) -> bool:
    return (folder / PROPOSAL).is_file()


def open_proposal(folder: Path) -> Proposal:
    """The proposal in a folder.

    Raises:
        InputError: There is none.
        RunError: It is damaged.
    """
    if not is_proposal(folder):
        raise InputError(f"{folder} holds no {PROPOSAL}: it is not a proposal")
    return read_document(folder / PROPOSAL, Proposal)


def told_of(folder: Path) -> str:
    """Who wrote a proposal, and of what, for a person; empty where its folder is gone."""
    if not is_proposal(folder):
        return ""
    proposal = open_proposal(folder)
    by = f"written by {proposal.writer}" + (" (for counting alone)" if proposal.simulated else "")
    if proposal.subject.words:
        return f"{by}, of “{proposal.subject.words}”"
    text = (folder / JUDGMENTS_FILE).read_text(encoding="utf-8")
    return f"{by}, of {len(text.splitlines())} verdicts that {proposal.subject.by} overruled"


def save(folder: Path, proposal: Proposal) -> None:
    """Writes proposal.json, whole or not at all."""
    write_document(folder / PROPOSAL, proposal)


def read_pages(folder: Path, proposal: Proposal) -> list[Frame]:
    """What was shown.

    Raises:
        RunError: A page is not as it was.
    """
    pages = []
    for number, digest in enumerate(proposal.shown, start=1):
        path = folder / PAGES / page_name(number)
        page = read_frame(path)
        if page.id != digest:
            raise RunError(f"{path} is not as it was shown: restore it from a copy")
        pages.append(page)
    return pages


def page_name(number: int) -> str:
    return f"page-{number}.png"


def shown_with(task: Task, proposal: Proposal) -> Shown:
    """What its writer is shown of it, in words."""
    clips = task.view.clip is not None
    words = proposal.subject.words
    return Shown(task.goal_in_parts(), words, proposal.lines, proposal.count, clips)


# Beginning -----------------------------------------------------------------------------------


def begin_words(run: RunFolder, words: str, tell: Tell) -> Path:
    """The folder of a proposal of what a person's words become; a new one where there was none.

    Raises:
        InputError: They say nothing, too much, or what is no text.
        RunError: The run has learned nothing yet.
    """
    said = words.strip()
    if not said:
        raise InputError('a correction needs words, such as volition say RUN "not so close"')
    if len(said) > LONGEST_WORDS:
        raise InputError(f"that has {len(said):,} characters, and may have {LONGEST_WORDS:,}")
    if any("\ud800" <= sign <= "\udfff" for sign in said):
        raise InputError("that is not UTF-8 text")
    subject = replace(_subject(run), words=said)
    folder = folder_of(run, _id(subject))
    if is_proposal(folder):
        return folder
    tell(f"choosing {MOMENTS} moments of what the policy does now ...")
    moments = _moments(run)
    page = Frame(draw_page(moments))
    with _new(folder) as partial:
        _keep(partial, Proposal(subject, (page.id,), len(moments)), [page])
    return folder


def begin_overruled(run: RunFolder, looked: Sequence[Looked], source: Path, by: str) -> Path:
    """Likewise of a sentence that explains what a person overruled.

    Args:
        run: Of whose verdicts.
        looked: What they looked at.
        source: The folder of the pictures that it names.
        by: Who they are.

    Raises:
        InputError: A pair cannot be read.
    """
    overruled = [one for one in looked if one.instead]
    stood = [one for one in looked if not one.instead]
    texts = _texts(looked, by)
    subject = replace(_subject(run), by=by, overruled=digest_of(looked, by))
    folder = folder_of(run, _id(subject))
    if is_proposal(folder):
        return folder
    shown = [*some(overruled), *some(stood)]
    of_overruled = [(one.said, one.instead, one.why) for one in shown if one.instead]
    lines = lines_of(of_overruled, len(shown) - len(of_overruled))
    with _new(folder) as partial:
        for one in looked:
            _copy_pictures(one.row, source, partial)
        for name, text in texts.items():
            (partial / name).write_text(text, encoding="utf-8")
        pages = _sheets(run, partial, [*overruled, *stood], shown)
        _keep(partial, Proposal(subject, tuple(p.id for p in pages), len(shown), lines), pages)
    return folder


def digest_of(looked: Sequence[Looked], by: str) -> str:
    """Of what somebody overruled, and let stand."""
    told = [_texts(looked, by), [one.why for one in looked if one.instead]]
    return content_id(json.dumps(told).encode())


def _texts(looked: Sequence[Looked], by: str) -> dict[str, str]:
    judge = f"{HUMAN}{by}"
    return {
        JUDGMENTS_FILE: _lines([one for one in looked if one.instead], judge),
        STOOD: _lines([one for one in looked if not one.instead], judge),
    }


@contextmanager
def _new(folder: Path) -> Iterator[Path]:
    """The new folder of a proposal: all of it, or nothing."""
    if not is_free(folder):
        raise RunError(f"{folder} holds something else: remove it")
    with new_folder(folder) as partial:
        yield partial


def _keep(folder: Path, proposal: Proposal, pages: Sequence[Frame]) -> None:
    (folder / PAGES).mkdir()
    for number, page in enumerate(pages, start=1):
        write_frame(page, folder / PAGES / page_name(number))
    save(folder, proposal)


def _subject(run: RunFolder) -> Subject:
    goal = run.task.goal_in_parts()
    return Subject(run.settings.version, (goal.text, goal.principles, goal.vetoes))


def _id(subject: Subject) -> str:
    return content_id(json.dumps(as_document(subject), sort_keys=True).encode())


def _moments(run: RunFolder) -> list[Frame]:
    """Pictures of what the policy does now that look as different as they can."""
    rng = np.random.default_rng(run.settings.seed)
    candidates = candidates_of(run, MOMENTS, rng)
    rows = coarse(candidates.observations)
    means = rows.reshape(*rows.shape[:2], -1).mean(1)
    places = farthest(means, MOMENTS, rng)
    pictures = {frame.id: frame for frame in (as_shown(candidates.segment(n)) for n in places)}
    return [*pictures.values()]


# What was overruled --------------------------------------------------------------------------


def _lines(looked: Sequence[Looked], judge: str) -> str:
    """As judgments.jsonl has them: what the person prefers, or let stand."""
    names = {"A": "first", "B": "second", "tie": "tie"}
    kept = ("pair", "first", "second", "kwargs")
    rows = [
        {
            **{key: one.row[key] for key in kept if key in one.row},
            "verdict": names[one.instead or one.said],
            "judge": judge,
        }
        for one in looked
    ]
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _copy_pictures(row: Row, source: Path, folder: Path) -> None:
    """The files that a row of pairs.jsonl names.

    Raises:
        InputError: One is not where it must be.
    """
    named: list[str] = []
    for side in (row["first"], row["second"]):
        named += [side["frame"]] if "frame" in side else side.get("frames", [])
        observed = side.get("observation", side.get("observations"))
        named += [observed] if isinstance(observed, str) else []
    for name in named:
        file = (source / name).resolve()
        if not (file.is_relative_to(source.resolve()) and file.is_file()):
            raise InputError(f"{source / name} is missing: restore it from a copy")
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(file, folder / name)


def some(looked: Sequence[T]) -> list[T]:
    """As many as a writer is shown, evenly spread."""
    if len(looked) <= MOST_SHOWN:
        return [*looked]
    return [looked[n * len(looked) // MOST_SHOWN] for n in range(MOST_SHOWN)]


def _sheets(
    run: RunFolder, folder: Path, looked: Sequence[Looked], shown: Sequence[Looked]
) -> list[Frame]:
    """The pages of what is shown, what the person prefers framed, and apart from these what they
    let stand. All that was looked at is read."""
    judged = [each for file in (JUDGMENTS_FILE, STOOD) for each in _read(run, folder / file)]
    sides = {
        one.row["pair"]: _as_shown_first(each) for one, each in zip(looked, judged, strict=True)
    }
    numbered = [NumberedPair(n, *sides[one.row["pair"]]) for n, one in enumerate(shown, start=1)]
    choices = {number: one.instead or one.said for number, one in enumerate(shown, start=1)}
    per_sheet = min(MOST_SHOWN, pairs_on_a_sheet(len(run.task.view.shown)))
    overruled = sum(bool(one.instead) for one in shown)
    return [
        Frame(sheet)
        for pairs in (numbered[:overruled], numbered[overruled:])
        if pairs
        for sheet in draw_sheets(pairs, per_sheet, choices)
    ]


def _read(run: RunFolder, path: Path) -> list[Judged]:
    if not path.is_file() or not path.stat().st_size:
        return []
    recording = open_recording(path, path.name, "", scenes_of(run.task.environment), run.task.view)
    return list(recording.judged())


def _as_shown_first(judged: Judged) -> tuple[Segment, Segment]:
    comparison, judgment = judged
    sides = comparison.first, comparison.second
    return sides if judgment.order is Order.FORWARD else sides[::-1]


def read_preferred(run: RunFolder, folder: Path, file: str) -> list[tuple[Segment, Segment]]:
    """Pairs of judgments.jsonl or stood.jsonl without ties, the preferred one first."""
    preferred = []
    for judged in _read(run, folder / file):
        first, second = _as_shown_first(judged)
        outcome = judged[1].outcome
        assert isinstance(outcome, Verdict)
        if outcome.p_shown_first != 0.5:
            preferred.append((first, second) if outcome.p_shown_first > 0.5 else (second, first))
    return preferred
