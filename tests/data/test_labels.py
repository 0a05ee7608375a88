"""Label files: every format comes out as the same points, and what is wrong with a file is named with its line."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from simrefine.data.labels import Labels, read_labels, select_points
from simrefine.errors import UserError

POINTS = {"a.png": [[1.5, 2.0], [3.0, 4.25]], "sub/b.jpg": [[5.0, 6.0], [7.0, 8.0]]}


@pytest.fixture
def folder(tmp_path) -> Path:
    """A folder with the pictures of POINTS; label files are written beside them or elsewhere."""
    for name in POINTS:
        picture = tmp_path / "faces" / name
        picture.parent.mkdir(parents=True, exist_ok=True)
        picture.touch()
    return tmp_path / "faces"


def json_lines(rows) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def write_json_lines(path: Path, points=POINTS, name="file", key="landmarks") -> Path:
    path.write_text(json_lines({name: picture, key: values, "yaw": 0.5} for picture, values in points.items()))
    return path


def write_csv(path: Path) -> Path:
    rows = [f'{name},"{json.dumps(values)}",x' for name, values in POINTS.items()]
    path.write_text("\ufefffile_name,landmarks,other\n" + "\r\n".join(rows))
    return path


def write_coco(path: Path, **changes) -> Path:
    content = {
        "images": [{"id": i, "file_name": name} for i, name in enumerate(POINTS)],
        "annotations": [
            {"image_id": i, "keypoints": [value for x, y in points for value in (x - 0.5, y - 0.5, 2)]}
            for i, points in enumerate(POINTS.values())
        ],
    }
    path.write_text(json.dumps(content | changes))
    return path


def write_pts(root: Path) -> Path:
    for name, points in POINTS.items():
        lines = "\n".join(f"{x + 0.5} {y + 0.5}" for x, y in points)
        path = (root / name).with_suffix(".pts")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"version: 1\nn_points:  {len(points)}\n{{\n{lines}\n}}\n")
    return root


def assert_same(labels: Labels, expected=POINTS):
    assert set(labels.points) == set(expected)
    for name, points in expected.items():
        assert labels.points[name].dtype == np.float64
        np.testing.assert_array_equal(labels.points[name], points)


@pytest.mark.parametrize(
    "write",
    [
        lambda folder: write_json_lines(folder / "annotations.jsonl"),
        lambda folder: write_json_lines(folder / "metadata.jsonl", name="file_name", key="keypoints"),
        lambda folder: write_csv(folder / "metadata.csv"),
        lambda folder: write_coco(folder / "coco.json"),
        lambda folder: write_pts(folder),
        lambda folder: write_pts(folder.parent / "labels"),
    ],
    ids=["json lines", "hugging face", "csv", "coco", "pts beside", "pts elsewhere"],
)
def test_every_format_gives_the_same_points(folder, write):
    assert_same(read_labels(write(folder), folder))


@pytest.mark.parametrize("place", [".", "faces", "faces/sub", "annotations"])
def test_names_count_from_the_label_file_or_from_the_folder(folder, place, monkeypatch):
    home = folder.parent / place
    home.mkdir(exist_ok=True)
    assert_same(read_labels(write_json_lines(home / "x.jsonl"), folder))
    monkeypatch.chdir(folder.parent)
    from_file = {os.path.relpath(folder / name, home): points for name, points in POINTS.items()}
    assert_same(read_labels(write_json_lines(home / "y.jsonl", from_file), Path("faces")))


def test_one_pts_file_labels_one_picture(folder):
    write_pts(folder)
    assert_same(read_labels(folder / "sub" / "b.pts", folder), {"sub/b.jpg": POINTS["sub/b.jpg"]})


def test_classes_are_read_as_text(folder):
    rows = [{"file_name": "a.png", "label": 3}, {"file_name": "sub/b.jpg", "label": "smile"}]
    (folder / "metadata.jsonl").write_text(json_lines(rows))
    (folder / "metadata.csv").write_text("file_name,label\na.png,3\nsub/b.jpg,smile\n")
    for name in ("metadata.jsonl", "metadata.csv"):
        labels = read_labels(folder / name, folder)
        assert labels.classes == {"a.png": "3", "sub/b.jpg": "smile"} and labels.points == {}
        assert labels.source == folder / name


def test_a_point_coco_does_not_label_is_nan_and_a_picture_without_any_is_left_out(folder):
    annotations = [
        {"image_id": 0, "keypoints": [0, 0, 0, 9, 9, 1]},
        {"image_id": 1, "keypoints": [0, 0, 0, 0, 0, 0]},
        {"image_id": 1},
    ]
    labels = read_labels(write_coco(folder / "coco.json", annotations=annotations), folder)
    assert_same(labels, {"a.png": [[np.nan, np.nan], [9.5, 9.5]]})


@pytest.mark.parametrize("boxes", [([0, 0, 9, 9], [0, 0, 3, 3], [0, 0, 5, 5]), (None, None, None)])
def test_of_several_faces_in_a_coco_picture_the_largest_counts(folder, boxes):
    annotations = [
        {"image_id": 0, "keypoints": [x, 0, 2, 0, size, 2], "bbox": box}
        for x, size, box in zip((30, 10, 20), (30, 10, 20), boxes, strict=True)
    ]
    labels = read_labels(write_coco(folder / "coco.json", annotations=annotations), folder)
    assert_same(labels, {"a.png": [[30.5, 0.5], [0.5, 30.5]]})


GOOD = json_lines([{"file": "a.png", "landmarks": [[1, 2], [3, 4]]}])


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("x.txt", "", "x.txt is no label file"),
        ("x.jsonl", "\n", "x.jsonl holds no label"),
        ("x.jsonl", GOOD + "{", "x.jsonl, line 2: no valid JSON"),
        ("x.jsonl", GOOD + "[1]", 'line 2: no "file"'),
        ("x.jsonl", GOOD + '{"file": "b.png"}', 'line 2: no "landmarks"'),
        ("x.jsonl", GOOD + '{"file": "b.png", "landmarks": [[1, 2, 3]]}', "line 2: the points are not 2 numbers each"),
        ("x.jsonl", GOOD + '{"file": "b.png", "landmarks": [["u", 2]]}', "line 2: the points are not 2 numbers each"),
        ("x.jsonl", GOOD + '{"file": "b.png", "landmarks": [[1, 2]]}', "line 2: b.png has 1 points, those before it"),
        ("x.jsonl", GOOD + '{"file": "b.png", "landmarks": [[1, NaN]]}', "line 2: a point is not finite"),
        ("x.jsonl", GOOD + '{"file": "b.png", "label": [1]}', 'line 2: "label" is neither'),
        ("x.jsonl", GOOD + GOOD, "line 2: a.png was already named in .*x.jsonl, line 1"),
        ("x.jsonl", b"\xff\xfe", "x.jsonl is not UTF-8"),
        ("x.csv", "picture,landmarks\na.png,[]\n", 'x.csv, line 2: no "file"'),
        ("x.csv", 'file_name,landmarks\na.png,"[[1, 2]]"\nb.png,"[[1"\n', "line 3: no valid JSON"),
        ("x.json", "{\n}}", "x.json, line 2: no valid JSON"),
        ("x.json", "[]", "x.json is no COCO file"),
        ("x.json", '{"images": [], "annotations": null}', "x.json is no COCO file"),
        ("x.json", '{"images": [], "annotations": [{"image_id": 7}]}', "annotation 1: image_id 7 is not"),
        ("x.json", '{"images": [], "annotations": [4]}', 'annotation 1: needs "image_id"'),
        ("x.pts", "version: 1\n", "x.pts: no points between"),
        ("x.pts", "version: 1\nn_points: 2\n{\n1 2\n3 4\n", "x.pts: no points between"),
        ("x.pts", "version: 1\nn_points: 3\n{\n1 2\n3 4\n}\n", "x.pts: 2 points, n_points says 3"),
        ("x.pts", "{\n1 2\n3 oh\n}\n", "x.pts, line 3: the points are not"),
        ("x.pts", "{\n1 2\n}\n", "x.pts holds no label"),
    ],
)
def test_a_fault_in_a_file_is_named_with_its_line(folder, name, content, message):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError, match=message):
        read_labels(path, folder)


def test_a_missing_label_file_and_a_folder_without_any_are_named(folder):
    with pytest.raises(UserError, match="nowhere.jsonl does not exist"):
        read_labels(folder / "nowhere.jsonl", folder)
    with pytest.raises(UserError, match="faces holds no .pts files"):
        read_labels(folder, folder)


def test_points_come_in_the_order_asked_for_and_missing_ones_are_named():
    labels = Labels({name: np.array(points) for name, points in POINTS.items()}, {}, Path("x.jsonl"))
    names = ["sub/b.jpg", "a.png"]
    np.testing.assert_array_equal(select_points(labels, names), [POINTS[name] for name in names])
    with pytest.raises(UserError, match=r"x.jsonl has no points for 4 of 5 pictures: c, d, e, \.\.\.\."):
        select_points(labels, ["a.png", "c", "d", "e", "f"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[" * 100_000, "line 1: no valid JSON .*nested too deep"),
        ('{"file": "a.png", "landmarks": [[1%s, 2]]}' % ("0" * 400), "the points are not 2 numbers each"),
        ('{"file": "a.png", "landmarks": [[1e309, 2]]}', "a point is not finite"),
    ],
)
def test_numbers_and_nesting_that_python_cannot_hold_are_named(tmp_path, content, message):
    (tmp_path / "labels.jsonl").write_text(content)
    with pytest.raises(UserError, match=message):
        read_labels(tmp_path / "labels.jsonl", tmp_path)


def test_a_coco_box_larger_than_any_number_is_named(tmp_path):
    box = [0, 0, 10**200, 10**200]
    content = {
        "images": [{"id": 1, "file_name": "a.png"}],
        "annotations": [{"image_id": 1, "keypoints": [1, 2, 2], "bbox": box}],
    }
    (tmp_path / "labels.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match='annotation 1: needs "image_id"'):
        read_labels(tmp_path / "labels.json", tmp_path)


def test_a_picture_whose_name_no_disk_can_hold_is_only_a_picture_that_is_not_there(tmp_path):
    (tmp_path / "labels.jsonl").write_text(json.dumps({"file": "a" * 300, "landmarks": [[1, 2]]}))
    assert list(read_labels(tmp_path / "labels.jsonl", tmp_path).points) == ["a" * 300]
    with pytest.raises(UserError, match="does not exist"):
        read_labels(tmp_path / ("a" * 300 + ".jsonl"), tmp_path)


def test_a_pipe_a_device_or_a_giant_is_no_label_file(tmp_path):
    os.mkfifo(tmp_path / "pipe.jsonl")  # opening it would wait for ever
    (tmp_path / "zero.csv").symlink_to("/dev/zero")
    (tmp_path / "sparse.json").touch()
    os.truncate(tmp_path / "sparse.json", 2**33)
    for name, reason in {
        "pipe.jsonl": "not a reg",
        "zero.csv": "not a reg",
        "sparse.json": "more than the limit",
    }.items():
        with pytest.raises(UserError, match=reason):
            read_labels(tmp_path / name, tmp_path)
