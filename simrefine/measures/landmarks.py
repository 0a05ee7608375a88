"""How far predicted landmarks are from annotated ones: points in px in, percent of a face's own scale out."""

import numpy as np

from simrefine.data.points import interocular


def nme(predicted: np.ndarray, true: np.ndarray, side: float | None = None) -> np.ndarray:
    """Normalised mean error of each face, percent: mean distance of its annotated points / inter-ocular distance.

    Args:
        predicted: [n, k, 2] px.
        true: [n, k, 2] px; NaN = not annotated. A face without any point, or without its eyes, has an NME of NaN.
        side: px, used in place of the inter-ocular distance where the scheme has no eyes.

    Returns:
        [n].

    Raises:
        ValueError: it is not known which points are eyes, and there is no `side`.
    """
    known = np.isfinite(true).all(axis=-1)  # [n, k]
    distances = np.where(known, np.linalg.norm(predicted - true, axis=-1), 0.0)
    with np.errstate(invalid="ignore"):  # 0 / 0 where no point is annotated
        means = distances.sum(axis=1) / known.sum(axis=1)
    scale = interocular(true)
    if scale is None and side is None:
        raise ValueError(f"{true.shape[1]} points have no known eyes: give the side of the picture")
    return 100.0 * means / (side if scale is None else scale)
