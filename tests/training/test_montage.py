"""The pictures in TensorBoard show what their captions say."""

import numpy as np

from simrefine.training.montage import (
    BAR_WIDTH,
    CHANGE_COLOURS,
    LEAST_SIDE,
    change_overlay,
    comparison,
    difference,
    probability_overlay,
)


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
    maps = np.full((2, 2, 2), 0.45, np.float32)  # little, and yet its full colours
    maps[:, 0, 1] = 0.55
    sheet = probability_overlay(faces(128, channels=1), [maps])
    assert sheet.shape == (2 * LEAST_SIDE, 2 * LEAST_SIDE + BAR_WIDTH, 3)
    face, overlay = sheet[:LEAST_SIDE, :LEAST_SIDE], sheet[:LEAST_SIDE, LEAST_SIDE : 2 * LEAST_SIDE]
    assert (face == 128).all()
    red, blue = (place.astype(int) for place in (overlay[3, -1], overlay[-1, 3]))
    assert red[0] - red[2] > 100 and blue[2] - blue[0] > 100


def test_the_heat_map_of_the_change_uses_all_its_colours_in_every_face_and_the_bar_has_the_gray_levels():
    refined = faces(100)
    refined[0, 0, 0], refined[1, 0, 0] = 104, 180  # most changed by 4 and by 80 gray levels
    sheet = change_overlay(faces(100), refined)
    assert sheet.shape == (2 * LEAST_SIDE, 2 * LEAST_SIDE + BAR_WIDTH, 3)
    rows = sheet[:LEAST_SIDE], sheet[LEAST_SIDE:]
    for row in rows:
        overlay, bar = row[:, LEAST_SIDE : 2 * LEAST_SIDE].astype(int), row[:, -BAR_WIDTH:]
        assert overlay[5, 5].sum() > overlay[-5, -5].sum() + 300, "bright where changed, dark elsewhere"
        np.testing.assert_array_equal(bar[0, 8], CHANGE_COLOURS[255])
        np.testing.assert_array_equal(bar[-1, 8], CHANGE_COLOURS[0])
    numbers = [row[:, -BAR_WIDTH + 16 :] for row in rows]
    assert (numbers[0] != numbers[1]).any(), "each face has its own scale"


def test_no_change_is_shown_as_none():
    overlay = change_overlay(faces(100), faces(100))[:, LEAST_SIDE : 2 * LEAST_SIDE]
    assert (overlay == overlay[0, 0]).all() and overlay.max() < 60


def test_the_difference_never_runs_into_black_or_white():
    levels = [int(difference(faces(0), faces(level))[0, 0, 0, 0]) for level in (20, 100, 200)]
    assert levels == sorted(levels) and difference(faces(100), faces(100)).max() == 128
    assert difference(faces(0), faces(40)).max() < 255
