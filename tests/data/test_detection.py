"""Photographs without labels: their faces are found and cut out, each by its own five points, and nothing is lost."""

import csv
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from drawn_faces import draw, encode, find_dot, points_5, points_68

from simrefine.cli import main
from simrefine.data.detection import LEAST_FACE, LONGEST, MIN_CONFIDENCE, MIN_FACE, detect, load_detector
from simrefine.data.images import read_picture, resize
from simrefine.data.labels import read_labels
from simrefine.data.points import mirror_points
from simrefine.errors import EXIT_INCOMPLETE, EXIT_OK, EXIT_USER_ERROR, UserError

FACES = Path(__file__).parents[3] / "shared" / "faces"
needs_faces = pytest.mark.skipif(not FACES.is_dir(), reason=f"needs the faces in {FACES}")


class FakeDetector:
    """Has mtcnn's `detect_faces`, and finds what it was told of: `faces` as (height, width) of a picture: five points
    [5, 2] of each face in px of it, wherever the picture is shrunk to."""

    def __init__(self, faces, confidence=0.99):
        self.faces, self.confidence, self.seen = faces, confidence, []

    def detect_faces(self, image, *, box_format, output_type, fit_to_image, min_face_size, threshold_onet):
        assert image.dtype == np.uint8 and image.shape[2] == 3
        assert (box_format, output_type, fit_to_image, min_face_size) == ("xyxy", "numpy", False, 20)
        self.seen.append(image.shape[:2])
        size = np.array(image.shape[1::-1])
        known = [
            (five / (width, height) * size - 1) / (1 - 1 / size)  # as mtcnn counts
            for (height, width), faces in self.faces.items()
            if abs(width / height - size[0] / size[1]) < 1e-3
            for five in faces
        ]
        rows = [np.r_[0, five.min(0), five.max(0), self.confidence, five.T.ravel()] for five in known]
        return np.array(rows if self.confidence > threshold_onet else []).reshape(-1, 16)


def five_points(x, y, scale):
    return points_5(points_68(x, y, scale))


def test_places_count_from_the_edge_of_the_picture():
    # The detector takes a patch at 0 for one that begins at the edge, while its first sample is half a pixel inside.
    class Detector:
        def detect_faces(self, image, **options):
            return np.array([[0, 0, 0, 100, 50, 0.95, 0, 50, 100, 50, 50, 25, 25, 25, 0, 50]], float)

    (face,) = detect(np.zeros((50, 100, 3), np.uint8), Detector(), min_face=40)
    np.testing.assert_allclose(face.points, [[1, 25.5], [50.5, 25.5], [100, 25.5], [50.5, 1], [50.5, 50]])
    np.testing.assert_allclose(face.box, [1, 1, 100, 50])
    assert face.confidence == 0.95


@pytest.mark.parametrize(
    ("shape", "min_face", "searched"),
    [((60, 90), 20, (60, 90)), ((500, 2 * LONGEST), 40, (250, LONGEST)), ((300, 400), 96, (150, 200))],
)
def test_points_of_a_shrunk_picture_are_points_of_the_picture(shape, min_face, searched):
    height, width = shape
    points = five_points(0.6 * width, 0.4 * height, 300)
    detector = FakeDetector({shape: [points]})
    (face,) = detect(np.zeros((*shape, 1), np.uint8), detector, min_face=min_face)
    assert detector.seen == [searched]
    np.testing.assert_allclose(face.points, points, atol=1e-6)
    np.testing.assert_allclose(face.box, np.r_[points.min(0), points.max(0)], atol=1e-6)


