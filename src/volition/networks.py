"""Networks as plain arrays, alone or stacked into ensembles: dense, and for pictures."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any, NamedTuple

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
    """The features of pictures that are scaled already.

    Their pixels are put in the order of the last stage's patches at once: then the patches of every
    stage lie side by side, and none of them has to be gathered again.
    """
    *stack, _, height, width, _ = x.shape
    whole = math.prod(PATCHES)
    missing = [(0, -height % whole), (0, -width % whole), (0, 0)]
    x = _in_patches(jnp.pad(x, [(0, 0)] * (x.ndim - 3) + missing), PATCHES)
    x = x.reshape(*stack, -1, x.shape[-1])
    side = 1
    for number, (weight, bias) in enumerate(encoder[:-1]):
        x = x.reshape(*x.shape[:-2], -1, weight.shape[-2])  # (*stack, batch * patches, inputs)
        x = jax.nn.relu(x @ weight + bias)
        side *= PATCHES[number]
        if height % whole or width % whole:
            x = _kept(x, (height, width), side, PATCHES[number + 1 :])
    weight, bias = encoder[-1]
    return jax.nn.relu(x.reshape(*x.shape[:-2], -1, weight.shape[-2]) @ weight + bias)


def _in_patches(x: Any, sides: tuple[int, ...]) -> Any:
    """What is known of places, (*rows, height, width, entries), as (*rows, places, entries).

    The places of one patch follow each other; `sides` are those of its stages, the finest first.
    """
    *rows, height, width, entries = x.shape
    whole, stages = math.prod(sides), len(sides) + 1
    apart = [(across // whole, *reversed(sides)) for across in (height, width)]
    order = [len(rows) + axis * stages + stage for stage in range(stages) for axis in (0, 1)]
    x = x.reshape(*rows, *apart[0], *apart[1], entries)
    x = x.transpose(*range(len(rows)), *order, x.ndim - 1)
    return x.reshape(*rows, height * width, entries)


def _kept(
    x: Float[Array, "*stack places features"],
    shape: tuple[int, int],
    side: int,
    sides: tuple[int, ...],
) -> Float[Array, "*stack places features"]:
    """The features with zeros for patches of so many pixels a side that lie outside pictures of
    this shape; patches of `sides` are still to be made of them."""
    inside = [
        np.arange(math.prod(sides) * -(-across // (side * math.prod(sides)))) < -(-across // side)
        for across in shape
    ]
    there = _in_patches((inside[0][:, None] & inside[1])[..., None], sides)  # (places, 1)
    of_one = x.reshape(*x.shape[:-2], -1, *there.shape[:1], x.shape[-1])
    return jnp.where(there, of_one, 0.0).reshape(x.shape)
