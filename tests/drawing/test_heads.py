"""The parametric head: what its numbers do, and that its landmarks lie on the features they name."""

import numpy as np
import pytest

from simrefine.drawing.heads import head_model, landmarks, shape_head, vertex_normals
from simrefine.drawing.sculpture import EAR, EXPRESSIONS, EYE, HAIR, HEAD, IDENTITY, MOUTH, TEETH

MIRRORED = [*range(16, -1, -1), *range(26, 16, -1), 27, 28, 29, 30, *range(35, 30, -1)]
MIRRORED += [45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40]
MIRRORED += [54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55, 64, 63, 62, 61, 60, 67, 66, 65]
NEUTRAL = shape_head(np.zeros(len(IDENTITY)), np.zeros(len(EXPRESSIONS)))
UPPER_LIDS, LOWER_LIDS = [37, 38, 43, 44], [41, 40, 47, 46]


def points(**expression: float) -> np.ndarray:
    """The landmarks of the mean face with an expression, [68, 3], cm."""
    weights = np.array([expression.get(name, 0.0) for name in EXPRESSIONS])
    return landmarks(shape_head(np.zeros(len(IDENTITY)), weights))


def test_the_mesh_is_fine_and_has_every_part():
    model = head_model()
    assert len(np.unique(model.triangles[model.kind != HAIR])) >= 5000
    assert set(np.unique(model.kind)) == {HEAD, EYE, MOUTH, TEETH, EAR, HAIR}


@pytest.mark.parametrize("name", IDENTITY)
def test_each_identity_parameter_moves_the_mesh(name):
    assert len(IDENTITY) >= 12
    one = np.eye(len(IDENTITY))[IDENTITY.index(name)]
    moved = np.linalg.norm(shape_head(one, np.zeros(len(EXPRESSIONS))) - NEUTRAL, axis=1)
    assert 0.08 < moved.max() < 1.5  # cm: to be seen, and not to tear


def test_no_two_identity_parameters_do_the_same():
    basis = head_model().identity.reshape(len(IDENTITY), -1)
    basis = basis / np.linalg.norm(basis, axis=1, keepdims=True)
    assert np.abs(basis @ basis.T - np.eye(len(IDENTITY))).max() < 0.9


def test_blinking_brings_the_lids_together():
    gap = lambda p: (p[UPPER_LIDS, 1] - p[LOWER_LIDS, 1]).mean()  # noqa: E731
    assert gap(points()) > 0.6
    assert 0.2 < gap(points(blink=0.5)) < 0.8 * gap(points())
    assert abs(gap(points(blink=1.0))) < 0.05


def test_lids_never_cut_through_the_eyeballs():
    for blink in (0.0, 0.5, 1.0):
        vertices = shape_head(np.zeros(len(IDENTITY)), np.array([blink * (name == "blink") for name in EXPRESSIONS]))
        for centre, front, lids in head_model().eyes:
            radius = np.linalg.norm(vertices[front] - vertices[centre])
            assert np.linalg.norm(vertices[lids] - vertices[centre], axis=1).min() > radius + 0.05


def test_the_jaw_opens_the_mouth_and_takes_the_chin_along():
    shut, open_ = points(), points(jaw_open=1.0)
    assert abs(shut[62, 1] - shut[66, 1]) < 0.05
    assert open_[62, 1] - open_[66, 1] > 1.5
    assert open_[8, 1] < shut[8, 1] - 1.5
    assert np.abs(open_[17:48] - shut[17:48]).max() < 0.1  # brows, eyes and nose stay


def test_a_smile_widens_and_lifts_the_corners_of_the_mouth_and_a_pucker_narrows_it():
    rest, smile, pucker = points(), points(smile=1.0), points(pucker=1.0)
    width = lambda p: p[54, 0] - p[48, 0]  # noqa: E731
    assert width(pucker) < width(rest) - 0.5 < width(smile) - 1.0
    assert (smile[[48, 54], 1] > rest[[48, 54], 1] + 0.3).all()


def test_brows_go_up_and_down():
    rest = points()
    assert (points(brows_up=1.0)[18:26, 1] > rest[18:26, 1] + 0.2).all()
    assert (points(brows_down=1.0)[18:26, 1] < rest[18:26, 1] - 0.1).all()


def test_a_neutral_head_is_its_own_mirror_image():
    mirror = head_model().mirror
    assert np.abs(NEUTRAL[mirror] * [-1, 1, 1] - NEUTRAL).max() < 1e-3
    assert np.abs(points()[MIRRORED] * [-1, 1, 1] - points()).max() < 1e-3


def test_landmarks_stand_in_the_order_of_the_68():
    p = points()
    for row in (range(17), range(17, 27), range(31, 36), range(36, 40), range(42, 46), range(48, 55), range(60, 65)):
        assert (np.diff(p[list(row), 0]) > 0).all(), row  # image left to right
    assert (np.diff(p[27:31, 1]) < 0).all() and p[30, 2] == p[:, 2].max()  # down the nose to its tip
    middle = [p[part, 1].mean() for part in (slice(17, 27), slice(36, 48), slice(31, 36), slice(48, 60), slice(8, 9))]
    assert (np.diff(middle) < -1).all()  # brows, eyes, nose, mouth, chin


def test_triangles_face_outwards():
    normals = vertex_normals(NEUTRAL)
    model = head_model()
    skull = np.unique(model.triangles[model.kind == HEAD])
    skull = skull[(NEUTRAL[skull, 1] > 3) & (NEUTRAL[skull, 1] < 11)]
    assert ((NEUTRAL[skull] - [0, 4, -1]) * normals[skull]).sum(1).min() > 0
    balls = np.unique(model.triangles[model.kind == EYE])
    assert np.median(normals[balls, 2]) > 0.3
