"""What a reward model says, in NumPy.

An environment of another library is stepped on the host, one state at a time or a few. To hand
these to a device takes longer than to multiply them by so small an ensemble.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from volition.comparison import Observations, reduced
from volition.errors import InputError
from volition.reward.features import ALIVE, FEW, SHARPNESS, SIDE, Features
from volition.reward.model import CAP, SPREAD_PENALTY, UNSEEN, RewardModel
from volition.reward.stages import Staging

Float32 = npt.NDArray[np.float32]


class HostReward:
    """The reward of now: what `RewardModel` gives, of NumPy's arrays, and in microseconds.

    Attributes:
        model: Whose reward it is. Another one may take its place, of as many stages.
        version: How many models there have been.
        staging: Says which stage of the goal is under way; None of a goal that has none.
    """

    def __init__(self, model: RewardModel) -> None:
        self.version = 0
        self.model = model

    @property
    def model(self) -> RewardModel:
        return self._model

    @model.setter
    def model(self, model: RewardModel) -> None:
        self._model, self.staging = model, Staging.of(model)
        self._of_goal = _of_goal(model)
        self._vetoes = tuple(_OfState(veto) for veto in model.vetoes)
        self.version += 1

    def __call__(self, seen: Observations) -> Float32:
        """The reward of each row: float32 (rows,).

        Args:
            seen: What is observed, (rows, obs_dim) or pictures (rows, height, width, channels);
                of a goal in stages with the stage that is under way.
        """
        reward = self._of_goal(seen)
        for veto in self._vetoes:
            reward = np.minimum(reward, CAP * (1 + veto(seen)))
        return reward

    def wants(self, shape: tuple[int, ...]) -> str:
        """What is observed by the model, in words, if that is not of this shape; else nothing."""
        model = self.model
        if model.picture:
            said = f"{model.picture} (height, width, channels of a picture)"
            return "" if shape == model.picture else said
        inner = (*model.stages, *model.done, *model.vetoes)
        least = 1 + max((*model.inputs, *(entry for each in inner for entry in each.inputs)))
        fits = len(shape) == 1 and shape[0] >= least
        return "" if fits else f"a vector of {least} numbers at least"


def host_reward(reward: RewardModel | HostReward) -> HostReward:
    """What was given as the one or the other.

    Raises:
        InputError: It is neither.
    """
    if isinstance(reward, HostReward):
        return reward
    if not isinstance(reward, RewardModel):
        raise InputError(f"{type(reward).__name__} is no reward model: of a run, run.reward_model")
    return HostReward(reward)


def _of_goal(model: RewardModel) -> _OfState | _Staged:
    return _Staged(model) if model.stages else _OfState(model)


class _OfState:
    """An ensemble's mean less its spread, normalised: as of `RewardModel`, without vetoes.

    The first layers of all members are one matrix, and so are the last ones.
    """

    def __init__(self, model: RewardModel) -> None:
        self._scale, self._shift = np.float32(model.scale), np.float32(model.shift)
        self._features = None if model.features is None else _Features(model.features)
        given = np.flatnonzero(np.asarray(model.input_scale) < UNSEEN)
        inputs = model.inputs or range(len(model.input_mean))  # of pictures, all that is found
        self._columns = np.array(inputs, np.int64)[given]
        self._mean = np.asarray(model.input_mean)[given]
        self._input_scale = np.asarray(model.input_scale)[given]
        weights = [np.asarray(layer.weight) for layer in model.layers]  # (members, inputs, outputs)
        biases = [np.asarray(layer.bias) for layer in model.layers]  # (members, 1, outputs)
        members, _, hidden = weights[0].shape
        self._first = np.ascontiguousarray(
            weights[0][:, given].swapaxes(0, 1).reshape(-1, members * hidden)
        )
        self._first_bias = biases[0].reshape(-1)
        self._between = [*zip(weights[1:-1], biases[1:-1], strict=True)]
        self._last = _side_by_side(weights[-1][..., 0])
        self._last_bias = biases[-1].reshape(-1) - np.asarray(model.centre)
        self._members = members
        self._share = np.full(members, 1 / members, np.float32)

    def __call__(self, seen: Observations) -> Float32:
        found = seen if self._features is None else self._features(seen)
        scaled = (found.take(self._columns, 1) - self._mean) / self._input_scale
        values = np.tanh(scaled @ self._first + self._first_bias)
        if self._between:
            values = self._through(values)
        said = values @ self._last + self._last_bias  # (rows, members)
        mean = said @ self._share
        apart = said - mean[:, None]
        spread = np.sqrt((apart * apart) @ self._share)
        reward: Float32 = (mean - SPREAD_PENALTY * spread - self._shift) / self._scale
        return reward

    def _through(self, values: Float32) -> Float32:
        """The layers between the first and the last."""
        rows = len(values)
        apart = values.reshape(rows, self._members, -1)
        each: Any = apart.swapaxes(0, 1)  # (members, rows, hidden)
        for weight, bias in self._between:
            each = np.tanh(each @ weight + bias)
        return each.swapaxes(0, 1).reshape(rows, -1)


def _side_by_side(weights: Float32) -> Float32:
    """The last layers of all members, (members, hidden), as one: (members * hidden, members)."""
    members, hidden = weights.shape
    whole = np.zeros((members, hidden, members), np.float32)
    for member, weight in enumerate(weights):
        whole[member, :, member] = weight
    return whole.reshape(-1, members)


class _Staged:
    """As `RewardModel` has it of a goal in stages."""

    def __init__(self, model: RewardModel) -> None:
        self._model, self._stages = model, [_OfState(stage) for stage in model.stages]

    def __call__(self, seen: Observations) -> Float32:
        count = len(self._stages)
        stage = seen[:, -count - 1 :].argmax(1)
        wanted = np.stack([each(seen) for each in self._stages], 1)  # (rows, stages)
        # After all of them it is the last.
        under_way = wanted[np.arange(len(seen)), np.minimum(stage, count - 1)]
        share = 1 / (1 + np.exp(-np.clip(under_way, -80, 80)))
        reward: Float32 = self._model.worth_of((stage + share).astype(np.float32))
        return reward


class _Features:
    """As `volition.reward.features`; pixels of the background are passed over."""

    def __init__(self, features: Features) -> None:
        self._background = np.asarray(features.background)
        self._colours = np.asarray(features.colours)
        self._sizes = np.square(self._colours).sum(1)
        shape = self._background.shape[:2]
        down, across = (np.linspace(-1, 1, side, dtype=np.float32) for side in shape)
        # What is summed up over the pixels of a colour: 1, and where it lies across and down.
        self._places = np.stack(np.broadcast_arrays(np.float32(1), across, down[:, None]))

    def __call__(self, pictures: Observations) -> Float32:
        return np.stack([self._of_one(picture) for picture in pictures])

    def _of_one(self, picture: Observations) -> Float32:
        seen = np.asarray(reduced(picture, SIDE), np.float32) / np.float32(255)
        alive = np.abs(seen - self._background).max(-1) > ALIVE
        near = 2 * seen[alive] @ self._colours.T - self._sizes  # (pixels, colours)
        nearness = SHARPNESS * near
        belonging = np.exp(nearness - nearness.max(1, keepdims=True)) if alive.any() else nearness
        belonging /= belonging.sum(1, keepdims=True)
        mass, across, down = self._places[:, alive] @ belonging
        return np.concatenate([np.sqrt(mass), across / (mass + FEW), down / (mass + FEW)])
