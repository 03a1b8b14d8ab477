"""`LearnedReward` below Stable-Baselines3: what it learns from judgments, and what a step costs.

    python benchmarks/wrapper.py [--quick] [--seeds N] [--first N] [--steps N] [--cost | --learning]

It needs the extra `bench`. **Learning**: the reward model is fitted to the recorded judgments that
come with `pendulum` (`one-look`, 60), Stable-Baselines3's SAC learns from `LearnedReward` for 2,500
steps with Volition's own settings, and the environment's own reward is asked for 100 episodes at
the end. `--cost` and `--learning` do one of the two.

**Cost**: the processor time of a step of the environment with the learned reward and without,
taking turns in one process, and of a step of `SAC.learn` with the same settings, which is the whole
of it: environment, policy, replay and one gradient step. Of 8 environments a step is that of all of
them, and one gradient step, as SAC's own default is. Counted is the median of many short rounds, in
processor time, which other work on the machine changes less than wall time; what is to be believed
is their ratio. `with Stable-Baselines3's own vector` puts `LearnedVecReward` round a DummyVecEnv,
`with Gymnasium's` `LearnedReward` round a SyncVectorEnv.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

from claims import claim, missing, run_benchmark
from volition import LearnedReward, RewardModel
from volition.integrations.judged_run import JudgedRun
from volition.learners.sac import SACSettings

try:
    import torch
    from stable_baselines3 import SAC
    from stable_baselines3.common.evaluation import evaluate_policy
    from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv
except ModuleNotFoundError as error:
    raise SystemExit(missing(error)) from None

TASK = "Pendulum-v1"
SETTINGS = SACSettings()
STEPS, EPISODES, ENVS = 2_500, 100, 8
LEAST, MOST = -160.0, 0.05  # of the true return; of a step of Stable-Baselines3's
ROUNDS, ROUND = 40, 250  # of taking turns, and steps of each
LEARNING_ROUND = 100  # steps of SAC in a round
PEER = {name: version(name) for name in ("stable-baselines3", "torch")}


def learning_rate(left: float) -> float:
    """As Volition's own: on a straight line to its end. `left` is the share of the run to come."""
    first, final = SETTINGS.learning_rate, SETTINGS.final_learning_rate
    return final + left * (first - final)


def sac(env: gymnasium.Env[Any, Any] | VecEnv, seed: int, envs: int = 1) -> Any:
    return SAC(
        "MlpPolicy",
        env,
        learning_rate=learning_rate,
        buffer_size=STEPS * envs,
        learning_starts=SETTINGS.random_steps,
        batch_size=SETTINGS.batch_size,
        tau=SETTINGS.tau,
        gamma=SETTINGS.gamma,
        policy_kwargs={"net_arch": list(SETTINGS.hidden)},
        seed=seed,
        device="cpu",
    )


def judged(seed: int) -> RewardModel:
    """The reward model of the judgments that come with the task."""
    folder = Path(tempfile.mkdtemp())  # which goes with the benchmark
    with JudgedRun.at(folder / "run", "pendulum", seed=seed) as run:
        return run.reward.model


def learned(seed: int, steps: int) -> float:
    """The true return of a policy that learned from the wrapper."""
    model = sac(LearnedReward(gymnasium.make(TASK), judged(seed)), seed)
    model.learn(steps)
    envs = DummyVecEnv([lambda: gymnasium.make(TASK)] * 20)
    envs.seed(10_000)
    mean, _ = evaluate_policy(model, envs, n_eval_episodes=EPISODES, warn=False)
    return float(mean)


class Stepped:
    """A step of environments with zeros as actions, which begin anew by themselves."""

    def __init__(self, env: Any, actions: Any) -> None:
        self._env, self._actions = env, actions
        env.reset()

    def __call__(self) -> None:
        result = self._env.step(self._actions)
        if len(result) == 5 and np.ndim(result[3]) == 0 and result[3]:  # one environment, cut
            self._env.reset()


def seconds(act: Callable[[], object], steps: int) -> float:
    """Processor seconds of each of so many."""
    begun = time.process_time()
    for _ in range(steps):
        act()
    return (time.process_time() - begun) / steps


