"""What cameras do to a picture and practitioners do to their training sets: changes of light, colour and sharpness, at
random. uint8 pictures [n, h, w, c] and a generator in, the same pictures changed out; no pixel moves, so labels stay
valid.

Strong enough that a network cannot go by a tint, an exposure or a grain: what is left between two sets is what no such
augmentation gives.
"""

import cv2
import numpy as np

from simrefine.data.images import Picture, decode_picture, encode_picture, round_to_uint8

GAIN, GAMMA, CONTRAST = 1.3, 1.6, 1.5  # the largest factors of a channel, exponent and factor; 1 / of them the least
BRIGHTNESS = 0.15  # at most, in shares of white
BLUR_SIDES = 0.016  # largest standard deviation of the blur, in shares of the picture's side: 1 px of 64
NOISE_LEVELS = 10.0  # largest standard deviation of the noise, gray levels
JPEG_QUALITY = (30, 95)
BLURRED, NOISY, COMPRESSED = 0.5, 0.5, 0.25  # shares of the pictures
_DRAWS = 6 + 6  # numbers a picture: see `relight` and `roughen`


def augment_photometric(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Each picture in other light and colours, and some of them blurred, noisy or saved as a JPEG.

    Args:
        images: uint8 [n, h, w, 1 or 3].
        rng: what is drawn decides the result; equal generators change equal pictures equally.

    Returns:
        The same shape and type.
    """
    draws = rng.uniform(size=(len(images), _DRAWS))
    changed = [roughen(relight(i, d[:6]), d[6:], rng) for i, d in zip(images, draws, strict=True)]
    return np.stack(changed) if changed else images.copy()


def relight(image: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """uint8 [h, w, c] in another exposure: gamma, contrast about mid-gray, brightness, and a gain for each channel.

    Args:
        draws: [6] in [0, 1]; 0.5 everywhere leaves the picture as it is. The gains are the last three, of which gray
            takes the first.
    """
    gamma, contrast = (largest ** (2 * draw - 1) for largest, draw in zip((GAMMA, CONTRAST), draws[:2], strict=True))
    gains = GAIN ** (2 * draws[3 : 3 + image.shape[-1]] - 1)
    levels = (np.arange(256) / 255) ** gamma
    levels = (levels - 0.5) * contrast + 0.5 + BRIGHTNESS * (2 * draws[2] - 1)
    table = round_to_uint8(255 * levels[:, None] * gains)  # [256, c]: one look-up does it all
    return np.stack([table[image[..., channel], channel] for channel in range(image.shape[-1])], axis=-1)


def roughen(image: np.ndarray, draws: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """uint8 [h, w, c] blurred, noisy and saved as a JPEG, or some of it.

    Args:
        draws: [6] in [0, 1]: whether to blur, to add noise and to compress, see BLURRED; then how strongly.
        rng: of the noise.
    """
    whether, strength = draws[:3] < (BLURRED, NOISY, COMPRESSED), draws[3:]
    if whether[0]:
        sigma = max(strength[0] * BLUR_SIDES * max(image.shape[:2]), 1e-3)
        image = cv2.GaussianBlur(image, (0, 0), sigma).reshape(image.shape)
    if whether[1]:
        noise = rng.standard_normal(image.shape, np.float32)
        image = round_to_uint8(image + np.float32(strength[1] * NOISE_LEVELS) * noise)
    if whether[2]:
        low, high = JPEG_QUALITY
        quality = round(low + strength[2] * (high - low))
        image = decode_picture(encode_picture(Picture(image), ".jpg", quality)).pixels
    return image
