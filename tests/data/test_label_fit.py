import numpy as np
import pytest
from labelled_discs import draw_faces

from simrefine.data.label_fit import FEWEST, points_fit


@pytest.mark.parametrize("channels", [1, 3])
def test_points_fit_their_own_pictures_and_not_those_of_others(channels):
    faces = draw_faces(FEWEST, channels=channels)
    assert points_fit(faces.images, faces.points) is True
    assert points_fit(faces.images, np.random.default_rng(0).permutation(faces.points)) is False


def test_of_few_pictures_and_of_points_in_one_place_nothing_is_said():
    faces = draw_faces(FEWEST)
    assert points_fit(faces.images[1:], faces.points[1:]) is None
    assert points_fit(faces.images, np.repeat(faces.points[:1], FEWEST, axis=0)) is None
    lost = faces.points.copy()
    lost[0, 0] = np.nan
    assert points_fit(faces.images, lost) is None
