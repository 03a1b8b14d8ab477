"""A learned reward in the place of an environment's own, for any other reinforcement learner."""

from __future__ import annotations

from volition.learners.learned_reward.on_host import HostReward
from volition.learners.learned_reward.single import LearnedReward
from volition.learners.learned_reward.vector import LearnedVectorReward

__all__ = ["HostReward", "LearnedReward", "LearnedVectorReward"]
