"""Photometric augmentation changes what a camera changes, repeats, and moves nothing."""

import numpy as np
import pytest
from labelled_discs import draw_faces, shift_along

from simrefine.randomness import generator
from simrefine.training import landmarks, photometric
from simrefine.training.landmarks import LabelledSet, train_classifier, train_landmarks
from simrefine.training.photometric import augment_photometric, relight, roughen


def gray(level: int, channels: int = 3) -> np.ndarray:
    return np.full((8, 8, channels), level, np.uint8)


@pytest.mark.parametrize("channels", [1, 3])
def test_equal_generators_change_equal_pictures_equally_and_others_otherwise(channels):
    images = draw_faces(6, channels=channels).images
    changed = augment_photometric(images, generator(0, 0, "test"))
    assert changed.shape == images.shape and changed.dtype == np.uint8
    np.testing.assert_array_equal(changed, augment_photometric(images, generator(0, 0, "test")))
    other = augment_photometric(images, generator(0, 1, "test"))
    assert all((one != two).any() for one, two in zip(changed, other, strict=True))
    assert augment_photometric(images[:0], generator(0, 0, "test")).shape == images[:0].shape


def test_middling_draws_leave_the_light_as_it_is():
    image = draw_faces(1).images[0]
    np.testing.assert_array_equal(relight(image, np.full(6, 0.5)), image)


@pytest.mark.parametrize(
    ("place", "least", "most"),
    [
        (0, 255 * 0.5 ** (1 / 1.6), 255 * 0.5**1.6),  # gamma
        (2, 127.5 - 0.15 * 255, 127.5 + 0.15 * 255),  # brightness
    ],
)
def test_extreme_draws_change_mid_gray_as_far_as_stated(place, least, most):
    for draw, wanted in ((0.0, least), (1.0, most)):
        draws = np.full(6, 0.5)
        draws[place] = draw
        assert np.abs(relight(gray(128), draws) - wanted).max() <= 1.5


def test_contrast_stretches_about_mid_gray_and_gains_move_their_own_channel():
    draws = np.array([0.5, 1.0, 0.5, 0.5, 0.5, 0.5])
    assert relight(gray(160), draws)[0, 0, 0] == round(127.5 + 1.5 * 32.5)
    draws = np.array([0.5, 0.5, 0.5, 1.0, 0.5, 0.0])
    assert relight(gray(100), draws)[0, 0].tolist() == [130, 100, 77]
    assert relight(gray(100, 1), draws)[0, 0].tolist() == [130]


def test_blur_noise_and_compression_are_what_they_are_called():
    rng = np.random.default_rng(0)
    edge = np.repeat(np.repeat(np.uint8([0, 200]), 32)[None], 64, axis=0)[..., None]
    never, strongest = np.ones(3), np.ones(3)

    def rough(image, which):
        whether = never.copy()
        whether[which] = 0
        return roughen(image, np.concatenate([whether, strongest]), rng).astype(float)

    assert roughen(edge, np.ones(6), rng) is edge
    blurred = rough(edge, 0)[32, :, 0]
    assert 0 < blurred[31] < 100 < blurred[32] < 200 and blurred[27] == 0 and blurred[36] == 200
    assert np.std(rough(np.full((64, 64, 1), 128, np.uint8), 1)) == pytest.approx(10, rel=0.05)
    grain = rng.integers(0, 256, (64, 64, 3)).astype(np.uint8)
    assert 1 < np.abs(rough(grain, 2) - grain).mean() < 60


def test_a_red_picture_stays_red_in_a_jpeg():
    red = np.zeros((16, 16, 3), np.uint8)
    red[..., 0] = 200
    assert roughen(red, np.array([1, 1, 0, 1, 1, 1.0]), np.random.default_rng(0))[8, 8, 0] > 180


@pytest.mark.parametrize("channels", [1, 3])
def test_nothing_moves(channels):
    images = draw_faces(24, channels=channels).images
    changed = augment_photometric(images, generator(0, 0, "test"))
    for axis in (1, 2):
        assert abs(shift_along(axis, images, changed)) < 0.1
        assert shift_along(axis, images, np.roll(changed, 1, axis)) == pytest.approx(1, abs=0.25)


@pytest.mark.parametrize("kind", ["landmarks", "classes"])
def test_every_training_sees_other_light_each_step_and_the_same_again_for_the_same_seed_and_step(kind, monkeypatch):
    flat = np.full((8, 16, 16, 3), 128, np.uint8)  # which no change of geometry alters
    seen = []
    monkeypatch.setattr(landmarks, "fit", lambda network, loss, batch, *rest: seen.append(batch))
    for seed in (0, 0, 1):
        if kind == "landmarks":
            train_landmarks(LabelledSet(flat, np.full((8, 3, 2), 8.0)), seed, 1, batch_size=8, precision="float32")
        else:
            train_classifier(LabelledSet(flat, classes=np.zeros(8, int)), 1, seed, 1, batch_size=8, precision="float32")
    first, again, other = (batch(3)[0] for batch in seen)
    np.testing.assert_array_equal(first, again)
    means = first.mean(axis=(1, 2))
    assert np.ptp(means, axis=0).max() > 0.2, "the light of no picture was changed"
    assert (first != other).any() and (first != seen[0](4)[0]).any()


def test_all_strengths_are_drawn():
    images = np.full((200, 8, 8, 1), 128, np.uint8)
    rough = augment_photometric(images, generator(0, 0, "test"))
    grain = (rough.std(axis=(1, 2, 3)) > 0).mean()
    assert photometric.NOISY - 0.15 < grain < photometric.NOISY + 0.15
