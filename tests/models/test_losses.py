"""Losses are means with known values, so lambda means the same for any size, batch and number of channels."""

import keras
import numpy as np
import pytest

from simrefine.models.losses import (
    REALISM,
    SELF_REGULARISATION,
    feature_distance,
    patch_accuracy,
    patch_loss,
    self_regularisation,
)


def logits(margins):
    """Logit maps with the given margins, whatever their common offset."""
    margins = np.asarray(margins, np.float32)
    return np.stack([np.full_like(margins, 3.0), margins + 3.0], axis=-1)


def test_cross_entropy_is_softmax_cross_entropy_over_the_two_classes():
    maps = np.random.default_rng(0).normal(size=(2, 3, 3, 2)).astype(np.float32)
    for label in (0, 1):
        expected = keras.ops.sparse_categorical_crossentropy(np.full((2, 3, 3), label), maps, from_logits=True)
        got = patch_loss(REALISM["cross_entropy"][0], [maps], says_refined=bool(label))
        np.testing.assert_allclose(got, np.mean(expected), rtol=1e-6)


def test_least_squares_is_the_squared_distance_to_the_label():
    penalty, probability = REALISM["least_squares"]
    assert float(penalty(1.0, True)) == 0 and float(penalty(-1.0, False)) == 0
    assert float(penalty(-1.0, True)) == 1 and float(penalty(0.0, True)) == 0.25
    np.testing.assert_allclose(probability(np.float32([-3, -1, 0, 1, 3])), [0, 0, 0.5, 1, 1])


@pytest.mark.parametrize("name", REALISM)
def test_realism_loss_falls_as_patches_become_real_and_never_goes_flat(name):
    penalty, probability = REALISM[name]
    losses = [float(patch_loss(penalty, [logits([[[m]]])], says_refined=False)) for m in (3.0, 1.0, 0.0, -1.0)]
    assert losses == sorted(losses, reverse=True) and len(set(losses)) == 4
    assert float(probability(np.float32(0.0))) == 0.5


@pytest.mark.parametrize("name", REALISM)
def test_realism_loss_is_a_mean_over_patches_faces_and_patch_sizes(name):
    penalty = REALISM[name][0]
    one = patch_loss(penalty, [logits(np.full((1, 1, 1), 0.3))], True)
    many = patch_loss(penalty, [logits(np.full((5, 4, 4), 0.3)), logits(np.full((5, 9, 9), 0.3))], True)
    np.testing.assert_allclose(one, many, rtol=1e-6)


def test_accuracy_is_the_share_of_patches_told_rightly():
    maps = [logits([[[1.0, -1.0], [2.0, 3.0]]])]
    assert float(patch_accuracy(maps, is_refined=True)) == 0.75
    assert float(patch_accuracy(maps, is_refined=False)) == 0.25


def stripes(n, size, channels, strength=0.5):
    """A change of alternate columns, so that every psi has something to see; its terms are exact up to the border."""
    change = np.zeros((n, size, size, channels), np.float32)
    change[:, :, ::2] = strength
    return change


@pytest.mark.parametrize("name", SELF_REGULARISATION)
def test_self_regularisation_does_not_depend_on_size_batch_or_channels(name):
    def value(n, size, channels):
        change = stripes(n, size, channels)
        return float(SELF_REGULARISATION[name](change, np.zeros_like(change)))

    reference = value(2, 64, 3)
    assert reference > 0.05
    for shape in ((8, 64, 3), (2, 64, 1), (2, 128, 3)):
        np.testing.assert_allclose(value(*shape), reference, rtol=0.03)


def test_the_terms_have_their_known_values():
    change = np.full((2, 32, 32, 3), 0.5, np.float32)
    zero = np.zeros_like(change)
    got = {name: float(term(change, zero)) for name, term in SELF_REGULARISATION.items()}
    assert got == pytest.approx({"l1": 0.5, "l2": 0.25, "channel_mean": 0.5, "gradient": 0, "high_pass": 0}, abs=1e-6)
    opposite = np.stack([change[..., 0], -change[..., 0], zero[..., 0]], axis=-1)  # a tint of no brightness
    assert float(SELF_REGULARISATION["channel_mean"](opposite, zero)) == pytest.approx(0, abs=1e-6)
    assert float(SELF_REGULARISATION["gradient"](stripes(2, 32, 3), zero)) == pytest.approx(0.25, abs=1e-6)
    # Under a 9-pixel blur a stripe of 0.5 keeps 5/9 of itself, a gap gets 4/9: both are 2/9 off.
    striped = stripes(2, 64, 3)
    assert float(SELF_REGULARISATION["high_pass"](striped, 0 * striped)) == pytest.approx(2 / 9, abs=0.005)


def test_the_lambdas_weigh_the_sum_and_zero_leaves_a_term_out():
    change = np.full((1, 8, 8, 1), 0.5, np.float32)

    def broken(refined, synthetic):
        raise AssertionError("a term of lambda 0 was computed")

    terms = SELF_REGULARISATION | {"features": broken}
    weights = {"l1": 2.0, "l2": 4.0, "features": 0.0}
    assert float(self_regularisation(terms, weights, change, 0 * change)) == pytest.approx(2 * 0.5 + 4 * 0.25)


def test_the_feature_term_loads_a_local_weights_file_and_is_zero_for_equal_pictures(tmp_path):
    network = keras.applications.MobileNet(include_top=False, weights=None)
    network.save_weights(tmp_path / "mobilenet.weights.h5")
    pictures = np.random.default_rng(0).uniform(-1, 1, (2, 32, 32, 3)).astype(np.float32)
    term = feature_distance("MobileNet", "conv_pw_1_relu", str(tmp_path / "mobilenet.weights.h5"))
    assert float(term(pictures, pictures)) == 0
    assert float(term(pictures, -pictures)) > 0
    assert float(term(pictures[..., :1], -pictures[..., :1])) > 0, "gray faces"


def test_a_feature_network_or_layer_that_is_not_there_is_named():
    with pytest.raises(ValueError, match="VGG17.*only.*VGG16"):
        feature_distance("VGG17", "", None)
    with pytest.raises(ValueError, match="nowhere.*only.*conv1_relu"):
        feature_distance("MobileNet", "nowhere", None)
