"""PPO in one file, in the manner of CleanRL, on `LearnedReward` around a Gymnasium vector.

    python cleanrl_ppo.py [--steps N]

The cart-pole learns from 36 judgments of a multimodal LLM that come with the task. All of what is
Volition's is in `learned_envs`; the rest is PPO (Schulman et al., arXiv:1707.06347) in torch.
"""

import argparse
import tempfile
from pathlib import Path

import gymnasium
import numpy as np
import torch
from gymnasium.vector import AutoresetMode
from torch import nn
from torch.distributions import Categorical

from volition import LearnedReward
from volition.integrations.judged_run import JudgedRun

ENVS, ROLLOUT, EPOCHS, BATCH = 8, 64, 10, 256
GAMMA, LAMBDA, CLIP, ENTROPY, RATE = 0.98, 0.9, 0.2, 0.0, 1e-3


def learned_envs() -> LearnedReward:
    with JudgedRun.at(Path(tempfile.mkdtemp()) / "run", "cartpole") as run:
        reward_model = run.reward.model
    mode = {"autoreset_mode": AutoresetMode.SAME_STEP}
    envs = gymnasium.make_vec("CartPole-v1", ENVS, vectorization_mode="sync", vector_kwargs=mode)
    # With gamma an ending is worth its last state for ever: a learned reward is 0 on average.
    return LearnedReward(envs, reward_model, gamma=GAMMA)


def network(outputs: int) -> nn.Module:
    return nn.Sequential(
        nn.Linear(4, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, outputs)
    )


class Agent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.actor, self.critic = network(2), network(1)

    def forward(self, observations: torch.Tensor) -> tuple[Categorical, torch.Tensor]:
        policy = Categorical(logits=self.actor(observations))
        return policy, self.critic(observations).squeeze(-1)


def tensor(array: np.ndarray) -> torch.Tensor:
    return torch.as_tensor(np.asarray(array), dtype=torch.float32)


def rollout(envs, agent: Agent, observations: np.ndarray):
    """Steps the environments; returns what was done there, and where they are now."""
    steps = []
    for _ in range(ROLLOUT):
        with torch.no_grad():
            policy, values = agent(tensor(observations))
            actions = policy.sample()
        following, rewards, terminated, truncated, info = envs.step(actions.numpy())
        rewards = tensor(rewards)
        if truncated.any():  # the episode would have gone on: its last state is worth a guess
            cut = np.flatnonzero(truncated)
            with torch.no_grad():
                _, last = agent(tensor(np.stack([info["final_obs"][place] for place in cut])))
            rewards[cut] += GAMMA * last
        ended = tensor(terminated | truncated)
        log_likelihoods = policy.log_prob(actions)
        steps.append((tensor(observations), actions, log_likelihoods, values, rewards, ended))
        observations = following
    return [torch.stack(column) for column in zip(*steps, strict=True)], observations


def advantages(values, rewards, ended, last_value) -> torch.Tensor:
    """Generalised advantage estimation (arXiv:1506.02438)."""
    result, running = torch.zeros_like(rewards), torch.zeros(ENVS)
    for step in reversed(range(ROLLOUT)):
        following = last_value if step == ROLLOUT - 1 else values[step + 1]
        goes_on = 1 - ended[step]
        surprise = rewards[step] + GAMMA * goes_on * following - values[step]
        running = surprise + GAMMA * LAMBDA * goes_on * running
        result[step] = running
    return result


def learn(agent: Agent, optimizer: torch.optim.Optimizer, steps, last_value) -> None:
    observations, actions, old, values, rewards, ended = steps
    gained = advantages(values, rewards, ended, last_value)
    flat = [each.flatten(0, 1) for each in (observations, actions, old, gained, gained + values)]
    for _ in range(EPOCHS):
        for rows in torch.randperm(ENVS * ROLLOUT).split(BATCH):
            observations, actions, old, gained, wanted = (each[rows] for each in flat)
            policy, values = agent(observations)
            ratio = (policy.log_prob(actions) - old).exp()
            gained = (gained - gained.mean()) / (gained.std() + 1e-8)
            actor = -torch.min(ratio * gained, ratio.clamp(1 - CLIP, 1 + CLIP) * gained).mean()
            critic = (values - wanted).square().mean() / wanted.var().clamp(min=1.0)
            loss = actor + 0.5 * critic - ENTROPY * policy.entropy().mean()
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(agent.parameters(), 0.5)
            optimizer.step()


def steps_upright(agent: Agent, episodes: int = 10) -> float:
    """By the environment's own reward, for evaluation alone."""
    env, total = gymnasium.make("CartPole-v1"), 0.0
    for seed in range(episodes):
        observation, ended = env.reset(seed=seed)[0], False
        while not ended:
            action = agent.actor(tensor(observation)).argmax().item()
            observation, reward, terminated, truncated, _ = env.step(action)
            total, ended = total + float(reward), terminated or truncated
    return total / episodes


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=40_000)
    total = parser.parse_args().steps
    torch.manual_seed(0)
    torch.set_num_threads(1)
    envs, agent = learned_envs(), Agent()
    optimizer = torch.optim.Adam(agent.parameters(), lr=RATE, eps=1e-5)
    observations, _ = envs.reset(seed=0)
    for taken in range(0, total, ENVS * ROLLOUT):
        optimizer.param_groups[0]["lr"] = RATE * (1 - taken / total)
        steps, observations = rollout(envs, agent, observations)
        with torch.no_grad():
            _, last_value = agent(tensor(observations))
        learn(agent, optimizer, steps, last_value)
    print(f"{steps_upright(agent):.0f} of 500 steps upright after {total} steps")


if __name__ == "__main__":
    main()
