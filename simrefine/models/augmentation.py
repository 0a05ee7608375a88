"""What is done to every picture before the discriminator sees it: brightness, contrast and shift, at random.

Differentiable, so the refiner learns through it (Zhao et al. 2020, arXiv 2006.10738). It takes away the cheap
evidence, an overall tint, on which refiner and discriminator otherwise chase each other in circles.
"""

import numpy as np
from keras import ops

from simrefine.config import AugmentationOptions

DRAWS = 4  # a picture: brightness, contrast, shift down, shift right


def draw_augmentation(n: int, rng: np.random.Generator) -> np.ndarray:
    """Uniform random numbers in [-1, 1], float32 [n, DRAWS]: made outside the compiled step, so a run repeats."""
    return rng.uniform(-1.0, 1.0, (n, DRAWS)).astype(np.float32)


def augment(pictures, draws, options: AugmentationOptions):
    """Pictures [n, h, w, c] changed by `draws` [n, DRAWS], each kind up to the strength that `options` allows."""
    brightness, contrast = (draws[:, i, None, None, None] for i in range(2))
    if options.contrast:
        mean = ops.mean(pictures, axis=(1, 2, 3), keepdims=True)
        pictures = (pictures - mean) * (1.0 + options.contrast * contrast) + mean
    if options.brightness:
        pictures = pictures + options.brightness * brightness
    return shift_by_draws(pictures, draws, options)


def shift_by_draws(pictures, draws, options: AugmentationOptions):
    """The last of these changes alone, for maps that are to stay on their pictures."""
    if options.shift:
        for axis, shares in ((1, draws[:, 2]), (2, draws[:, 3])):
            side = ops.cast(ops.shape(pictures)[axis], "float32")
            pictures = shift(pictures, ops.round(shares * options.shift * side), axis)
    return pictures


def shift(pictures, offsets, axis: int):
    """Moves each picture along `axis` (1 = down, 2 = right) by its offset [n], whole pixels, repeating the edge.

    A 0-1 matrix [n, side, side] that picks rows: a matrix product has a fast, repeatable gradient; a gather's,
    which adds in any order, has not.
    """
    side = ops.shape(pictures)[axis]
    places = ops.arange(side, dtype="float32")
    sources = ops.clip(places[None, :] - offsets[:, None], 0.0, ops.cast(side - 1, "float32"))
    picks = ops.cast(sources[:, :, None] == places[None, None, :], pictures.dtype)
    return ops.einsum("nij,njwc->niwc" if axis == 1 else "nij,nhjc->nhic", picks, pictures)
