"""A cat on a floor, and a patch of sunlight that lies elsewhere in every episode."""

import gymnasium
import numpy as np
from PIL import Image, ImageDraw


class Sunny(gymnasium.Env):
    metadata = {"render_modes": ["rgb_array"], "render_fps": 20}

    def __init__(self, render_mode=None):
        self.render_mode = render_mode
        self.observation_space = gymnasium.spaces.Box(-2, 2, (6,), np.float32)
        self.action_space = gymnasium.spaces.Box(-1, 1, (2,), np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.cat, self.sun = self.np_random.uniform(-0.9, 0.9, (2, 2))
        self.speed = np.zeros(2)
        return self._observation(), {}

    def step(self, action):
        self.speed = 0.8 * self.speed + 0.03 * np.asarray(action)
        self.cat = np.clip(self.cat + self.speed, -1, 1)
        return self._observation(), 0.0, False, False, {}  # no reward: nobody wrote one

    def render(self):
        picture = Image.new("RGB", (200, 200), (222, 214, 200))
        draw = ImageDraw.Draw(picture)
        for (x, y), radius, colour in (
            (self.sun, 34, (250, 220, 90)),
            (self.cat, 14, (60, 60, 66)),
        ):
            across, down = 100 + 85 * x, 100 - 85 * y
            draw.ellipse((across - radius, down - radius, across + radius, down + radius), colour)
        return np.asarray(picture)

    def _observation(self):
        return np.concatenate([self.cat, self.sun - self.cat, self.speed]).astype(np.float32)


gymnasium.register("Sunny-v0", entry_point=Sunny, max_episode_steps=60)
