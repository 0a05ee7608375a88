"""The pictures in TensorBoard show what their captions say."""

import numpy as np

from simrefine.training.montage import comparison, probability_overlay


def faces(value, n=2, channels=3):
    return np.full((n, 4, 4, channels), value, np.uint8)


def test_a_row_is_synthetic_refined_difference_real():
    headings, grid = comparison({"synthetic": faces(100), "refined": faces(110), "real": faces(200)})
    assert headings == "synthetic, refined, 5x difference, real"
    assert grid.shape == (8, 16, 3)
    assert [int(grid[0, column, 0]) for column in (0, 4, 8, 12)] == [
        100,
        110,
        175,
        200,
    ]  # 127.5 + 127.5 tanh(5 * 10 / 127.5)


def test_probabilities_lie_over_their_own_place_blue_for_real_and_red_for_refined():
    maps = np.zeros((2, 2, 2), np.float32)
    maps[:, 0, 1] = 1.0
    sheet = probability_overlay(faces(128, channels=1), [maps])
    face, overlay = sheet[:4, :4], sheet[:4, 4:8]
    assert (face == 128).all()
    red, blue = overlay[0, 3], overlay[3, 0]
    assert red[0] > red[2] and blue[2] > blue[0]
