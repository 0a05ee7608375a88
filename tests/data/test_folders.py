"""What a folder holds is listed completely, in one order, and nothing is written outside an output folder."""

import csv
import os
from pathlib import PurePosixPath

import pytest

from simrefine.data.folders import Reject, list_folder, matches, mirrored, write_rejects
from simrefine.errors import UserError


def fill(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())


def names(records):
    return [str(record.relative) for record in records]


def listed(folder, exclude=()):
    return names(list_folder(folder, exclude, what="test folder").pictures)


def test_pictures_and_other_files_are_distinguished_by_extension(tmp_path):
    fill(tmp_path, "a.png", "b.JPG", "c.jpeg", "d/e.bmp", "d/f.webp", "d/a.json", "a.pts", "noextension", "g.tiff")
    listing = list_folder(tmp_path, what="test folder")
    # A TIFF is a picture that cannot be read: it must be rejected by name, not carried along as if it were a label.
    assert names(listing.pictures) == ["a.png", "b.JPG", "c.jpeg", "d/e.bmp", "d/f.webp", "g.tiff"]
    assert names(listing.others) == ["a.pts", "d/a.json", "noextension"]
    assert [record.path for record in listing.others][:2] == [tmp_path / "a.pts", tmp_path / "d" / "a.json"]


def test_a_folder_that_an_earlier_refinement_wrote_is_not_read_as_renders(tmp_path):
    fill(tmp_path, "a.png", "refined/simrefine.json", "refined/a.png", "refined/sub/b.png")
    assert listed(tmp_path) == ["a.png"]
    assert listed(tmp_path / "refined") == ["a.png", "sub/b.png"], "unless it is asked for by name"


def test_the_order_is_that_of_the_bytes_whatever_the_disk_says(tmp_path, monkeypatch):
    fill(tmp_path, "b.png", "a.png", "B.png", "a/z.png", "a-1.png", "ä.png", "a/b/c.png")
    expected = ["B.png", "a-1.png", "a.png", "a/b/c.png", "a/z.png", "b.png", "ä.png"]
    assert listed(tmp_path) == expected
    from simrefine.data import folders

    scan = folders._scan
    monkeypatch.setattr(folders, "_scan", lambda *arguments: scan(*arguments)[::-1])
    assert listed(tmp_path) == expected


def test_hidden_files_and_files_that_windows_leaves_are_left_out(tmp_path):
    fill(tmp_path, ".a.png", ".git/a.png", "a/.b/c.png", "Thumbs.db", "desktop.ini", "a.png", ".simrefine-tmp-1")
    listing = list_folder(tmp_path, what="test folder")
    assert (names(listing.pictures), listing.others) == (["a.png"], ())


