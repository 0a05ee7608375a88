"""Are the faces more like photographs? In go uint8 pictures [n, h, w, c], out come numbers, ready for JSON.

The formulas are in measures/realism.py; here is what is made of them, and the parts that need a network: the classifier
two-sample test of two_sample.py, EfficientNet-Lite2's features for KID and InceptionV3's for FID.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import keras
import numpy as np

from simrefine import backend
from simrefine.errors import UserError
from simrefine.evaluation.baselines import take_colours
from simrefine.evaluation.two_sample import MIN_IMAGES as TWO_SAMPLE_IMAGES
from simrefine.evaluation.two_sample import folds_by_group, keys_of, two_sample_test
from simrefine.measures.realism import (
    check_enough,
    frechet_distance,
    kernel_distance,
    sliced_wasserstein,
    statistics,
    statistics_gap,
    wasserstein_mean,
)
from simrefine.models.lite_features import features_of, lite_features, resized

PARTS = ("swd", "statistics", "auc", "kid", "fid")
PARTS_WITHOUT_WEIGHTS = ("swd", "statistics", "auc", "kid")
MIN_IMAGES = {"swd": 10, "statistics": 1, "auc": TWO_SAMPLE_IMAGES, "kid": 20, "fid": 50}  # below, chance decides
INCEPTION_SIDE, INCEPTION_BATCH = 299, 32
INCEPTION_URL = (
    "https://storage.googleapis.com/tensorflow/keras-applications/inception_v3/"
    "inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5"
)  # where Keras looks


def measure_realism(
    raw: np.ndarray,
    refined: np.ndarray,
    real: np.ndarray,
    *,
    unrefined: np.ndarray | None = None,
    parts: Sequence[str] = PARTS_WITHOUT_WEIGHTS,
    groups_synthetic: Sequence[Hashable] | None = None,
    groups_real: Sequence[Hashable] | None = None,
    weights: str = "imagenet",
    seed: int = 0,
    precision: str = "auto",
) -> dict:
    """All the numbers of raw and refined against real, ready for JSON.

    Args:
        raw, refined, real: uint8 [n, h, w, c]; the n-th raw and refined picture show the same face.
        unrefined: the same faces as the refiner's network is given them, or None.
        parts: which of PARTS to measure.
        groups_synthetic, groups_real: who or what clip each picture shows, see `two_sample_test`.
        weights: see `inception_features`.

    Returns:
        {"raw": {...}, "recoloured": {...}, "refined": {...}, "real": {...}}, and "unrefined" where it is given;
        "recoloured" are unrefined, or else raw, faces by `take_colours`. All but "real" hold, for
        each part asked for, "swd" {side of the level in px: distance x 1e3, ..., "mean"}, "statistics" and their "gap"
        to real, "auc" (the fields of TwoSample), "kid" {"mean", "std"}, "fid". "real" holds "statistics", and as "swd"
        and "kid" the distances between two halves of the photographs: what pictures that are real but of others get.

    Raises:
        UserError: an unknown part, sets of different shapes or too small for a part, no Inception weights.
    """
    _check_parts(parts)
    given = {"raw": raw} | ({} if unrefined is None else {"unrefined": unrefined})
    for part in parts:
        for name, images in (given | {"refined": refined, "real": real}).items():
            check_enough(images, MIN_IMAGES[part], f"the {name} set, for {part}")
    recoloured = take_colours(raw if unrefined is None else unrefined, refined)
    measured = given | {"recoloured": recoloured, "refined": refined}
    result: dict[str, dict] = {name: {} for name in (*measured, "real")}
    features = {part: _features_for(part, real, weights) for part in parts if part in ("kid", "fid")}
    result["real"] |= _distances_of_halves(real, features.get("kid"), parts, groups_real, seed)
    if "statistics" in parts:
        result["real"]["statistics"] = statistics(real)
    for name, images in measured.items():
        if "swd" in parts:
            result[name]["swd"] = _with_mean(sliced_wasserstein(images, real, seed))
        if "statistics" in parts:
            result[name]["statistics"] = statistics(images)
            result[name]["gap"] = statistics_gap(result[name]["statistics"], result["real"]["statistics"])
        if "auc" in parts:
            test = two_sample_test(images, real, seed, precision, groups_synthetic, groups_real)
            result[name]["auc"] = asdict(test)
        for part, reference in features.items():
            result[name][part] = _distance(part, _features_for(part, images, weights), reference, seed)
    return result


def _distances_of_halves(
    real: np.ndarray, features: np.ndarray | None, parts: Sequence[str], groups: Sequence[Hashable] | None, seed: int
) -> dict:
    """ "swd" and "kid" between two halves of a set that no group crosses; empty where all show one person."""
    halves, _ = folds_by_group(keys_of(real, groups), (), 2, seed)
    first = halves == 0
    distances = {}
    if first.all():
        return distances
    if "swd" in parts:
        distances["swd"] = _with_mean(sliced_wasserstein(real[first], real[~first], seed))
    if features is not None and min(first.sum(), (~first).sum()) > 1:
        distances["kid"] = _distance("kid", features[first], features[~first], seed)
    return distances


def _features_for(part: str, images: np.ndarray, weights: str) -> np.ndarray:
    return lite_features(images) if part == "kid" else inception_features(images, weights)


def _distance(part: str, features: np.ndarray, reference: np.ndarray, seed: int) -> float | dict[str, float]:
    if part == "fid":
        return frechet_distance(features, reference)
    mean, std = kernel_distance(features, reference, seed)
    return {"mean": mean, "std": std}


def _with_mean(distances: Mapping[int, float]) -> dict[str, float]:
    """As JSON keeps it, whose keys are texts."""
    return {str(side): distance for side, distance in distances.items()} | {"mean": wasserstein_mean(distances)}


def _check_parts(parts: Sequence[str]) -> None:
    for part in parts:
        if part not in PARTS:
            raise UserError(f"unknown part of realism {part!r}", f"choose from {', '.join(PARTS)}")


# Features for FID; those for KID are in models/lite_features.py


def inception_features(images: np.ndarray, weights: str = "imagenet") -> np.ndarray:
    """Pooled features of keras.applications.InceptionV3, uint8 [n, h, w, c] -> float32 [n, 2048].

    The weights are Keras's, not those of the TensorFlow graph of 2015 that papers use: the numbers rank sets, but do
    not compare with published FIDs. Pictures are resized to 299 px, bilinear, without aliasing where they shrink.

    Args:
        weights: "imagenet", which Keras downloads on first use, or a weights file of InceptionV3 without its top.

    Raises:
        UserError: the weights cannot be downloaded or read.
    """
    backend.use_device()
    try:
        if weights != "imagenet" and not Path(weights).is_file():
            raise FileNotFoundError("no such file")
        network = keras.applications.InceptionV3(include_top=False, pooling="avg", weights=weights)
    except Exception as error:  # Keras raises many kinds here: no network, another architecture, a damaged file
        raise UserError(
            f"cannot load InceptionV3 with the weights {weights!r}: {error}",
            f"download {INCEPTION_URL} and name the file with --weights, or leave out FID",
        ) from error

    def features(pictures):
        large = resized(pictures, INCEPTION_SIDE)
        return network(keras.applications.inception_v3.preprocess_input(large), training=False)

    return features_of(backend.compile_inference(features), images, INCEPTION_BATCH)