def test_small_and_doubtful_faces_are_left_out_and_the_largest_comes_first():
    faces = [five_points(100, 100, scale) for scale in (30, 90, 60)]  # boxes of 24, 72 and 48 px
    detector = FakeDetector({(200, 200): faces}, confidence=0.8)
    pixels = np.zeros((200, 200, 3), np.uint8)
    sides = [face.side for face in detect(pixels, detector, min_face=40, min_confidence=0.7)]
    np.testing.assert_allclose(sides, [72, 48])
    assert detect(pixels, detector, min_face=40, min_confidence=0.85) == []


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs `prepare` on tmp_path/photos; faces are found by the detector that is given."""
    monkeypatch.setattr("simrefine.cli.start_backend", lambda backend: None)

    def run(detector, *arguments):
        monkeypatch.setattr("simrefine.data.detection.load_detector", lambda: detector)
        command = ["prepare", tmp_path / "photos", "--out", tmp_path / "out", "--size", 64, *arguments]
        return CliRunner().invoke(main, [str(word) for word in command], catch_exceptions=False)

    return run


def write_photos(folder, photos):
    for name, content in photos.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def test_every_face_of_a_photograph_becomes_a_crop_and_the_others_are_named(run, tmp_path):
    # Each face stands in a half of its picture that nothing of the other reaches.
    large, small, gray = points_68(110, 120, 70), points_68(330, 120, 55), points_68(100, 90, 55)
    both = np.concatenate([draw(220, 240, large), draw(440, 240, small)[:, 220:]], axis=1)
    photos = {"a/both.jpg": encode(both, ".jpg"), "gray.png": encode(draw(200, 190, gray)[..., :1])}
    photos["none.png"] = encode(np.zeros((80, 200, 3), np.uint8))
    photos["half.jpg"] = photos["a/both.jpg"][:1000]
    write_photos(tmp_path / "photos", photos)
    faces = {(240, 440): [points_5(small), points_5(large)], (190, 200): [points_5(gray)]}
    done = run(FakeDetector(faces))
    assert done.exit_code == EXIT_INCOMPLETE and "3 written + 2 rejected = 5 found" in done.output, done.output
    out = tmp_path / "out"
    assert "faces are detected" in done.output
    labels = read_labels(out / "annotations.jsonl", out)
    assert sorted(labels.points) == ["a/both-face2.png", "a/both.png", "gray.png"]
    for name, points in labels.points.items():
        crop = np.repeat(read_picture(out / name).pixels[..., :1], 3, axis=-1)
        assert crop.shape == (64, 64, 3) and np.abs(find_dot(crop) - points[2]).max() < 0.5, name
    rows = {row["file"]: row for row in map(json.loads, (out / "annotations.jsonl").read_text().splitlines())}
    assert {rows[f"a/both{number}.png"]["source"] for number in ("", "-face2")} == {"a/both.jpg"}
    assert rows["a/both.png"]["confidence"] == 0.99
    five = points_5(large)
    np.testing.assert_allclose(rows["a/both.png"]["box"], np.r_[five.min(0), five.max(0)], atol=0.06)
    rejects = {row["file"]: row["reason"] for row in csv.DictReader((out / "rejects.csv").open())}
    assert rejects["none.png"] == "no face of 40 px or more was found in it, with confidence 0.9"
    assert "truncated JPEG" in rejects["half.jpg"]


def test_a_second_face_that_cannot_be_used_is_named_as_such(run, tmp_path):
    write_photos(tmp_path / "photos", {"a.png": encode(np.zeros((300, 300, 3), np.uint8))})
    detector = FakeDetector({(300, 300): [five_points(120, 130, 80), five_points(10, 10, 60)]})
    assert run(detector).exit_code == EXIT_INCOMPLETE
    assert "face 2: " in (tmp_path / "out" / "rejects.csv").read_text()


def test_faces_may_all_stand_in_the_same_corner(run, tmp_path):
    photo = encode(np.zeros((400, 400, 3), np.uint8))
    write_photos(tmp_path / "photos", {f"{index}.png": photo for index in range(9)})
    assert run(FakeDetector({(400, 400): [five_points(100, 110, 60)]})).exit_code == EXIT_OK


def test_a_limit_spares_the_search(run, tmp_path):
    photo = encode(np.zeros((400, 400, 3), np.uint8))
    write_photos(tmp_path / "photos", {f"{index}.png": photo for index in range(9)})
    detector = FakeDetector({(400, 400): [five_points(200, 200, 80)]})
    assert run(detector, "--limit", 3).exit_code == EXIT_OK
    assert len(detector.seen) == 3
    assert sorted(file.name for file in (tmp_path / "out").glob("*.png")) == ["0.png", "4.png", "8.png"]


def test_no_face_at_all_is_one_message_and_leaves_nothing(run, tmp_path):
    write_photos(tmp_path / "photos", {"a.png": encode(np.zeros((90, 90, 3), np.uint8))})
    done = run(FakeDetector({}), "--min-face", 20, "--min-confidence", 0.5)
    assert done.exit_code == EXIT_USER_ERROR, done.output
    assert "a.png: no face of 20 px or more was found" in done.output and "relax --min-face" in done.output
    assert [path.name for path in tmp_path.iterdir()] == ["photos"]


def test_a_full_output_folder_is_refused_before_the_search(run, tmp_path):
    write_photos(tmp_path / "photos", {"a.png": encode(np.zeros((90, 90, 3), np.uint8))})
    write_photos(tmp_path / "out", {"mine.txt": b""})
    detector = FakeDetector({})
    done = run(detector)
    assert done.exit_code == EXIT_USER_ERROR and "not empty" in done.output and not detector.seen


def test_labels_in_the_folder_come_before_a_search(run, tmp_path):
    points = points_68(70, 70, 30)
    row = json.dumps({"file": "a.png", "landmarks": points.tolist()})
    write_photos(tmp_path / "photos", {"a.png": encode(draw(160, 150, points)), "annotations.jsonl": row.encode()})
    detector = FakeDetector({})
    done = run(detector, "--min-face", 50)
    assert done.exit_code == EXIT_USER_ERROR and "--min-face and --min-confidence are for" in done.output
    assert run(detector).exit_code == EXIT_OK and not detector.seen
    assert len(read_labels(tmp_path / "out" / "annotations.jsonl", tmp_path / "out").points["a.png"]) == 68


def test_masks_without_labels_are_refused(run, tmp_path):
    write_photos(tmp_path / "photos", {"a.png": encode(np.zeros((90, 90, 3), np.uint8))})
    done = run(FakeDetector({}), "--masks", tmp_path / "photos")
    assert done.exit_code == EXIT_USER_ERROR and "--masks" in done.output and "--labels" in done.output


def test_the_help_says_what_holds_without_the_options():
    text = " ".join(CliRunner().invoke(main, ["prepare", "--help"]).output.split())
    for words in (f"[default: {MIN_FACE}]", f"[x>={LEAST_FACE}]", f"[default: {MIN_CONFIDENCE}]"):
        assert words in text


def test_a_missing_mtcnn_is_named_with_what_installs_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "mtcnn", None)
    with pytest.raises(UserError, match=r"pip install 'simrefine\[detect\]'"):
        load_detector()


@pytest.fixture(scope="module")
def mtcnn():
    pytest.importorskip("mtcnn", reason="mtcnn is missing: pip install 'simrefine[detect]'")
    return load_detector()


@needs_faces
def test_real_faces_are_found_where_their_labels_are(mtcnn):
    rows = [json.loads(line) for line in (FACES / "real" / "val" / "annotations.jsonl").read_text().splitlines()]
    canvas = np.full((300, 700, 3), 128, np.uint8)
    expected = []
    for row, (left, top, side) in zip(
        rows[:: len(rows) // 3], [(420, 20, 256), (200, 60, 192), (20, 150, 128)], strict=False
    ):
        pixels = read_picture(FACES / "real" / "val" / row["file"]).pixels
        canvas[top : top + side, left : left + side] = resize(pixels, side, side)
        expected.append(points_5(np.array(row["landmarks"])) * (side / 128) + (left, top))
    found = detect(canvas, mtcnn)
    assert len(found) == 3
    for face, five in zip(sorted(found, key=lambda face: -face.box[0]), expected, strict=True):
        away = np.linalg.norm(face.points - five, axis=-1) / np.linalg.norm(five[1] - five[0])
        assert np.median(away) < 0.2 and away.max() < 0.35  # these labels are a detector's, too
    assert detect(np.full((200, 200, 3), 128, np.uint8), mtcnn) == []


@needs_faces
def test_the_points_of_a_mirrored_photograph_are_the_mirrored_points(mtcnn):
    # Half a pixel counted wrongly, or left and right confused, would move them apart.
    apart = []
    for file in sorted((FACES / "real" / "val").glob("*.jpg"))[::20]:
        pixels = resize(read_picture(file).pixels, 64, 64)
        found, mirrored = (detect(side, mtcnn, min_face=20) for side in (pixels, pixels[:, ::-1].copy()))
        if found and mirrored:
            apart.append(mirror_points(mirrored[0].points, 64) - found[0].points)
    assert len(apart) >= 12
    assert abs(np.mean(apart, axis=(0, 1))[0]) < 0.4  # px, twice what each of the two is off
