"""A reward model in LeRobot's shape: a batch of tensors in, a tensor of rewards out.

LeRobot calls a reward model by `compute_reward(batch)` (its `PreTrainedRewardModel`), and a success
classifier by `predict_reward(batch, threshold)` (its `RewardClassifierProcessorStep`, 0.4). What is
here has both. It needs no package more: the tensors of a batch bring their own library.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Self

import numpy as np

from volition.comparison import Observations, observed, reduced
from volition.errors import InputError
from volition.learners.learned_reward import HostReward
from volition.learners.learned_reward.on_host import host_reward
from volition.reward.model import RewardModel

Tensor = Any  # torch's


class LeRobotReward:
    """What a reward model says of LeRobot's batches.

    Args:
        reward_model: What is wanted.
        key: Of what it is given in a batch: numbers (batch, dim) such as `observation.state`, or
            pictures such as `observation.images.top`, (batch, channels, height, width), float from
            0 to 1 as LeRobot has them. With one axis more, (batch, steps, ...), they are clips, and
            worth the mean over their steps.
        success: From which reward on a state counts as a success, for `predict_reward`; of a run it
            is `run.reward_fit.good`, which the best tenth of the judged states are worth.

    Attributes:
        is_trainable: It is not: judgments teach it, through Volition.
    """

    is_trainable = False

    def __init__(
        self, reward_model: RewardModel | HostReward, key: str, success: float | None = None
    ) -> None:
        self._reward = host_reward(reward_model)
        self._key, self._success = key, success

    def compute_reward(self, batch: Mapping[str, Tensor]) -> Tensor:
        """The reward of each element of a batch: float32 (batch,), on the device of the batch.

        Raises:
            InputError: The batch has no such key, or what it has is of another shape than the
                reward model is given.
        """
        if self._key not in batch:
            raise InputError(
                f"the batch has no {self._key!r}: it has {', '.join(sorted(batch)) or 'nothing'}"
            )
        tensor = batch[self._key]
        seen = self._seen(tensor.detach().cpu().numpy())
        rewards = self._reward(seen.reshape(-1, *seen.shape[2:])).reshape(seen.shape[:2])
        return tensor.new_tensor(rewards.mean(1), dtype=_float32(tensor))

    def predict_reward(self, batch: Mapping[str, Tensor], threshold: float = 0.5) -> Tensor:
        """1 where a state counts as a success, else 0: float32 (batch,).

        The logistic function of how far the reward is beyond `success` exceeds `threshold` there.

        Raises:
            InputError: As from `compute_reward`, or nobody said what a success is.
        """
        if self._success is None:
            raise InputError("what counts as a success is not said: LeRobotReward(success=REWARD)")
        return ((self.compute_reward(batch) - self._success).sigmoid() > threshold).float()

    def reset(self) -> None:
        """Nothing is remembered from one batch to the next."""

    def to(self, device: object) -> Self:
        """It stays on the host; rewards are given on the device of the batch."""
        return self

    def eval(self) -> Self:
        return self

    def train(self, mode: bool = True) -> Self:
        return self

    def parameters(self) -> Iterator[Tensor]:
        """None, since it is not trained there."""
        return iter(())

    def get_optim_params(self) -> Iterator[Tensor]:
        return self.parameters()

    def _seen(self, array: Observations) -> Observations:
        """What the reward model is given: (batch, steps, ...)."""
        model = self._reward.model
        axes = 3 if model.picture else 1
        given, shape = array.shape, ()
        if not np.isfinite(array).all():
            raise InputError(f"{self._key!r} is not finite")
        if array.ndim == axes + 1:
            array = array[:, None]
        if array.ndim == axes + 2 and model.picture:
            scaled = array if array.dtype == np.uint8 else np.rint(np.clip(array, 0, 1) * 255)
            array = reduced(np.moveaxis(scaled, 2, -1).astype(np.uint8))
            shape = array.shape[2:]
        elif array.ndim == axes + 2:
            array, shape = observed(array), array.shape[2:]
        if wanted := self._reward.wants(shape):
            raise InputError(
                f"{self._key!r} is of shape {tuple(given)}, and the reward model is given {wanted}"
            )
        return array


def _float32(tensor: Tensor) -> Any:
    """The type of float32 in the tensor's own library."""
    return tensor.float().dtype
