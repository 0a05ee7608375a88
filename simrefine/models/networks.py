"""The refiners and the patch discriminators, each one function; options in, a keras.Model out.

Pictures are float32 [n, h, w, c] in [-1, 1]. Layers compute in `dtype` ("float32" or "mixed_bfloat16"), but the
last layer of every network is float32: a residual of one gray level is below bfloat16's resolution.
A new network is one function here and one entry of the same name in `catalogue.REFINERS` or `DISCRIMINATORS`. Sizes
of the paper's networks: Shrivastava et al. 2017 (arXiv 1612.07828), section 3. None has batch norm or a transposed
convolution.
"""

import itertools
from collections.abc import Callable
from dataclasses import replace

import keras
import numpy as np
from keras import ops

from simrefine.catalogue import MIRRORED, REFINERS, ZEROS
from simrefine.config import RefinerOptions
from simrefine.models.kinks import clipped
from simrefine.models.pretrained import pretrained_maps

PRETRAINED_SIDE = 128  # px, below which a face is small for a network that was trained on pictures of 224 px


def build_refiner(options: RefinerOptions, channels: int, dtype: str, seed: int) -> keras.Model:
    """A refiner: [n, h, w, channels] in [-1, 1] to the same; `unet` wants h and w in multiples of 8.

    With `options.residual` the last layer starts at zero, so the new refiner is the identity.
    """
    conv, body = convolutions(dtype, seed, options.borders), globals()[options.name]
    picture = keras.Input((None, None, channels), name="synthetic")
    features = body(picture, options, conv, dtype)
    if options.residual:
        change = conv(features, channels, 1, dtype="float32", kernel_initializer="zeros")
        refined = picture + options.bound * ops.tanh(change)
    else:
        refined = conv(features, channels, 1, dtype="float32")
    return keras.Model(picture, clipped(refined), name="refiner")


def reach(options: RefinerOptions, channels: int) -> int:
    """How far from a pixel of a refiner's output the farthest pixel is that has a part in it, px.

    It is seen, not reckoned: of a network of this shape whose weights are all positive, a single pixel that is not 0
    leaves no pixel within reach at 0. Where layers halve the picture, it depends on the pixel's place, so every place
    within a stride is tried."""
    stride = REFINERS[options.name].stride
    network = build_refiner(replace(options, width=2), channels, "float32", seed=0)
    for variable in network.variables:
        bias = variable.path.endswith("bias")
        variable.assign(np.full(variable.shape, 0.0 if bias else 1 / np.prod(variable.shape[:-1])))
    side = 16 * stride
    while True:
        side, middle = 2 * side, side  # a multiple of the stride
        pictures = np.zeros((stride, side, side, channels), np.float32)
        places = middle + np.arange(stride)
        pictures[np.arange(stride), places, places] = 1
        reached = (np.asarray(network(pictures)) - pictures).any(axis=-1)
        rows, columns = (reached.any(axis=axis) for axis in (2, 1))
        if not (rows[:, [0, -1]] | columns[:, [0, -1]]).any():
            picture, line = np.nonzero(rows | columns)
            return int(np.abs(line - places[picture]).max())


def build_discriminator(name: str, channels: int, dtype: str, seed: int, borders: str = ZEROS) -> keras.Model:
    """A patch discriminator; call it through `judge`. Its logits are linear. `borders` are its refiner's."""
    conv, body = convolutions(dtype, seed, borders), globals()[name]
    picture = keras.Input((None, None, channels), name="picture")
    return keras.Model(picture, body(picture, conv, dtype), name="discriminator")


def judge(discriminator: keras.Model, pictures, training: bool = False) -> list:
    """The discriminator's logit maps [n, h', w', 2], a list with one a patch size.

    The last axis is (REAL, REFINED) of `models.losses`. Keras unwraps a list of one output; here it is always a list.
    """
    maps = discriminator(pictures, training=training)
    return maps if isinstance(maps, list) else [maps]


