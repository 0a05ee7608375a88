"""Rendered faces are put on photographed heads that fit them: the face stays, the rest is the photograph's."""

import cv2
import numpy as np
import pytest
from portraits import EYES, HAIR, LIPS, NEAR_SKINS, SIZE, SKIN, labels_of, people, person, portrait

from simrefine.catalogue import PARTS
from simrefine.data.dressing import PartLooks, read_looks
from simrefine.data.heads import (
    VIEW,
    Heads,
    HeadsOnDemand,
    Seats,
    choose_heads,
    face_alone,
    frames,
    light_between,
    light_up,
    mirrored,
    misfit,
    seat,
    views,
)
from simrefine.data.images import resize, to_signed, to_uint8
from simrefine.data.looks import complexions_apart, hold_complexion, part_statistics
from simrefine.data.parts import as_shares
from simrefine.data.scenes import read_scenes
from simrefine.data.windows import Window, put_together, windows, windows_of

NO_SHIFT = np.zeros((1, 3))


def dresser(photographs=None, heads: bool = True) -> PartLooks:
    images, soft = photographs or people()
    looks = read_looks(images, lambda _: soft)
    own = (looks.images, looks.soft)
    return PartLooks(looks.bank, 2, labels_of, read_scenes(*own), heads=Heads(*own) if heads else None)


def room_of(picture: np.ndarray) -> np.ndarray:
    return picture[:4, :4].mean(axis=(0, 1))


def test_eyes_and_mouth_are_found_where_they_are():
    found = frames(np.stack([person()[1], person(shift=4)[1]]))
    assert found.seen.all()
    np.testing.assert_allclose(found.points[0], found.points[1], atol=1e-6)
    np.testing.assert_allclose(found.matrices[1, :, 2] - found.matrices[0, :, 2], [4 / SIZE, 0], atol=1e-6)
    middle = found.matrices[0] @ [0, -0.35, 1]
    assert SIZE * middle == pytest.approx([16, 16], abs=0.6)


def test_a_face_without_a_mouth_or_eyes_is_put_on_no_head():
    looks = dresser()
    for part in (EYES, LIPS):
        picture, soft = person()
        hidden = soft.copy()
        hidden[soft[..., part] > 0] = soft[14, 12]  # skin
        assert not frames(hidden[None]).seen
        assert (views(picture[None], hidden[None]) == 0).all()
        known = [np.argmax(hidden, axis=-1).astype(np.uint8)]
        dressed = looks.dress_alone(to_signed(picture[None]), 0, known)
        unput = dresser(heads=False).dress_alone(to_signed(picture[None]), 0, known)
        np.testing.assert_array_equal(dressed.pictures, unput.pictures)


def test_the_view_of_a_mirrored_face_is_the_mirrored_view():
    picture, soft = person(shift=3)
    picture[:, 16:] //= 2  # light from the left
    seen, flipped = views(picture[None], soft[None]), views(picture[None, :, ::-1], soft[None, :, ::-1])
    assert seen.shape == (1, VIEW) and np.abs(seen - mirrored(seen)).max() > 0.1, "else it could not tell"
    np.testing.assert_allclose(mirrored(seen).astype(float), flipped.astype(float), atol=0.02)


def test_a_head_that_looks_the_same_way_fits_best():
    picture, soft = person()
    turned = np.zeros_like(soft)  # the same eyes and mouth in a face that goes on to one side
    turned[...] = soft
    turned[12:26, 18:22] = soft[0, 0]
    turned[12:26, 6:10] = soft[20, 12]
    hairy = soft.copy()
    hairy[12:19, 10:22] = np.where(soft[12:19, 10:22, [EYES]] > 0, soft[12:19, 10:22], soft[5, 15])
    seen = views(np.stack([picture] * 3), np.stack([soft, turned, hairy]))
    cost = misfit(seen[:1], seen)[0]
    assert cost[0] < 0.04 and cost[1] > 2 * cost[0] and cost[2] > 2 * cost[0]
    assert misfit(seen[1:2], seen)[0].argmin() == 1


def test_a_photograph_whose_face_is_not_seen_fits_no_face():
    picture, soft = person()
    seen = views(picture[None], soft[None])
    assert np.isinf(misfit(seen, np.zeros_like(seen))) and np.isinf(misfit(np.zeros_like(seen), seen))


def test_light_from_the_other_side_fits_less():
    picture, soft = person()
    left, right = picture.copy(), picture.copy()
    left[:, 16:] //= 2
    right[:, :16] //= 2
    seen = views(np.stack([left, right]), np.stack([soft, soft]))
    cost = misfit(seen[:1], seen)[0]
    assert cost[1] > cost[0] + 0.01


