"""Stable-Baselines3 on a learned reward: judgments are asked for while `model.learn` learns.

    with JudgedRun.at("runs/sac", "pendulum", judge="openai:MODEL") as run:
        options = {"replay_buffer_class": LearnedReplayBuffer}
        options["replay_buffer_kwargs"] = {"reward": run.reward}
        model = SAC("MlpPolicy", judged_envs(run, 4), **options)
        model.learn(run.steps, callback=AskWhileLearning(run))

The same lines go on where they were stopped. No reward of the environment reaches a learner: it is
replaced in `LearnedVecReward`, and a buffer asks the reward model of now.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import gymnasium
import numpy as np
import numpy.typing as npt

from volition.comparison import Observations
from volition.errors import InputError, RunError
from volition.integrations.judged_run import STATE, JudgedRun
from volition.learners.learned_reward import HostReward
from volition.learners.learned_reward.rewarding import Rewarding
from volition.reward.model import RewardModel
from volition.storage.tensors import load_arrays, read_description, save_tree

try:
    from stable_baselines3.common.buffers import DictReplayBuffer, ReplayBuffer
    from stable_baselines3.common.callbacks import BaseCallback
    from stable_baselines3.common.env_util import make_vec_env
    from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
    from stable_baselines3.common.save_util import recursive_getattr, recursive_setattr
    from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper, unwrap_vec_wrapper

    from volition.integrations.torch_state import Arrays, packed, unpacked
except ModuleNotFoundError as missing:
    raise InputError(
        f"Stable-Baselines3 needs a package that is not installed ({missing.name}): "
        "pip install 'volition[sb3]'"
    ) from None

SEEN = "volition.seen"  # in info: what the reward model was given of a step
FILE = "stable_baselines.safetensors"  # the checkpoint, in the run folder
COUNTED = ("num_timesteps", "_n_updates", "_episode_num")  # of an algorithm
STORED = ("observations", "next_observations", "actions", "dones", "timeouts")  # of a buffer

Info = dict[str, Any]  # as Stable-Baselines3 has it


class Given(NamedTuple):
    """What a reward model was given of a step, and how often the state counts that it led to."""

    seen: Observations
    held: float


class LearnedVecReward(VecEnvWrapper):  # type: ignore[misc]
    """As `volition.LearnedReward`, of all environments of a `VecEnv` at once.

    `info` says what the reward model was given (`SEEN`): buffers and callback read it there.

    Args:
        venv: The environments, as they are stepped: no wrapper that changes what is observed.
        reward_model, clip, gamma: As of `volition.LearnedReward`.

    Raises:
        EnvironmentUnsupported: As from `volition.LearnedReward`.
    """

    def __init__(
        self,
        venv: VecEnv,
        reward_model: RewardModel | HostReward,
        *,
        clip: int = 1,
        gamma: float | None = None,
    ) -> None:
        space, name = venv.observation_space, _name_of(venv)
        self._rewarding = Rewarding(reward_model, space, venv.num_envs, name, clip, gamma)
        super().__init__(venv, self._rewarding.space)

    @property
    def reward(self) -> HostReward:
        """Of now."""
        return self._rewarding.reward

    def reset(self) -> Any:
        observations = self.venv.reset()
        if not self._rewarding.staged:
            self._rewarding.begin()
            return observations
        self._rewarding.begin(self._rewarding.read_all(observations))
        return self._rewarding.seen.copy()

    def step_wait(self) -> tuple[Any, npt.NDArray[np.float32], npt.NDArray[np.bool_], list[Info]]:
        observations, _, ended, infos = self.venv.step_wait()
        begun = self._rewarding.read_all(observations)
        reached = begun.copy()
        for place in np.flatnonzero(ended):
            reached[place] = self._rewarding.read(infos[place]["terminal_observation"])
        cut = np.array([info.get("TimeLimit.truncated", False) for info in infos])
        held = self._rewarding.held(ended & ~cut)
        rewards = self._rewarding.after(reached, ended & ~cut).astype(np.float32)
        for info, seen, times in zip(infos, self._rewarding.seen.copy(), held, strict=True):
            info[SEEN] = Given(seen, float(times))
        if self._rewarding.staged:
            for place in np.flatnonzero(ended):
                infos[place]["terminal_observation"] = infos[place][SEEN].seen
        if ended.any():
            self._rewarding.begin(begun[ended], ended)
        if self._rewarding.staged:
            observations = self._rewarding.seen.copy()
        return observations, rewards, ended, infos


def judged_envs(
    run: JudgedRun, count: int = 1, seed: int | None = None, gamma: float | None = None
) -> LearnedVecReward:
    """So many environments of a run, with its reward of now; `gamma` as of `LearnedReward`.

    What Stable-Baselines3 logs of episodes is the environment's own return, which is there for
    evaluation and reaches no learner.
    """
    return LearnedVecReward(make_vec_env(run.make_env, count, seed), run.reward, gamma=gamma)


class _Relabelled:
    """Comes before a replay of Stable-Baselines3's, and rewards what is sampled from it."""

    def __init__(self, *args: Any, reward: HostReward, **options: Any) -> None:
        super().__init__(*args, **options)
        buffer: Any = self
        if buffer.optimize_memory_usage:
            raise InputError(
                "a learned replay keeps what each step led to: leave optimize_memory_usage out"
            )
        self.labels = Labels(reward, buffer.buffer_size, buffer.n_envs)

    def add(
        self, obs: Any, next_obs: Any, action: Any, reward: Any, done: Any, infos: list[Info]
    ) -> None:
        base: Any = super()
        self.labels.add(self.pos, infos)  # type: ignore[attr-defined]
        base.add(obs, next_obs, action, reward, done, infos)

    def _get_samples(self, batch_inds: Any, env: Any = None) -> Any:
        base: Any = super()
        self.labels.label(self.rewards, batch_inds)  # type: ignore[attr-defined]
        return base._get_samples(batch_inds, env)


