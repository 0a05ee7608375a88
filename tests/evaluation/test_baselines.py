"""What needs no training changes colours, and moves nothing."""

import numpy as np
import pytest
from labelled_discs import draw_faces, shift_along

from simrefine.data.images import GRAY_LEVELS, to_signed
from simrefine.data.styles import read_styles
from simrefine.evaluation.baselines import match_colours, take_colours


@pytest.mark.parametrize("channels", [1, 3])
def test_matched_colours_have_the_mean_and_covariance_of_the_reference(channels):
    rng = np.random.default_rng(0)
    mixing = rng.normal(0, 8, (2, channels, channels))
    image, reference = (
        np.clip(rng.normal(0, 1, (1, 48, 48, channels)) @ mix + level, 0, 255).astype(np.uint8)
        for mix, level in zip(mixing, (90, 140), strict=True)
    )
    matched = match_colours(image, reference, seed=0)
    assert matched.dtype == np.uint8 and matched.shape == image.shape
    got, wanted = (pictures.reshape(-1, channels).astype(float) for pictures in (matched, reference))
    # Not nearer than this: they are matched in the middle of the picture, and these are of the whole.
    np.testing.assert_allclose(got.mean(axis=0), wanted.mean(axis=0), atol=0.5)
    np.testing.assert_allclose(np.cov(got, rowvar=False), np.cov(wanted, rowvar=False), rtol=0.1, atol=0.5)


def test_a_flat_picture_takes_the_mean_of_the_reference():
    reference = draw_faces(1).images
    matched = match_colours(np.full((1, 8, 8, 3), 50, np.uint8), reference, seed=0)
    mean = (read_styles(to_signed(reference))[0, 0] + 1) * GRAY_LEVELS
    assert np.abs(matched - mean).max() <= 0.5


@pytest.mark.parametrize("channels", [1, 3])
def test_matching_colours_changes_pictures_without_moving_anything(channels):
    reference = draw_faces(5, seed=1, channels=channels).images

    def baseline(images, seed):
        return match_colours(images, reference, seed)

    images = draw_faces(6, channels=channels).images
    changed = baseline(images, 0)
    assert changed.shape == images.shape and changed.dtype == np.uint8 and (changed != images).any()
    np.testing.assert_array_equal(changed, baseline(images, 0))
    assert (changed != baseline(images, 1)).any()
    for axis in (1, 2):
        assert abs(shift_along(axis, images, changed)) < 0.1
        assert shift_along(axis, images, np.roll(changed, 1, axis)) == pytest.approx(1, abs=0.25)


def test_one_change_of_colours_is_taken_whole_and_sharpness_is_not_taken():
    images = draw_faces(3).images
    warmer = np.clip(images * np.array([0.9, 0.7, 0.5]) + 20, 0, 255).astype(np.uint8)
    assert np.abs(take_colours(images, warmer).astype(int) - warmer).mean() < 2
    noisy = np.clip(warmer + np.random.default_rng(0).normal(0, 25, warmer.shape), 0, 255).astype(np.uint8)
    recoloured, wanted = (np.abs(np.diff(p.astype(int), axis=1)).mean() for p in (take_colours(images, noisy), noisy))
    assert recoloured < 0.6 * wanted
