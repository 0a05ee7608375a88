"""The parts of a face: masks or label points in, soft part labels out.

A part label is the place of a part in `catalogue.PARTS`, or UNKNOWN where nothing is said. Soft labels are the share of
a pixel that each part covers, [n, h, w, len(PARTS)] in [0, 1].
"""

from collections.abc import Callable, Mapping, Sequence

import cv2
import numpy as np

from simrefine.catalogue import PARTS
from simrefine.data.images import resize
from simrefine.data.windows import Window, resize_into

UNKNOWN = 255
EDGE_SIDE = 256  # px of the shorter side at which edges are read of larger pictures
FOLLOWED = 2 / 64  # how far an edge is looked for around a pixel, in shares of the height
STEADY = 0.002  # variance, of values in [-1, 1], well below which a window of a picture has no edge to follow

# Polygons of the 68 points (see data/points.py), in the order in which they are drawn.
_POLYGONS = (
    ("skin", (*range(17), 26, 25, 24, 19, 18, 17)),
    ("brows", range(17, 22)),
    ("brows", range(22, 27)),
    ("eyes", range(36, 42)),
    ("eyes", range(42, 48)),
    ("lips", range(48, 60)),
    ("mouth", range(60, 68)),
)


# What `parts_of_points` tells apart: "background" stands for hair and clothes too.
OF_POINTS = frozenset(("background", *(part for part, _ in _POLYGONS)))


