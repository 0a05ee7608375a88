"""Pictures of pictures for TensorBoard and the README: uint8 faces in, one uint8 sheet out."""

from collections.abc import Mapping, Sequence

import cv2
import numpy as np

from simrefine.catalogue import PART_COLOURS, PARTS
from simrefine.data.images import resize, to_channels

DIFFERENCE_GAIN = 5  # a small change is shown this many times as strong, around mid-gray
LEAST_SIDE, BAR_WIDTH = 128, 56  # px of a face beside its colour bar, and of that
# What is less than this is not blown up to a colour: gray levels, and a probability's distance from 0.5.
LEAST_CHANGE, LEAST_REACH = 1.0, 0.01
CHANGE_COLOURS = np.ascontiguousarray(
    cv2.applyColorMap(np.arange(256, dtype=np.uint8)[:, None], cv2.COLORMAP_INFERNO)[:, 0, ::-1]
)
_TO_RED = np.linspace(-1, 1, 256)[:, None]
_GONE = np.maximum(_TO_RED, 0) * [0, 215, 255] + np.maximum(-_TO_RED, 0) * [255, 165, 0]
JUDGED_COLOURS = (255 - _GONE).astype(np.uint8)  # from blue over white to red


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


def change_overlay(synthetic: np.ndarray, refined: np.ndarray) -> np.ndarray:
    """One row a face: the refined face, and laid over it where it was changed, the mean over the channels, from nothing
    to the most in this very face; the colour bar beside it has the gray levels.

    Faces uint8 [n, h, h, c], h pixels a side, give uint8 [n H, 2 H + BAR_WIDTH, 3] with H = h or enough of it.
    """
    change = np.abs(refined.astype(np.float32) - synthetic).mean(axis=-1)
    rows = []
    for face, levels in zip(_enlarge(refined), change, strict=True):
        most = max(float(levels.max()), LEAST_CHANGE)
        numbers = [f"{most * share:.1f}" for share in (1, 0.5, 0)]
        rows.append([face, _lay_over(face, levels / most, CHANGE_COLOURS, numbers)])
    return np.vstack([np.hstack(row) for row in rows])


def probability_overlay(refined: np.ndarray, probabilities: list[np.ndarray]) -> np.ndarray:
    """One row a face: the face, then the discriminator's P(refined) laid over it for each patch size.

    Blue = taken for a photograph, white = undecided (0.5), red = seen through; the colours reach as far to both sides
    of 0.5 as this very map does, and the colour bar says how far. Faces uint8 [n, h, h, c], maps float [n, h', w'] in
    [0, 1]; for the size of the result see `change_overlay`.
    """
    rows = [[face] for face in _enlarge(refined)]
    for maps in probabilities:
        for row, levels in zip(rows, maps, strict=True):
            reach = max(float(np.abs(levels - 0.5).max()), LEAST_REACH)
            numbers = [f"{0.5 + share * reach:.2f}" for share in (1, 0, -1)]
            row.append(_lay_over(row[0], (levels - 0.5 + reach) / (2 * reach), JUDGED_COLOURS, numbers))
    return np.vstack([np.hstack(row) for row in rows])


def _enlarge(faces: np.ndarray) -> np.ndarray:
    """Faces so many times as large that numbers beside them can be read: uint8 [n, h, h, c] to [n, H, H, 3]."""
    side = faces.shape[1] * -(-LEAST_SIDE // faces.shape[1])
    return np.stack([to_channels(resize(face, side, side), 3) for face in faces])


def _lay_over(face: np.ndarray, shares: np.ndarray, colours: np.ndarray, numbers: Sequence[str]) -> np.ndarray:
    """A face in gray under the `colours`, [256, 3], of shares in [0, 1], [h', w'], and right of it their bar with the
    numbers of its top, middle and bottom: uint8 [h, h, 3] to [h, h + BAR_WIDTH, 3]."""
    side = len(face)
    heat = colours[(255 * _resize_nearest(shares[None], (side, side))[0]).round().astype(int)]
    shown = (0.35 * face.mean(axis=-1, keepdims=True) + 0.65 * heat).astype(np.uint8)
    bar = np.full((side, BAR_WIDTH, 3), 24, np.uint8)
    bar[:, 4:16] = colours[np.linspace(255, 0, side).astype(int)][:, None]
    for number, bottom in zip(numbers, (11, side // 2 + 4, side - 4), strict=True):
        cv2.putText(bar, number, (20, bottom), cv2.FONT_HERSHEY_SIMPLEX, 0.38, (255, 255, 255), 1, cv2.LINE_AA)
    return np.hstack([shown, bar])


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
