"""The crop rule: where a face's square lies in its picture, and picture and points moved into that square.

In go a picture and its landmarks, out come a square picture and the same points in its pixels. Renders and photographs
go through this one rule, because framing is the first difference that a discriminator learns.
"""

import math
from dataclasses import dataclass

import numpy as np

from simrefine.data.images import ImageError, round_to_uint8
from simrefine.errors import UserError

BOX = 68  # of this many points, the square comes from their bounding box
FIVE = 5  # eye centres, nose tip and mouth corners, left to right in the picture

# Where the mouth can be, of eyes one apart. On 5,291 photographs and renders: 0.65 to 2.8 below, 0.54 to 1.20 wide.
_LEAST_BELOW = 0.5
_MOUTH_WIDTH = (0.3, 1.7)
_SIDE = 1.6  # side of the square per longer side of the box
_RISE = 0.08  # how far the square's centre lies above the box's, per height of the box: room for the forehead

# The same square from five points. Fitted by least squares on 2270 photographs and 2400 renders with 68 points, of
# which the five were taken (an eye: the mean of its six lid points). On 321 photographs and 300 renders of other people
# the side is 0.99 and 1.02 times that of the 68 points (medians; 5th to 95th percentile 0.91 to 1.11), and the centre
# 0.02 of the side away (95th percentile 0.05).
_FIVE_SIDE = 3.31  # per distance from eyes to mouth, or, if that is more,
_FIVE_EYES = 1.11  # per this many times the distance between the eyes: a face that looks up or down is foreshortened
_FIVE_DOWN = 0.45  # the centre, from between the eyes towards the mouth, per distance from eyes to mouth
_FIVE_TURN = 1.36  # and away from the side to which the nose points, per distance of the nose from the midline


@dataclass(frozen=True)
class Square:
    """A square of a picture: its centre and side, in px; continuous, so that 0 is the picture's edge."""

    x: float
    y: float
    side: float

    def times(self, factor: float) -> "Square":
        """The same square of a picture that is `factor` times as large."""
        return Square(self.x * factor, self.y * factor, self.side * factor)

    @property
    def corner(self) -> np.ndarray:
        """The upper left corner, float64 [2], px."""
        return np.array([self.x - self.side / 2, self.y - self.side / 2])


def face_square(points: np.ndarray) -> Square:
    """Where a face is cut out: 1.6 times the longer side of the box of its 68 points, raised by 8 % of the box's
    height; of 5 points, nearly the same square.

    Args:
        points: [k, 2] in px of the picture, k of 68 (300-W order) or 5 (eyes, nose, mouth corners).

    Raises:
        ImageError: points that are missing, or all in one place.
        UserError: another number of points.
    """
    if len(points) not in (BOX, FIVE):
        raise UserError(
            f"faces with {len(points)} points cannot be framed",
            "give the 68 points of 300-W, or five: eye centres, nose tip, mouth corners",
        )
    missing = int((~np.isfinite(points).all(-1)).sum())
    if missing:
        raise ImageError(f"{missing} of its {len(points)} points are not labelled")
    if not _in_order(points):
        raise ImageError(f"its {len(points)} points are not in the order of a face (eyes above the mouth, 300-W order)")
    square = _square_of_box(points) if len(points) == BOX else _square_of_five(points)
    if not square.side > 0:
        raise ImageError("all its points lie in one place")
    return square


def outside_share(square: Square, height: int, width: int) -> float:
    """The share of the square, 0 to 1, that lies outside a picture of `height` x `width` px."""
    corner = square.corner
    inside = np.clip(np.minimum(corner + square.side, (width, height)) - np.maximum(corner, 0), 0, None)
    return max(0.0, float(1 - inside.prod() / square.side**2))


def move_points(points: np.ndarray, square: Square, size: int) -> np.ndarray:
    """Points of the picture as points of the crop: [..., 2] to [..., 2], px of a crop of size x size."""
    return (points - square.corner) * (size / square.side)


