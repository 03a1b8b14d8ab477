"""`imitation`'s tutorial 5, preference comparisons on Pendulum-v1, as one timed process.

Run by `benchmarks/peers.py` in an environment of its own (`requirements.txt` beside this file).
The settings are those of `docs/tutorials/5_train_preference_comparisons.ipynb` in the source
distribution of imitation 1.0.1, with three deliberate differences:

- The notebook's fixed seed 0 is an argument, and PyTorch is seeded before the reward network is
  made; the notebook leaves that network's initial weights to chance.
- The notebook's two shortened numbers are arguments: `learner.learn(1_000)`, "set to 100_000 to
  train a proficient expert", and `num_iterations=5`, "Set to 60 for better performance".
- The evaluation takes 100 fixed-seed episodes, stepped together, instead of 10 unseeded ones.

The last line of stdout is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import time
from importlib.metadata import version
from typing import Any

STARTED = time.perf_counter()

import gymnasium  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402
from imitation.algorithms import preference_comparisons  # noqa: E402
from imitation.policies.base import FeedForward32Policy, NormalizeFeaturesExtractor  # noqa: E402
from imitation.rewards.reward_nets import BasicRewardNet  # noqa: E402
from imitation.rewards.reward_wrapper import RewardVecEnvWrapper  # noqa: E402
from imitation.util.networks import RunningNorm  # noqa: E402
from imitation.util.util import make_vec_env  # noqa: E402
from stable_baselines3 import PPO  # noqa: E402

ENVIRONMENT = "Pendulum-v1"
COMPARISONS = 200
COMPARISON_STEPS = 5_000
PACKAGES = ("imitation", "gymnasium", "stable-baselines3", "torch", "numpy")


def make_ppo(venv: Any, seed: int) -> Any:
    """PPO as the tutorial sets it, for the agent that is compared and for the final learner."""
    return PPO(
        policy=FeedForward32Policy,
        policy_kwargs={
            "features_extractor_class": NormalizeFeaturesExtractor,
            "features_extractor_kwargs": {"normalize_class": RunningNorm},
        },
        env=venv,
        seed=seed,
        n_steps=2048 // venv.num_envs,
        batch_size=64,
        ent_coef=0.01,
        learning_rate=2e-3,
        clip_range=0.1,
        gae_lambda=0.95,
        gamma=0.97,
        n_epochs=10,
    )


def make_reward_trainer(reward_net: Any, rng: np.random.Generator) -> Any:
    return preference_comparisons.BasicRewardTrainer(
        preference_model=preference_comparisons.PreferenceModel(reward_net),
        loss=preference_comparisons.CrossEntropyRewardLoss(),
        epochs=3,
        rng=rng,
    )


def learn_reward(venv: Any, seed: int, iterations: int, rng: np.random.Generator) -> Any:
    """The tutorial's reward network, after 200 comparisons judged by the true reward."""
    reward_net = BasicRewardNet(
        venv.observation_space, venv.action_space, normalize_input_layer=RunningNorm
    )
    comparisons = preference_comparisons.PreferenceComparisons(
        preference_comparisons.AgentTrainer(
            algorithm=make_ppo(venv, seed),
            reward_fn=reward_net,
            venv=venv,
            exploration_frac=0.05,
            rng=rng,
        ),
        reward_net,
        num_iterations=iterations,
        fragmenter=preference_comparisons.RandomFragmenter(warning_threshold=0, rng=rng),
        preference_gatherer=preference_comparisons.SyntheticGatherer(rng=rng),
        reward_trainer=make_reward_trainer(reward_net, rng),
        fragment_length=100,
        transition_oversampling=1,
        initial_comparison_frac=0.1,
        allow_variable_horizon=False,
        initial_epoch_multiplier=4,
        query_schedule="hyperbolic",
    )
    comparisons.train(total_timesteps=COMPARISON_STEPS, total_comparisons=COMPARISONS)
    return reward_net


def evaluate(policy: Any, first_seed: int, episodes: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """True returns `(episodes,)` of the deterministic policy; one fixed reset seed an episode."""
    envs = [gymnasium.make(ENVIRONMENT) for _ in range(episodes)]
    obs = np.stack([env.reset(seed=first_seed + i)[0] for i, env in enumerate(envs)])
    returns = np.zeros(episodes)
    truncated = False
    while not truncated:  # Pendulum never terminates and is cut after 200 steps in every episode
        actions, _ = policy.predict(obs, deterministic=True)  # (episodes, 1)
        steps = [env.step(action) for env, action in zip(envs, actions, strict=True)]
        obs = np.stack([step[0] for step in steps])
        returns += [float(step[1]) for step in steps]
        truncated = steps[0][3]
    return returns


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Learn a reward from comparisons, a policy from that reward, and evaluate the policy."""
    imported = time.perf_counter()
    torch.manual_seed(arguments.seed)
    rng = np.random.default_rng(arguments.seed)
    venv = make_vec_env(ENVIRONMENT, rng=rng)
    reward_net = learn_reward(venv, arguments.seed, arguments.iterations, rng)
    compared = time.perf_counter()
    learner = make_ppo(RewardVecEnvWrapper(venv, reward_net.predict_processed), arguments.seed)
    learner.learn(arguments.learner_steps)
    learned = time.perf_counter()
    returns = evaluate(learner.policy, arguments.first_seed, arguments.episodes)
    return {
        "seed": arguments.seed,
        "return_mean": float(returns.mean()),
        "return_std": float(returns.std()),
        "episodes": arguments.episodes,
        "comparisons": COMPARISONS,
        "import_s": imported - STARTED,
        "comparisons_s": compared - imported,
        "learner_s": learned - compared,
        "evaluation_s": time.perf_counter() - learned,
    }


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--iterations", type=int, default=5)
    parser.add_argument("--learner-steps", type=int, default=100_000)
    parser.add_argument("--episodes", type=int, default=100)
    parser.add_argument("--first-seed", type=int, default=10_000, help="reset seed of episode 1")
    parser.add_argument("--versions", action="store_true", help="print the versions and leave")
    return parser.parse_args()


def main() -> None:
    arguments = parse()
    versions = {package: version(package) for package in PACKAGES}
    print(json.dumps(versions if arguments.versions else run(arguments)))


if __name__ == "__main__":
    main()
