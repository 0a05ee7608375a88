"""The worth of a set for recognising people is measured rightly: on strangers, across clips, from raw to real."""

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from simrefine.data.faces import Faces
from simrefine.errors import UserError
from simrefine.evaluation.verification import (
    People,
    augment_people,
    build_people,
    measure_verification,
    train_embedding,
    true_accepts,
    why_no_verification,
)

SIZE = 16  # px


def draw_people(count: int, pictures: int, seed: int) -> People:
    """People who differ in where they have a dark stripe: two columns, at two heights a person."""
    rng = np.random.default_rng(seed)
    images, people = [], []
    for person in range(count):
        places = np.random.default_rng([seed, person]).integers(2, SIZE - 4, 4)
        for _ in range(pictures):
            image = rng.normal(150, 10, (SIZE, SIZE, 3)) + rng.uniform(-30, 30)
            image[places[0] : places[0] + 3, places[1] : places[1] + 3] -= 110
            image[places[2] : places[2] + 3, places[3] : places[3] + 3] += 80
            images.append(np.clip(image, 0, 255).astype(np.uint8))
            people.append(f"{seed}/{person}")
    return People(np.stack(images), people)


def test_equal_sets_are_worth_the_same_to_the_last_bit_and_the_gap_runs_from_raw_to_real():
    real = draw_people(20, 4, 0)
    wrong = replace(real, people=[real.people[i] for i in np.random.default_rng(0).permutation(len(real))])
    heard = []
    measured = measure_verification(
        {"raw": wrong, "refined": wrong, "real": real},
        draw_people(12, 4, 1),
        seeds=(0, 1),
        steps=60,
        precision="float32",
        progress=lambda what, share: heard.append((what, share)),
    )
    assert json.loads(json.dumps(measured, allow_nan=False)) == measured
    raw, refined, real = (measured["sets"][name] for name in ("raw", "refined", "real"))
    assert raw == refined
    assert real["auc"]["mean"] > raw["auc"]["mean"] + 0.05 and real["auc"]["mean"] > 0.6
    assert len(set(raw["auc"]["per_seed"])) == 2, "both seeds gave the same network"
    assert raw["auc"]["gap_closed"] == 0 and real["auc"]["gap_closed"] == 1
    assert real["tar"]["std"] == pytest.approx(np.std(real["tar"]["per_seed"], ddof=1))
    assert measured["test"] == {"images": 48, "people": 12, "pairs": [12 * 6, 48 * 44 // 2]}
    assert heard[-1][1] == 1 and {what for what, _ in heard} >= {"raw, seed 0", "real, seed 1"}


def test_vectors_are_of_length_1_and_the_same_for_a_mirrored_face():
    people = draw_people(4, 8, 0)
    embed = train_embedding(people, seed=0, steps=3, precision="float32")
    vectors = embed(people.images)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(embed(people.images[:, :, ::-1]), vectors, atol=1e-5)


def test_frames_of_one_clip_are_no_pair_of_a_person():
    images = np.zeros((6, SIZE, SIZE, 3), np.uint8)
    people, clips = list("aaabbc"), ["a0", "a0", "a1", "b0", "b0", "c0"]
    measure = partial(measure_verification, {}, seeds=())
    test = People(np.repeat(images, 2, axis=0)[:12], people * 2, clips * 2)
    pairs = measure(test)["test"]["pairs"]
    assert pairs == [4 * 2, 66 - 15 - 6 - 1], "of a only across clips; of b and c, who have one, never"
    assert measure(replace(test, clips=None))["test"]["pairs"] == [15 + 6 + 1, 44]


def test_true_accepts_are_counted_above_the_threshold_that_one_of_a_hundred_strangers_passes():
    others = np.arange(1000) / 1000
    assert true_accepts(np.array([0.1, 0.985, 0.995, 2.0]), others) == 0.5
    assert true_accepts(others, others) == pytest.approx(0.01)


def faces(groups, images=None, clips=None) -> Faces:
    found = Faces(Path("somewhere"), None, groups=groups, clips=clips)
    found.__dict__["images"] = images
    return found


def test_the_people_of_raw_count_for_every_row_and_who_is_tested_is_not_learnt():
    images = np.arange(80, dtype=np.uint8)[:, None, None, None] * np.ones((1, SIZE, SIZE, 3), np.uint8)
    people = [f"p{i // 4}" for i in range(80)]
    given = {"raw": faces(people, images), "refined": faces(None, images + 1), "real": faces(people, images)}
    given["test"] = faces(["p3", "p3", "q", "q"])
    sets = build_people(given | {"unrefined": faces(None, images + 2)})
    assert list(sets) == ["raw", "unrefined", "refined", "real"]
    assert sets["unrefined"].people == sets["refined"].people == people
    assert sets["unrefined"].images[0, 0, 0, 0] == 2
    assert "p3" not in sets["real"].people and len(sets["real"]) == 76
    assert {int(v) // 4 for v in np.unique(sets["real"].images)} == set(range(20)) - {3}
    given["real"] = faces(["q"] * 80, images)
    assert "real" not in build_people(given), "nobody is left"


def test_what_labels_lack_is_said():
    given = {"raw": faces(["a"]), "test": faces(["a", "a", "b"])}
    assert why_no_verification(given) is None
    assert "raw faces do not say" in why_no_verification(given | {"raw": faces(None)})
    assert "not of one clip" in why_no_verification(given | {"test": faces(list("aab"), clips=list("xxy"))})
    assert "one person only" in why_no_verification(given | {"test": faces(["a", "a"])})


def test_augmentation_changes_light_sharpness_and_place_and_repeats():
    images = draw_people(8, 4, 0).images
    once, again = (augment_people(images, np.random.default_rng(0)) for _ in range(2))
    np.testing.assert_array_equal(once, again)
    assert once.shape == images.shape and once.dtype == np.uint8
    colour = once.mean(axis=(1, 2)) / images.mean(axis=(1, 2))
    assert 0.3 < colour.min() < 0.9 and 1.1 < colour.max() < 2.5
    tint = colour / colour.mean(axis=1, keepdims=True)
    assert tint.std() > 0.03
    gray = augment_people(images[..., :1], np.random.default_rng(0))
    assert gray.shape == images[..., :1].shape


def test_a_set_that_does_not_fit_is_named():
    people = draw_people(8, 4, 0)
    measure = partial(measure_verification, seeds=(0,), steps=1)
    with pytest.raises(UserError, match="the raw set has 4 labelled pictures, at least 32 are needed"):
        measure({"raw": draw_people(1, 4, 0)}, people)
    with pytest.raises(UserError, match="the raw set shows one person only"):
        measure({"raw": replace(people, people=["a"] * 32)}, people)
    with pytest.raises(UserError, match="the test set shows nobody in two pictures"):
        measure({"raw": people}, replace(people, clips=people.people))
    with pytest.raises(UserError, match=r"pictures of the raw set are \[8, 16, 3\]"):
        measure({"raw": replace(people, images=people.images[:, ::2])}, people)
