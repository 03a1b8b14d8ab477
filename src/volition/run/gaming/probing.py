"""Questions whose answers are known, made of what the judge has answered surely: a few of those
that `volition certify` puts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from volition.certifying.putting.gold import Gold, one_of_each
from volition.judgment import Verdict, undo_order
from volition.reward.model import RewardModel, opinions
from volition.storage.store import Store

SUREST = 3  # pairs, of each of which one probe is made


def known_answers(
    store: Store, model: RewardModel, judge_id: str, goal_pictures: Sequence[Path]
) -> list[Gold]:
    """Made of the pairs that reward model and judge decide alike, and most surely."""
    judgments, verdicts = store.judgments(), dict[str, float]()
    comparisons = store.comparisons()  # after them: others are added meanwhile
    for judgment in judgments:
        if judgment.judge_id == judge_id and isinstance(judgment.outcome, Verdict):
            verdicts[judgment.comparison_id] = undo_order(judgment.outcome, judgment.order) - 0.5
    if not verdicts:
        return []
    judged = [comparisons[name] for name in verdicts]
    seen = np.stack([side for comparison in judged for side in comparison.observations])
    first, second = opinions(model, seen)[0].mean(0).reshape(-1, 2).T
    alike = (first - second) * np.array([*verdicts.values()])
    surest = [place for place in np.argsort(-alike, kind="stable").tolist() if alike[place] > 0]
    sure = [(judged[place], bool(first[place] > second[place])) for place in surest[:SUREST]]
    return one_of_each(sure, goal_pictures)
