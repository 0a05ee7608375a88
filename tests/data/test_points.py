"""Label points move with their pictures, hold the refiner where they lie, and must fit their pictures."""

from pathlib import Path

import numpy as np
import pytest

from simrefine.data.images import fit_square
from simrefine.data.labels import read_labels
from simrefine.data.points import (
    check_inside,
    eye_corners,
    fit_points,
    hold_map,
    interocular,
    mirror_order,
    mirror_points,
)
from simrefine.errors import UserError

FACES = Path(__file__).parents[3] / "shared" / "faces"


@pytest.mark.parametrize("height, width, size", [(40, 60, 20), (61, 40, 80), (32, 32, 32)])
def test_points_move_as_the_pixels_of_fit_square_do(height, width, size):
    y, x = np.mgrid[:height, :width] + 0.5
    marks = np.array([[width / 2 - 7.3, height / 2 + 4.1], [width / 2 + 5.5, height / 2 - 8.0]])
    fitted = fit_points(marks, height, width, size)
    for mark, moved in zip(marks, fitted, strict=True):
        blob = 255 * np.exp(-((x - mark[0]) ** 2 + (y - mark[1]) ** 2) / 8)
        pixels = fit_square(np.rint(blob).astype(np.uint8)[..., None], size)[..., 0].astype(float)
        centres = np.arange(size) + 0.5
        found = [pixels.sum(0) @ centres / pixels.sum(), pixels.sum(1) @ centres / pixels.sum()]
        np.testing.assert_allclose(found, moved, atol=0.06)
    sizes = np.array([height, 10]), np.array([width, 10])
    np.testing.assert_allclose(fit_points(np.stack([marks, marks]), *sizes, size)[0], fitted)


def test_the_interocular_distance_is_between_the_known_eyes():
    points = np.zeros((3, 68, 2))
    points[0, 36], points[0, 45] = [10, 10], [13, 14]
    points[1, 36] = np.nan
    np.testing.assert_array_equal(interocular(points), [5, np.nan, np.nan])
    np.testing.assert_array_equal(interocular(np.array([[[0, 0], [0, 2], [1, 1], [0, 3], [2, 3]]])), [2])
    assert interocular(np.zeros((1, 17, 2))) is None and eye_corners(17) is None


@pytest.mark.parametrize("k", [5, 68])
def test_mirroring_twice_gives_the_same_points_and_the_left_eye_stays_the_left_one(k):
    points = np.random.default_rng(0).uniform(0, 40, (3, k, 2))
    left, right = eye_corners(k)
    points[:, left, 0], points[:, right, 0] = 12, 30
    mirrored = mirror_points(points, 40)
    np.testing.assert_allclose(mirror_points(mirrored, 40), points)
    np.testing.assert_array_equal(mirrored[:, [left, right], 0], [[10, 28]] * 3)
    np.testing.assert_array_equal(mirrored[:, left, 1], points[:, right, 1])


def test_mirrored_points_lie_on_the_pixels_that_they_lay_on():
    points = np.random.default_rng(0).integers(0, 16, (5, 2))
    pixels = np.arange(16 * 16).reshape(16, 16)
    x, y = np.floor(mirror_points(points + 0.5, 16)).astype(int).T
    assert set(pixels[:, ::-1][y, x]) == set(pixels[points[:, 1], points[:, 0]])


def test_a_point_that_is_not_labelled_is_not_labelled_in_the_mirror():
    points = np.ones((5, 2))
    points[0] = np.nan
    assert np.isnan(mirror_points(points, 8)).all(-1).tolist() == [False, True, False, False, False]


def test_points_of_an_unknown_order_are_not_mirrored():
    assert mirror_order(17) is None
    with pytest.raises(ValueError, match="17 points"):
        mirror_points(np.ones((2, 17, 2)), 8)


@pytest.mark.skipif(not FACES.is_dir(), reason=f"needs the faces in {FACES}")
def test_the_mean_face_mirrored_is_itself():
    source = FACES / "synthetic" / "train"
    labels = read_labels(source / "annotations.jsonl", source)
    mean = np.mean(list(labels.points.values()), axis=0)
    assert np.abs(mirror_points(mean, 2 * mean[:, 0].mean()) - mean).max() < 1  # px of 128


def test_labels_of_another_size_are_found_and_some_points_outside_are_not_a_fault():
    rng = np.random.default_rng(0)
    points, names = rng.uniform(20, 110, (8, 68, 2)), [f"{i}.png" for i in range(8)]  # of 128 x 128 px
    points[3, :20, 1] = 140  # a hidden jaw
    points[4, 40:] = np.nan
    check_inside(points, names, 128, 128, Path("x.jsonl"))
    with pytest.raises(
        UserError, match=r"x.jsonl .* another size: \d+ of the 68 points of 0.png .* 50 x 50 .*\(8 of 8"
    ):
        check_inside(points, names, 50, 50, Path("x.jsonl"))
    sizes = np.where(np.arange(8) == 5, 40, 128)
    with pytest.raises(UserError, match=r"5.png lie outside its 40 x 40 pixels \(1 of 8"):
        check_inside(points, names, sizes, sizes, Path("x.jsonl"))
    with pytest.raises(UserError, match="all 8 pictures lie in the upper left quarter"):
        check_inside(points, names, 300, 300, Path("x.jsonl"))


def test_a_hold_map_is_one_at_a_point_and_falls_by_its_reach():
    held = hold_map(np.array([[[4.5, 8.5]]]), 16, reach=2 / 16)[0, ..., 0]
    assert np.unravel_index(held.argmax(), held.shape) == (8, 4), "row 8, column 4"
    assert held[8, 4] == pytest.approx(1.0)
    assert held[8, 6] == held[10, 4] == pytest.approx(np.exp(-0.5))
    assert held[0, 15] < 0.01


def test_points_that_are_close_do_not_hold_more_than_all():
    assert hold_map(np.full((1, 9, 2), 4.5), 16, reach=0.1).max() == 1


def test_a_picture_without_labels_is_held_everywhere_and_an_unlabelled_point_nowhere():
    points = np.array([[[np.nan, np.nan], [np.nan, np.nan]], [[4.5, 8.5], [np.nan, np.nan]]])
    unlabelled, partly = hold_map(points, 16, reach=0.1)
    assert (unlabelled == 1).all()
    np.testing.assert_array_equal(partly, hold_map(points[1:, :1], 16, reach=0.1)[0])
