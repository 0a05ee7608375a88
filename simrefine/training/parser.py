"""Training of the face parser: rendered faces with part labels in, a network that reads photographs out.

It never sees a photograph's labels. That it reads them all the same comes from what is done to the renders: turned,
scaled, blurred, given a photograph's colours, and put before a photograph.
"""

from collections.abc import Callable
from typing import NamedTuple

import cv2
import keras
import numpy as np
from keras import ops

from simrefine.data.images import to_signed
from simrefine.data.parts import UNKNOWN, soften
from simrefine.data.styles import restyle
from simrefine.randomness import generator
from simrefine.training.fit import fit

BATCH_SIZE = 32
LEARNING_RATE = 2e-3  # of Adam, falling to 0 along a cosine
ROTATION_DEGREES, SCALE, SHIFT = 15.0, 0.15, 0.08  # each up to; shift in shares of the side
GAIN, NOISE, BLUR = 0.2, 0.05, 1.2  # of each channel, each up to; in units of [-1, 1]; standard deviation in px
CANDIDATES = 2  # photographs of which one gives its colours


class PartLabels(NamedTuple):
    """Rendered faces with what each pixel shows."""

    images: np.ndarray  # uint8 [n, size, size, c], size <= models.parser.SIZE
    labels: np.ndarray  # uint8 [n, m, m], part labels, see data/parts.py


def fit_parser(
    network: keras.Model,
    labelled: PartLabels,
    photographs: np.ndarray,
    styles: np.ndarray,
    seed: int,
    steps: int,
    progress: Callable[[float], None] | None = None,
) -> None:
    """Trains a parser, see `models.parser.build_parser`, by the cross-entropy of its soft labels.

    Args:
        labelled: the rendered faces.
        photographs: uint8 [m, size, size, c], any, put behind half of the faces.
        styles: their colours, see `data.styles.read_styles`.
        seed: of the order of the faces and the augmentation.
        steps: of BATCH_SIZE faces.
        progress: called with the share of the steps that is done.
    """

    def batch(step: int) -> tuple:
        rng = generator(seed, step, "parser")
        chosen = rng.integers(len(labelled.images), size=BATCH_SIZE)
        behind = photographs[rng.integers(len(photographs), size=BATCH_SIZE)]
        return augment(labelled.images[chosen], labelled.labels[chosen], behind, styles, rng)

    def loss(pictures, wanted):
        chances = ops.log_softmax(network(pictures, training=True))
        return -ops.sum(wanted * chances) / ops.maximum(ops.sum(wanted), 1.0)

    optimizer = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(LEARNING_RATE, steps))
    fit(network, loss, batch, steps, optimizer, progress)


def augment(images: np.ndarray, labels: np.ndarray, behind: np.ndarray, styles: np.ndarray, rng: np.random.Generator):
    """A batch as the parser learns from it.

    Args:
        images, labels: see `PartLabels`.
        behind: uint8 [n, size, size, c]: photographs, put behind half of the faces.
        styles: colours to choose from.
        rng: all its randomness.

    Returns:
        float32 pictures [n, size, size, c] in [-1, 1] and soft labels [n, size, size, parts].
    """
    n, size = images.shape[:2]
    pictures, turned = zip(*(_turn(*pair, rng) for pair in zip(images, labels, strict=True)), strict=True)
    pictures, wanted = restyle(to_signed(np.stack(pictures)), styles, CANDIDATES, rng), soften(np.stack(turned), size)
    background = wanted[..., :1] * (rng.random((n, 1, 1, 1)) < 0.5)
    pictures = pictures + background * (to_signed(behind) - pictures)
    pictures = np.stack([_blur(picture, rng.uniform(0, BLUR)) for picture in pictures])
    channels = pictures.shape[-1]
    gains = 1 + rng.uniform(-GAIN, GAIN, (n, 1, 1, channels))
    pictures = (pictures + 1) * gains - 1 + rng.normal(size=pictures.shape) * rng.uniform(0, NOISE, (n, 1, 1, 1))
    return np.clip(pictures, -1, 1).astype(np.float32), wanted


def agreement(soft: np.ndarray, labels: np.ndarray) -> float:
    """The share of pixels, in [0, 1], whose most probable part in `soft` [n, s, s, parts] is that of `labels` [n, m, m]
    brought to their size; pixels that are UNKNOWN do not count."""
    wanted = soften(labels, soft.shape[1])
    known = wanted.sum(axis=-1) > 0.5
    return float((soft.argmax(axis=-1) == wanted.argmax(axis=-1))[known].mean())


def _turn(image: np.ndarray, labels: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A face and its labels, turned, scaled, shifted and half of the time mirrored alike."""
    turn, grow, right, down, flip = rng.uniform(-1, 1, 5)
    moved = []
    for picture, interpolation in ((image, cv2.INTER_LINEAR), (labels, cv2.INTER_NEAREST)):
        side = picture.shape[0]
        centre = ((side - 1) / 2,) * 2
        matrix = cv2.getRotationMatrix2D(centre, turn * ROTATION_DEGREES, (1 + SCALE) ** grow)
        matrix[:, 2] += np.array([right, down]) * SHIFT * side
        border = cv2.BORDER_REPLICATE if picture is image else cv2.BORDER_CONSTANT
        warped = cv2.warpAffine(
            picture, matrix, (side, side), flags=interpolation, borderMode=border, borderValue=UNKNOWN
        )
        warped = warped.reshape(picture.shape)
        moved.append(warped[:, ::-1] if flip < 0 else warped)
    return moved[0], moved[1]


def _blur(picture: np.ndarray, sigma: float) -> np.ndarray:
    return cv2.GaussianBlur(picture, (0, 0), max(sigma, 1e-3)).reshape(picture.shape)
