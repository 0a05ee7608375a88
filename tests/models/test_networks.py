"""The networks are the published ones, start where they should and treat every patch alike."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from tiny import tiny_config

from simrefine.catalogue import DISCRIMINATORS, REFINERS
from simrefine.models.losses import margin
from simrefine.models.networks import Doubling, build_discriminator, build_refiner, judge

CHANNELS = (1, 3)


def refiner(name, channels=3, **options):
    config = tiny_config(refiner__name=name, data__channels=channels, **options)
    return build_refiner(config.refiner, channels, "float32", seed=0)


def random_pictures(n, size, channels, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, (n, size, size, channels)).astype(np.float32)


@pytest.mark.parametrize("channels", CHANNELS)
@pytest.mark.parametrize("name", REFINERS)
def test_a_new_residual_refiner_is_the_identity(name, channels):
    pictures = random_pictures(2, 16, channels)
    np.testing.assert_array_equal(refiner(name, channels)(pictures), pictures)


@pytest.mark.parametrize("name", REFINERS)
def test_a_refiner_that_draws_the_face_itself_does_not_start_as_the_identity(name):
    pictures = random_pictures(2, 16, 3)
    refined = np.asarray(refiner(name, refiner__residual=False)(pictures))
    assert np.abs(refined - pictures).mean() > 0.05 and np.abs(refined).max() <= 1


@pytest.mark.parametrize("name", REFINERS)
def test_a_residual_never_changes_more_than_its_bound(name):
    network = refiner(name, refiner__bound=0.25)
    for variable in network.variables:
        variable.assign(np.random.default_rng(0).normal(0, 5, variable.shape))
    pictures = random_pictures(2, 16, 3)
    change = np.abs(np.asarray(network(pictures)) - pictures)
    assert 0.2 < change.max() <= 0.2501


@pytest.mark.parametrize("channels", CHANNELS)
@pytest.mark.parametrize("name", DISCRIMINATORS)
def test_logits_are_two_linear_numbers_a_patch(name, channels):
    network = build_discriminator(name, channels, "float32", seed=0)
    for logits in judge(network, random_pictures(4, 64, channels)):
        assert logits.shape[-1] == 2 and logits.dtype == "float32"
        assert np.asarray(logits).min() < 0 < np.asarray(logits).max(), "a (leaky) ReLU on the logits"


@pytest.mark.parametrize("name", [*REFINERS, *DISCRIMINATORS])
def test_no_network_has_batch_norm_or_a_transposed_convolution(name):
    network = refiner(name) if name in REFINERS else build_discriminator(name, 3, "float32", 0)
    assert not [each for each in network.layers if isinstance(each, keras.layers.BatchNormalization)]
    assert not [each for each in network.layers if isinstance(each, keras.layers.Conv2DTranspose)]


@pytest.mark.parametrize("name", DISCRIMINATORS)
def test_each_decision_sees_the_patch_that_the_catalogue_states(name):
    network = build_discriminator(name, 1, "float32", seed=0)
    # Many pictures, because a max-pooling or a ReLU lets only some of them through.
    largest = max(DISCRIMINATORS[name].patches)
    pictures = tf.constant(random_pictures(24, 160, 1) if largest < 160 else random_pictures(2, 480, 1))
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(pictures)
        middles = [maps[:, maps.shape[1] // 2, maps.shape[2] // 2, 0] for maps in judge(network, pictures)]
    for middle, patch in zip(middles, DISCRIMINATORS[name].patches, strict=True):
        seen = np.abs(tape.gradient(middle, pictures).numpy()).sum(axis=(0, 1, 3)) > 0
        assert seen.sum() == patch


@pytest.mark.parametrize("name", DISCRIMINATORS)
def test_a_change_in_one_corner_moves_the_decisions_of_that_corner_only(name):
    # The ports that flattened [n, 2, h, w] paired neighbouring places as if they were the two classes.
    network = build_discriminator(name, 3, "float32", seed=0)
    plain = random_pictures(1, 160, 3)
    changed = plain.copy()
    changed[:, :8, :8] = -changed[:, :8, :8]
    maps = zip(judge(network, plain), judge(network, changed), DISCRIMINATORS[name].patches, strict=True)
    for before, after, patch in maps:
        if patch > 160:
            continue  # all of its decisions see that corner
        moved = np.abs(np.asarray(margin(after) - margin(before)))[0]
        half = len(moved) // 2
        assert moved[0, 0] > 0 and moved[half:].max() < 1e-5 and moved[:, half:].max() < 1e-5


def test_the_papers_networks_have_the_papers_number_of_weights():
    config = tiny_config(refiner__name="resnet", refiner__width=64, refiner__blocks=4, data__channels=1)
    assert round(build_refiner(config.refiner, 1, "float32", 0).count_params(), -3) == 296_000
    assert round(build_discriminator("eyes", 1, "float32", 0).count_params(), -3) == 76_000
    assert round(build_discriminator("hands", 1, "float32", 0).count_params(), -3) == 178_000


@pytest.mark.parametrize("name", REFINERS)
def test_bfloat16_layers_end_in_a_float32_picture(name):
    config = tiny_config(refiner__name=name)
    network = build_refiner(config.refiner, 3, "mixed_bfloat16", seed=0)
    assert network(random_pictures(1, 16, 3)).dtype == "float32"
    assert {layer.compute_dtype for layer in network.layers if isinstance(layer, keras.layers.Conv2D)} == {
        "bfloat16",
        "float32",
    }


@pytest.mark.parametrize("name", REFINERS)
def test_the_same_seed_gives_the_same_weights_and_layers_differ(name):
    one, other, another = (
        build_refiner(tiny_config(refiner__name=name).refiner, 3, "float32", seed) for seed in (0, 0, 1)
    )
    # The last kernel is zero in all of them.
    kernels, same, others = (
        [np.asarray(v) for v in network.variables if v.name == "kernel"][:-1] for network in (one, other, another)
    )
    for a, b, c in zip(kernels, same, others, strict=True):
        np.testing.assert_array_equal(a, b)
        assert (a != c).any()
    assert len({kernel.tobytes() for kernel in kernels}) == len(kernels)


def test_doubling_is_bilinear_for_sides_unknown_beforehand():
    picture = keras.Input((None, None, 2))
    double = keras.Model(picture, Doubling()(picture))
    across = np.array([0.0, 4.0, 4.0], np.float32)
    down = np.array([2.0, 0.0], np.float32)
    pictures = np.stack([down[:, None] * across, down[:, None] + 0 * across], axis=-1)[None]
    expected = np.outer([2.0, 1.5, 0.5, 0.0], [0.0, 1.0, 3.0, 4.0, 4.0, 4.0])
    np.testing.assert_allclose(np.asarray(double(pictures))[0, ..., 0], expected, atol=1e-6)
    assert double.output_shape == (None, None, None, 2)


def test_what_the_discriminator_looks_through_never_moves():
    network = build_discriminator("projected", 3, "float32", seed=0)
    looked_through = network.get_layer("pretrained")
    moved = {id(variable) for variable in network.trainable_variables}
    assert looked_through.variables and moved
    assert not moved & {id(variable) for variable in looked_through.variables}


def test_small_pictures_are_doubled_for_what_the_discriminator_looks_through():
    network = build_discriminator("projected", 3, "float32", seed=0)
    sides = {size: [maps.shape[1] for maps in judge(network, random_pictures(1, size, 3))] for size in (64, 128)}
    assert sides == {64: [16, 32, 16, 8], 128: [32, 32, 16, 8]}


@pytest.mark.parametrize("name", [*REFINERS, *DISCRIMINATORS])
def test_with_mirrored_borders_a_network_cannot_tell_where_a_plain_picture_ends_and_with_zeros_it_can(name):
    plain = np.full((1, 64, 64, 3), 0.3, np.float32)

    def unevenness(borders):
        if name in REFINERS:
            network = refiner(name, refiner__borders=borders, refiner__residual=False)
            return np.asarray(network(plain)).std(axis=(1, 2)).max()
        network = build_discriminator(name, 3, "float32", 0, borders)
        # The pretrained maps of "projected" are padded as they were trained: its own tower is asked alone.
        return np.asarray(judge(network, plain)[0]).std(axis=(1, 2)).max()

    assert unevenness("mirrored") < 1e-4 < 0.002 < unevenness("zeros")