class LearnedReplayBuffer(_Relabelled, ReplayBuffer):  # type: ignore[misc]
    """A replay whose transitions are rewarded as they are sampled, by the reward model of now.

    Args:
        reward: Of now, as in `replay_buffer_kwargs={"reward": run.reward}`.

    Raises:
        InputError: Memory is to be saved in a way that forgets what an episode's end led to.
    """


class LearnedDictReplayBuffer(_Relabelled, DictReplayBuffer):  # type: ignore[misc]
    """As `LearnedReplayBuffer`, where a dictionary is observed."""


class Labels:
    """Which model rewarded each transition of a replay, and what it was given of it.

    Attributes:
        seen: (size, envs, ...); None before anything is stored.
        held: How often a reward counts: (size, envs).
    """

    def __init__(self, reward: HostReward, size: int, envs: int) -> None:
        self._reward = reward
        self.held = np.ones((size, envs), np.float32)
        self._version = np.zeros((size, envs), np.int64)  # of the model; 0 is none
        self.seen: Observations | None = None

    def add(self, row: int, infos: list[Info]) -> None:
        """Another step of all environments, which nobody has rewarded yet."""
        try:
            seen, held = _given(infos)
        except KeyError:
            raise InputError(
                "a replay whose rewards are learned needs environments that say what was seen: "
                "make them with judged_envs, or put LearnedVecReward around them"
            ) from None
        self.put(slice(row, row + 1), seen[None], held[None])

    def put(self, rows: slice, seen: Observations, held: npt.NDArray[np.float32]) -> None:
        """Likewise several steps: (rows, envs, ...), and (rows, envs)."""
        if self.seen is None:
            self.seen = np.zeros((*self._version.shape, *seen.shape[2:]), seen.dtype)
        self.seen[rows], self.held[rows], self._version[rows] = seen, held, 0

    def label(self, rewards: npt.NDArray[np.float32], rows: npt.NDArray[np.int64]) -> None:
        """Writes the reward of now into these rows of `rewards`, (size, envs), where it is not."""
        assert self.seen is not None
        rows = np.unique(rows)
        stale = self._version[rows] != self._reward.version
        if stale.any():
            old, envs = rows[np.nonzero(stale)[0]], np.nonzero(stale)[1]
            rewards[old, envs] = self._reward(self.seen[old, envs]) * self.held[old, envs]
            self._version[old, envs] = self._reward.version


