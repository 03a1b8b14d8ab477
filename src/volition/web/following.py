"""A run as its folder shows it at this moment, read on as it grows: all that its page is told.

Nothing here is asked of the run's process, so a run is followed while it learns, between two
processes, after it was killed and when it is done.
"""

from __future__ import annotations

import math
import time
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from volition.comparison import encode_png
from volition.errors import RunError, StoreError, VolitionError
from volition.judgment import Order, Put
from volition.learners.checkpoint import Checkpoint
from volition.reward.learning import RewardFit, read_fit
from volition.run.folder import CONFIG, RunFolder
from volition.run.gaming.record import GamingRecord
from volition.run.interrupting import Helm, UnderWay
from volition.run.results import Result, Session
from volition.storage.documents import read_document
from volition.storage.files import is_in_use
from volition.storage.store import Outcome, Store
from volition.web.sources import Pictures

Json = dict[str, Any]
PAIRS = 24  # judged last, that a page shows
RATED = 200  # judgments over which failures are counted as a rate
MOST_POINTS = 400  # of a curve


@dataclass(frozen=True, slots=True)
class Row:
    """A run in the overview.

    Attributes:
        state: `running`, `paused`, `finished`, `stopped`, `failed`, `killed`, or `unfinished` of
            one that nobody knows more of.
        learned: Learned return of the session that ended last.
        true: Mean true return of the evaluation; for evaluation only.
    """

    name: str
    task: str
    state: str
    judge: str
    simulated: bool
    judgments: int
    cost_usd: float | None
    env_steps: int
    total_steps: int
    heldout: float | None
    learned: float | None
    true: float | None
    message: str
    at: float


def runs_in(root: Path) -> dict[str, Path]:
    """The runs of a folder by their names, the newest first; the folder itself where it is one."""
    if (root / CONFIG).is_file():
        return {root.resolve().name: root}
    try:
        found = [path.parent for path in root.glob(f"*/{CONFIG}") if path.is_file()]
    except OSError as error:
        raise RunError(f"{root} cannot be read: {error.strerror}") from error
    found.sort(key=lambda path: path.joinpath(CONFIG).stat().st_mtime, reverse=True)
    return {path.name: path for path in found}


def row_of(name: str, path: Path) -> Row:
    """What the overview says of a run, read from its small files alone."""
    try:
        folder = RunFolder.read_config(path)
    except VolitionError as error:
        return _damaged(name, path, str(error))
    told = _read(folder.progress, UnderWay)
    result = _read(folder.result, Result)
    state = state_of(folder, told)
    live = folder.settings.judge
    judge = live.judge if live else f"recorded:{folder.settings.judgments}"
    progress = told.progress if told else None
    return Row(
        name,
        folder.task.name,
        state,
        result.judge if result else judge,
        result.simulated if result else judge.startswith("simulated:"),
        result.judgments if result else progress.judgments if progress else 0,
        result.cost_usd if result else progress.cost_usd if progress else None,
        result.env_steps if result else progress.env_steps if progress else 0,
        (progress.total_steps if progress else 0) or folder.settings.most_steps,
        result.heldout_accuracy if result else progress.heldout_accuracy if progress else None,
        _finite(progress.learned_return) if progress else None,
        _finite(result.return_mean) if result else None,
        told.message if told and state in ("failed", "stopped") else "",
        told.at if told else (path / CONFIG).stat().st_mtime,
    )


def state_of(folder: RunFolder, told: UnderWay | None) -> str:
    """Where it is: its lock says whether a process goes on with it."""
    if is_in_use(folder.path):
        return "paused" if Helm(folder.control).pauses() else "running"
    if folder.result.is_file():
        return "finished"
    if told is None:
        return "unfinished"
    return "killed" if told.state in ("running", "paused") else told.state


