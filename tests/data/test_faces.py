"""A labelled folder is read in one way: labels follow their pictures, and what does not belong is refused by name."""

import json

import numpy as np
import pytest
from tiny import write_pile

from simrefine.data.faces import label_faces, read_faces
from simrefine.data.folders import list_folder
from simrefine.data.images import Picture, encode_picture
from simrefine.errors import UserError

READ = {"size": 10, "channels": 3, "memory_gib": 1.0}


@pytest.fixture
def folder(tmp_path):
    """Four faces of 20 px, the third broken, and one of 30 x 20."""
    folder = write_pile(tmp_path / "faces", 4, size=20)
    (folder / "002.png").write_bytes(b"")
    (folder / "wide.png").write_bytes(encode_picture(Picture(np.zeros((20, 30, 3), np.uint8)), ".png"))
    return folder


def write_rows(folder, rows):
    file = folder / "labels.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def test_points_follow_the_crop_and_the_size_of_their_picture_and_rejects_are_counted(folder):
    names = ("000.png", "001.png", "003.png", "wide.png")
    rows = [{"file": name, "subject": name[0], "landmarks": [[10, 4], [16, 12]]} for name in reversed(names)]
    faces = read_faces(folder, "raw", write_rows(folder, rows), **READ)
    assert tuple(faces.names) == names and faces.images.shape == (4, 10, 10, 3)
    np.testing.assert_array_equal(faces.points[0], [[5, 2], [8, 6]])
    np.testing.assert_array_equal(faces.points[3], [[2.5, 2], [5.5, 6]])  # 5 px are cut off on the left
    assert faces.groups == ["0", "0", "0", "w"] and faces.classes is None and faces.labelled
    assert [reject.relative for reject in faces.rejects] == ["002.png"]


def test_what_is_taken_keeps_its_labels(folder):
    rows = [{"file": f"00{i}.png", "person": i, "clip": f"film {i}", "label": f"class {i}"} for i in (0, 1, 3)]
    faces = read_faces(folder, "raw", write_rows(folder, rows), exclude=["wide*"], **READ)
    taken = faces.take([2, 0])
    assert (taken.names, taken.classes, taken.groups) == (["003.png", "000.png"], ["class 3", "class 0"], ["3", "0"])
    assert taken.clips == ["film 3", "film 0"]
    np.testing.assert_array_equal(taken.images, faces.images[[2, 0]])


def test_every_picture_must_be_labelled_unless_some_are_enough(folder):
    file = write_rows(folder, [{"file": "001.png", "landmarks": [[10, 4], [16, 12]]}])
    with pytest.raises(UserError, match=r"no points for 3 of 4 pictures: 000\.png"):
        read_faces(folder, "raw", file, **READ)
    faces = read_faces(folder, "raw", file, partly=True, **READ)
    np.testing.assert_array_equal(np.isfinite(faces.points).all(axis=(1, 2)), [False, True, False, False])
    file = write_rows(folder, [{"file": "001.png", "label": "a"}])
    with pytest.raises(UserError, match="no label for 3 of 4 pictures"):
        read_faces(folder, "raw", file, **READ)
    assert not read_faces(folder, "raw", file, partly=True, **READ).labelled


def test_points_of_other_pictures_or_of_another_size_are_refused_also_where_some_are_enough(folder):
    file = write_rows(folder, [{"file": "elsewhere.png", "landmarks": [[10, 4], [16, 12]]}])
    with pytest.raises(UserError, match=r"has no points for the pictures of .*faces.*--labels ''"):
        read_faces(folder, "raw", file, partly=True, **READ)
    file = write_rows(folder, [{"file": "001.png", "landmarks": [[100, 40], [160, 120]]}])
    with pytest.raises(UserError, match="labels of another size"):
        read_faces(folder, "raw", file, partly=True, **READ)


def test_a_folder_that_was_listed_is_not_listed_again_and_can_be_labelled_later(folder):
    records = list_folder(folder, what="folder").pictures[:2]
    faces = read_faces(folder, "raw", records=records, **READ)
    assert faces.names == ["000.png", "001.png"] and not faces.labelled
    file = write_rows(folder, [{"file": "001.png", "landmarks": [[10, 4], [16, 12]]}])
    assert label_faces(faces.take([1]), file).points.shape == (1, 2, 2)


def test_a_folder_without_a_usable_picture_is_an_error_unless_the_caller_counts(folder):
    nothing = ["00[013]*", "wide*"]
    with pytest.raises(UserError, match=r"the raw folder .*faces holds no usable picture \(1 rejected\)"):
        read_faces(folder, "raw", exclude=nothing, **READ)
    faces = read_faces(folder, "raw", folder / "not-read.jsonl", exclude=nothing, partly=True, **READ)
    assert len(faces) == 0 and len(faces.rejects) == 1
