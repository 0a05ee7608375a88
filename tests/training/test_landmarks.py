"""Landmark networks and classifiers learn what they are shown, and augmentation moves labels with their pictures."""

import cv2
import numpy as np
import pytest
from labelled_discs import SIZE, draw_faces

from simrefine.data.images import to_signed
from simrefine.data.points import mirror_order
from simrefine.errors import UserError
from simrefine.measures.landmarks import nme
from simrefine.randomness import generator
from simrefine.training.landmarks import (
    LabelledSet,
    augment,
    fit_landmark_network,
    train_classifier,
    train_landmarks,
)


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


def test_the_network_itself_gives_shares_of_the_padded_picture_and_the_predictor_px():
    faces = draw_faces(8)
    arguments = {"seed": 0, "steps": 2, "batch_size": 8, "precision": "float32"}
    network = fit_landmark_network(faces, **arguments)
    predicted = train_landmarks(faces, **arguments)(faces.images)
    padded = np.pad(faces.images, ((0, 0), (0, 8), (0, 8), (0, 0)), mode="edge")  # 24 to 32 px
    shares = np.asarray(network(to_signed(padded)))
    np.testing.assert_allclose(shares * 32, predicted, rtol=1e-5)


def test_too_few_pictures_to_train_on_are_counted():
    few = draw_faces(4)
    with pytest.raises(UserError, match="training has 4 labelled pictures, at least 32 are needed"):
        train_landmarks(few, seed=0)
    with pytest.raises(UserError, match="training has 4"):
        train_classifier(LabelledSet(few.images, classes=np.arange(4)), 4, seed=0)