class Follower:
    """One run, followed. All of it is used by one thread.

    Args:
        path: Of its folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.used = time.monotonic()
        self._folder = RunFolder.open(path)
        self._store: Store | None = None
        self._outcomes_read = 0
        self._failures: Counter[str] = Counter()
        self._verdicts = 0
        self._recent: deque[bool] = deque(maxlen=RATED)
        self._pairs: deque[Outcome] = deque(maxlen=PAIRS)
        self._put: dict[str, Put] = {}
        self._sides: set[str] = set()
        self._curves: tuple[object, list[Session]] = (None, [])
        self._fit: tuple[object, RewardFit | None] = (None, None)
        self._pictures = Pictures()

    def close(self) -> None:
        if self._store is not None:
            self._store.close()

    def snapshot(self) -> Json:
        """All that the page shows, but for the pairs."""
        self.used = time.monotonic()
        self._folder = RunFolder.open(self.path)
        folder, row = self._folder, row_of(self.path.resolve().name, self.path)
        self._read_on()
        fit = self._fit_now()
        recent, live = list(self._recent), folder.settings.judge
        told, result = _read(folder.progress, UnderWay), _read(folder.result, Result)
        most, gaming = self._most_usd(), _read(folder.gaming, GamingRecord)
        alarms = [
            *(gaming.told if gaming else ()),
            *(a.reason for a in (fit.alarms if fit else ())),
        ]
        return {
            **asdict(row),
            "goal": folder.task.goal.text,
            "stage": told.progress.stage if told and row.state in ("running", "paused") else "",
            "waiting_for": told.progress.waiting_for if told else "",
            "live": live is not None,
            "max_usd": most,
            "verdicts": self._verdicts,
            "failures": dict(self._failures.most_common()),
            "failure_rate": recent.count(False) / len(recent) if recent else None,
            "rated": len(recent),
            "in_flight": self._in_flight() if row.state in ("running", "paused") else 0,
            "heldout_interval": fit.heldout.interval if fit and fit.heldout.trials else None,
            "alarms": alarms,
            "warnings": [w for w in result.warnings if w not in alarms] if result else [],
            "ended": result.ended if result else "",
            "asked": result.asked if result else "",
            "return_std": result.return_std if result else None,
            "episodes": result.episodes if result else 0,
            "curves": self._curves_now(),
            "film": film_version(folder),
            "report": folder.report.is_file(),
        }

    def pairs(self, after: int) -> list[Json]:
        """The pairs that were judged last, after that one, the newest first."""
        self._read_on()
        fresh = [outcome for outcome in self._pairs if outcome.sequence > after]
        return [self._as_json(outcome) for outcome in reversed(fresh)]

    def picture(self, side: str, number: int) -> bytes | None:
        """A frame of what was judged, as a PNG; None where there is none."""
        if side not in self._sides or self._store is None:
            return None
        if (known := self._pictures.get(side, number)) is not None:
            return known
        frames = self._store.segment(side).frames
        if not 0 <= number < len(frames):
            return None
        return self._pictures.keep(side, number, encode_png(frames[number].pixels))

    def _read_on(self) -> None:
        if self._store is None:
            self._store = self._folder.open_store()
        outcomes = self._store.outcomes(self._outcomes_read)
        if not outcomes:
            return
        self._outcomes_read = outcomes[-1].sequence
        for outcome in outcomes:
            self._verdicts += outcome.p_first is not None
            if outcome.failure is not None:
                self._failures[outcome.failure] += 1
            self._recent.append(outcome.p_first is not None)
        self._pairs.extend(outcomes[-PAIRS:])
        self._put |= self._store.put(len(self._put))
        shown = [self._put[outcome.comparison_id] for outcome in self._pairs]
        self._sides = {side for put in shown for side in put.pair}

    def _as_json(self, outcome: Outcome) -> Json:
        assert self._store is not None
        sides = list(self._put[outcome.comparison_id].pair)
        if outcome.order == Order.SWAPPED:
            sides.reverse()
        judge = self._store.judges()[outcome.judge_id]
        return {
            "sequence": outcome.sequence,
            "sides": [
                {"name": side, "frames": len(self._store.segment(side).frames)} for side in sides
            ],
            "p": outcome.p_shown_first,
            "failure": outcome.failure,
            "words": outcome.explanation or "",
            "principle": outcome.principle or "",
            "judge": judge.name,
        }

    def _in_flight(self) -> int:
        assert self._store is not None
        return self._store.under_way()

    def _most_usd(self) -> float | None:
        """What may be spent in all; None where there is no limit."""
        live = self._folder.settings.judge
        if live is None or live.max_usd is None:
            return None
        raised = Helm(self._folder.control)().max_usd
        return max(live.max_usd, raised or 0.0)

    def _fit_now(self) -> RewardFit | None:
        folder = self._folder.reward_model
        version = _version(folder / "model.safetensors")
        if version != self._fit[0]:
            try:
                self._fit = version, read_fit(folder) if version else None
            except VolitionError:
                self._fit = version, None
        return self._fit[1]

    def _curves_now(self) -> Json:
        """What every session measured, thinned out where there are many."""
        file = self._folder.checkpoint
        version = _version(file)
        if version != self._curves[0]:
            try:
                history = Checkpoint(file, self._folder.kept).history() if version else []
                self._curves = version, [Session.of(scalars) for scalars in history]
            except VolitionError:
                self._curves = version, self._curves[1]
        return curves_of(self._curves[1])


def curves_of(sessions: Sequence[Session]) -> Json:
    """Curves by name, as points of environment steps and a value."""
    step = -(-len(sessions) // MOST_POINTS) or 1
    thin = [*sessions[::step], *(sessions[-1:] if sessions[::step][-1:] != sessions[-1:] else [])]
    values: Mapping[str, Sequence[float | None]] = {
        "learned": [session.learned_return for session in thin],
        "true": [session.true_return for session in thin],
        "trial": [session.trial_reward for session in thin],
        "judgments": [session.judgments for session in thin],
    }
    return {
        name: [
            [session.env_steps, round(float(value), 4)]
            for session, value in zip(thin, some, strict=True)
            if value is not None and math.isfinite(value)
        ]
        for name, some in values.items()
    }


def film_version(folder: RunFolder) -> str:
    """Names the film that there is; empty where there is none."""
    version = _version(folder.film)
    return f"{version[0]:x}" if version else ""


def _version(file: Path) -> tuple[int, int] | None:
    try:
        stat = file.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size


def _read(file: Path, kind: type[Any]) -> Any:
    """A document that may not be there yet; one that cannot be read is as if it were not."""
    try:
        return read_document(file, kind) if file.is_file() else None
    except (RunError, StoreError):
        return None


def _finite(value: float | None) -> float | None:
    """The number as JSON can say it."""
    return value if value is not None and math.isfinite(value) else None


def _damaged(name: str, path: Path, why: str) -> Row:
    at = (path / CONFIG).stat().st_mtime
    return Row(name, "", "damaged", "", False, 0, None, 0, 0, None, None, None, why, at)
