"""Training of the small networks that find landmarks or name classes: labelled pictures in, a network or predictor out.

Batches and augmentation, of place, light, colour and sharpness, are functions of (seed, step), so equal sets teach
equal networks. The networks themselves are in models/landmarks.py, changes of light and sharpness in photometric.py.
"""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import keras
import numpy as np
from keras import ops

from simrefine import backend
from simrefine.data.images import to_signed
from simrefine.data.points import mirror_order
from simrefine.errors import UserError
from simrefine.models.landmarks import STRIDE, build_classifier, build_landmark_network, mean_error
from simrefine.randomness import generator
from simrefine.threads import in_batches
from simrefine.training.fit import fit
from simrefine.training.photometric import augment_photometric

STEPS, BATCH_SIZE = 600, 32
LEARNING_RATE = 1e-3  # of Adam, falling to 0 along a cosine
ROTATION_DEGREES, SCALE, SHIFT = 15.0, 0.15, 0.06  # augmentation, each up to; shift in shares of the side

Predictor = Callable[[np.ndarray], np.ndarray]  # uint8 pictures [n, h, w, c] to their labels


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
        points, classes = (None if labels is None else labels[chosen] for labels in (self.points, self.classes))
        return LabelledSet(self.images[chosen], points, classes)


def check_labelled(count: int, fewest: int, what: str) -> None:
    """Raises a UserError that names `what` ("the test set") where it has fewer than `fewest` labelled pictures."""
    if count < fewest:
        raise UserError(f"{what} has {count} labelled pictures, at least {fewest} are needed", "label more of them")


def train_landmarks(
    labelled: LabelledSet,
    seed: int,
    steps: int = STEPS,
    batch_size: int = BATCH_SIZE,
    precision: str = "auto",
    progress: Callable[[float], None] | None = None,
) -> Predictor:
    """The trained network of `fit_landmark_network`, as a function of pictures.

    Returns:
        uint8 [n, h, w, c] to points [n, k, 2] in px.

    Raises:
        UserError: fewer than `batch_size` pictures.
    """
    network = fit_landmark_network(labelled, seed, steps, batch_size, precision, progress)
    shares = _predictor(network, batch_size)
    return lambda images: shares(images) * _padded_size(images)


def fit_landmark_network(
    labelled: LabelledSet,
    seed: int,
    steps: int = STEPS,
    batch_size: int = BATCH_SIZE,
    precision: str = "auto",
    progress: Callable[[float], None] | None = None,
) -> keras.Model:
    """Trains a landmark network by the mean absolute error of its annotated points.

    Args:
        labelled: pictures with points.
        seed: of the first weights, the order of the pictures and the augmentation.
        steps: of `batch_size` pictures.
        precision: see `backend.resolve_precision`.
        progress: called with the share of the steps that is done.

    Returns:
        See `models.landmarks.build_landmark_network`: points are shares of the padded picture's width and height.

    Raises:
        UserError: fewer than `batch_size` pictures.
    """
    check_labelled(len(labelled), batch_size, "training")
    images, points = _padded(labelled.images), labelled.points
    dtype = backend.resolve_precision(precision)
    network = build_landmark_network(points.shape[1], images.shape[-1], dtype, seed)

    def batch(step: int) -> tuple:
        chosen = _draw(len(images), batch_size, seed, step)
        pictures, targets = _augment_all(images[chosen], points[chosen], seed, step)
        known = np.isfinite(targets).all(axis=-1, keepdims=True)
        shares = np.where(known, targets / _padded_size(images), 0)
        return to_signed(pictures), shares.astype(np.float32), known.astype(np.float32)

    def loss(pictures, targets, known):
        return mean_error(network(pictures, training=True), targets, known)

    fit(network, loss, batch, steps, _optimizer(steps), progress)
    return network


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

    Pictures are not mirrored: a class may name a side ("looks left"). Their light and colours are changed, so this says
    little of classes that are colours.

    Raises:
        UserError: fewer than `batch_size` pictures.
    """
    check_labelled(len(labelled), batch_size, "training")
    images, classes = _padded(labelled.images), labelled.classes.astype(np.int32)
    network = build_classifier(count, images.shape[-1], backend.resolve_precision(precision), seed)

    def batch(step: int) -> tuple:
        chosen = _draw(len(images), batch_size, seed, step)
        pictures, _ = _augment_all(images[chosen], None, seed, step)
        return to_signed(pictures), classes[chosen]

    def loss(pictures, targets):
        logits = network(pictures, training=True)
        return ops.mean(keras.losses.sparse_categorical_crossentropy(targets, logits, from_logits=True))

    fit(network, loss, batch, steps, _optimizer(steps), progress)
    logits = _predictor(network, batch_size)
    return lambda images: logits(images).argmax(axis=-1)


def augment(images: np.ndarray, points: np.ndarray | None, rng: np.random.Generator) -> tuple:
    """Turns, scales and shifts each picture at random, with its points; half of them also mirrored where the points
    have a known mirror order. Geometry only; light, colour and sharpness are `photometric.augment_photometric`'s.

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


def augment_people(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """uint8 [n, h, w, c] turned, scaled and shifted, in other light and sharpness; the same shape and type."""
    moved, _ = augment(images, None, rng)
    return augment_photometric(moved, rng)


def _similarity(degrees: float, scale: float, shift: np.ndarray, size: tuple[int, int], mirrored: bool) -> np.ndarray:
    """[2, 3]: mirror, then turn and scale about the centre of the picture, then shift; in continuous coordinates."""
    angle, centre = np.deg2rad(degrees), np.array(size) / 2
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    turn = turn * [-1 if mirrored else 1, 1]
    return np.column_stack([turn, centre + shift - turn @ centre])


def _draw(count: int, batch_size: int, seed: int, step: int) -> np.ndarray:
    """Which of `count` pictures are in the batch of a step: each pass over them is a new permutation."""
    positions = np.arange(step * batch_size, (step + 1) * batch_size)
    passes = {p: generator(seed, p, "usefulness order").permutation(count) for p in set(positions // count)}
    return np.array([passes[p // count][p % count] for p in positions])


def _augment_all(images: np.ndarray, points: np.ndarray | None, seed: int, step: int) -> tuple:
    """`augment` in place, then in light, colour and sharpness, as a camera comes after the scene. Strong on purpose and
    the same for every set: what a refiner is worth is what it adds to the augmentation that everyone has for nothing.
    """
    moved, places = augment(images, points, generator(seed, step, "usefulness augmentation"))
    return augment_photometric(moved, generator(seed, step, "usefulness light")), places


def _optimizer(steps: int) -> keras.optimizers.Optimizer:
    return keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(LEARNING_RATE, steps))


def _predictor(network: keras.Model, batch_size: int) -> Predictor:
    """The network as a function of any number of uint8 pictures."""
    infer = backend.compile_inference(lambda pictures: network(pictures, training=False))
    return lambda images: in_batches(lambda part: infer(to_signed(_padded(part))), images, batch_size)


def _padded(images: np.ndarray) -> np.ndarray:
    """Continued below and to the right up to whole cells of the network; the origin, and so every label, stays."""
    down, right = -images.shape[1] % STRIDE, -images.shape[2] % STRIDE
    return np.pad(images, ((0, 0), (0, down), (0, right), (0, 0)), mode="edge") if down or right else images


def _padded_size(images: np.ndarray) -> np.ndarray:
    """Width and height of the pictures once they are padded, px: what a share of 1 stands for."""
    height, width = (side + -side % STRIDE for side in images.shape[1:3])
    return np.array([width, height], np.float32)
