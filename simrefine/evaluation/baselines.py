"""What a user could do to the renders without simrefine: match the photographs' colours, or add a camera's faults.

Pictures are uint8 [n, h, w, c] in and out, changed in place of a refined set: no pixel moves, so labels stay valid.
"""

import cv2
import numpy as np

from simrefine.data.images import round_to_uint8, to_signed, to_uint8
from simrefine.data.styles import read_all_styles, transfer_styles
from simrefine.randomness import generator

BLUR_SIDES = 0.016  # largest standard deviation of the blur, in shares of the picture's side: 1 px of 64
NOISE_LEVELS = 8.0  # largest standard deviation of the noise, gray levels
JPEG_QUALITY = (40, 95)


def match_colours(images: np.ndarray, reference: np.ndarray, seed: int) -> np.ndarray:
    """Gives every picture the mean and covariance of colour of a reference picture's middle, drawn at random for each.

    Args:
        images: uint8 [n, h, w, c].
        reference: uint8 [m, h, w, c], photographs; of any size and number.
    """
    drawn = generator(seed, 0, "match colours").integers(len(reference), size=len(images))
    styles = read_all_styles(reference)
    return np.concatenate(
        [to_uint8(transfer_styles(to_signed(i[None]), styles[k : k + 1])) for i, k in zip(images, drawn, strict=True)]
    )


def augment_photometric(images: np.ndarray, seed: int) -> np.ndarray:
    """Blurs each picture, adds Gaussian noise and saves it as a JPEG, each to a strength drawn at random."""
    return np.stack([_degrade(image, generator(seed, i, "photometric")) for i, image in enumerate(images)])


def match_and_degrade(images: np.ndarray, reference: np.ndarray, seed: int) -> np.ndarray:
    """Both: the best that needs no training."""
    return augment_photometric(match_colours(images, reference, seed), seed)


def _degrade(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    height, width, channels = image.shape
    blur, noise = rng.uniform(0, BLUR_SIDES * max(height, width)), rng.uniform(0, NOISE_LEVELS)
    quality = int(rng.integers(*JPEG_QUALITY, endpoint=True))
    changed = cv2.GaussianBlur(image, (0, 0), max(blur, 1e-3)).reshape(image.shape)
    changed = round_to_uint8(changed + rng.normal(0, noise, image.shape))
    # OpenCV takes the first channel for blue; swapped, so that the JPEG weighs red and blue as in a photograph.
    _, content = cv2.imencode(".jpg", changed[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    decoded = cv2.imdecode(content, cv2.IMREAD_GRAYSCALE if channels == 1 else cv2.IMREAD_COLOR)
    return decoded.reshape(image.shape)[..., ::-1].copy()
