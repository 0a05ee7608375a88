"""A network on a picture that is too large for it: tile by tile, each with so much of the picture around it that what
comes out is what the whole picture would have given."""

from collections.abc import Callable, Iterator
from math import isqrt

import numpy as np

from simrefine.data.windows import Window, windows


def in_tiles(
    network: Callable[[np.ndarray], np.ndarray],
    picture: Callable[[Window], np.ndarray],
    size: tuple[int, int],
    pixels: int,
    overlap: int,
    stride: int,
) -> Iterator[tuple[Window, np.ndarray]]:
    """The windows of a picture, once each, with what a network makes of them.

    Args:
        network: float32 [1, h, w, c] to the same; sides that are no multiples of its stride only at a picture's end.
        picture: a window of it, float32 [1, rows, columns, c].
        size: height and width of the picture, px.
        pixels: that the network gets at a time, about; a tile is never less than twice its overlap wide.
        overlap: px on every side that are seen and not kept: no less than the network's reach, and a multiple of its
            stride.
        stride: of the network, px.
    """
    # Tiles begin where the strides of the whole picture do, or its coarse maps would lie elsewhere.
    side = max(isqrt(pixels) - 2 * overlap, 2 * overlap, stride) // stride * stride
    for window in windows(*size, side):
        seen = window.grown(overlap, *size)
        yield window, window.within(seen).of(network(picture(seen)))
