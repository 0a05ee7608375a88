"""Brows and eyes as a camera sees them: hair by hair a brow is a broad soft shade, where a renderer draws a thin sharp
line, and no lens shows an iris or a lash as sharply as a renderer does.

In go faces with their soft part labels; out come the same with softer brows and eyes. What is blurred stays where it
is, and labels with it.
"""

import math
from typing import NamedTuple

import cv2
import numpy as np

from simrefine.catalogue import PARTS
from simrefine.data.images import LUMA

SIDE = 64  # px of the pictures of which the lengths below are; they grow with the picture
AROUND = 3.0  # standard deviation of the window within which the skin around is found


class Softening(NamedTuple):
    """What is done to a part."""

    blur: float  # standard deviation
    contrast: float  # with the skin around, beside what it was: a blur alone would make it fainter


# So that the bands of luma are as strong as in photographs, see experiments/soft_colour.py.
SOFTENED = {PARTS.index("brows"): Softening(0.8, 2.0), PARTS.index("eyes"): Softening(0.55, 1.0)}
FAR = 4  # standard deviations, beyond which OpenCV's normal window has ended


def features_reach(height: int) -> int:
    """How far a pixel sees in pictures of this height, px."""
    return math.ceil(FAR * AROUND * height / SIDE)


def soften_features(pictures: np.ndarray, soft: np.ndarray, height: int) -> np.ndarray:
    """Pictures, or windows of them, float32 [n, h, w, c] in [-1, 1], with softer features.

    Args:
        soft: their labels, float32 [n, h, w, parts].
        height: of the whole pictures, px.
    """
    return np.stack([_soften(*pair, height / SIDE) for pair in zip(pictures, soft, strict=True)])


def _soften(picture: np.ndarray, soft: np.ndarray, scale: float) -> np.ndarray:
    weights = LUMA if picture.shape[-1] == 3 else np.ones(1, np.float32)
    luma = picture @ weights
    skin = 1 - np.minimum(1, soft[..., list(SOFTENED)].sum(axis=-1))
    if skin.min() == 1:
        return picture

    def blurred(values: np.ndarray, deviation: float) -> np.ndarray:
        return cv2.GaussianBlur(values, (0, 0), scale * deviation)

    around = blurred(luma * skin, AROUND) / np.maximum(blurred(skin, AROUND), 1e-3)
    changed = luma
    for part, (blur, contrast) in SOFTENED.items():
        here = np.minimum(1, 2 * blurred(np.ascontiguousarray(soft[..., part]), blur))
        changed = changed + here * (around + contrast * (blurred(luma, blur) - around) - changed)
    return np.clip(picture + (changed - luma)[..., None], -1, 1)
