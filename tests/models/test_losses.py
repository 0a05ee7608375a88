"""Losses are means with known values, so lambda means the same for any size, batch and number of channels."""

import dataclasses

import keras
import numpy as np
import pytest

from simrefine.catalogue import REALISM
from simrefine.config import RegularisationOptions
from simrefine.models import losses
from simrefine.models.losses import (
    OF_PARTS,
    build_feature_extractor,
    patch_accuracy,
    patch_loss,
    realism_loss,
    self_regularisation,
)

TERMS = [field.name for field in dataclasses.fields(RegularisationOptions) if field.name not in ("features", *OF_PARTS)]
EVERYWHERE = np.ones((1, 1, 1, 1), np.float32)


def logits(margins):
    """Logit maps with the given margins, whatever their common offset."""
    margins = np.asarray(margins, np.float32)
    return np.stack([np.full_like(margins, 3.0), margins + 3.0], axis=-1)


def test_cross_entropy_is_softmax_cross_entropy_over_the_two_classes():
    maps = np.random.default_rng(0).normal(size=(2, 3, 3, 2)).astype(np.float32)
    for label in (0, 1):
        expected = keras.ops.sparse_categorical_crossentropy(np.full((2, 3, 3), label), maps, from_logits=True)
        got = patch_loss(losses.cross_entropy, [maps], says_refined=bool(label))
        np.testing.assert_allclose(got, np.mean(expected), rtol=1e-6)


def test_least_squares_is_the_squared_distance_to_the_label():
    patches = losses.least_squares(np.float32([-3, -1, 0, 1, 3]))
    np.testing.assert_allclose(patches.as_refined, [4, 1, 0.25, 0, 1])
    np.testing.assert_allclose(patches.as_real, [1, 0, 0.25, 1, 4])
    np.testing.assert_allclose(patches.probability, [0, 0, 0.5, 1, 1])


@pytest.mark.parametrize("name", REALISM)
def test_realism_loss_falls_as_patches_become_real_and_never_goes_flat(name):
    realism = realism_loss(name)
    values = [float(patch_loss(realism, [logits([[[m]]])], says_refined=False)) for m in (3.0, 1.0, 0.0, -1.0)]
    assert values == sorted(values, reverse=True) and len(set(values)) == 4
    assert float(realism(np.float32(0.0)).probability) == 0.5


@pytest.mark.parametrize("name", REALISM)
def test_realism_loss_is_a_mean_over_patches_faces_and_patch_sizes(name):
    realism = realism_loss(name)
    one = patch_loss(realism, [logits(np.full((1, 1, 1), 0.3))], True)
    many = patch_loss(realism, [logits(np.full((5, 4, 4), 0.3)), logits(np.full((5, 9, 9), 0.3))], True)
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


def term(name, refined, synthetic, hold=EVERYWHERE):
    return float(self_regularisation({name: 1.0}, refined, synthetic, hold))


@pytest.mark.parametrize("name", TERMS)
def test_self_regularisation_does_not_depend_on_size_batch_or_channels(name):
    def value(n, size, channels):
        change = stripes(n, size, channels)
        return term(name, change, np.zeros_like(change))

    reference = value(2, 64, 3)
    assert reference > 0.05
    for shape in ((8, 64, 3), (2, 64, 1), *([(2, 128, 3)] if name != "high_pass" else [])):
        np.testing.assert_allclose(value(*shape), reference, rtol=0.03)


def test_the_high_pass_means_the_same_for_a_face_at_every_size():
    small = np.random.default_rng(0).normal(size=(2, 64, 64, 3)).astype(np.float32)
    large = small.repeat(2, axis=1).repeat(2, axis=2)  # the same change of the same face, at 128 px
    assert term("high_pass", large, 0 * large) == pytest.approx(term("high_pass", small, 0 * small), rel=0.03)


