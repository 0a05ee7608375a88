"""The small network that learns who is who: sizes in, a keras.Model out that turns a face into a unit vector.

Pictures are float32 [n, h, w, c] in [-1, 1]. It learns by the cosines between its vector and one a person: CosFace
(Wang et al. 2018, arXiv 1801.09414).
"""

import keras
from keras import ops

from simrefine.models.networks import convolutions

DIMENSIONS = 128
SCALE, MARGIN = 20.0, 0.1  # of the cosines in the softmax; the paper has 64 and 0.35 for a thousand times the faces


def build_embedding(shape: tuple[int, int, int], dtype: str, seed: int) -> keras.Model:
    """Pictures [n, *shape] to float32 unit vectors [n, DIMENSIONS].

    Four convolutions of stride 2 and a dense layer over all places, as faces are framed alike; about 600,000 weights
    at 64 px, no batch norm.
    """
    conv = convolutions(dtype, seed)
    picture = x = keras.Input(shape, name="picture")
    for width, strides in ((32, 2), (64, 2), (128, 2), (128, 1), (128, 2)):
        x = conv(x, width, 3, strides=strides, activation="leaky_relu")
    x = keras.layers.Flatten(dtype="float32")(x)
    x = keras.layers.Dropout(0.3, seed=seed, dtype="float32")(x)
    initializer = keras.initializers.GlorotUniform(seed=seed * 1000 + 900)
    x = keras.layers.Dense(DIMENSIONS, kernel_initializer=initializer, dtype="float32")(x)
    return keras.Model(picture, keras.layers.UnitNormalization(dtype="float32")(x), name="embedding")


def add_people(embedding: keras.Model, count: int, seed: int) -> keras.Model:
    """`embedding` with one direction a person: pictures to float32 cosines [n, count]."""
    initializer = keras.initializers.GlorotUniform(seed=seed * 1000 + 901)
    cosines = keras.layers.Dense(
        count,
        use_bias=False,
        kernel_initializer=initializer,
        kernel_constraint=keras.constraints.UnitNorm(axis=0),
        dtype="float32",
    )
    return keras.Model(embedding.input, cosines(embedding.output), name="people")


def person_loss(cosines, people):
    """Cross-entropy of the scaled cosines, that of the right person lessened by the margin: a scalar, mean over n.

    Args:
        cosines: [n, count].
        people: int [n], in 0 .. count - 1.
    """
    right = ops.one_hot(people, ops.shape(cosines)[1], dtype="float32")
    logits = SCALE * (cosines - MARGIN * right)
    return ops.mean(keras.losses.sparse_categorical_crossentropy(people, logits, from_logits=True))
