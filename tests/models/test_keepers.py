"""Label keepers: what they ask of a refined face."""

import numpy as np
import pytest

from simrefine.models.keepers import NOISE, Disturbance, cycle_loss, disturb, draw_disturbance, landmark_loss


def pictures(n=3, side=12):
    return np.random.default_rng(0).uniform(-1, 1, (n, side, side, 3)).astype(np.float32)


def quiet(n=3, side=12, blur=0.0, down=0.0, right=0.0):
    return Disturbance(
        noise=np.zeros((n, side, side, 3), np.float32),
        blur=np.full(n, blur, np.float32),
        shift=np.tile(np.float32([down, right]), (n, 1)),
    )


def test_a_disturbance_blurs_moves_and_adds_noise_as_drawn():
    faces = pictures()
    np.testing.assert_allclose(disturb(faces, quiet()), faces, atol=1e-6)
    blurred = np.asarray(disturb(faces, quiet(blur=1.0)))
    np.testing.assert_allclose(blurred[:, 5, 5], faces[:, 4:7, 4:7].mean(axis=(1, 2)), atol=1e-6)
    moved = np.asarray(disturb(faces, quiet(down=1.0, right=-1.0)))
    np.testing.assert_allclose(moved[:, 6, 5], faces[:, 5, 6], atol=1e-6)
    drawn = draw_disturbance(faces.shape, np.random.default_rng(0))
    noisy = np.asarray(disturb(0 * faces, drawn))
    assert noisy.std() == pytest.approx(NOISE, rel=0.1)
    assert set(np.unique(drawn.shift)) <= {-1.0, 0.0, 1.0} and 0 <= drawn.blur.min() <= drawn.blur.max() <= 1


def test_an_inverse_that_moves_with_the_picture_is_not_punished_for_the_shift():
    faces = pictures()
    identity = lambda picture, training: picture  # noqa: E731
    assert float(cycle_loss(identity, faces, faces, quiet(down=1.0, right=1.0))) == pytest.approx(0, abs=1e-6)
    stubborn = lambda picture, training: faces  # noqa: E731 a render remembered by its place on the grid
    assert float(cycle_loss(stubborn, faces, faces, quiet(down=1.0))) > 0.1


def test_the_landmark_loss_is_the_mean_distance_of_the_labelled_points():
    found = np.full((2, 3, 2), 0.5, np.float32)
    network = lambda picture, training: found  # noqa: E731
    points = np.full((2, 3, 2), 0.6, np.float32)
    assert float(landmark_loss(network, None, points)) == pytest.approx(0.1)
    points[0] = np.nan  # a face without points counts for nothing
    points[1, 0] = 0.9
    assert float(landmark_loss(network, None, points)) == pytest.approx((0.4 + 0.1 + 0.1) / 3)
    points[:] = np.nan
    assert float(landmark_loss(network, None, points)) == 0