class AskWhileLearning(BaseCallback):  # type: ignore[misc]
    """Asks for judgments while a model learns, and keeps model, replay and counters beside them.

    Learning that was stopped goes on from the last checkpoint: with the same model, its replay and
    its number of steps, in environments that begin anew, and with other random numbers.

    Args:
        run: What is judged, within its block.
        every: Environment steps from one checkpoint to the next; another is written at the end.

    Raises:
        InputError: The model's environments, replay or normalisation will not do.
        RunError: The checkpoint is of another algorithm, or damaged.
    """

    def __init__(self, run: JudgedRun, every: int = 5_000) -> None:
        super().__init__()
        self.run, self._every, self._next = run, every, every
        self._seen: list[Observations] = []  # of the rollout under way, where there are rollouts
        self._held: list[npt.NDArray[np.float32]] = []
        self._rewards: list[npt.NDArray[np.float32]] = []
        self._version = 0

    @property
    def _on_policy(self) -> bool:
        return isinstance(self.model, OnPolicyAlgorithm)

    @property
    def checkpoint(self) -> Path:
        return self.run.run.folder.path / FILE

    def _on_training_start(self) -> None:
        envs = unwrap_vec_wrapper(self.training_env, LearnedVecReward)
        if envs is None or envs.reward is not self.run.reward:
            raise InputError("the environments have another reward: make them with judged_envs")
        if not self._on_policy and not hasattr(self.model.replay_buffer, "labels"):
            raise InputError(
                "the replay would keep the rewards of earlier models: give the model "
                "replay_buffer_class=LearnedReplayBuffer, replay_buffer_kwargs={'reward': "
                "run.reward}"
            )
        normalising = self.model.get_vec_normalize_env()
        if normalising is not None and normalising.norm_reward:
            raise InputError(
                "a learned reward has unit scale, and is not normalised again: give VecNormalize "
                "norm_reward=False"
            )
        if self.model.num_timesteps == 0 and self.checkpoint.is_file():
            restore(self.model, self.checkpoint)
            self.num_timesteps = self.model.num_timesteps
            if not self._on_policy:
                self._normalise()
        self._next = self.num_timesteps + self._every

    def _on_rollout_start(self) -> None:
        self._seen, self._held, self._rewards = [], [], []
        self._version = self.run.reward.version

    def _on_step(self) -> bool:
        infos = self.locals["infos"]
        seen, held = _given(infos)
        states = np.stack([info[STATE] for info in infos]) if STATE in infos[0] else None
        if self._on_policy:
            self._seen.append(seen)
            self._held.append(held)
            self._rewards.append(self.locals["rewards"].copy())
        self.run.turn(self.num_timesteps, seen, self.locals["dones"], states)
        if self.num_timesteps >= self._next:
            self._next = self.num_timesteps + self._every
            save(self.model, self.checkpoint)
        return True

    def _on_rollout_end(self) -> None:
        """Rewards a rollout by the model of now, where part of it was by another."""
        if not self._on_policy or self._version == self.run.reward.version:
            return
        seen, buffer = np.stack(self._seen), self.model.rollout_buffer
        rewards = self.run.reward(seen.reshape(-1, *seen.shape[2:])).reshape(seen.shape[:2])
        # What is beside them is the worth of cut episodes, which the value network says.
        buffer.rewards += rewards * np.stack(self._held) - np.stack(self._rewards)
        buffer.compute_returns_and_advantage(self.locals["values"], self.locals["dones"])

    def _on_training_end(self) -> None:
        save(self.model, self.checkpoint)

    def _normalise(self) -> None:
        labels, rows = self.model.replay_buffer.labels, self.model.replay_buffer.size()
        if labels.seen is not None and rows:
            self.run.normalise(labels.seen[:rows].reshape(-1, *labels.seen.shape[2:]))


