"""The error of predicted landmarks against answers that are known."""

import numpy as np
import pytest

from simrefine.measures.landmarks import compare_predictions, nme


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


def test_predictions_on_raw_and_refined_faces_are_compared_by_error_and_by_how_far_they_moved():
    true = np.zeros((4, 5, 2))
    true[:, 1] = [20, 0]  # the eyes are 20 px apart
    true[3, 0] = np.nan  # an eye is missing: this face has no scale
    true[2, 4] = np.nan
    raw, refined = true + np.array([2.0, 0]), true + np.array([0, 3.0])
    raw, refined = np.nan_to_num(raw), np.nan_to_num(refined)
    refined[0] += [0, 1]
    judged = compare_predictions(raw, refined, true, side=64)
    assert judged["raw"] == pytest.approx(10) and judged["refined"] == pytest.approx((20 + 15 + 15) / 3)
    assert judged["ratio"] == pytest.approx(5 / 3)
    lengths = 5 * np.array([np.hypot(2, 4), np.hypot(2, 3), np.hypot(2, 3)])
    assert judged["drift_median"] == pytest.approx(np.median(lengths))
    assert judged["drift_p95"] == pytest.approx(np.percentile(lengths, 95))
    assert compare_predictions(raw[3:], refined[3:], true[3:], side=64) is None
