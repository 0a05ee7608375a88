"""The realism numbers against answers that are known."""

import itertools
import json
from pathlib import Path

import keras
import numpy as np
import pytest
from textures import blurred, textures, tinted, to_pixels

from simrefine.data.images import fit_square, read_picture
from simrefine.errors import UserError
from simrefine.evaluation import realism
from simrefine.evaluation.realism import inception_features, measure_realism
from simrefine.evaluation.two_sample import two_sample_test
from simrefine.evaluation.verdict import reach_verdict
from simrefine.measures import realism as formulas
from simrefine.measures.realism import (
    check_enough,
    frechet_distance,
    kernel_distance,
    sharpness_within,
    sliced_wasserstein,
    statistics,
    statistics_gap,
    wasserstein_mean,
)

FACES = Path(__file__).parents[3] / "shared" / "faces"


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(formulas, "PATCHES", 2**12)
    monkeypatch.setattr(formulas, "DIRECTIONS", 128)


# Sliced Wasserstein distance


def test_the_levels_of_the_pyramid_add_up_to_the_picture_and_flat_pictures_have_no_detail():
    for size in (64, 50):  # 50: an odd side on the way down
        images = textures(2, 0, size)
        levels = formulas._laplacian_pyramid(images)
        total = levels[-1]
        for level in reversed(levels[:-1]):
            total = level + formulas._expand(total, level.shape)
        np.testing.assert_allclose(total, images, atol=1e-3)
        *details, coarse = formulas._laplacian_pyramid(np.full_like(images, 77))
        np.testing.assert_allclose(coarse, 77, atol=1e-4)
        assert all(np.abs(detail).max() < 1e-4 for detail in details)


def test_a_set_is_at_distance_0_from_itself_and_close_to_another_draw_at_every_level():
    a, b = textures(60, 0, 64), textures(80, 1, 64)
    assert sliced_wasserstein(a, a) == {64: 0, 32: 0, 16: 0}
    assert all(0 < distance < 60 for distance in sliced_wasserstein(a, b).values())


def test_the_distance_of_a_tint_is_the_tint_over_the_spread_of_the_reference():
    """On one level and with all channels shifted by t: mean |<d, t / std>| = t / std * sqrt(2 / pi) for random d."""
    b = np.random.default_rng(0).integers(60, 180, (40, 16, 16, 3)).astype(np.uint8)
    distance = sliced_wasserstein(b + np.uint8(8), b)[16]
    assert distance == pytest.approx(1e3 * 8 / b.std() * np.sqrt(2 / np.pi), rel=0.15)
    # Exchanged, sets of different spread have another distance: the reference gives the unit.
    flat = to_pixels((b.astype(float) - 120) / 4 + 120)
    assert sliced_wasserstein(b, flat)[16] > 3 * sliced_wasserstein(flat, b)[16]


def test_a_tint_of_8_gray_levels_is_told_apart_on_the_coarsest_level_alone():
    a, b = textures(60, 0), textures(60, 1)
    same, tint = sliced_wasserstein(a, b), sliced_wasserstein(tinted(a), b)
    assert tint[16] > 2 * same[16]
    assert tint[32] == pytest.approx(same[32], rel=0.2)


def check_ranking(images: np.ndarray, others: np.ndarray) -> None:
    noisy = to_pixels(images + np.random.default_rng(0).normal(0, 25, images.shape))
    blurry = to_pixels(blurred(images, 1))
    noise, blur, identity = (next(iter(sliced_wasserstein(each, others).values())) for each in (noisy, blurry, images))
    assert noise > 1.5 * blur > 2 * identity, (noise, blur, identity)


def test_noise_ranks_worse_than_blur_and_blur_worse_than_the_identity():
    images = textures(60, 0)
    check_ranking(images, images)
    check_ranking(images, textures(60, 1))


@pytest.mark.skipif(not FACES.is_dir(), reason=f"needs the faces in {FACES}")
def test_noise_ranks_worse_than_blur_and_blur_worse_than_the_identity_on_faces():
    files = sorted((FACES / "synthetic" / "val").glob("*.png"))[:60]
    faces = np.stack([fit_square(read_picture(file).pixels, 64) for file in files])
    check_ranking(faces, faces)
    check_ranking(faces[::2], faces[1::2])


# Statistics


def test_statistics_of_known_pictures():
    noise = np.random.default_rng(0).normal(0, 5, (4, 64, 64, 1))
    colour = np.array([200.0, 100.0, 50.0])
    numbers = statistics(to_pixels(colour + noise))  # the same noise in all channels: luma has it whole
    np.testing.assert_allclose(numbers["mean"], colour, atol=0.2)
    np.testing.assert_allclose(numbers["std"], 5, atol=0.2)
    assert numbers["contrast"] == pytest.approx(5, abs=0.2)
    assert numbers["noise"] == pytest.approx(5, abs=0.2)
    assert numbers["sharpness"] == pytest.approx(5 * np.sqrt(20) * np.sqrt(2 / np.pi), rel=0.03)
    assert numbers["saturation"] == pytest.approx(0.75, abs=0.01)
    flat = statistics(np.full((2, 8, 8, 1), 9, np.uint8))
    assert flat == {"mean": [9], "std": [0], "contrast": 0, "sharpness": 0, "noise": 0, "saturation": 0}