def test_the_terms_have_their_known_values():
    change = np.full((2, 32, 32, 3), 0.5, np.float32)
    zero = np.zeros_like(change)
    got = {name: term(name, change, zero) for name in TERMS}
    assert got == pytest.approx({"l1": 0.5, "l2": 0.25, "channel_mean": 0.5, "gradient": 0, "high_pass": 0}, abs=1e-6)
    opposite = np.stack([change[..., 0], -change[..., 0], zero[..., 0]], axis=-1)  # a tint of no brightness
    assert term("channel_mean", opposite, zero) == pytest.approx(0, abs=1e-6)
    # 31 of 32 columns differ from their neighbour by 0.5; half of the sum is of the rows, which do not differ.
    assert term("gradient", stripes(2, 32, 3), zero) == pytest.approx(0.25 * 31 / 32, abs=1e-6)
    # Under a 9-pixel blur a stripe of 0.5 keeps 5/9 of itself, a gap gets 4/9: both are 2/9 off.
    striped = stripes(2, 64, 3)
    assert term("high_pass", striped, 0 * striped) == pytest.approx(2 / 9, abs=0.005)


@pytest.mark.parametrize("name", TERMS)
def test_a_weight_of_the_map_means_the_same_for_every_term(name):
    # Half of the picture weighs 0.25: whatever the term makes of the change, so much of it must be left.
    change = stripes(2, 64, 3)
    hold = np.ones((2, 64, 64, 1), np.float32)
    hold[:, :32] = 0.25
    whole = term(name, change, 0 * change)
    assert term(name, change, 0 * change, hold) == pytest.approx((1 + 0.25) / 2 * whole, rel=0.02)
    assert term(name, change, 0 * change, 0.25 * EVERYWHERE) == pytest.approx(0.25 * whole)


def test_the_map_is_averaged_to_the_places_of_feature_maps():
    picture = keras.Input((None, None, 1))
    coarse = keras.Model(picture, keras.layers.AveragePooling2D(4)(picture))
    change = np.ones((1, 16, 16, 1), np.float32)
    hold = np.zeros((1, 16, 16, 1), np.float32)
    hold[:, :, :8] = 1.0
    got = float(self_regularisation({"features": 1.0}, change, 0 * change, hold, coarse))
    assert got == pytest.approx(0.5, abs=0.01)


def test_the_lambdas_weigh_the_sum_and_zero_leaves_a_term_out():
    change = np.full((1, 8, 8, 1), 0.5, np.float32)
    weights = {"l1": 2.0, "l2": 4.0, "features": 0.0}  # without an extractor, the features would be an error
    got = float(self_regularisation(weights, change, 0 * change, EVERYWHERE))
    assert got == pytest.approx(2 * 0.5 + 4 * 0.25)


def test_the_feature_term_loads_a_local_weights_file_and_is_zero_for_equal_pictures(tmp_path):
    network = keras.applications.MobileNet(include_top=False, weights=None)
    network.save_weights(tmp_path / "mobilenet.weights.h5")
    pictures = np.random.default_rng(0).uniform(-1, 1, (2, 32, 32, 3)).astype(np.float32)
    for channels in (3, 1):
        file = str(tmp_path / "mobilenet.weights.h5")
        extractor = build_feature_extractor("MobileNet", "conv_pw_1_relu", file, channels)
        faces = pictures[..., :channels]
        same, other = (
            float(self_regularisation({"features": 1.0}, faces, synthetic, EVERYWHERE, extractor))
            for synthetic in (faces, -faces)
        )
        assert same == 0 and other > 0


def test_a_feature_network_or_layer_that_is_not_there_is_named():
    with pytest.raises(ValueError, match="VGG17.*only.*VGG16"):
        build_feature_extractor("VGG17", "", None, 3)
    with pytest.raises(ValueError, match="nowhere.*only.*conv1_relu"):
        build_feature_extractor("MobileNet", "nowhere", None, 3)


def blob(size: int, width: float, height: float = 0.2) -> np.ndarray:
    """A spot of the given width, in shares of the side, in the middle: float32 [1, size, size, 3]."""
    places = (np.arange(size) + 0.5) / size - 0.5
    spot = np.exp(-(places[:, None] ** 2 + places**2) / 2 / width**2)
    return np.repeat((height * spot / spot.sum() * size**2 * width**2)[None, ..., None], 3, axis=-1).astype(np.float32)