def test_none_is_chosen_that_does_not_fit_or_has_another_complexion():
    seen = np.zeros((40, VIEW), np.float32)
    picture, soft = person()
    seen[:] = views(picture[None], soft[None])
    far = np.arange(40)[None].astype(float)
    chosen = {int(choose_heads(seen[:1], seen, far, np.array([draw]))[0]) for draw in np.linspace(0, 0.99, 40)}
    assert chosen == set(range(8))
    seen[:, :256] = 0  # no face anywhere
    seen[:, 512:768] = 1  # and background in its place
    face = views(picture[None], soft[None])
    assert choose_heads(face, seen, far, np.array([0.5])) == -1


def test_the_face_stays_and_hair_and_room_are_the_photographs():
    images, soft = people()
    looks = dresser((images, soft))
    face, own = person(skin=NEAR_SKINS[0], hair=(250, 250, 250), room=(0, 0, 0), seed=99)
    dressed = looks.dress_alone(to_signed(face[None]), 0)
    picture = dressed.pictures[0]
    assert looks.has_heads and dressed.parts[0, 20, 16, SKIN] == pytest.approx(1, abs=0.01)
    rooms, hair = to_signed(images)[:, :4, :4].mean(axis=(1, 2)), to_signed(images)[:, 5:9, 13:19].mean(axis=(1, 2))
    which = np.abs(rooms - room_of(picture)).mean(axis=1).argmin()
    np.testing.assert_allclose(room_of(picture), rooms[which], atol=0.08)
    np.testing.assert_allclose(picture[5:9, 13:19].mean(axis=(0, 1)), hair[which], atol=0.08)
    # The grain of the nose is the render's: nothing in the face has moved.
    inside = np.s_[17:21, 15:17]
    grain = [each[inside].mean(axis=-1).ravel() for each in (picture, to_signed(face), to_signed(images[which]))]
    assert np.corrcoef(grain[0], grain[1])[0, 1] > 0.7 > 0.6 > np.corrcoef(grain[0], grain[2])[0, 1]
    assert own[5, 15, HAIR] == 255 and dressed.parts[0, 5, 15, HAIR] == 0


@pytest.fixture
def as_large(monkeypatch):
    """Photographed faces are not made smaller than the rendered ones."""
    for name in ("NARROWER", "SHORTER"):
        monkeypatch.setattr(f"simrefine.data.heads.{name}", 1.0)


def test_a_photographed_face_is_made_as_wide_as_the_rendered_one_and_a_little_less():
    _, soft = person()
    wide = soft.copy()
    wide[12:26, 8:10], wide[12:26, 22:24] = soft[20, 12], soft[20, 12]
    image = person()[0]
    seats = seat(Heads(image[None], wide[None]), np.array([False]), soft[None], NO_SHIFT)
    face = seats.labels[0, 20, :, [SKIN, LIPS]].sum(axis=0)
    assert 12 * 0.8 < face.sum() < 12, "the rendered one is 12 px wide, the photographed one was 16"
    assert seats.labels[0, 25:, 16, SKIN].sum() < wide[25:, 16, SKIN].sum() / 255 + 0.5


def test_the_border_of_a_photograph_stays_where_it_is():
    size = 64
    image = np.repeat(np.arange(size, dtype=np.uint8)[None, None, :, None] * 4, size, axis=1).repeat(3, axis=3)
    soft = person()[1][None]
    moved = seat(Heads(image, soft), np.array([False]), soft, NO_SHIFT).scenes.rooms[0, 40].mean(axis=-1)
    np.testing.assert_allclose(moved[[0, 1, 62, 63]], [0, 4, 248, 252], atol=3)
    assert moved[22] < 4 * 22 - 3 and moved[42] > 4 * 42 + 3, "the face is narrower"


def test_a_photograph_is_moved_so_that_its_eyes_and_mouth_are_under_those_of_the_face(as_large):
    images, soft = people(1)
    _, elsewhere = person(shift=5)
    seats = seat(Heads(images, soft), np.array([False]), elsewhere[None], NO_SHIFT)
    np.testing.assert_array_equal(seats.scenes.rooms[0, :, 6:26], images[0, :, 1:21])
    np.testing.assert_allclose(seats.labels[0, :, 6:26], soft[0, :, 1:21] / 255, atol=1e-6)
    turned = cv2.warpAffine(soft[0], cv2.getRotationMatrix2D((16, 16), 20, 0.9), (SIZE, SIZE))[None]
    moved = seat(Heads(images, soft), np.array([False]), turned, NO_SHIFT).labels[0]
    for part in (EYES, LIPS):
        assert np.corrcoef(moved[..., part].ravel(), turned[0, ..., part].ravel())[0, 1] > 0.9


