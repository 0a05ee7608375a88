"""The face parser: a picture in, for every pixel the logits of the parts it may belong to out.

A U-Net of about a million weights with batch norm, which a classifier may have: unlike the refiner it is never asked
for a single picture's colours. It learns from rendered faces and reads photographs.
"""

import itertools
from collections.abc import Callable

import keras
import numpy as np
from keras import ops

from simrefine import backend
from simrefine.catalogue import PARTS
from simrefine.data.images import shrink, to_signed
from simrefine.threads import in_batches

SIZE = 64  # px, the largest shorter side that faces are parsed at; larger pictures get its maps enlarged
STRIDE = 16  # px; the sides of its pictures must be multiples of it
BATCH_SIZE = 32  # pictures parsed at a time
WIDTHS = (32, 48, 64, 96, 96)


def build_parser(channels: int, dtype: str, seed: int) -> keras.Model:
    """[n, h, w, channels] in [-1, 1] to float32 logits [n, h, w, len(PARTS)]."""
    seeds = itertools.count(seed * 1000)

    def block(x, width: int, strides: int = 1):
        initializer = keras.initializers.HeUniform(seed=next(seeds))
        layer = keras.layers.Conv2D(
            width, 3, strides, padding="same", use_bias=False, dtype=dtype, kernel_initializer=initializer
        )
        return keras.layers.ReLU(dtype=dtype)(keras.layers.BatchNormalization(momentum=0.95, dtype=dtype)(layer(x)))

    picture = keras.Input((None, None, channels), name="picture")
    x, skips = picture, []
    for level, width in enumerate(WIDTHS):
        x = block(x, width, strides=2 if level else 1)
        x = block(x, width) if level else x  # a second one at full resolution would be half of all the work
        skips.append(x)
    for width, skip in zip(reversed(WIDTHS[:-1]), reversed(skips[:-1]), strict=True):
        x = keras.layers.UpSampling2D(2, interpolation="nearest", dtype=dtype)(x)
        x = block(keras.layers.Concatenate(dtype=dtype)([x, skip]), width)
    initializer = keras.initializers.HeUniform(seed=next(seeds))
    logits = keras.layers.Conv2D(len(PARTS), 1, dtype="float32", kernel_initializer=initializer)(x)
    return keras.Model(picture, logits, name="parser")


def parser_of(network: keras.Model) -> Callable[[np.ndarray], np.ndarray]:
    """The network as a function: uint8 faces [n, h, w, c] to soft labels, uint8 [n, h', w', parts] with 255 for 1, at
    the size that `shrink` gives, SIZE."""
    infer = backend.compile_inference(lambda pictures: ops.softmax(network(pictures, training=False)))

    def parse(images: np.ndarray) -> np.ndarray:
        small = shrink(images, SIZE)
        height, width = small.shape[1:3]
        padded = np.pad(small, ((0, 0), (0, -height % STRIDE), (0, -width % STRIDE), (0, 0)), mode="edge")
        return np.round(255 * infer(to_signed(padded))[:, :height, :width]).astype(np.uint8)

    return lambda images: in_batches(parse, images, BATCH_SIZE)
