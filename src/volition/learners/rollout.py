"""Vector environments stepped on the host: transitions for the learner, returns for evaluation.

The environment's own reward is summed here for the evaluation log, and goes nowhere else: what a
learner gets has no field for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, SupportsFloat

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from volition.comparison import Array, observed
from volition.envs.checking import tried
from volition.envs.scene import make_env
from volition.learners.base import Acts, Transitions
from volition.reward.stages import Staging, check_observed
from volition.tasks.task import EnvironmentSection

CUT_AFTER = 1000  # steps of an episode, where the environment ends none by itself
Watch = Callable[[gymnasium.Env[Any, Any], Any, bool], Array]


@dataclass(frozen=True, slots=True)
class Step:
    """What one step of every environment gave.

    Attributes:
        transitions: (envs, ...) for the learner; no reward.
        observations: float32 (envs, obs_dim) to act on next, after any reset.
        ended: bool (envs,), where an episode ended.
        true_returns: float (envs,), the environment's own return of the episode so far. For the
            evaluation log only.
        states: float64 (envs, fields), the environments' own states that the step led to; None
            where nobody asked for them.
    """

    transitions: Transitions
    observations: Array
    ended: Array
    true_returns: Array
    states: Array | None = None


class Watched(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Looks at what a step led to, before a new episode begins there."""

    def __init__(self, env: gymnasium.Env[Any, Any], watch: Watch) -> None:
        super().__init__(env)
        self._watch = watch
        self.state: Array = np.zeros(0)

    def reset(self, **options: Any) -> tuple[Any, dict[str, Any]]:
        result = self.env.reset(**options)
        if not len(self.state):
            self.state = self._watch(self.env, result[0], True)
        return result

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        result = self.env.step(action)
        observation, _, terminated, truncated, _ = result
        self.state = self._watch(self.env, observation, terminated or truncated)
        return result


class Rollout:
    """`envs` copies of an environment side by side.

    Args:
        environment: Which.
        envs: How many.
        watch: Looks at an environment after each step, at what is observed there and whether the
            episode ended, and tells its state, float64 (fields,).
        render_mode: How the environments are drawn, if they are, as Gymnasium names it.
        staging: Says which stage of a goal is under way, where it has any: that is observed, too.
            Another one of as many stages may take its place.

    Raises:
        EnvironmentUnsupported: They cannot be made so, or no stage can be observed there.
    """

    def __init__(
        self,
        environment: EnvironmentSection,
        envs: int,
        watch: Watch | None = None,
        render_mode: str | None = None,
        staging: Staging | None = None,
    ) -> None:
        more = {} if render_mode is None else {"render_mode": render_mode}

        def make() -> gymnasium.Env[Any, Any]:
            made: gymnasium.Env[Any, Any] = make_env(environment.id, environment.kwargs, **more)
            return Watched(made, watch) if watch else made

        self._env: Any = tried(
            environment.id,
            f"to put {envs} of it side by side",
            lambda: SyncVectorEnv([make] * envs, autoreset_mode=AutoresetMode.SAME_STEP),
        )
        self._observations: Array = np.zeros(0)
        self._returns: Array = np.zeros(envs)
        self._watched = watch is not None
        self.envs, self.staging = envs, staging
        if staging is not None:
            check_observed(self._env.single_observation_space.shape, environment.id)

    @property
    def observation_space(self) -> gymnasium.Space[Any]:
        space: gymnasium.Space[Any] = self._env.single_observation_space
        return space if self.staging is None else staged_space(space, self.staging)

    @property
    def action_space(self) -> gymnasium.Space[Any]:
        space: gymnasium.Space[Any] = self._env.single_action_space
        return space

    @property
    def episode_limit(self) -> int | None:
        """The number of steps after which the environment cuts an episode, if it does."""
        spec = self._env.envs[0].spec
        return spec.max_episode_steps if spec else None

    @property
    def fields(self) -> int:
        """How many numbers the state of an environment has; 0 where nobody is told."""
        return len(self._env.envs[0].state) if self._watched else 0

    def reset(self, seed: int | list[int]) -> Array:
        """Starts every environment anew; returns what is observed: float32 (envs, obs_dim).

        `seed` is that of the first environment, and those after it count on; or each one's own.
        """
        observations, _ = self._env.reset(seed=seed)
        self._observations = observed(observations)
        if self.staging is not None:
            self._observations = self.staging.begun(self._observations)
        self._returns = np.zeros(self.envs)
        return self._observations

    def step(self, actions: Array) -> Step:
        """Takes one step in every environment."""
        seen, rewards, terminated, truncated, info = self._env.step(actions)
        ended = terminated | truncated
        observations = observed(seen).copy()
        reached = observations
        if ended.any():
            reached = observations.copy()
            for index in np.flatnonzero(ended):
                reached[index] = info["final_obs"][index]
        if self.staging is not None:
            begun, reached = observations, self.staging.after(self._observations, reached)
            observations = reached.copy()
            if ended.any():
                observations[ended] = self.staging.begun(begun[ended])
        returns = self._returns + rewards
        transitions = Transitions(self._observations, actions, reached, terminated.copy())
        self._observations = observations
        self._returns = np.where(ended, 0.0, returns)
        states = np.stack([env.state for env in self._env.envs]) if self._watched else None
        return Step(transitions, observations, ended, returns, states)

    def close(self) -> None:
        self._env.close()


def staged_space(space: gymnasium.Space[Any], staging: Staging) -> gymnasium.Space[Any]:
    """What is observed of a goal in stages: a vector, and which stage is under way."""
    assert isinstance(space, gymnasium.spaces.Box)
    none, all_of_it = np.zeros(staging.entries), np.ones(staging.entries)
    low, high = np.append(space.low, none), np.append(space.high, all_of_it)
    return gymnasium.spaces.Box(low.astype(np.float32), high.astype(np.float32))


class Moment(NamedTuple):
    """One step of episodes side by side.

    Attributes:
        actions: (episodes, ...), that were taken.
        step: What came of them.
        running: bool (episodes,), which episodes had not ended before.
    """

    actions: Array
    step: Step
    running: Array


def episodes(
    rollout: Rollout, policy: Acts, seed: int | list[int], longest: int | None = None
) -> Iterator[Moment]:
    """Acts one episode in every environment, each to its end.

    Args:
        rollout: The environments, as many as there are episodes.
        policy: Who acts.
        seed: As of `Rollout.reset`.
        longest: Steps after which an episode is cut; by default where the environment cuts it, or
            after `CUT_AFTER` steps where it never does.
    """
    observations, running = rollout.reset(seed), np.ones(rollout.envs, np.bool_)
    for _ in range(longest or rollout.episode_limit or CUT_AFTER):
        actions = np.asarray(policy(observations))
        step = rollout.step(actions)
        yield Moment(actions, step, running)
        observations, running = step.observations, running & ~step.ended
        if not running.any():
            return


class Padded:
    """A policy that acts on more rows than there are, so that a program that is compiled for so
    many serves here, too."""

    def __init__(self, policy: Acts, rows: int) -> None:
        self._policy, self._rows = policy, rows

    def __call__(self, observations: Array) -> Array:
        padded = np.zeros((self._rows, *observations.shape[1:]), observations.dtype)
        padded[: len(observations)] = observations
        return np.asarray(self._policy(padded))[: len(observations)]


class AtRandom:
    """The random policy: actions drawn evenly from the space of the environments'."""

    def __init__(self, rollout: Rollout, seed: int) -> None:
        self._space = rollout.action_space
        self._space.seed(seed)

    def __call__(self, observations: Array) -> Array:
        return np.stack([self._space.sample() for _ in observations])