def seats_of(soft: np.ndarray, under: np.ndarray | None = None) -> Seats:
    image = person()[0]
    return seat(Heads(image[None], (soft if under is None else under)[None]), np.array([False]), soft[None], NO_SHIFT)


def test_features_are_the_renders_and_cheeks_forehead_and_neck_the_photographs():
    soft = person()[1]
    large = as_shares(soft[None], 128, 128)
    kept = face_alone(large, seats_of(soft), 128, 128, Window.whole(128, 128))[0]
    share = kept.sum(axis=-1) - kept[..., 0]
    np.testing.assert_allclose(kept.sum(axis=-1), 1, atol=1e-5)
    eyes, mouth, nose, chin = share[62:66, 50:58], share[86:90, 56:72], share[70:78, 62:66], share[92:96, 62:66]
    assert min(each.min() for each in (eyes, mouth, nose, chin)) > 0.95
    cheeks, forehead = share[76:79, [52, 75]], share[48:50, 56:72]
    assert cheeks.max() < 0.4 and forehead.max() < 0.4


def test_a_fringe_is_before_the_face_and_a_forehead_ends_where_the_photographed_head_does():
    soft = person()[1]
    large, whole = as_shares(soft[None], 64, 64), Window.whole(64, 64)
    for part, seen in ((HAIR, 0.3), (0, 0.3)):
        under = soft.copy()
        under[12:17] = 255 * np.eye(len(PARTS), dtype=np.uint8)[part]
        under[15:17] = soft[15:17]
        before, after = (
            face_alone(large, seats_of(soft, each), 64, 64, whole)[0, 28, 32, SKIN] for each in (soft, under)
        )
        assert before > 0.6 and after < seen


def test_a_face_has_the_light_of_the_head_that_it_is_on(as_large):
    picture, soft = person()
    lit = picture.copy()
    lit[:, 16:] = (lit[:, 16:] * 0.6).astype(np.uint8)
    seats = seat(Heads(lit[None], soft[None]), np.array([False]), soft[None], NO_SHIFT)
    shares = as_shares(soft[None], SIZE, SIZE)
    light = light_between(to_signed(picture[None]), shares, seats)
    assert light[0, 20, 12] == pytest.approx(1, abs=0.1) and (light[0, 20, 20] < 0.8).all()
    lit_up = light_up(to_signed(picture[None]), seats._replace(light=light), SIZE, SIZE, Window.whole(SIZE, SIZE))[0]
    assert np.abs(lit_up[18:20, 19:21] - to_signed(lit)[18:20, 19:21]).mean() < 0.16
    same = seat(Heads(picture[None], soft[None]), np.array([False]), soft[None], NO_SHIFT)
    np.testing.assert_allclose(light_between(to_signed(picture[None]), shares, same), 1, atol=0.04)
    black = light_between(np.full((1, SIZE, SIZE, 3), -1, np.float32), shares, seats)
    assert 1 <= black.max() <= 1.4 and light.min() >= 0.7, "bounded"


def test_a_mirrored_photograph_is_mirrored(as_large):
    images, soft = people(1)
    images[0, :, 16:] //= 2
    seats = [seat(Heads(images, soft), np.array([flip]), soft, NO_SHIFT) for flip in (False, True)]
    np.testing.assert_array_equal(seats[0].scenes.rooms, images)
    np.testing.assert_allclose(
        seats[1].scenes.rooms.astype(float), images[:, :, ::-1].astype(float), atol=30
    )  # up to the grain: eyes are not quite in the middle
    assert seats[1].scenes.rooms[0, :, 20:].mean() > 1.5 * seats[1].scenes.rooms[0, :, :12].mean()


def test_hair_of_the_photograph_is_before_the_face():
    images, soft = people()
    fringe = np.s_[:, 12:14, 10:22]
    images[fringe], soft[fringe] = images[:, 6:8, 10:22], soft[:, 6:8, 10:22]
    looks = read_looks(images, lambda _: soft)
    own = (looks.images, looks.soft)
    put = PartLooks(looks.bank, 2, labels_of, read_scenes(*own), heads=Heads(*own))
    parts = put.dress_alone(to_signed(person(seed=99)[0][None]), 0).parts
    assert parts[0, 12, 16, SKIN] < 0.3 < 0.9 < parts[0, 18, 16, SKIN]


