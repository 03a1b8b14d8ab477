"""Multi-layer perceptrons as plain arrays, alone or stacked into ensembles."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float


class Linear(NamedTuple):
    """A dense layer, or a stack of them along the first axes.

    Parameters stay separate matrices: one flat vector made the updates 3 to 4 times slower.
    """

    weight: Float[Array, "*stack inputs outputs"]
    bias: Float[Array, "*stack 1 outputs"]


Layers = tuple[Linear, ...]


def init_layers(rng: np.random.Generator, sizes: tuple[int, ...], *stack: int) -> Layers:
    """Uniform in +-1/sqrt(inputs), as torch's default: Stable-Baselines3 starts there, too.

    Drawn by NumPy on the host, since drawing on the device means one more program to compile.
    """

    def draw(inputs: int, *shape: int) -> Array:
        bound = inputs**-0.5
        return jnp.asarray(rng.uniform(-bound, bound, (*stack, *shape)).astype(np.float32))

    return tuple(Linear(draw(i, i, o), draw(i, 1, o)) for i, o in pairwise(sizes))


def apply_layers(
    layers: Layers,
    x: Float[Array, "*stack batch inputs"],
    activation: Callable[[Array], Array],
) -> Float[Array, "*stack batch outputs"]:
    """The network's outputs; a stack of networks may share one `x` by broadcasting."""
    for weight, bias in layers[:-1]:
        x = activation(x @ weight + bias)
    weight, bias = layers[-1]
    return x @ weight + bias