def overhead(plain: Stepped, rewarded: Stepped, learner: Any, rounds: int) -> dict[str, float]:
    """Microseconds of a step without the wrapper, with it, and of `SAC.learn`."""
    envs = learner.n_envs
    learner.learn(SETTINGS.random_steps + 10 * envs)
    times: list[tuple[float, float, float]] = []
    for number in range(rounds):
        row = seconds(plain, ROUND), seconds(rewarded, ROUND)
        if number % 4 == 0:
            wanted = LEARNING_ROUND * envs

            def learn() -> None:
                learner.learn(wanted, reset_num_timesteps=False)  # noqa: B023

            step = seconds(learn, 1) / LEARNING_ROUND
        times.append((*row, step))
    plain_s, rewarded_s, step_s = (statistics.median(column) for column in zip(*times, strict=True))
    more = statistics.median(rewarded - plain for plain, rewarded, _ in times)
    return {
        "plain_us": plain_s * 1e6,
        "rewarded_us": rewarded_s * 1e6,
        "step_us": step_s * 1e6,
        "share": more / step_s,
    }


def costs(model: RewardModel, rounds: int) -> dict[str, dict[str, float]]:
    """Of one environment, and of several in two ways."""
    from volition.integrations.stable_baselines import LearnedVecReward

    one = np.zeros(1, np.float32)
    several = np.zeros((ENVS, 1), np.float32)

    def vec_env() -> VecEnv:
        return DummyVecEnv([lambda: gymnasium.make(TASK)] * ENVS)

    def vector() -> Any:
        return gymnasium.make_vec(TASK, ENVS, vectorization_mode="sync")

    return {
        "one environment": overhead(
            Stepped(gymnasium.make(TASK), one),
            Stepped(LearnedReward(gymnasium.make(TASK), model), one),
            sac(gymnasium.make(TASK), 0),
            rounds,
        ),
        f"{ENVS}, with Stable-Baselines3's own vector": overhead(
            Stepped(vec_env(), several),
            Stepped(LearnedVecReward(vec_env(), model), several),
            sac(vec_env(), 0, ENVS),
            rounds,
        ),
        f"{ENVS}, with Gymnasium's": overhead(
            Stepped(vector(), several),
            Stepped(LearnedReward(vector(), model), several),
            sac(vec_env(), 0, ENVS),
            rounds,
        ),
    }


def claim_cost(rounds: int) -> bool:
    measured = costs(judged(0), rounds)
    share = max(cost["share"] for cost in measured.values())
    return claim(
        "processor time of the learned reward, of a step of Stable-Baselines3's SAC, at most",
        round(share, 4),
        "share",
        f"at most {MOST}",
        share <= MOST,
        measured={
            name: {key: round(value, 4) for key, value in cost.items()}
            for name, cost in measured.items()
        },
        rounds=rounds,
        peer=PEER,
    )


def claim_learning(seeds: range, steps: int) -> bool:
    returns = [learned(seed, steps) for seed in seeds]
    return claim(
        f"worst true return of {len(seeds)} seeds, SAC of Stable-Baselines3 on 60 judgments",
        round(min(returns), 1),
        "return",
        f"at least {LEAST}",
        min(returns) >= LEAST,
        returns={seed: round(value, 1) for seed, value in zip(seeds, returns, strict=True)},
        steps=steps,
        episodes=EPISODES,
        peer=PEER,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--quick", action="store_true", help="one seed, few rounds")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first", type=int, default=0, help="the first of the seeds")
    parser.add_argument("--steps", type=int, default=STEPS, help="that SAC learns")
    parser.add_argument("--cost", action="store_true", help="nothing else")
    parser.add_argument("--learning", action="store_true", help="nothing else")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    if not chosen.learning:
        claim_cost(8 if chosen.quick else ROUNDS)
    if not chosen.cost:
        seeds = range(chosen.first, chosen.first + (1 if chosen.quick else chosen.seeds))
        claim_learning(seeds, chosen.steps)


if __name__ == "__main__":
    run_benchmark(main)
