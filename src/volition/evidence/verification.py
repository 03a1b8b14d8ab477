"""Whether a run folder still is what it was: pixels, references, hashes, derived preferences."""

from __future__ import annotations

from volition.errors import VolitionError
from volition.judgment import derive_preferences
from volition.reward.learning import digest, read_fit
from volition.reward.model import FILE, RewardModel
from volition.run.folder import RunFolder


def verify(folder: RunFolder) -> list[str]:
    """One line for each defect; none when all is well."""
    try:
        with folder.open_store() as store:
            defects = store.verify()
            if defects:
                return defects
            judgments = store.judgments()
    except VolitionError as error:
        return [str(error)]
    return _verify_reward_model(folder, digest(derive_preferences(judgments)))


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
