"""TQC of sb3-contrib on a reward model that was learned before: a wrapper is all it takes.

python sb3_tqc.py [--steps N]
"""

import argparse
import tempfile
from pathlib import Path

import gymnasium
from sb3_contrib import TQC
from stable_baselines3.common.evaluation import evaluate_policy

from volition import LearnedReward
from volition.integrations.judged_run import JudgedRun

parser = argparse.ArgumentParser()
parser.add_argument("--steps", type=int, default=8_000)
chosen = parser.parse_args()

# Of a run that is there already it is `Run.open("runs/one").reward_model`.
with JudgedRun.at(Path(tempfile.mkdtemp()) / "run", "pendulum") as run:
    reward_model = run.reward.model

env = LearnedReward(gymnasium.make("Pendulum-v1"), reward_model)
model = TQC("MlpPolicy", env, gamma=0.97, policy_kwargs={"net_arch": [64, 64]}, seed=0)
model.learn(chosen.steps)

mean, spread = evaluate_policy(model, gymnasium.make("Pendulum-v1"), 10, warn=False)
print(f"true return {mean:.0f} +- {spread:.0f} after {chosen.steps} steps")
