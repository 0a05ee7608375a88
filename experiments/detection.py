"""Are faces found where no label says where they are? MTCNN, by which `simrefine prepare` does it, against 68 labels.

    python experiments/detection.py DIR [--faces 150] [--enlarge 1] [--margin 0]

DIR holds pictures of one face each and their annotations.jsonl. Prints the share of faces found, the distance of the
detector's five points from the five of the labels (an eye: the mean of its six lid points) in percent of the distance
between the eyes, how the crop differs from that of the labels, and the seconds a picture. --enlarge changes the size,
and --margin puts so many gray pixels around each picture.
"""

import time
from pathlib import Path

import click
import numpy as np

from simrefine.config import ANNOTATIONS
from simrefine.data.crops import face_square
from simrefine.data.detection import MIN_CONFIDENCE, MIN_FACE, Detection, detect, load_detector
from simrefine.data.images import ImageError, read_picture, resize
from simrefine.data.labels import read_labels, select_points
from simrefine.data.points import LEFT_EYE, RIGHT_EYE, interocular
from simrefine.data.prepare import list_pictures, spread

NOSE, MOUTH_CORNERS = 30, (48, 54)  # of 68 points
NAMES = ("left eye", "right eye", "nose", "left of the mouth", "right of the mouth")
GRAY = 128


def five_of(points: np.ndarray) -> np.ndarray:
    """The five points of [n, 68, 2]: [n, 5, 2]."""
    eyes = [points[:, eye].mean(axis=1) for eye in (LEFT_EYE, RIGHT_EYE)]
    return np.stack([*eyes, *(points[:, index] for index in (NOSE, *MOUTH_CORNERS))], axis=1)


def show(pixels: np.ndarray, enlarge: float, margin: int) -> np.ndarray:
    """The picture as the detector gets it."""
    height, width = (round(side * enlarge) for side in pixels.shape[:2])
    return np.pad(resize(pixels, height, width), ((margin, margin), (margin, margin), (0, 0)), constant_values=GRAY)


def compare_crops(found: np.ndarray, labelled: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of the crops by [n, 5, 2] beside those by [n, 68, 2]: the ratio of the sides, and the distance of the centres in
    shares of the side; faces that cannot be framed are left out."""
    pairs = []
    for five, points in zip(found, labelled, strict=True):
        try:
            pairs.append((face_square(five), face_square(points)))
        except ImageError:
            continue
    ratio = np.array([a.side / b.side for a, b in pairs])
    shift = np.array([np.hypot(a.x - b.x, a.y - b.y) / b.side for a, b in pairs])
    return ratio, shift


def print_found(faces: list[list[Detection]], labelled: np.ndarray, seconds: np.ndarray) -> None:
    """Of each picture the largest face that was found; `labelled` is [n, 68, 2]."""
    is_found = np.array([len(found) > 0 for found in faces])
    print(
        f"found: {is_found.mean():.1%} of {len(faces)}; more than one face: {np.mean([len(f) > 1 for f in faces]):.1%}"
    )
    print(f"seconds a picture: {np.median(seconds):.3f} (median)")
    if not is_found.any():
        return
    first = [found[0] for found in faces if found]
    points = np.stack([face.points for face in first])
    five = five_of(labelled[is_found])
    between = interocular(five)[:, None]
    away = 100 * np.linalg.norm(points - five, axis=-1) / between
    print(
        f"their boxes' shorter side: {np.quantile([face.side for face in first], (0, 0.5, 1)).round()} px (min, median, max)"
    )
    print("| point | distance, % of the eyes' | 90th percentile | mean x | mean y |\n|---|---|---|---|---|")
    shift = 100 * ((points - five) / between[..., None]).mean(axis=0)
    for index, name in enumerate(NAMES):
        column = away[:, index]
        print(
            f"| {name} | {np.median(column):.1f} | {np.quantile(column, 0.9):.1f} | {shift[index, 0]:+.1f} | {shift[index, 1]:+.1f} |"
        )
    print(
        f"| all | {np.median(away):.1f} | {np.quantile(away, 0.9):.1f} | {shift[:, 0].mean():+.1f} | {shift[:, 1].mean():+.1f} |"
    )
    ratio, moved = compare_crops(points, labelled[is_found])
    print(
        f"side of the crop / of the labels' crop: {np.quantile(ratio, (0.05, 0.5, 0.95)).round(2)} (5th, 50th, 95th percentile)"
    )
    print(f"centre away by {np.median(moved):.3f} of the side (95th percentile {np.quantile(moved, 0.95):.3f})")


@click.command(help=__doc__.partition("\n")[0])
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--faces", default=150, show_default=True, help="at most so many, spread evenly")
@click.option("--enlarge", default=1.0, show_default=True, help="how many times")
@click.option("--margin", default=0, show_default=True, help="gray around each picture, px")
@click.option("--min-face", default=MIN_FACE, show_default=True, help="px")
@click.option("--min-confidence", default=MIN_CONFIDENCE, show_default=True, help="0 to 1")
def main(folder, faces, enlarge, margin, min_face, min_confidence):
    pictures = spread(list_pictures(folder), faces)
    labels = read_labels(folder / ANNOTATIONS, folder)
    labelled = select_points(labels, [str(record.relative) for record in pictures]) * enlarge + margin
    detector = load_detector()
    found, seconds = [], []
    for record in pictures:
        pixels = show(read_picture(record.path).pixels, enlarge, margin)
        began = time.perf_counter()
        found.append(detect(pixels, detector, min_face=min_face, min_confidence=min_confidence))
        seconds.append(time.perf_counter() - began)
    print_found(found, labelled, np.array(seconds))


if __name__ == "__main__":
    main()
