"""Tiny labelled pictures: discs with two dark eyes and a bright mouth, whose three points are known exactly; and how
far one set of pictures lies beside another."""

import numpy as np

from simrefine.training.landmarks import LabelledSet

SIZE = 24  # px; no multiple of the network's stride, so pictures are padded


def draw_faces(n: int, seed: int = 0, channels: int = 3) -> LabelledSet:
    """Discs with two dark eyes and a bright mouth, at points [n, 3, 2]."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:SIZE, :SIZE] + 0.5
    images, points = [], []
    for _ in range(n):
        centre, scale = rng.uniform(0.4, 0.6, 2) * SIZE, rng.uniform(0.8, 1.2)
        places = centre + scale * np.array([[-4.0, -3], [4, -3], [0, 4]])
        image = np.broadcast_to(rng.uniform(60, 110, channels), (SIZE, SIZE, channels)).copy()
        image[np.hypot(x - centre[0], y - centre[1]) < 8 * scale] = rng.uniform(140, 200, channels)
        for place, level in zip(places, (10, 10, 250), strict=True):
            image[np.hypot(x - place[0], y - place[1]) < 2] = level
        images.append(image.astype(np.uint8))
        points.append(places)
    return LabelledSet(np.stack(images), np.stack(points))


def shift_along(axis: int, before: np.ndarray, after: np.ndarray) -> float:
    """Where the correlation of two sets peaks, px: the vertex of the parabola through the best of five shifts."""
    shifts = range(-2, 3)
    pairs = [(np.roll(before, shift, axis)[:, 3:-3, 3:-3], after[:, 3:-3, 3:-3]) for shift in shifts]
    fits = [np.corrcoef(one.ravel(), other.ravel())[0, 1] for one, other in pairs]
    best = int(np.clip(np.argmax(fits), 1, 3))
    left, middle, right = fits[best - 1 : best + 2]
    return shifts[best] + 0.5 * (left - right) / (left - 2 * middle + right)
