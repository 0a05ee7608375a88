"""What labelled faces are worth: the same small network is trained on each set, from the same seeds and in the same
order, and tested on labelled photographs. In go sets of pictures with points or classes; out come errors in percent
and the share of the gap between renders and photographs that a refined set closes.

Two annotation schemes may put the same point in different places, which no refiner can or should change. So errors
are also given after label adaptation (Wood et al. 2021, arXiv 2109.15102).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import cv2
import keras
import numpy as np
from keras import ops

from simrefine import backend
from simrefine.data.images import to_signed
from simrefine.data.points import interocular, mirror_order
from simrefine.errors import UserError
from simrefine.models.landmarks import STRIDE, build_classifier, build_landmark_network
from simrefine.randomness import generator
from simrefine.threads import Prefetcher

STEPS, BATCH_SIZE = 600, 32
LEARNING_RATE = 1e-3  # of Adam, falling to 0 along a cosine
ROTATION_DEGREES, SCALE, SHIFT = 15.0, 0.15, 0.06  # augmentation, each up to; shift in shares of the side

ADAPTATION_FACES = 100  # labelled photographs that label adaptation is fitted on
FEWEST_TEST, FEWEST_ADAPTATION = 10, 10
RIDGES = (*np.logspace(-6, 1, 15), np.inf)  # strengths to choose from; infinity leaves a constant shift a point


@dataclass(frozen=True)
class LabelledSet:
    """Pictures with either points or classes.

    Args:
        images: uint8 [n, h, w, c].
        points: [n, k, 2] (x, y) in pixels, the image spanning 0..w and 0..h; NaN = not annotated.
        classes: int [n], from 0.
    """

    images: np.ndarray
    points: np.ndarray | None = None
    classes: np.ndarray | None = None

    def __post_init__(self):
        if (self.points is None) == (self.classes is None):
            raise ValueError("a labelled set has points or classes, and not both")

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, chosen) -> "LabelledSet":
        """The pictures that a slice or an index array picks, with their labels."""
        points, classes = (None if each is None else each[chosen] for each in (self.points, self.classes))
        return LabelledSet(self.images[chosen], points, classes)


Predictor = Callable[[np.ndarray], np.ndarray]


def measure_usefulness(
    sets: Mapping[str, LabelledSet],
    test: LabelledSet,
    adaptation: LabelledSet | None = None,
    seeds: Sequence[int] = (0, 1, 2),
    steps: int = STEPS,
    precision: str = "auto",
    progress: Callable[[str, float], None] | None = None,
) -> dict:
    """Trains on each set and tests on photographs.

    Args:
        sets: what to train on, by name; the gap is taken between those named "raw" and "real", where both are given.
        test: labelled photographs of people that are in no other set.
        adaptation: labelled photographs that label adaptation is fitted on (see `hold_out`); it is left out where
            this is None, and for class labels.
        seeds: one training each.
        steps: of BATCH_SIZE pictures, a training.
        precision: see `resolve_precision`.
        progress: called with what is being trained and the share of all the work that is done, in [0, 1].

    Returns:
        What JSON can hold. "unit" says what the errors are; `sets[name]` has "images" and, for each of "error" and
        "adapted" (None without adaptation), {"per_seed", "mean", "std", "gap_closed"}; std is None for one seed, and
        gap_closed where there is no gap to close.

    Raises:
        UserError: a set is too small, or the sets differ in the size of their pictures or in what is labelled.
    """
    kind = _check(sets, test, adaptation)
    measure = partial(_landmark_errors, test, adaptation) if kind == "points" else partial(_class_errors, test)
    if kind == "points":
        train = train_landmarks
    else:
        train = partial(train_classifier, count=1 + max(int(each.classes.max()) for each in (*sets.values(), test)))

    errors = {name: {"error": [], "adapted": []} for name in sets}
    done, total = 0, len(seeds) * len(sets)
    for seed in seeds:  # outermost, so that an interrupted reader has seen every set
        for name, each in sets.items():
            tell = progress and (lambda share, d=done, n=name, s=seed: progress(f"{n}, seed {s}", (d + share) / total))
            predictor = train(each, seed=seed, steps=steps, precision=precision, progress=tell)
            for key, value in measure(predictor).items():
                errors[name][key].append(value)
            done += 1

    summary = {
        "labels": kind,
        "unit": _unit(kind, test),
        "seeds": list(seeds),
        "steps": steps,
        "batch_size": BATCH_SIZE,
        "test_images": len(test),
        "adaptation_images": len(adaptation) if adaptation is not None and kind == "points" else 0,
        "sets": {
            name: {"images": len(sets[name])} | {key: _summarise(values) for key, values in each.items()}
            for name, each in errors.items()
        },
    }
    if "raw" in sets and "real" in sets:
        for key in ("error", "adapted"):
            raw, real = (summary["sets"][name][key] for name in ("raw", "real"))
            for each in (each[key] for each in summary["sets"].values() if each[key]):
                each["gap_closed"] = _or_none(gap_closed(raw["mean"], each["mean"], real["mean"]))
    return summary


def hold_out(labelled: LabelledSet, count: int = ADAPTATION_FACES) -> tuple[LabelledSet, LabelledSet]:
    """Splits a set into what to train on and `count` pictures for label adaptation, which a network must not have
    learnt by heart: evenly spread, because neighbours in a folder often show one person.

    Raises:
        UserError: there are no more than `count` pictures.
    """
    if len(labelled) <= count:
        raise _too_few("the set that label adaptation is taken from", len(labelled), count + 1)
    held_out = np.arange(count) * len(labelled) // count
    return labelled[np.setdiff1d(np.arange(len(labelled)), held_out)], labelled[held_out]


def gap_closed(raw: float, refined: float, real: float) -> float:
    """(raw - refined) / (raw - real) of three errors: 0 = no better than renders, 1 = as good as photographs.

    NaN where photographs are no better than renders: there is no gap.
    """
    return (raw - refined) / (raw - real) if raw > real else float("nan")


def nme(predicted: np.ndarray, true: np.ndarray, side: float | None = None) -> np.ndarray:
    """Normalised mean error of each face, percent: mean distance of its annotated points / inter-ocular distance.

    Args:
        predicted: [n, k, 2] px.
        true: [n, k, 2] px; NaN = not annotated. A face without any point, or without its eyes, has an NME of NaN.
        side: px, used in place of the inter-ocular distance where the scheme has no eyes.

    Returns:
        [n].
    """
    known = np.isfinite(true).all(axis=-1)  # [n, k]
    distances = np.where(known, np.linalg.norm(predicted - true, axis=-1), 0.0)
    with np.errstate(invalid="ignore"):  # 0 / 0 where no point is annotated
        means = distances.sum(axis=1) / known.sum(axis=1)
    scale = interocular(true)
    if scale is None and side is None:
        raise ValueError(f"{true.shape[1]} points have no known eyes: give the side of the picture")
    return 100.0 * means / (side if scale is None else scale)


def train_landmarks(
    labelled: LabelledSet,
    seed: int,
    steps: int = STEPS,
    batch_size: int = BATCH_SIZE,
    precision: str = "auto",
    progress: Callable[[float], None] | None = None,
) -> Predictor:
    """Trains a landmark network by the mean absolute error of its annotated points.

    Returns:
        uint8 [n, h, w, c] to points [n, k, 2] in px.

    Raises:
        UserError: fewer than `batch_size` pictures.
    """
    images, points = _padded(labelled.images), labelled.points
    height, width, channels = images.shape[1:]
    size = np.array([width, height], np.float32)
    dtype = backend.resolve_precision(precision)
    network = build_landmark_network(points.shape[1], channels, dtype, seed)

    def make_batch(chosen: np.ndarray, rng: np.random.Generator) -> tuple:
        pictures, targets = augment(images[chosen], points[chosen], rng)
        known = np.isfinite(targets).all(axis=-1, keepdims=True)
        return to_signed(pictures), np.where(known, targets / size, 0).astype(np.float32), known.astype(np.float32)

    def loss(pictures, targets, known):
        distances = ops.abs(network(pictures, training=True) - targets) * known
        return ops.sum(distances) / ops.maximum(ops.sum(known), 1.0)

    _train(network, loss, make_batch, len(images), seed, steps, batch_size, progress)
    predict = _in_batches(network, batch_size)
    return lambda pictures: predict(pictures) * size


def train_classifier(
    labelled: LabelledSet,
    count: int,
    seed: int,
    steps: int = STEPS,
    batch_size: int = BATCH_SIZE,
    precision: str = "auto",
    progress: Callable[[float], None] | None = None,
) -> Predictor:
    """The same for `count` classes, by their cross-entropy: uint8 [n, h, w, c] to classes [n].

    Pictures are not mirrored: a class may name a side ("looks left").

    Raises:
        UserError: fewer than `batch_size` pictures.
    """
    images, classes = _padded(labelled.images), labelled.classes.astype(np.int32)
    network = build_classifier(count, images.shape[-1], backend.resolve_precision(precision), seed)

    def make_batch(chosen: np.ndarray, rng: np.random.Generator) -> tuple:
        pictures, _ = augment(images[chosen], None, rng)
        return to_signed(pictures), classes[chosen]

    def loss(pictures, targets):
        logits = network(pictures, training=True)
        return ops.mean(keras.losses.sparse_categorical_crossentropy(targets, logits, from_logits=True))

    _train(network, loss, make_batch, len(images), seed, steps, batch_size, progress)
    predict = _in_batches(network, batch_size)
    return lambda pictures: predict(pictures).argmax(axis=-1)


def augment(images: np.ndarray, points: np.ndarray | None, rng: np.random.Generator) -> tuple:
    """Turns, scales and shifts each picture at random, with its points; half of them also mirrored where the points
    have a known mirror order. Geometry only: a change of light or sharpness is what sets are compared on.

    Args:
        images: uint8 [n, h, w, c].
        points: [n, k, 2] px, or None.
        rng: five numbers are drawn a picture, whatever its labels are.

    Returns:
        Both, changed.
    """
    height, width = images.shape[1:3]
    order = None if points is None else mirror_order(points.shape[1])
    draws = rng.uniform(-1.0, 1.0, (len(images), 5))
    changed, moved = [], []
    for index, (image, (turn, grow, right, down, flip)) in enumerate(zip(images, draws, strict=True)):
        mirrored = flip < 0 and order is not None
        shift = np.array([right, down]) * SHIFT * (width, height)
        matrix = _similarity(turn * ROTATION_DEGREES, (1 + SCALE) ** grow, shift, (width, height), mirrored)
        in_pixels = matrix.copy()  # OpenCV counts from the centre of the first pixel
        in_pixels[:, 2] += matrix[:, :2].sum(axis=1) / 2 - 0.5
        warped = cv2.warpAffine(image, in_pixels, (width, height), borderMode=cv2.BORDER_REPLICATE)
        changed.append(warped.reshape(image.shape))
        if points is not None:
            places = points[index] @ matrix[:, :2].T + matrix[:, 2]
            moved.append(places[order] if mirrored else places)
    return np.stack(changed), None if points is None else np.stack(moved)


def fit_adaptation(predicted: np.ndarray, true: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Learns where one scheme puts its points, given those of another (label adaptation; Wood et al. 2021).

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
    if len(predicted) < FEWEST_ADAPTATION:
        raise _too_few("label adaptation", len(predicted), FEWEST_ADAPTATION)
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


def _train(network, loss, make_batch, count: int, seed: int, steps: int, batch_size: int, progress) -> None:
    """Moves the weights of `network`: the order of pictures and the augmentation are functions of (seed, step)."""
    if count < batch_size:
        raise _too_few("training", count, batch_size)
    variables = network.trainable_variables
    optimizer = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(LEARNING_RATE, steps))
    optimizer.build(variables)
    step = backend.compile_step(
        lambda *batch: backend.minimise(lambda: (loss(*batch), {}), variables, optimizer),
        [*network.variables, *optimizer.variables],
    )

    def batch(index: int) -> tuple:
        positions = np.arange(index * batch_size, (index + 1) * batch_size)
        passes = {p: generator(seed, p, "usefulness order").permutation(count) for p in set(positions // count)}
        chosen = np.array([passes[p // count][p % count] for p in positions])
        return make_batch(chosen, generator(seed, index, "usefulness augmentation"))

    for index, arrays in enumerate(Prefetcher(batch, range(steps))):
        step(*arrays)
        if progress:
            progress((index + 1) / steps)


def _in_batches(network: keras.Model, batch_size: int) -> Predictor:
    """The network as a function of any number of uint8 pictures."""
    infer = backend.compile_inference(lambda pictures: network(pictures, training=False))

    def predict(images: np.ndarray) -> np.ndarray:
        starts = range(0, len(images), batch_size)
        return np.concatenate([infer(to_signed(_padded(images[i : i + batch_size]))) for i in starts])

    return predict


def _padded(images: np.ndarray) -> np.ndarray:
    """Continued below and to the right up to whole cells of the network; the origin, and so every label, stays."""
    down, right = -images.shape[1] % STRIDE, -images.shape[2] % STRIDE
    return np.pad(images, ((0, 0), (0, down), (0, right), (0, 0)), mode="edge") if down or right else images


def _similarity(degrees: float, scale: float, shift: np.ndarray, size: tuple[int, int], mirrored: bool) -> np.ndarray:
    """[2, 3]: mirror, then turn and scale about the centre of the picture, then shift; in continuous coordinates."""
    angle, centre = np.deg2rad(degrees), np.array(size) / 2
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    turn = turn * [-1 if mirrored else 1, 1]
    return np.column_stack([turn, centre + shift - turn @ centre])


def _normalise(points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Faces [n, k, 2] about their centres [n, 1, 2], in units of their sizes [n, 1, 1] (root mean square distance)."""
    centres = points.mean(axis=1, keepdims=True)
    sizes = np.sqrt(((points - centres) ** 2).sum(axis=-1).mean(axis=1))[:, None, None]
    return (points - centres) / sizes, centres, sizes


