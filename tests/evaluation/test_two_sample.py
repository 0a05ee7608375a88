"""The two-sample test tells apart what differs, wherever it is, and nothing else; people are never in two folds."""

import math

import numpy as np
import pytest
from textures import textures, tinted

from simrefine.errors import UserError
from simrefine.evaluation import two_sample
from simrefine.evaluation.two_sample import EarlyStop, auc_of, folds_by_group, two_sample_test


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(two_sample, "FOLDS", 3)
    monkeypatch.setattr(two_sample, "STEPS", 40)
    monkeypatch.setattr(two_sample, "CHECK_EVERY", 20)
    monkeypatch.setattr(two_sample, "BATCH", 32)


def test_identical_sets_cannot_be_told_apart_however_small_and_the_answer_repeats():
    images = textures(30, 0, 16)
    shuffled = images[np.random.default_rng(0).permutation(30)]
    # Order must not matter: a picture in the folds to learn from, and its copy in another, would be recognised.
    test = two_sample_test(images, shuffled)
    assert test.auc == pytest.approx(0.5)
    assert test.low < 0.5 < test.high
    assert test.n == 60
    assert two_sample_test(images, shuffled) == test


def test_two_draws_cannot_be_told_apart_and_a_tint_can():
    a, b = textures(60, 0, 16), textures(70, 1, 16)
    same = two_sample_test(a, b)
    assert same.low < 0.5 < same.high
    tint = two_sample_test(tinted(a, 24), b)
    assert 0.5 < tint.low < tint.auc <= tint.high <= 1
    assert tint.auc > 0.8


def test_where_something_is_can_be_told_and_not_only_what_it_is():
    """A blotch above or below the middle: textures, colours and borders of both sets are the same."""

    def blotched(row: int, seed: int) -> np.ndarray:
        images = textures(60, seed)
        images[:, row : row + 4, 10:22] = 250
        return images

    assert two_sample_test(blotched(10, 0), blotched(18, 1)).auc > 0.95


def test_no_group_is_in_two_folds_and_the_folds_are_even():
    groups_a = [f"p{i // 4}" for i in range(80)]
    groups_b = [f"p{i // 3 + 5}" for i in range(120)]  # some of them the same people as in a
    for count in (2, 5):
        folds_a, folds_b = folds_by_group(groups_a, groups_b, count, seed=0)
        pairs = set(zip(groups_a + groups_b, [*folds_a, *folds_b], strict=True))
        assert len(pairs) == len(set(groups_a + groups_b))
        for folds in (folds_a, folds_b):
            assert np.abs(np.bincount(folds, minlength=count) / len(folds) - 1 / count).max() < 0.06
    other, _ = folds_by_group(groups_a, groups_b, 5, seed=1)
    assert (other != folds_a).any()
    # One large group of a alone must not drive all that both sets share into the other half.
    _, halves = folds_by_group(["x"] * 100 + list("pqrs"), list("pqrs"), 2, seed=0)
    assert halves.sum() == 2


def test_no_fold_is_without_a_picture_of_either_set(monkeypatch):
    monkeypatch.setattr(two_sample, "FOLDS", 5)
    shared = [f"p{i % 4}" for i in range(20)]
    for groups in (([*"abcd"] * 5, [*"efghij"] * 5), (shared, shared), (shared + list("wxyz") * 9, shared)):
        folds = two_sample._whole_folds(groups, 0)
        assert [set(part) for part in folds] == [set(range(1 + max(folds[0])))] * 2 and max(folds[0]) >= 2
    with pytest.raises(UserError, match="too few different people in either set alone"):
        two_sample._whole_folds((["a", "b"] * 9, ["a", "b"] * 9), 0)


