"""How far predicted landmarks are from annotated ones, and from each other: points in px in, percent of a face's own
scale out."""

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


def compare_predictions(on_raw: np.ndarray, on_refined: np.ndarray, true: np.ndarray, side: float) -> dict | None:
    """Where one network finds the points of the same faces raw and refined, against where they are; ready for JSON.

    Args:
        on_raw, on_refined: [n, k, 2] px, predicted.
        true: [n, k, 2] px, of both; NaN = not annotated.
        side: px, the scale of a scheme without known eyes.

    Returns:
        "raw" and "refined": mean NME, percent; "ratio", refined / raw; "drift_median" and "drift_p95" of the faces'
        mean distance between both predictions, percent. None where no face can be given an NME, or the ratio is of
        nothing to nothing.
    """
    raw, refined = nme(on_raw, true, side), nme(on_refined, true, side)
    known = np.isfinite(raw)
    if not known.any() or not raw[known].mean():
        return None
    moved = nme(on_refined - on_raw + true, true, side)[known]  # the same scale and the same points as the errors
    before, after = float(raw[known].mean()), float(refined[known].mean())
    return {
        "raw": before,
        "refined": after,
        "ratio": after / before,
        "drift_median": float(np.median(moved)),
        "drift_p95": float(np.percentile(moved, 95)),
    }
