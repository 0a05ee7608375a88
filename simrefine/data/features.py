"""Brows, eyes and mouths as a camera sees them: hair by hair a brow is a broad soft shade where a renderer draws a thin
sharp line, and eyes and teeth are darker, plainer and of warmer colour, as lashes and lips cast their shadows on them
and light from the skin falls there.

In go faces with their soft part labels; out come the same with softer features. What is changed stays where it is, and
labels with it.
"""

import math
from typing import NamedTuple

import cv2
import numpy as np

from simrefine.catalogue import PARTS
from simrefine.data.chroma import REACH
from simrefine.data.images import LUMA

SIDE = 64  # px of the pictures of which the lengths below are; they grow with the picture
AROUND = 3.0  # standard deviation of the window within which the skin around is found


class Look(NamedTuple):
    """What is done to a part."""

    blur: float  # standard deviation, of luma
    depth: float  # of the part's mean beside the skin around it, in what it was
    contrast: float  # within the part, in what it was
    warmth: float  # share of the colour of the skin around, in [0, 1]


# So that they are as in photographs, see experiments/features.py.
LOOKS = {
    PARTS.index("brows"): Look(0.8, 2.0, 2.0, 0.3),
    PARTS.index("eyes"): Look(0.55, 1.25, 0.75, 0.65),
    PARTS.index("mouth"): Look(0.5, 1.55, 1.2, 0.6),
}


def features_reach(height: int) -> int:
    """How far a pixel sees in pictures of this height, px."""
    return math.ceil(REACH * AROUND * height / SIDE)


def soften_features(pictures: np.ndarray, soft: np.ndarray, height: int) -> np.ndarray:
    """Pictures, or windows of them, float32 [n, h, w, c] in [-1, 1], with softer features.

    Args:
        soft: their labels, float32 [n, h, w, parts].
        height: of the whole pictures, px.
    """
    return np.stack([_soften(*pair, height / SIDE) for pair in zip(pictures, soft, strict=True)])


def _soften(picture: np.ndarray, soft: np.ndarray, scale: float) -> np.ndarray:
    skin = 1 - np.minimum(1, soft[..., list(LOOKS)].sum(axis=-1, keepdims=True))
    if skin.min() == 1:
        return picture

    def blurred(values: np.ndarray, deviation: float) -> np.ndarray:
        return cv2.GaussianBlur(np.ascontiguousarray(values), (0, 0), scale * deviation).reshape(values.shape)

    def mean(weights: np.ndarray) -> np.ndarray:
        return blurred(picture * weights, AROUND) / np.maximum(blurred(weights, AROUND), 1e-3)

    to_luma = LUMA if picture.shape[-1] == 3 else np.ones(1, np.float32)
    luma, around = (picture @ to_luma)[..., None], mean(skin)
    level = (around @ to_luma)[..., None]
    changed = picture
    for part, look in LOOKS.items():
        share = soft[..., [part]]
        if not share.any():
            continue
        here, own = np.minimum(1, 2 * blurred(share, look.blur)), (mean(share) @ to_luma)[..., None]
        shade = level + look.depth * (own - level) + look.contrast * (blurred(luma, look.blur) - own)
        colour = (1 - look.warmth) * (picture - luma) + look.warmth * (around - level)
        changed = changed + here * (shade + colour - changed)
    return np.clip(changed, -1, 1)
