"""Linear models of attributes in latents, by scikit-learn, each tried on people who were not learnt from."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from simrefine.errors import UserError
from simrefine.measures.landmarks import nme

try:
    from sklearn.linear_model import LogisticRegression, RidgeCV
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import GroupKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
except ImportError as error:
    raise UserError("axes need scikit-learn", "install it: pip install simrefine[axes]") from error

LEAST_KNOWN = 50  # faces of which an attribute must be known
ALPHAS = np.logspace(0, 4, 9)  # of the ridge, on standardised latents
STRENGTH = 0.01  # of the logistic regression's weights: 1 / their penalty


class Model(NamedTuple):
    """A linear model, see `axes.Axes`."""

    weights: np.ndarray
    offset: float
    deviation: float
    r2: float
    error: float


def folds_of(people: Sequence, count: int) -> np.ndarray:
    """int [n]: which of `count` folds each face is in, all of a person in one.

    Raises:
        UserError: there are fewer people.
    """
    if len(set(people)) < count:
        raise UserError(f"axes need at least {count} people, here are {len(set(people))}", "add people")
    folds = np.zeros(len(people), int)
    for fold, (_, tested) in enumerate(GroupKFold(count).split(folds, groups=np.asarray(people))):
        folds[tested] = fold
    return folds


def fit_number(latents: np.ndarray, values: np.ndarray, folds: np.ndarray) -> Model | None:
    """Ridge regression of values [n] on latents [n, d]; None where too little is known."""
    known = np.isfinite(values)
    if known.sum() < LEAST_KNOWN or len({*folds[known]}) < 2 or not values[known].std():
        return None
    w, y = latents[known], values[known]
    said = cross_val_predict(_ridge(), w, y, groups=folds[known], cv=_splitter(folds[known]))
    weights, offset = _unscaled(_ridge().fit(w, y))
    error = np.mean(np.square(said - y))
    return Model(weights, offset, float(y.std()), float(1 - error / y.var()), float(np.sqrt(error)))


def fit_class(latents: np.ndarray, values: np.ndarray, folds: np.ndarray) -> Model | None:
    """Logistic regression of classes [n], 1 or 0; its number is the log-odds."""
    known = np.isfinite(values)
    if known.sum() < LEAST_KNOWN or len({*folds[known]}) < 2 or not 0 < values[known].mean() < 1:
        return None
    w, y = latents[known], values[known].astype(int)
    model = make_pipeline(StandardScaler(), LogisticRegression(C=STRENGTH, class_weight="balanced", max_iter=1000))
    said = cross_val_predict(
        model, w, y, groups=folds[known], cv=_splitter(folds[known]), method="decision_function", n_jobs=1
    )
    weights, offset = _unscaled(model.fit(w, y))
    odds = w @ weights + offset
    error = float(np.sqrt(np.mean(np.square(said - odds))))
    return Model(weights, offset, float(odds.std()), float(2 * roc_auc_score(y, said) - 1), error)


def fit_points(
    latents: np.ndarray, points: np.ndarray | None, folds: np.ndarray, side: int
) -> tuple[np.ndarray, float]:
    """A linear model of label points [n, p, 2]: [p, 2, d + 1], and its error, see `measures.landmarks.nme`; no points
    and NaN where too few are known."""
    nothing = np.zeros((0, 2, latents.shape[1] + 1)), float("nan")
    known = np.zeros(len(latents), bool) if points is None else np.isfinite(points).all(axis=(1, 2))
    if known.sum() < LEAST_KNOWN or len({*folds[known]}) < 2:
        return nothing
    w, wanted = latents[known], points[known]
    flat = wanted.reshape(len(w), -1)
    said = cross_val_predict(_ridge(), w, flat, groups=folds[known], cv=_splitter(folds[known]))
    weights, offsets = _unscaled(_ridge().fit(w, flat))
    full = np.concatenate([weights, offsets[:, None]], axis=1).reshape(*wanted.shape[1:], -1)
    return full, float(np.nanmean(nme(said.reshape(wanted.shape), wanted, side)))


def share_within(values: np.ndarray, people: Sequence) -> float:
    """The share of the variance of values [n] that is within people, not from one to another, in [0, 1]."""
    known = np.isfinite(values)
    _, codes = np.unique(np.asarray(people)[known], return_inverse=True)
    counts = np.bincount(codes)
    means = np.bincount(codes, weights=values[known]) / counts
    within = np.square(values[known] - means[codes]).sum()
    # A person of few faces has a mean near to each: degrees of freedom, or two views would halve what is within.
    free = max(1, len(codes) - len(counts)) / max(1, len(codes) - 1)
    return float(min(1.0, within / max(np.square(values[known] - values[known].mean()).sum(), 1e-12) / free))


def _ridge():
    return make_pipeline(StandardScaler(), RidgeCV(alphas=ALPHAS))


def _splitter(folds: np.ndarray) -> GroupKFold:
    return GroupKFold(len({*folds}))


def _unscaled(pipeline) -> tuple[np.ndarray, np.ndarray]:
    """Weights and offsets in the latents themselves, of a scaler and a linear model."""
    scaler, model = pipeline[0], pipeline[-1]
    weights = np.squeeze(model.coef_ / scaler.scale_)
    return weights, np.squeeze(model.intercept_) - weights @ scaler.mean_
