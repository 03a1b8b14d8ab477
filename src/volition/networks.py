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
AnyArray = Array | np.ndarray  # from the host, or on the device


def init_layers(rng: np.random.Generator, sizes: tuple[int, ...], *stack: int) -> Layers:
    """Uniform in +-1/sqrt(inputs), as torch's default: Stable-Baselines3 starts there, too.

    Drawn by NumPy on the host, since drawing on the device means one more program to compile; so
    does `jnp.asarray` for every shape, and `jax.device_put` does not.
    """

    def draw(inputs: int, *shape: int) -> Array:
        bound = inputs**-0.5
        return jax.device_put(rng.uniform(-bound, bound, (*stack, *shape)).astype(np.float32))

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
    `encoder_depth` layers that find features. It is convolutional with strides as wide as its
    kernels, which is a matrix product over patches: on a CPU several times as fast as overlapping
    kernels. Its weights begin as He et al. (arXiv:1502.01852) have them, or little would be left of
    a small thing in a large picture.
    """
    if len(observation_shape) == 1:
        return init_layers(rng, (*observation_shape, *sizes), *stack)
    height, width, channels = observation_shape
    inputs, outputs = [], (*CHANNELS, FEATURES)
    for patch, features in zip(PATCHES, CHANNELS, strict=True):
        inputs.append(patch * patch * channels)
        height, width, channels = -(-height // patch), -(-width // patch), features
    inputs.append(height * width * channels)
    layers = [init_layers(rng, form, *stack)[0] for form in zip(inputs, outputs, strict=True)]
    encoder = tuple(Linear(np.sqrt(6.0) * layer.weight, 0.0 * layer.bias) for layer in layers)
    return encoder + init_layers(rng, (FEATURES, *sizes), *stack)


def encoder_depth(observation_shape: tuple[int, ...]) -> int:
    """How many layers of a network come before the dense ones: none for flat observations."""
    return len(PATCHES) + 1 if len(observation_shape) == 3 else 0


def apply_network(
    layers: Layers,
    observations: Float[Array, "*stack batch ..."],
    encoding: int,
    activation: Callable[[Array], Array],
) -> Float[Array, "*stack batch outputs"]:
    """The outputs for observations that are scaled already, of whose shape `encoding` is the depth.

    A stack of networks may share its observations.
    """
    if encoding:
        observations = encode(layers[:encoding], observations)
    return apply_layers(layers[encoding:], observations, activation)


def encode(
    encoder: Layers, x: Float[Array, "*stack batch height width channels"]
) -> Float[Array, "*stack batch features"]:
    for (weight, bias), patch in zip(encoder[:-1], PATCHES, strict=True):
        *stack, batch, height, width, channels = x.shape
        rows, columns = -(-height // patch), -(-width // patch)
        missing = [(0, rows * patch - height), (0, columns * patch - width), (0, 0)]
        x = jnp.pad(x, [(0, 0)] * (x.ndim - 3) + missing)
        x = x.reshape(*stack, batch, rows, patch, columns, patch, channels)
        x = jnp.moveaxis(x, -3, -4).reshape(*stack, -1, patch * patch * channels)
        x = jax.nn.relu(x @ weight + bias)
        x = x.reshape(*x.shape[:-2], batch, rows, columns, x.shape[-1])
    weight, bias = encoder[-1]
    return jax.nn.relu(x.reshape(*x.shape[:-3], -1) @ weight + bias)
