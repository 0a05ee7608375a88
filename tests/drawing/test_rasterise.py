"""The z-buffer: who is in front, and which pixels a triangle covers."""

import numpy as np

from simrefine.drawing.rasterise import rasterise

SQUARE = np.array([[0, 1, 2], [0, 2, 3]])


def square(left: float, top: float, right: float, bottom: float, nearness: float = 1.0) -> np.ndarray:
    """The corners of two triangles, counter-clockwise."""
    return np.array([[x, y, nearness] for x, y in ((left, top), (left, bottom), (right, bottom), (right, top))])


def test_a_square_covers_just_the_pixels_whose_centres_lie_in_it():
    raster = rasterise(square(1.6, 2.4, 7.4, 5.6), SQUARE, 8, 10)
    expected = np.zeros((8, 10), bool)
    expected[2:6, 2:7] = True
    assert np.array_equal(raster.triangle >= 0, expected)


def test_triangles_that_share_an_edge_leave_no_gap_and_every_pixel_has_one_owner():
    rng = np.random.default_rng(0)
    grid = np.stack(np.meshgrid(np.linspace(-3, 43, 9), np.linspace(-3, 43, 9)), -1)
    grid[1:-1, 1:-1] += rng.uniform(-1.5, 1.5, (7, 7, 2))
    points = np.column_stack([grid.reshape(-1, 2), np.ones(81)])
    ids = np.arange(81).reshape(9, 9)
    a, b, c, d = (ids[i : i + 8, j : j + 8].reshape(-1) for i in (0, 1) for j in (0, 1))
    triangles = np.concatenate([np.stack([a, c, d], 1), np.stack([a, d, b], 1)])
    raster = rasterise(points, triangles, 40, 40)
    assert (raster.triangle >= 0).all()
    # Each owner truly contains its pixel: its weights give the pixel's centre back.
    place = np.einsum("hwk,hwkc->hwc", raster.weights, points[triangles[raster.triangle]])
    rows, columns = np.indices((40, 40)) + 0.5
    assert np.abs(place[..., 0] - columns).max() < 1e-3 and np.abs(place[..., 1] - rows).max() < 1e-3
    assert raster.weights.min() > -1e-4


def test_of_two_that_cross_each_pixel_shows_the_nearer():
    rising, falling = square(0, 0, 8, 8), square(0, 0, 8, 8)
    rising[:, 2] = 1 + rising[:, 0]  # nearer to the right
    falling[:, 2] = 9 - falling[:, 0]
    raster = rasterise(np.concatenate([rising, falling]), np.concatenate([SQUARE, SQUARE + 4]), 8, 8)
    shows_rising = raster.triangle < 2
    assert np.array_equal(shows_rising, np.broadcast_to(np.arange(8) >= 4, (8, 8)))
    assert np.allclose(raster.nearness[0], 1 + np.maximum(np.arange(8) + 0.5, 8 - (np.arange(8) + 0.5)), atol=1e-4)


def test_triangles_that_turn_their_back_are_not_seen():
    assert (rasterise(square(0, 0, 8, 8), SQUARE[:, ::-1], 8, 8).triangle == -1).all()


def test_what_lies_off_the_picture_changes_nothing_on_it():
    rng = np.random.default_rng(1)
    points = np.column_stack([rng.uniform(-30, 60, (150, 2)), rng.uniform(1, 2, 150)])
    triangles = np.arange(150).reshape(50, 3)
    large = rasterise(points + np.array([40, 40, 0]), triangles, 110, 110)
    small = rasterise(points, triangles, 24, 30)
    assert (small.triangle >= 0).any()
    assert np.array_equal(small.triangle, large.triangle[40:64, 40:70])


def test_a_triangle_of_any_size_is_drawn_whole():
    for side in (1, 2, 3, 7, 40, 300):
        raster = rasterise(square(0, 0, side, side), SQUARE, side, side)
        assert (raster.triangle >= 0).all(), side


def test_an_empty_scene_is_an_empty_picture():
    raster = rasterise(np.zeros((0, 3)), np.zeros((0, 3), int), 4, 5)
    assert raster.triangle.shape == (4, 5) and (raster.triangle == -1).all() and (raster.nearness == 0).all()
