"""Pictures with a drawn face whose landmarks are known exactly: colour waves that move with the face, and a red dot."""

import zlib

import numpy as np

from simrefine.data.images import Picture, encode_picture

NOSE = 30  # of the 68 points, where the dot is


def points_68(x: float, y: float, scale: float) -> np.ndarray:
    """68 points of a face whose jaw has its middle at (x, y) and is 2 `scale` px wide: float64 [68, 2]."""
    turn = np.linspace(0, np.pi, 17)
    jaw = np.stack([-np.cos(turn), np.sin(turn)], 1)
    brows = np.stack([np.linspace(-0.7, 0.7, 10), np.full(10, -0.5)], 1)
    nose = np.concatenate([np.stack([np.zeros(4), np.linspace(-0.2, 0.2, 4)], 1), np.full((5, 2), (0.0, 0.3))])
    circle = np.exp(1j * np.linspace(0, 2 * np.pi, 7))[:6]
    eyes = [np.stack([side + 0.15 * circle.real, -0.25 + 0.05 * circle.imag], 1) for side in (-0.4, 0.4)]
    mouth = np.stack([np.r_[np.linspace(-0.35, 0.35, 7), np.linspace(0.3, -0.3, 13)], np.full(20, 0.55)], 1)
    return np.concatenate([jaw, brows, nose, *eyes, mouth]) * scale + (x, y)


def points_5(points: np.ndarray) -> np.ndarray:
    """Eye centres, nose tip and mouth corners of 68 points: [5, 2]."""
    return np.stack([points[36:42].mean(0), points[42:48].mean(0), points[NOSE], points[48], points[54]])


def draw(width: int, height: int, points: np.ndarray) -> np.ndarray:
    """The face of 68 points: uint8 [height, width, 3]."""
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    (left, top), scale = points[[0, 16]].mean(0), np.ptp(points[:17, 0]) / 2
    u, v = (x - left) / scale, (y - top) / scale
    dot = np.exp(-((x - points[NOSE, 0]) ** 2 + (y - points[NOSE, 1]) ** 2) / (2 * (0.08 * scale) ** 2))
    return np.stack([250 * dot, 128 + 90 * np.sin(4 * u + v), 128 + 90 * np.cos(3 * v - u)], -1).astype(np.uint8)


def find_dot(pixels: np.ndarray) -> np.ndarray:
    """Where the red dot is, [x, y] in px."""
    weight = np.clip(pixels[..., 0].astype(float) - 60, 0, None)
    y, x = np.mgrid[: pixels.shape[0], : pixels.shape[1]] + 0.5
    return np.array([(x * weight).sum(), (y * weight).sum()]) / weight.sum()


def encode(pixels: np.ndarray, extension: str = ".png") -> bytes:
    return encode_picture(Picture(pixels), extension)


def encode_palette(mask: np.ndarray) -> bytes:
    """The bytes of a palette PNG with the indices uint8 [h, w], whose 256 colours run against them; each two share
    one."""

    def chunk(name: bytes, inside: bytes) -> bytes:
        return len(inside).to_bytes(4) + name + inside + zlib.crc32(name + inside).to_bytes(4)

    gray = encode_picture(Picture(mask[..., None]), ".png")
    colours = (255 - np.arange(256) // 2 * 2).astype(np.uint8).repeat(3).tobytes()
    header = gray[16:25] + b"\x03" + gray[26:29]
    return gray[:8] + chunk(b"IHDR", header) + chunk(b"PLTE", colours) + gray[33:]
