"""Triangles on a screen in, the nearest triangle of each pixel out: a z-buffer in numpy.

Triangles of similar size are tested together, against small squares of pixels, so that a mesh of 20,000 triangles
costs a few dozen array operations. Edge functions after Pineda, "A parallel algorithm for polygon
rasterization" (SIGGRAPH 1988).
"""

from dataclasses import dataclass

import numpy as np

_SQUARES = (1, 2, 3, 4, 5, 6, 8, 11, 16, 32, 64)  # sides of the pixel squares, px; beyond, powers of two
_CANDIDATES = 2**20  # pixels tested at once: bounds the memory
_SLACK = 1e-5  # of a triangle's own height: two neighbours may both claim their seam, but never both miss it


@dataclass(frozen=True)
class Raster:
    """What each pixel shows.

    Args:
        triangle: int32 [height, width], index of the nearest triangle; -1 where there is none.
        weights: float32 [height, width, 3], barycentric weights of its corners at the pixel's centre; 0 where none.
        nearness: float32 [height, width]; 0 where none.
    """

    triangle: np.ndarray
    weights: np.ndarray
    nearness: np.ndarray


def rasterise(points: np.ndarray, triangles: np.ndarray, height: int, width: int) -> Raster:
    """Finds the nearest triangle of each pixel.

    Args:
        points: float [n, 3] of x, y in px (continuous: pixel (i, j) has its centre at (i + 0.5, j + 0.5)) and
            nearness > 0, which grows towards the eye and is linear on the screen: 1 / distance of a perspective
            view, any constant minus the distance of a parallel one.
        triangles: int [m, 3] of point indices, counter-clockwise as seen; triangles that turn their back are left out.
        height, width: of the picture, px; triangles may lie outside of it.
    """
    triangle = np.full(height * width, -1, np.int32)
    weights = np.zeros((height * width, 3), np.float32)
    nearness = np.zeros(height * width, np.float32)
    points = np.asarray(points, np.float32)
    x0, x1, x2 = (points[triangles[:, corner], 0] for corner in range(3))  # [m]
    y0, y1, y2 = (points[triangles[:, corner], 1] for corner in range(3))
    # The first and last column and row whose pixel centres lie in the bounding box.
    left = np.maximum(np.ceil(np.minimum(np.minimum(x0, x1), x2) - 0.5), 0)
    right = np.minimum(np.floor(np.maximum(np.maximum(x0, x1), x2) - 0.5), width - 1)
    top = np.maximum(np.ceil(np.minimum(np.minimum(y0, y1), y2) - 0.5), 0)
    bottom = np.minimum(np.floor(np.maximum(np.maximum(y0, y1), y2) - 0.5), height - 1)
    # Twice the area; positive for counter-clockwise, as y grows downwards.
    area = (x2 - x0) * (y1 - y0) - (x1 - x0) * (y2 - y0)
    seen = np.flatnonzero((area > 0) & (right >= left) & (bottom >= top))
    if not len(seen):
        return _shaped(triangle, weights, nearness, height, width)
    x0, x1, x2, y0, y1, y2 = (values[seen] for values in (x0, x1, x2, y0, y1, y2))
    area, left, right, top, bottom = (values[seen] for values in (area, left, right, top, bottom))
    near = points[:, 2][triangles[seen]]
    # The weight of corner c is start + across * column + down * row, counted from the box's first pixel.
    from_x, from_y = left + 0.5 - x0, top + 0.5 - y0
    x1, x2, y1, y2 = x1 - x0, x2 - x0, y1 - y0, y2 - y0
    start = np.stack([x2 * from_y - y2 * from_x, y1 * from_x - x1 * from_y]) / area
    across, down = np.stack([-y2, y1]) / area, np.stack([x2, -x1]) / area
    across_box, down_box = right - left, bottom - top
    side = np.maximum(across_box, down_box) + 1
    first = (top * width + left).astype(np.int64)
    squares = [*_SQUARES]
    while squares[-1] < side.max():
        squares.append(squares[-1] * 2)
    for smaller, square in zip([0, *squares], squares, strict=False):
        group = np.flatnonzero((side > smaller) & (side <= square))
        rows, columns = (index.reshape(-1).astype(np.float32) for index in np.indices((square, square)))
        for chunk in np.array_split(group, -(-len(group) * square * square // _CANDIDATES)) if len(group) else ():
            one = start[0, chunk, None] + across[0, chunk, None] * columns + down[0, chunk, None] * rows
            two = start[1, chunk, None] + across[1, chunk, None] * columns + down[1, chunk, None] * rows
            which, offset = np.nonzero((one >= -_SLACK) & (two >= -_SLACK) & (one + two <= 1 + _SLACK))
            one, two, which = one[which, offset], two[which, offset], chunk[which]
            # A square may reach over the picture's edge.
            inside = (columns[offset] <= across_box[which]) & (rows[offset] <= down_box[which])
            one, two, which, offset = one[inside], two[inside], which[inside], offset[inside]
            pixel = first[which] + (rows[offset] * width + columns[offset]).astype(np.int64)
            corners = near[which]
            depth = corners[:, 0] * (1 - one - two) + corners[:, 1] * one + corners[:, 2] * two
            np.maximum.at(nearness, pixel, depth)
            won = np.flatnonzero(depth == nearness[pixel])
            pixel, one, two = pixel[won], one[won], two[won]
            triangle[pixel] = seen[which[won]]
            weights[pixel] = np.stack([1 - one - two, one, two], axis=1)
    return _shaped(triangle, weights, nearness, height, width)


def _shaped(triangle: np.ndarray, weights: np.ndarray, nearness: np.ndarray, height: int, width: int) -> Raster:
    return Raster(triangle.reshape(height, width), weights.reshape(height, width, 3), nearness.reshape(height, width))
