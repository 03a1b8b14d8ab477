"""The project's own environments, by their names in Gymnasium's register.

They are there once `volition.envs` is imported, which `gymnasium.make` does by itself where it is
asked for "volition.envs:volition/Lamp-v0".
"""

from __future__ import annotations

from gymnasium.envs.registration import register, registry

ENVIRONMENTS = {
    "volition/Guest-v0": ("volition.envs.own.guest:Guest", 80),
    "volition/Lamp-v0": ("volition.envs.own.lamp:Lamp", 100),
    "volition/Regatta-v0": ("volition.envs.own.regatta:Regatta", 160),
    "volition/Welcome-v0": ("volition.envs.own.welcome:Welcome", 100),
}
"""Id: where its class is, and after how many steps an episode is cut."""


def register_environments() -> None:
    """Makes them known to `gymnasium.make`, unless they are."""
    for name, (home, steps) in ENVIRONMENTS.items():
        if name not in registry:
            register(name, entry_point=home, max_episode_steps=steps)
