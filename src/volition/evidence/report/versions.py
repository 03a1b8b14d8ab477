"""A run's versions side by side: what was said, what it does, what changed in the reward."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import compress

import numpy as np
import numpy.typing as npt

from volition.comparison import Floats, Segment
from volition.errors import VolitionError
from volition.evidence.film import choose_episodes, one_panel
from volition.evidence.report.landscapes import CIRCLES
from volition.evidence.report.reading import Evidence
from volition.reward.model import RewardModel, opinions
from volition.run.correcting.versions import Version, folders_of
from volition.run.evaluation import Evaluation
from volition.run.folder import RunFolder

FILMS = 2_000_000  # bytes of all films together; of earlier versions there is a link then
STATES = 300  # judged states at most that show what changed
SHOWN = 3  # of them that are worth more now, and as many that are worth less
EXTREME = 0.08  # the share of the states from which those are taken
ANGLES = 120
WIDTH, HEIGHT, MARGIN = 320, 150, 10  # of a figure, in its own units
LEAST = 0.05  # standard deviations by which a reward has changed at all

Rows = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Moved:
    """A judged segment, and by how much its reward rose, in standard deviations."""

    segment: Segment
    by: float


@dataclass(frozen=True, slots=True)
class ChangedReward:
    """What a correction changed in the reward, over the same states.

    Attributes:
        before: The number of the version before.
        rose, fell: The segments of which it changed most, those that did so most first.
        likeness: Correlation of the two over all of them.
        angles: Whether the figure shows the reward around a circle; else a dot for each state.
        was, now: SVG paths of a figure of `WIDTH` times `HEIGHT`: of the reward before and after,
            around a circle; else of the states that are worth less, and that are worth more.
    """

    before: int
    rose: tuple[Moved, ...]
    fell: tuple[Moved, ...]
    likeness: float
    angles: bool
    was: str
    now: str


@dataclass(frozen=True, slots=True)
class ShownVersion:
    """A version as the page shows it.

    Attributes:
        version: What is known of it.
        film: H.264 in MP4, as base64: the median episode. Empty where it is not there, or where the
            page would become too large.
        changed: Against the version before; None of the first.
    """

    version: Version
    film: str
    changed: ChangedReward | None

    @property
    def segments(self) -> list[Segment]:
        """All that are shown of it."""
        changed = self.changed
        return [moved.segment for moved in (*changed.rose, *changed.fell)] if changed else []


def shown_versions(evidence: Evidence) -> list[ShownVersion]:
    """A corrected run's versions, the first one first; none where it was never corrected."""
    if not evidence.versions:
        return []
    folders = folders_of(evidence.folder)
    films = small_films(evidence.versions, folders)
    segments = _some(list(evidence.segments.values()))
    models = {version.number: _model(folders[version.number]) for version in evidence.versions}
    shown = []
    for version in evidence.versions:
        model, before = models[version.number], models.get(version.before or 0)
        changed = None
        if version.before is not None and model is not None and before is not None:
            changed = _changed(evidence, version.before, before, model, segments)
        shown.append(ShownVersion(version, films[version.number], changed))
    return shown


def small_films(versions: Sequence[Version], folders: Mapping[int, RunFolder]) -> dict[int, str]:
    """Small films, those of the newest first, as long as there is room."""
    films, room = {}, FILMS
    for version in reversed(versions):
        film = base64.b64encode(_film(folders[version.number])).decode()
        films[version.number] = film if len(film) <= room else ""
        room -= len(films[version.number])
    return films


def _film(folder: RunFolder) -> bytes:
    if not (folder.film.is_file() and folder.evaluation.is_file()):
        return b""
    try:
        chosen = [*choose_episodes(folder.read(folder.evaluation, Evaluation).true_returns)]
        median = chosen.index("median") if "median" in chosen else 0
        return one_panel(folder.film.read_bytes(), len(chosen), median)
    except (ValueError, VolitionError):
        return b""  # the page links to the file, whatever is wrong with it


def _model(folder: RunFolder) -> RewardModel | None:
    try:
        return RewardModel.load(folder.reward_model)
    except VolitionError:  # an unfinished version has none, and one that was left may be damaged
        return None


def _some(segments: Sequence[Segment]) -> list[Segment]:
    places = np.linspace(0, len(segments) - 1, min(STATES, len(segments))).round().astype(int)
    return [segments[place] for place in places]


