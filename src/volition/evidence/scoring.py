"""A run's reward model measured on judgments that it never saw."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from volition.comparison import ObservedPair
from volition.envs.scene import scenes_of
from volition.errors import InputError
from volition.judging.recordings import Recording, read_recording
from volition.judgment import Judgment, derive_preferences
from volition.reward.fit import score
from volition.reward.model import RewardModel
from volition.reward.preferences import PreferenceData, Proportion
from volition.run.run import Run
from volition.tasks.task import Task, bundled_tasks


@dataclass(frozen=True, slots=True)
class Decided:
    """How many comparisons a reward model decides as the judge did.

    Attributes:
        accuracy: Their share; None where there are none.
        interval: Of the share: Wilson's, 95%.
        correct: How many, of
        comparisons: those that the judge decided and the run did not see.
        ties: Left out, since the judge decided nothing.
        seen: Left out, since the run was trained on them.
    """

    accuracy: float | None
    interval: tuple[float, float]
    correct: int
    comparisons: int
    ties: int
    seen: int


@dataclass(frozen=True, slots=True, kw_only=True)
class VetoScore(Decided):
    """What a veto's own model decides of the comparisons that were judged by it alone."""

    principle: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StageScore(Decided):
    """What a stage's model decides of the comparisons that were judged by what it wants."""

    stage: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Score(Decided):
    """A run's reward model on judgments that it never saw.

    Attributes:
        run: Its folder.
        judgments: Where they are.
        vetoes: Of each veto that caps.
        stages: Of each stage of the goal, where it has any; together they are the whole.
    """

    run: str
    judgments: str
    vetoes: tuple[VetoScore, ...]
    stages: tuple[StageScore, ...] = ()


def score_run(run: Run, judgments: Path) -> Score:
    """The run's reward model on the comparisons in `judgments` that are not in its own store.

    They are a path, or the name of a set that the bundled task has which the run is of. Each is
    placed in the environment as it was made when it was asked.

    Raises:
        InputError: The judgments will not do, or none is left.
    """
    task, model = run.folder.task, run.reward_model
    judgments, vetoes = _where(judgments, task), task.stated_goal().by_vetoes
    with run.folder.open_store() as store:
        goal_ids, seen = list(store.goal_texts()), {_content(p) for p in store.observed().values()}
    scenes = scenes_of(task.environment)
    recording = read_recording(judgments, judgments.name, goal_ids[0], scenes, task.view)
    again = {c.id for c in recording.comparisons if _content(c.observations) in seen}
    if all(comparison.id in again for comparison in recording.comparisons):
        raise InputError(f"the run was trained on every comparison in {judgments}")
    ordinary = [j for j in recording.judgments if j.principle not in vetoes]
    of_vetoes = []
    for fitted, of_veto in zip(run.reward_fit.vetoes, model.vetoes, strict=True):
        judged = [j for j in recording.judgments if j.principle == fitted.principle]
        if fitted.caps and judged:
            decided = _decided(of_veto, recording, judged, again)
            of_vetoes.append(VetoScore(**asdict(decided), principle=fitted.principle))
    of_stages = [
        StageScore(
            **asdict(
                _decided(
                    of_stage,
                    recording,
                    [j for j in ordinary if j.principle == stage.text],
                    again,
                )
            ),
            stage=stage.text,
        )
        for stage, of_stage in zip(run.reward_fit.stages, model.stages, strict=True)
    ]
    decided = _together(of_stages) if of_stages else _decided(model, recording, ordinary, again)
    return Score(
        **asdict(decided),
        run=str(run.folder.path),
        judgments=str(judgments),
        vetoes=tuple(of_vetoes),
        stages=tuple(of_stages),
    )


def _together(stages: Sequence[StageScore]) -> Decided:
    """What the models of all stages decide."""
    correct = sum(stage.correct for stage in stages)
    count = sum(stage.comparisons for stage in stages)
    result = Proportion(correct, count)
    return Decided(
        result.share if count else None,
        result.interval,
        correct,
        count,
        ties=sum(stage.ties for stage in stages),
        seen=sum(stage.seen for stage in stages),
    )


def _content(pair: ObservedPair) -> frozenset[bytes]:
    """What the reward model sees of a comparison, which is all that it can have learned of it."""
    return frozenset(segment.tobytes() for segment in pair)


def _where(judgments: Path, task: Task) -> Path:
    """Where the judgments are."""
    if judgments.exists():
        return judgments
    bundled = next((other for other in bundled_tasks() if other.name == task.name), task)
    return bundled.judgments_folder(str(judgments))


def _decided(
    model: RewardModel, recording: Recording, judgments: Sequence[Judgment], seen: Container[str]
) -> Decided:
    preferences = derive_preferences(judgments)
    unseen = [p for p in preferences if p.comparison_id not in seen]
    observed = {c.id: c.observations for c in recording.comparisons}
    result = score(model, PreferenceData.gather(observed, unseen)) if unseen else Proportion(0, 0)
    return Decided(
        result.share if result.trials else None,
        result.interval,
        result.successes,
        result.trials,
        ties=len(unseen) - result.trials,
        seen=len(preferences) - len(unseen),
    )
