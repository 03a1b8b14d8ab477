"""Networks as plain arrays, alone or stacked into ensembles: dense, and for pictures."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import jax
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


PATCHES = (4, 2, 2)  # sides in pixels, then in patches of the stage before
CHANNELS = (16, 32, 32)
FEATURES = 128


def init_network(
    rng: np.random.Generator,
    observation_shape: tuple[int, ...],
    sizes: tuple[int, ...],
    *stack: int,
) -> Layers:
    """A network for flat observations, or for pictures (height, width, channels).

    `sizes` are those of the dense layers, the outputs last. Before them a network for pictures has
    `encoder_depth()` layers which tell features: it is convolutional with strides as wide as its
    kernels, hence a matrix product over patches. On a CPU that is several times as fast as
    overlapping kernels.
    """
    if len(observation_shape) == 1:
        return init_layers(rng, (*observation_shape, *sizes), *stack)
    height, width, channels = observation_shape
    encoder: Layers = ()
    for patch, outputs in zip(PATCHES, CHANNELS, strict=True):
        encoder += init_layers(rng, (patch * patch * channels, outputs), *stack)
        height, width, channels = height // patch, width // patch, outputs
    encoder += init_layers(rng, (height * width * channels, FEATURES), *stack)
    return encoder + init_layers(rng, (FEATURES, *sizes), *stack)


def encoder_depth() -> int:
    """How many layers of a network for pictures come before the dense ones."""
    return len(PATCHES) + 1


def apply_network(
    layers: Layers, observations: Array, activation: Callable[[Array], Array]
) -> Float[Array, "*stack batch outputs"]:
    """The outputs for flat observations (batch, inputs), or for pictures, which are uint8.

    Pictures (batch, height, width, channels) are scaled here. A stack of networks shares them.
    """
    if observations.dtype != jnp.uint8:
        return apply_layers(layers, observations, activation)
    depth = encoder_depth()
    return apply_layers(layers[depth:], _encode(layers[:depth], observations), activation)


def _encode(encoder: Layers, pictures: Array) -> Float[Array, "*stack batch features"]:
    x = pictures.astype(jnp.float32) / 255.0 - 0.5
    for (weight, bias), patch in zip(encoder[:-1], PATCHES, strict=True):
        *stack, height, width, channels = x.shape
        rows, columns = height // patch, width // patch
        x = x[..., : rows * patch, : columns * patch, :]
        x = x.reshape(*stack, rows, patch, columns, patch, channels)
        x = jnp.moveaxis(x, -3, -4).reshape(*stack[:-1], -1, patch * patch * channels)
        x = jax.nn.relu(x @ weight + bias)
        x = x.reshape(*x.shape[:-2], stack[-1], rows, columns, x.shape[-1])
    weight, bias = encoder[-1]
    return jax.nn.relu(x.reshape(*x.shape[:-3], -1) @ weight + bias)