def _changed(
    evidence: Evidence,
    number: int,
    before: RewardModel,
    after: RewardModel,
    segments: Sequence[Segment],
) -> ChangedReward:
    was, now = (_rewards(model, segments) for model in (before, after))
    rose, fell, likeness = changed_reward(segments, was, now)
    circle = CIRCLES.get(evidence.folder.task.environment.id)
    if circle is None:
        less, more = _dots(_unit(was), _unit(now))
    else:
        radians = np.linspace(np.pi, -np.pi, ANGLES)  # counter-clockwise: what leans left first
        rows = circle.observe(radians, np.zeros(ANGLES))
        both = [_unit(opinions(model, rows[:, None])[1]) for model in (before, after)]
        less, more = _lines(both)
    return ChangedReward(
        number,
        rose,
        fell,
        likeness,
        circle is not None,
        less,
        more,
    )


def changed_reward(
    segments: Sequence[Segment], was: Rows, now: Rows
) -> tuple[tuple[Moved, ...], tuple[Moved, ...], float]:
    """Which of these are worth more than they were and which less, the most changed first.

    Args:
        segments: The same for both.
        was, now: The reward of each, (segments,).

    Returns:
        Some of both, and the correlation of the two rewards; 0 where one is the same everywhere.
    """
    before, after = _unit(was), _unit(now)
    rise = after - before
    varied = before.any() and after.any()
    likeness = float(np.corrcoef(before, after)[0, 1]) if varied else 0.0
    return _extremes(segments, rise), _extremes(segments, -rise, -1), likeness


def _rewards(model: RewardModel, segments: Sequence[Segment]) -> Rows:
    """The reward that a policy is trained on, the mean over the steps of each: (segments,)."""
    steps = np.concatenate([segment.observations for segment in segments])
    _, rewards = opinions(model, steps[:, None])
    ends = np.cumsum([len(segment.observations) for segment in segments])[:-1]
    return np.array([some.mean() for some in np.split(rewards, ends)])


def _unit(values: Floats | Rows) -> Rows:
    """The same with zero mean and unit scale, since a reward has no zero and no unit of its own."""
    centred = np.asarray(values, np.float64) - float(np.mean(values))
    scale = float(centred.std())
    return centred / scale if scale > 1e-9 else np.zeros_like(centred)


def _extremes(segments: Sequence[Segment], rise: Rows, sign: int = 1) -> tuple[Moved, ...]:
    """Some of which the reward rose most, the first most of all, spread over what did."""
    order = np.argsort(-rise, kind="stable")
    most = order[: max(SHOWN, round(EXTREME * len(order)))]
    most = most[rise[most] > LEAST]
    places = np.linspace(0, len(most) - 1, min(SHOWN, len(most))).round().astype(int)
    return tuple(Moved(segments[n], sign * float(rise[n])) for n in most[places])


def _lines(both: Sequence[Rows]) -> tuple[str, str]:
    """Two curves over the same places, as SVG paths; below them there is room for words."""
    low, high = min(map(np.min, both)), max(map(np.max, both))
    x = np.linspace(MARGIN, WIDTH - MARGIN, len(both[0]))
    heights = [_up(values, low - 0.1 * (high - low), high) for values in both]
    one, other = (
        "M" + "L".join(f"{a:.0f} {b:.1f}" for a, b in zip(x, up, strict=True)) for up in heights
    )
    return one, other


def _dots(was: Rows, now: Rows) -> tuple[str, str]:
    """A dot for each state, to the right what it was worth and upwards what it is worth now: those
    that are worth less as one SVG path, and the others."""
    low, high = min(was.min(), now.min()), max(was.max(), now.max())
    x = MARGIN + (was - low) / max(high - low, 1e-9) * (WIDTH - 2 * MARGIN)
    places = [f"M{a:.0f} {b:.0f}h0" for a, b in zip(x, _up(now, low, high), strict=True)]
    rose = now >= was
    less, more = ("".join(compress(places, which)) for which in (~rose, rose))
    return less, more


def _up(values: Rows, low: float, high: float) -> Rows:
    """Where values stand in a figure, the higher the farther up."""
    return HEIGHT - MARGIN - (values - low) / max(high - low, 1e-9) * (HEIGHT - 2 * MARGIN)
