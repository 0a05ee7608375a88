"""Do the labels still hold? Raw and refined pictures and their points in; how far the points moved comes out, as JSON
keeps it."""

from collections.abc import Sequence

import numpy as np

from simrefine.measures.drift import measure_drift, summarise_drift
from simrefine.training.landmarks import BATCH_SIZE, LabelledSet, train_landmarks

PREDICTOR_STEPS = 200  # of the landmark network: it need not be good, only the same on raw and refined faces
FEWEST_PREDICTOR = 2 * BATCH_SIZE  # pictures; with fewer, no network is trained


def measure_labels(raw: np.ndarray, refined: np.ndarray, points: np.ndarray | None, names: Sequence[str]) -> dict:
    """Measures drift at the points; where pictures suffice, also how far the predictions of a
    landmark network move, trained on the raw faces.

    Args:
        raw, refined: uint8 [n, h, w, c]; the n-th of both show the same face.
        points: [n, k, 2] px, or None, which measures at a grid.
        names: [n], of the pictures.

    Returns:
        See `measures.drift.summarise_drift`.
    """
    predictor = None
    if points is not None and len(raw) >= FEWEST_PREDICTOR:
        predictor = train_landmarks(LabelledSet(raw, points), seed=0, steps=PREDICTOR_STEPS)
    return summarise_drift(measure_drift(raw, refined, points, names, predictor))
