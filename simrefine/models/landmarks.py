"""The small networks that learn from labelled faces, to measure what the faces are worth: sizes in, a keras.Model out.

Pictures are float32 [n, h, w, c] in [-1, 1], h and w multiples of STRIDE. Points come from heat maps by soft-argmax,
the expected place under each map (integral regression, Sun et al. 2018, arXiv 1711.08229), so the whole
network is trained on coordinates. About a million weights, no batch norm; the last layer is float32.
"""

import keras
from keras import ops

from simrefine.models.kinks import magnitude
from simrefine.models.networks import convolutions

STRIDE = 16  # px a side of the coarsest map's cells


def build_landmark_network(points: int, channels: int, dtype: str, seed: int) -> keras.Model:
    """[n, h, w, channels] to float32 [n, points, 2]: x and y as shares of the picture's width and height, in (0, 1).

    The heat maps have a quarter of the picture's resolution.
    """
    conv = convolutions(dtype, seed)
    picture = keras.Input((None, None, channels), name="picture")
    quarter, eighth, x = _encode(picture, conv, dtype)
    for skip, width in ((eighth, 128), (quarter, 64)):
        x = keras.layers.UpSampling2D(2, interpolation="nearest", dtype=dtype)(x)
        x = keras.layers.Concatenate(dtype=dtype)([x, skip])
        x = conv(x, width, 3, activation="leaky_relu")
    heat = conv(x, points, 1, dtype="float32")  # a place between two cells is a ratio that bfloat16 cannot hold
    return keras.Model(picture, SoftArgmax(dtype="float32")(heat), name="landmarks")


def build_classifier(classes: int, channels: int, dtype: str, seed: int) -> keras.Model:
    """[n, h, w, channels] to float32 logits [n, classes], by the same encoder."""
    conv = convolutions(dtype, seed)
    picture = keras.Input((None, None, channels), name="picture")
    *_, x = _encode(picture, conv, dtype)
    logits = conv(x, classes, 1, dtype="float32")
    return keras.Model(picture, keras.layers.GlobalAveragePooling2D(dtype="float32")(logits), name="classifier")


def mean_error(found, wanted, known):
    """Sum of |found - wanted| over the labelled coordinates / how many `known` counts: a scalar, 0 where none is.

    Args:
        found, wanted: [n, k, 2]; `wanted` is finite everywhere.
        known: 1 where labelled, else 0, for points [n, k, 1] or for coordinates [n, k, 2].
    """
    return ops.sum(magnitude(found - wanted) * known) / ops.maximum(ops.sum(known), 1.0)


class SoftArgmax(keras.layers.Layer):
    """Logits of heat maps [n, h, w, k] to the expected place under each map's softmax, [n, k, 2] as (x, y) in (0, 1).

    A cell stands for its centre: column j of w lies at (j + 0.5) / w.
    """

    def call(self, maps):
        height, width, points = ops.shape(maps)[1:]
        chances = ops.softmax(ops.reshape(maps, (-1, height * width, points)), axis=1)
        chances = ops.reshape(chances, (-1, height, width, points))
        x = ops.einsum("nhwk,w->nk", chances, _centres(width))
        y = ops.einsum("nhwk,h->nk", chances, _centres(height))
        return ops.stack([x, y], axis=-1)


def _centres(count):
    return (ops.arange(count, dtype="float32") + 0.5) / ops.cast(count, "float32")


def _encode(x, conv, dtype: str) -> tuple:
    """Maps at a quarter, an eighth and a sixteenth of the resolution; the last has one residual block."""
    x = conv(x, 32, 3, strides=2, activation="leaky_relu")
    x = conv(x, 64, 3, strides=2, activation="leaky_relu")
    quarter = conv(x, 64, 3, activation="leaky_relu")
    x = conv(quarter, 128, 3, strides=2, activation="leaky_relu")
    eighth = conv(x, 128, 3, activation="leaky_relu")
    x = conv(eighth, 128, 3, strides=2, activation="leaky_relu")
    y = conv(conv(x, 128, 3, activation="leaky_relu"), 128, 3)
    return quarter, eighth, keras.layers.Add(dtype=dtype)([x, y])
