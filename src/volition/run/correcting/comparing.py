"""The comparisons of a run's versions: where each is kept, what came of it, what it did cost.

Each is a folder of its own beside the versions, named for the two and for what they do. So a
version that learned anew is compared anew, and nothing that was paid for is deleted.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

from volition.learners.policies import POLICY_FILE
from volition.run.correcting.changing import VERSIONS
from volition.storage.database import DATABASE
from volition.storage.documents import read_document
from volition.storage.store import Store

PAIRS, LEAST = 40, 10  # of episodes, where nobody says how many; with fewer nothing is shown
SHARE = 4  # one judgment in so many of those that a correction may ask for, where that is limited
AGAINST, RESULT, PAGE = "-against-", "result.json", "compare.html"


@dataclass(frozen=True, slots=True)
class Compared:
    """What came of comparing a version with the one before, as in `result.json`.

    Attributes:
        judge: Who judged.
        simulated: Whether any judge is an error model in place of a judge.
        same_judge: Whether one of the two was trained on the judge.
        goal: What was judged.
        pairs: Of episodes.
        unjudged: Of them without an answer.
        wins, losses, ties: Of the version.
        win_rate: Its share of the pairs that were decided; None where none is.
        interval: Of the win-rate: Wilson's, 95%.
        cost_usd: What judging did cost, in US dollars.
        page: Beside the run's own page; empty where it is not there.
    """

    judge: str
    simulated: bool
    same_judge: bool
    goal: str
    pairs: int
    unjudged: int
    wins: int
    losses: int
    ties: int
    win_rate: float | None
    interval: tuple[float, float]
    cost_usd: float
    page: str = ""

    @property
    def told(self) -> str:
        """For a person."""
        counts = f"{self.wins} of {self.wins + self.losses} decided pairs"
        if self.win_rate is None:
            counts = f"none of {self.pairs - self.unjudged} pairs is decided"
        else:
            low, high = self.interval
            counts += f" are preferred (95% interval {low:.0%} to {high:.0%})"
        ties = "1 tie" if self.ties == 1 else f"{self.ties} ties"
        left = f", {self.unjudged} of {self.pairs} pairs not answered" if self.unjudged else ""
        by = f"judged by {self.judge}" + (", which is simulated" if self.simulated else "")
        trained = ", on which both were trained" if self.same_judge else ""
        return f"{counts}, {ties}{left}; {by}{trained}"


def what_it_does(version: Path) -> str:
    """Names the policy in a version's folder."""
    file = version / "policy" / POLICY_FILE
    return hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else ""


def place(run: Path, numbers: tuple[int, int], folders: tuple[Path, Path]) -> Path:
    """Where a comparison of two versions of a run is kept.

    Args:
        run: The run's folder.
        numbers: Of the versions.
        folders: Where they are by now.
    """
    names = "".join(what_it_does(folder) for folder in folders)
    digest = hashlib.sha256(names.encode()).hexdigest()[:8]
    return run / VERSIONS / f"{numbers[0]}{AGAINST}{numbers[1]}-{digest}"


def versions_in(folder: Path) -> tuple[int, int]:
    """The numbers of the versions that a comparison's folder is named for."""
    newer, _, rest = folder.name.partition(AGAINST)
    return int(newer), int(rest.partition("-")[0])


def read_compared(run: Path, folder: Path) -> Compared | None:
    """What came of it; None where nobody has judged yet.

    Raises:
        RunError: The result is damaged.
    """
    if not (folder / RESULT).is_file():
        return None
    page = folder / PAGE
    beside = page.relative_to(run).as_posix() if page.is_file() else ""
    return replace(read_document(folder / RESULT, Compared), page=beside)


def spent_usd(run: Path, but: Path | None = None) -> float:
    """What a run's comparisons may have cost in all, in US dollars, but for one of them."""
    spent = 0.0
    for folder in (run / VERSIONS).glob(f"*{AGAINST}*"):
        if folder != but and (folder / DATABASE).is_file():
            with Store.open(folder) as store:
                spent += store.spent_usd()
    return spent


def left_usd(run: Path, most_usd: float | None, but: Path | None = None) -> float | None:
    """What is left of so many US dollars beside these; None is no limit."""
    return None if most_usd is None else max(0.0, most_usd - spent_usd(run, but))