def test_sharpness_within_an_area_is_a_pictures_own_and_of_that_area_alone():
    images = np.full((2, 12, 12, 3), 100, np.uint8)
    images[0, ::2, :6] += 10  # stripes on the left: 2 x 10 off the mean of the rows above and below
    images[1, :, 6:] = np.random.default_rng(0).integers(0, 255, (12, 6, 3))
    left = np.zeros((2, 12, 12), bool)
    left[:, :, :5] = True
    assert sharpness_within(images, left) == pytest.approx([20, 0])
    everywhere = np.ones_like(left)
    assert sharpness_within(images, everywhere).mean() == pytest.approx(statistics(images)["sharpness"])
    assert (sharpness_within(images, ~everywhere) == 0).all()


def test_the_gap_says_in_gray_levels_and_ratios_what_was_changed():
    images = textures(20, 0)
    tint = statistics_gap(statistics(tinted(images)), statistics(images))
    assert tint["colour_gap"] == pytest.approx(np.sqrt(8**2 / 6), abs=0.05)  # one of three means and three deviations
    assert tint["sharpness_ratio"] == pytest.approx(1, abs=0.02)
    blur = statistics_gap(statistics(to_pixels(blurred(images, 1))), statistics(images))
    assert blur["sharpness_ratio"] < 0.6
    assert blur["noise_difference"] < 0
    flat = statistics(np.full_like(images, 99))
    assert statistics_gap(flat, flat)["sharpness_ratio"] is None


# FID and KID


def gaussian_sample(mean, covariance, n: int, seed: int) -> np.ndarray:
    """[n, d] whose sample mean and covariance are exactly these."""
    x = np.random.default_rng(seed).standard_normal((n, len(mean)))
    x -= x.mean(axis=0)
    x = x @ np.linalg.inv(np.linalg.cholesky(np.cov(x.T))).T
    return x @ np.linalg.cholesky(covariance).T + mean


def test_the_frechet_distance_of_gaussians_is_that_of_the_formula():
    s1, s2 = np.array([[2.0, 0.6], [0.6, 1.0]]), np.array([[1.0, -0.3], [-0.3, 3.0]])
    # For 2 x 2 matrices tr sqrt(M) = sqrt(tr M + 2 sqrt(det M)).
    root = np.sqrt(np.trace(s1 @ s2) + 2 * np.sqrt(np.linalg.det(s1 @ s2)))
    known = 1 + 4 + np.trace(s1 + s2) - 2 * root
    a, b = gaussian_sample([0, 0], s1, 50, 0), gaussian_sample([1, -2], s2, 70, 1)
    assert frechet_distance(a, b) == pytest.approx(known, rel=1e-9)
    assert frechet_distance(b, a) == pytest.approx(known, rel=1e-9)
    d1, d2 = np.diag([1.0, 4.0, 9.0]), np.diag([4.0, 4.0, 1.0])
    a, b = gaussian_sample(np.zeros(3), d1, 20, 0), gaussian_sample(np.ones(3), d2, 30, 1)
    assert frechet_distance(a, b) == pytest.approx(3 + (1 + 0 + 4), rel=1e-9)


def test_the_frechet_distance_of_a_set_to_itself_is_0_also_with_fewer_pictures_than_features():
    features = np.random.default_rng(0).standard_normal((20, 100)).astype(np.float32)
    assert frechet_distance(features, features) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(features, features + 2) == pytest.approx(4 * 100, rel=1e-6)


def test_the_kernel_distance_is_the_mean_over_pairs_of_different_pictures():
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((4, 3)), rng.standard_normal((4, 3)) + 1

    def mean_kernel(pairs):
        return np.mean([(x @ y / 3 + 1) ** 3 for x, y in pairs])

    known = (
        mean_kernel(itertools.permutations(a, 2))
        + mean_kernel(itertools.permutations(b, 2))
        - 2 * mean_kernel(itertools.product(a, b))
    )
    mean, std = kernel_distance(a, b)  # the subsets are the whole sets
    assert mean == pytest.approx(known)
    assert std == pytest.approx(0, abs=1e-9)


def test_the_kernel_distance_is_unbiased():
    rng = np.random.default_rng(0)
    values = [kernel_distance(*rng.standard_normal((2, 20, 4)), subset=20)[0] for _ in range(100)]
    assert abs(np.mean(values)) < 3 * np.std(values) / np.sqrt(len(values))
    assert kernel_distance(rng.standard_normal((200, 4)), rng.standard_normal((150, 4)) + 1)[0] > 1


