"""The crop rule: the same face is framed alike wherever it stands, and its points go where its pixels go."""

import json
from pathlib import Path

import numpy as np
import pytest
from drawn_faces import NOSE, draw, find_dot, points_5, points_68

from simrefine.data.crops import Square, cut, cut_labels, face_square, move_points, outside_share
from simrefine.data.images import ImageError
from simrefine.errors import UserError

FACES = Path(__file__).parents[3] / "shared" / "faces"


def test_the_square_is_the_box_enlarged_and_raised():
    points = np.full((68, 2), (50.0, 60.0))
    points[:2] = (40, 30), (60, 80)  # a box of 20 x 50 px round (50, 55)
    assert face_square(points) == Square(50, 55 - 0.08 * 50, 1.6 * 50)


@pytest.mark.parametrize("scale", [20, 30.3, 47])  # the crop of 64 px enlarges the first and shrinks the last
def test_a_landmark_is_in_the_crop_where_the_picture_shows_it(scale):
    points = points_68(101.3, 88.7, scale)
    square = face_square(points)
    crop = cut(draw(200, 180, points), square, 64)
    assert np.abs(find_dot(crop) - move_points(points, square, 64)[NOSE]).max() < 0.1


def test_the_same_face_large_and_small_and_elsewhere_is_framed_alike():
    crops, moved = [], []
    for width, height, points in (
        (300, 260, points_68(140.2, 120.6, 60.5)),
        (140, 160, points_68(66.9, 83.1, 33.2)),
    ):
        square = face_square(points)
        crops.append(cut(draw(width, height, points), square, 64).astype(int))
        moved.append(move_points(points, square, 64))
    np.testing.assert_allclose(*moved, atol=1e-9)
    assert np.abs(crops[0] - crops[1])[8:-8, 8:-8].max() <= 4


def test_whole_pixels_are_copied_and_the_edge_goes_on_outside():
    picture = np.random.default_rng(0).integers(0, 256, (12, 10, 3), np.uint8)
    square = Square(3, 5, 8)  # columns -1 to 7, rows 1 to 9
    expected = np.concatenate([picture[1:9, :1], picture[1:9, :7]], axis=1)
    np.testing.assert_array_equal(cut(picture, square, 8), expected)
    np.testing.assert_array_equal(cut_labels(picture, square, 8), expected)
    assert outside_share(square, 12, 10) == pytest.approx(1 / 8)
    assert outside_share(Square(-50, 5, 8), 12, 10) == 1


def test_shrinking_takes_the_mean_of_the_area():
    stripes = np.zeros((90, 90, 1), np.uint8)
    stripes[:, ::2] = 200
    np.testing.assert_array_equal(cut(stripes, Square(45, 45, 80), 10), np.full((10, 10, 1), 100))


def test_a_mask_gets_no_new_labels():
    mask = np.random.default_rng(0).choice(np.array([0, 7, 255], np.uint8), (50, 50, 1))
    assert set(np.unique(cut_labels(mask, Square(20, 25, 37.7), 24))) <= {0, 7, 255}


@pytest.mark.parametrize("size", [1.0, 2.5])
@pytest.mark.parametrize("angle", [0.0, 0.6])
def test_five_points_turn_and_grow_with_the_face(size, angle):
    turn = size * np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    points = points_5(points_68(10, 20, 30)) + (3, 0) * (np.arange(5) == 2)[:, None]
    plain, turned = face_square(points), face_square(points @ turn)
    assert turned.side == pytest.approx(size * plain.side)
    np.testing.assert_allclose((turned.x, turned.y), np.array([plain.x, plain.y]) @ turn)


@pytest.mark.skipif(not FACES.is_dir(), reason=f"needs the faces in {FACES}")
@pytest.mark.parametrize("pile", ["real/val", "synthetic/val"])
def test_five_points_frame_a_face_nearly_as_its_68_do(pile):
    lines = (FACES / pile / "annotations.jsonl").read_text().splitlines()
    points = [np.array(json.loads(line)["landmarks"]) for line in lines]
    box, five = ([face_square(form(face)) for face in points] for form in (np.array, points_5))
    np.testing.assert_allclose([(s.x, s.y, s.side) for s in box], np.full((len(box), 3), (64, 64, 128)), atol=0.6)
    ratio = np.array([b.side / a.side for a, b in zip(box, five, strict=True)])
    shift = [np.hypot(a.x - b.x, a.y - b.y) / a.side for a, b in zip(box, five, strict=True)]
    assert abs(np.median(ratio) - 1) < 0.03 and np.quantile(abs(ratio - 1), 0.9) < 0.12
    assert np.median(shift) < 0.03 and np.quantile(shift, 0.95) < 0.06


def test_points_in_another_order_are_refused():
    points = points_68(50, 50, 20)
    corners_of_eyes_and_nose = points[[36, 39, 42, 45, 33]]
    mouth_first = np.concatenate([points[48:], points[:48]])
    for wrong in (corners_of_eyes_and_nose, mouth_first, points_5(points)[[1, 0, 2, 3, 4]]):
        with pytest.raises(ImageError, match="not in the order of a face"):
            face_square(wrong)


def test_points_that_cannot_frame_a_face_say_why():
    missing = points_68(50, 50, 20)
    missing[4] = np.nan
    with pytest.raises(ImageError, match="1 of its 68 points are not labelled"):
        face_square(missing)
    for count in (5, 68):
        with pytest.raises(ImageError, match="in one place"):
            face_square(np.ones((count, 2)))
    with pytest.raises(UserError, match="faces with 98 points cannot be framed.*68 points of 300-W"):
        face_square(np.ones((98, 2)))