def parts_of_mask(mask: np.ndarray, classes: Mapping[int, str], size: int) -> np.ndarray:
    """Part labels, uint8 [size, size], of a mask of classes, uint8 [h, w], cropped and resized as its picture is by
    `images.fit_square`. Classes that the table does not name are UNKNOWN."""
    labels = labels_of_mask(mask, classes)
    side = min(mask.shape)
    top, left = ((length - side) // 2 for length in mask.shape)
    square = labels[top : top + side, left : left + side]
    return cv2.resize(square, (size, size), interpolation=cv2.INTER_NEAREST)


def labels_of_mask(mask: np.ndarray, classes: Mapping[int, str]) -> np.ndarray:
    """The same as large as the mask is, uint8 [h, w]."""
    table = np.full(256, UNKNOWN, np.uint8)
    for number, part in classes.items():
        table[number] = PARTS.index(part)
    return table[mask]


def parts_of_points(points: np.ndarray, size: int) -> np.ndarray:
    """Coarse part labels, uint8 [size, size], from 68 label points [68, 2] in px of that picture: skin, brows, eyes,
    lips and mouth, and background for all else, as nothing is known of hair and clothes. UNKNOWN where a point is
    missing."""
    if not np.isfinite(points).all():
        return np.full((size, size), UNKNOWN, np.uint8)
    labels = np.full((size, size), PARTS.index("background"), np.uint8)
    for part, places in _POLYGONS:
        corners = np.round((points[list(places)] - 0.5) * 16).astype(np.int32)  # in sixteenths, from pixel centres
        outline = cv2.convexHull(corners) if part in ("skin", "brows") else corners
        cv2.fillPoly(labels, [outline], PARTS.index(part), shift=4)
    return labels


def soften(labels: np.ndarray, size: int) -> np.ndarray:
    """Part labels, uint8 [n, h, h], as soft labels of size x size px, float32 [n, size, size, parts]: the share of a
    pixel that each part covers; all 0 where they are UNKNOWN."""
    soft = np.empty((len(labels), size, size, len(PARTS)), np.float32)
    for place, picture in enumerate(labels):
        for part in range(len(PARTS)):
            covered = (picture == part).astype(np.float32)
            soft[place, ..., part] = cv2.resize(covered, (size, size), interpolation=cv2.INTER_AREA)
    return soft


def label(
    images: np.ndarray, known: Sequence[np.ndarray | None], parse: Callable[[np.ndarray], np.ndarray]
) -> list[np.ndarray]:
    """Soft labels of faces, uint8 [h', w', parts] with 255 for 1: what is known of each, and where nothing is what a
    parser says, which is asked of no other face.

    Args:
        images: uint8 [n, h, w, c].
        known: of each its part labels, uint8 [h', w'], or None.
        parse: the parser, see `models.parser.parser_of`.
    """
    asked = np.array([labels is None or (labels == UNKNOWN).any() for labels in known])
    parsed = iter(parse(images[asked]) if asked.any() else ())
    return [_fill_in(labels, next(parsed) if open_ else None) for labels, open_ in zip(known, asked, strict=True)]


def _fill_in(labels: np.ndarray | None, parsed: np.ndarray | None) -> np.ndarray:
    if labels is None:
        return parsed
    known = labels[..., None] == np.arange(len(PARTS))
    filled = np.uint8(255) * known
    if parsed is None:
        return filled
    return np.where(known.any(axis=-1, keepdims=True), filled, resize_soft(parsed[None], *labels.shape)[0])


def follow_edges(soft: np.ndarray, pictures: np.ndarray) -> np.ndarray:
    """Soft labels, float32 [n, h, w, parts], whose outlines follow those of their pictures, float32 [n, h, w, c] in
    [-1, 1]. A pixel that is half hair and half skin by its colour then has half of each label, which masks and parsers
    know no better than to a pixel."""
    size = edge_size(*pictures.shape[1:3])
    small = pictures if size == pictures.shape[1:3] else np.stack([resize(picture, *size) for picture in pictures])
    lines = read_edges(resize_soft(soft, *size), small)
    return along_edges(resize_into(lines, *pictures.shape[1:3], Window.whole(*pictures.shape[1:3])), pictures)


def edge_size(height: int, width: int) -> tuple[int, int]:
    """At what size edges are read of pictures of this size, px."""
    shrunk = min(1.0, EDGE_SIDE / min(height, width))
    return max(1, round(height * shrunk)), max(1, round(width * shrunk))


def read_edges(soft: np.ndarray, pictures: np.ndarray) -> np.ndarray:
    """The lines by which labels follow from colours around each pixel: a guided filter (He et al. 2013, "Guided image
    filtering", equations 14 and 15; at a smaller size than the pictures', He and Sun 2015, arXiv 1505.00996).

    Args:
        soft: labels, float32 [n, h, w, parts].
        pictures: float32 [n, h, w, c] in [-1, 1].

    Returns:
        float32 [n, h, w, (c + 1) * parts]: c slopes and an offset for each part, see `along_edges`.
    """
    return np.stack([_read_edges(*pair) for pair in zip(soft, pictures, strict=True)])


def along_edges(lines: np.ndarray, pictures: np.ndarray) -> np.ndarray:
    """The labels that follow from the colours of pictures, or of windows of them, float32 [n, h, w, c], by the lines
    there: float32 [n, h, w, parts]."""
    channels = pictures.shape[-1]
    lines = lines.reshape(*pictures.shape[:3], channels + 1, -1)
    followed = lines[..., channels, :].copy()
    for channel in range(channels):  # products of many small matrices are slow in numpy
        followed += pictures[..., channel, None] * lines[..., channel, :]
    np.clip(followed, 0, 1, out=followed)
    return followed / np.maximum(followed.sum(axis=-1, keepdims=True), 1e-6)


def _read_edges(soft: np.ndarray, picture: np.ndarray) -> np.ndarray:
    side = 2 * max(1, round(FOLLOWED * len(picture))) + 1

    def mean(values: np.ndarray) -> np.ndarray:
        return cv2.blur(values, (side, side), borderType=cv2.BORDER_REFLECT_101).reshape(values.shape)

    # Plane by plane, as products of many small matrices are slow in numpy.
    channels = range(picture.shape[-1])
    colours = [np.ascontiguousarray(picture[..., i]) for i in channels]
    means, shares = [mean(colour) for colour in colours], mean(soft)
    spread = np.stack([[mean(colours[i] * colours[j]) - means[i] * means[j] for j in channels] for i in channels])
    spread[channels, channels] += STEADY
    shared = [mean(colours[i][..., None] * soft) - means[i][..., None] * shares for i in channels]
    inverse = _inverse(spread)[..., None]
    slopes = [sum(inverse[i, j] * shared[j] for j in channels) for i in channels]
    offsets = shares - sum(means[i][..., None] * slopes[i] for i in channels)
    return mean(np.concatenate([*slopes, offsets], axis=-1))


def _inverse(matrices: np.ndarray) -> np.ndarray:
    """Of symmetric [c, c, h, w], c 1 or 3, by cofactors."""
    if len(matrices) == 1:
        return 1 / matrices
    cofactors = np.stack([_cross(matrices[(row + 1) % 3], matrices[(row + 2) % 3]) for row in range(3)])
    return cofactors / (matrices[0] * cofactors[0]).sum(axis=0)


def _cross(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Vector products, [3, h, w]."""
    return np.stack([one[(k + 1) % 3] * other[(k + 2) % 3] - one[(k + 2) % 3] * other[(k + 1) % 3] for k in range(3)])


def resize_soft(soft: np.ndarray, height: int, width: int) -> np.ndarray:
    """Soft labels, [n, h, w, parts] of any dtype that OpenCV resizes, at another size, bilinear."""
    if soft.shape[1:3] == (height, width):
        return soft
    interpolation = cv2.INTER_AREA if height < soft.shape[1] else cv2.INTER_LINEAR
    resized = [
        [cv2.resize(maps[..., part], (width, height), interpolation=interpolation) for part in range(soft.shape[-1])]
        for maps in soft
    ]
    return np.moveaxis(np.array(resized, soft.dtype).reshape(len(soft), -1, height, width), 1, -1)


def as_shares(soft: np.ndarray, height: int, width: int) -> np.ndarray:
    """Soft labels, uint8 [n, s, t, parts] with 255 for 1, as float32 [n, height, width, parts] in [0, 1]."""
    return resize_soft(soft.astype(np.float32) / 255.0, height, width)


def shares_in(soft: np.ndarray, height: int, width: int, window: Window) -> np.ndarray:
    """A window of `as_shares`: float32 [n, rows, columns, parts]."""
    return resize_into(soft.astype(np.float32) / 255.0, height, width, window, _resize_one)


def _resize_one(soft: np.ndarray, height: int, width: int) -> np.ndarray:
    return resize_soft(soft[None], height, width)[0]