def test_inception_sees_299_px_of_three_channels_in_its_range(monkeypatch):
    def pooled(include_top, pooling, weights):
        picture = keras.Input((299, 299, 3))
        return keras.Model(picture, keras.layers.GlobalMaxPooling2D()(picture))

    monkeypatch.setattr(keras.applications, "InceptionV3", pooled)
    images = np.stack([np.full((16, 20, 1), level, np.uint8) for level in (0, 51, 255)])
    np.testing.assert_allclose(inception_features(images), np.repeat([[-1.0], [-0.6], [1.0]], 3, axis=1), atol=1e-5)


def test_missing_inception_weights_are_an_error_that_says_where_to_get_them(monkeypatch, tmp_path):
    def offline(**_):
        raise Exception("URL fetch failure")

    images = textures(2, 0, 16)
    with pytest.raises(UserError, match=r"none\.h5.*no such file.*--weights"):
        inception_features(images, str(tmp_path / "none.h5"))
    monkeypatch.setattr(keras.applications, "InceptionV3", offline)
    with pytest.raises(UserError, match=r"imagenet.*URL fetch failure.*--weights"):
        inception_features(images)


# All together


def test_the_measures_of_raw_and_refined_come_as_json_and_favour_the_closer_set(monkeypatch):
    monkeypatch.setattr(realism, "inception_features", lambda images, weights: images.mean(axis=(1, 2)))
    monkeypatch.setattr(realism, "lite_features", lambda images: images.mean(axis=(1, 2)))
    real, refined = textures(60, 0), textures(60, 1)
    raw = tinted(to_pixels(blurred(refined, 1)))
    parts = ("swd", "statistics", "fid", "kid")
    result = measure_realism(raw, refined, real, parts=parts, groups_real=[i // 2 for i in range(60)])
    assert json.loads(json.dumps(result)) == result
    assert list(result["raw"]["swd"]) == ["32", "16", "mean"]
    assert result["raw"]["swd"]["mean"] == pytest.approx(wasserstein_mean(sliced_wasserstein(raw, real)))
    assert result["refined"]["swd"]["mean"] < 2 * result["real"]["swd"]["mean"] < result["raw"]["swd"]["mean"]
    assert result["refined"]["gap"]["colour_gap"] < result["raw"]["gap"]["colour_gap"]
    assert result["refined"]["fid"] < result["raw"]["fid"]
    assert result["refined"]["kid"]["mean"] < result["raw"]["kid"]["mean"] > result["real"]["kid"]["mean"]


def test_what_one_change_of_colours_does_is_never_called_a_help_of_the_refiner():
    """As after two steps of training: nearer to photographs and harder to tell from them, and all of it is colour."""
    real, raw = tinted(textures(60, 0), 60), to_pixels(blurred(textures(60, 1), 1))
    refined = to_pixels(0.9 * tinted(raw, 60) + 10)
    swd = measure_realism(raw, refined, real, parts=("kid", "swd", "statistics"))
    aucs = {"raw": (0.99, 0.97, 1.0), "recoloured": (0.8, 0.75, 0.85), "refined": (0.79, 0.74, 0.84)}
    for name, (auc, low, high) in aucs.items():
        swd[name]["auc"] = {"auc": auc, "low": low, "high": high}
    assert swd["refined"]["swd"]["mean"] < 0.7 * swd["raw"]["swd"]["mean"]
    assert swd["refined"]["kid"]["mean"] < 0.9 * swd["raw"]["kid"]["mean"]
    assert reach_verdict({"realism": swd})["helped"] is False
    sharper = measure_realism(raw, real, real, parts=("kid", "swd", "statistics"))
    for name in aucs:
        sharper[name]["auc"] = swd[name]["auc"] | {"auc": {"refined": 0.5}.get(name, aucs[name][0])}
    assert reach_verdict({"realism": sharper})["helped"] is True  # the measure can tell


def test_sets_that_are_too_small_for_a_statistic_are_an_error_that_names_set_and_count():
    few, many = textures(9, 0, 16), textures(30, 1, 16)
    with pytest.raises(UserError, match="the refined set, for swd: 9, at least 10 are needed"):
        measure_realism(many, few, many, parts=("swd",))
    with pytest.raises(UserError, match="the raw set, for auc: 9, at least 20"):
        measure_realism(few, many, many, parts=("auc",))
    with pytest.raises(UserError, match="the raw set, for fid: 30, at least 50"):
        measure_realism(many, many, many, parts=("statistics", "fid"))
    with pytest.raises(UserError, match="the photos: 0, at least 1 are needed"):
        check_enough(few[:0], 1, "the photos")
    with pytest.raises(UserError, match="unknown part of realism 'ssim'"):
        measure_realism(many, many, many, parts=("ssim",))


@pytest.mark.parametrize("measure", [sliced_wasserstein, two_sample_test])
def test_sets_of_different_shapes_are_an_error_that_names_them(measure):
    with pytest.raises(UserError, match="16 x 16 px with 3 channels and 20 x 20 px with 3 channels"):
        measure(textures(2, 0, 16), textures(2, 0, 20))


def test_pictures_too_small_for_the_pyramid_are_an_error():
    with pytest.raises(UserError, match="12 x 12 px are too small.*at least 16 px"):
        sliced_wasserstein(textures(2, 0, 12), textures(2, 0, 12))
