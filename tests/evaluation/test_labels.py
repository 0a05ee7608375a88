"""The labels' judges: a network that learnt from photographs alone, and the colour of the skin."""

import json

import numpy as np
import pytest
from tiny import draw_face

from simrefine.evaluation import labels
from simrefine.evaluation.labels import FEWEST_PHOTOGRAPHS, measure_complexion, measure_labels
from simrefine.measures.colour import skin_colours
from simrefine.training.landmarks import LabelledSet

N, SIZE = 6, 32
NAMES = [f"{index}.png" for index in range(N)]


def faces(count: int = N, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.stack([draw_face(rng, SIZE) for _ in range(count)])


def five_points(count: int = N) -> np.ndarray:
    return np.tile(np.array([[0.35, 0.4], [0.65, 0.4], [0.5, 0.55], [0.4, 0.7], [0.6, 0.7]]) * SIZE, (count, 1, 1))


@pytest.fixture
def learnt(monkeypatch):
    """A stand-in for the training, whose predictions lie 1 px off, and 3 px off in pictures that begin white; holds
    what it was given to learn from."""
    given = []

    def train(labelled, seed, steps):
        given.append(labelled)
        return lambda images: (
            five_points(len(images)) + np.where(images[:, :1, :1, :1] == 255, 3.0, 1.0)[..., 0] * [1, 0]
        )

    monkeypatch.setattr(labels, "train_landmarks", train)
    return given


def test_the_network_learns_from_photographs_alone_and_is_held_against_the_renders_labels(learnt):
    raw, photographs = faces(), LabelledSet(faces(FEWEST_PHOTOGRAPHS, seed=1), five_points(FEWEST_PHOTOGRAPHS))
    raw[:, 0, 0] = 0
    refined = raw.copy()
    refined[:, 0, 0] = 255
    measured = measure_labels(raw, refined, five_points(), NAMES, photographs)
    assert json.loads(json.dumps(measured, allow_nan=False)) == measured
    assert learnt == [photographs]
    percent = 100 / (0.3 * SIZE)  # of a pixel
    network = measured["network"]
    assert (network["raw"], network["refined"]) == pytest.approx((percent, 3 * percent))
    assert network["ratio"] == pytest.approx(3) and network["drift_p95"] == pytest.approx(2 * percent)
    assert network["photographs"] == FEWEST_PHOTOGRAPHS


@pytest.mark.parametrize("why", ["none", "few", "other points", "classes", "no labels"])
def test_without_photographs_that_fit_only_the_flow_is_measured(learnt, why):
    count = FEWEST_PHOTOGRAPHS - (why == "few")
    images, points = faces(1).repeat(count, axis=0), five_points(count)
    photographs = {
        "none": None,
        "other points": LabelledSet(images, points[:, :4]),
        "classes": LabelledSet(images, classes=np.zeros(count, int)),
    }.get(why, LabelledSet(images, points))
    measured = measure_labels(faces(), faces(), None if why == "no labels" else five_points(), NAMES, photographs)
    assert measured["network"] is None and not learnt and measured["percent_median"] < 1


def test_complexions_are_of_colour_pictures_with_68_points():
    raw, points = faces(), np.random.default_rng(0).uniform(4, 28, (N, 68, 2))
    points[:, 36:60] = 1.0  # eyes and mouth in a corner
    refined = raw // 2
    measured = measure_complexion({"raw": raw, "unrefined": raw, "refined": refined}, points, (raw, points))
    assert set(measured) == {"raw", "unrefined", "refined", "real"}
    assert measured["unrefined"]["distance"]["median"] == 0
    moved = np.linalg.norm(skin_colours(raw, points) - skin_colours(refined, points), axis=1)
    assert measured["refined"]["distance"]["median"] == pytest.approx(np.median(moved)) and np.median(moved) > 5
    assert "real" not in measure_complexion({"raw": raw, "refined": refined}, points, (raw, None))
    assert measure_complexion({"raw": raw, "refined": refined}, None, (raw, points)) is None
    assert measure_complexion({"raw": raw, "refined": refined}, points[:, :5], (raw, points)) is None
    gray = raw[..., :1]
    assert measure_complexion({"raw": gray, "refined": gray}, points, (gray, points)) is None
