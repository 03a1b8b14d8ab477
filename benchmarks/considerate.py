"""Driving considerately, judged, against the same learner on the environment's own reward.

    python benchmarks/considerate.py [--quick] [--seeds N] [--first N] [--steps N]

For each seed a policy of `highway-fast-v0` (highway-env) is learned twice by the same learner with
the same number of steps: on the environment's own reward, and in a whole run on the judgments of a
multimodal LLM that come with `examples/highway`. What is counted nobody learned from, over
`EPISODES` episodes that neither met: collisions and cut-ins a kilometre, the time to the car
ahead, the share of time that it is under a second, and speed. A cut-in is a change into a lane
where the car behind is then less than a second away. Needs `pip install highway-env`.
"""

from __future__ import annotations

import argparse
import tempfile
from contextlib import closing
from pathlib import Path
from statistics import mean
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from asked import learned_policy
from claims import claim, run_benchmark
from volition.envs.scene import make_env
from volition.learners.base import Acts, Transitions
from volition.run.run import train
from volition.storage.compilation import enable_cache
from volition.tasks.task import Task

TASK = Path(__file__).parents[1] / "examples" / "highway"
STEPS, EPISODES, FIRST_EPISODE = 10_000, 30, 50_000
TOP_SPEED, LANES = 80.0, 3.0  # what speed and place across are observed in units of
SECOND = 1.0


class OwnReward(eqx.Module):
    """The environment's own reward by what is observed of the driven car: speed from 20 to 30 m/s
    (0.4), lane from left to right (0.1), and a collision, which ends an episode (-1); normalised
    as there, from what a collision is worth (0) to the best (1)."""

    def __call__(self, transitions: Transitions) -> jax.Array:
        observed = jnp.asarray(transitions.next_observation)  # presence, x, y, vx, vy; other cars
        speed = jnp.clip((observed[..., 3] * TOP_SPEED - 20.0) / 10.0, 0.0, 1.0)
        lane = jnp.clip(observed[..., 2] * LANES / (LANES - 1.0), 0.0, 1.0)
        reward = (0.4 * speed + 0.1 * lane + 1.0) / 1.5
        return reward * (1.0 - jnp.asarray(transitions.terminated, jnp.float32))


class Driving(NamedTuple):
    """What a policy did, over all episodes."""

    kilometres: float
    collisions_per_km: float
    cut_ins_per_km: float
    median_headway_s: float
    share_under_a_second: float
    speed_m_s: float


def driving(task: Task, policy: Acts) -> Driving:
    metres, seconds, collisions, cut_ins = 0.0, 0, 0, 0
    headways: list[float] = []
    with closing(make_env(task.environment.id)) as env:
        inner: Any = env.unwrapped
        for episode in range(EPISODES):
            observed, _ = env.reset(seed=FIRST_EPISODE + episode)
            over, lane = False, inner.vehicle.lane_index
            while not over:
                before = inner.vehicle.position[0]
                observed, _, ended, cut, _ = env.step(np.asarray(policy(observed[None]))[0])
                car, over = inner.vehicle, ended or cut
                metres, seconds = metres + car.position[0] - before, seconds + 1
                collisions += car.crashed
                ahead, behind = inner.road.neighbour_vehicles(car, car.lane_index)
                changed, lane = car.lane_index != lane, car.lane_index
                cut_ins += bool(changed and behind and _apart(behind, car) < SECOND)
                if ahead:
                    headways.append(_apart(car, ahead))
    kilometres = metres / 1000
    return Driving(
        round(kilometres, 1),
        round(collisions / kilometres, 2),
        round(cut_ins / kilometres, 2),
        round(float(np.median(headways)), 2),
        round(float(np.mean(np.array(headways) < SECOND)), 3),
        round(metres / seconds, 1),
    )


def _apart(follower: Any, leader: Any) -> float:
    """Seconds from one car to the one before it, bumper to bumper."""
    gap = leader.position[0] - follower.position[0] - (leader.LENGTH + follower.LENGTH) / 2
    return float(max(0.0, gap) / max(1.0, follower.speed))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one seed")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--steps", type=int, default=STEPS)
    arguments = parser.parse_args()
    enable_cache()
    task = Task.find(str(TASK))
    training = task.training.model_copy(update={"steps": arguments.steps})
    shorter = task.model_copy(update={"training": training})
    judged, own = [], []
    for seed in range(
        arguments.first, arguments.first + (1 if arguments.quick else arguments.seeds)
    ):
        with tempfile.TemporaryDirectory() as folder:
            run = train(task, seed=seed, steps=arguments.steps, out=Path(folder) / "run")
            judged.append(driving(task, run.policy))
        own.append(driving(task, learned_policy(shorter, lambda _: OwnReward(), seed)))
    pairs = list(zip(judged, own, strict=True))
    claim(
        f"Highway, {len(judged)} seeds of {arguments.steps} steps: collisions a kilometre, judged",
        round(mean(one.collisions_per_km for one in judged), 2),
        "on average",
        "fewer than of the environment's own reward, and no more cut-ins, in each seed",
        all(
            one.collisions_per_km < other.collisions_per_km
            and one.cut_ins_per_km <= other.cut_ins_per_km
            for one, other in pairs
        ),
        judged=[one._asdict() for one in judged],
        own_reward=[other._asdict() for other in own],
    )


if __name__ == "__main__":
    run_benchmark(main)
