"""`simrefine prepare` as a user types it: crops with their labels, every reject named, and never half a folder."""

import csv
import json
import re

import numpy as np
import pytest
from click.testing import CliRunner
from drawn_faces import NOSE, draw, encode, encode_palette, find_dot, points_68

from simrefine.cli import main
from simrefine.data.images import Picture, encode_picture, read_picture
from simrefine.data.labels import read_labels
from simrefine.data.masks import read_mask
from simrefine.errors import EXIT_INCOMPLETE, EXIT_OK, EXIT_USER_ERROR


def run(folder, *arguments, size=64):
    command = ["prepare", folder, "--labels", folder / "labels.jsonl", "--out", folder.parent / "out", "--size", size]
    return CliRunner().invoke(main, [str(word) for word in (*command, *arguments)], catch_exceptions=False)


def write_faces(folder, faces, **more):
    """`faces` as name: (picture, points or None), and their labels.jsonl."""
    rows = []
    for name, (pixels, points) in faces.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(encode(pixels, "." + name.rsplit(".")[-1]))
        if points is not None:
            rows.append({"file": name, "landmarks": points.tolist(), **more})
    (folder / "labels.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


@pytest.fixture
def folder(tmp_path):
    """Three faces that can be used, in two formats and a sub-folder."""
    places = {"a.png": (60.2, 70.9, 25), "b/c.jpg": (82.5, 64.3, 33.3), "d.webp": (70, 70, 30)}
    points = {name: points_68(*place) for name, place in places.items()}
    faces = {name: (draw(160, 150, face), face) for name, face in points.items()}
    return write_faces(tmp_path / "faces", faces, subject="somebody")


def read_rejects(out):
    return {row["file"]: row["reason"] for row in csv.DictReader((out / "rejects.csv").open())}


def read_rows(out):
    return [json.loads(line) for line in (out / "annotations.jsonl").read_text().splitlines()]


def test_crops_have_their_labels_beside_them(folder):
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    done = run(folder)
    assert done.exit_code == EXIT_OK, done.output
    assert "3 written + 0 rejected = 3 found" in done.output
    out = folder.parent / "out"
    labels = read_labels(out / "annotations.jsonl", out)
    assert sorted(labels.points) == ["a.png", "b/c.png", "d.png"] and set(labels.groups.values()) == {"somebody"}
    for name, points in labels.points.items():
        crop = read_picture(out / name).pixels
        assert crop.shape == (64, 64, 3)
        assert np.abs(find_dot(crop) - points[NOSE]).max() < 0.3
    row = read_rows(out)[0]
    assert row["source"] == "a.png" and row["scale"] == pytest.approx(64 / (1.6 * 50), abs=1e-4) and row["outside"] == 0
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_what_cannot_be_used_is_rejected_by_name_and_stops_nothing(folder):
    small, edge, points = points_68(50, 50, 10), points_68(12, 75, 40), points_68(70, 70, 30)
    good = {"a.png": (draw(160, 150, points), points)}
    hidden = points * (1, 1)
    hidden[:40] += 500
    write_faces(
        folder,
        good
        | {"small.png": (draw(100, 100, small), small), "edge.png": (draw(160, 150, edge), edge)}
        | {"unlabelled.png": (draw(50, 50, small), None), "elsewhere.png": (draw(160, 150, points), hidden)}
        | {"b/c.jpg": (draw(160, 150, points), points), "d.webp": (draw(160, 150, points), points)}
        | {"a.jpg": good["a.png"], "half.jpg": (draw(160, 150, points), points)},
    )
    content = (folder / "half.jpg").read_bytes()
    (folder / "half.jpg").write_bytes(content[: len(content) // 2])
    done = run(folder)
    assert done.exit_code == EXIT_INCOMPLETE and "3 written + 6 rejected = 9 found" in done.output, done.output
    rejects = read_rejects(folder.parent / "out")
    assert "enlarged 2.00 times, more than 1.5" in rejects["small.png"]
    assert "lie outside the picture, more than 25%" in rejects["edge.png"]
    assert "no landmarks" in rejects["unlabelled.png"]
    assert "40 of its 68 points lie outside its 160 x 150 pixels" in rejects["elsewhere.png"]
    assert "truncated JPEG" in rejects["half.jpg"]
    assert "another picture already became a.png" in rejects["a.png"]


def test_limits_can_be_moved(folder):
    assert run(folder, "--max-scale", "0.7").exit_code == EXIT_INCOMPLETE
    assert list(read_rejects(folder.parent / "out")) == ["a.png"]


def test_a_limit_takes_faces_from_all_over_the_folder(folder):
    assert run(folder, "--limit", 2).exit_code == EXIT_OK
    assert [row["source"] for row in read_rows(folder.parent / "out")] == ["a.png", "d.webp"]


def test_masks_are_cut_alike(folder, tmp_path):
    for name in ("a.png", "b/c.png", "d.png"):
        pixels = read_picture(next(folder.glob(name.replace(".png", ".*")))).pixels
        path = tmp_path / "masks" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode_picture(Picture((pixels[..., :1] > 120).astype(np.uint8) * 9), ".png"))
    assert run(folder, "--masks", tmp_path / "masks").exit_code == EXIT_OK
    for row in read_rows(tmp_path / "out"):
        mask = read_picture(tmp_path / "out" / row["mask"]).pixels
        assert mask.shape == (64, 64, 1) and set(np.unique(mask)) == {0, 9}
        y, x = np.argwhere(mask[..., 0]).mean(0) + 0.5
        assert np.abs(np.array([x, y]) - row["landmarks"][NOSE]).max() < 0.5


def test_a_palette_mask_is_cut_as_its_classes_and_never_as_its_colours(folder, tmp_path):
    (folder / "b" / "c.jpg").unlink()
    for name in ("a.png", "d.webp"):
        pixels = read_picture(folder / name).pixels
        path = tmp_path / "masks" / name.replace(".webp", ".png")
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(encode_palette((pixels[..., 0] > 120).astype(np.uint8) * 5 + 1))
    assert run(folder, "--masks", tmp_path / "masks").exit_code == EXIT_OK
    for row in read_rows(tmp_path / "out"):
        assert row["mask"] == f"../out-masks/{row['file']}"
        mask = read_mask(tmp_path / "out" / row["mask"])
        assert mask.shape == (64, 64) and set(np.unique(mask)) == {1, 6}
        y, x = np.argwhere(mask == 6).mean(0) + 0.5
        assert np.abs(np.array([x, y]) - row["landmarks"][NOSE]).max() < 0.5


def test_a_face_whose_mask_cannot_be_used_is_rejected_by_name(folder, tmp_path):
    (tmp_path / "masks").mkdir()
    (tmp_path / "masks" / "a.png").write_bytes((folder / "a.png").read_bytes())
    (tmp_path / "masks" / "d.png").write_bytes(encode_palette(np.zeros((150, 159), np.uint8)))
    assert run(folder, "--masks", tmp_path / "masks").exit_code == EXIT_USER_ERROR
    (tmp_path / "masks" / "d.png").write_bytes(encode_palette(np.zeros((150, 160), np.uint8)))
    assert run(folder, "--masks", tmp_path / "masks").exit_code == EXIT_INCOMPLETE
    rejects = read_rejects(tmp_path / "out")
    assert "its mask: a colour PNG" in rejects["a.png"]
    assert "its mask cannot be read" in rejects["b/c.jpg"]
    assert "d.webp" not in rejects


def test_gray_pictures_and_transparency_stay(folder):
    pixels, points = draw(160, 150, points_68(70, 70, 30)), points_68(70, 70, 30)
    write_faces(folder, {"a.png": (pixels[..., 1:2], points)})
    alpha = np.zeros((150, 160), np.uint8)
    alpha[:, 70:] = 255
    (folder / "d.webp").unlink()
    (folder / "b" / "c.jpg").unlink()
    (folder / "d.png").write_bytes(encode_picture(Picture(pixels, alpha), ".png"))
    with (folder / "labels.jsonl").open("a") as file:
        file.write(json.dumps({"file": "d.png", "landmarks": points.tolist()}) + "\n")
    assert run(folder).exit_code == EXIT_OK
    gray, clear = (read_picture(folder.parent / "out" / name) for name in ("a.png", "d.png"))
    assert gray.pixels.shape == (64, 64, 1) and clear.pixels.shape == (64, 64, 3)
    assert clear.alpha[:, :31].max() == 0 and clear.alpha[:, 33:].min() == 255


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: (folder.parent / "out" / "mine").mkdir(parents=True), "out is not empty.*new or empty"),
        (lambda folder: (folder / "labels.jsonl").unlink(), "labels.jsonl does not exist"),
        (
            lambda folder: (folder / "labels.jsonl").write_text('{"file": "x.png", "landmarks": [[1, 2]]}'),
            "no points of any picture in .*: it names x.png, the folder has a.png",
        ),
        (lambda folder: rewrite_points(folder, lambda points: points[:20]), "faces with 20 points cannot be framed"),
        (lambda folder: rewrite_points(folder, lambda points: points * 10), "none of 3 faces.*labels of another size"),
    ],
)
def test_bad_input_is_one_message_and_leaves_nothing(folder, spoil, message):
    spoil(folder)
    before = sorted(folder.parent.rglob("*"))
    done = run(folder)
    assert done.exit_code == EXIT_USER_ERROR
    assert re.search(message, done.output), done.output
    assert sorted(folder.parent.rglob("*")) == before


