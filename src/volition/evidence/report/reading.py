"""What a report is made from: everything that a finished run folder holds, read once."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from volition.comparison import Comparison, Floats, Pixels, Segment, encode_png
from volition.finding.naming import entry_names
from volition.goal import Goal, kept
from volition.judgment import JudgeIdentity, Judgment, Order, Preference, derive_preferences
from volition.reward.learning import RewardFit
from volition.reward.model import SPREAD_PENALTY, RewardModel, opinions
from volition.run.correcting.versions import Version, versions_of
from volition.run.folder import RunFolder
from volition.run.results import Result, Session
from volition.run.run import Run

SHADED = 6000  # bytes of a PNG that is no flat drawing


@dataclass(frozen=True)
class Evidence:
    """A finished run.

    Attributes:
        result: `result.json`.
        true_returns: Of every evaluation episode, by the environment's own reward.
        history: What each training session measured.
        fit: What is known of the reward model's fit, `heldout` among it.
        values: What every member of the reward model says of a judged segment, in logits and
            averaged over its steps, by the segment's id: float32 (members,).
        names: Of the observation's entries.
    """

    folder: RunFolder
    result: Result
    true_returns: tuple[float, ...]
    history: list[Session]
    fit: RewardFit
    judges: dict[str, JudgeIdentity]
    comparisons: dict[str, Comparison]
    judgments: list[Judgment]
    preferences: dict[str, Preference]
    model: RewardModel
    values: dict[str, Floats]
    names: tuple[str, ...]
    vetoed: dict[str, dict[str, Floats]] = field(default_factory=dict)
    """The same by the model of each veto, and of what is judged of each stage, by its words."""
    thresholds: dict[str, float] = field(default_factory=dict)
    """From where on a stage is done, by the words under which that is asked, in logits."""
    versions: list[Version] = field(default_factory=list)
    """Of the run, where it was corrected."""

    @property
    def simulated(self) -> bool:
        """Whether any judge is an error model in place of a judge."""
        return any(judge.simulated for judge in self.judges.values())

    @property
    def segments(self) -> dict[str, Segment]:
        """Every judged segment by id."""
        pairs = self.comparisons.values()
        return {segment.id: segment for c in pairs for segment in (c.first, c.second)}

    def p_first(
        self, comparison: Comparison, principle: str | None = None, order: Order = Order.FORWARD
    ) -> float:
        """The reward model's probability that the first segment is preferred (Bradley-Terry); under
        a veto, or of a stage, that of its own. Of whether a stage is done or a veto kept to, that
        it is so in what was shown first, where that is the first segment, and that it is not where
        it is the second.
        """
        values = self.vetoed.get(principle or "", self.values)
        if (threshold := self.thresholds.get(principle or "")) is not None:
            forward = order is Order.FORWARD
            shown = values[(comparison.first if forward else comparison.second).id]
            beyond = float(shown.mean() - SPREAD_PENALTY * shown.std()) - threshold
            return float(np.exp(-np.logaddexp(0.0, -beyond if forward else beyond)))
        logit = float((values[comparison.first.id] - values[comparison.second.id]).mean())
        return float(np.exp(-np.logaddexp(0.0, -logit)))


def read_evidence(run: Run) -> Evidence:
    """Reads a run's folder.

    Raises:
        RunError: The run is unfinished, or a file of it is damaged.
        StoreError: Its judgments are damaged.
    """
    folder, result, evaluation = run.folder, run.result, run.evaluation
    model = run.reward_model
    with folder.open_store() as store:
        comparisons, judgments = store.comparisons(), folder.judgments(store)
        judges, versions = folder.judges(store), versions_of(folder, store)
    segments = {s.id: s for c in comparisons.values() for s in (c.first, c.second)}
    heads = {
        name: _segment_values(head, segments)
        for name, head in heads_of(folder.task.stated_goal(), model).items()
    }
    values = _as_judged(comparisons, judgments, heads) if model.stages else None
    return Evidence(
        folder,
        result,
        evaluation.true_returns,
        run.history,
        run.reward_fit,
        judges,
        comparisons,
        judgments,
        {p.comparison_id: p for p in derive_preferences(judgments)},
        model,
        _segment_values(model, segments) if values is None else values,
        entry_names(folder.task.environment),
        heads,
        thresholds_of(folder.task.stated_goal(), model),
        versions,
    )


def thresholds_of(goal: Goal, model: RewardModel) -> dict[str, float]:
    """What the model of a stage that is done exceeds, or of a veto that is kept to, by what that is
    put under."""
    stages = zip(goal.stages, model.done, strict=True)
    vetoes = zip(goal.vetoes, model.vetoes, strict=True)
    return {
        **{stage.asked[1].text: float(done.shift) for stage, done in stages},
        **{kept(text).text: float(veto.shift) for text, veto in vetoes},
    }


def heads_of(goal: Goal, model: RewardModel) -> dict[str, RewardModel]:
    """Whatever is judged by itself and has a model of its own, by what it is put under."""
    heads = dict(zip(goal.by_vetoes, 2 * model.vetoes, strict=True))
    for stage, wanted, done in zip(goal.stages, model.stages, model.done, strict=True):
        wants, is_done = stage.asked
        heads |= {wants.text: wanted, is_done.text: done}
    return heads


def _as_judged(
    comparisons: Mapping[str, Comparison],
    judgments: Sequence[Judgment],
    heads: Mapping[str, Mapping[str, Floats]],
) -> dict[str, Floats]:
    """What every member says of each segment, by the model of what it was judged by first."""
    first = next(iter(heads.values()))
    values = dict(first)
    for judgment in reversed(judgments):
        comparison, head = comparisons[judgment.comparison_id], heads.get(judgment.principle or "")
        for segment in (comparison.first, comparison.second):
            values[segment.id] = (head or first)[segment.id]
    return values


def member_values(model: RewardModel, observations: Floats) -> Floats:
    """What every member says, in logits: float32 (members, rows) of (rows, *obs_shape)."""
    values, _ = opinions(model, observations[:, None])
    return values


def _segment_values(model: RewardModel, segments: dict[str, Segment]) -> dict[str, Floats]:
    steps = [segment.observations for segment in segments.values()]
    values = member_values(model, np.concatenate(steps))  # (members, all steps)
    ends = np.cumsum([len(some) for some in steps])[:-1]
    return {
        name: some.mean(1)
        for name, some in zip(segments, np.split(values, ends, axis=1), strict=True)
    }


def embedded(pixels: Pixels) -> str:
    """A frame for the page, as base64: its PNG. One that is shaded takes an eighth of its size as
    WebP with losses that nobody sees; the run keeps what was judged."""
    png = encode_png(pixels)
    if len(png) <= SHADED:
        return base64.b64encode(png).decode()
    smaller = io.BytesIO()
    Image.fromarray(pixels).save(smaller, "WEBP", quality=85, method=2)
    return base64.b64encode(smaller.getvalue()).decode()


def as_base64(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()
