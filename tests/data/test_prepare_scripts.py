"""The scripts in data/: small archives laid out as the public sets are become crops with labels in the right place."""

import csv
import importlib.util
import io
import json
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from drawn_faces import NOSE, draw, encode, find_dot, points_5, points_68

from simrefine.data.images import read_picture
from simrefine.data.labels import read_labels
from simrefine.errors import EXIT_INCOMPLETE, EXIT_OK, EXIT_USER_ERROR

SCRIPTS = Path(__file__).parents[2] / "data"


@pytest.fixture
def run(tmp_path):
    def run(script, *arguments, size=64, out="out"):
        spec = importlib.util.spec_from_file_location(f"prepare_{script}", SCRIPTS / f"{script}.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        command = [str(word) for word in (*arguments, "--out", tmp_path / out, "--size", size, "--max-scale", 9)]
        return CliRunner().invoke(module.main, command, catch_exceptions=False)

    return run


def pack(path, files):
    """Writes `files`, name: bytes, as a .zip, a .tgz or a folder."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in files.items():
                archive.writestr(name, content)
    elif path.suffix == ".tgz":
        with tarfile.open(path, "w:gz") as archive:
            for name, content in files.items():
                member = tarfile.TarInfo(name)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    else:
        for name, content in files.items():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_bytes(content)
    return path


def check_dots(out, nose, within=0.5):
    """The crops show the dot where their annotations have the nose; gives the annotations."""
    labels = read_labels(out / "annotations.jsonl", out)
    for name, points in labels.points.items():
        assert np.abs(find_dot(read_picture(out / name).pixels) - points[nose]).max() < within, name
    return labels


def rejects(out):
    return {row["file"]: row["reason"] for row in csv.DictReader((out / "rejects.csv").open())}


def celeba_line(name, points):
    return f"{name} " + "  ".join(str(round(value - 0.5)) for value in points_5(points).ravel())


def whole(points):
    """Points moved as little as it takes for the five to be whole pixels."""
    return points + (np.floor(points[NOSE]) + 0.5 - points[NOSE])


def test_celeba_is_read_from_its_zip_with_five_points(run, tmp_path):
    faces = {f"{i:06d}.jpg": whole(points_68(89, 105 + i, 45)) for i in (1, 2, 3)}
    files = {f"img_align_celeba/{name}": encode(draw(178, 218, points), ".jpg") for name, points in faces.items()}
    archive = pack(tmp_path / "img_align_celeba.zip", files | {"__MACOSX/._000001.jpg": b"", "img_align_celeba/": b""})
    lines = [celeba_line(name, points) for name, points in faces.items()][:2]  # 000003.jpg has none
    head = ["3", "lefteye_x lefteye_y righteye_x righteye_y nose_x nose_y leftmouth_x leftmouth_y rightmouth_x ..."]
    (tmp_path / "list.txt").write_text("\n".join(head + lines))
    before = archive.read_bytes()
    done = run("celeba", archive, "--landmarks", tmp_path / "list.txt")
    assert done.exit_code == EXIT_INCOMPLETE and "2 written + 1 rejected = 3 found" in done.output, done.output
    labels = check_dots(tmp_path / "out", 2)
    assert sorted(labels.points) == ["img_align_celeba/000001.png", "img_align_celeba/000002.png"]
    assert "no landmarks" in rejects(tmp_path / "out")["img_align_celeba/000003.jpg"]
    assert archive.read_bytes() == before
    # Kaggle's table says the same with commas, and the folder may be unpacked.
    (tmp_path / "list.csv").write_text("image_id,lefteye_x,...\n" + "\n".join(",".join(line.split()) for line in lines))
    pack(tmp_path / "unpacked", files)
    assert run("celeba", tmp_path / "unpacked", "--landmarks", tmp_path / "list.csv", out="b").exit_code == 3
    assert (tmp_path / "b/annotations.jsonl").read_text() == (tmp_path / "out/annotations.jsonl").read_text()


def test_ffhq_is_read_aligned_in_any_size_and_in_the_wild(run, tmp_path):
    aligned, wild = points_68(512, 500, 250), np.floor(points_68(140, 90, 50))
    entry = {
        "image": {"pixel_size": [1024, 1024], "face_landmarks": aligned.tolist()},
        "in_the_wild": {"pixel_size": [260, 200], "face_landmarks": wild.tolist()},
    }
    (tmp_path / "ffhq-dataset-v2.json").write_text(json.dumps({"0": entry, "1017": entry}))
    small = encode(draw(128, 128, aligned / 8))
    names = ("00000/00000.png", "01000/01017.png")
    pack(tmp_path / "thumbnails.zip", {f"thumbnails128x128/{name}": small for name in names} | {"LICENSE.txt": b""})
    pack(tmp_path / "in-the-wild-images", {name: encode(draw(260, 200, wild + 0.5)) for name in names})
    json_file = ("--json", tmp_path / "ffhq-dataset-v2.json")
    assert run("ffhq", tmp_path / "thumbnails.zip", *json_file).exit_code == EXIT_OK
    assert run("ffhq", tmp_path / "in-the-wild-images", *json_file, "--in-the-wild", out="wild").exit_code == EXIT_OK
    near = check_dots(tmp_path / "out", NOSE)
    far = check_dots(tmp_path / "wild", NOSE, 0.2)
    assert len(near.points) == len(far.points) == 2
    # The same drawn face, aligned and not, is framed alike.
    a, b = near.points["thumbnails128x128/00000/00000.png"], far.points["00000/00000.png"]
    np.testing.assert_allclose(a, b, atol=0.8)  # whole pixels of a source twice as large


def test_metfaces_landmarks_are_moved_into_the_aligned_picture(run, tmp_path):
    original = np.full((68, 2), (50.0, 50.0))
    original[36:42], original[42:48] = (40, 50), (60, 50)
    original[48], original[54] = (44, 75), (56, 75)
    original[NOSE] = (53, 62)
    original[:3] = (30, 40), (70, 40), (50, 95)
    # Half a side of the aligned square is max(2 x 20, 1.8 x 25) = 45, its centre (50, 52.5).
    expected = (original - (5, 7.5)) / 90 * 256
    spec = {"landmarks": (original / 2 - 0.5).tolist(), "shrink": 2}  # stated at half the size, pixels counted from 0
    (tmp_path / "metfaces.json").write_text(json.dumps([{"image_path": "images/1-00.png", "face_spec": spec}]))
    canvas = np.zeros((256, 256, 3))
    y, x = np.mgrid[:256, :256] + 0.5
    canvas[..., 0] = 250 * np.exp(-((x - expected[NOSE, 0]) ** 2 + (y - expected[NOSE, 1]) ** 2) / 50)
    pack(tmp_path / "images", {"1-00.png": encode(canvas.astype(np.uint8))})
    done = run("metfaces", tmp_path / "images", "--json", tmp_path / "metfaces.json")
    assert done.exit_code == EXIT_OK, done.output
    check_dots(tmp_path / "out", NOSE)


def test_facesynthetics_comes_with_its_masks(run, tmp_path):
    points = {f"{i:06d}": points_68(100 + i, 90, 40) for i in range(3)}
    files = {}
    for name, face in points.items():
        pixels = draw(200, 190, face)
        rows = np.concatenate([face, [[1, 1], [2, 2]]])  # 70 points, the last two pupils
        files[f"{name}.png"] = encode(pixels)
        files[f"{name}_seg.png"] = encode((pixels[..., :1] > 120).astype(np.uint8) * 255)
        files[f"{name}_ldmks.txt"] = "\n".join(f"{x:.6f} {y:.6f}" for x, y in rows).encode()
    files["000002_ldmks.txt"] = b"nothing"
    done = run("facesynthetics", pack(tmp_path / "dataset_100.zip", files))
    assert done.exit_code == EXIT_INCOMPLETE and list(rejects(tmp_path / "out")) == ["000002.png"]
    labels = check_dots(tmp_path / "out", NOSE, 0.2)
    assert {face.shape for face in labels.points.values()} == {(68, 2)}
    for name in ("000000.png", "000001.png"):
        mask = read_picture(tmp_path / "out-masks" / name).pixels
        assert mask.shape == (64, 64, 1) and set(np.unique(mask)) == {0, 255}
        assert np.abs(np.argwhere(mask[..., 0]).mean(0)[::-1] + 0.5 - labels.points[name][NOSE]).max() < 0.5


def test_lfw_is_cut_where_the_set_has_its_faces_or_where_landmarks_say(run, tmp_path):
    points = whole(points_68(125, 133, 50))
    names = [f"lfw-deepfunneled/{who}/{who}_0001.jpg" for who in ("Ann_Abe", "Bo_Cox")]
    archive = pack(tmp_path / "lfw.tgz", {name: encode(draw(250, 250, points), ".jpg") for name in names})
    assert run("lfw", archive, size=78).exit_code == EXIT_OK
    labels = read_labels(tmp_path / "out" / "annotations.jsonl", tmp_path / "out")
    assert labels.classes["lfw-deepfunneled/Ann_Abe/Ann_Abe_0001.png"] == "Ann_Abe" and not labels.points
    expected = (points[NOSE] - (125 - 78, 133 - 78)) / 2  # of a square of 156 px round (125, 133)
    for name in labels.classes:
        assert np.abs(find_dot(read_picture(tmp_path / "out" / name).pixels) - expected).max() < 0.2
    (tmp_path / "landmarks.txt").write_text("\n".join(celeba_line(name[17:], points) for name in names))
    assert run("lfw", archive, "--landmarks", tmp_path / "landmarks.txt", out="own").exit_code == EXIT_OK
    assert len(check_dots(tmp_path / "own", 2).points) == 2


def test_digiface_keeps_the_whole_picture_and_who_it_shows(run, tmp_path):
    picture = draw(112, 112, points_68(56, 56, 34))
    archive = pack(tmp_path / "subjects.zip", {f"{who}/{i}.png": encode(picture) for who in (0, 17) for i in (0, 1)})
    assert run("digiface", archive, size=112).exit_code == EXIT_OK
    labels = read_labels(tmp_path / "out" / "annotations.jsonl", tmp_path / "out")
    assert labels.groups == {"0/0.png": "0", "0/1.png": "0", "17/0.png": "17", "17/1.png": "17"}
    np.testing.assert_array_equal(read_picture(tmp_path / "out" / "17" / "1.png").pixels, picture)


@pytest.mark.parametrize("kind", [".zip", ".tgz"])
def test_a_path_out_of_the_archive_writes_nothing_outside(run, tmp_path, kind):
    picture = encode(draw(112, 112, points_68(56, 56, 34)))
    names = ["../x.png", "0/../../../y.png", str(tmp_path / "z.png"), "0/0.png"]
    archive = pack(tmp_path / f"bad{kind}", dict.fromkeys(names, picture))
    done = run("digiface", archive)
    assert done.exit_code == EXIT_INCOMPLETE and "1 written + 3 rejected" in done.output
    assert set(rejects(tmp_path / "out").values()) == {"its path leads out of the archive"}
    assert {path.name for path in tmp_path.rglob("*.png")} == {"0.png"} and not (tmp_path.parent / "x.png").exists()


def test_damaged_members_are_listed_and_damaged_archives_named(run, tmp_path):
    good = encode(draw(112, 112, points_68(56, 56, 34)))
    archive = pack(tmp_path / "set.zip", {"0/0.png": good, "0/1.png": good[: len(good) // 2], "0/2.png": good})
    content = bytearray(archive.read_bytes())
    content[content.rindex(b"IHDR")] ^= 1  # in the stored bytes of 0/2.png, which then fail their checksum
    archive.write_bytes(content)
    assert run("digiface", archive).exit_code == EXIT_INCOMPLETE
    reasons = rejects(tmp_path / "out")
    assert "truncated PNG" in reasons["0/1.png"] and "cannot be read from the archive" in reasons["0/2.png"]
    archive.write_bytes(content[: len(content) // 2])
    done = run("digiface", archive, out="again")
    assert done.exit_code == EXIT_USER_ERROR and "set.zip is no folder, .zip or .tar" in done.output
    whole_tar = pack(tmp_path / "set.tgz", {f"0/{i}.png": np.random.default_rng(i).bytes(9000) for i in range(4)})
    whole_tar.write_bytes(whole_tar.read_bytes()[:20000])
    done = run("digiface", whole_tar, out="again")
    assert done.exit_code == EXIT_USER_ERROR and "set.tgz is damaged" in done.output
    assert not (tmp_path / "again").exists()


@pytest.mark.parametrize(("script", "option"), [("ffhq", "--json"), ("metfaces", "--json"), ("celeba", "--landmarks")])
def test_a_wrong_metadata_file_is_named(run, tmp_path, script, option):
    pack(tmp_path / "faces", {"00000.png": encode(draw(64, 64, points_68(30, 30, 15)))})
    (tmp_path / "wrong.json").write_text('{"0": {"a": 1}}')
    (tmp_path / "wrong.txt").write_text("hello\n")
    wrong = tmp_path / ("wrong.txt" if script == "celeba" else "wrong.json")
    done = run(script, tmp_path / "faces", option, wrong)
    assert done.exit_code == EXIT_USER_ERROR and done.output.startswith("Error: ") and str(wrong) in done.output


def test_every_script_has_its_place_in_the_card():
    card = (SCRIPTS / "README.md").read_text()
    for script in SCRIPTS.glob("*.py"):
        assert f"`{script.name}`" in card and f"python data/{script.name} " in card, script.name
