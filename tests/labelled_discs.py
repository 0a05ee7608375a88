"""Tiny labelled pictures: discs with two dark eyes and a bright mouth, whose three points are known exactly."""

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
