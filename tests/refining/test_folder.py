"""What a user may rely on when a folder is refined: nothing lost, nothing mixed, nothing half, nothing outside."""

import csv
import errno
import json
import os
import threading
from importlib.metadata import version
from pathlib import PurePosixPath

import cv2
import numpy as np
import pytest
from tiny import pack

from simrefine.data.folders import MANIFEST, REJECTS, Record
from simrefine.data.images import Picture, decode_picture, encode_picture, read_picture
from simrefine.errors import UserError
from simrefine.files import TEMPORARY_PREFIX
from simrefine.refining import folder as folder_module
from simrefine.refining import pictures as pictures_module
from simrefine.refining import places as places_module
from simrefine.refining.folder import refine_folder
from simrefine.refining.pictures import gather_by_size, read_raw
from simrefine.refining.places import Job


class Brighter:
    """Adds ten gray levels, and remembers the shapes of its batches."""

    def __init__(self, channels=3, fingerprint="f" * 64, fail_at=None, fault=RuntimeError):
        self.channels, self.fingerprint, self.size, self.masks = channels, fingerprint, 64, None
        self.shapes, self._fail_at, self._fault = [], fail_at, fault
        self.about = {"model": "/runs/001", "step": 4, "style": None, "photographs": None, "seed": 0, "scale": "own"}

    def __call__(self, images):
        assert images.dtype == np.uint8
        if len(self.shapes) == self._fail_at:
            raise self._fault("stopped here")
        self.shapes.append(images.shape)
        return images + np.uint8(10)


def picture(height=20, width=24, channels=3, seed=0):
    """Noise that stays in range when ten is added."""
    return np.random.default_rng(seed).integers(0, 240, (height, width, channels), dtype=np.uint8)


