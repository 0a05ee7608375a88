"""Batches follow from (seed, step) alone, and nothing of a pile is left out."""

import numpy as np
import pytest
from tiny import write_pile

from simrefine.data.batches import Pile, Sampler
from simrefine.data.folders import list_folder
from simrefine.data.images import to_signed, to_uint8
from simrefine.errors import UserError
from simrefine.randomness import generator
from simrefine.threads import Prefetcher


def load_pile(folder, **options):
    records = list_folder(folder, what="folder").pictures
    return Pile(records, **{"size": 16, "channels": 3, "memory_gib": 1.0} | options)


@pytest.fixture
def pile(tmp_path):
    return load_pile(write_pile(tmp_path / "pile", 10))


def test_every_picture_of_a_pass_is_seen_once_though_the_last_batch_is_not_full(pile):
    sampler = Sampler(pile, 4, seed=0, purpose="x", flip=False)
    two_passes = np.concatenate([to_uint8(sampler.batch(index).pictures) for index in range(5)])
    for one_pass in (two_passes[:10], two_passes[10:]):
        assert len({face.tobytes() for face in one_pass}) == 10
    assert (two_passes[:10] != two_passes[10:]).any(), "each pass has an order of its own"


def test_a_batch_depends_on_seed_and_index_and_not_on_what_was_asked_before(pile):
    one, other = (Sampler(pile, 4, seed=0, purpose="x", flip=True) for _ in range(2))
    for index in range(7):
        one.batch(index)
    for mine, theirs in zip(one.batch(5), other.batch(5), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert (Sampler(pile, 4, seed=1, purpose="x", flip=True).batch(5).pictures != other.batch(5).pictures).any()


def test_flip_mirrors_some_pictures_and_keeps_the_others(pile):
    plain = Sampler(pile, 10, seed=0, purpose="x", flip=False).batch(0).pictures
    flipped, places, told = Sampler(pile, 10, seed=0, purpose="x", flip=True).batch(0)
    mirrored = [np.array_equal(a, b[:, ::-1]) for a, b in zip(plain, flipped, strict=True)]
    same = [np.array_equal(a, b) for a, b in zip(plain, flipped, strict=True)]
    assert all(a or b for a, b in zip(mirrored, same, strict=True))
    assert mirrored == told.tolist()
    np.testing.assert_array_equal(plain, to_signed(pile[places]))
    assert not all(mirrored) and not all(same)


def test_a_pile_too_large_for_memory_gives_the_same_batches(tmp_path):
    folder = write_pile(tmp_path / "pile", 5)
    small, large = load_pile(folder, memory_gib=0.0), load_pile(folder)
    np.testing.assert_array_equal(small[[3, 1]], large[[3, 1]])
    (folder / "003.png").unlink()
    with pytest.raises(UserError, match="no longer"):
        small[[3]]


def test_a_bad_picture_is_rejected_with_a_reason_and_the_rest_is_used(tmp_path):
    folder = write_pile(tmp_path / "pile", 3)
    content = (folder / "001.png").read_bytes()
    (folder / "001.png").write_bytes(content[: len(content) // 2])
    pile = load_pile(folder)
    assert len(pile) == 2
    assert [reject.relative for reject in pile.rejects] == ["001.png"] and pile.rejects[0].reason


@pytest.mark.parametrize(("channels", "shape"), [(1, (2, 16, 16, 1)), (3, (2, 16, 16, 3))])
def test_gray_and_colour_files_of_any_size_become_squares_of_the_channels_asked_for(tmp_path, channels, shape):
    write_pile(tmp_path / "all" / "gray", 1, channels=1, size=24)
    write_pile(tmp_path / "all" / "colour", 1, channels=3, size=40)
    assert load_pile(tmp_path / "all", channels=channels)[[0, 1]].shape == shape


@pytest.mark.parametrize("steps", [range(0), range(3, 5), range(2, 40)])
def test_prefetching_gives_every_step_once_and_in_order(steps):
    assert list(Prefetcher(lambda step: step, steps)) == list(steps)


def test_an_error_in_a_prefetching_thread_reaches_the_loop():
    with pytest.raises(ZeroDivisionError):
        list(Prefetcher(lambda step: 1 // (3 - step), range(9)))


def test_random_numbers_of_one_step_differ_by_purpose():
    draws = {purpose: generator(0, 1, purpose).random() for purpose in ("a", "b")}
    assert draws["a"] != draws["b"] and draws["a"] == generator(0, 1, "a").random()