def test_no_face_is_judged_by_a_network_that_has_seen_its_person(monkeypatch):
    """Pictures hold the number of their person, so that what is learnt from and judged can be read off them."""
    people = np.arange(40) // 4
    images = np.broadcast_to(people[:, None, None, None], (40, 16, 16, 3)).astype(np.uint8)
    judged = []

    def train(a, b, held, seed, dtype):
        seen = {int(part[i, 0, 0, 0]) for part in (a, b, *held) for i in range(len(part))}
        stopped = {int(part[i, 0, 0, 0]) for part in held for i in range(len(part))}
        learnt = {int(part[i, 0, 0, 0]) for part in (a, b) for i in range(len(part))}
        assert not stopped & learnt

        def score(part):
            assert not seen & set(part[:, 0, 0, 0].tolist())
            judged.append(len(part))
            return np.zeros(len(part), np.float32)

        return score

    monkeypatch.setattr(two_sample, "_train", train)
    test = two_sample_test(images, images, groups_a=people, groups_b=people)
    assert test.auc == 0.5 and sum(judged) == 80


def test_training_ends_when_nothing_is_gained_and_goes_back_to_the_best():
    class Network:
        weights = 0

        def get_weights(self):
            return self.weights

        def set_weights(self, weights):
            self.weights = weights

    network = Network()
    losses = iter([0.9, 0.5, 0.6, 0.4999, 0.7, 0.8, 0.1])
    stop, ended = EarlyStop(lambda: next(losses)), []
    while not any(ended):
        network.weights += 1
        ended.append(stop.check(network))
    assert len(ended) == 6, "four checks after 0.5 without a gain worth the name"
    stop.restore(network)
    assert network.weights == 4, "the weights of the least loss"


def test_the_auc_compares_pairs_of_one_fold_and_its_interval_knows_how_few_people_there_are():
    people, rng = np.arange(60) // 3, np.random.default_rng(0)
    folds = people % 5
    scores_b = rng.standard_normal(60)
    # All of a fold's scores are shifted, as two networks have no common zero.
    shift = 100.0 * folds
    auc, low, high = two_sample._auc((scores_b + 9 + shift, scores_b + shift), (folds, folds), (people, people), rng)
    assert (auc, high) == (1, 1) and low == pytest.approx(1 + math.log(0.025) / 20)
    scores_a = scores_b[rng.permutation(60)] + 0.3
    auc, low, high = two_sample._auc((scores_a, scores_b), (folds, folds), (people, people), rng)
    pairs = [(scores_a[i], scores_b[j]) for i in range(60) for j in range(60) if folds[i] == folds[j]]
    assert auc == pytest.approx(np.mean([one > other for one, other in pairs]))
    assert low < auc < high and 0.1 < high - low < 0.5


def test_the_auc_of_scores_is_the_share_of_pairs_in_order_with_ties_half():
    rng = np.random.default_rng(0)
    above, below = rng.integers(2, 9, 30), rng.integers(0, 7, 40)
    pairs = [(one > other) + (one == other) / 2 for one in above for other in below]
    assert auc_of(above, below) == pytest.approx(np.mean(pairs))


def test_groups_are_drawn_whole_by_the_bootstrap():
    weights = two_sample._bootstrap_weights(["x", "y", "x", "z"], np.random.default_rng(0))
    assert (weights[:, 0] == weights[:, 2]).all()
    assert set(np.unique(weights[:, [0, 1, 3]].sum(axis=1))) == {3}


def test_of_a_large_set_so_many_are_looked_at_that_the_time_is_bounded(monkeypatch):
    monkeypatch.setattr(two_sample, "MOST_IMAGES", 25)
    monkeypatch.setattr(two_sample, "STEPS", 1)
    assert two_sample_test(textures(40, 0, 16), textures(21, 1, 16)).n == 46


def test_too_few_people_are_an_error_that_counts_them():
    images = textures(30, 0, 16)
    with pytest.raises(UserError, match="too few different people.*second set.*: 2, at least 4"):
        two_sample_test(images, images, groups_b=[i % 2 for i in range(30)])