def test_links_to_folders_are_not_followed_and_links_to_files_are(tmp_path):
    fill(tmp_path, "in/a.png", "elsewhere/b.png", "elsewhere/c.pts")
    (tmp_path / "in/linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "in/linked.png").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "in/circle").symlink_to(tmp_path / "in")
    (tmp_path / "in/b.png").symlink_to(tmp_path / "elsewhere/b.png")
    (tmp_path / "in/c.pts").symlink_to(tmp_path / "elsewhere/c.pts")
    listing = list_folder(tmp_path / "in", what="test folder")
    assert (names(listing.pictures), names(listing.others)) == (["a.png", "b.png"], ["c.pts"])
    (tmp_path / "whole").symlink_to(tmp_path / "in")
    assert listed(tmp_path / "whole") == ["a.png", "b.png"]


def test_a_dead_link_stays_in_the_list_so_that_it_can_be_rejected_by_name(tmp_path):
    (tmp_path / "a.png").symlink_to("nowhere")
    (tmp_path / "loop.png").symlink_to("loop.png")
    os.mkfifo(tmp_path / "pipe.png")
    os.mkfifo(tmp_path / "pipe")
    listing = list_folder(tmp_path, what="test folder")
    assert (names(listing.pictures), listing.others) == (["a.png", "loop.png", "pipe.png"], ())


@pytest.mark.parametrize(
    ("pattern", "left"),
    [
        ("train-masks", ["a.png", "a_mask.png", "masks/a.png", "val/masks/b.png"]),
        ("*-masks", ["a.png", "a_mask.png", "masks/a.png", "val/masks/b.png"]),
        ("masks", ["a.png", "a_mask.png", "train-masks/a.png"]),
        ("masks/", ["a.png", "a_mask.png", "train-masks/a.png"]),
        ("masks/*", ["a.png", "a_mask.png", "train-masks/a.png", "val/masks/b.png"]),
        ("*/masks/*", ["a.png", "a_mask.png", "masks/a.png", "train-masks/a.png"]),
        ("*_mask.png", ["a.png", "masks/a.png", "train-masks/a.png", "val/masks/b.png"]),
        ("MASKS", ["a.png", "a_mask.png", "masks/a.png", "train-masks/a.png", "val/masks/b.png"]),
        ("*", []),
    ],
)
def test_exclude_patterns_fit_the_path_or_any_part_of_it(tmp_path, pattern, left):
    fill(tmp_path, "a.png", "a_mask.png", "masks/a.png", "train-masks/a.png", "val/masks/b.png")
    assert listed(tmp_path, [pattern]) == left


def test_matches_knows_a_file_by_the_folder_above_it():
    assert matches(PurePosixPath("a/masks/b.png"), ["masks"])
    assert not matches(PurePosixPath("a/b.png"), ["masks", ""])


def test_an_excluded_folder_is_not_entered(tmp_path, monkeypatch):
    fill(tmp_path, "a.png", "masks/deep/b.png")
    seen, scan = [], os.scandir
    monkeypatch.setattr(os, "scandir", lambda folder: seen.append(str(folder)) or scan(folder))
    assert listed(tmp_path, ["masks"]) == ["a.png"]
    assert seen == [str(tmp_path)]


def test_a_folder_that_cannot_be_listed_is_a_user_error_naming_it(tmp_path, monkeypatch):
    fill(tmp_path, "a.png", "sub/b.png")
    with pytest.raises(UserError, match=r"synthetic folder .*missing does not exist\. .*path"):
        list_folder(tmp_path / "missing", what="synthetic folder")
    with pytest.raises(UserError, match=r"synthetic folder .*a\.png is a file"):
        list_folder(tmp_path / "a.png", what="synthetic folder")
    scan = os.scandir

    def forbid(folder):  # a test may run as root, whom no permission stops
        if str(folder).endswith("sub"):
            raise PermissionError(13, "Permission denied")
        return scan(folder)

    monkeypatch.setattr(os, "scandir", forbid)
    with pytest.raises(UserError, match=r"sub cannot be read: Permission denied"):
        list_folder(tmp_path, what="synthetic folder")


def test_mirrored_paths_stay_inside_the_output_folder(tmp_path):
    fill(tmp_path, "elsewhere/x", "out/real/x")
    out = tmp_path / "out"
    assert mirrored(out, PurePosixPath("a/b.png")) == out / "a" / "b.png"
    (out / "there").symlink_to(tmp_path / "elsewhere")
    (out / "here").symlink_to(out / "real")
    assert mirrored(out, PurePosixPath("here/b.png")) == out / "here" / "b.png"
    (out / "circle").symlink_to("circle")
    mirrored(out, PurePosixPath("circle/b.png"))  # writing there fails, and says so
    for outside in ("there/b.png", "there/deep/b.png", "../b.png", "a/../../b.png", "a/../b.png", "/etc/b.png"):
        with pytest.raises(UserError, match="outside the output folder"):
            mirrored(out, PurePosixPath(outside))


def test_an_output_folder_may_itself_be_a_link(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "real")
    assert mirrored(tmp_path / "out", PurePosixPath("a/b.png")) == tmp_path / "out" / "a" / "b.png"


def test_the_list_of_rejects_survives_any_name(tmp_path):
    names = ["plain.png", "a,b.png", 'say "x".png', "two\nlines.png", "back\rwards.png", "-rf.png", "ü 顔.png", "=1+1"]
    rejects = [Reject(name, f"reason, {name}") for name in [*names, os.fsdecode(b"latin-\xff.png")]]
    write_rejects(tmp_path / "deep" / "rejects.csv", rejects)
    with open(tmp_path / "deep" / "rejects.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    expected = [*names, "latin-\\udcff.png"]
    assert rows == [["file", "reason"], *([name, f"reason, {name}"] for name in expected)]


def test_no_rejects_is_an_answer_too(tmp_path):
    write_rejects(tmp_path / "rejects.csv", [])
    assert (tmp_path / "rejects.csv").read_text() == "file,reason\n"