def resnet(x, options: RefinerOptions, conv, dtype: str):
    """The paper's refiner: no stride anywhere, so it sees only a small neighbourhood (eyes: 19 px)."""
    x = conv(x, options.width, options.kernel, activation="relu")
    return _residual_blocks(x, options, conv, dtype)


def unet(x, options: RefinerOptions, conv, dtype: str):
    """For whole faces: three halvings, so that light and skin are judged together; skips keep every edge in place.

    Bilinear up-sampling and a convolution: nearest-neighbour draws combs where the picture is plain, and a transposed
    convolution checkerboards.
    """
    widths = [options.width * factor for factor in (1, 2, 4, 4)]  # 32-64-128-128
    skips = []
    for level, width in enumerate(widths):
        if level:
            skips.append(x)
        x = conv(x, width, options.kernel, strides=2 if level else 1, activation="leaky_relu")
    x = _residual_blocks(x, options, conv, dtype, filters=widths[-1])
    for width, skip in zip(reversed(widths[:-1]), reversed(skips), strict=True):
        x = Doubling(dtype=dtype)(x)
        x = keras.layers.Concatenate(dtype=dtype)([x, skip])
        x = conv(x, width, options.kernel, activation="leaky_relu")
    return x


class Doubling(keras.layers.Layer):
    """[n, h, w, c] to [n, 2 h, 2 w, c], bilinear, as two matrix products: fast, and h and w may be
    unknown until the network runs, which Keras's own bilinear layers do not allow."""

    def call(self, x):
        n, height, width, channels = ops.shape(x)
        x = ops.matmul(_bilinear(width, x.dtype), x)
        x = ops.matmul(_bilinear(height, x.dtype), ops.reshape(x, (n, height, 2 * width * channels)))
        return ops.reshape(x, (n, 2 * height, 2 * width, channels))

    def compute_output_shape(self, shape):
        n, height, width, channels = shape
        return n, height and 2 * height, width and 2 * width, channels


class Mirrored(keras.layers.Layer):
    """Pictures grown as padding="same" of a convolution of this kernel and stride grows them, but mirrored at their
    borders; where they are too small to mirror so much, by zeros."""

    def __init__(self, kernel: int, stride: int, **options):
        super().__init__(**options)
        self.kernel, self.stride = kernel, stride

    def call(self, x):
        rows, columns = (self._grown(side) for side in x.shape[1:3])
        sides = zip(x.shape[1:3], (rows, columns), strict=True)
        small = any(side is not None and side <= max(grown) for side, grown in sides)
        return ops.pad(x, ((0, 0), rows, columns, (0, 0)), mode="constant" if small else "reflect")

    def compute_output_shape(self, shape):
        n, height, width, channels = shape
        return n, *(side and side + sum(self._grown(side)) for side in (height, width)), channels

    def _grown(self, side: int | None) -> tuple[int, int]:
        """By how much before and after; a side that is not known yet is a multiple of the stride."""
        left_over = (side or 0) % self.stride or self.stride
        total = max(0, self.kernel - left_over)
        return total // 2, total - total // 2


class LargeEnough(Doubling):
    """Doubles pictures whose shorter side is under PRETRAINED_SIDE; larger ones stay as they are."""

    def call(self, x):
        sides = x.shape[1:3]
        return x if None in sides or min(sides) >= PRETRAINED_SIDE else super().call(x)

    def compute_output_shape(self, shape):
        return shape[0], None, None, shape[3]


def _bilinear(n, dtype: str):
    """The matrix [2 n, n] that doubles a line of n values; beyond both ends the line goes on as it ended."""
    places = ops.clip((ops.cast(ops.arange(2 * n), "float32") - 0.5) / 2.0, 0.0, ops.cast(n - 1, "float32"))
    apart = ops.abs(places[:, None] - ops.cast(ops.arange(n), "float32"))
    return ops.cast(ops.relu(1.0 - apart), dtype)


def _residual_blocks(x, options: RefinerOptions, conv, dtype: str, filters: int | None = None):
    """n times: convolution, ReLU, convolution, add, ReLU (the paper's order)."""
    filters = filters or options.width
    for _ in range(options.blocks):
        y = conv(x, filters, options.kernel, activation="relu")
        y = conv(y, filters, options.kernel)
        x = keras.layers.ReLU(dtype=dtype)(keras.layers.Add(dtype=dtype)([x, y]))
    return x


