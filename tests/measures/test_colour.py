"""The complexion of a face is that of its skin alone, in colours and angles that can be looked up."""

import json
from pathlib import Path

import numpy as np
import pytest

from simrefine.data.colour import to_lab
from simrefine.data.faces import read_faces
from simrefine.data.images import to_signed
from simrefine.measures.colour import (
    compare_complexions,
    is_tinted,
    skin_colours,
    skin_mask,
    typology_angle,
)

FACES = Path(__file__).parents[3] / "shared" / "faces"
SIZE = 64
SKIN = np.array([200, 150, 120], np.uint8)


def face_points() -> np.ndarray:
    """[68, 2] px: a square face of 16 to 48 px, with eyes of 4 px around (24, 26) and (40, 26), a mouth around (32, 42)
    of 12 x 4 px."""

    def around(x, y, wide, high, count):
        turns = np.linspace(0, 2 * np.pi, count, endpoint=False)
        return np.stack([x + wide * np.cos(turns), y + high * np.sin(turns)], axis=1)

    points = np.full((68, 2), 32.0)
    points[:17] = [(16, y) for y in np.linspace(20, 48, 8)] + [(32, 48)] + [(48, y) for y in np.linspace(48, 20, 8)]
    points[17:27, 0], points[17:27, 1] = np.linspace(16, 48, 10), 20
    points[36:42], points[42:48] = around(24, 26, 2, 2, 6), around(40, 26, 2, 2, 6)
    points[48:60], points[60:68] = around(32, 42, 6, 2, 12), around(32, 42, 4, 1, 8)
    return points


def painted(skin=SKIN, eyes=(10, 20, 250), mouth=(250, 0, 0), hair=(0, 250, 0)) -> np.ndarray:
    face = np.empty((SIZE, SIZE, 3), np.uint8)
    face[:] = hair
    face[16:48, 16:48] = skin  # a forehead above the brows is not looked at
    for rows, columns, colour in (
        (slice(25, 27), slice(23, 25), eyes),
        (slice(25, 27), slice(39, 41), eyes),
        (slice(41, 43), slice(27, 37), mouth),
    ):
        face[rows, columns] = colour
    return face


def test_known_colours_have_their_published_lab_values():
    colours = np.array([[255, 255, 255], [255, 0, 0], [0, 0, 255], [128, 128, 128], [0, 0, 0]], np.uint8)
    known = [[100, 0, 0], [53.24, 80.09, 67.20], [32.30, 79.19, -107.86], [53.59, 0, 0], [0, 0, 0]]
    np.testing.assert_allclose(to_lab(to_signed(colours)), known, atol=0.15)


def test_only_skin_counts_neither_eyes_nor_mouth_nor_what_is_around_the_face():
    points = face_points()[None]
    np.testing.assert_allclose(skin_colours(painted()[None], points)[0], to_lab(to_signed(SKIN[None]))[0], atol=1e-3)
    mask = skin_mask(points[0], SIZE, SIZE)
    assert mask[30, 32] and not mask[26, 24] and not mask[26, 40] and not mask[42, 32] and not mask[10, 32]


def test_eyes_and_lips_that_are_closed_to_a_line_or_a_point_take_no_skin_away():
    points = face_points()
    shut = points.copy()
    shut[36:42], shut[42:48, 1], shut[48:60, 1] = 24, 26, 42
    widest = skin_mask(np.where(np.arange(68)[:, None] < 36, points, 5), SIZE, SIZE)
    assert (skin_mask(shut, SIZE, SIZE) == widest).all() and widest.sum() > skin_mask(points, SIZE, SIZE).sum()


def test_the_mean_is_taken_over_all_of_the_skin():
    face = painted()
    face[:, 32:] = np.where((face[:, 32:] == SKIN).all(-1, keepdims=True), np.uint8([120, 80, 60]), face[:, 32:])
    halves = to_lab(to_signed(np.stack([SKIN, np.uint8([120, 80, 60])]))).mean(axis=0)
    np.testing.assert_allclose(skin_colours(face[None], face_points()[None])[0], halves, atol=0.1)


def test_a_face_that_is_not_fully_annotated_or_outside_has_no_complexion():
    points = np.stack([face_points()] * 3)
    points[0, 5], points[1] = np.nan, points[1] + 900
    assert list(np.isnan(skin_colours(np.stack([painted()] * 3), points)).all(axis=1)) == [True, True, False]


@pytest.mark.parametrize(
    ("rgb", "tinted"),
    [
        ((230, 180, 150), False),
        ((90, 55, 40), False),
        ((150, 200, 140), True),  # green
        ((230, 150, 190), True),  # pink
        ((150, 160, 220), True),  # blue
        ((140, 138, 136), True),  # gray
        ((45, 25, 15), True),  # too dark to say
    ],
)
def test_a_colour_that_no_skin_has_is_tinted(rgb, tinted):
    assert is_tinted(to_lab(to_signed(np.array([rgb], np.uint8))))[0] == tinted


def test_the_typology_angle_is_that_of_its_formula():
    np.testing.assert_allclose(typology_angle(np.array([[70.0, 9, 20], [30.0, 9, 20], [50, 9, 5]])), [45, -45, 0])


def test_what_became_of_a_complexion_is_said_in_distances_and_angles():
    raw = np.array([[60.0, 15, 15]] * 4)
    turned = raw + np.array([[0, 0, 0], [3, 4, 0], [0, 0, 0], [0, 0, 0]])
    turned[3] = np.nan
    refined = raw.copy()
    refined[:, 0] += 10
    refined[1] = [60, -20, 0]  # green
    summary = compare_complexions(raw, {"unrefined": turned, "refined": refined}, real=raw[:2] * [1, 0, 0])
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary
    assert (summary["raw"]["tinted"], summary["refined"]["tinted"], summary["real"]["tinted"]) == (0, 0.25, 1)
    assert summary["unrefined"]["faces"] == 3 and summary["unrefined"]["distance"]["median"] == 0
    assert summary["unrefined"]["distance"]["p95"] == pytest.approx(4.5)  # nine tenths of the way from 0 to 5
    assert summary["refined"]["distance"]["median"] == pytest.approx(10)
    angle = np.degrees(np.arctan2(20, 15) - np.arctan2(10, 15))
    assert summary["refined"]["ita_change"]["median"] == pytest.approx(angle)


def test_sets_without_a_known_face_are_left_out():
    raw, nobody = np.array([[60.0, 15, 15]]), np.full((1, 3), np.nan)
    assert set(compare_complexions(raw, {"refined": nobody}, nobody)) == {"raw"}


@pytest.mark.skipif(not FACES.is_dir(), reason=f"needs the faces in {FACES}")
def test_hardly_a_render_is_tinted_and_many_photographs_are():
    shares = []
    for name in ("synthetic/val", "real/val"):
        folder = FACES / name
        faces = read_faces(folder, name, folder / "annotations.jsonl", size=SIZE, channels=3, memory_gib=1.0)
        shares.append(is_tinted(skin_colours(faces.images, faces.points)).mean())
    assert shares[0] < 0.02 and 0.08 < shares[1] < 0.2
