"""Do the label points of the face whose attributes were taken hold for the face that was made? It is measured: the
parts that the generator drew, where it drew them, against where the points have them."""

import numpy as np

from simrefine.catalogue import PARTS
from simrefine.data.parts import parts_of_points
from simrefine.data.points import LEFT_EYE, RIGHT_EYE

HOLDS = 6.0  # percent of the distance of the eyes, up to which points hold
_COMPARED = ("brows", "eyes", "lips")


def landmark_error(parts: np.ndarray, points: np.ndarray) -> float | None:
    """The mean distance between the middles of brows, eyes and lips as drawn and as 68 label points have them, left and
    right apart, in percent of the distance of the eyes; None where one is not drawn, or a point is missing.

    Args:
        parts: uint8 [h, h], places in `catalogue.PARTS`.
        points: [68, 2] px.
    """
    if points.shape != (68, 2) or not np.isfinite(points).all():
        return None
    left, right = points[LEFT_EYE].mean(axis=0), points[RIGHT_EYE].mean(axis=0)
    known, across = parts_of_points(points, len(parts)), right - left
    centre = (np.arange(len(parts)) + 0.5)[:, None]
    # Which side of the face a pixel is on, by the line between the eyes: the head may be tilted.
    beside = (centre.T - (left + right)[0] / 2) * across[0] + (centre - (left + right)[1] / 2) * across[1] > 0
    apart = []
    for part in _COMPARED:
        for side in (np.ones_like(beside),) if part == "lips" else (beside, ~beside):
            middles = [_middle((labels == PARTS.index(part)) & side) for labels in (parts, known)]
            if any(middle is None for middle in middles):
                return None
            apart.append(np.linalg.norm(middles[0] - middles[1]))
    return float(100 * np.mean(apart) / np.linalg.norm(across))


def _middle(where: np.ndarray) -> np.ndarray | None:
    rows, columns = np.nonzero(where)
    return np.array([columns.mean(), rows.mean()]) if len(rows) else None
