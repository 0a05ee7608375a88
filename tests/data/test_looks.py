import numpy as np
import pytest
from portraits import EYES, HAIR, SKIN, portrait

from simrefine.catalogue import PARTS
from simrefine.data import looks
from simrefine.data.images import to_signed
from simrefine.data.looks import (
    Bank,
    choose,
    natural,
    part_statistics,
    read_bank,
    recolour,
    without_lips,
)
from simrefine.data.scenes import outline


def dress(pictures, soft, bank) -> np.ndarray:
    return recolour(pictures, soft, part_statistics(pictures, soft), bank)


def bank_of(*portraits) -> Bank:
    images, soft = zip(*portraits, strict=True)
    return read_bank(np.stack(images), np.stack(soft))


def given(picture_and_labels) -> tuple[np.ndarray, np.ndarray]:
    picture, soft = picture_and_labels
    return to_signed(picture[None]), soft[None].astype(np.float32) / 255


def test_each_part_takes_the_colour_of_the_same_part():
    picture, soft = given(portrait())
    wanted = bank_of(portrait(skin=(180, 120, 90), hair=(120, 90, 50), room=(30, 30, 80), seed=1))
    means = part_statistics(dress(picture, soft, wanted), soft)[1]
    for part in (SKIN, HAIR, 0):
        assert means[0, part] == pytest.approx(wanted.means[0, part], abs=0.01)


def test_whites_stay_white_and_follow_the_light_on_the_skin():
    picture, soft = given(portrait())
    darker = bank_of(portrait(skin=(140, 80, 40), seed=1))
    before, after = (part_statistics(p, soft)[1][0, EYES] for p in (picture, dress(picture, soft, darker)))
    assert after.max() - after.min() < 0.02 and after.mean() < before.mean() - 0.2


def test_colours_are_stretched_within_bounds():
    picture, soft = given(portrait())
    wild, labels = portrait(seed=1)
    wild = np.clip(wild.astype(float) + np.random.default_rng(2).normal(0, 70, wild.shape), 0, 255).astype(np.uint8)
    spread = [
        np.sqrt(np.trace(part_statistics(p, soft)[2][0, SKIN]))
        for p in (picture, dress(picture, soft, bank_of((wild, labels))))
    ]
    assert spread[1] < 1.6 * spread[0]


@pytest.mark.parametrize("strange", [(255, 255, 255), (0, 0, 0)])
def test_a_pixel_on_a_border_gets_no_colour_that_its_part_has_not(strange):
    """Light skin under the map that makes dark hair blond would be white."""
    picture, labels = portrait()
    there = tuple(np.argwhere(labels[..., HAIR])[10])
    usual, soft = given((picture, labels))
    picture[there] = strange
    odd, _ = given((picture, labels))
    blond = bank_of(portrait(hair=(150, 120, 80), seed=1))
    own, share = part_statistics(usual, soft), 255 / 2  # gray levels a unit
    dressed = share * recolour(odd, soft, own, blond)[0][there]
    others = share * recolour(usual, soft, own, blond)[0][labels[..., HAIR] > 0]
    assert (others.min(axis=0) - 5 <= dressed).all() and (dressed <= others.max(axis=0) + 5).all()


def test_a_part_that_the_photograph_lacks_follows_the_light():
    picture, soft = given(portrait())
    bald, labels = portrait(skin=(150, 110, 85), seed=1)
    labels[labels[..., HAIR] > 0] = 255 * np.eye(len(PARTS), dtype=np.uint8)[0]
    after = part_statistics(dress(picture, soft, bank_of((bald, labels))), soft)[1][0, HAIR]
    assert np.isfinite(after).all() and after.mean() < part_statistics(picture, soft)[1][0, HAIR].mean()


def test_skin_that_no_person_has_is_not_natural():
    skins = [(200, 150, 120), (90, 130, 220), (20, 14, 10), (150, 150, 150)]  # usual, blue, in the dark, gray
    assert natural(bank_of(*(portrait(skin=skin) for skin in skins))).tolist() == [True, False, False, False]


def test_the_photograph_is_one_of_near_complexion(monkeypatch):
    monkeypatch.setattr(looks, "FEWEST_NEAR", 1)
    picture, soft = given(portrait())
    skins = [(90, 60, 45)] * 20 + [(201, 151, 121)] + [(240, 200, 180)] * 20
    bank = bank_of(*(portrait(skin=skin, seed=k) for k, skin in enumerate(skins)))
    draws = np.random.default_rng(0).random((1, 3)) * 0.4  # the nearest of the two that are near
    assert choose(*part_statistics(picture, soft)[:2], outline(soft, dilation=0), bank, draws)[0] == 20


def test_dark_hair_is_not_given_the_colour_of_light_hair_where_there_is_dark(monkeypatch):
    monkeypatch.setattr(looks, "FEWEST_NEAR", 1)
    picture, soft = given(portrait())
    bank = bank_of(*(portrait(hair=hair, seed=k) for k, hair in enumerate([(220, 190, 140)] * 9 + [(62, 41, 22)])))
    assert choose(*part_statistics(picture, soft)[:2], outline(soft, dilation=0), bank, np.zeros((1, 1)))[0] == 9


def test_among_them_it_is_the_one_whose_person_the_head_hides(monkeypatch):
    monkeypatch.setattr(looks, "NEAR", 1.0)
    picture, soft = given(portrait(shift=4))
    bank = bank_of(*(portrait(shift=-8, seed=k) for k in range(9)), portrait(shift=4, seed=10))
    draws = np.linspace(0, 0.999, 10)[None]
    assert choose(*part_statistics(picture, soft)[:2], outline(soft, dilation=0), bank, draws)[0] == 9


def test_gray_faces_are_dressed_too():
    picture, soft = given(portrait())
    gray = picture.mean(axis=-1, keepdims=True)
    images, labels = portrait(skin=(120, 120, 120), seed=3)
    bank = read_bank(images[None, ..., :1], labels[None])
    assert natural(bank).all()
    draws = np.zeros((1, 1))
    assert choose(*part_statistics(gray, soft)[:2], outline(soft, dilation=0), bank, draws).tolist() == [0]
    assert part_statistics(dress(gray, soft, bank), soft)[1][0, SKIN] == pytest.approx(bank.means[0, SKIN], abs=0.02)


def test_flat_bright_parts_have_covariances_and_can_be_recoloured():
    picture, soft = given(portrait(skin=(250, 250, 250), hair=(254, 254, 254)))
    flat = np.where(soft[..., HAIR, None] > 0.5, np.float32(0.99), picture).repeat(20, axis=0)
    many = soft.repeat(20, axis=0)
    many = many * np.random.default_rng(0).uniform(0.3, 1, many.shape).astype(np.float32)
    covariances = part_statistics(flat, many)[2]
    assert np.linalg.eigvalsh(covariances).min() > 0
    bank = bank_of(*(portrait(skin=(255, 255, 255), seed=k) for k in range(20)))
    assert np.isfinite(dress(flat, many, bank)).all()


def test_lips_and_what_is_between_them_are_told_from_all_else():
    soft = np.eye(len(PARTS), dtype=np.float32)[None, None]  # a row of pixels, one of each part
    free = {PARTS[place] for place in np.flatnonzero(without_lips(soft)[0, 0, :, 0] == 0)}
    assert free == {"lips", "mouth"}
