import cv2
import numpy as np
import pytest
from portraits import CLOTHES, SIZE, portrait

from simrefine.data import scenes
from simrefine.data.images import GRAY_LEVELS, to_signed
from simrefine.data.scenes import Scenes, ScenesOnDemand, carry_on, far_from_head, head, place, read_scenes


def given(picture_and_labels) -> tuple[np.ndarray, np.ndarray]:
    picture, soft = picture_and_labels
    return to_signed(picture[None]), soft[None].astype(np.float32) / 255


def scene_of(picture_and_labels) -> Scenes:
    picture, soft = picture_and_labels
    return read_scenes(picture[None], soft[None])


def test_scenes_on_demand_are_the_same_and_each_is_read_once():
    pictures, soft = (np.stack(each) for each in zip(*(portrait(room=(90, 20 * k, 0)) for k in range(6)), strict=True))
    read, whole = [], read_scenes(pictures, soft)
    on_demand = ScenesOnDemand(lambda places: [read.extend(places), read_scenes(pictures[places], soft[places])][1])
    for places in ([3, 1, 3], [1], [5, 3, 0]):
        for given, wanted in zip(on_demand.take(np.array(places)), whole.take(np.array(places)), strict=True):
            np.testing.assert_array_equal(given, wanted)
    assert read == [3, 1, 5, 0]


def test_the_head_stands_in_the_room_and_no_rim_of_the_old_one_comes_along():
    picture, soft = given(portrait(room=(255, 255, 255)))
    soft = np.stack([np.roll(soft[0], shift, axis=1) for shift in (-1, 0, 1)]).mean(axis=0)[None]  # soft edges
    dark = np.full((1, SIZE, SIZE, 3), 13, np.uint8)
    placed = place(picture, soft, Scenes(dark, dark, np.ones((1, SIZE, SIZE, 1), bool)))
    assert placed[0, :3] == pytest.approx(-0.9, abs=0.01)
    assert placed[0, 15:25, 13:19] == pytest.approx(picture[0, 15:25, 13:19], abs=0.005)
    assert placed[0, 18:24].max() < picture[0, 18:24, 12:20].max() + 0.15  # the white of the old room is gone


def test_behind_the_photographs_person_its_room_goes_on_and_its_clothes_do_not_run_into_it():
    picture, soft = portrait(room=(40, 90, 200), clothes=(220, 30, 30))
    rooms, clothes, worn = scene_of((picture, soft))
    assert np.abs(rooms[0, 4:25, 10:22].mean(axis=(0, 1)) - (40, 90, 200)).max() < 8
    assert np.abs(clothes[0, 4:25, 10:22].mean(axis=(0, 1)) - (220, 30, 30)).max() < 8
    assert (rooms[0, :2] == picture[:2]).all() and (rooms[0, -2:] == picture[-2:]).all()
    assert worn[0, 30:, :6].all() and not worn[0, :25].any()


def test_a_render_wears_the_photographs_clothes_up_to_its_own_neck():
    picture, soft = portrait(room=(90, 110, 130), clothes=(20, 60, 20))
    soft[20:, :8] = soft[20:, 24:] = 255 * np.eye(soft.shape[-1], dtype=np.uint8)[CLOTHES]  # a high collar
    placed = place(*given((picture, soft)), scene_of(portrait(room=(40, 90, 200), clothes=(220, 30, 30), seed=1)))
    shown = (placed[0] + 1) * 127.5
    assert np.abs(np.median(shown[21:26, :7], axis=(0, 1)) - (220, 30, 30)).max() < 60  # shaded as the render is
    assert np.abs(shown[29:, :7].mean(axis=(0, 1)) - (220, 30, 30)).max() < 12
    assert np.abs(shown[4:12, :7].mean(axis=(0, 1)) - (40, 90, 200)).max() < 12


def test_where_the_photograph_shows_no_clothes_the_render_keeps_its_own():
    bare, labels = portrait(room=(40, 90, 200), clothes=(40, 90, 200))
    labels[26:] = 255 * np.eye(labels.shape[-1], dtype=np.uint8)[0]
    picture, soft = given(portrait())
    assert place(picture, soft, scene_of((bare, labels)))[0, 29:] == pytest.approx(picture[0, 29:], abs=1e-6)


def test_a_scene_of_another_size_is_brought_to_that_of_the_faces():
    picture, soft = given(portrait())
    large = (values.repeat(2, axis=0).repeat(2, axis=1) for values in portrait(seed=1))
    assert place(picture, soft, scene_of(tuple(large))).shape == picture.shape


@pytest.mark.parametrize("shape", [(1, 1), (5, 3), (32, 17)])
def test_what_is_known_is_carried_on_over_all_of_a_picture(shape):
    picture, known = np.full((*shape, 3), 7.0, np.float32), np.zeros((*shape, 1), bool)
    picture[0, 0], known[0, 0] = 200, True
    assert carry_on(picture, known) == pytest.approx(200, abs=0.1)
    assert carry_on(picture, ~known & False) == pytest.approx(picture.mean())


def test_what_is_held_is_the_room_and_not_the_seam():
    _, soft = given(portrait())
    room = far_from_head(soft)[0, ..., 0]
    assert room[16, 0] == 1 and room[16, 16] == 0 and room[16, 10] < 0.2
    assert head(soft)[0, 6, 16, 0] == 1


def test_the_colour_of_a_head_beyond_its_outline_is_that_of_the_full_size(monkeypatch):
    picture, soft = given(portrait(room=(255, 255, 255)))
    large = [np.stack([cv2.resize(each[0], (800, 800))]) for each in (picture, soft)]
    room = scene_of(portrait(room=(10, 10, 10), seed=1))
    coarse = place(*large, room)
    monkeypatch.setattr(scenes, "COARSE", 100)
    fine = place(*large, room)
    assert 0 < np.abs(coarse - fine).mean() < 0.1 / GRAY_LEVELS and np.abs(coarse - fine).max() < 12 / GRAY_LEVELS
