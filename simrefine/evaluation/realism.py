"""Are the faces more like photographs? In go uint8 pictures [n, h, w, c], out come numbers, ready for JSON.

The formulas are in measures/realism.py; here are the parts that need a network: a classifier two-sample test (Lopez-Paz
and Oquab 2017, arXiv 1610.06545), trained on the spot, and InceptionV3's features for FID and KID.
"""

import hashlib
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import keras
import numpy as np
from keras import ops

from simrefine import backend
from simrefine.data.images import to_channels, to_signed
from simrefine.errors import UserError
from simrefine.measures.realism import (
    check_enough,
    check_same_shape,
    frechet_distance,
    kernel_distance,
    sliced_wasserstein,
    statistics,
    statistics_gap,
    wasserstein_mean,
)
from simrefine.randomness import generator
from simrefine.threads import in_batches
from simrefine.training.fit import fit

PARTS = ("swd", "statistics", "auc", "fid", "kid")
PARTS_WITHOUT_WEIGHTS = ("swd", "statistics", "auc")
MIN_IMAGES = {"swd": 10, "statistics": 1, "auc": 20, "fid": 50, "kid": 50}  # below, chance decides
MIN_GROUPS = 4  # of the two-sample test: two to learn from, two to judge

CLASSIFIER_STEPS = 400
CLASSIFIER_BATCH = 32  # half of it from either set
JUDGED_AT_ONCE = 64  # pictures
CLASSIFIER_RATE = 3e-3  # at the start; it falls to 0 along a cosine
MAX_SHIFT = 1 / 16  # of the side, augmentation of the classifier
BOOTSTRAPS = 1000
INCEPTION_SIDE, INCEPTION_BATCH = 299, 32
INCEPTION_URL = (
    "https://storage.googleapis.com/tensorflow/keras-applications/inception_v3/"
    "inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5"
)  # where Keras looks


