import dataclasses

import keras
import numpy as np
import pytest
from tiny_people import NETWORKS, small_config

from simrefine.catalogue import PARTS
from simrefine.models import generator_losses as losses
from simrefine.models.generator import (
    LocalGenerators,
    build_face_discriminator,
    build_generator,
    build_mapping,
    coarse_side,
    player_builders,
)

OPTIONS = small_config().generator
ONE_DECODER = dataclasses.replace(OPTIONS, parts=False)


def codes(options, n=2, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal((n, *code.shape[1:]), np.float32) for code in build_mapping(options, 0).outputs]


@pytest.mark.parametrize("options", [OPTIONS, ONE_DECODER], ids=["parts", "one decoder"])
@pytest.mark.parametrize("size", [16, 64, 128])
def test_a_face_comes_with_its_parts_at_every_size(options, size):
    network = build_generator(options, size, 3, "float32", 0)
    picture, logits, coarse = network([*codes(options), np.float32([[1, 0], [0, 1]])])
    side = coarse_side(size)
    assert picture.shape == (2, size, size, 3) and np.abs(picture).max() <= 1
    assert logits.shape == (2, size, size, len(PARTS)) and coarse.shape == (2, side, side, len(PARTS))
    np.testing.assert_allclose(np.sum(coarse, axis=-1), 1, atol=1e-5)


def test_the_look_of_a_photograph_is_another_than_that_of_a_render():
    network = build_generator(OPTIONS, 16, 3, "float32", 0)
    render, photograph = (
        np.asarray(network([*codes(OPTIONS), np.float32([look] * 2)])[0]) for look in ([1, 0], [0, 1])
    )
    assert np.abs(render - photograph).max() > 1e-3


def test_a_part_changes_nothing_where_it_is_not_seen():
    layer, hair = LocalGenerators(OPTIONS, 8, seed=0, dtype="float32"), PARTS.index("hair")
    base, shape, texture = codes(OPTIONS)
    before, depths = (np.asarray(values) for values in layer([base, shape, texture]))
    other = texture.copy()
    other[:, hair] += 1
    after, same_depths = (np.asarray(values) for values in layer([base, shape, other]))
    np.testing.assert_array_equal(depths, same_depths)  # a texture moves no outline
    assert np.abs(after - before).max() > 1e-3
    _, bias = layer.to_depth
    bias.assign(np.asarray(bias) - 100 * (np.arange(len(PARTS)) == hair)[:, None, None])  # far behind all others
    before, after = (np.asarray(layer([base, shape, given])[0]) for given in (texture, other))
    np.testing.assert_allclose(before, after, atol=1e-6)


def test_a_part_that_is_moved_by_the_base_code_is_drawn_elsewhere():
    layer = LocalGenerators(OPTIONS, 8, seed=0, dtype="float32")
    given = codes(OPTIONS, n=1)
    still = np.asarray(layer(given)[1])
    _, bias = layer.place
    shift = np.zeros((len(PARTS), 2, 3), np.float32)
    shift[:, 0, 2] = 0.5  # a cell of 8 is a quarter of [-1, 1], and half of what the code says is taken
    bias.assign(shift.reshape(bias.shape))
    np.testing.assert_allclose(np.asarray(layer(given)[1])[:, :, :-1], still[:, :, 1:], atol=1e-4)


def test_identities_are_unit_vectors_and_networks_of_one_seed_are_alike():
    once, again = (
        {name: build() for name, build in player_builders(OPTIONS, 3, 16, 3, "float32", 5).items()} for _ in "ab"
    )
    faces = np.random.default_rng(0).uniform(-1, 1, (2, 16, 16, 3)).astype(np.float32)
    np.testing.assert_allclose(np.linalg.norm(once["identity"](faces), axis=1), 1, atol=1e-5)
    for name, network in once.items():
        for one, other in zip(network.variables, again[name].variables, strict=True):
            np.testing.assert_array_equal(np.asarray(one), np.asarray(other))


def test_every_size_option_changes_a_network():
    def shapes(options):
        networks = [build() for build in player_builders(options, 3, 16, 3, "float32", 0).values()]
        networks.append(build_face_discriminator(options, 16, 3, "float32", 0))
        return [tuple(variable.shape) for network in networks for variable in network.variables]

    plain = shapes(OPTIONS)
    for key in NETWORKS:
        name = key.partition(".")[2]
        assert shapes(dataclasses.replace(OPTIONS, **{name: getattr(OPTIONS, name) + 2})) != plain, name


def test_the_divergence_is_that_of_normal_distributions():
    zeros = np.zeros((1, 3), np.float32)
    assert np.allclose(losses.divergence(zeros, zeros), 0)
    assert np.allclose(losses.divergence(zeros + 2, zeros), 2)  # mean^2 / 2
    assert np.allclose(losses.divergence(zeros, zeros + np.float32(np.log(4))), (4 - np.log(4) - 1) / 2)


def test_losses_do_not_depend_on_the_number_of_pixels_faces_or_features():
    rng = np.random.default_rng(0)
    for n, side, width in ((2, 4, 8), (6, 16, 64)):
        made, ones = np.full((n, side, side, 3), 0.5, np.float32), np.ones((n, side, side, 1), np.float32)
        assert np.allclose(losses.reconstruction(made, made - 0.25, ones), 0.25)
        assert np.allclose(losses.squared_distance(np.ones((n, width)), np.zeros((n, width))), 1)
        logits, parts = np.zeros((n, side, side, 8), np.float32), np.eye(8)[rng.integers(8, size=(n, side, side))]
        assert np.allclose(losses.cross_entropy(logits, parts.astype(np.float32), ones), np.log(8))


def test_where_no_part_is_known_no_part_is_asked_for():
    logits = np.random.default_rng(0).standard_normal((2, 4, 4, 8)).astype(np.float32)
    assert np.allclose(losses.cross_entropy(logits, np.zeros_like(logits), np.ones_like(logits[..., :1])), 0)


def test_the_slope_is_that_of_the_gradient():
    rng, gradient = np.random.default_rng(0), np.float32([3, 4])
    x, moves = (rng.standard_normal((20_000, 2)).astype(np.float32) for _ in range(2))
    found = losses.slope(x @ gradient, (x + 0.1 * moves) @ gradient, 0.1)
    assert float(found) == pytest.approx(25, rel=0.05)


def test_a_running_mean_is_a_mean_at_first_and_then_forgets():
    mean = np.float32(0)
    for step, value in enumerate([1.0, 3.0, 5.0]):
        mean = losses.running(mean, np.float32(value), np.float32(step))
    assert float(mean) == pytest.approx(3)
    assert float(losses.running(0.0, 1.0, np.float32(1000))) == pytest.approx(0.1)


def test_the_discriminator_has_an_output_a_domain():
    network = build_face_discriminator(OPTIONS, 16, 3, "float32", 0)
    features, logits = network([np.zeros((2, 16, 16, 3)), np.zeros((2, 8, 8, len(PARTS)))])
    assert features.shape == (2, OPTIONS.judged) and logits.shape == (2, 2)
    assert keras.backend.standardize_dtype(logits.dtype) == "float32"
