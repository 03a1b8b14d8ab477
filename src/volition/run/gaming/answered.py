"""The gaming alarm where nobody is asked live: when the answers of a round come in."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import numpy as np

from volition.judgment import Verdict
from volition.learners.checkpoint import Checkpoint
from volition.reward.learning import read_fit
from volition.reward.model import FILE, RewardModel, opinions
from volition.run.folder import RunFolder
from volition.run.gaming.record import Check, GamingAlarm, read_record
from volition.run.gaming.weighing import weighed
from volition.storage.documents import write_document
from volition.storage.store import Store


def weigh_round(run: RunFolder, store: Store, before: Collection[str]) -> list[GamingAlarm]:
    """Compares what came with what the run's reward model foretells, which has not learned it.

    Checks are the pairs whose better side, as it foretells, is rewarded like the best tenth of what
    was judged before. The record is written.

    Args:
        run: Which asked.
        store: Its store, with the answers.
        before: Ids of the comparisons that had a verdict before they came.

    Returns:
        What is raised by them.
    """
    learned = (run.reward_model / FILE).is_file() and run.checkpoint.is_file()
    if not learned or run.settings.corrections or run.task.goal.stages:
        return []
    model, fit = RewardModel.load(run.reward_model), read_fit(run.reward_model)
    judgments, observed = store.judgments(), store.observed()
    came = {
        j.comparison_id: j.judge_id
        for j in judgments
        if isinstance(j.outcome, Verdict) and j.comparison_id not in before
    }
    if run.task.alarm.action == "off" or fit.good is None or not came:
        return []
    pairs = np.stack([np.stack(observed[name]) for name in came])
    values, reward = opinions(model, pairs.reshape(-1, *pairs.shape[2:]))
    first, second = values.mean(0).reshape(-1, 2).T
    of_first, of_second = reward.reshape(-1, 2).T
    better = np.where(first > second, of_first, of_second)
    history = Checkpoint(run.checkpoint, run.kept).history()
    steps, record = int(history[-1]["env_steps"]), read_record(run.path)
    checks = []
    for place in np.flatnonzero((better >= fit.good) & (first != second)).tolist():
        name, judge_id = list(came.items())[place]
        judge = fit.judges.get(judge_id)
        slope, bias = (judge.slope, judge.bias) if judge else (1.0, 0.0)
        logit, low = slope * float(first[place] - second[place]), fit.heldout.interval[0]
        checks.append(Check(name, record.batches, steps, logit, bias, low))
    if not checks:
        return []
    later = replace(record, checks=(*record.checks, *checks))
    came_to = weighed(later, judgments, (), steps, "tell").record
    write_document(run.gaming, came_to)
    return list(came_to.alarms[len(record.alarms) :])
