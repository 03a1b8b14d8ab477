"""What simulated judges say of a task, and the policy that comes of it: shared by benchmarks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import cache

import numpy as np

from volition.comparison import Comparison
from volition.finding.found import find_out
from volition.judges import make_judge
from volition.judges.base import Question
from volition.judges.settings import JudgeSettings
from volition.judgment import Judgment, Order, Reply, derive_preferences
from volition.learners.base import Policy, RewardFunction
from volition.learners.rollout import Rollout
from volition.learners.visited import Visited
from volition.questions.covering import covering_comparisons
from volition.reward.model import RewardModel
from volition.reward.preferences import PreferenceData
from volition.run.creating import assignment_of
from volition.run.evaluation import evaluate
from volition.run.sessions import Setup, StateReward, run_session, session_seeds
from volition.tasks.task import Task


def opened(task: Task) -> Task:
    """The task with nothing left open: what is found out is found, and where nobody says how many
    steps, it has those of the first stage of learning."""
    found = find_out(task).task
    if "steps" in task.training.model_fields_set:
        return found
    setup = Setup(found.environment, found.training, found.training.steps, 0)
    with closing(Rollout(found.environment, setup.envs)) as rollout:
        first = setup.stages(rollout, setup.learner(rollout)).first
    training = found.training.model_copy(update={"steps": first})
    return found.model_copy(update={"training": training})


@cache
def comparisons(task_name: str, count: int, seed: int) -> tuple[Comparison, ...]:
    """The comparisons that a run would put to a judge to begin with."""
    task = opened(Task.find(task_name))
    return tuple(covering_comparisons(task.environment, task.view, "goal", count, seed))


def judged(task: Task, judge_name: str, asked: Sequence[Comparison], seed: int) -> list[Judgment]:
    """The judge's answers, each question put in a random order."""
    judge = make_judge(JudgeSettings(judge_name), assignment_of(task))
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

    def signal(visited: Visited) -> RewardFunction:
        return StateReward.over(reward, visited) if isinstance(reward, RewardModel) else reward

    policy = learned_policy(task, signal, seed)
    return evaluate(policy, lambda observations: 0 * observations[..., 0], task.environment).mean


def learned_policy(task: Task, signal: Callable[[Visited], RewardFunction], seed: int) -> Policy:
    """What a run's learner makes of any reward in the sessions of a run.

    Args:
        task: Where, and for how many steps; what it leaves open is found out (`opened`).
        signal: The reward of a session, given what was visited before it.
        seed: Of the learner and the environments.
    """
    task = opened(task)
    setup = Setup(task.environment, task.training, task.training.steps, seed)
    with closing(Rollout(task.environment, setup.envs)) as rollout:
        learner = setup.learner(rollout)
        position, steps = setup.start(rollout, learner, setup.steps), setup.session_steps(rollout)
        for number in range(setup.sessions(rollout)):
            reward, seeds = signal(position.visited), session_seeds(seed, number)
            position, _, _ = run_session(rollout, learner, reward, position, seeds, steps)
    return learner.policy(position.state)