@dataclass(frozen=True)
class TwoSample:
    """What a classifier makes of two sets.

    Args:
        auc: the share of pairs (one picture of each set) that it orders rightly: 0.5 = it cannot tell them apart.
        low, high: 95 % interval of `auc`.
        n: the pictures judged, of both sets together.
    """

    auc: float
    low: float
    high: float
    n: int


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
        {"raw": {...}, "refined": {...}, "real": {...}}, and "unrefined" where it is given. All but "real" hold, for
        each part asked for, "swd" {side of the level in px: distance x 1e3, ..., "mean"}, "statistics" and their "gap"
        to real, "auc" (the fields of TwoSample), "fid", "kid" {"mean", "std"}. "real" holds "statistics", and as "swd"
        the distance between two halves of the photographs: what pictures that are real but of others get.

    Raises:
        UserError: an unknown part, sets of different shapes or too small for a part, no Inception weights.
    """
    _check_parts(parts)
    measured = {"raw": raw} | ({} if unrefined is None else {"unrefined": unrefined}) | {"refined": refined}
    for part in parts:
        for name, images in (measured | {"real": real}).items():
            check_enough(images, MIN_IMAGES[part], f"the {name} set, for {part}")
    result: dict[str, dict] = {name: {} for name in (*measured, "real")}
    if "swd" in parts:
        result["real"] |= _distance_of_halves(real, groups_real, seed)
    if "statistics" in parts:
        result["real"]["statistics"] = statistics(real)
    features = inception_features(real, weights) if {"fid", "kid"} & set(parts) else None
    for name, images in measured.items():
        if "swd" in parts:
            result[name]["swd"] = _with_mean(sliced_wasserstein(images, real, seed))
        if "statistics" in parts:
            result[name]["statistics"] = statistics(images)
            result[name]["gap"] = statistics_gap(result[name]["statistics"], result["real"]["statistics"])
        if "auc" in parts:
            test = two_sample_test(images, real, seed, precision, groups_synthetic, groups_real)
            result[name]["auc"] = asdict(test)
        if features is not None:
            result[name] |= _feature_distances(inception_features(images, weights), features, parts, seed)
    return result


def _distance_of_halves(real: np.ndarray, groups: Sequence[Hashable] | None, seed: int) -> dict:
    """ "swd" between two halves of a set that no group crosses; empty where all show one person."""
    first, _ = split_by_group(_keys(real, groups), (), seed)
    return {} if first.all() else {"swd": _with_mean(sliced_wasserstein(real[first], real[~first], seed))}


def _feature_distances(features: np.ndarray, reference: np.ndarray, parts: Sequence[str], seed: int) -> dict:
    distances = {}
    if "fid" in parts:
        distances["fid"] = frechet_distance(features, reference)
    if "kid" in parts:
        mean, std = kernel_distance(features, reference, seed)
        distances["kid"] = {"mean": mean, "std": std}
    return distances


def _with_mean(distances: Mapping[int, float]) -> dict[str, float]:
    """As JSON keeps it, whose keys are texts."""
    return {str(side): distance for side, distance in distances.items()} | {"mean": wasserstein_mean(distances)}


def _check_parts(parts: Sequence[str]) -> None:
    for part in parts:
        if part not in PARTS:
            raise UserError(f"unknown part of realism {part!r}", f"choose from {', '.join(PARTS)}")


# Classifier two-sample test


def two_sample_test(
    a: np.ndarray,
    b: np.ndarray,
    seed: int = 0,
    precision: str = "auto",
    groups_a: Sequence[Hashable] | None = None,
    groups_b: Sequence[Hashable] | None = None,
) -> TwoSample:
    """Whether a small network can tell the sets apart (Lopez-Paz and Oquab 2017): uint8 [n, h, w, c] and [m, h, w, c].

    It learns from one half of each set and judges the other; then the halves change places, and the two AUCs are
    averaged. The interval is a percentile bootstrap over the groups of a half, averaged over the halves as it is: each
    judges with what the other taught, so they err together, and two are no more certain than one. Where every pair
    is ordered rightly it has no width.

    Args:
        groups_a, groups_b: one key a picture, of what makes pictures near-duplicates: a person, a clip. A key is never
            in both halves, also where both sets have it: a network would recognise a face that it has
            learnt from. None = every picture by itself, equal ones together.

    Raises:
        UserError: different shapes, or too few pictures or groups.
    """
    check_same_shape(a, b)
    groups = []
    for images, keys, name in ((a, groups_a, "first"), (b, groups_b, "second")):
        check_enough(images, MIN_IMAGES["auc"], f"the {name} set, for the two-sample test")
        groups.append(_keys(images, keys))
        check_groups(groups[-1], f"the {name} set, for the two-sample test")
    first_a, first_b = split_by_group(*groups, seed)
    backend.use_device()
    dtype = backend.resolve_precision(precision)
    estimates, intervals = [], []
    for fold, (half_a, half_b) in enumerate(((first_a, first_b), (~first_a, ~first_b))):
        score = _train_classifier(a[half_a], b[half_b], seed + fold, dtype)
        scores_a, scores_b = score(a[~half_a]), score(b[~half_b])
        wins = (scores_a[:, None] > scores_b) + (scores_a[:, None] == scores_b) / 2
        estimates.append(wins.mean())
        rng = generator(seed, fold, "bootstrap")
        weights_a, weights_b = (
            _bootstrap_weights([key for key, out in zip(keys, ~half, strict=True) if out], rng)
            for keys, half in zip(groups, (half_a, half_b), strict=True)
        )
        draws = ((weights_a @ wins) * weights_b).sum(axis=1) / weights_a.sum(axis=1) / weights_b.sum(axis=1)
        intervals.append(np.percentile(draws, [2.5, 97.5]))
    low, high = np.mean(intervals, axis=0)
    return TwoSample(float(np.mean(estimates)), float(low), float(high), len(a) + len(b))


def check_groups(groups: Sequence[Hashable], what: str) -> None:
    """Raises a UserError where there are too few different groups to make halves of them."""
    count = len(set(groups))
    if count < MIN_GROUPS:
        raise UserError(
            f"too few different people, clips or pictures in {what}: {count}, at least {MIN_GROUPS} are needed",
            "add pictures of others, or leave this part out",
        )


def split_by_group(
    groups_a: Sequence[Hashable], groups_b: Sequence[Hashable], seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Halves of two sets that no group crosses: bool [n] and [m], True = first half; as even as the groups allow."""
    members: dict[Hashable, np.ndarray] = {}  # key -> its share of a and of b
    for which, groups in enumerate((groups_a, groups_b)):
        for key in groups:
            members.setdefault(key, np.zeros(2))[which] += 1 / len(groups)
    keys = list(members)
    shuffled = [keys[i] for i in generator(seed, 0, "halves").permutation(len(keys))]
    sizes, first = np.zeros((2, 2)), {}  # half, set
    for key in sorted(shuffled, key=lambda key: -members[key].sum()):  # the small ones last, to even out
        half = int(np.argmin(sizes @ members[key]))  # the one that has fewer of the sets that this group is in
        sizes[half] += members[key]
        first[key] = half == 0
    return tuple(np.array([first[key] for key in groups], bool) for groups in (groups_a, groups_b))