def test_crops_never_land_among_the_pictures_they_are_cut_from(folder):
    for out in (folder, folder / "crops"):
        arguments = ["prepare", str(folder), "--labels", str(folder / "labels.jsonl"), "--out", str(out)]
        done = CliRunner().invoke(main, arguments)
        assert done.exit_code == EXIT_USER_ERROR and "name a folder elsewhere" in done.output
    assert not (folder / "crops").exists()


def test_a_missing_folder_of_masks_is_named(folder):
    arguments = ["prepare", str(folder), "--labels", str(folder / "labels.jsonl"), "--out", str(folder.parent / "out")]
    done = CliRunner().invoke(main, [*arguments, "--masks", str(folder / "nowhere")])
    assert done.exit_code == EXIT_USER_ERROR and "nowhere does not exist" in done.output


def test_labels_of_smaller_pictures_are_noticed(tmp_path):
    points = points_68(40, 40, 12)
    folder = write_faces(tmp_path / "faces", {f"{i}.png": (draw(160, 150, points), points) for i in range(8)})
    done = run(folder, size=32)
    assert done.exit_code == EXIT_USER_ERROR and "labels of another size" in done.output
    assert not (tmp_path / "out").exists()


def rewrite_points(folder, change):
    rows = [json.loads(line) for line in (folder / "labels.jsonl").read_text().splitlines()]
    changed = (row | {"landmarks": change(np.array(row["landmarks"])).tolist()} for row in rows)
    (folder / "labels.jsonl").write_text("".join(json.dumps(row) + "\n" for row in changed))