def cut(pixels: np.ndarray, square: Square, size: int) -> np.ndarray:
    """The square, resampled: uint8 [h, w, c] to uint8 [size, size, c].

    Each pixel is the mean of the area that it covers when shrinking, linear between pixel centres when growing. The
    square need not lie on whole pixels, nor inside the picture: the picture's edge goes on outside.
    """
    height, width, channels = pixels.shape
    rows, down = _weights(square.corner[1], square.side, size, height)
    columns, across = _weights(square.corner[0], square.side, size, width)
    region = pixels[rows, columns].astype(np.float32)
    squeezed = (down @ region.reshape(len(region), -1)).reshape(size, -1, channels)
    return round_to_uint8(across @ squeezed)


def cut_labels(mask: np.ndarray, square: Square, size: int) -> np.ndarray:
    """The same square of a mask, uint8 [h, w, ...] to [size, size, ...], by nearest pixels: no new label appears."""
    rows, columns = (
        np.clip(np.floor(start + (np.arange(size) + 0.5) * (square.side / size)), 0, extent - 1).astype(int)
        for start, extent in zip(square.corner[::-1], mask.shape, strict=False)
    )
    return mask[rows[:, None], columns]


def _in_order(points: np.ndarray) -> bool:
    """Whether the points can be what their places say: the mouth is well below the line of the eyes, and about as long
    and in the same direction. Five points of another kind (eye corners and nose) would be cut out too tightly."""
    if len(points) == BOX:
        left, right, mouth_left, mouth_right = points[36:42].mean(0), points[42:48].mean(0), points[48], points[54]
    else:
        left, right, mouth_left, mouth_right = points[[0, 1, 3, 4]]
    across, down = right - left, (mouth_left + mouth_right - left - right) / 2
    area = across @ across
    if not area:  # all in one place: `face_square` rejects its empty square
        return True
    below = (across[0] * down[1] - across[1] * down[0]) / area
    width = (mouth_right - mouth_left) @ across / area
    return bool(below > _LEAST_BELOW and _MOUTH_WIDTH[0] < width < _MOUTH_WIDTH[1])


def _square_of_box(points: np.ndarray) -> Square:
    low, high = points.min(0), points.max(0)
    (x, y), (width, height) = (low + high) / 2, high - low
    return Square(float(x), float(y - _RISE * height), float(_SIDE * max(width, height)))


def _square_of_five(points: np.ndarray) -> Square:
    eyes, mouth = points[:2].mean(0), points[3:].mean(0)
    axis = mouth - eyes
    length = float(np.hypot(*axis))
    if not length:
        raise ImageError("its eyes and mouth lie in one place")
    sideways = np.array([-axis[1], axis[0]]) / length
    turn = (points[2] - eyes) @ sideways * sideways  # from the midline to the nose
    x, y = eyes + _FIVE_DOWN * axis - _FIVE_TURN * turn
    between = float(np.hypot(*(points[1] - points[0])))
    return Square(float(x), float(y), _FIVE_SIDE * max(_FIVE_EYES * between, length))


def _weights(start: float, side: float, size: int, extent: int) -> tuple[slice, np.ndarray]:
    """How much of each source pixel goes into each of `size` pixels along one side: the slice of source pixels that
    counts, and float32 [size, pixels], whose rows add up to 1."""
    step = side / size
    width = max(step, 1.0)  # a box as wide as one source pixel is linear interpolation between pixel centres
    middles = start + (np.arange(size) + 0.5) * step
    low, high = middles - width / 2, middles + width / 2
    pixels = np.arange(math.floor(low[0]), math.ceil(high[-1]))
    share = np.minimum(high[:, None], pixels + 1) - np.maximum(low[:, None], pixels)  # [size, pixels]
    nearest = np.clip(pixels, 0, extent - 1)
    first, last = int(nearest[0]), int(nearest[-1])
    weights = np.zeros((last - first + 1, size))
    np.add.at(weights, nearest - first, np.clip(share, 0, None).T / width)
    return slice(first, last + 1), weights.T.astype(np.float32)
