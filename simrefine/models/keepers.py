"""Label keepers: what a refined face must still allow, so that its labels stay true. Losses beside the realism loss.

The cycle keeper: an inverse refiner, which no discriminator judges, must find the render again in the refined face, as
in the cycle of Zhu et al. 2017 (arXiv 1703.10593). A refiner that has to allow it hides the render in grain too faint
to be seen (Chu et al. 2017, arXiv 1712.02950), so the refined face is disturbed first.
The landmark keeper: a frozen network, trained on renders in the photographs' colours, must still find the points.
"""

from typing import NamedTuple

import keras
import numpy as np
from keras import ops

from simrefine.models.augmentation import shift
from simrefine.models.kinks import magnitude
from simrefine.models.landmarks import mean_error

NOISE = 0.08  # standard deviation, in units of [-1, 1]: 10 gray levels


class Disturbance(NamedTuple):
    """The random numbers of `disturb`, made outside the compiled step, so that a run repeats."""

    noise: np.ndarray  # float32 [n, h, w, c], standard normal
    blur: np.ndarray  # float32 [n], in [0, 1]
    shift: np.ndarray  # float32 [n, 2], whole px down and right: -1, 0 or 1


def draw_disturbance(shape: tuple[int, ...], rng: np.random.Generator) -> Disturbance:
    """For pictures of `shape` [n, h, w, c]."""
    return Disturbance(
        noise=rng.standard_normal(shape, np.float32),
        blur=rng.random(shape[0], np.float32),
        shift=rng.integers(-1, 2, (shape[0], 2)).astype(np.float32),
    )


def disturb(pictures, disturbance: Disturbance):
    """Pictures [n, h, w, c] blurred by 3 px up to wholly, moved by up to a pixel, with noise."""
    share = disturbance.blur[:, None, None, None]
    blurred = ops.average_pool(pictures, 3, strides=1, padding="same")
    moved = _move((1.0 - share) * pictures + share * blurred, disturbance)
    return moved + NOISE * disturbance.noise


def cycle_loss(inverse: keras.Model, refined, synthetic, disturbance: Disturbance):
    """mean |B(T(R(x))) - S(x)|: B the inverse refiner, T the disturbance, S the part of it that moves the picture.

    The move is in both, because B cannot know it: an answer that hangs on the pixel grid is lost, one that moves with
    the face is not.
    """
    recovered = inverse(disturb(refined, disturbance), training=True)
    return ops.mean(magnitude(recovered - _move(synthetic, disturbance)))


def landmark_loss(network: keras.Model, refined, points):
    """Mean distance along x and y, in shares of the side, between the points that `network` finds and `points`
    [n, k, 2], also in shares; NaN where a point is not labelled, which counts for nothing."""
    known = ops.logical_not(ops.isnan(points))
    wanted = ops.where(known, points, ops.zeros_like(points))
    return mean_error(network(refined, training=False), wanted, ops.cast(known, "float32"))


def _move(pictures, disturbance: Disturbance):
    pictures = shift(pictures, disturbance.shift[:, 0], axis=1)
    return shift(pictures, disturbance.shift[:, 1], axis=2)
