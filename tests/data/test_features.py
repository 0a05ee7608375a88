"""Brows and eyes of renders are softened, and nothing else is."""

import numpy as np
import pytest

from simrefine.catalogue import PARTS
from simrefine.data.features import features_reach, soften_features
from simrefine.data.windows import put_together, windows

BROWS, SKIN = PARTS.index("brows"), PARTS.index("skin")
LINE = np.s_[20:21, 16:48]


def brow(size: int = 64, channels: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """A dark line on skin, and its labels."""
    picture, labels = np.full((size, size, channels), 0.4, np.float32), np.full((size, size), SKIN)
    picture[LINE], labels[LINE] = -0.6, BROWS
    return picture, np.eye(len(PARTS), dtype=np.float32)[labels]


@pytest.mark.parametrize("channels", [1, 3])
def test_a_brow_gets_broader_and_softer_and_stays_where_it_is(channels):
    picture, soft = brow(channels=channels)
    dark = 0.4 - soften_features(picture[None], soft[None], 64)[0, 15:26, 32].mean(axis=-1)
    assert dark.argmax() == 5 and np.abs(dark - dark[::-1]).max() < 1e-5, "it stays"
    before = (0.4 - picture[15:26, 32].mean(axis=-1)).sum()
    assert dark[5] < 1 and dark[4] > 0.2, "softer"
    assert before < dark.sum() < 2.5 * before, "not fainter"


def test_what_is_no_brow_and_no_eye_stays():
    picture, soft = brow()
    picture += np.random.default_rng(0).normal(0, 0.1, picture.shape).astype(np.float32)
    changed = np.abs(soften_features(picture[None], soft[None], 64)[0] - picture).max(axis=-1)
    assert np.median(changed[20, 20:44]) > 0.01 and changed[:15].max() == 0 and changed[26:].max() == 0
    soft[..., BROWS] = 0
    np.testing.assert_array_equal(soften_features(picture[None], soft[None], 64)[0], picture)


def test_only_luma_changes():
    picture, soft = brow()
    picture[..., 0] += 0.2
    change = soften_features(picture[None], soft[None], 64)[0] - picture
    np.testing.assert_allclose(change[..., 0], change[..., 2], atol=1e-6)


def test_a_window_is_softened_as_the_whole_is():
    rng = np.random.default_rng(0)
    pictures = rng.uniform(-0.8, 0.8, (1, 64, 64, 3)).astype(np.float32)
    soft = np.eye(len(PARTS), dtype=np.float32)[rng.choice([SKIN, BROWS], (1, 64, 64))]
    wanted, reach = soften_features(pictures, soft, 64), features_reach(64)

    def piece(window):
        seen = window.grown(reach, 64, 64)
        return window.within(seen).of(soften_features(seen.of(pictures), seen.of(soft), 64))

    made = put_together(((each, piece(each)) for each in windows(64, 64, 23)), np.empty_like(wanted))
    np.testing.assert_allclose(made, wanted, atol=0.002)
