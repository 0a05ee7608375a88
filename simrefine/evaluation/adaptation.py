"""Label adaptation (Wood et al. 2021, arXiv 2109.15102): predicted and annotated points of a few faces in; a function
that takes predicted points to where another annotation scheme has them out.

Two schemes may put the same point in different places, which no refiner can or should change.
"""

from collections.abc import Callable

import numpy as np

from simrefine.training.landmarks import LabelledSet, check_labelled

ADAPTATION_FACES = 100  # labelled photographs that label adaptation is fitted on
FEWEST_ADAPTATION = 10
RIDGES = (*np.logspace(-6, 1, 15), np.inf)  # strengths to choose from; infinity leaves a constant shift a point


def hold_out(labelled: LabelledSet, count: int = ADAPTATION_FACES) -> tuple[LabelledSet, LabelledSet]:
    """Splits a set into what to train on and `count` pictures for label adaptation, which no network
    may have learnt from: evenly spread, because neighbours in a folder often show one person.

    Raises:
        UserError: there are no more than `count` pictures.
    """
    check_labelled(len(labelled), count + 1, "the set that label adaptation is taken from")
    held_out = np.arange(count) * len(labelled) // count
    return labelled[np.setdiff1d(np.arange(len(labelled)), held_out)], labelled[held_out]


def fit_adaptation(predicted: np.ndarray, true: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Learns where one scheme puts its points, given those of another.

    A ridge regression from a predicted face to its annotation, as a shift of each point. Both are measured from the
    predicted face's centre in units of its size, so it learns the schemes' difference and not where faces are. The
    strength of the ridge is the one of RIDGES with the least leave-one-out error, in closed form (PRESS, Allen 1974).

    Args:
        predicted: [n, k, 2] px.
        true: [n, k, 2] px, of the same faces; NaN = not annotated. A point that is annotated in fewer than
            FEWEST_ADAPTATION faces stays where it is predicted.

    Returns:
        Predicted points [m, k, 2] px to adapted ones.

    Raises:
        UserError: fewer than FEWEST_ADAPTATION faces.
    """
    check_labelled(len(predicted), FEWEST_ADAPTATION, "label adaptation")
    faces, centres, sizes = _normalise(predicted)
    shifts = (true - centres) / sizes - faces
    known = np.isfinite(shifts).all(axis=-1)  # [n, k]
    groups = []  # points that are annotated in the same faces share a solution
    for pattern in np.unique(known, axis=1).T:
        if pattern.sum() < FEWEST_ADAPTATION:
            continue
        members = np.flatnonzero((known == pattern[:, None]).all(axis=0))
        groups.append((members, _Ridge(_flat(faces[pattern]), _flat(shifts[pattern][:, members]))))
    losses = [sum(ridge.left_out(strength) for _, ridge in groups) for strength in RIDGES]
    strength = RIDGES[int(np.argmin(losses))]

    def adapt(points: np.ndarray) -> np.ndarray:
        faces, _, sizes = _normalise(points)
        adapted = points.copy()
        for members, ridge in groups:
            adapted[:, members] += ridge.predict(_flat(faces), strength).reshape(len(points), -1, 2) * sizes
        return adapted

    return adapt


class _Ridge:
    """Ridge regression with a free intercept, for any strength from one decomposition: x [n, p] to y [n, q]."""

    def __init__(self, x: np.ndarray, y: np.ndarray):
        self._mean_x, self._mean_y = x.mean(axis=0), y.mean(axis=0)
        self._left, self._values, self._right = np.linalg.svd(x - self._mean_x, full_matrices=False)
        self._y = y - self._mean_y

    def predict(self, x: np.ndarray, strength: float) -> np.ndarray:
        """[m, p] to [m, q]."""
        weights = self._right.T * (self._shrink(strength) / np.maximum(self._values, 1e-12)) @ self._left.T @ self._y
        return (x - self._mean_x) @ weights + self._mean_y

    def left_out(self, strength: float) -> float:
        """Sum of squared errors, each row predicted from all the others: residual / (1 - leverage)."""
        shrunk = self._left * self._shrink(strength)
        leverages = (shrunk * self._left).sum(axis=1) + 1 / len(self._y)
        residuals = self._y - shrunk @ (self._left.T @ self._y)
        return float(((residuals / np.maximum(1 - leverages, 1e-9)[:, None]) ** 2).sum())

    def _shrink(self, strength: float) -> np.ndarray:
        if np.isinf(strength):
            return np.zeros_like(self._values)
        squares = self._values**2
        return squares / (squares + strength * len(self._y))


def _normalise(points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Faces [n, k, 2] about their centres [n, 1, 2], in units of their sizes [n, 1, 1] (root mean square distance)."""
    centres = points.mean(axis=1, keepdims=True)
    sizes = np.sqrt(((points - centres) ** 2).sum(axis=-1).mean(axis=1))[:, None, None]
    return (points - centres) / sizes, centres, sizes


def _flat(points: np.ndarray) -> np.ndarray:
    return points.reshape(len(points), -1)
