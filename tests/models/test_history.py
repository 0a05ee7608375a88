"""The history fills, replaces and remembers."""

import numpy as np
import pytest

from simrefine.data.images import to_signed
from simrefine.models.history import HistoryBuffer, draw_places


def faces(*values):
    """float32 [n, 2, 2, 1] in [-1, 1], of these gray levels."""
    return to_signed(np.stack([np.full((2, 2, 1), value, np.uint8) for value in values]))


def held(buffer):
    return buffer.held()[:, 0, 0, 0].tolist()


def rng(seed=0):
    return np.random.default_rng(seed)


def push(buffer, updates, *values, seed=0):
    """The faces of an update, at the places that are drawn for it."""
    buffer.push(faces(*values), draw_places(updates, len(values), buffer.capacity, rng(seed)).replaced)


def opened(capacity, *values):
    """A buffer with its first faces."""
    buffer = HistoryBuffer(capacity, (2, 2, 1))
    buffer.push(faces(*values), np.arange(len(values), dtype=np.int32))
    return buffer


def test_the_buffer_fills_and_its_fill_says_so():
    buffer = opened(6, 1, 2)
    fills = [buffer.fill]
    for update in range(3):
        push(buffer, update, 3, 4)
        fills.append(buffer.fill)
    assert fills == [pytest.approx(1 / 3), pytest.approx(2 / 3), 1, 1]


def test_free_places_are_taken_before_any_face_is_replaced():
    buffer = opened(6, 1, 2)
    push(buffer, 0, 3, 4)
    push(buffer, 1, 5, 6)
    assert held(buffer) == [1, 2, 3, 4, 5, 6]


def test_a_full_buffer_takes_in_every_new_face_and_keeps_the_other_old_ones():
    buffer = opened(4, 1, 2)
    push(buffer, 0, 3, 4)
    push(buffer, 1, 6, 7)
    assert {6, 7} < set(held(buffer)) and len(set(held(buffer)) & {1, 2, 3, 4}) == 2


def test_a_push_across_the_brim_loses_none_of_the_new_faces():
    for seed in range(20):  # whichever places are drawn
        full = opened(5, 1, 2, 3)
        push(full, 0, 7, 8, 9, seed=seed)
        assert {7, 8, 9} <= set(held(full)) and len(held(full)) == 5, f"seed {seed}"


def test_old_faces_stay_a_while_and_go_in_the_end():
    buffer = opened(8, 0, 1)
    for update in range(3):
        push(buffer, update, 2 + 2 * update, 3 + 2 * update)
    push(buffer, 3, 100, 101)
    assert set(held(buffer)) & set(range(8))
    for update in range(4, 60):
        push(buffer, update, 94 + 2 * update, 95 + 2 * update, seed=update)
    assert not set(held(buffer)) & set(range(8))


def test_a_sample_has_no_face_twice_and_none_that_is_not_there():
    buffer = opened(8, 1, 2, 3)
    for seed in range(20):
        sampled = np.asarray(buffer.sample(draw_places(0, 3, 8, rng(seed)).past))
        assert sorted(sampled[:, 0, 0, 0].tolist()) == faces(1, 2, 3)[:, 0, 0, 0].tolist()
        later = draw_places(2, 2, 8, rng(seed)).past
        assert len({*later}) == 2 and max(later) < 6, "two pushes of two were before, and the opening"


@pytest.mark.parametrize("capacity", [4, 9, 20])
def test_faces_come_out_as_files_would_give_them(capacity):
    levels = np.arange(64, dtype=np.uint8).reshape(4, 4, 4, 1)
    buffer = HistoryBuffer(capacity, (4, 4, 1))
    buffer.push(to_signed(levels) + np.float32(0.4 / 127.5), np.arange(4, dtype=np.int32))
    np.testing.assert_array_equal(buffer.held(), levels)
    np.testing.assert_array_equal(np.asarray(buffer.sample(np.int32([2, 0]))), to_signed(levels[[2, 0]]))


def test_without_a_history_there_is_no_place():
    assert [len(places) for places in draw_places(3, 4, 0, rng())] == [0, 0]
