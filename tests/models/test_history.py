"""The history fills, replaces and remembers."""

import numpy as np
import pytest

from simrefine.models.history import HistoryBuffer


def faces(*values):
    return np.stack([np.full((2, 2, 1), value, np.uint8) for value in values])


def held(buffer):
    return buffer.faces[: buffer.count, 0, 0, 0].tolist()


def rng():
    return np.random.default_rng(0)


def test_the_buffer_fills_and_its_fill_says_so():
    buffer = HistoryBuffer(4, (2, 2, 1))
    fills = [buffer.fill]
    for start in (1, 3, 5):
        buffer.push(faces(start, start + 1), rng())
        fills.append(buffer.fill)
    assert fills == [0, 0.5, 1, 1]


def test_free_places_are_taken_before_any_face_is_replaced():
    buffer = HistoryBuffer(5, (2, 2, 1))
    buffer.push(faces(1, 2, 3), rng())
    buffer.push(faces(4, 5), rng())
    assert held(buffer) == [1, 2, 3, 4, 5]


def test_a_full_buffer_takes_in_every_new_face_and_keeps_the_other_old_ones():
    buffer = HistoryBuffer(5, (2, 2, 1))
    buffer.push(faces(1, 2, 3, 4, 5), rng())
    buffer.push(faces(6, 7), rng())
    assert {6, 7} < set(held(buffer)) and len(set(held(buffer)) & {1, 2, 3, 4, 5}) == 3


def test_a_push_across_the_brim_loses_none_of_the_new_faces():
    buffer = HistoryBuffer(4, (2, 2, 1))
    buffer.push(faces(1, 2, 3), rng())
    for seed in range(20):  # whichever places are drawn
        full = HistoryBuffer(4, (2, 2, 1))
        full.push(faces(1, 2, 3), rng())
        full.push(faces(8, 9), np.random.default_rng(seed))
        assert {8, 9} <= set(held(full)), f"seed {seed}"


def test_old_faces_stay_a_while_and_go_in_the_end():
    buffer = HistoryBuffer(8, (2, 2, 1))
    random = rng()
    buffer.push(faces(*range(8)), random)
    buffer.push(faces(100, 101), random)
    assert set(held(buffer)) & set(range(8))
    for value in range(102, 200, 2):
        buffer.push(faces(value, value + 1), random)
    assert not set(held(buffer)) & set(range(8))


def test_a_sample_has_no_face_twice_and_refuses_more_than_there_are():
    buffer = HistoryBuffer(8, (2, 2, 1))
    buffer.push(faces(1, 2, 3), rng())
    assert sorted(buffer.sample(3, rng())[:, 0, 0, 0].tolist()) == [1, 2, 3]
    with pytest.raises(ValueError):
        buffer.sample(4, rng())
