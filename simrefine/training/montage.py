"""Pictures of pictures for TensorBoard and the README: uint8 faces in, one uint8 sheet out."""

from collections.abc import Mapping

import numpy as np

from simrefine.catalogue import PARTS

PART_COLOURS = {
    "background": (0, 0, 0),
    "skin": (230, 180, 150),
    "brows": (150, 80, 30),
    "eyes": (0, 0, 255),
    "lips": (255, 0, 0),
    "mouth": (255, 255, 0),
    "hair": (90, 50, 10),
    "clothes": (0, 160, 0),
}
DIFFERENCE_GAIN = 5  # a small change is shown this many times as strong, around mid-gray


def comparison(columns: Mapping[str, np.ndarray]) -> tuple[str, np.ndarray]:
    """Faces side by side, one row a face: their headings, and the sheet.

    Args:
        columns: uint8 [n, h, w, c] by heading, "synthetic" and "refined" among them; after the latter comes their
            difference.

    Returns:
        The headings from left to right, and uint8 [n h, columns w, c].
    """
    shown: dict[str, np.ndarray] = {}
    for name, pictures in columns.items():
        shown[name] = pictures
        if name == "refined":
            shown[f"{DIFFERENCE_GAIN}x difference"] = difference(columns["synthetic"], pictures)
    return ", ".join(shown), sheet(np.stack(list(shown.values()), axis=1))


def difference(synthetic: np.ndarray, refined: np.ndarray) -> np.ndarray:
    """The change, DIFFERENCE_GAIN times as strong around mid-gray where it is small, and less so the larger it is, so
    that it never runs into black or white: uint8 of one shape to uint8 of the same."""
    change = DIFFERENCE_GAIN * (refined.astype(np.float32) - synthetic)
    return (127.5 + 127.5 * np.tanh(change / 127.5)).round().astype(np.uint8)


def probability_overlay(refined: np.ndarray, probabilities: list[np.ndarray]) -> np.ndarray:
    """One row a face: the face, then the discriminator's P(refined) laid over it for each patch size.

    Blue = taken for a photograph, red = seen through. Faces uint8 [n, h, w, c], maps float [n, h', w'] in [0, 1].
    """
    faces = np.broadcast_to(refined, (*refined.shape[:3], 3))
    columns = [faces]
    for maps in probabilities:
        heat = _resize_nearest(maps, faces.shape[1:3])[..., None]
        colour = heat * [255, 40, 0] + (1 - heat) * [0, 90, 255]
        gray = faces.mean(axis=-1, keepdims=True)
        columns.append((0.6 * gray + 0.4 * colour).astype(np.uint8))
    return sheet(np.stack(columns, axis=1))


def part_sheet(photographs: np.ndarray, soft: np.ndarray) -> np.ndarray:
    """Photographs, uint8 [n, h, w, c], in a row above the most probable parts of their soft labels, [n, s, s, parts]:
    uint8 [2 h, n w, 3]."""
    shown = np.stack([_resize_nearest(maps.argmax(axis=-1)[None], photographs.shape[1:3])[0] for maps in soft])
    colours = np.array([PART_COLOURS[part] for part in PARTS], np.uint8)[shown]
    return sheet(np.stack([np.broadcast_to(photographs, colours.shape), colours]))


def sheet(faces: np.ndarray) -> np.ndarray:
    """Faces [rows, columns, h, w, c] side by side: [rows h, columns w, c]."""
    rows, columns, height, width, channels = faces.shape
    return faces.transpose(0, 2, 1, 3, 4).reshape(rows * height, columns * width, channels)


def _resize_nearest(maps: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    rows = np.arange(shape[0]) * maps.shape[1] // shape[0]
    columns = np.arange(shape[1]) * maps.shape[2] // shape[1]
    return maps[:, rows][:, :, columns]