def _flat(points: np.ndarray) -> np.ndarray:
    return points.reshape(len(points), -1)


def _landmark_errors(test: LabelledSet, adaptation: LabelledSet | None, predictor: Predictor) -> dict[str, float]:
    def mean_nme(points: np.ndarray) -> float:
        scores = nme(points, test.points, side)
        return float(scores[_measurable(test)].mean())

    side, predicted = test.images.shape[2], predictor(test.images)
    errors = {"error": mean_nme(predicted)}
    if adaptation is not None:
        adapt = fit_adaptation(predictor(adaptation.images), adaptation.points)
        errors["adapted"] = mean_nme(adapt(predicted))
    return errors


def _measurable(test: LabelledSet) -> np.ndarray:
    """Which faces have enough annotated to be given an NME: bool [n]."""
    return np.isfinite(nme(test.points, test.points, side=1.0))


def _class_errors(test: LabelledSet, predictor: Predictor) -> dict[str, float]:
    return {"error": float(100.0 * (predictor(test.images) != test.classes).mean())}


def _unit(kind: str, test: LabelledSet) -> str:
    if kind == "classes":
        return "share of pictures classified wrongly, %"
    eyes = interocular(test.points) is not None
    return "NME, % of the inter-ocular distance" if eyes else "NME, % of the picture's width"


