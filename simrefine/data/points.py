"""The geometry of label points: what becomes of them when their picture is cropped, resized or mirrored, which of them
are eyes, whether they fit their pictures, and where they hold the refiner.

Points are float [..., k, 2] of x, y in px; the picture spans 0 to width. 68 points stand in the order of 300-W (Sagonas
et al. 2013), 5 are eyes, nose tip and mouth corners, from the image's left to its right.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from simrefine.errors import UserError

# Of 68 points.
OUTLINE = slice(0, 27)  # of the face: jaw and brows
LEFT_EYE, RIGHT_EYE = slice(36, 42), slice(42, 48)  # as the picture shows them
MOUTH = slice(48, 60)  # the outer line of the lips

_MANY = 8  # pictures from which on an empty lower right half is no accident


def fit_points(points: np.ndarray, height: int | np.ndarray, width: int | np.ndarray, size: int) -> np.ndarray:
    """Moves points as `data.images.fit_square` moves pixels: [..., k, 2] of a picture of `height` x `width` px to the
    same shape for size x size px. `height` and `width` may also be arrays [n], for [n, k, 2]."""
    height, width = np.asarray(height), np.asarray(width)
    side = np.minimum(height, width)
    corner = np.stack([(width - side) // 2, (height - side) // 2], -1)
    return (points - corner[..., None, :]) * (size / side)[..., None, None]


def mirror_points(points: np.ndarray, width: float) -> np.ndarray:
    """The points of the mirrored picture, in the order of their scheme: point 36 of 68 is again the outer corner of the
    eye on the image's left.

    Where order does not matter, as in `hold_map`, `width - x` mirrors the places of any points.

    Args:
        points: [..., k, 2] in px; NaN where a point is not labelled.
        width: of the picture, px.

    Returns:
        The same shape and dtype.

    Raises:
        ValueError: the mirror order of k points is not known, see `mirror_order`.
    """
    order = mirror_order(points.shape[-2])
    if order is None:
        raise ValueError(f"the mirror order of {points.shape[-2]} points is not known")
    mirrored = points[..., order, :]
    mirrored[..., 0] = width - mirrored[..., 0]
    return mirrored


def mirror_order(k: int) -> np.ndarray | None:
    """Which point of the picture becomes each point of the mirrored picture: int [k] for 68 and 5 points, None for
    other `k`."""
    if k == 5:
        return np.array([1, 0, 2, 4, 3])
    if k != 68:
        return None
    order = np.arange(68)
    # Jaw, brows, nostrils, upper and lower lids, then the lips: outer upper and lower, inner upper and lower.
    runs = [(0, 17), (17, 27), (31, 36), (36, 40, 42, 46), (40, 42, 46, 48), (48, 55), (55, 60), (60, 65), (65, 68)]
    for bounds in runs:
        run = [point for first, last in zip(bounds[::2], bounds[1::2], strict=True) for point in range(first, last)]
        order[run] = run[::-1]
    return order


def eye_corners(k: int) -> tuple[int, int] | None:
    """The two points whose distance is the inter-ocular distance: of 68 points the outer eye corners (as in 300-W), of
    5 the eyes; None where it is not known which of `k` points are eyes."""
    return {68: (36, 45), 5: (0, 1)}.get(k)


def interocular(points: np.ndarray) -> np.ndarray | None:
    """The inter-ocular distance in px: [n, k, 2] to [n], see `eye_corners`; NaN where an eye is not labelled or both
    are in one place, None where no eyes are known."""
    eyes = eye_corners(points.shape[1])
    if eyes is None:
        return None
    distance = np.linalg.norm(points[:, eyes[0]] - points[:, eyes[1]], axis=-1)
    return np.where(distance > 0, distance, np.nan)


def check_inside(
    points: np.ndarray, names: Sequence[str], height: int | np.ndarray, width: int | np.ndarray, source: Path
) -> None:
    """Checks that the points can belong to pictures of this size. Some points outside are normal: a hidden jaw.

    Args:
        points: [n, k, 2] in px of these pictures, before any crop.
        names: of the pictures, for messages.
        height: of the pictures, in px, one number or [n]; so is `width`.
        source: of the labels, for messages.

    Raises:
        UserError: over half of the points of a picture lie outside it (the labels are of larger pictures), or none
            of all points lies in the right or in the lower half of its picture (of smaller ones).
    """
    height, width = np.broadcast_to(height, len(names)), np.broadcast_to(width, len(names))
    share = points / np.stack([width, height], -1)[:, None]  # in the picture: 0 to 1
    with np.errstate(invalid="ignore"):
        outside = ((share < 0) | (share > 1)).any(-1).sum(1)  # [n]; NaN counts as inside
    labelled = np.isfinite(points).all(-1).sum(1)
    wrong = np.flatnonzero(outside > labelled / 2)
    fix = "name the label file that belongs to these very pictures, or resize the labels with them"
    if len(wrong):
        first = wrong[0]
        raise UserError(
            f"{source} holds labels of another size: {outside[first]} of the {labelled[first]} points of "
            f"{names[first]} lie outside its {width[first]} x {height[first]} pixels "
            f"({len(wrong)} of {len(names)} pictures are so)",
            fix,
        )
    if len(names) >= _MANY and np.nanmax(share) < 0.5:
        raise UserError(
            f"{source} holds labels of another size: all points of all {len(names)} pictures lie in the upper left "
            f"quarter ({names[0]} has {width[0]} x {height[0]} pixels)",
            fix,
        )


def hold_map(points: np.ndarray, size: int, reach: float) -> np.ndarray:
    """How near each pixel is to a label point: float32 [n, size, size, 1], 1 at the points, falling to 0 around them.

    Args:
        points: [n, k, 2], px of a picture of size x size; NaN where a point is not labelled. A picture without any
            is 1 everywhere: nothing is known of where its features are.
        reach: standard deviation of the fall, in shares of the side.
    """
    middles = np.arange(size) + 0.5
    # A Gaussian in two dimensions is the product of two in one.
    across, down = (
        np.nan_to_num(np.exp(-0.5 * ((points[..., axis, None] - middles) / (reach * size)) ** 2)).astype(np.float32)
        for axis in (0, 1)
    )
    near = np.minimum(down.transpose(0, 2, 1) @ across, 1.0)
    near[np.isnan(points).all(axis=(1, 2))] = 1.0
    return near[..., None]
