"""What `volition label` does: serves the page, and hands on what people answered."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from volition.errors import InputError, RunError
from volition.evidence.audit.counting import Audit
from volition.evidence.audit.sampling import Sample, sample_of
from volition.judging.folders import ASKED_FILE
from volition.run.folder import CONFIG, RunFolder
from volition.run.rounds import answer
from volition.storage.files import exclusively
from volition.web.labelling import Desk, labelling_app
from volition.web.people import People
from volition.web.serving import Address, serve
from volition.web.sources import FolderSource, RunSource, Source

PORT = 8765
CHOICE_OF = {1.0: "A", 0.0: "B", 0.5: "tie"}


@dataclass(frozen=True, slots=True)
class Labelled:
    """What came of it.

    Attributes:
        folder: Of the run, or of the questions.
        questions: How many there were.
        answered: How many somebody has answered, those passed over among them.
        verdicts: How many verdicts each person has given.
        audit: What it says of the judge, where it was one.
        then: What becomes of the answers, for a person.
    """

    folder: str
    questions: int
    answered: int
    verdicts: dict[str, int]
    audit: Audit | None
    then: str


def label(
    folder: Path,
    address: Address,
    tell: Callable[[str], None],
    audit: int | None = None,
    seed: int = 0,
) -> Labelled:
    """Lets people judge until Ctrl-C.

    Args:
        folder: A run, or what `volition ask` wrote.
        address: Where the page is served.
        tell: Is told its address.
        audit: How many answers of the run's judge are drawn to be audited, or 0 to go on with the
            audit that was drawn; None is no audit.
        seed: Of the drawing.

    Raises:
        InputError: It is neither, or there is nothing to judge.
        StoreError: The store or the labels are damaged.
    """
    is_run = (folder / CONFIG).is_file()
    if not is_run and not (folder / ASKED_FILE).is_file():
        raise InputError(f"{folder} is neither a run folder nor a folder that `volition ask` wrote")
    if audit is not None and not is_run:
        raise InputError(f"--audit is of a run's judge, and {folder} is a folder of questions")
    sample = None
    if audit is not None:
        sample = sample_of(RunFolder.open(folder), audit or None, seed)
    desk = Desk(lambda: _source(folder, sample), sample)
    try:
        desk.open()
        serve(labelling_app(desk), address, PORT, tell)
        return desk.at_once(lambda: _ended(folder, desk))
    finally:
        desk.close()


def _source(folder: Path, sample: Sample | None) -> Source:
    if (folder / CONFIG).is_file():
        return RunSource(RunFolder.open(folder), sample)
    return FolderSource(folder)


def _ended(folder: Path, desk: Desk) -> Labelled:
    """Hands the answers on; what came of it."""
    people = desk.people
    people.refresh()
    if isinstance(desk.source, FolderSource):
        then = finish_folder(folder, desk.source, people)
    else:
        then = finish_run(folder, people)
    standing = people.standing("")
    verdicts = Counter(
        name
        for name in standing.people
        for label in people.answers(name).values()
        if label.p_first is not None
    )
    return Labelled(
        str(desk.source.folder),
        standing.questions,
        standing.by_anybody,
        dict(verdicts),
        desk.audit(),
        then,
    )


def finish_run(folder: Path, people: People) -> str:
    """Gives the run what was answered, unless it is under way and takes it itself."""
    if not people.log.labels:
        return "nobody answered"
    run = RunFolder.open(folder)
    try:
        with exclusively(folder), run.open_store() as store:
            run.take_in_labels(store)
    except RunError:
        return (
            "the run is under way: one that asks a live judge takes the answers in as it learns, "
            f"any other with the next `volition resume {folder}`"
        )
    return f"the run has the answers: `volition resume {folder}` learns from them"


def finish_folder(folder: Path, source: FolderSource, people: People) -> str:
    """Completes the folder once every pair has an answer."""
    means = people.means()
    chosen = {}
    for question in people.questions.values():
        mean = means.get(question.asked)
        if mean is not None:
            chosen[source.numbers[question.comparison_id]] = CHOICE_OF[_nearest(mean)]
    missing = len(people.questions) - len(chosen)
    if missing:
        return f"{missing} pairs have no answer yet: go on with `volition label {folder}`"
    judge = "human:" + "+".join(people.standing("").people)
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "answers.jsonl"
        lines = [json.dumps({"pair": n, "choice": c}) + "\n" for n, c in sorted(chosen.items())]
        file.write_text("".join(lines), encoding="utf-8")
        answer(folder, file, judge)
    return f"all pairs are answered: {folder} is a folder of judgments by {judge}"


def _nearest(mean: float) -> float:
    """What most of several people said; a tie where they are even."""
    return 0.5 if mean == 0.5 else float(mean > 0.5)
