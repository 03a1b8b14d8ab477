"""A program that uses Volition, as its author would write it: read by type checkers, never run."""

from pathlib import Path

import gymnasium
import numpy as np

from volition import (
    Goal,
    JudgeSettings,
    LearnedReward,
    Progress,
    Run,
    Task,
    VolitionError,
    compare,
    judge_pairs,
    train,
)


def listen(progress: Progress) -> None:
    print(progress.stage, progress.env_steps)


def learn(folder: Path) -> float:
    goal = Goal("the rod points straight up", principles=["higher is better"])
    judge = JudgeSettings("openai:MODEL", 12, max_usd=0.5)
    try:
        run: Run = train("Pendulum-v1", goal, judge=judge, out=folder, steps=400, listener=listen)
    except VolitionError as error:
        raise SystemExit(str(error)) from error
    env = LearnedReward(gymnasium.make("Pendulum-v1"), run.reward_model)
    env.reset(seed=0)
    rewards = run.reward_model(np.zeros((4, 3), np.float32))
    print(float(rewards.mean()), Task.find("pendulum").name, run.result.warnings)
    return run.result.return_mean


def judge() -> float:
    judged = judge_pairs([("a.png", "b.png")], "the table is laid", "openai:MODEL")
    print(compare("runs/one", "runs/two", "openai:MODEL").win_rate)
    return judged[0].p_first or 0.5


# Were the types not seen, this would be no error, and the comment one too many.
WRONG: int = learn(Path("run"))  # type: ignore[assignment]
