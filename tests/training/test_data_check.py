"""What is said of two piles before they are learnt from, and the faces that are shown."""

import json

import cv2
import numpy as np
import pytest
from tiny import tiny_config, write_pile

from simrefine.data.images import Picture, encode_picture
from simrefine.data.points import LEFT_EYE, MOUTH, RIGHT_EYE
from simrefine.training.data_check import SHOWN, check_data, count_colours, framing, look_at
from simrefine.training.inputs import read_piles

SIZE = 32


def write(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode_picture(Picture(pixels), path.suffix))


def render(rng):
    """Smooth shading before a flat background: many equal neighbours, some hundred colours."""
    shade = np.add.outer(3 * np.arange(SIZE), 4 * np.arange(SIZE)) + rng.integers(0, 20)
    shade = np.where(shade > 80, shade, 7)[:, : SIZE // 2].repeat(2, axis=1)
    return np.stack([shade, shade // 2 + 20, 140 - shade // 2], axis=-1).astype(np.uint8)


def photograph(rng):
    return np.clip(render(rng) + rng.normal(20, 8, (SIZE, SIZE, 3)), 0, 255).astype(np.uint8)


@pytest.fixture
def folders(tmp_path):
    rng = np.random.default_rng(0)
    for index in range(14):
        write(tmp_path / "renders" / f"{index:02d}.png", render(rng))
        write(tmp_path / "photos" / f"{index:02d}.png", photograph(rng))
    return tmp_path / "renders", tmp_path / "photos"


def label(folder, down=0.0):
    """68 points a picture: eyes at 40 % of the height, the mouth at 70 %, all moved down by a share of the side."""
    points = np.full((68, 2), 0.5)
    points[LEFT_EYE], points[RIGHT_EYE], points[MOUTH] = (0.3, 0.4), (0.7, 0.4), (0.5, 0.7)
    points = ((points + np.array([0, down])) * SIZE).tolist()
    lines = [json.dumps({"file": path.name, "landmarks": points}) for path in sorted(folder.glob("*.png"))]
    (folder / "annotations.jsonl").write_text("\n".join(lines))


def check(synthetic, real, **options):
    config = tiny_config(data__synthetic=str(synthetic), data__real=str(real), data__size=SIZE, **options)
    said = []
    return check_data(config, *read_piles(config, None, said.append), said.append), "\n".join(said)


def test_piles_in_the_right_order_give_no_warning_and_swapped_ones_do(folders):
    assert "WARNING" not in check(*folders)[1]
    assert "look swapped" in check(*reversed(folders))[1]


def test_masks_beside_the_real_folder_say_that_the_piles_are_swapped(folders):
    renders, photos = folders
    write(photos.parent / "photos-masks" / "00.png", np.zeros((4, 4, 1), np.uint8))
    assert "part masks lie beside the real folder" in check(renders, photos)[1]


def test_the_table_names_sides_colour_and_where_labels_were_looked_for(folders):
    renders, photos = folders
    write(renders / "gray" / "large.png", np.arange(48 * 40, dtype=np.uint16).reshape(48, 40, 1).astype(np.uint8))
    said = check(renders, photos)[1]
    assert "32, 32, 48 px" in said and "7% gray" in said
    assert f"looked for {renders / 'annotations.jsonl'}" in said and f"looked for {renders}-masks" in said


def test_a_label_file_further_down_is_pointed_out(folders):
    renders, photos = folders
    (renders / "below").mkdir()
    (renders / "below" / "annotations.jsonl").write_text("")
    assert f"there is {renders / 'below' / 'annotations.jsonl'}: name it with --labels" in check(renders, photos)[1]


@pytest.mark.parametrize(("name", "pattern"), [("masks/{}.png", "'masks'"), ("{}_mask.png", "'*_mask.png'")])
def test_masks_among_the_faces_are_found_and_the_pattern_given_leaves_them_out(folders, name, pattern):
    renders, photos = folders
    for index in range(3, 6):
        write(renders / name.format(index), np.eye(SIZE, dtype=np.uint8)[..., None] * index)
    said = check(renders, photos)[1]
    assert "3 of 17 synthetic pictures" in said and f"--exclude {pattern}" in said
    assert "as masks have" not in check(renders, photos, data__exclude=pattern.strip("'"))[1]


def test_small_pictures_that_would_be_enlarged_are_warned_of(folders, tmp_path):
    small = write_pile(tmp_path / "small", 5, real=True, size=16)
    assert "real pictures of 16 px are enlarged to 32 px, 2.0 times" in check(folders[0], small)[1]


def test_a_linked_folder_that_is_not_followed_is_named(folders, tmp_path):
    write_pile(tmp_path / "elsewhere", 1)
    (folders[0] / "linked").symlink_to(tmp_path / "elsewhere")
    assert f"not followed: {folders[0] / 'linked'}" in check(*folders)[1]


@pytest.mark.parametrize(("down", "warned"), [(0.0, False), (0.03, False), (0.1, True)])
def test_faces_in_another_place_are_warned_of(folders, down, warned):
    for folder, moved in zip(folders, (0.0, down), strict=True):
        label(folder, moved)
    assert ("framed differently" in check(*folders)[1]) == warned


def eyes(folder, count, strangers=0):
    """Faces in any place of a picture, with five points each; those of the face that is `strangers` further on."""
    rng = np.random.default_rng(0)
    lines = []
    places = rng.integers(4, 12, (count, 2))
    five = np.array([[3, 4], [11, 4], [7, 8], [4, 11], [10, 11]])
    for index, (left, top) in enumerate(places):
        pixels = rng.integers(90, 110, (SIZE, SIZE, 3)).astype(np.uint8)
        for x, y in np.add(five, (left, top)):
            cv2.circle(pixels, (int(x), int(y)), 1, (10, 10, 10), -1)
        write(folder / f"{index:02d}.png", pixels)
        points = (five + places[(index + strangers) % count]).tolist()
        lines.append(json.dumps({"file": f"{index:02d}.png", "landmarks": points}))
    (folder / "annotations.jsonl").write_text("\n".join(lines))
    return folder


@pytest.mark.parametrize(("strangers", "warned"), [(0, False), (1, True)])
def test_label_points_that_sit_on_no_face_are_warned_of_by_pile(folders, tmp_path, strangers, warned):
    labelled = eyes(tmp_path / "labelled", 60, strangers)
    assert ("label points of the synthetic pictures sit on no face" in check(labelled, folders[1])[1]) is warned
    assert ("label points of the real pictures sit on no face" in check(folders[0], labelled)[1]) is warned


def test_labels_of_photographs_that_cannot_be_read_stop_nothing(folders):
    (folders[1] / "annotations.jsonl").write_text("no JSON")
    assert "none" in next(line for line in check(*folders)[1].splitlines() if line.startswith("data        real"))


def test_the_sheet_shows_both_piles_as_trained_with_guides_where_points_are_known(folders):
    label(folders[1])
    sheet, _ = check(*folders)
    assert sheet.shape == (2 * SIZE, SHOWN * SIZE, 3)
    first, last = (cv2.imread(str(folders[0] / name))[..., ::-1] for name in ("00.png", "13.png"))
    np.testing.assert_array_equal(sheet[:SIZE, :SIZE], first)
    np.testing.assert_array_equal(sheet[:SIZE, -SIZE:], last)
    eyes, mouth = sheet[SIZE + int(0.4 * SIZE)], sheet[SIZE + int(0.7 * SIZE)]
    assert (eyes == (0, 255, 0)).all() and (mouth == (255, 0, 255)).all()


def test_a_pile_of_fewer_faces_than_the_sheet_has_places_is_shown_whole(folders, tmp_path):
    few = write_pile(tmp_path / "few", 4, real=True, size=SIZE)
    sheet, _ = check(folders[0], few)
    assert sheet[SIZE:, 3 * SIZE : 4 * SIZE].any() and not sheet[SIZE:, 4 * SIZE :].any()


def test_colours_are_counted_by_value():
    assert count_colours(np.array([[[0, 0, 1], [0, 1, 0], [1, 0, 0], [0, 0, 1]]], np.uint8)) == 3
    assert count_colours(np.arange(5, dtype=np.uint8).reshape(1, 5, 1)) == 5


def test_framing_needs_a_known_scheme_and_a_labelled_picture():
    assert framing(None, SIZE) is None and framing(np.zeros((3, 7, 2)), SIZE) is None
    assert framing(np.full((3, 68, 2), np.nan), SIZE) is None
    five = np.array([[[8, 8], [24, 8], [16, 16], [10, 24], [22, 24]]], float)
    assert vars(framing(five, SIZE)) == {"eyes": 0.25, "mouth": 0.75, "distance": 0.5}


def test_a_gray_pile_is_told_from_a_coloured_one(tmp_path):
    rng = np.random.default_rng(0)
    for index in range(4):
        write(tmp_path / "gray" / f"{index}.png", photograph(rng)[..., :1])
    config = tiny_config(data__synthetic=str(tmp_path / "gray"), data__real=str(write_pile(tmp_path / "real", 4)))
    synthetic, real = read_piles(config, None, lambda line: None)
    assert look_at(synthetic).gray == 1.0 and look_at(real).gray == 0.0