def _keys(images: np.ndarray, groups: Sequence[Hashable] | None) -> list[Hashable]:
    """The groups, or else a key a picture, equal where the pictures are."""
    if groups is not None:
        return list(groups)
    return [hashlib.sha256(image.tobytes()).digest() for image in images]


def _bootstrap_weights(groups: Sequence[Hashable], rng: np.random.Generator) -> np.ndarray:
    """[BOOTSTRAPS, n]: how often each picture was drawn, when whole groups are drawn with replacement."""
    places = {key: place for place, key in enumerate(dict.fromkeys(groups))}
    counts = rng.multinomial(len(places), np.full(len(places), 1 / len(places)), size=BOOTSTRAPS)
    return counts[:, [places[key] for key in groups]]


def _train_classifier(a: np.ndarray, b: np.ndarray, seed: int, dtype: str) -> Callable[[np.ndarray], np.ndarray]:
    """A trained score(pictures uint8 [n, h, w, c]) -> float32 [n], higher where they look like those of `a`."""
    network = _build_classifier(a.shape[-1], seed, dtype)
    schedule = keras.optimizers.schedules.CosineDecay(CLASSIFIER_RATE, CLASSIFIER_STEPS)
    optimizer = keras.optimizers.AdamW(schedule, weight_decay=1e-2)

    def batch(step: int) -> tuple:
        rng = generator(seed, step, "two-sample batch")
        return tuple(to_signed(_draw_batch(images, CLASSIFIER_BATCH // 2, rng)) for images in (a, b))

    def loss(pictures_a, pictures_b):
        margins_a, margins_b = ops.split(network(ops.concatenate([pictures_a, pictures_b]), training=True), 2)
        return ops.mean(ops.softplus(-margins_a)) + ops.mean(ops.softplus(margins_b))

    fit(network, loss, batch, CLASSIFIER_STEPS, optimizer)
    judge = backend.compile_inference(lambda pictures: network(pictures, training=False))
    return lambda images: in_batches(lambda part: judge(to_signed(part))[:, 0], images, JUDGED_AT_ONCE)


def _build_classifier(channels: int, seed: int, dtype: str) -> keras.Model:
    """Four stride-2 convolutions and a mean over places: it judges texture and colour, not where a face is."""
    picture = x = keras.Input((None, None, channels))
    for layer, filters in enumerate((16, 32, 64, 64)):
        initializer = keras.initializers.HeNormal(seed=seed * 10 + layer)
        x = keras.layers.Conv2D(
            filters, 3, 2, padding="same", activation="relu", kernel_initializer=initializer, dtype=dtype
        )(x)
    x = keras.layers.GlobalAveragePooling2D(dtype="float32")(x)
    x = keras.layers.Dropout(0.3, seed=seed, dtype="float32")(x)
    initializer = keras.initializers.GlorotUniform(seed=seed * 10 + 9)
    return keras.Model(picture, keras.layers.Dense(1, kernel_initializer=initializer, dtype="float32")(x))


def _draw_batch(images: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """n random pictures, half of them mirrored, all shifted a little with the edge repeated."""
    height, width = images.shape[1:3]
    chosen = rng.integers(len(images), size=n)
    down, right = (rng.integers(-int(side * MAX_SHIFT), int(side * MAX_SHIFT) + 1, n) for side in (height, width))
    rows = np.clip(np.arange(height) + down[:, None], 0, height - 1)
    columns = np.clip(np.arange(width) + right[:, None], 0, width - 1)
    columns = np.where(rng.random((n, 1)) < 0.5, columns[:, ::-1], columns)
    return images[chosen[:, None, None], rows[:, :, None], columns[:, None, :]]


# Features for FID and KID


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
            f"download {INCEPTION_URL} and name the file with --weights, or leave out FID and KID",
        ) from error

    def features(pictures):
        large = ops.image.resize(pictures, (INCEPTION_SIDE, INCEPTION_SIDE), interpolation="bilinear", antialias=True)
        return network(keras.applications.inception_v3.preprocess_input(large), training=False)

    compiled = backend.compile_inference(features)
    return in_batches(lambda part: compiled(to_channels(part, 3).astype(np.float32)), images, INCEPTION_BATCH)
