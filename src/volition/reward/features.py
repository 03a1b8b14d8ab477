"""What a reward model is given of a picture: how much there is of each colour, and where it lies.

Judgments are too few to find out by them alone what a picture holds: a network of 100,000 weights
that learned from nothing else foretold judgments of the guest's pictures no better than chance
(docs/decisions/0018-pictures.md). So what is in pictures is found without a judgment, in all that
were judged together: the colours of whatever differs from one picture to the next, by k-means, and
in each picture their shares and their middles, as feature points are (Finn et al.,
arXiv:1509.06113, section V), of which nothing has to be trained.
"""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
from jaxtyping import Array, Float

from volition.comparison import Floats, Observations, reduced

COLOURS = 24
NUMBERS = 3 * COLOURS  # of each colour its share, and where it lies across and down
SIDE = 64  # pixels at most: of larger pictures the means of blocks
PICTURES, PIXELS = 300, 20_000  # that colours are found in
ROUNDS = 10  # of k-means
ALIVE = 0.06  # of full brightness, by which a pixel differs from the background
SHARPNESS = 120.0  # of belonging to the nearest colour: half as near is e times as much
FEW = 0.3  # pixels: where there are fewer of a colour, its middle moves to that of the picture
TOGETHER = 64  # pictures that are looked at


class Features(eqx.Module):
    """What was found in pictures, all from 0 to 1."""

    background: Float[Array, "height width channels"]  # the median picture
    colours: Float[Array, "colours channels"]

    def __call__(self, pictures: Array) -> Float[Array, "*batch numbers"]:
        """`NUMBERS` of each picture, uint8 (*batch, height, width, channels)."""
        seen = _small(pictures)
        alive = jnp.abs(seen - self.background).max(-1, keepdims=True) > ALIVE
        products = seen @ self.colours.T
        nearness = 2.0 * products - jnp.square(self.colours).sum(-1)
        belonging = (
            jax.nn.softmax(SHARPNESS * nearness, -1) * alive
        )  # (..., rows, columns, colours)
        mass = belonging.sum((-3, -2))
        down, across = (jnp.linspace(-1.0, 1.0, side) for side in belonging.shape[-3:-1])
        lies_across = jnp.einsum("...rck,c->...k", belonging, across) / (mass + FEW)
        lies_down = jnp.einsum("...rck,r->...k", belonging, down) / (mass + FEW)
        return jnp.concatenate([jnp.sqrt(mass), lies_across, lies_down], -1)

    def of_host(self, pictures: Observations) -> Floats:
        """The same of the host's pictures, (rows, NUMBERS), a few at a time."""
        rows = len(pictures)
        places = np.arange(-(-rows // TOGETHER) * TOGETHER) % rows
        blocks = [_apply(self, pictures[some]) for some in places.reshape(-1, TOGETHER)]
        return np.concatenate(blocks)[:rows]

    @classmethod
    def unfound(cls, shape: tuple[int, ...]) -> Features:
        """Those of nothing, for pictures of that shape: programs are the same."""
        small = reduced(np.zeros(shape, np.uint8), SIDE)
        nothing = np.zeros(small.shape, np.float32), np.zeros((COLOURS, shape[-1]), np.float32)
        return cls(*jax.device_put(nothing))

    @classmethod
    def found(cls, pictures: Observations, rng: np.random.Generator) -> Features:
        """What is found in pictures, uint8 (rows, height, width, channels)."""
        some = rng.permutation(len(pictures))[:PICTURES]
        seen = np.asarray(_small(pictures[some]))
        background = np.median(seen, 0)
        pixels = seen[np.abs(seen - background).max(-1) > ALIVE]
        pixels = pixels[rng.permutation(len(pixels))[:PIXELS]]
        return cls(*jax.device_put((background, _clusters(pixels, rng))))


@jax.jit
def _apply(features: Features, pictures: Array) -> Array:
    return features(pictures)


def _small(pictures: Array | Observations) -> Array:
    return jnp.asarray(reduced(pictures, SIDE), jnp.float32) / 255.0


def _clusters(pixels: npt.NDArray[np.float32], rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """The middles of `COLOURS` clusters (Lloyd, 1982), begun far apart (k-means++, Arthur and
    Vassilvitskii, 2007); of no pixels black."""
    if not len(pixels):
        return np.zeros((COLOURS, pixels.shape[1]), np.float32)
    middles = pixels[:1]
    distance = np.square(pixels - middles[0]).sum(1)
    for _ in range(COLOURS - 1):
        total = distance.sum()
        chosen = rng.choice(len(pixels), p=distance / total if total > 0 else None)
        middles = np.concatenate([middles, pixels[chosen : chosen + 1]])
        distance = np.minimum(distance, np.square(pixels - pixels[chosen]).sum(1))
    for _ in range(ROUNDS):
        nearest = (np.square(middles).sum(1) - 2 * pixels @ middles.T).argmin(1)
        counts = np.bincount(nearest, minlength=COLOURS)
        sums = np.stack([np.bincount(nearest, channel, COLOURS) for channel in pixels.T], 1)
        middles = np.where(counts[:, None] > 0, sums / np.maximum(counts, 1)[:, None], middles)
    return middles.astype(np.float32)
