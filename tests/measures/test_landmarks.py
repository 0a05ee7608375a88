"""The error of predicted landmarks against answers that are known."""

import numpy as np
import pytest

from simrefine.measures.landmarks import nme


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
