"""Blotches as pictures: every seed is a draw of one distribution, and what is done to them is known."""

import numpy as np


def blurred(images: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian blur of `sigma` px, float64 [n, h, w, c]."""
    radius = int(np.ceil(3 * sigma))
    taps = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    taps /= taps.sum()
    height, width = images.shape[1:3]
    padded = np.pad(images.astype(float), [(0, 0), (radius, radius), (radius, radius), (0, 0)], "edge")
    rows = sum(tap * padded[:, k : k + height] for k, tap in enumerate(taps))
    return sum(tap * rows[:, :, k : k + width] for k, tap in enumerate(taps))


def to_pixels(images: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(images), 0, 255).astype(np.uint8)


def textures(n: int, seed: int, size: int = 32, channels: int = 3) -> np.ndarray:
    """Blotches of two scales: uint8 [n, size, size, channels]; every seed is a draw of the same distribution."""
    noise = np.random.default_rng(seed).standard_normal((2, n, size, size, channels))
    return to_pixels(120 + 150 * blurred(noise[0], 3) + 30 * blurred(noise[1], 0.7))


def tinted(images: np.ndarray, levels: int = 8) -> np.ndarray:
    return to_pixels(images + np.array([levels, 0, 0]))
