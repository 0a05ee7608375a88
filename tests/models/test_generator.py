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
    fourier_features,
    judge_faces,
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


def layout_and_codes(side=8, n=2):
    layout = np.random.default_rng(1).standard_normal((n, side, side, 5), np.float32)
    return [layout, *codes(OPTIONS, n)[1:]]


def test_a_part_changes_nothing_where_it_is_not_seen():
    layer, hair = LocalGenerators(OPTIONS, 8, seed=0, dtype="float32"), PARTS.index("hair")
    layout, shape, texture = layout_and_codes()
    before, depths = (np.asarray(values) for values in layer([layout, shape, texture]))
    other = texture.copy()
    other[:, hair] += 1
    after, same_depths = (np.asarray(values) for values in layer([layout, shape, other]))
    np.testing.assert_array_equal(depths, same_depths)  # a texture moves no outline
    assert np.abs(after - before).max() > 1e-3
    _, bias = layer.to_depth
    bias.assign(np.asarray(bias) - 100 * (np.arange(len(PARTS)) == hair)[:, None, None])  # far behind all others
    before, after = (np.asarray(layer([layout, shape, given])[0]) for given in (texture, other))
    np.testing.assert_allclose(before, after, atol=1e-6)


def test_a_place_is_drawn_from_what_the_layout_has_there_and_nowhere_else():
    layer, (layout, *others) = LocalGenerators(OPTIONS, 8, seed=0, dtype="float32"), layout_and_codes()
    before = np.asarray(layer([layout, *others])[0])
    layout[0, 2, 3] += 1
    changed = np.abs(np.asarray(layer([layout, *others])[0]) - before).max(axis=-1) > 1e-6
    assert changed[0, 2, 3] and changed.sum() == 1


def test_the_waves_tell_every_place_from_every_other():
    waves = fourier_features(8)
    apart = np.abs(waves[:, None] - waves[None]).max(axis=-1) + np.eye(64)
    assert len(waves) == 64 and apart.min() > 0.01


def test_identities_are_unit_vectors_and_networks_of_one_seed_are_alike():
    once, again = (
        {name: build() for name, build in player_builders(OPTIONS, 16, 3, "float32", 5).items()} for _ in "ab"
    )
    faces = np.random.default_rng(0).uniform(-1, 1, (2, 16, 16, 3)).astype(np.float32)
    np.testing.assert_allclose(np.linalg.norm(once["identity"](faces), axis=1), 1, atol=1e-5)
    for name, network in once.items():
        for one, other in zip(network.variables, again[name].variables, strict=True):
            np.testing.assert_array_equal(np.asarray(one), np.asarray(other))


def test_every_size_option_changes_a_network(pooled_pixels):
    def shapes(options):
        networks = [build() for build in player_builders(options, 16, 3, "float32", 0).values()]
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
    found = losses.slope([x @ gradient], [(x + 0.1 * moves) @ gradient], 0.1)
    assert float(found) == pytest.approx(25, rel=0.05)


def test_a_running_mean_is_a_mean_at_first_and_then_forgets():
    mean = np.float32(0)
    for step, value in enumerate([1.0, 3.0, 5.0]):
        mean = losses.running(mean, np.float32(value), np.float32(step))
    assert float(mean) == pytest.approx(3)
    assert float(losses.running(0.0, 1.0, np.float32(1000))) == pytest.approx(0.1)


@pytest.mark.parametrize("size", [16, 64, 128])
def test_the_discriminator_has_an_output_a_domain_at_three_scales(size):
    network, side = build_face_discriminator(OPTIONS, size, 3, "float32", 0), coarse_side(size)
    said = judge_faces(network, np.zeros((2, size, size, 3)), np.zeros((2, side, side, len(PARTS))))
    assert said.features.shape == (2, OPTIONS.judged)
    assert [tuple(logits.shape) for logits in said.logits] == [
        (2, size // 4, size // 4, 2),
        (2, size // 8, size // 8, 2),
        (2, 1, 1, 2),
    ]
    assert [seen.shape[1] for seen in said.maps] == [size // 4, size // 8, size // 16]
    assert all(keras.backend.standardize_dtype(logits.dtype) == "float32" for logits in said.logits)


def test_a_scale_of_many_patches_counts_as_much_as_the_one_decision():
    many, one = np.ones((2, 4, 4), np.float32), np.full((2, 1, 1), 3, np.float32)
    assert float(losses.over_scales(lambda logits: logits, [many, one])) == pytest.approx(2)


def test_the_contrast_is_least_where_faces_of_one_person_are_alike_and_others_are_not():
    people = np.int32([0, 0, 1, 1])
    one, two = np.eye(2, dtype=np.float32)
    right, wrong = (float(losses.contrast(np.stack(faces), people)) for faces in ([one, one, two, two], [one, two] * 2))
    undecided = float(losses.contrast(np.stack([one] * 4), people))
    assert right < 1e-3 and undecided == pytest.approx(np.log(3), rel=1e-4) and wrong > 5
