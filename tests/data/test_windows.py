"""What is done window by window is what is done to the whole picture."""

import numpy as np
import pytest

from simrefine.data.images import resize
from simrefine.data.windows import put_together, resize_from, resize_into, windows, windows_of


@pytest.mark.parametrize(
    ("size", "to"), [((16, 20), (300, 377)), ((300, 377), (16, 20)), ((7, 9), (8, 10)), ((64, 64), (64, 64))]
)
def test_windows_are_resized_as_the_whole_picture_is(size, to):
    pictures = np.random.default_rng(0).normal(size=(2, *size, 3)).astype(np.float32)
    wanted = np.stack([resize(picture, *to) for picture in pictures])
    parts = ((each, resize_into(pictures, *to, each)) for each in windows(*to, 37))
    np.testing.assert_allclose(put_together(parts, np.empty_like(wanted)), wanted, atol=1e-5)
    pieces = ((each, each.of(pictures)) for each in windows(*size, 37))
    np.testing.assert_allclose(resize_from(pieces, size, to), wanted, atol=1e-5)


def test_windows_cover_a_picture_once():
    for cover in (windows(50, 33, 16), windows_of(100, 50, 33), windows_of(0, 50, 33)):
        counts = np.zeros((1, 50, 33), int)
        for window in cover:
            window.of(counts)[...] += 1
        assert (counts == 1).all()