def put(path, pixels=None, alpha=None, extension=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = picture() if pixels is None else pixels
    path.write_bytes(encode_picture(Picture(pixels, alpha), extension or path.suffix))
    return path


def pixels_of(path):
    return read_picture(path).pixels


def tree(folder):
    """Every file below `folder`, hidden ones too."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir())


def rejects_in(out):
    with open(out / REJECTS, newline="", encoding="utf-8") as file:
        return dict(list(csv.reader(file))[1:])


def accounts_balance(summary):
    return summary.written + summary.skipped + summary.rejected == summary.found


@pytest.fixture
def renders(tmp_path):
    """Three pictures of two sizes with labels."""
    folder = tmp_path / "renders"
    put(folder / "a.png")
    put(folder / "sub" / "a.png", picture(seed=1))
    put(folder / "sub" / "deep" / "b.bmp", picture(31, 17))
    (folder / "labels.json").write_bytes(b'{"a.png": [1, 2]}\r\n')
    (folder / "sub" / "a.pts").write_bytes(bytes(range(256)))
    return folder


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


def test_tree_names_and_labels_are_mirrored(renders, out):
    summary = refine_folder(Brighter(), renders, out)
    assert tree(out) == sorted([*tree(renders), MANIFEST, REJECTS])
    for name in ("a.png", "sub/a.png", "sub/deep/b.bmp"):
        np.testing.assert_array_equal(pixels_of(out / name), pixels_of(renders / name) + 10)
    for name in ("labels.json", "sub/a.pts"):
        assert (out / name).read_bytes() == (renders / name).read_bytes()
    assert (summary.found, summary.written, summary.skipped, summary.rejected) == (3, 3, 0, 0)
    assert (summary.labels_copied, summary.labels_rejected) == (2, 0)
    assert summary.sizes == {(20, 24): 2, (31, 17): 1}
    assert summary.mean_change == 10
    assert summary.rejects_csv == out / REJECTS
    assert rejects_in(out) == {}


def test_the_input_is_left_exactly_as_it_was(renders, out):
    before = {name: ((renders / name).read_bytes(), (renders / name).stat().st_mtime_ns) for name in tree(renders)}
    refine_folder(Brighter(), renders, out, compare=True)
    assert {n: ((renders / n).read_bytes(), (renders / n).stat().st_mtime_ns) for n in tree(renders)} == before


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.JPEG", "a.bmp", "a.webp"])
def test_the_format_is_kept(tmp_path, out, name):
    source = put(tmp_path / "in" / name)
    refine_folder(Brighter(), tmp_path / "in", out)
    content = (out / name).read_bytes()
    assert content[:2] == source.read_bytes()[:2]
    assert decode_picture(content).pixels.shape == (20, 24, 3)


def test_equal_stems_do_not_collide(tmp_path, out):
    for seed, name in enumerate(["a.png", "a.bmp", "a.webp", "a.jpg", "a.png.png", "a.bmp.png"]):
        put(tmp_path / "in" / name, picture(seed=seed))
    summary = refine_folder(Brighter(), tmp_path / "in", out, compare=True)
    assert summary.written == 6
    comparisons = {name: name for name in ("a.png", "a.png.png", "a.bmp.png")}
    for name, compared in (comparisons | {"a.bmp": "a.bmp.png.png", "a.webp": "a.webp.png"}).items():
        np.testing.assert_array_equal(pixels_of(out / name), pixels_of(tmp_path / "in" / name) + 10)
        np.testing.assert_array_equal(pixels_of(out / "_compare" / compared)[:, 24:], pixels_of(out / name))


def test_any_name_is_kept(tmp_path, out):
    names = ["two words.png", "two\nlines.png", 'it\'s "q".png', "-rf.png", "ü 顔.png", "%d$(x)*.png"]
    names += ["n" * 251 + ".png", os.fsdecode(b"latin-\xff.png")]
    for name in names:
        put(tmp_path / "in" / "a folder\n" / name)
    summary = refine_folder(Brighter(), tmp_path / "in", out)
    assert summary.written == len(names)
    assert set(tree(out)) == {MANIFEST, REJECTS, *(f"a folder\n/{name}" for name in names)}


def test_a_name_too_long_for_its_comparison_stops_nothing_else(tmp_path, out):
    long = put(tmp_path / "in" / ("n" * 251 + ".bmp")).name
    put(tmp_path / "in" / "z.png")
    summary = refine_folder(Brighter(), tmp_path / "in", out, compare=True)
    assert (summary.written, summary.rejected) == (1, 1)
    assert "too long" in rejects_in(out)[long]


def test_any_size_comes_back_the_same_and_batches_hold_one_size(tmp_path, out):
    sizes = [(1, 1), (1, 50), (33, 7), (64, 64), (7, 33)]
    for number in range(15):
        put(tmp_path / "in" / f"{number:02}.png", picture(*sizes[number % 5], seed=number))
    refiner = Brighter()
    summary = refine_folder(refiner, tmp_path / "in", out, batch_size=2)
    assert summary.written == 15
    for number in range(15):
        name = f"{number:02}.png"
        np.testing.assert_array_equal(pixels_of(out / name), pixels_of(tmp_path / "in" / name) + 10)
    assert sorted(refiner.shapes) == sorted((n, *size, 3) for size in sizes for n in (2, 1))


def test_gray_meets_a_colour_refiner_and_stays_gray(tmp_path, out):
    put(tmp_path / "in" / "gray.png", picture(channels=1))
    put(tmp_path / "in" / "colour.png", picture(channels=3))
    refiner = Brighter(channels=3)
    refine_folder(refiner, tmp_path / "in", out)
    assert refiner.shapes == [(2, 20, 24, 3)]
    assert pixels_of(out / "gray.png").shape == (20, 24, 1)
    np.testing.assert_array_equal(pixels_of(out / "gray.png"), picture(channels=1) + 10)


def test_colour_meets_a_gray_refiner_and_every_channel_moves_alike(tmp_path, out):
    bright = picture()
    bright[0, 0] = (255, 100, 100)  # the red goes out of range
    put(tmp_path / "in" / "a.png", bright)
    refiner = Brighter(channels=1)
    refine_folder(refiner, tmp_path / "in", out)
    assert refiner.shapes == [(1, 20, 24, 1)]
    np.testing.assert_array_equal(pixels_of(out / "a.png"), np.clip(bright.astype(int) + 10, 0, 255))


def test_alpha_passes_through(tmp_path, out):
    alpha = np.random.default_rng(3).integers(1, 255, (20, 24), dtype=np.uint8)
    for name in ("a.png", "a.webp"):
        put(tmp_path / "in" / name, alpha=alpha)
    refine_folder(Brighter(), tmp_path / "in", out)
    for name in ("a.png", "a.webp"):
        np.testing.assert_array_equal(read_picture(out / name).alpha, alpha)
        np.testing.assert_array_equal(read_picture(out / name).pixels, picture() + 10)


@pytest.mark.parametrize(("strength", "change"), [(0, 0), (0.5, 5), (1, 10)])
@pytest.mark.parametrize("channels", [1, 3])
def test_strength_scales_the_change(tmp_path, out, strength, change, channels):
    put(tmp_path / "in" / "a.png")
    summary = refine_folder(Brighter(channels), tmp_path / "in", out, strength=strength)
    np.testing.assert_array_equal(pixels_of(out / "a.png"), picture() + change)
    assert summary.mean_change == change


@pytest.mark.parametrize("strength", [-0.1, 1.1, float("nan")])
def test_a_strength_out_of_range_is_a_user_error(renders, out, strength):
    with pytest.raises(UserError, match="strength"):
        refine_folder(Brighter(), renders, out, strength=strength)
    assert not out.exists()


def test_compare_shows_raw_beside_refined(renders, out):
    refine_folder(Brighter(), renders, out, compare=True)
    beside = pixels_of(out / "_compare" / "sub" / "deep" / "b.bmp.png")
    raw = pixels_of(renders / "sub" / "deep" / "b.bmp")
    np.testing.assert_array_equal(beside, np.concatenate([raw, raw + 10], axis=1))


def test_a_tar_is_copied_byte_for_byte_unless_its_pictures_are_asked_for(tmp_path, out):
    folder = tmp_path / "in"
    put(folder / "a.png", picture(seed=1)), put(folder / "sub" / "b.png", picture(seed=2))
    (folder / "sub" / "b.pts").touch()
    shard = pack(folder, folder / "s.tar", ["sub/b.png"])
    assert refine_folder(Brighter(), folder, out).written == 1
    assert (out / "s.tar").read_bytes() == shard.read_bytes() and not (out / "sub" / "b.png").exists()
    again = tmp_path / "again"
    assert refine_folder(Brighter(), folder, again, packed=True).written == 2
    np.testing.assert_array_equal(pixels_of(again / "sub" / "b.png"), picture(seed=2) + 10)
    assert not (again / "s.tar").exists() and (again / "sub" / "b.pts").exists()
    assert refine_folder(Brighter(), folder, again, packed=True).skipped == 2


def test_masks_named_by_copy_are_labels(tmp_path, out):
    put(tmp_path / "in" / "a.png")
    mask = put(tmp_path / "in" / "masks" / "a.png", picture(channels=1))
    damaged = tmp_path / "in" / "masks" / "b.png"
    damaged.write_bytes(b"no picture, and not opened")
    summary = refine_folder(Brighter(), tmp_path / "in", out, copy=["masks"])
    assert (summary.found, summary.written, summary.labels_copied) == (1, 1, 2)
    assert (out / "masks" / "a.png").read_bytes() == mask.read_bytes()
    assert (out / "masks" / "b.png").read_bytes() == damaged.read_bytes()


@pytest.mark.parametrize("name", ["labels.txt", "mask.png"])
def test_what_a_link_out_of_the_folder_leads_to_is_not_carried_over_but_named(renders, out, tmp_path, name):
    secret = put(tmp_path / "secret.png")
    (renders / "sub" / name).symlink_to(secret)
    (renders / "within.pts").symlink_to("sub/a.pts")
    summary = refine_folder(Brighter(), renders, out, copy=["mask.png"])
    assert not os.path.lexists(out / "sub" / name) and "leads out of the folder" in rejects_in(out)[f"sub/{name}"]
    assert (summary.labels_copied, summary.labels_rejected, summary.rejected) == (3, 1, 0)
    assert (out / "within.pts").read_bytes() == (renders / "sub" / "a.pts").read_bytes()
    assert not (out / "within.pts").is_symlink()


def test_what_is_excluded_is_neither_refined_nor_copied(renders, out):
    summary = refine_folder(Brighter(), renders, out, exclude=["sub"])
    assert (summary.found, summary.labels_copied) == (1, 1)
    assert not (out / "sub").exists()


def test_a_rerun_touches_nothing_that_is_done(renders, out):
    refine_folder(Brighter(), renders, out, compare=True)
    before = {n: ((out / n).stat().st_ino, (out / n).stat().st_mtime_ns) for n in tree(out) if n != REJECTS}
    refiner = Brighter()
    summary = refine_folder(refiner, renders, out, compare=True)
    assert {n: ((out / n).stat().st_ino, (out / n).stat().st_mtime_ns) for n in tree(out) if n != REJECTS} == before
    assert refiner.shapes == []
    assert (summary.skipped, summary.written, summary.labels_copied, summary.mean_change) == (3, 0, 0, 0)


def test_a_rerun_does_only_what_is_missing(renders, out):
    refine_folder(Brighter(), renders, out)
    (out / "sub" / "a.png").unlink()
    put(renders / "new.png", picture(seed=9))
    kept = (out / "a.png").stat().st_ino
    summary = refine_folder(Brighter(), renders, out)
    assert (summary.found, summary.skipped, summary.written) == (4, 2, 2)
    assert (out / "a.png").stat().st_ino == kept
    np.testing.assert_array_equal(pixels_of(out / "sub" / "a.png"), pixels_of(renders / "sub" / "a.png") + 10)


def test_a_render_that_changed_is_refined_again(renders, out):
    # Its labels are renewed too: an old face must not stay beside new labels.
    refine_folder(Brighter(), renders, out)
    put(renders / "a.png", picture(seed=77))
    later = (out / "a.png").stat().st_mtime_ns + 10**9
    os.utime(renders / "a.png", ns=(later, later))
    assert refine_folder(Brighter(), renders, out).written == 1
    np.testing.assert_array_equal(pixels_of(out / "a.png"), picture(seed=77) + 10)


def test_a_tiff_is_rejected_by_name_and_not_carried_along_raw(renders, out):
    (renders / "x.tif").write_bytes(b"II*\0")
    assert refine_folder(Brighter(), renders, out).rejected == 1
    assert "x.tif" in rejects_in(out) and not (out / "x.tif").exists()


def test_a_rerun_with_compare_adds_the_missing_comparisons(renders, out):
    refine_folder(Brighter(), renders, out)
    assert refine_folder(Brighter(), renders, out, compare=True).written == 3
    (out / "_compare" / "a.png").unlink()
    assert refine_folder(Brighter(), renders, out, compare=True).written == 1
    assert (out / "_compare" / "a.png").exists()


def test_a_changed_label_is_copied_again(renders, out):
    refine_folder(Brighter(), renders, out)
    changed = b'{"a.png": [9, 2]}\r\n'  # as long as before, and dated like the copy
    (renders / "labels.json").write_bytes(changed)
    times = (out / "labels.json").stat()
    os.utime(renders / "labels.json", ns=(times.st_atime_ns, times.st_mtime_ns))
    assert refine_folder(Brighter(), renders, out).labels_copied == 1
    assert (out / "labels.json").read_bytes() == changed


@pytest.mark.parametrize("fault", [RuntimeError, KeyboardInterrupt])
def test_a_stop_midway_leaves_only_complete_files_and_a_rerun_finishes(tmp_path, out, fault):
    names = [f"{number:02}.png" for number in range(20)]
    for number, name in enumerate(names):
        put(tmp_path / "in" / name, picture(seed=number))
    threads = threading.active_count()
    with pytest.raises(fault):
        refine_folder(Brighter(fail_at=3, fault=fault), tmp_path / "in", out, batch_size=2, threads=2)
    assert threading.active_count() == threads
    done = [name for name in tree(out) if name != MANIFEST]
    assert set(done) <= set(names)  # no temporary file either
    assert len(done) <= 6
    for name in done:
        np.testing.assert_array_equal(pixels_of(out / name), pixels_of(tmp_path / "in" / name) + 10)
    summary = refine_folder(Brighter(), tmp_path / "in", out, batch_size=2)
    assert (summary.skipped, summary.written) == (len(done), 20 - len(done))
    for name in names:
        np.testing.assert_array_equal(pixels_of(out / name), pixels_of(tmp_path / "in" / name) + 10)


def test_a_bad_file_stops_nothing_and_is_named(renders, out):
    (renders / "bad.png").write_bytes(b"")
    (renders / "sub" / "half.jpg").write_bytes(encode_picture(Picture(picture()), ".jpg")[:-300])
    (renders / "dead.png").symlink_to("nowhere")
    (renders / "loop.png").symlink_to("loop.png")
    (renders / "text.webp").write_text("not a picture")
    put(renders / "clear.jpg", alpha=np.zeros((20, 24), np.uint8), extension=".png")
    summary = refine_folder(Brighter(), renders, out)
    assert (summary.found, summary.written, summary.rejected) == (9, 3, 6)
    rejects = rejects_in(out)
    assert list(rejects) == ["bad.png", "clear.jpg", "dead.png", "loop.png", "sub/half.jpg", "text.webp"]
    assert rejects["bad.png"] == "empty file"
    assert "truncated JPEG" in rejects["sub/half.jpg"]
    assert "transparency" in rejects["clear.jpg"]
    assert not (out / "bad.png").exists()


def test_accounts_balance_over_reruns(renders, out):
    (renders / "bad.png").write_bytes(b"")
    for _ in range(2):
        summary = refine_folder(Brighter(), renders, out)
        assert accounts_balance(summary)
        assert (summary.found, summary.rejected) == (4, 1)
        assert list(rejects_in(out)) == ["bad.png"]
    (renders / "bad.png").unlink()
    refine_folder(Brighter(), renders, out)
    assert rejects_in(out) == {}


def test_a_label_that_cannot_be_copied_is_named_and_counted_apart(renders, out):
    (out / "labels.json").mkdir(parents=True)
    (out / MANIFEST).write_text(json.dumps({"format": 1, "refiner": "f" * 64, "strength": 1.0}))
    summary = refine_folder(Brighter(), renders, out)
    assert (summary.labels_copied, summary.labels_rejected, summary.rejected) == (1, 1, 0)
    assert accounts_balance(summary)
    assert "cannot be copied" in rejects_in(out)["labels.json"]


def test_a_folder_where_an_output_belongs_costs_that_output_only(renders, out):
    refine_folder(Brighter(), renders, out)
    (out / "a.png").unlink()
    (out / "a.png").mkdir()
    summary = refine_folder(Brighter(), renders, out)
    assert (summary.skipped, summary.rejected) == (2, 1)
    assert "cannot be written" in rejects_in(out)["a.png"]


@pytest.mark.parametrize("change", [{"refiner": Brighter(fingerprint="0" * 64)}, {"strength": 0.5}])
def test_results_of_two_refiners_or_strengths_are_never_mixed(renders, out, change):
    refine_folder(Brighter(), renders, out)
    (out / "a.png").unlink()
    options = {"refiner": Brighter(), **change}
    with pytest.raises(UserError, match=r"another (refiner|strength).*--out.*--overwrite"):
        refine_folder(folder=renders, out=out, **options)
    assert not (out / "a.png").exists()
    summary = refine_folder(folder=renders, out=out, overwrite=True, **options)
    assert (summary.skipped, summary.written) == (0, 3)
    assert refine_folder(folder=renders, out=out, **options).skipped == 3


def test_the_manifest_says_what_pictures_are_of(renders, out):
    refine_folder(Brighter(), renders, out, strength=0.5)
    manifest = json.loads((out / MANIFEST).read_text())
    assert manifest.items() >= {**Brighter().about, "strength": 0.5, "refiner": "f" * 64}.items()
    assert manifest["simrefine"] == version("simrefine")


@pytest.mark.parametrize(
    ("key", "now", "said"),
    [("seed", 3, r"another seed \(0, now 3\)"), ("step", 8, r"another step \(4, now 8\)"), ("style", "/a", "style")],
)
def test_what_differs_from_what_is_there_is_named(renders, out, key, now, said):
    refine_folder(Brighter(), renders, out)
    other = Brighter(fingerprint="0" * 64)
    other.about = other.about | {key: now}
    with pytest.raises(UserError, match=said):
        refine_folder(other, renders, out)


def test_single_pictures_are_refined_by_their_names_and_nothing_beside_them(renders, out):
    assert refine_folder(Brighter(), renders / "a.png", out / "one").written == 1
    assert tree(out / "one") == sorted(["a.png", MANIFEST, REJECTS])
    assert refine_folder(Brighter(), [renders / "a.png", renders / "sub" / "deep" / "b.bmp"], out / "two").written == 2
    assert {"a.png", "b.bmp"} <= set(tree(out / "two"))
    np.testing.assert_array_equal(pixels_of(out / "two" / "a.png"), pixels_of(renders / "a.png") + 10)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["a.png", "sub/a.png"], "have one name"),
        (["a.png", "sub"], "sub is a folder"),
        (["labels.json"], "labels.json is no picture"),
        (["a.png", "c.png"], "c.png does not exist"),
    ],
)
def test_what_cannot_go_together_is_refused(renders, out, names, message):
    with pytest.raises(UserError, match=message):
        refine_folder(Brighter(), [renders / name for name in names], out)
    assert not out.exists()


def test_a_single_picture_is_not_overwritten(renders):
    with pytest.raises(UserError, match="is the input folder"):
        refine_folder(Brighter(), renders / "a.png", renders, overwrite=True)


def test_a_linked_folder_that_is_not_followed_is_named(renders, out, tmp_path):
    put(tmp_path / "elsewhere" / "c.png")
    (renders / "sub" / "linked").symlink_to(tmp_path / "elsewhere")
    summary = refine_folder(Brighter(), renders, out)
    assert (summary.written, summary.rejected, summary.linked) == (3, 0, 1)
    assert "not followed" in rejects_in(out)["sub/linked"]


def test_the_same_weights_in_another_place_and_version_go_on(renders, out):
    refine_folder(Brighter(), renders, out)
    manifest = json.loads((out / MANIFEST).read_text())
    (out / MANIFEST).write_text(json.dumps(manifest | {"model": "/elsewhere", "simrefine": "0.0.1"}))
    assert refine_folder(Brighter(), renders, out).skipped == 3


def test_an_overwrite_that_stops_midway_leaves_nothing_of_the_first_refiner(renders, out):
    refine_folder(Brighter(), renders, out, compare=True)
    with pytest.raises(RuntimeError):
        refine_folder(Brighter(fingerprint="new", fail_at=0), renders, out, overwrite=True)
    assert refine_folder(Brighter(fingerprint="new"), renders, out, compare=True).written == 3


def test_an_overwrite_without_compare_leaves_no_stale_comparison(renders, out):
    refine_folder(Brighter(), renders, out, compare=True)
    refine_folder(Brighter(), renders, out, strength=0, overwrite=True)
    assert refine_folder(Brighter(), renders, out, strength=0, compare=True).written == 3
    beside = pixels_of(out / "_compare" / "a.png")
    np.testing.assert_array_equal(beside[:, :24], beside[:, 24:])


@pytest.mark.parametrize("content", ["", "{", "[]", '{"format": 2, "refiner": "x", "strength": 1}'])
def test_a_manifest_of_another_program_is_a_user_error(renders, out, content):
    out.mkdir()
    (out / MANIFEST).write_text(content)
    with pytest.raises(UserError, match="overwrite"):
        refine_folder(Brighter(), renders, out)


def test_a_folder_with_other_files_is_not_written_into_unless_asked(renders, out):
    out.mkdir()
    (out / ".DS_Store").touch()
    (out / "thesis.tex").write_text("another program's")
    with pytest.raises(UserError, match="did not write"):
        refine_folder(Brighter(), renders, out)
    assert tree(out) == [".DS_Store", "thesis.tex"]
    refine_folder(Brighter(), renders, out, overwrite=True)
    assert (out / "thesis.tex").read_text() == "another program's"


def test_an_empty_folder_and_one_with_hidden_files_are_accepted(renders, out):
    out.mkdir()
    (out / ".DS_Store").touch()
    assert refine_folder(Brighter(), renders, out).written == 3


def test_the_input_folder_is_no_output_folder(renders, tmp_path):
    (tmp_path / "alias").symlink_to(renders)
    before = tree(renders)
    for out in (renders, tmp_path / "alias", renders / "sub" / "..", tmp_path):
        reason = "lies inside the output folder" if out == tmp_path else "is the input folder"
        with pytest.raises(UserError, match=reason):
            refine_folder(Brighter(), renders, out, overwrite=True)
    with pytest.raises(UserError, match="output folder"):
        refine_folder(Brighter(), tmp_path / "alias", tmp_path, overwrite=True)
    assert tree(renders) == before


def test_an_output_folder_that_is_a_file_is_a_user_error(renders, out):
    out.write_text("a file")
    with pytest.raises(UserError, match="is a file"):
        refine_folder(Brighter(), renders, out, overwrite=True)
    assert out.read_text() == "a file"


def test_an_output_folder_inside_the_input_is_not_read(renders):
    out = renders / "sub" / "refined"
    assert refine_folder(Brighter(), renders, out).written == 3
    summary = refine_folder(Brighter(), renders, out)
    assert (summary.found, summary.skipped, summary.labels_copied) == (3, 3, 0)
    assert not (out / "sub" / "refined").exists()


def test_links_in_the_output_are_replaced_and_never_written_through(renders, out):
    out.mkdir()
    (out / "sub").mkdir()
    (out / MANIFEST).write_text(json.dumps({"format": 1, "refiner": "f" * 64, "strength": 1.0}))
    (out / "a.png").symlink_to(renders / "a.png")
    (out / "labels.json").symlink_to(renders / "labels.json")
    os.link(renders / "sub" / "a.pts", out / "sub" / "a.pts")
    before = {name: (renders / name).read_bytes() for name in tree(renders)}
    refine_folder(Brighter(), renders, out)
    assert not (out / "a.png").is_symlink()
    assert not (out / "labels.json").is_symlink()
    np.testing.assert_array_equal(pixels_of(out / "a.png"), pixels_of(renders / "a.png") + 10)
    os.remove(out / "sub" / "a.png")
    os.link(renders / "sub" / "a.png", out / "sub" / "a.png")
    refine_folder(Brighter(), renders, out, overwrite=True)
    np.testing.assert_array_equal(pixels_of(out / "sub" / "a.png"), pixels_of(renders / "sub" / "a.png") + 10)
    assert {name: (renders / name).read_bytes() for name in tree(renders)} == before


@pytest.mark.parametrize("name", ["sub", "_compare"])
def test_a_linked_folder_in_the_output_that_leads_outside_is_a_user_error(renders, out, tmp_path, name):
    (tmp_path / "elsewhere").mkdir()
    out.mkdir()
    (out / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="outside the output folder"):
        refine_folder(Brighter(), renders, out, overwrite=True, compare=True)
    assert tree(tmp_path / "elsewhere") == []


def test_an_input_link_into_the_output_folder_is_not_read(renders, out):
    refine_folder(Brighter(), renders, out)
    (renders / "again.png").symlink_to(out / "a.png")
    assert refine_folder(Brighter(), renders, out).found == 3


def test_a_refined_folder_can_be_refined_again_and_its_manifest_and_rejects_are_no_labels(renders, out, tmp_path):
    refine_folder(Brighter(), renders, out)
    refine_folder(Brighter(fingerprint="second"), out, tmp_path / "twice")
    assert json.loads((tmp_path / "twice" / MANIFEST).read_text())["refiner"] == "second"
    np.testing.assert_array_equal(pixels_of(tmp_path / "twice" / "a.png"), picture() + 20)
    refine_folder(Brighter(), renders, tmp_path / "compared", compare=True)
    with pytest.raises(UserError, match="--exclude _compare"):
        refine_folder(Brighter(), tmp_path / "compared", tmp_path / "thrice")
    assert refine_folder(Brighter(), tmp_path / "compared", tmp_path / "thrice", exclude=["_compare"]).written == 3


def test_a_folder_without_pictures_is_a_user_error_that_names_the_patterns(tmp_path, out):
    (tmp_path / "in").mkdir()
    with pytest.raises(UserError, match=r"in holds no picture \(\.bmp, \.jpeg, \.jpg, \.png, \.webp\)"):
        refine_folder(Brighter(), tmp_path / "in", out)
    put(tmp_path / "in" / "a.png")
    put(tmp_path / "in" / "masks" / "a.png")
    with pytest.raises(UserError, match=r"apart from a\.png, masks"):
        refine_folder(Brighter(), tmp_path / "in", out, exclude=["a.png"], copy=["masks"])
    assert not out.exists()


@pytest.mark.parametrize("what", ["pictures", "labels"])
def test_a_full_disk_stops_the_run_and_keeps_what_is_done(renders, out, monkeypatch, what):
    (renders / "z.png").write_bytes((renders / "a.png").read_bytes())
    calls, fsync = [], os.fsync
    allowed = 4 if what == "pictures" else 1  # the manifest, two labels, a picture

    def full(descriptor):
        calls.append(descriptor)
        if len(calls) > allowed:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        patch.setattr(folder_module, "write_rejects", lambda *_: pytest.fail("went on"))
        with pytest.raises(UserError, match=r"No space left on device.*what is finished is kept"):
            refine_folder(Brighter(), renders, out, batch_size=1, threads=1)
    left = tree(out)
    assert not [name for name in left if "tmp" in name]
    assert len(left) == allowed
    summary = refine_folder(Brighter(), renders, out)
    assert (summary.skipped, summary.written) == ((1, 3) if what == "pictures" else (0, 4))


def test_progress_counts_up_to_everything_found_from_the_calling_thread(renders, out):
    (renders / "bad.png").write_bytes(b"")
    calls = []

    def progress(done, found):
        calls.append((done, found, threading.get_ident()))

    for _ in range(2):
        calls.clear()
        refine_folder(Brighter(), renders, out, progress=progress)
        assert calls[-1][:2] == (4, 4)
        assert [done for done, _, _ in calls] == sorted(done for done, _, _ in calls)
        assert {thread for _, _, thread in calls} == {threading.get_ident()}
    calls.clear()
    refine_folder(Brighter(), renders, out, exclude=["bad.png"], progress=progress)
    assert [call[:2] for call in calls] == [(3, 3)]  # also when nothing is left to do


def test_pictures_that_wait_for_their_batch_are_bounded(tmp_path, out, monkeypatch):
    for number in range(30):
        put(tmp_path / "in" / f"{number:02}.png", picture(10, 10 + number))
    put(tmp_path / "in" / "zz.png", picture(90, 90))
    monkeypatch.setattr(pictures_module, "MAX_WAITING_PIXELS", 1000)
    monkeypatch.setattr(pictures_module, "MAX_BATCH_PIXELS", 4000)
    waiting, taken = 0, []

    def pictures():
        nonlocal waiting
        for path in sorted((tmp_path / "in").iterdir()):
            raw = read_raw(Job(Record(path, PurePosixPath(path.name)), out / path.name, out / path.name))
            waiting += raw.size[0] * raw.size[1]
            yield raw

    for batch in gather_by_size(pictures(), 32):
        taken += batch
        waiting -= sum(raw.size[0] * raw.size[1] for raw in batch)
        assert waiting <= 1000
    assert len(taken) == 31


def test_full_batches_make_room_for_the_next(tmp_path, out, monkeypatch):
    monkeypatch.setattr(pictures_module, "MAX_WAITING_PIXELS", 1000)
    for number in range(40):
        put(tmp_path / "in" / f"{number:02}.png", picture(10, 10, seed=number))
    refiner = Brighter()
    refine_folder(refiner, tmp_path / "in", out, batch_size=4)
    assert refiner.shapes == [(4, 10, 10, 3)] * 10


def test_a_batch_of_large_pictures_is_small(tmp_path, out, monkeypatch):
    monkeypatch.setattr(pictures_module, "MAX_BATCH_PIXELS", 3 * 20 * 24)
    for number in range(7):
        put(tmp_path / "in" / f"{number}.png", picture(seed=number))
    put(tmp_path / "in" / "large.png", picture(100, 100))
    refiner = Brighter()
    assert refine_folder(refiner, tmp_path / "in", out).written == 8
    assert sorted(shape[:2] for shape in refiner.shapes) == [(1, 20), (1, 100), (3, 20), (3, 20)]


def test_reading_does_not_run_away_from_the_refiner(tmp_path, out, monkeypatch):
    for number in range(40):
        put(tmp_path / "in" / f"{number:02}.png", picture(4, 4))
    read, lead = [], []
    monkeypatch.setattr(Record, "read", lambda record: read.append(record) or record.path.read_bytes())

    class Slow(Brighter):
        def __call__(self, images):
            lead.append(len(read) - 2 * len(self.shapes))
            return super().__call__(images)

    refine_folder(Slow(), tmp_path / "in", out, batch_size=2, threads=2)
    assert max(lead) <= 2 * (2 + 2) + 2  # what is read ahead, and the batch itself


def test_opencv_is_not_asked_to_write_files(renders, out, monkeypatch):
    monkeypatch.setattr(cv2, "imwrite", lambda *_: pytest.fail("imwrite is not atomic"))
    assert refine_folder(Brighter(), renders, out).written == 3


@pytest.mark.parametrize("content", ["", "half", "another size"])
@pytest.mark.parametrize("name", ["sub/a.png", "_compare/sub/a.png"])
def test_an_output_that_is_not_whole_is_not_done(renders, out, name, content):
    refine_folder(Brighter(), renders, out, compare=True)
    whole = (out / name).read_bytes()
    other = encode_picture(Picture(picture(8, 9)), ".png")
    (out / name).write_bytes({"": b"", "half": whole[: len(whole) // 2], "another size": other}[content])
    assert refine_folder(Brighter(), renders, out, compare=True).written == 1
    assert (out / name).read_bytes() == whole


def test_two_refinements_may_fill_one_folder_together(tmp_path, out):
    for number in range(40):
        put(tmp_path / "in" / f"{number:02}.png", picture(seed=number))
    (tmp_path / "in" / "labels.json").write_text("{}")
    outcomes = []

    def work():
        outcomes.append(refine_folder(Brighter(), tmp_path / "in", out, batch_size=2))

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(outcomes) == 4 and all(accounts_balance(outcome) and not outcome.rejected for outcome in outcomes)
    assert tree(out) == sorted([*(f"{number:02}.png" for number in range(40)), "labels.json", MANIFEST, REJECTS])
    assert refine_folder(Brighter(), tmp_path / "in", out).skipped == 40


def test_of_two_refiners_that_begin_at_once_one_gets_the_folder(renders, out, monkeypatch):
    check, other = places_module._check_owner, Brighter(fingerprint="0" * 64)

    def late(*arguments):
        check(*arguments)
        monkeypatch.undo()
        refine_folder(other, renders, out)

    monkeypatch.setattr(places_module, "_check_owner", late)
    with pytest.raises(UserError, match="another refiner"):
        refine_folder(Brighter(), renders, out)
    assert json.loads((out / MANIFEST).read_text())["refiner"] == "0" * 64


def test_leftovers_of_a_killed_run_are_removed(renders, out):
    refine_folder(Brighter(), renders, out)
    whole = tree(out)
    for folder in (out, out / "sub"):
        (folder / f"{TEMPORARY_PREFIX}0123").write_bytes(b"half")
    refine_folder(Brighter(), renders, out)
    assert tree(out) == whole


def test_where_memory_is_short_batches_are_halved_and_a_picture_too_large_is_rejected(tmp_path, out):
    for number in range(5):
        put(tmp_path / "in" / f"{number}.png", picture(seed=number))
    put(tmp_path / "in" / "large.png", picture(100, 100))

    class Short(Brighter):
        def __call__(self, images):
            if images.size > 2 * 20 * 24 * 3:
                raise MemoryError
            return super().__call__(images)

    refiner = Short()
    summary = refine_folder(refiner, tmp_path / "in", out)
    assert (summary.written, summary.rejected) == (5, 1)
    assert "100 x 100 pixels: not enough memory" in rejects_in(out)["large.png"]
    assert sorted(shape[0] for shape in refiner.shapes) == [1, 2, 2]


@pytest.mark.parametrize("step", ["decode_picture", "encode_picture"])
def test_a_picture_that_there_is_no_memory_to_read_or_write_is_rejected_and_the_others_are_written(
    tmp_path, out, monkeypatch, step
):
    for number in range(3):
        put(tmp_path / "in" / f"{number}.png", picture(seed=number))
    put(tmp_path / "in" / "large.png", picture(100, 100))
    work = getattr(pictures_module, step)

    def short(given, *arguments):
        if step == "encode_picture" and given.pixels.size > 9000:
            raise MemoryError
        if step == "decode_picture" and len(given) > 9000:
            raise MemoryError
        return work(given, *arguments)

    monkeypatch.setattr(pictures_module, step, short)
    summary = refine_folder(Brighter(), tmp_path / "in", out)
    assert (summary.written, summary.rejected) == (3, 1) and accounts_balance(summary)
    assert "not enough memory to" in rejects_in(out)["large.png"]


def test_pictures_too_large_for_many_come_last_and_are_alone_in_memory(tmp_path, out, monkeypatch):
    for name in ("a-large.png", "b-large.png"):
        put(tmp_path / "in" / name, picture(200, 300))
    (tmp_path / "in" / "c-large.png").write_bytes((tmp_path / "in" / "a-large.png").read_bytes()[:-20])
    for number in range(5):
        put(tmp_path / "in" / f"s{number}.png", picture(seed=number))
    monkeypatch.setattr(folder_module, "working_bytes", lambda memory_gib: 2 * 9 * 2000 * (2 * (32 + 4) + 32))
    events = []
    for step in ("decode_picture", "encode_picture"):
        work = getattr(pictures_module, step)
        monkeypatch.setattr(
            pictures_module, step, lambda *given, step=step, work=work: events.append(step) or work(*given)
        )
    refiner = Brighter()
    summary = refine_folder(refiner, tmp_path / "in", out, memory_gib=1)
    assert (summary.written, summary.rejected) == (7, 1) and accounts_balance(summary)
    assert refiner.shapes == [(5, 20, 24, 3), (1, 200, 300, 3), (1, 200, 300, 3)]
    one = ["decode_picture", "encode_picture"]
    assert events[10:] == [*one, *one, "decode_picture"], "the next is read before this one is written"
    np.testing.assert_array_equal(pixels_of(out / "b-large.png"), picture(200, 300) + 10)
    assert "truncated" in rejects_in(out)["c-large.png"]


def test_a_tall_picture_is_blended_and_compared_band_by_band_as_it_is_all_at_once(monkeypatch):
    raw, refined = picture(50, 30), picture(50, 30, seed=1)
    wanted = [pictures_module.blend(raw, refined[..., :channels], 0.3) for channels in (1, 3)]
    change = pictures_module.mean_change(raw, refined)
    assert change == pytest.approx(np.abs(raw.astype(int) - refined).mean())
    monkeypatch.setattr(pictures_module, "BAND_PIXELS", 7 * 30)
    for channels, whole in zip((1, 3), wanted, strict=True):
        np.testing.assert_array_equal(pictures_module.blend(raw, refined[..., :channels], 0.3), whole)
    assert pictures_module.mean_change(raw, refined) == change


def sharded(renders, out, part, parts, **options):
    return refine_folder(Brighter(), renders, out, copy=["*-masks"], shard=(part, parts), **options)


def with_masks(folder, count=12):
    for place in range(count):
        put(folder / "faces" / f"{place}.png", picture(seed=place))
        put(folder / "faces-masks" / f"{place}.png", picture(seed=99 + place))
    (folder / "labels.csv").write_text("file,label\n")
    return folder


def test_shards_together_do_exactly_the_whole_each_picture_once(tmp_path):
    folder = with_masks(tmp_path / "in")
    refine_folder(Brighter(), folder, tmp_path / "whole", copy=["*-masks"])
    written = []
    for part in (3, 1, 2):
        summary = sharded(folder, tmp_path / "parts", part, 3)
        accounts_balance(summary)
        written.append(summary.written)
        # A mask is there with its picture, and no other is.
        faces, masks = (
            {path.name for path in (tmp_path / "parts" / name).iterdir()} for name in ("faces", "faces-masks")
        )
        assert faces == masks and len(faces) == sum(written)
        assert (tmp_path / "parts" / "labels.csv").exists()
    assert sum(written) == 12 and min(written) > 0
    whole, parts = (
        {path.relative_to(tmp_path / name): path.read_bytes() for path in (tmp_path / name).rglob("*.[pj]*")}
        for name in ("whole", "parts")
    )
    assert whole == parts
    assert {path.name for path in (tmp_path / "parts").glob("rejects*")} == {f"rejects-{i}-of-3.csv" for i in (1, 2, 3)}


def test_a_picture_that_is_added_moves_no_other_to_another_shard(tmp_path):
    folder = with_masks(tmp_path / "in")
    sharded(folder, tmp_path / "out", 1, 2)
    put(folder / "faces" / "00.png")
    for part in (1, 2):
        sharded(folder, tmp_path / "out", part, 2)
    assert len([*(tmp_path / "out" / "faces").iterdir()]) == 13


def test_shards_that_are_none_are_refused(renders, tmp_path):
    for part, parts in ((0, 2), (3, 2), (1, 0)):
        with pytest.raises(UserError, match=f"shard {part}/{parts} is none"):
            sharded(renders, tmp_path / "out", part, parts)
    with pytest.raises(UserError, match="--overwrite and --shard"):
        sharded(renders, tmp_path / "out", 1, 2, overwrite=True)
    folder = with_masks(tmp_path / "few", 1)  # more shards than pictures: some have nothing to do, and say so
    assert sum(sharded(folder, tmp_path / "out", part, 3).written for part in (1, 2, 3)) == 1


def test_what_shards_leave_of_rejects_is_no_label(tmp_path):
    folder = with_masks(tmp_path / "in")
    (folder / "faces" / "bad.png").write_bytes(b"no picture")
    for part in (1, 2):
        sharded(folder, tmp_path / "out", part, 2)
    refine_folder(Brighter(fingerprint="e" * 64), tmp_path / "out", tmp_path / "again", copy=["*-masks"])
    assert [path.name for path in (tmp_path / "again").glob("rejects*")] == [REJECTS]
