"""The worth of a set is measured rightly: equal sets are worth the same, and the gap runs from raw to real."""

import json
from functools import partial

import numpy as np
import pytest
from labelled_discs import draw_faces

from simrefine.errors import UserError
from simrefine.evaluation.usefulness import gap_closed, measure_usefulness
from simrefine.training.landmarks import LabelledSet


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


def test_gap_closed_is_the_share_of_the_way_from_raw_to_real():
    assert gap_closed(10.0, 9.0, 6.0) == 0.25
    assert gap_closed(10.0, 11.0, 6.0) == -0.25
    assert np.isnan(gap_closed(6.0, 5.0, 6.0)) and np.isnan(gap_closed(6.0, 5.0, 7.0))


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
