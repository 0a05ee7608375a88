"""How soft the colours of photographs are, and renders whose colours are made as soft.

A camera sees each pixel in one colour of three, and JPEG stores colour at half the size: in a photograph, colour
changes more slowly than brightness does. In a render it changes as sharply, along lips, irises and hairlines. So colour
is blurred and brightness is not touched: edges stay where they are, and labels with them.
"""

import cv2
import numpy as np

from simrefine.data.images import LUMA

FINE, MIDDLE = 1.0, (1.6, 2.6)  # standard deviations of the bands that are compared, px at BANDS_SIDE and below
BANDS_SIDE = 64  # px, from which on they grow with the picture, so that the same of a face is compared
MOST, STEPS = 2.0, 20  # px, the largest blur, also of pictures far larger than those of the training; tried in steps
SOFTEST = 1 / 8  # the same in shares of the side, of the smallest pictures
REACH = 4  # standard deviations, beyond which OpenCV's normal window has ended


def soften(pictures: np.ndarray, softness: float, height: int) -> np.ndarray:
    """Pictures, or windows of them, float32 [n, h, w, c] in [-1, 1], with softer colours and the same luma.

    Args:
        pictures: in gray they stay as they are.
        softness: the standard deviation of the blur in shares of the side.
        height: of the whole pictures, px.
    """
    deviation = in_pixels(softness, height)
    if not deviation or pictures.shape[-1] == 1:
        return pictures
    luma = (pictures @ LUMA)[..., None]
    soft = np.stack([cv2.GaussianBlur(colours, (0, 0), deviation) for colours in pictures - luma])
    return np.clip(luma + soft, -1, 1)


def in_pixels(softness: float, height: int) -> float:
    """The standard deviation, px, in pictures of this height."""
    return min(MOST, softness * height)


def fine_share(pictures: np.ndarray) -> float:
    """How much of the colour of pictures, float32 [n, h, w, 3], is fine: the spread of what a blur by FINE takes away
    over that between the two of MIDDLE, in the middle of each, where its face is; the median over the pictures."""
    return float(np.median([_fine_share(picture) for picture in pictures]))


def _fine_share(picture: np.ndarray) -> float:
    height, width = picture.shape[:2]
    colours = picture - (picture @ LUMA)[..., None]
    scale = max(1, height / BANDS_SIDE)
    fine, *middle = (cv2.GaussianBlur(colours, (0, 0), scale * deviation) for deviation in (FINE, *MIDDLE))
    inner = (slice(height // 4, height - height // 4), slice(width // 4, width - width // 4))
    sharp, plain = ((one - other)[inner].std(axis=(0, 1)) for one, other in ((colours, fine), middle))
    return np.linalg.norm(sharp) / max(np.linalg.norm(plain), 1e-6)


def match_softness(renders: np.ndarray, photographs: np.ndarray) -> float:
    """By how much the colours of `renders` must be softened to be as soft as those of `photographs`, both float32 [n,
    h, w, c] in [-1, 1]: a standard deviation in shares of the side; 0 where they are soft enough, and in gray."""
    if renders.shape[-1] == 1:
        return 0.0
    wanted, height = fine_share(photographs), renders.shape[1]
    tried = np.linspace(0, MOST, STEPS + 1) / height
    enough = (softness for softness in tried if fine_share(soften(renders, softness, height)) <= wanted)
    return float(np.float32(next(enough, tried[-1])))  # as it is published
