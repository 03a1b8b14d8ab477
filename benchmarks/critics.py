"""What becomes of critics whose rewards change: nothing done about it, and three remedies.

    python benchmarks/critics.py [--quick] [--tasks NAME ...] [--seeds N]

Whole runs with a simulated judge (`simulated:strong`, one of its own for each seed) that is asked
while the policy learns, so that the reward model is fitted anew ten times or so. Each run is made
as it is (rewards get zero mean and unit scale with each new model), with the first model's scale
kept for all that follow, with critics that begin anew with each new model, and with 200 gradient
steps made at once with it. Compared is the mean potential of the states of 100 episodes.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from claims import claim, run_benchmark
from tasks import judged
from volition.learners import replay as ring
from volition.learners import sac
from volition.learners.base import RewardFunction
from volition.reward.model import RewardModel
from volition.run import sessions
from volition.storage.compilation import enable_cache
from volition.tasks.task import Task
from volition.tasks.truth import TRUTHS, of_state

AT_ONCE = 200  # gradient steps

Remedy = Callable[[sac.SAC, sac.SACState, RewardFunction], sac.SACState]


def nothing(learner: sac.SAC, state: sac.SACState, reward: RewardFunction) -> sac.SACState:
    """The critics go on from what they know."""
    return state


def begin_anew(learner: sac.SAC, state: sac.SACState, reward: RewardFunction) -> sac.SACState:
    """Critics that know nothing, their targets and Adam's moments; the actor stays."""
    fresh = learner.start(int(state.steps), int(state.total_steps))[0].learned
    critics = fresh.networks.critics
    optimiser = state.learned.optimiser
    moments = {
        name: getattr(optimiser, name)._replace(critics=getattr(fresh.optimiser, name).critics)
        for name in ("mu", "nu")
    }
    learned = state.learned._replace(
        networks=state.learned.networks._replace(critics=critics),
        target_critics=fresh.target_critics,
        optimiser=optimiser._replace(**moments),
    )
    return sac.SACState(learned, state.replay, state.key, state.steps, state.total_steps)


@partial(jax.jit, static_argnums=0)
def learn_at_once(learner: sac.SAC, state: sac.SACState, reward: RewardFunction) -> sac.SACState:
    """Gradient steps without any new experience."""
    settings, low, high = learner.settings, np.array(learner.low), np.array(learner.high)
    key = jax.random.wrap_key_data(state.key, impl="threefry2x32")
    rows, noise = jax.random.split(jax.random.fold_in(key, 1))
    draws = AT_ONCE * settings.batch_size
    batch = ring.sample(state.replay, jax.random.uniform(rows, (draws,)))
    rewards = reward(batch)
    batch = batch._replace(action=2.0 * (batch.action - low) / (high - low) - 1.0)
    drawn = jax.random.normal(noise, (draws, 2, len(low)))
    minibatches = jax.tree.map(
        lambda x: x.reshape(-1, settings.batch_size, *x.shape[1:]), (batch, rewards, drawn)
    )
    update = partial(sac._update, settings, -float(len(low)), jnp.float32(settings.learning_rate))
    learned, _ = jax.lax.scan(update, state.learned, minibatches)
    return sac.SACState(learned, state.replay, state.key, state.steps, state.total_steps)


class Remedied:
    """A learner that applies a remedy with each new reward model; else it is what it wraps."""

    def __init__(self, learner: sac.SAC, remedy: Remedy) -> None:
        self._learner, self._remedy = learner, remedy
        self._model: Any = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._learner, name)

    def iterate(
        self, state: sac.SACState, transitions: Any, following: Any, reward: sessions.StateReward
    ) -> Any:
        weights = reward.model.layers[0].weight
        known, self._model = self._model, weights
        if known is not None and known is not weights:
            state = self._remedy(self._learner, state, reward)
        return self._learner.iterate(state, transitions, following, reward)


class FirstScale:
    """Gives every reward model the shift and the scale that the first one was normalised by."""

    def __init__(self) -> None:
        self._normalise = RewardModel.normalised
        self._first: tuple[Any, Any] | None = None

    def __call__(self, model: RewardModel, observations: Any) -> RewardModel:
        if self._first is None:
            first = self._normalise(model, observations)
            self._first = first.shift, first.scale
        return eqx.tree_at(lambda m: (m.shift, m.scale), model, self._first)


REMEDIES: dict[str, Remedy] = {
    "as it is": nothing,
    "the first scale": nothing,
    "critics anew": begin_anew,
    "200 updates at once": learn_at_once,
}


def reached(task: Task, potential: of_state, name: str, seed: int) -> float:
    """The mean potential that a run's policy reaches."""
    make, normalise = sessions.Setup.learner, RewardModel.normalised
    sessions.Setup.learner = lambda *given: Remedied(make(*given), REMEDIES[name])  # type: ignore[arg-type, assignment, method-assign]
    if name == "the first scale":
        scale = FirstScale()
        RewardModel.normalised = lambda *given: scale(*given)  # type: ignore[method-assign]
    try:
        return judged(task, potential, seed)["reached"]
    finally:
        sessions.Setup.learner, RewardModel.normalised = make, normalise  # type: ignore[method-assign]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="two seeds of the first task")
    parser.add_argument("--tasks", nargs="*", default=["lamp", "reacher"])
    parser.add_argument("--seeds", type=int, default=5)
    arguments = parser.parse_args()
    names, seeds = arguments.tasks, arguments.seeds
    if arguments.quick:
        names, seeds = names[:1], 2
    enable_cache()
    held = []
    for task in map(Task.find, names):
        potential = TRUTHS[task.name].potential
        assert isinstance(potential, of_state)
        found = {}
        for remedy in REMEDIES:
            found[remedy] = [round(reached(task, potential, remedy, n), 3) for n in range(seeds)]
            print(task.name, remedy, found[remedy], flush=True)
        medians = {remedy: statistics.median(values) for remedy, values in found.items()}
        lead = round(max(medians.values()) - medians["as it is"], 3)
        held.append(
            claim(
                f"{task.name}: what the best remedy reaches beyond the run as it is",
                lead,
                "of the potential, medians of seeds",
                "<= 0.02",
                lead <= 0.02,
                simulated=True,
                medians=medians,
                worst={k: min(v) for k, v in found.items()},
                all=found,
            )
        )
    claim(
        "Critics need no remedy when the reward changes",
        sum(held),
        f"of {len(held)} tasks",
        "all",
        all(held),
        simulated=True,
    )


if __name__ == "__main__":
    run_benchmark(main)
