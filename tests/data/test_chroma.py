"""Colours get as soft as those of photographs; brightness, and what is soft already, stays as it is."""

import cv2
import numpy as np
import pytest

from simrefine.data.chroma import MOST, REACH, fine_share, in_pixels, match_softness, soften
from simrefine.data.images import LUMA

SIZE = 64  # px


def faces(count: int = 8, seed: int = 0) -> np.ndarray:
    """Patches of sharp colours, float32 [n, SIZE, SIZE, 3] in [-0.5, 0.5]."""
    colours = np.random.default_rng(seed).uniform(-0.5, 0.5, (count, SIZE // 8, SIZE // 8, 3)).astype(np.float32)
    return colours.repeat(8, axis=1).repeat(8, axis=2)


def blurred(pictures: np.ndarray, deviation: float) -> np.ndarray:
    return np.stack([cv2.GaussianBlur(picture, (0, 0), deviation) for picture in pictures])


def test_colour_is_softened_and_luma_is_not():
    sharp = faces()
    soft = soften(sharp, 1 / SIZE, SIZE)
    np.testing.assert_allclose(soft @ LUMA, sharp @ LUMA, atol=1e-5)
    colours, wanted = (pictures - (pictures @ LUMA)[..., None] for pictures in (soft, blurred(sharp, 1.0)))
    np.testing.assert_allclose(colours, wanted, atol=1e-5)
    assert np.abs(soft - sharp).max() > 0.1, "else it could not tell"


def test_gray_pictures_and_a_softness_of_0_change_nothing():
    sharp = faces()
    assert soften(sharp, 0.0, SIZE) is sharp
    gray = sharp[..., :1]
    assert soften(gray, 1 / SIZE, SIZE) is gray and match_softness(gray, blurred(gray, 1.0)[..., None]) == 0


def test_colours_of_large_pictures_are_blurred_by_few_pixels():
    assert in_pixels(1 / SIZE, SIZE) == 1 and in_pixels(1 / SIZE, 100 * SIZE) == MOST


def test_a_window_with_what_the_blur_reaches_is_softened_as_the_whole_is():
    sharp, reach = faces(1), REACH * 2
    whole = soften(sharp, 2 / SIZE, SIZE)[:, 20:30, 20:30]
    window = soften(sharp[:, 20 - reach : 30 + reach, 20 - reach : 30 + reach], 2 / SIZE, SIZE)
    np.testing.assert_allclose(window[:, reach:-reach, reach:-reach], whole, atol=1e-6)
    near = soften(sharp[:, 19:31, 19:31], 2 / SIZE, SIZE)[:, 1:-1, 1:-1]
    assert np.abs(near - whole).max() > 0.01, "else it could not tell"


@pytest.mark.parametrize("deviation", [0.7, 1.0, 1.4])
def test_the_softness_of_photographs_is_found(deviation):
    photographs = soften(faces(seed=1), deviation / SIZE, SIZE)
    assert match_softness(faces(), photographs) * SIZE == pytest.approx(deviation, abs=0.1)
    assert match_softness(photographs, faces()) == 0, "what is softer already stays"
    assert fine_share(photographs) < fine_share(faces()) == pytest.approx(fine_share(faces(seed=1)), rel=0.1)


def test_photographs_without_any_sharp_colour_soften_no_more_than_the_most():
    assert match_softness(faces(), blurred(faces(seed=1), 6.0)) == MOST / SIZE
