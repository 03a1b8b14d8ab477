"""Stable-Baselines3's SAC learns from judgments: the pendulum, from 60 that come with the task.

    python sb3_sac.py [--judge openai:MODEL] [--steps N] [--out FOLDER]

With `--judge` a live judge is asked while SAC learns. The same command goes on where it was
stopped.
"""

import argparse

from stable_baselines3 import SAC
from stable_baselines3.common.evaluation import evaluate_policy

from volition.integrations.judged_run import JudgedRun
from volition.integrations.stable_baselines import (
    AskWhileLearning,
    LearnedReplayBuffer,
    judged_envs,
)

parser = argparse.ArgumentParser()
parser.add_argument("--judge", help="PROVIDER:MODEL; by default the recorded judgments")
parser.add_argument("--steps", type=int, default=8_000)
parser.add_argument("--out", default="runs/sb3-sac")
chosen = parser.parse_args()

with JudgedRun.at(chosen.out, "pendulum", judge=chosen.judge, steps=chosen.steps) as run:
    model = SAC(
        "MlpPolicy",
        judged_envs(run, seed=0),
        replay_buffer_class=LearnedReplayBuffer,
        replay_buffer_kwargs={"reward": run.reward},
        learning_rate=1e-3,
        gamma=0.97,
        tau=0.02,
        policy_kwargs={"net_arch": [64, 64]},
        seed=0,
    )
    model.learn(chosen.steps, callback=AskWhileLearning(run))

    # For evaluation alone the environment's own reward is asked.
    mean, spread = evaluate_policy(model, run.make_env(), n_eval_episodes=10, warn=False)
    print(f"true return {mean:.0f} +- {spread:.0f} after {model.num_timesteps} steps")
