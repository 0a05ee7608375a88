"""The discriminator's view: changed as drawn, in known ways, and open to the gradient."""

import numpy as np
import tensorflow as tf
from tiny import tiny_config

from simrefine.models.augmentation import DRAWS, augment, draw_augmentation


def strengths(**kinds):
    off = {"augmentation__brightness": 0, "augmentation__contrast": 0, "augmentation__shift": 0}
    return tiny_config(**off | {f"augmentation__{kind}": value for kind, value in kinds.items()}).augmentation


def pictures():
    return np.random.default_rng(0).uniform(-1, 1, (3, 16, 16, 3)).astype(np.float32)


def draws(brightness=0.0, contrast=0.0, down=0.0, right=0.0):
    return np.tile(np.float32([brightness, contrast, down, right]), (3, 1))


def test_a_strength_of_zero_changes_nothing():
    np.testing.assert_array_equal(augment(pictures(), draws(1, 1, 1, 1), strengths()), pictures())


def test_brightness_and_contrast_change_mean_and_spread_as_drawn():
    brighter = np.asarray(augment(pictures(), draws(brightness=0.5), strengths(brightness=0.2)))
    np.testing.assert_allclose(brighter, pictures() + 0.1, atol=1e-6)
    flatter = np.asarray(augment(pictures(), draws(contrast=-1), strengths(contrast=0.5)))
    np.testing.assert_allclose(flatter.std(axis=(1, 2, 3)), pictures().std(axis=(1, 2, 3)) / 2, rtol=1e-4)
    np.testing.assert_allclose(flatter.mean(axis=(1, 2, 3)), pictures().mean(axis=(1, 2, 3)), atol=1e-6)


def test_a_shift_moves_by_whole_pixels_and_repeats_the_edge():
    moved = np.asarray(augment(pictures(), draws(down=0.5, right=-1), strengths(shift=0.25)))
    np.testing.assert_allclose(moved[:, 2:, :-4], pictures()[:, :-2, 4:], atol=1e-6)
    np.testing.assert_allclose(moved[:, 0], moved[:, 1], atol=1e-6)
    np.testing.assert_allclose(moved[:, :, -1], moved[:, :, -5], atol=1e-6)


def test_the_gradient_passes_through_to_the_refined_face():
    faces = tf.constant(pictures())
    with tf.GradientTape() as tape:
        tape.watch(faces)
        total = tf.reduce_sum(
            augment(faces, draws(0.5, 0.5, 0.5, 0.5), strengths(brightness=0.2, contrast=0.3, shift=0.1))
        )
    assert np.abs(tape.gradient(total, faces)).sum() > 0


def test_each_picture_has_draws_of_its_own_over_the_whole_range():
    drawn = draw_augmentation(500, np.random.default_rng(0))
    assert drawn.shape == (500, DRAWS) and len(np.unique(drawn)) == drawn.size
    assert -1 <= drawn.min() < -0.95 and 0.95 < drawn.max() <= 1
