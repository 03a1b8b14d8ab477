"""Stable-Baselines3's PPO learns from judgments: the cart-pole, whose episodes end when it falls.

    python sb3_ppo.py [--judge openai:MODEL] [--steps N] [--out FOLDER]

A learned reward is 0 on average, and what follows an ending is worth nothing to PPO: with `gamma`
an ending is worth its last state for ever, or it would be sought by whoever does badly.
"""

import argparse

from stable_baselines3 import PPO
from stable_baselines3.common.evaluation import evaluate_policy

from volition.integrations.judged_run import JudgedRun
from volition.integrations.stable_baselines import AskWhileLearning, judged_envs

GAMMA = 0.98

parser = argparse.ArgumentParser()
parser.add_argument("--judge", help="PROVIDER:MODEL; by default the recorded judgments")
parser.add_argument("--steps", type=int, default=40_000)
parser.add_argument("--out", default="runs/sb3-ppo")
chosen = parser.parse_args()

with JudgedRun.at(chosen.out, "cartpole", judge=chosen.judge, steps=chosen.steps) as run:
    envs = judged_envs(run, 8, seed=0, gamma=GAMMA)
    model = PPO("MlpPolicy", envs, n_steps=64, batch_size=256, gae_lambda=0.9, gamma=GAMMA, seed=0)
    model.learn(chosen.steps, callback=AskWhileLearning(run))

    # For evaluation alone the environment's own reward is asked.
    mean, spread = evaluate_policy(model, run.make_env(), n_eval_episodes=10, warn=False)
    print(f"{mean:.0f} +- {spread:.0f} of 500 steps upright after {model.num_timesteps} steps")
