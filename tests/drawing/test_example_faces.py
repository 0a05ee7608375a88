"""The example faces: labels that are exact, looks that share a head, piles that share nobody."""

import time
from dataclasses import replace

import numpy as np
import pytest

from simrefine.data.images import read_picture
from simrefine.data.labels import read_labels
from simrefine.drawing import heads, looks
from simrefine.drawing.example_faces import PHOTO, RENDER, draw_face, write_demo
from simrefine.drawing.people import draw_person, draw_view
from simrefine.drawing.rasterise import rasterise
from simrefine.drawing.sculpture import EXPRESSIONS
from simrefine.errors import UserError
from simrefine.randomness import generator

SIZE = 64
FOLDERS = ("renders", "photos", "held-out/renders", "held-out/photos")


def person_and_view(number: int = 0, **expression: float):
    rng = generator(5, number, "test")
    person, view = draw_person(rng), draw_view(rng)
    if expression:
        view = replace(view, expression=np.array([expression.get(name, 0.0) for name in EXPRESSIONS]))
    return person, view


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo") / "faces"
    write_demo(folder, size=32, renders=3, photos=2, held_out=2, seed=7)
    return folder


def contents(folder) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_landmark_lies_where_the_rasteriser_draws_its_point_of_the_head():
    person, view = person_and_view(1)
    posed = looks.pose_head(heads.shape_head(person.identity, view.expression, person.thickness), view)
    marks = heads.landmarks(posed)
    camera = looks.frame(marks, view.distance, SIZE)
    landmarks = looks.expose(person, view, SIZE).landmarks
    for mark, (x, y) in zip(marks, landmarks, strict=True):
        dot = camera.project(mark + 0.08 * np.array([[-1, -1, 0], [1, -1, 0], [0, 1, 0]]))  # 1.6 mm wide
        drawn = rasterise(dot * [8, 8, 1], np.array([[0, 1, 2]]), 8 * SIZE, 8 * SIZE).triangle >= 0
        rows, columns = np.nonzero(drawn)
        assert np.abs([(columns.mean() + 0.5) / 8 - x, (rows.mean() + 0.5) / 8 - y]).max() < 0.15


def test_the_pixel_under_a_visible_landmark_shows_that_place_of_the_face():
    person, view = person_and_view(1)
    seen = looks.expose(person, replace(view, yaw=0.0, pitch=0.0, roll=0.0), 256)
    place = heads.landmarks(heads.head_model().surface)
    for index in (17, 21, 22, 26, 27, 28, 29, 30, 8, 36, 45, 48, 51, 54, 57):
        column, row = np.floor(seen.landmarks[index] * looks.SAMPLES).astype(int)
        sample = np.flatnonzero(seen.sample == row * 256 * looks.SAMPLES + column)
        if len(sample):  # an outermost point may fall beside the head by half a sample
            assert np.abs(seen.surface[sample[0], :2] - place[index, :2]).max() < 0.25, index
        else:
            assert index == 8


def test_the_frame_follows_the_crop_rule():
    marks = draw_face(1, "renders", 0, 100).landmarks
    low, high = marks.min(0), marks.max(0)
    assert (high - low).max() == pytest.approx(100 / 1.6)
    assert (low + high) / 2 - [0, 0.08 * (high - low)[1]] == pytest.approx([50, 50])


def test_poses_turn_the_way_their_signs_say():
    person, view = person_and_view(2, jaw_open=0.0)

    def tip_and_eyes(**pose: float):
        posed = replace(view, **({"yaw": 0.0, "pitch": 0.0, "roll": 0.0} | pose))
        p = looks.expose(person, posed, 64).landmarks
        return p[30] - p[36:48].mean(0), p[45] - p[36]

    (x, y), _ = tip_and_eyes()
    assert tip_and_eyes(yaw=20.0)[0][0] > x + 2  # the nose to the image's right
    assert tip_and_eyes(pitch=15.0)[0][1] < y - 1  # up
    assert tip_and_eyes(roll=10.0)[1][1] > 2  # clockwise: the right eye sinks


