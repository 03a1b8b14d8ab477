"""What was found out, and how: the keys that the task left open, and what the reward depends on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from volition.evidence.report.reading import Evidence
from volition.reward.learning import ChosenInputs
from volition.reward.preferences import Proportion
from volition.tasks.numbers import shown
from volition.tasks.task import Task

EVERY = 12  # names of entries at most; of more only some


class Discovery(NamedTuple):
    """Something that nobody wrote down.

    Attributes:
        what: A key of task.toml, or words.
        value: What it was found to be.
        how: How that was found.
    """

    what: str
    value: str
    how: str


def discoveries(evidence: Evidence) -> list[Discovery]:
    """All that was found out for a run, in the order in which that was done."""
    return [*_keys(evidence), *_dependencies(evidence)]


def _keys(evidence: Evidence) -> list[Discovery]:
    found = []
    for key, how in evidence.folder.settings.found.items():
        value = _value(evidence.folder.task, key)
        if key == "reward.observations":
            written = named(evidence.names, value or range(len(evidence.names)))
        elif isinstance(value, list | tuple):
            written = ", ".join(
                f"{part:.4g}" if isinstance(part, float) else str(part) for part in value
            )
        elif isinstance(value, dict):
            written = ", ".join(f"{name} {part}" for name, part in value.items())
        else:
            written = "" if value is None else shown(value)
        found.append(Discovery(key, written, how))
    return found


def _value(task: Task, key: str) -> Any:
    """What is there under SECTION.KEY."""
    value: Any = task.model_dump()
    for name in key.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _dependencies(evidence: Evidence) -> list[Discovery]:
    """What the reward depends on, and each veto that caps it."""
    fit, model = evidence.fit, evidence.model
    if model.picture:
        return [
            Discovery("the reward depends on", "the picture that is observed", "it is all there is")
        ]
    depends = [("the reward depends on", model.entries, fit.inputs)]
    if fit.stages:
        depends = [
            (f"the stage “{stage.text}” depends on", of_stage.entries, stage.inputs)
            for stage, of_stage in zip(fit.stages, model.stages, strict=True)
        ]
    for veto, of_veto in zip(fit.vetoes, model.vetoes, strict=True):
        if veto.caps:
            depends.append(
                (f"the veto “{veto.principle}” depends on", of_veto.entries, veto.inputs)
            )
    return [
        Discovery(what, named(evidence.names, entries), _how(inputs))
        for what, entries, inputs in depends
    ]


def named(names: Sequence[str], entries: Sequence[int]) -> str:
    """Observation entries by their names."""
    some = ", ".join(names[entry] for entry in entries[:EVERY])
    return some if len(entries) <= EVERY else f"{some} and {len(entries) - EVERY} more"


def _how(inputs: ChosenInputs | None) -> str:
    if inputs is None:
        return "as the task says"
    if inputs.sparse is None or inputs.sparse_heldout is None:
        return "all that a frame shows: held-out judgments do not speak for fewer"
    of_all, of_fewer = _decided(inputs.heldout), _decided(inputs.sparse_heldout)
    if inputs.taken == inputs.sparse:
        return (
            f"with these {of_fewer} held-out judgments are foretold, with all {len(inputs.shown)} "
            f"that a frame shows {of_all}"
        )
    return (
        f"all that a frame shows: with them {of_all} held-out judgments are foretold, with the "
        f"{len(inputs.sparse)} that were tried {of_fewer}, and less surely"
    )


def _decided(heldout: Proportion) -> str:
    return f"{heldout.successes} of {heldout.trials}"