def eyes(x, conv, dtype: str) -> list:
    """The paper's discriminator for 35 x 55 eyes: one decision a 23-pixel patch."""
    x = conv(x, 96, 3, strides=2, activation="relu")
    x = conv(x, 64, 3, strides=2, activation="relu")
    x = keras.layers.MaxPooling2D(3, strides=1, padding="same", dtype=dtype)(x)
    x = conv(x, 32, 3, activation="relu")
    x = conv(x, 32, 1, activation="relu")
    return [_logits(x, conv)]


def hands(x, conv, dtype: str) -> list:
    """The paper's discriminator for 224 x 224 hands: one decision a 71-pixel patch."""
    x = conv(x, 96, 7, strides=4, activation="relu")
    x = conv(x, 64, 5, strides=2, activation="relu")
    x = keras.layers.MaxPooling2D(3, strides=2, padding="same", dtype=dtype)(x)
    x = conv(x, 32, 3, strides=2, activation="relu")
    x = conv(x, 32, 1, activation="relu")
    return [_logits(x, conv)]


def multiscale(x, conv, dtype: str) -> list:
    """For faces: two towers, one judging 22-pixel patches (skin, grain), one 70-pixel patches (light, parts)."""
    small = _small_patches(x, conv)
    for filters, strides in ((32, 2), (64, 2), (128, 2), (128, 1)):
        x = conv(x, filters, 4, strides=strides, activation="leaky_relu")
    return [small, _logits(x, conv, kernel=4)]


def projected(x, conv, dtype: str) -> list:
    """For faces: a tower that judges 22-pixel patches (grain, edges), and three small heads on what a network that
    knows photographs makes of the picture, at strides 4, 8 and 16 (Sauer et al. 2021, "Projected GANs converge faster",
    arXiv 2111.01007, without its random mixing). That network stays as it is: what it sees cannot be learnt from two
    thousand photographs, and cannot be unlearnt in the play."""
    maps = [_small_patches(x, conv)]
    for head, filters in zip(pretrained_maps(LargeEnough(dtype="float32")(x), dtype), (64, 64, 128), strict=True):
        for _ in range(2):
            head = conv(head, filters, 3, activation="leaky_relu")
        maps.append(_logits(head, conv))
    return maps


def _small_patches(x, conv):
    for filters, strides in ((32, 2), (64, 2), (128, 1)):
        x = conv(x, filters, 4, strides=strides, activation="leaky_relu")
    return _logits(x, conv)


def _logits(x, conv, kernel: int = 1):
    return conv(x, 2, kernel, dtype="float32")  # linear: a ReLU here would kill the realism gradient


def convolutions(dtype: str, seed: int, borders: str = ZEROS) -> Callable:
    """`conv(x, filters, kernel)` for one network: same padding, beyond the borders by zeros or MIRRORED, and a seed of
    its own for every layer. By zeros a network can tell how far away a border is (Islam et al. 2020, "How much position
    information do convolutional neural networks encode?", arXiv 2001.08248)."""
    seeds = itertools.count(seed * 1000)
    activations = {
        None: lambda x: x,
        "relu": lambda x: keras.layers.ReLU(dtype=dtype)(x),
        "leaky_relu": lambda x: keras.layers.LeakyReLU(0.2, dtype=dtype)(x),
    }

    def conv(x, filters, kernel, strides=1, activation=None, dtype=dtype, kernel_initializer=None):
        initializer = kernel_initializer or keras.initializers.HeUniform(seed=next(seeds))
        mirrored = borders == MIRRORED and kernel > strides
        x = Mirrored(kernel, strides, dtype=dtype)(x) if mirrored else x
        padding = "valid" if mirrored else "same"
        layer = keras.layers.Conv2D(
            filters, kernel, strides, padding=padding, dtype=dtype, kernel_initializer=initializer
        )
        return activations[activation](layer(x))

    return conv
