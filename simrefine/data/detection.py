"""Photographs without labels in, their faces out: a box and five points of each, by the detector of the package mtcnn.

MTCNN (Zhang et al. 2016) is three networks one after the other: the first looks for faces at all scales, the second
drops most of what it found, and the third gives the box, the points and the confidence. The package is an extra, with
its weights in it: `pip install 'simrefine[detect]'`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from simrefine.data.folders import Record
from simrefine.data.images import ImageError, decode_picture, resize, to_channels
from simrefine.data.prepare import THREADS, Face, spread
from simrefine.errors import UserError
from simrefine.threads import run_ahead, thread_pool

MIN_FACE = 40  # px
MIN_CONFIDENCE = 0.9
LEAST_FACE = 20  # px: the only size from which mtcnn's pyramid of scales reaches up to the largest faces
LONGEST = 2048  # px: the longer side of what is searched; larger pictures are shrunk to it
_PATCH = 48  # px: the side at which the last network sees a face; what is smaller is enlarged for it


@dataclass(frozen=True)
class Detection:
    """A face that was found, in px of its picture; 0 is the picture's edge, see `labels.Labels`.

    Args:
        points: float64 [5, 2], in the order of `crops.FIVE`.
        box: float64 [4]: left, top, right, bottom; it may reach out of the picture.
        confidence: of the detector, 0 to 1.
    """

    points: np.ndarray
    box: np.ndarray
    confidence: float

    @property
    def side(self) -> float:
        """The shorter side of the box, px."""
        return float(min(self.box[2:] - self.box[:2]))


@dataclass(frozen=True)
class _Searched:
    """A picture as it is searched, uint8 [h, w, 3], and how many px of the source a pixel of it is: float64 [2]."""

    pixels: np.ndarray
    scale: np.ndarray


def load_detector() -> Any:
    """The detector with its weights.

    Raises:
        UserError: mtcnn is not installed.
    """
    try:
        from mtcnn import MTCNN
    except ImportError as error:
        raise UserError(
            f"faces without labels are found by the package mtcnn, which cannot be imported ({error})",
            "pip install 'simrefine[detect]', or name a label file with --labels",
        ) from error
    return MTCNN()


def detect(
    pixels: np.ndarray, detector: Any, *, min_face: int = MIN_FACE, min_confidence: float = MIN_CONFIDENCE
) -> list[Detection]:
    """The faces in a picture, the largest first.

    Args:
        pixels: uint8 [h, w, c], RGB or gray. A side longer than LONGEST is shrunk to it, so that there faces below
            LEAST_FACE / LONGEST of it (1 %) are not found, whatever `min_face` is.
        detector: see `load_detector`.
        min_face: px, LEAST_FACE or more: faces whose box has a shorter side are left out.
        min_confidence: 0 to 1: so are faces of which the detector is less sure.
    """
    return _detect(_shrink(pixels, min_face), detector, min_face, min_confidence)


def detected_faces(
    pictures: Sequence[Record],
    detector: Any,
    *,
    min_face: int = MIN_FACE,
    min_confidence: float = MIN_CONFIDENCE,
    limit: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Face]:
    """The faces in picture files, for `prepare.prepare`; their lines in annotations.jsonl get the detector's
    `confidence` and the `box`, in px of the source. A picture that cannot be read or shows no face becomes a `Face`
    that is rejected. For the other arguments see `detect`.

    Args:
        pictures: see `prepare.list_pictures`.
        limit: look at so many pictures at most, evenly spread over all.
        progress: called as `progress(done, pictures)`.
    """
    pictures = spread(pictures, limit)
    faces = []
    with thread_pool(THREADS) as pool:
        searched = run_ahead(pool, partial(_read, min_face=min_face), pictures, ahead=THREADS)
        for done, (record, picture) in enumerate(zip(pictures, searched, strict=True), 1):
            name, read = str(record.relative), record.read
            if isinstance(picture, ImageError):
                faces.append(Face(name, read, reject=str(picture)))
            else:
                found = _detect(picture, detector, min_face, min_confidence)
                faces += [_face(name, read, number, detection) for number, detection in enumerate(found, 1)]
                if not found:
                    reason = f"no face of {min_face} px or more was found in it, with confidence {min_confidence:g}"
                    faces.append(Face(name, read, reject=reason))
            if progress:
                progress(done, len(pictures))
    return faces


def _face(name: str, read: Callable[[], bytes], number: int, detection: Detection) -> Face:
    fields = {"confidence": round(detection.confidence, 4), "box": detection.box.round(1).tolist()}
    return Face(name, read, detection.points, number=number, fields=fields)


def _read(record: Record, min_face: int) -> _Searched | ImageError:
    """A picture file as it is searched. In the threads, so that no more than that waits in memory."""
    try:
        return _shrink(decode_picture(record.read()).pixels, min_face)
    except ImageError as error:
        return error


def _shrink(pixels: np.ndarray, min_face: int) -> _Searched:
    """So small that the least face wanted has the size at which the last network sees it, and LONGEST at most."""
    height, width = pixels.shape[:2]
    share = min(1.0, LONGEST / max(height, width), _PATCH / min_face)
    small = resize(pixels, max(round(height * share), 1), max(round(width * share), 1))
    return _Searched(to_channels(small, 3), np.array([width / small.shape[1], height / small.shape[0]]))


def _detect(picture: _Searched, detector: Any, min_face: int, min_confidence: float) -> list[Detection]:
    rows = detector.detect_faces(
        picture.pixels,
        box_format="xyxy",
        output_type="numpy",  # its other form rounds to whole pixels
        fit_to_image=False,
        min_face_size=LEAST_FACE,
        threshold_onet=min_confidence,
    )
    found = [  # a row: the picture's number, the box, the confidence, five x, five y
        Detection(
            _to_source(np.stack([row[6:11], row[11:16]], -1), picture),
            _to_source(row[1:5].reshape(2, 2), picture).ravel(),
            float(row[5]),
        )
        for row in rows
    ]
    return sorted((face for face in found if face.side >= min_face), key=lambda face: -face.side)


def _to_source(places: np.ndarray, picture: _Searched) -> np.ndarray:
    """The detector's places, [..., 2], in continuous px of the source.

    The detector counts from the first pixel's centre, half a pixel from the edge. It also cuts its patches with 0 to 1
    from the first pixel's centre to the last one's, but takes them for the edges: at the left its places are another
    half pixel too small, at the right half a pixel too large. On 36 photographs of 128 px at the left, in the middle
    and at the right of 1280 px, the points were 0.46 px less and 0.43 px more than in the middle; of mirrored
    photographs of half, once and twice the size, 0.4 px from those of the photographs mirrored, at each size.
    """
    height, width = picture.pixels.shape[:2]
    return (places.astype(np.float64) + 1 - places / (width, height)) * picture.scale
