"""Does anything slow down when a run gets long?

    python benchmarks/scale.py [--quick]

The learner with a replay of a million transitions against one of ten thousand, both full, taking
turns; choosing 32 questions from a pool of 100,000 states; and, with 100,000 judgments in the
store, fitting the reward model to them, which is done beside learning. Answers are simulated.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from asked import opened
from claims import claim, run_benchmark
from volition.comparison import Comparison, Frame, Segment
from volition.envs.scene import open_scene
from volition.judgment import JudgeIdentity, Judgment, Order, Reply, Verdict
from volition.learners.base import Transitions
from volition.learners.sac import SAC, SACSettings, SACState
from volition.learners.visited import Passages
from volition.questions.candidates import Candidates, chosen_comparisons
from volition.reward.fit import check_inputs
from volition.reward.model import RewardModel, opinions
from volition.run.folder import RunFolder, RunSettings
from volition.run.run import Run
from volition.run.sessions import StateReward
from volition.storage.compilation import enable_cache
from volition.storage.store import Store
from volition.tasks.task import Task

TASK = opened(Task.find("pendulum"))
ENVS, ROUNDS, ITERATIONS = 4, 5, 400
KEEPS_UP_S = 28  # in which the fastest client gets the tenth more that the next fit waits for
JUDGE = JudgeIdentity("simulated:exact", simulated=True)


def full(learner: SAC, rng: np.random.Generator) -> SACState:
    """The learner's state with its replay full of random transitions."""
    state, _ = learner.start(0, 10**6)
    rows, transitions = state.replay.capacity, state.replay.transitions
    observed = rng.normal(size=transitions.observation.shape).astype(np.float32)
    filled = Transitions(
        observed,
        rng.uniform(-2, 2, (rows, 1)).astype(np.float32),
        observed,
        np.zeros(rows, np.bool_),
    )
    replay = state.replay._replace(transitions=jax.device_put(filled), added=jnp.int32(rows))
    return SACState(state.learned, replay, state.key, jnp.int32(rows), state.total_steps)


def iterations_per_s(sizes: list[int], rounds: int) -> dict[int, float]:
    rng = np.random.default_rng(0)
    learners = {n: SAC((3,), (-2.0,), (2.0,), ENVS, SACSettings(replay_capacity=n)) for n in sizes}
    states = {size: full(learner, rng) for size, learner in learners.items()}
    reward = StateReward(RewardModel.unfitted(check_inputs(TASK.reward, (3,))))
    observed = rng.normal(size=(ENVS, 3)).astype(np.float32)
    step = Transitions(observed, np.zeros((ENVS, 1), np.float32), observed, np.zeros(ENVS, bool))
    speeds: dict[int, list[float]] = {size: [] for size in sizes}
    for _ in range(rounds + 1):
        for size, learner in learners.items():
            started, state = time.perf_counter(), states[size]
            for _ in range(ITERATIONS):
                state, actions, _ = learner.iterate(state, step, observed, reward)
                np.asarray(actions)
            state.steps.block_until_ready()
            states[size] = state
            speeds[size].append(ITERATIONS / (time.perf_counter() - started))
    return {size: statistics.median(each[1:]) for size, each in speeds.items()}


def choosing_s(states: int) -> float:
    """Seconds to choose 32 questions, the least of three; frames are drawn for those alone."""
    rng = np.random.default_rng(0)
    theta, velocity = rng.uniform(-np.pi, np.pi, states), rng.uniform(-8, 8, states)
    observed = np.stack([np.cos(theta), np.sin(theta), velocity], 1).astype(np.float32)
    passages = Passages(observed[:, None], np.stack([theta, velocity], 1)[:, None])
    scene = open_scene(TASK.environment.id)
    model = RewardModel.unfitted(check_inputs(TASK.reward, (3,)))
    taken = []
    for _ in range(4):
        started = time.perf_counter()
        candidates = Candidates.drawn(*passages, scene, TASK.view)
        chosen = chosen_comparisons(candidates, partial(opinions, model), "goal", (), 32, rng)
        assert len(chosen) == 32
        taken.append(time.perf_counter() - started)
    return min(taken[1:])


def fitting_s(judgments: int, folder: Path) -> float:
    """Seconds to fit a reward model to a store with so many judgments."""
    rng = np.random.default_rng(0)
    frame = (Frame(np.zeros((8, 8, 3), np.uint8)),)
    settings = RunSettings("none", False, 4000, 0)
    with RunFolder.create(folder, TASK, settings) as run, Store.create(run.path) as store:
        goal_id = store.add_goal(TASK.stated_goal())
        store.add_judge(JUDGE)
        for start in range(0, judgments, 10_000):
            angles = rng.uniform(-np.pi, np.pi, (10_000, 2))
            observed = np.stack([np.cos(angles), np.sin(angles), 0 * angles], -1)
            pairs = [
                Comparison.between(goal_id, *(Segment(o[None], frame) for o in pair))
                for pair in observed.astype(np.float32)
            ]
            replies = [Reply(f"{start + n}", "") for n in range(len(pairs))]
            with store.transaction():
                store.add_comparisons(pairs)
                store.add_replies(JUDGE.id, replies)
                store.add_judgments(
                    Judgment(
                        c.id,
                        JUDGE.id,
                        Order.FORWARD,
                        Verdict(float(c.first.observations[0, 0] > c.second.observations[0, 0])),
                        reply,
                    )
                    for c, reply in zip(pairs, replies, strict=True)
                )
    fitted = Run.open(folder)
    with fitted.folder.open_store() as store:
        started = time.perf_counter()
        fitted.fit_reward(store)
        return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer rounds, a tenth of the store")
    quick = parser.parse_args().quick
    enable_cache()
    speeds = iterations_per_s([10_000, 1_000_000], 2 if quick else ROUNDS)
    ratio = round(speeds[1_000_000] / speeds[10_000], 3)
    chosen = round(choosing_s(100_000), 3)
    stored = 10_000 if quick else 100_000
    with tempfile.TemporaryDirectory() as folder:
        fitted = round(fitting_s(stored, Path(folder) / "run"), 2)
    held = [
        claim(
            "updates per second with a full replay of 1,000,000, of those with 10,000",
            ratio,
            "share",
            ">= 0.9",
            ratio >= 0.9,
        ),
        claim(
            "choosing 32 questions from a pool of 100,000 states",
            chosen,
            "s",
            "<= 0.5",
            chosen <= 0.5,
        ),
        claim(
            f"fitting the reward model to {stored:,} stored judgments, beside learning",
            fitted,
            "s",
            f"<= {KEEPS_UP_S}",
            fitted <= KEEPS_UP_S,
            simulated=True,
        ),
    ]
    claim("Nothing slows down", sum(held), f"of {len(held)} claims hold", "all", all(held))


if __name__ == "__main__":
    run_benchmark(main)
