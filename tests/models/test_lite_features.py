import numpy as np

from simrefine.models.lite_features import lite_features


def test_the_network_that_knows_photographs_sees_gray_as_colour_that_is_none():
    images = np.random.default_rng(0).integers(0, 256, (3, 48, 48, 3), np.uint8)
    features = lite_features(images)
    assert features.shape == (3, 352) and features.std() > 0.1
    gray = images.mean(axis=-1, keepdims=True).astype(np.uint8)
    np.testing.assert_array_equal(lite_features(gray), lite_features(np.repeat(gray, 3, axis=-1)))
