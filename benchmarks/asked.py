"""What simulated judges say of a task, and the policy that comes of it: shared by benchmarks."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import closing
from functools import cache

import numpy as np

from volition.comparison import Comparison
from volition.judges import judge as judge_named
from volition.judges.base import JudgeOptions, Question
from volition.judgment import Judgment, Order, Reply, derive_preferences
from volition.learners.base import RewardFunction
from volition.learners.rollout import Rollout
from volition.questions.covering import covering
from volition.reward.model import RewardModel
from volition.reward.preferences import PreferenceData
from volition.run.evaluation import evaluate
from volition.run.folder import Settings
from volition.run.sessions import (
    StateReward,
    make_learner,
    run_session,
    session_seed,
    session_steps,
    start,
)
from volition.tasks.task import Task


@cache
def comparisons(task_name: str, count: int, seed: int) -> tuple[Comparison, ...]:
    """The comparisons that a run would put to a judge to begin with."""
    task = Task.find(task_name)
    return tuple(covering(task, "goal", count, seed))


def judged(task: Task, judge_name: str, asked: Sequence[Comparison], seed: int) -> list[Judgment]:
    """The judge's answers, each question put in a random order."""
    judge = judge_named(judge_name, JudgeOptions(task.stated_goal(), task.view, task=task.name))
    orders = np.random.default_rng([seed, 1]).choice(list(Order), len(asked))
    questions = [Question(c, Order(o)) for c, o in zip(asked, orders, strict=True)]
    reply = asyncio.run(judge.ask(questions))
    return [
        Judgment(q.comparison.id, judge.identity.id, q.order, outcome, Reply(str(n), ""))
        for n, (q, outcome) in enumerate(zip(questions, judge.read(reply, questions), strict=True))
    ]


def data(asked: Sequence[Comparison], judgments: Sequence[Judgment]) -> PreferenceData:
    """What a reward model is fitted to."""
    return PreferenceData.gather(
        {c.id: c.observations for c in asked}, derive_preferences(judgments)
    )


def learned_return(task: Task, reward: RewardModel | RewardFunction, seed: int) -> float:
    """Mean true return of 100 episodes, after learning with the task's settings.

    Args:
        task: The task.
        reward: A reward model, which is normalised over what was visited as a run does; or any
            other reward.
        seed: Of the learner and the environments.
    """
    settings = Settings("none", False, task.training.steps, seed)
    with closing(Rollout(task.environment, settings.envs)) as rollout:
        learner = make_learner(rollout, task, settings)
        position = start(settings, rollout, learner)
        session = session_steps(rollout.episode_limit)
        for number in range(-(-settings.steps // (session * settings.envs))):
            signal = reward
            if isinstance(reward, RewardModel):
                seen = position.visited.flat()
                signal = StateReward(reward.normalised(seen) if len(seen) else reward)
            seeds = session_seed(seed, number), session_seed(seed, number + 1)
            position, _, _ = run_session(rollout, learner, signal, position, seeds, session)
    policy = learner.policy(position.state)
    return evaluate(policy, lambda observations: 0 * observations[..., 0], task.environment).mean