def held_by_the_band(change, head=None) -> float:
    head = np.ones((*change.shape[:3], 1), np.float32) if head is None else head
    return float(self_regularisation({"band": 1.0}, change, 0 * change, EVERYWHERE, areas={"head": head}))


def test_the_band_holds_blotches_and_scratches_and_leaves_grain_and_slow_light_free():
    blotch = blob(64, 0.08)
    grain = np.abs(blotch).mean() * np.sign(np.random.default_rng(0).normal(size=blotch.shape)).astype(np.float32)
    light = np.full_like(blotch, np.abs(blotch).mean())
    assert held_by_the_band(blotch) > 3 * held_by_the_band(grain)
    scratch = np.zeros_like(blotch)  # of the strength of the grain, summed, but all of it in one line
    scratch[:, 20:44, 30] = np.abs(blotch).sum() / 24 / 3
    assert held_by_the_band(scratch) > 50 * held_by_the_band(grain)
    assert held_by_the_band(blotch) > 10 * held_by_the_band(light)


def test_the_band_holds_within_the_head_only_and_needs_one():
    blotch, head = blob(64, 0.08), np.zeros((1, 64, 64, 1), np.float32)
    assert held_by_the_band(blotch, head) == pytest.approx(0, abs=1e-6)
    assert float(self_regularisation({"band": 1.0}, blotch, 0 * blotch, EVERYWHERE)) == 0


def test_the_band_forgives_a_few_strong_spots_less_than_many_weak_ones():
    strong = held_by_the_band(blob(64, 0.08, height=6.0))
    assert strong > 3.3 * held_by_the_band(blob(64, 0.08, height=2.0))


def test_the_band_means_the_same_at_every_size():
    assert held_by_the_band(blob(128, 0.08)) == pytest.approx(held_by_the_band(blob(64, 0.08)), rel=0.1)


def held_by_the_tint(change, colours=EVERYWHERE) -> float:
    return float(self_regularisation({"tint": 1.0}, change, 0 * change, EVERYWHERE, areas={"colours": colours}))


def test_the_tint_holds_a_complexion_and_leaves_fine_light_free():
    light = np.full((1, 64, 64, 3), 0.2, np.float32)
    grain = light * np.sign(np.random.default_rng(0).normal(size=(1, 64, 64, 1))).astype(np.float32)
    fine_colour = grain * np.array([1, 0, -1], np.float32)
    assert held_by_the_tint(grain) < 0.1 * held_by_the_tint(light)
    assert held_by_the_tint(fine_colour) > 0.5 * held_by_the_tint(light)
    assert held_by_the_tint(grain[..., :1]) < 0.1 * held_by_the_tint(light[..., :1])  # gray


def test_the_tint_leaves_colours_outside_of_its_area_free_and_needs_one():
    colour = np.full((1, 64, 64, 3), 0.2, np.float32) * np.array([1, 0, -1], np.float32)
    assert held_by_the_tint(colour, 0 * EVERYWHERE) == pytest.approx(0, abs=1e-6)
    assert float(self_regularisation({"tint": 1.0}, colour, 0 * colour, EVERYWHERE)) == 0


def test_the_room_is_held_where_it_is_and_small_changes_cost_next_to_nothing():
    change = np.full((1, 64, 64, 3), 0.2, np.float32)
    where = np.zeros((1, 64, 64, 1), np.float32)
    where[:, :32] = 1

    def held(change):
        return float(self_regularisation({"room": 1.0}, change, 0 * change, EVERYWHERE, areas={"room": where}))

    assert held(change) == pytest.approx(0.5 * 0.04) and held(change * where) == pytest.approx(held(change))
    assert held(0.1 * change) == pytest.approx(0.01 * held(change), rel=1e-3)  # no kink at no change
    assert float(self_regularisation({"room": 1.0}, change, 0 * change, EVERYWHERE)) == 0
