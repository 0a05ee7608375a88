"""Do label points belong to these very pictures? In go pictures and points, out comes whether points sit on faces.

Labels of another folder whose files have the same names pass every test of names and sizes. But faces that are turned
and scaled by their own points look alike, and by those of others less so.
"""

import cv2
import numpy as np

from simrefine.data.folders import evenly
from simrefine.data.images import to_channels

FEWEST, MOST = 50, 200  # pictures that are looked at; fewer say nothing
PATCH = 32  # px, side of the patches that are held against each other
INNER = 0.25, 0.75  # where the middle half of the points' extent lies in a patch
ALIGNED = 0.02  # share of the side; in crops whose points are nearer than this, those of another picture fit as well
SIGMAS = 2.0  # standard errors by which own points must be better than another picture's


def points_fit(images: np.ndarray, points: np.ndarray) -> bool | None:
    """Whether pictures, uint8 [n, h, w, c], are more alike when brought together by their own points [n, k, 2], in px,
    than by those of the next picture; None where that cannot be told: for few pictures, or where all points are nearly
    in the same places."""
    usable = np.flatnonzero(np.isfinite(points).all(axis=(1, 2)))
    if len(usable) < FEWEST or points.shape[1] < 2:
        return None
    usable = usable[evenly(len(usable), MOST)]
    images, points = to_channels(images[usable], 1), points[usable]
    others = np.roll(points, 1, axis=0)
    if np.median(np.abs(points - others).mean(axis=(1, 2))) < ALIGNED * images.shape[1]:
        return None
    own, strange = (_likeness(images, one) for one in (points, others))
    better = own - strange
    return bool(better.mean() > SIGMAS * better.std() / np.sqrt(len(better)))


def _likeness(images: np.ndarray, points: np.ndarray) -> np.ndarray:
    """[n]: the correlation of each picture, brought to the mean shape by its points, with the mean of the others."""
    shape = points.mean(axis=0)
    low, extent = shape.min(axis=0), max(np.ptp(shape, axis=0).max(), 1e-6)
    target = ((shape - low) / extent * (INNER[1] - INNER[0]) + INNER[0]) * PATCH
    patches = np.stack([_patch(image, own, target) for image, own in zip(images, points, strict=True)])
    others = (patches.sum(axis=0) - patches) / (len(patches) - 1)
    return (patches * others).mean(axis=1) / np.maximum(others.std(axis=1), 1e-6)


def _patch(image: np.ndarray, points: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The surroundings of the points, turned and scaled to `target` [k, 2]: [PATCH * PATCH] of mean 0 and variance
    1."""
    ours, theirs = points - points.mean(axis=0), target - target.mean(axis=0)
    a = (ours * theirs).sum() / max((ours**2).sum(), 1e-9)  # the least squares of a similarity
    b = (ours[:, 0] * theirs[:, 1] - ours[:, 1] * theirs[:, 0]).sum() / max((ours**2).sum(), 1e-9)
    turn = np.array([[a, -b], [b, a]])
    matrix = np.column_stack([turn, target.mean(axis=0) - turn @ points.mean(axis=0)])
    patch = cv2.warpAffine(image, matrix, (PATCH, PATCH), borderMode=cv2.BORDER_REPLICATE).ravel().astype(np.float64)
    return (patch - patch.mean()) / max(patch.std(), 1e-6)
