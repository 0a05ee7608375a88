"""Label adaptation takes the difference of two annotation schemes away, and nothing else."""

import numpy as np
import pytest
from labelled_discs import draw_faces

from simrefine.errors import UserError
from simrefine.evaluation.adaptation import fit_adaptation, hold_out


def random_shapes(rng: np.random.Generator, n: int, points: int = 6) -> np.ndarray:
    """Faces of one kind that differ in form, place and size, [n, points, 2] px."""
    form = rng.uniform(-1, 1, (points, 2)) + rng.normal(0, 0.1, (n, points, 2))
    return form * rng.uniform(10, 30, (n, 1, 1)) + rng.uniform(30, 60, (n, 1, 2))


@pytest.mark.parametrize("scheme", ["offset", "affine"])
def test_adaptation_removes_the_difference_of_two_schemes(scheme):
    rng = np.random.default_rng(0)
    shapes = random_shapes(rng, 80)
    centres = shapes.mean(axis=1, keepdims=True)
    faces = shapes - centres
    sizes = np.sqrt((faces**2).sum(axis=-1).mean(axis=1))[:, None, None]
    true = shapes + rng.uniform(-0.3, 0.3, (6, 2)) * sizes  # a shift of each point, in proportion to the face
    if scheme == "affine":
        true = true + (faces @ rng.normal(0, 0.2, (2, 2)))[:, ::-1]  # ... that also depends on where others are
    true[:10, 0] = np.nan
    adapt = fit_adaptation(shapes[:60], true[:60])
    before, after = (np.abs(points - true)[60:].max() for points in (shapes, adapt(shapes)))
    assert before > 2 and after < 0.01


def test_adaptation_on_few_faces_does_no_harm_where_the_schemes_are_the_same():
    rng = np.random.default_rng(0)
    true = random_shapes(rng, 400)
    predicted = true + rng.normal(0, 1, true.shape)
    adapted = fit_adaptation(predicted[:20], true[:20])(predicted)  # 20 faces for a map of 12 x 12
    before, after = (np.linalg.norm(points - true, axis=-1)[20:].mean() for points in (predicted, adapted))
    assert after < 1.05 * before


def test_adaptation_leaves_a_point_that_is_hardly_annotated():
    shapes = random_shapes(np.random.default_rng(0), 30)
    true = shapes + 5
    true[3:, 2] = np.nan
    adapted = fit_adaptation(shapes, true)(shapes)
    np.testing.assert_array_equal(adapted[:, 2], shapes[:, 2])
    assert (np.abs(adapted - shapes)[:, [0, 1, 3, 4, 5]] > 1).all()
    np.testing.assert_array_equal(fit_adaptation(shapes, np.full_like(shapes, np.nan))(shapes), shapes)


def test_held_out_faces_are_spread_and_not_trained_on():
    faces = draw_faces(25)
    rest, few = hold_out(faces, 5)
    np.testing.assert_array_equal(few.points, faces.points[::5])
    assert len(rest) == 20 and not (rest.points[:, None] == few.points[None]).all(axis=(2, 3)).any()
    with pytest.raises(UserError, match="at least 26"):
        hold_out(faces, 25)


def test_too_few_faces_to_adapt_to_are_counted():
    points = draw_faces(4).points
    with pytest.raises(UserError, match="label adaptation has 4"):
        fit_adaptation(points, points)
