"""Whether a run folder still is what it was: pixels, references, hashes, derived preferences."""

from __future__ import annotations

from collections.abc import Iterator

from volition.errors import VolitionError
from volition.evidence.audit.sampling import Sample
from volition.learners.policies import POLICY_FILE
from volition.reward.learning import digest, read_fit
from volition.reward.model import FILE, RewardModel
from volition.run.evaluation import Evaluation
from volition.run.folder import RunFolder
from volition.run.results import Result
from volition.storage.labels import LabelLog
from volition.storage.store import Store
from volition.storage.tensors import check_tree


def verify(folder: RunFolder) -> list[str]:
    """One line for each defect; none when all is well."""
    defects = [*folder.check_files(), *_verify_files(folder)]
    try:
        with Store.open(folder.path) as store:
            stored = store.verify()
            preferences = folder.preferences(store) if not stored else []
    except VolitionError as error:
        return [str(error), *defects]
    if stored:
        return [*stored, *defects]
    return [*defects, *_verify_reward_model(folder, digest(preferences))]


def _verify_files(folder: RunFolder) -> Iterator[str]:
    """Every file of the run's own that is there, read as it is read to be used."""
    for file in (folder.policy / POLICY_FILE, folder.kept / POLICY_FILE, folder.checkpoint):
        if file.is_file():
            try:
                check_tree(file)
            except VolitionError as error:
                yield str(error)
    try:
        LabelLog(folder.path).refresh()
    except VolitionError as error:
        yield str(error)
    documents = ((folder.evaluation, Evaluation), (folder.result, Result), (folder.audit, Sample))
    for file, kind in documents:
        if file.is_file():
            try:
                folder.read(file, kind)
            except VolitionError as error:
                yield str(error)


def _verify_reward_model(folder: RunFolder, derived: str) -> list[str]:
    file = folder.reward_model / FILE
    if not file.exists():
        return []
    try:
        RewardModel.load(folder.reward_model)
        fitted_to = read_fit(folder.reward_model).preferences
    except VolitionError as error:
        return [str(error)]
    if fitted_to != derived:
        return [
            f"{file} was fitted to the preferences {fitted_to}, and the store's judgments give "
            f"{derived}: more judgments have come since, and `volition resume {folder.path}` "
            "learns from them, or one of the two was changed"
        ]
    return []
