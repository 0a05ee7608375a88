"""Large pictures piece by piece: the windows that cover a picture, and resizing that makes or takes one of them.

Resizing is linear and works on rows and columns apart, so what it does to one side is a matrix of weights. OpenCV's own
weights are had by letting it resize the unit matrix.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from math import isqrt
from typing import NamedTuple

import numpy as np

from simrefine.data.images import resize

Resize = Callable[[np.ndarray, int, int], np.ndarray]  # of float32 [h, w, c] to [height, width, c]
CHUNK = 256  # columns of a unit matrix at a time, which would be as large as the picture


class Window(NamedTuple):
    """A rectangle of a picture, px."""

    top: int
    bottom: int  # the first row below it
    left: int
    right: int  # the first column beside it

    @classmethod
    def whole(cls, height: int, width: int) -> "Window":
        """All of a picture."""
        return cls(0, height, 0, width)

    @property
    def height(self) -> int:
        return self.bottom - self.top

    @property
    def width(self) -> int:
        return self.right - self.left

    def of(self, pictures: np.ndarray) -> np.ndarray:
        """This part of pictures [n, h, w, ...], a view."""
        return pictures[:, self.top : self.bottom, self.left : self.right]

    def grown(self, reach: int, height: int, width: int) -> "Window":
        """Larger by `reach` on every side, as far as a picture of this height and width goes."""
        return Window(
            max(0, self.top - reach),
            min(height, self.bottom + reach),
            max(0, self.left - reach),
            min(width, self.right + reach),
        )

    def within(self, outer: "Window") -> "Window":
        """The same place, counted from the corner of a window around it."""
        top, left = outer.top, outer.left
        return Window(self.top - top, self.bottom - top, self.left - left, self.right - left)


def windows(height: int, width: int, side: int) -> Iterator[Window]:
    """Squares of `side` px, smaller at the right and below, that cover a picture once."""
    for top in range(0, height, side):
        for left in range(0, width, side):
            yield Window(top, min(top + side, height), left, min(left + side, width))


def windows_of(pixels: int, height: int, width: int) -> list[Window]:
    """The same, each of at most `pixels` px."""
    return [*windows(height, width, max(1, isqrt(pixels)))]


def put_together(parts: Iterable[tuple[Window, np.ndarray]], whole: np.ndarray) -> np.ndarray:
    """Fills `whole` [n, h, w, c] with windows of it; returns it."""
    for window, part in parts:
        window.of(whole)[...] = part
    return whole


def resize_into(
    pixels: np.ndarray, height: int, width: int, window: Window, method: Resize | None = None
) -> np.ndarray:
    """A window of pictures that are resized: [n, h, w, c] of any numbers to float32 [n, rows, columns, c].

    Args:
        pixels: of the whole pictures.
        height, width: what they are resized to, px.
        window: what is wanted of that.
        method: None = `images.resize`.
    """
    size = pixels.shape[1:3]
    if size == (height, width):
        return window.of(pixels).astype(np.float32, copy=False)
    method = method or _method(size, (height, width))
    if window == Window.whole(height, width):  # several times faster than by weights, most of which are 0
        return np.stack([method(picture, height, width) for picture in pixels.astype(np.float32, copy=False)])
    down = _weights(size[0], height, method)[window.top : window.bottom]
    across = _weights(size[1], width, method)[window.left : window.right]
    rows, columns = (_used(weights) for weights in (down, across))
    return _apply(down[:, rows], pixels[:, rows, columns].astype(np.float32, copy=False), across[:, columns])


def resize_from(parts: Iterable[tuple[Window, np.ndarray]], size: tuple[int, int], to: tuple[int, int]) -> np.ndarray:
    """`images.resize` of pictures that come in pieces.

    Args:
        parts: windows that cover the pictures once, and the pictures there, float32 [n, rows, columns, c].
        size: height and width of the pictures, px.
        to: those that are wanted.

    Returns:
        float32 [n, *to, c].
    """
    method, whole = _method(size, to), None
    for window, part in parts:
        if window == Window.whole(*size):
            return np.stack([method(picture, *to) for picture in part])
        if whole is None:
            whole = np.zeros((len(part), *to, part.shape[-1]), np.float32)
        if size == to:
            window.of(whole)[...] = part
            continue
        down, across = (_weights(*lengths, method) for lengths in zip(size, to, strict=True))
        down_here, across_here = down[:, window.top : window.bottom], across[:, window.left : window.right]
        rows, columns = _used(down_here.T), _used(across_here.T)
        whole[:, rows, columns] += _apply(down_here[rows], part, across_here[columns])
    return whole


def _method(size: tuple[int, int], to: tuple[int, int]) -> Resize:
    return _grown if to[0] * to[1] >= size[0] * size[1] else _shrunk


def _grown(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    return resize(pixels, height, width, growing=True)


def _shrunk(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    return resize(pixels, height, width, growing=False)


def _apply(down: np.ndarray, pixels: np.ndarray, across: np.ndarray) -> np.ndarray:
    """Rows of weights [rows, h] and columns of weights [columns, w] on pixels [n, h, w, c]: [n, rows, columns, c]."""
    n, height, width, channels = pixels.shape
    # The fewer rows first: what is in between is then no larger than it has to be.
    if len(down) <= height:
        return across @ (down @ pixels.reshape(n, height, -1)).reshape(n, len(down), width, channels)
    return (down @ (across @ pixels).reshape(n, height, -1)).reshape(n, len(down), len(across), channels)


def _used(weights: np.ndarray) -> slice:
    """Which columns of weights hold any."""
    places = np.flatnonzero(weights.any(axis=0))
    return slice(places[0], places[-1] + 1)


@lru_cache(maxsize=8)
def _weights(length: int, to: int, method: Resize) -> np.ndarray:
    """The weights, float32 [to, length], by which a line of `length` values becomes one of `to`."""
    columns = []
    for start in range(0, length, CHUNK):
        unit = np.zeros((length, min(CHUNK, length - start), 1), np.float32)
        unit[np.arange(start, start + unit.shape[1]), np.arange(unit.shape[1])] = 1
        columns.append(method(unit, to, unit.shape[1])[..., 0])
    return np.concatenate(columns, axis=1)