def _summarise(per_seed: list[float]) -> dict | None:
    if not per_seed:
        return None
    std = float(np.std(per_seed, ddof=1)) if len(per_seed) > 1 else None
    return {"per_seed": per_seed, "mean": float(np.mean(per_seed)), "std": std, "gap_closed": None}


def _or_none(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _check(sets: Mapping[str, LabelledSet], test: LabelledSet, adaptation: LabelledSet | None) -> str:
    """ "points" or "classes", whichever `test` has.

    Raises:
        UserError: see `measure_usefulness`.
    """
    kind = "points" if test.points is not None else "classes"
    everything = {**sets, "test": test}
    if adaptation is not None and kind == "points":
        everything["adaptation"] = adaptation
    fewest = {"test": FEWEST_TEST, "adaptation": FEWEST_ADAPTATION}
    for name, each in everything.items():
        labels, wanted = getattr(each, kind), getattr(test, kind)
        if len(each) < fewest.get(name, BATCH_SIZE):
            raise _too_few(f"the {name} set", len(each), fewest.get(name, BATCH_SIZE))
        if labels is None or labels.shape[1:] != wanted.shape[1:]:
            raise UserError(
                f"the {name} set and the test set are labelled differently: "
                f"{_describe(each)} against {_describe(test)}",
                "give both the same landmarks, or both classes",
            )
        if each.images.shape[1:] != test.images.shape[1:]:
            raise UserError(
                f"the pictures of the {name} set are {list(each.images.shape[1:])}, those of the test set "
                f"{list(test.images.shape[1:])} (height, width, channels)",
                "bring them to one size",
            )
    if kind == "points" and not _measurable(test).any():
        raise UserError("no face of the test set has its eyes annotated, or no points at all", "check its labels")
    return kind


def _describe(labelled: LabelledSet) -> str:
    return "classes" if labelled.points is None else f"{labelled.points.shape[1]} points"


def _too_few(what: str, count: int, fewest: int) -> UserError:
    return UserError(f"{what} has {count} labelled pictures, at least {fewest} are needed", "label more of them")