def test_the_mask_holds_every_part_and_landmarks_lie_on_or_beside_theirs():
    person, view = person_and_view(0, jaw_open=0.7)
    view = replace(view, yaw=5.0, pitch=0.0, roll=0.0, distance=120.0)
    seen = looks.expose(person, view, 128)
    mask = looks.part_mask(seen, looks.paint_flat(seen, person, view))
    assert set(np.unique(mask)) == set(range(9))
    for part, indices in ((looks.EYES, range(36, 48)), (looks.LIPS, range(48, 68)), (looks.BROWS, range(17, 27))):
        rows, columns = np.nonzero(mask == part)
        for x, y in seen.landmarks[list(indices)]:
            assert np.hypot(columns + 0.5 - x, rows + 0.5 - y).min() < 2.5, part  # px of 128: 4 mm
    # And the parts lie in the order of a face.
    middle = [np.nonzero(mask == part)[0].mean() for part in (looks.BROWS, looks.EYES, looks.LIPS, looks.NECK)]
    assert (np.diff(middle) > 3).all()


def test_the_same_faces_come_out_whatever_the_count(written, tmp_path):
    write_demo(tmp_path / "more", size=32, renders=20, photos=3, held_out=2, seed=7)
    few, more = contents(written), contents(tmp_path / "more")
    assert len(more) > len(few)
    for name, content in few.items():
        assert more[name].startswith(content) if name.endswith(".jsonl") else more[name] == content, name


def test_faces_that_differ_in_seed_number_or_pile_are_other_people():
    faces = ((0, "renders", 0), (0, "renders", 1), (0, "photos", 0), (0, "held-out", 0), (1, "renders", 0))
    people = [draw_face(seed, pile, number, 16).facts["person"]["shape"] for seed, pile, number in faces]
    assert len({tuple(shape.values()) for shape in people}) == len(people)


def test_no_person_is_in_two_piles(written):
    groups = {
        place: set(read_labels(written / place / "annotations.jsonl", written / place).groups.values())
        for place in FOLDERS
    }
    assert groups["held-out/renders"] == groups["held-out/photos"]
    piles = groups["renders"], groups["photos"], groups["held-out/photos"]
    assert len(set().union(*piles)) == sum(len(pile) for pile in piles)
    assert [len(groups[place]) for place in FOLDERS] == [3, 2, 2, 2]


def test_annotations_and_pictures_belong_together(written):
    for place in FOLDERS:
        labels = read_labels(written / place / "annotations.jsonl", written / place)
        pictures = sorted(path.name for path in (written / place).iterdir() if path.suffix != ".jsonl")
        assert sorted(labels.points) == pictures
        for name, points in labels.points.items():
            assert points.shape == (68, 2)
            assert read_picture(written / place / name).pixels.shape == (32, 32, 3)
    for masks, count in (("renders-masks", 3), ("photos-masks", 2), ("held-out/renders-masks", 2)):
        assert len(list((written / masks).glob("*.png"))) == count
        assert read_picture(written / masks / "00000.png").pixels.max() <= 8


def test_held_out_heads_share_every_label_and_differ_in_look(written):
    renders, photos = (
        read_labels(written / "held-out" / look / "annotations.jsonl", written / "held-out" / look)
        for look in ("renders", "photos")
    )
    for name, points in renders.points.items():
        assert np.array_equal(points, photos.points[name.replace(".png", ".jpg")])
    face = draw_face(0, "held-out", 0, SIZE)
    difference = np.abs(face.pictures[RENDER].astype(int) - face.pictures[PHOTO])
    assert difference.mean() > 8
    # They show one head: where the render has its strong edges, the photo has edges too.
    edges = [np.hypot(*np.gradient(face.pictures[look].mean(-1))) for look in (RENDER, PHOTO)]
    assert np.corrcoef(edges[0].ravel(), edges[1].ravel())[0, 1] > 0.4


def test_a_render_has_a_plain_backdrop_with_hardly_any_noise_and_a_photo_a_cluttered_noisy_one():
    faces = [draw_face(0, "held-out", number, SIZE) for number in range(3)]
    for face in faces:
        behind = face.mask == 0
        corner = behind & (np.indices(behind.shape)[0] < 12)  # clear of the head's soft outline
        corner[:, 4:-4] = False
        assert face.pictures[RENDER][corner].std(0).min() > 0.4
        assert face.pictures[RENDER][corner].std(0).max() < 1.3
        assert face.pictures[PHOTO][corner].std(0).min() > 1.5


def test_a_folder_that_holds_something_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UserError, match="exists already"):
        write_demo(tmp_path, size=16, renders=1, photos=1, held_out=1)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_six_hundred_faces_take_half_a_minute():
    draw_face(0, "held-out", 0, SIZE)  # sculpts the model
    started = time.process_time()
    for number in range(1, 7):
        draw_face(0, "held-out", number, SIZE)  # both looks
    assert (time.process_time() - started) / 6 < 0.150  # s; 0.035 where this was written
