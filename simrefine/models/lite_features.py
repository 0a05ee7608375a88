"""What KID compares: faces in, features out of a network that knows photographs, and that no refiner was trained by."""

from collections.abc import Callable
from functools import cache

import numpy as np
from keras import ops

from simrefine import backend
from simrefine.data.images import GRAY_LEVELS, to_channels
from simrefine.models.pretrained import STRIDES, build_features, read_pretrained
from simrefine.threads import in_batches

SIDE, BATCH = 128, 32  # px; pictures at a time


def lite_features(images: np.ndarray) -> np.ndarray:
    """Pooled features of EfficientNet-Lite2 before its classifier, uint8 [n, h, w, c] -> float32 [n, 352]: another
    network, of other weights, than the one that a discriminator looks through.

    They see hair, eyes and skin where a distance of patches sees colour and grain: between photographs of faces and
    others of them KID is 0.9, renders 46, renders in the photographs' colours 38 (experiments/quality.md). Pictures
    are resized to 128 px, bilinear, without aliasing where they shrink.
    """
    return features_of(_network(), images, BATCH)


@cache
def _network() -> Callable:
    """Read, built and traced once, for all sets that are compared."""
    backend.use_device()
    network = build_features(read_pretrained("lite2"), stages=len(STRIDES), dtype="float32")

    def features(pictures):
        maps = network(resized(pictures, SIDE) / GRAY_LEVELS - 1, training=False)
        return ops.mean(maps[-1], axis=(1, 2))

    return backend.compile_inference(features)


def resized(pictures, side: int):
    """[n, h, w, c] to [n, side, side, c], bilinear, without aliasing where they shrink."""
    return ops.image.resize(pictures, (side, side), interpolation="bilinear", antialias=True)


def features_of(network: Callable, images: np.ndarray, size: int) -> np.ndarray:
    """What `network`, which takes float32 [n, h, w, 3] in gray levels, makes of uint8 [n, h, w, 1 or 3], `size` at a
    time."""
    return in_batches(lambda part: network(to_channels(part, 3).astype(np.float32)), images, size)
