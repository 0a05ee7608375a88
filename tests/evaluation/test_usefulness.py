"""The worth of a set is measured rightly: the numbers, the training, the label adaptation and the baselines."""

import json
from functools import partial

import cv2
import numpy as np
import pytest

from simrefine.data.images import GRAY_LEVELS, to_signed
from simrefine.data.points import mirror_order
from simrefine.data.styles import read_styles
from simrefine.errors import UserError
from simrefine.evaluation.baselines import augment_photometric, match_and_degrade, match_colours
from simrefine.evaluation.usefulness import (
    LabelledSet,
    augment,
    fit_adaptation,
    gap_closed,
    hold_out,
    measure_usefulness,
    nme,
    train_classifier,
    train_landmarks,
)
from simrefine.randomness import generator

SIZE = 24  # px; no multiple of the network's stride, so pictures are padded


def draw_faces(n: int, seed: int = 0, channels: int = 3) -> LabelledSet:
    """Discs with two dark eyes and a bright mouth, at points [n, 3, 2]."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:SIZE, :SIZE] + 0.5
    images, points = [], []
    for _ in range(n):
        centre, scale = rng.uniform(0.4, 0.6, 2) * SIZE, rng.uniform(0.8, 1.2)
        places = centre + scale * np.array([[-4.0, -3], [4, -3], [0, 4]])
        image = np.broadcast_to(rng.uniform(60, 110, channels), (SIZE, SIZE, channels)).copy()
        image[np.hypot(x - centre[0], y - centre[1]) < 8 * scale] = rng.uniform(140, 200, channels)
        for place, level in zip(places, (10, 10, 250), strict=True):
            image[np.hypot(x - place[0], y - place[1]) < 2] = level
        images.append(image.astype(np.uint8))
        points.append(places)
    return LabelledSet(np.stack(images), np.stack(points))


def random_shapes(rng: np.random.Generator, n: int, points: int = 6) -> np.ndarray:
    """Faces of one kind that differ in form, place and size, [n, points, 2] px."""
    form = rng.uniform(-1, 1, (points, 2)) + rng.normal(0, 0.1, (n, points, 2))
    return form * rng.uniform(10, 30, (n, 1, 1)) + rng.uniform(30, 60, (n, 1, 2))


def test_training_finds_the_points_of_held_out_faces_though_some_are_not_annotated():
    faces, held_out = draw_faces(64), draw_faces(32, seed=1)
    points = faces.points.copy()
    points[np.random.default_rng(0).random(points.shape[:2]) < 0.2] = np.nan
    predict = train_landmarks(LabelledSet(faces.images, points), seed=0, steps=60, batch_size=8, precision="float32")
    error = nme(predict(held_out.images), held_out.points, SIZE).mean()
    mean_face = np.broadcast_to(faces.points.mean(axis=0), held_out.points.shape)
    assert error < 0.4 * nme(mean_face, held_out.points, SIZE).mean()


def test_training_a_classifier_tells_the_classes_of_held_out_pictures():
    def draw(n, seed):
        faces, classes = draw_faces(n, seed), np.arange(n) % 2
        return faces.images, classes, np.where(classes[:, None, None, None], 255 - faces.images, faces.images)

    _, classes, images = draw(32, 0)
    predict = train_classifier(LabelledSet(images, classes=classes), 2, 0, steps=30, batch_size=8, precision="float32")
    _, classes, images = draw(20, 1)
    assert (predict(images) == classes).mean() >= 0.9


def test_equal_sets_are_worth_the_same_to_the_last_bit_and_the_gap_runs_from_raw_to_real():
    raw, real = draw_faces(32), draw_faces(40, seed=2)
    bad = LabelledSet(raw.images, raw.points + 6)  # labels that are wrong by 6 px
    heard = []
    measured = measure_usefulness(
        {"raw": bad, "refined": bad, "real": real},
        test=draw_faces(12, seed=3),
        adaptation=draw_faces(12, seed=4),
        seeds=(0, 1),
        steps=12,
        precision="float32",
        progress=lambda what, share: heard.append((what, share)),
    )
    assert json.loads(json.dumps(measured, allow_nan=False)) == measured
    raw, refined, real = (measured["sets"][name] for name in ("raw", "refined", "real"))
    assert raw == refined and raw["error"]["mean"] > real["error"]["mean"]
    assert len(set(raw["error"]["per_seed"])) == 2, "both seeds gave the same network"
    assert raw["error"]["gap_closed"] == 0 and real["error"]["gap_closed"] == 1
    assert raw["error"]["mean"] == pytest.approx(np.mean(raw["error"]["per_seed"]))
    assert raw["error"]["std"] == pytest.approx(np.std(raw["error"]["per_seed"], ddof=1))
    assert raw["adapted"]["mean"] < 0.7 * raw["error"]["mean"]  # most of its error is a constant offset
    assert measured["unit"] == "NME, % of the picture's width"
    assert heard[-1][1] == 1 and {what for what, _ in heard} >= {"raw, seed 0", "real, seed 1"}


def test_usefulness_of_class_labels_is_the_share_of_mistakes():
    faces = LabelledSet(draw_faces(32).images, classes=np.arange(32) % 4)
    measured = measure_usefulness({"raw": faces}, faces, seeds=(0,), steps=1, precision="float32")
    summary = measured["sets"]["raw"]
    assert summary["error"]["mean"] % (100 / 32) == 0 and summary["error"]["std"] is None
    assert summary["adapted"] is None and "%" in measured["unit"]


def test_nme_is_the_mean_distance_in_percent_of_the_inter_ocular_distance():
    true = np.random.default_rng(0).uniform(0, 100, (3, 68, 2))
    true[:, 36:48] = [50, 50]
    true[:, 36:42], true[:, 42:48] = [30, 40], [60, 80]  # any definition of an eye's place: 50 px apart
    predicted = true + np.array([3.0, 4.0])  # 5 px
    predicted[1] = true[1]
    predicted[1, :17] += [0.0, 10.0]  # 17 of 68 points are off by 10 px
    true[2, 20:30] = np.nan
    np.testing.assert_allclose(nme(predicted, true), [10, 5, 10])


def test_nme_of_points_without_eyes_is_in_percent_of_the_given_side():
    true = np.zeros((2, 3, 2))
    predicted = true + np.array([6.0, 8.0])
    true[1] = np.nan
    np.testing.assert_allclose(nme(predicted, true, side=200), [5, np.nan])
    with pytest.raises(ValueError, match="side"):
        nme(predicted, true)


def test_gap_closed_is_the_share_of_the_way_from_raw_to_real():
    assert gap_closed(10.0, 9.0, 6.0) == 0.25
    assert gap_closed(10.0, 11.0, 6.0) == -0.25
    assert np.isnan(gap_closed(6.0, 5.0, 6.0)) and np.isnan(gap_closed(6.0, 5.0, 7.0))


@pytest.mark.parametrize("scheme", ["offset", "affine"])
def test_adaptation_removes_the_difference_of_two_schemes(scheme):
    rng = np.random.default_rng(0)
    shapes = random_shapes(rng, 80)
    centres = shapes.mean(axis=1, keepdims=True)
    faces = shapes - centres
    sizes = np.sqrt((faces**2).sum(axis=-1).mean(axis=1))[:, None, None]
    true = shapes + rng.uniform(-0.3, 0.3, (6, 2)) * sizes  # a shift of each point, in proportion to the face
    if scheme == "affine":
        true = true + (faces @ rng.normal(0, 0.2, (2, 2)))[:, ::-1]  # ... that also depends on where others are
    true[:10, 0] = np.nan
    adapt = fit_adaptation(shapes[:60], true[:60])
    before, after = (np.abs(each - true)[60:].max() for each in (shapes, adapt(shapes)))
    assert before > 2 and after < 0.01


def test_adaptation_on_few_faces_does_no_harm_where_the_schemes_are_the_same():
    rng = np.random.default_rng(0)
    true = random_shapes(rng, 400)
    predicted = true + rng.normal(0, 1, true.shape)
    adapted = fit_adaptation(predicted[:20], true[:20])(predicted)  # 20 faces for a map of 12 x 12
    before, after = (np.linalg.norm(each - true, axis=-1)[20:].mean() for each in (predicted, adapted))
    assert after < 1.05 * before


def test_adaptation_leaves_a_point_that_is_hardly_annotated():
    shapes = random_shapes(np.random.default_rng(0), 30)
    true = shapes + 5
    true[3:, 2] = np.nan
    adapted = fit_adaptation(shapes, true)(shapes)
    np.testing.assert_array_equal(adapted[:, 2], shapes[:, 2])
    assert (np.abs(adapted - shapes)[:, [0, 1, 3, 4, 5]] > 1).all()
    np.testing.assert_array_equal(fit_adaptation(shapes, np.full_like(shapes, np.nan))(shapes), shapes)


def test_held_out_faces_are_spread_and_not_trained_on():
    faces = draw_faces(25)
    rest, few = hold_out(faces, 5)
    np.testing.assert_array_equal(few.points, faces.points[::5])
    assert len(rest) == 20 and not (rest.points[:, None] == few.points[None]).all(axis=(2, 3)).any()
    with pytest.raises(UserError, match="at least 26"):
        hold_out(faces, 25)


def test_augmentation_moves_points_with_the_picture():
    y, x = np.mgrid[:64, :64] + 0.5
    n = 8
    images = np.broadcast_to(np.stack([x, y, x + y], axis=-1), (n, 64, 64, 3)).astype(np.uint8)  # floor: half less
    points = np.random.default_rng(0).uniform(20, 44, (n, 68, 2))
    changed, moved = augment(images, points, generator(0, 0, "test"))
    order = mirror_order(68)
    mirrored = 0
    for picture, places, origins in zip(changed, moved, points, strict=True):
        found = cv2.remap(picture, places[None].astype(np.float32) - 0.5, None, cv2.INTER_LINEAR)[0, :, :2] + 0.5
        flipped = np.abs(found - origins[order]).max() < np.abs(found - origins).max()
        assert np.abs(found - (origins[order] if flipped else origins)).max() <= 1.1  # two roundings to a level
        assert abs((found - (origins[order] if flipped else origins)).mean()) < 0.2
        mirrored += flipped
    assert 0 < mirrored < n


def test_mirrored_faces_keep_left_points_on_the_left():
    points = np.full((16, 68, 2), 32.0)
    points[:, 36:42, 0], points[:, 42:48, 0] = 20, 44  # the eyes
    images = np.zeros((16, 64, 64, 1), np.uint8)
    images[:, :, :32] = 255
    changed, moved = augment(images, points, generator(0, 0, "test"))
    assert (moved[:, 36:42, 0].max(axis=1) < moved[:, 42:48, 0].min(axis=1)).all()
    assert 0 < (changed[:, 32, 8, 0] == 0).sum() < 16, "none or all were mirrored"


def test_augmentation_does_not_mirror_points_of_unknown_order():
    images = np.zeros((16, 64, 64, 1), np.uint8)
    images[:, :, :32] = 255
    changed, _ = augment(images, np.full((16, 3, 2), 32.0), generator(0, 0, "test"))
    assert (changed[:, 32, 8] == 255).all()


@pytest.mark.parametrize("channels", [1, 3])
def test_matched_colours_have_the_mean_and_covariance_of_the_reference(channels):
    rng = np.random.default_rng(0)
    mixing = rng.normal(0, 8, (2, channels, channels))
    image, reference = (
        np.clip(rng.normal(0, 1, (1, 48, 48, channels)) @ mix + level, 0, 255).astype(np.uint8)
        for mix, level in zip(mixing, (90, 140), strict=True)
    )
    matched = match_colours(image, reference, seed=0)
    assert matched.dtype == np.uint8 and matched.shape == image.shape
    got, wanted = (each.reshape(-1, channels).astype(float) for each in (matched, reference))
    # Not nearer than this: they are matched in the middle of the picture, and these are of the whole.
    np.testing.assert_allclose(got.mean(axis=0), wanted.mean(axis=0), atol=0.5)
    np.testing.assert_allclose(np.cov(got, rowvar=False), np.cov(wanted, rowvar=False), rtol=0.1, atol=0.5)


def test_a_flat_picture_takes_the_mean_of_the_reference():
    reference = draw_faces(1).images
    matched = match_colours(np.full((1, 8, 8, 3), 50, np.uint8), reference, seed=0)
    mean = (read_styles(to_signed(reference))[0, 0] + 1) * GRAY_LEVELS
    assert np.abs(matched - mean).max() <= 0.5


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", ["match", "augment", "both"])
def test_baselines_change_pictures_without_moving_anything(name, channels):
    reference = draw_faces(5, seed=1, channels=channels).images
    baseline = {
        "match": lambda images, seed: match_colours(images, reference, seed),
        "augment": augment_photometric,
        "both": lambda images, seed: match_and_degrade(images, reference, seed),
    }[name]
    images = draw_faces(6, channels=channels).images
    changed = baseline(images, 0)
    assert changed.shape == images.shape and changed.dtype == np.uint8 and (changed != images).any()
    np.testing.assert_array_equal(changed, baseline(images, 0))
    assert (changed != baseline(images, 1)).any()
    for axis in (1, 2):
        assert abs(shift_along(axis, images, changed)) < 0.1
        assert shift_along(axis, images, np.roll(changed, 1, axis)) == pytest.approx(1, abs=0.25)


def shift_along(axis: int, before: np.ndarray, after: np.ndarray) -> float:
    """Where the correlation of two sets peaks, px: the vertex of the parabola through the best of five shifts."""
    shifts = range(-2, 3)
    pairs = [(np.roll(before, shift, axis)[:, 3:-3, 3:-3], after[:, 3:-3, 3:-3]) for shift in shifts]
    fits = [np.corrcoef(one.ravel(), other.ravel())[0, 1] for one, other in pairs]
    best = int(np.clip(np.argmax(fits), 1, 3))
    left, middle, right = fits[best - 1 : best + 2]
    return shifts[best] + 0.5 * (left - right) / (left - 2 * middle + right)


def test_a_set_that_does_not_fit_is_named():
    faces, few = draw_faces(32), draw_faces(4)
    measure = partial(measure_usefulness, seeds=(0,), steps=1)
    with pytest.raises(UserError, match="the raw set has 4 labelled pictures, at least 32 are needed"):
        measure({"raw": few}, faces)
    with pytest.raises(UserError, match="the test set has 4"):
        measure({"raw": faces}, few)
    with pytest.raises(UserError, match="the adaptation set has 4"):
        measure({"raw": faces}, faces, few)
    with pytest.raises(UserError, match="the refined set and the test set are labelled differently: 2 points"):
        measure({"refined": LabelledSet(faces.images, faces.points[:, :2])}, faces)
    with pytest.raises(UserError, match="the raw set and the test set are labelled differently: classes"):
        measure({"raw": LabelledSet(faces.images, classes=np.zeros(32, int))}, faces)
    with pytest.raises(UserError, match=r"pictures of the raw set are \[12, 24, 3\]"):
        measure({"raw": LabelledSet(faces.images[:, ::2], faces.points)}, faces)
    with pytest.raises(UserError, match="no face of the test set"):
        measure({"raw": faces}, LabelledSet(faces.images, np.full_like(faces.points, np.nan)))
    with pytest.raises(UserError, match="label adaptation has 4"):
        fit_adaptation(few.points, few.points)
    with pytest.raises(UserError, match="training has 4"):
        train_landmarks(few, seed=0)
