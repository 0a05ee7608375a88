"""A recogniser that no generator has met: a head on what EfficientNet-Lite2 sees in gray-framed faces (the generator's
networks look through Lite0), learnt by supervised contrast from faces and their mirror images.

What Lite2 sees is kept, so a step costs the head alone. How well it tells people it was not trained on is the ceiling in
the first rows of experiments/generator.md.
"""

from collections.abc import Callable, Sequence

import keras
import numpy as np

from simrefine import backend
from simrefine.data.images import to_signed
from simrefine.models.generator_losses import contrast
from simrefine.models.networks import Doubling, convolutions
from simrefine.models.pretrained import FEATURE_SCALE, MAPS, build_features, read_pretrained
from simrefine.randomness import generator

STEPS, PEOPLE, CHUNK = 500, 32, 64  # of a training; of a batch, all views of each; faces at a time
WIDTH, VECTOR = 128, 128
LEARNING_RATE, WEIGHT_DECAY = 1e-3, 1e-2  # of AdamW, the first falling to 0 along a cosine


def train_recogniser(
    faces: np.ndarray, people: Sequence, seed: int, steps: int = STEPS
) -> Callable[[np.ndarray], np.ndarray]:
    """Learns people from uint8 faces [n, h, w, 3].

    Returns:
        uint8 faces to unit vectors [n, VECTOR], the sum of a face's and its mirror image's.
    """
    backend.use_device()
    network = build_features(read_pretrained("lite2"), stages=max(MAPS), dtype="float32")
    see = backend.compile_step(
        lambda pictures: [network(pictures)[stage - 1] / FEATURE_SCALE for stage in MAPS], network.variables
    )
    seen = [_look(see, each) for each in (faces, faces[:, :, ::-1])]
    codes = np.unique(np.array(people), return_inverse=True)[1].astype(np.int32)
    views = [np.flatnonzero(codes == code) for code in range(codes.max() + 1)]
    head = _build_head([maps.shape[1:] for maps in seen[0]], seed)
    rate = keras.optimizers.schedules.CosineDecay(LEARNING_RATE, steps)
    optimiser = keras.optimizers.AdamW(rate, weight_decay=WEIGHT_DECAY)
    optimiser.build(head.trainable_variables)

    def update(maps, shown):
        def loss():
            value = contrast(head(maps, training=True), shown)
            return value, {"loss": value}

        return backend.minimise(loss, head.trainable_variables, optimiser)

    update = backend.compile_step(update, [*head.variables, *optimiser.variables])
    for step in range(steps):
        rng = generator(seed, step, "recogniser")
        places = np.concatenate([views[code] for code in rng.permutation(len(views))[:PEOPLE]])
        mirrored = rng.random((len(places), 1, 1, 1)) < 0.5
        update(
            [np.where(mirrored, one[places], other[places]) for one, other in zip(*seen, strict=True)], codes[places]
        )

    def vectors(images: np.ndarray) -> np.ndarray:
        both = [np.asarray(head(_look(see, each))) for each in (images, images[:, :, ::-1])]
        return sum(both) / np.linalg.norm(sum(both), axis=1, keepdims=True)

    return vectors


def _look(see: Callable, faces: np.ndarray) -> list[np.ndarray]:
    chunks = [see(to_signed(faces[start : start + CHUNK])) for start in range(0, len(faces), CHUNK)]
    return [np.concatenate([np.asarray(maps) for maps in scale]) for scale in zip(*chunks, strict=True)]


def _build_head(shapes: list, seed: int) -> keras.Model:
    """The maps at strides 4, 8 and 16 to unit vectors."""
    conv, maps = convolutions("float32", seed), [keras.Input(shape) for shape in shapes]
    fine, middle, coarse = maps
    x = keras.layers.Concatenate()([keras.layers.AveragePooling2D(2)(fine), middle, Doubling()(coarse)])
    x = conv(keras.layers.SpatialDropout2D(0.2, seed=seed)(x), WIDTH, 1, activation="leaky_relu")
    x = keras.layers.Flatten()(conv(x, WIDTH, 4, strides=2, activation="leaky_relu"))
    x = keras.layers.Dropout(0.5, seed=seed)(x)
    return keras.Model(maps, keras.layers.UnitNormalization()(keras.layers.Dense(VECTOR)(x)))