def test_complexion_moves_no_farther_than_it_may():
    light, dark = person(skin=(230, 190, 160)), person(skin=(150, 110, 90))
    images, soft = (np.stack([values] * 12) for values in dark)
    bank = read_looks(images, lambda _: soft).bank
    means = part_statistics(to_signed(light[0][None]), as_shares(light[1][None], SIZE, SIZE))[1]
    assert complexions_apart(means, bank).min() > 20
    held, shifts = hold_complexion(means, bank.take([0]))
    assert complexions_apart(means, held) == pytest.approx(2, abs=0.5) and (shifts > 0.2).all()
    put = dresser((images, soft)).dress_alone(to_signed(light[0][None]), 0)
    skin = put.pictures[0, 18:20, 12:20].mean(axis=(0, 1)), to_signed(light[0])[18:20, 12:20].mean(axis=(0, 1))
    assert np.abs(skin[0] - skin[1]).max() < 0.12


def test_a_face_that_fits_on_no_head_keeps_its_own(monkeypatch):
    monkeypatch.setattr("simrefine.data.heads.WORST", 0.0)
    faces = to_signed(np.stack([person(seed=50)[0]]))
    kept, none = dresser().dress_alone(faces, 0), dresser(heads=False).dress_alone(faces, 0)
    np.testing.assert_array_equal(kept.pictures, none.pictures)
    np.testing.assert_array_equal(kept.parts, none.parts)
    assert kept.parts[0, 6, 16, HAIR] > 0.9


def test_faces_with_and_without_heads_come_together_in_their_order():
    hidden = portrait(seed=3)  # it has no mouth
    pictures = to_signed(np.stack([person(seed=1)[0], hidden[0], person(seed=2)[0]]))
    known = [np.argmax(soft, axis=-1).astype(np.uint8) for soft in (person()[1], hidden[1], person()[1])]
    looks = dresser()
    together = looks.dress_alone(pictures, 0, known)
    for place in range(3):
        alone = looks.dress_alone(pictures[[place]], 0, [known[place]])
        np.testing.assert_allclose(together.pictures[place], alone.pictures[0], atol=1e-5)
    assert (together.parts[:, 6, 16, HAIR] > 0.9).tolist() == [False, True, False]


@pytest.mark.parametrize("softness", [0.0, 1 / 64])
def test_windows_of_a_face_on_a_head_are_dressed_as_the_whole_face_is(softness):
    face, looks = resize(person(seed=100)[0], 430, 430)[None], dresser()
    looks.softness = softness
    wanted = looks.dress_alone(to_signed(face), seed=0)
    assert wanted.parts[0, 80, 215, HAIR] == 0, "else it is on no head"
    look = looks.look(face, 0, windows_of(3000, 430, 430))
    dressed = put_together(((each, look(each)) for each in windows(430, 430, 61)), np.empty_like(wanted.pictures))
    assert np.abs(dressed - wanted.pictures).max() < 0.5 / 127.5
    assert look(Window.whole(430, 430)).shape == (1, 430, 430, 3)


def test_a_picture_that_is_not_square_keeps_its_head():
    face = to_signed(resize(person()[0], 40, 32)[None])
    np.testing.assert_array_equal(
        dresser().dress_alone(face, 0).pictures, dresser(heads=False).dress_alone(face, 0).pictures
    )


def test_heads_on_demand_are_those_in_memory_and_larger_for_larger_faces():
    images, soft = people(4)
    asked = []

    def read(places: np.ndarray, side: int) -> np.ndarray:
        asked.append(side)
        return np.stack([resize(images[place], side, side) for place in places])

    def parse(places: np.ndarray) -> np.ndarray:
        asked.append(tuple(places))
        return soft[places]

    heads = HeadsOnDemand(read, parse, SIZE)
    for side in (16, SIZE, 200, 5000):
        taken = heads.take(np.array([2, 0, 2]), side)
        np.testing.assert_array_equal(taken.soft, soft[[2, 0, 2]])
        assert len(taken.images) == 3
    assert asked == [(2, 0), SIZE, SIZE, 200, 256], "labels are asked for once"


def test_gray_faces_are_put_on_gray_heads():
    images, soft = people()
    gray = images.mean(axis=-1, keepdims=True).astype(np.uint8)
    put = dresser((gray, soft)).dress_alone(to_signed(gray[:1]), 0)
    assert put.pictures.shape == (1, SIZE, SIZE, 1) and to_uint8(put.pictures).std() > 5
    assert put.parts[0, 6, 16, HAIR] == 0
