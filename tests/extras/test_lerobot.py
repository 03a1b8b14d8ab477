"""A reward model in LeRobot's shape, on tensors of torch: `make test-extras`."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest
import torch

from volition import RewardModel
from volition.errors import InputError
from volition.integrations.lerobot import LeRobotReward


def test_lerobots_batches_are_rewarded() -> None:
    model = RewardModel.unfitted((0, 2))
    rows = np.random.default_rng(0).normal(size=(6, 4, 3)).astype(np.float32)
    adapter = LeRobotReward(model, "observation.state", success=0.0)
    wanted = np.asarray(model(jnp.asarray(rows)))
    rewards = adapter.compute_reward({"observation.state": torch.from_numpy(rows[:, 0])})
    assert (rewards.shape, rewards.dtype) == ((6,), torch.float32)
    assert np.allclose(rewards.numpy(), wanted[:, 0], atol=1e-5)
    clips = {"observation.state": torch.from_numpy(rows)}
    assert np.allclose(adapter.compute_reward(clips).numpy(), wanted.mean(1), atol=1e-5)
    assert adapter.predict_reward(clips).tolist() == (wanted.mean(1) > 0).tolist()
    with pytest.raises(InputError, match=r"no 'observation.state': it has action"):
        adapter.compute_reward({"action": rows})
    with pytest.raises(InputError, match=r"of shape \(6, 2\), and the reward model is given a vec"):
        adapter.compute_reward({"observation.state": torch.zeros(6, 2)})
    with pytest.raises(InputError, match="what counts as a success is not said"):
        LeRobotReward(model, "observation.state").predict_reward(clips)


def test_lerobots_pictures_are_rewarded() -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (3, 20, 24, 3), np.uint8)
    model = RewardModel.unfitted((), (20, 24, 3))
    adapter = LeRobotReward(model, "observation.images.top")
    channels_first = torch.from_numpy(np.moveaxis(pictures, -1, 1)).float() / 255
    rewards = adapter.compute_reward({"observation.images.top": channels_first})
    assert np.allclose(rewards.numpy(), model(jnp.asarray(pictures)), atol=1e-5)
    with pytest.raises(InputError, match=r"is given \(20, 24, 3\)"):
        adapter.compute_reward({"observation.images.top": channels_first[..., :20]})
