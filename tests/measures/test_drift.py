"""Label drift: known moves come back, changes of light do not count, and the summary names the worst."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from tiny import draw_face

from simrefine.data.images import fit_square, read_picture
from simrefine.data.labels import read_labels, select_points
from simrefine.data.points import fit_points, interocular
from simrefine.measures.drift import compare_edges, flatten_light, measure_drift, summarise_drift

SIZE = 64
FACES = Path(__file__).parents[3] / "shared" / "faces" / "synthetic" / "val"
needs_faces = pytest.mark.skipif(not FACES.is_dir(), reason=f"needs the rendered faces in {FACES}")


def move(picture: np.ndarray, dx: float, dy: float = 0.0) -> np.ndarray:
    matrix = np.array([[1, 0, dx], [0, 1, dy]], np.float32)
    return cv2.warpAffine(picture, matrix, picture.shape[1::-1], flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)


def relight(picture: np.ndarray) -> np.ndarray:
    """Tint, gain, and a gradient from left to right."""
    light = np.linspace(0.6, 1.0, picture.shape[1])[None, :, None] * [1.0, 0.9, 0.75]
    return np.clip(picture * light + 8, 0, 255).astype(np.uint8)


def drawn_faces(count: int = 3) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """uint8 [n, 64, 64, 3]; [n, 5, 2] with the eyes first: corners of the drawn parts, where a move shows both ways."""
    faces = np.stack([cv2.GaussianBlur(draw_face(np.random.default_rng(i), SIZE), (0, 0), 0.8) for i in range(count)])
    points = []
    for index in range(count):
        down, right = np.random.default_rng(index).uniform(-0.1, 0.1, 2)
        eyes = [[x, -0.1 + y] for x, y in ((-0.15, 0), (0.15, 0), (-0.21, -0.05), (0.21, -0.05), (-0.09, 0.05))]
        points.append((np.array(eyes) + 0.5 - [right, down]) * SIZE)
    return faces, np.array(points), [f"{index}.png" for index in range(count)]


def rendered_faces(size: int, count: int = 12) -> tuple[np.ndarray, np.ndarray, list[str]]:
    names = sorted(path.name for path in FACES.glob("*.png"))[:: 300 // count][:count]
    points = select_points(read_labels(FACES / "annotations.jsonl", FACES), names)
    faces = np.stack([fit_square(read_picture(FACES / name).pixels, size) for name in names])
    return faces, fit_points(points, 128, 128, size), names


@pytest.mark.parametrize("dx, dy", [(0.5, 0), (1, 0), (0, -2), (2.4, 1.8)])
def test_a_drawn_face_moved_by_known_pixels_returns_that_number(dx, dy):
    faces, points, names = drawn_faces()
    moved = np.stack([move(face, dx, dy) for face in faces])
    truth = np.hypot(dx, dy)
    drift = measure_drift(faces, moved, points, names)
    assert drift.pixels == pytest.approx(np.full(len(names), truth), rel=0.15, abs=0.15)
    assert drift.unit == "inter-ocular distance" and drift.where == "label points"
    assert drift.percent == pytest.approx(drift.pixels / (0.3 * SIZE) * 100)


@needs_faces
@pytest.mark.parametrize("size", [64, 128])
@pytest.mark.parametrize("pixels", [0.5, 2.0])
def test_a_rendered_face_moved_by_known_pixels_returns_that_number(size, pixels):
    faces, points, names = rendered_faces(size)
    drift = measure_drift(faces, np.stack([move(face, 0, pixels) for face in faces]), points, names)
    assert drift.pixels == pytest.approx(np.full(len(names), pixels), rel=0.1, abs=0.03)
    assert drift.percent == pytest.approx(drift.pixels / interocular(points) * 100)


@needs_faces
def test_an_eye_that_moves_alone_is_seen_and_only_there():
    faces, points, names = rendered_faces(SIZE)
    y, x = np.mgrid[:SIZE, :SIZE].astype(np.float32) + 0.5
    eye, moved = slice(36, 42), []
    for face, marks in zip(faces, points, strict=True):
        cx, cy = marks[eye].mean(0)
        weight = np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * 5.0**2)).astype(np.float32)
        moved.append(cv2.remap(face, x - 0.5 - 2 * weight, y - 0.5, cv2.INTER_CUBIC))
    at_eye = measure_drift(faces, np.stack(moved), points[:, eye], names)
    at_mouth = measure_drift(faces, np.stack(moved), points[:, 48:], names)
    assert 1.2 < np.median(at_eye.pixels) < 2.1
    assert np.median(at_mouth.pixels) < 0.1


def test_a_change_of_light_and_colour_is_no_drift():
    faces, points, names = drawn_faces()
    drift = measure_drift(faces, np.stack([relight(face) for face in faces]), points, names)
    assert drift.pixels.max() < 0.1
    assert drift.edge_agreement.min() > 0.95


@needs_faces
@pytest.mark.parametrize("size", [64, 128])
def test_a_change_of_light_sharpness_and_grain_stays_at_the_documented_floor(size):
    faces, points, names = rendered_faces(size)
    lit = measure_drift(faces, np.stack([relight(face) for face in faces]), points, names)
    assert np.median(lit.pixels) < 0.06
    rng = np.random.default_rng(0)
    grainy = [cv2.GaussianBlur(relight(face), (0, 0), 0.7) + rng.normal(0, 6, face.shape) for face in faces]
    rough = measure_drift(faces, np.clip(grainy, 0, 255).astype(np.uint8), points, names)
    assert np.median(rough.pixels) < 0.2


def test_identical_pictures_have_no_drift_and_full_edge_agreement():
    faces, points, names = drawn_faces()
    faces[0] = 90  # without any edge
    drift = measure_drift(faces, faces.copy(), points, names)
    assert (drift.pixels < 1e-3).all() and (drift.edge_agreement > 1 - 1e-9).all()


def test_edge_agreement_falls_as_edges_move_or_vanish():
    face = drawn_faces(1)[0][0]

    def agreement(other):
        return compare_edges(flatten_light(face), flatten_light(other))

    assert 1 > agreement(move(face, 0.5)) > agreement(move(face, 1)) > agreement(move(face, 3)) >= 0
    assert agreement(np.full_like(face, 90)) == 0
    assert agreement(255 - face) == 0


def test_points_that_are_not_labelled_do_not_count():
    faces, points, names = drawn_faces()
    moved = np.stack([move(face, 1) for face in faces])
    fewer = points.copy()
    fewer[0, 3] = np.nan
    drift = measure_drift(faces, moved, fewer, names)
    assert drift.pixels[0] == pytest.approx(measure_drift(faces, moved, points[:, [0, 1, 2, 4]], names).pixels[0])
    fewer[1, 0] = np.nan  # an eye: the distance moved is known, the unit is not
    drift = measure_drift(faces, moved, fewer, names)
    assert np.isfinite(drift.pixels).all() and list(np.isnan(drift.percent)) == [False, True, False]
    summary = summarise_drift(drift)
    assert [name for name, _ in summary["worst"]] == [names[i] for i in np.argsort(-drift.percent)[:2]]


def test_without_labels_a_grid_is_measured_in_percent_of_the_image_side():
    faces, _, names = drawn_faces()
    faces = faces[:, :, :48]  # not square
    drift = measure_drift(faces, np.stack([move(face, 0, 1.2) for face in faces]), None, names)
    assert drift.pixels == pytest.approx(np.full(len(names), 1.2), rel=0.15)
    assert drift.percent == pytest.approx(drift.pixels / 48 * 100)
    assert (drift.unit, drift.where) == ("image side", "grid")


def test_grain_in_flat_parts_of_a_picture_is_no_drift_of_the_grid():
    rng = np.random.default_rng(0)
    raw = np.full((1, SIZE, SIZE, 1), 120.0)
    raw[0, :, :32, 0] = np.clip(cv2.GaussianBlur(rng.uniform(-500, 740, (SIZE, 32)), (0, 0), 2), 0, 255)
    grainy = np.clip(raw + rng.normal(0, 4, raw.shape), 0, 255)
    drift = measure_drift(raw.astype(np.uint8), grainy.astype(np.uint8), None, ["half.png"])
    assert drift.pixels[0] < 0.1


def test_points_without_known_eyes_are_measured_in_percent_of_the_image_side():
    faces, points, names = drawn_faces()
    drift = measure_drift(faces[..., :1], faces[..., :1], points[:, :4], names)
    assert (drift.unit, drift.where) == ("image side", "label points")


def test_the_summary_is_json_and_names_the_worst_pictures_in_order():
    faces, points, names = drawn_faces(4)
    moved = np.stack([move(face, dx) for face, dx in zip(faces, (0, 3, 1, 2), strict=True)])
    drift = measure_drift(faces, moved, points, names)
    summary = json.loads(json.dumps(summarise_drift(drift), allow_nan=False))
    assert [name for name, _ in summary["worst"]] == ["1.png", "3.png", "2.png", "0.png"]
    assert summary["worst"][0][1] == pytest.approx(3 / (0.3 * SIZE) * 100, rel=0.15)
    assert summary["pixels_median"] == pytest.approx(1.5, rel=0.15)
    assert summary["pixels_p95"] == pytest.approx(np.percentile(drift.pixels, 95))
    assert summary["pictures"] == 4
