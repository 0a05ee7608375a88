"""Colours as styles: known answers."""

import numpy as np
import pytest
from tiny import draw_face

from simrefine.data.images import to_signed
from simrefine.data.styles import choose_styles, read_styles, restyle, restyle_alone, transfer_styles


@pytest.fixture
def faces():
    rng = np.random.default_rng(0)
    # Noisy ones, as every photograph is: a picture of two colours has no covariance to stretch. Far from clipping.
    return to_signed(np.stack([draw_face(rng, real=True) for _ in range(6)])) / 4


@pytest.mark.parametrize("channels", [1, 3])
def test_a_picture_gets_the_mean_and_covariance_of_the_style(faces, channels):
    faces = faces[..., :channels]
    styled = transfer_styles(faces, read_styles(faces[::-1]))
    np.testing.assert_allclose(read_styles(styled), read_styles(faces[::-1]), atol=2e-3)
    assert styled.dtype == np.float32 and styled.shape == faces.shape


def test_a_pictures_own_style_changes_nothing(faces):
    np.testing.assert_allclose(transfer_styles(faces, read_styles(faces)), faces, atol=1e-5)


def test_a_style_stands_mean_above_root_of_covariance():
    halves = np.zeros((1, 4, 4, 3), np.float32)
    halves[:, :2, :, 0], halves[:, 2:, :, 0] = 0.1, 0.5  # red: mean 0.3, standard deviation 0.2
    style = read_styles(halves)[0]
    np.testing.assert_allclose(style[0], [0.3, 0, 0], atol=1e-6)
    assert style[1, 0] == pytest.approx(0.2, abs=1e-6)


def test_what_is_behind_a_head_hardly_colours_it(faces):
    def moved_by_red(rows) -> float:
        red = faces[:1].copy()
        red[:, rows] = (1.0, -1.0, -1.0)
        return np.abs(read_styles(red)[0, 0] - read_styles(faces[:1])[0, 0]).max()

    size = faces.shape[1]
    above, middle = slice(0, size // 5), slice(2 * size // 5, 3 * size // 5)
    assert moved_by_red(above) < moved_by_red(middle) / 4


def test_no_pixel_moves():
    dot = np.zeros((1, 8, 8, 3), np.float32)
    dot[0, 2, 5] = 0.5
    style = read_styles(to_signed(draw_face(np.random.default_rng(1))[None]))
    change = np.abs(transfer_styles(dot, style) - transfer_styles(0 * dot + dot[0, 0, 0], style)).sum((0, 3))
    assert np.unravel_index(change.argmax(), change.shape) == (2, 5)


def test_a_flat_picture_becomes_the_styles_mean_and_stays_finite(faces):
    style = read_styles(faces[:1])
    styled = transfer_styles(np.zeros_like(faces[:1]), style)
    np.testing.assert_allclose(styled, np.broadcast_to(style[:, None, :1], styled.shape), atol=1e-3)


def test_the_candidate_that_asks_for_the_least_change_is_taken(faces):
    styles = read_styles(faces)
    everything = np.tile(np.arange(len(faces)), (len(faces), 1))
    np.testing.assert_array_equal(choose_styles(faces, styles, everything), styles)


def test_without_candidates_pictures_stay_as_they_are(faces):
    assert restyle(faces, read_styles(faces), 0, np.random.default_rng(0)) is faces


def test_a_style_drawn_from_the_picture_depends_on_nothing_beside_it(faces):
    styles = read_styles(faces)
    together = restyle_alone(faces, styles, 2, seed=0)
    np.testing.assert_array_equal(restyle_alone(faces[3:4], styles, 2, seed=0), together[3:4])
    np.testing.assert_array_equal(restyle_alone(faces[::-1], styles, 2, seed=0), together[::-1])
    assert (restyle_alone(faces, styles, 2, seed=1) != together).any()