def save(model: Any, path: Path) -> None:
    """Writes parameters, optimizers, replay and counters of a model, whole or not at all."""
    arrays: Arrays = {}
    names, variables = model._get_torch_save_params()
    state = {name: recursive_getattr(model, name).state_dict() for name in names}
    described = {
        "algorithm": type(model).__name__,
        "state": packed(state, arrays),
        "variables": packed({name: recursive_getattr(model, name) for name in variables}, arrays),
        "counted": {name: int(getattr(model, name, 0)) for name in COUNTED},
        "replay": packed(_replay_of(model), arrays),
    }
    save_tree(path, arrays, {**described, "arrays": [*arrays]})


def restore(model: Any, path: Path) -> None:
    """Gives a model what was saved of one that was made in the same way.

    Raises:
        RunError: The file is damaged, or of another algorithm.
    """
    described = read_description(path)
    if described["algorithm"] != type(model).__name__:
        raise RunError(
            f"{path} was written by {described['algorithm']}, and {type(model).__name__} is to "
            "go on: choose another run folder"
        )
    names = described["arrays"]
    arrays = dict(zip(names, load_arrays(path, names), strict=True))
    try:
        model.set_parameters(unpacked(described["state"], arrays), exact_match=True)
    except (RuntimeError, ValueError) as error:
        why = " ".join(str(error).split())[:200]
        raise RunError(f"{path} is of a model that was made otherwise: {why}") from error
    for name, value in unpacked(described["variables"], arrays).items():
        recursive_setattr(model, f"{name}.data", value.to(model.device))
    for name, count in described["counted"].items():
        setattr(model, name, count)
    replay = unpacked(described["replay"], arrays)
    if replay:
        _fill(model.replay_buffer, replay)


def _replay_of(model: Any) -> dict[str, object]:
    buffer = getattr(model, "replay_buffer", None)
    if buffer is None or buffer.labels.seen is None:
        return {}
    rows, contents = buffer.size(), {name: getattr(buffer, name) for name in STORED}
    contents |= {"seen": buffer.labels.seen, "held": buffer.labels.held}
    kept: dict[str, object] = {
        name: {key: array[:rows] for key, array in content.items()}
        if isinstance(content, dict)
        else content[:rows]
        for name, content in contents.items()
    }
    return {**kept, "pos": buffer.pos, "full": buffer.full}


def _fill(buffer: Any, replay: dict[str, Any]) -> None:
    seen = replay["seen"]
    if seen.shape[1] != buffer.n_envs or len(seen) > buffer.buffer_size:
        raise RunError(
            f"the replay that was kept has {seen.shape[1]} environments and {len(seen)} steps, and "
            f"this one has {buffer.n_envs} and room for {buffer.buffer_size}: make it as before"
        )
    for name in STORED:
        stored, content = getattr(buffer, name), replay[name]
        if isinstance(content, dict):
            for key, array in content.items():
                stored[key][: len(array)] = array
        else:
            stored[: len(content)] = content
    buffer.labels.put(slice(0, len(seen)), seen, replay["held"])
    buffer.pos, buffer.full = replay["pos"], replay["full"]


def _given(infos: list[Info]) -> tuple[Observations, npt.NDArray[np.float32]]:
    """What the reward model was given of a step of all environments, and how often it counts."""
    given: list[Given] = [info[SEEN] for info in infos]
    return np.stack([each.seen for each in given]), np.array([each.held for each in given], "f4")


def _name_of(venv: VecEnv) -> str:
    specs: list[gymnasium.envs.registration.EnvSpec | None] = venv.get_attr("spec")
    return specs[0].id if specs and specs[0] is not None else type(venv.unwrapped).__name__
