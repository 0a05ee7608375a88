"""A tar in a folder of faces is read as if it had been unpacked where it lies: the same pictures, in the same order, to
the same batches, of which no more is held than the memory that is given."""

import gzip
import io
import json
import os
import shutil
import tarfile
import tracemalloc
import weakref
from pathlib import PurePosixPath

import numpy as np
import pytest
from tiny import pack, tiny_config, write_pile

from simrefine.data import batches
from simrefine.data.batches import Pile, Sampler
from simrefine.data.faces import read_faces
from simrefine.data.folders import find_pictures, list_folder
from simrefine.data.images import ImageError
from simrefine.errors import UserError
from simrefine.training.inputs import read_piles

READ = {"size": 16, "channels": 3, "memory_gib": 1.0}


def put(archive, name, content=b"x", kind=tarfile.REGTYPE, link=""):
    info = tarfile.TarInfo(name)
    info.size, info.type, info.linkname = len(content) if kind == tarfile.REGTYPE else 0, kind, link
    archive.addfile(info, io.BytesIO(content))


def write_tar(path, *names, kind=tarfile.PAX_FORMAT, **contents):
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w", format=kind) as archive:
        for name in names:
            put(archive, name, contents.get(name, name.encode()))
    return path


def listed(folder, exclude=()):
    return list_folder(folder, exclude, what="test folder", shards=True).pictures


def names(folder, exclude=()):
    return [str(record.relative) for record in listed(folder, exclude)]


@pytest.fixture
def twins(tmp_path):
    """The same 24 faces twice: loose, in two folders, and in three shards, one of them in a folder."""
    loose = tmp_path / "loose"
    write_pile(loose / "a", 14)
    write_pile(loose / "b", 10, seed=1, extension=".jpg", size=24)
    packed = shutil.copytree(loose, tmp_path / "packed")
    pack(packed, packed / "0.tar", [f"a/{i:03d}.png" for i in (3, 1, 2)] + ["b/004.jpg"])
    pack(packed / "b", packed / "b" / "1.TAR", ["007.jpg", "000.jpg"])
    pack(packed, packed / "2.tar", [f"a/{i:03d}.png" for i in (13, 12, 0)])
    return loose, packed


# Names that each rule of a listing is about; a/b.png and a-1.png are sorted by bytes, not by parts.
LEAVES = ["b.PNG", "a/b.png", "a-1.png", "ä.png", "a/.c.png", ".d/e.png", "a/Thumbs.db.png", "thumbs.DB", "x.json"]
LEAVES += [
    "masks/a.png",
    "sub/masks/a.png",
    "a/f_mask.png",
    "old/simrefine.json",
    "old/a.png",
    "old/deep/b.png",
    "g.tif",
]
LEAVES += [f"{'long' * 40}/{'name' * 30}.png"]


@pytest.mark.parametrize("kind", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
@pytest.mark.parametrize("exclude", [(), ["masks"], ["sub/masks"], ["*_mask.png", "a-1*"]])
@pytest.mark.parametrize("start", ["", "./"])
def test_a_tar_is_listed_as_if_it_had_been_unpacked_where_it_lies(tmp_path, kind, exclude, start):
    shard = write_tar(tmp_path / "packed" / "deep" / "one.tar", *(start + name for name in LEAVES), kind=kind)
    write_tar(tmp_path / "packed" / "simrefine" / ".hidden.tar", "h.png")
    with tarfile.open(shard) as archive:
        archive.extractall(tmp_path / "loose" / "deep", filter="data")
    expected = [str(record.relative) for record in list_folder(tmp_path / "loose", exclude, what="folder").pictures]
    assert "deep/g.tif" in expected and "deep/old/a.png" not in expected
    assert names(tmp_path / "packed", exclude) == expected
    assert [record.read() for record in listed(tmp_path / "packed", exclude)] == [
        (tmp_path / "loose" / name).read_bytes() for name in expected
    ]


def test_a_tar_is_a_file_like_any_other_where_shards_are_not_asked_for_and_an_excluded_one_is_not_opened(twins):
    _, packed = twins
    plain = list_folder(packed, what="folder")
    assert [str(record.relative) for record in plain.others] == ["0.tar", "2.tar", "b/1.TAR"]
    assert list_folder(packed, what="folder", shards=True).others == ()
    (packed / "0.tar").write_bytes(b"no tar")
    assert len(list_folder(packed, ["0.tar"], what="folder", shards=True).pictures) == 20


def test_batches_from_shards_are_those_of_the_loose_folder_bit_for_bit(twins):
    one, other = (Sampler(Pile(listed(folder), **READ), 5, seed=3, purpose="x", flip=True) for folder in twins)
    for index in (7, *range(6)):
        for mine, theirs in zip(one.batch(index), other.batch(index), strict=True):
            np.testing.assert_array_equal(mine, theirs)


def test_with_one_percent_of_the_memory_shards_give_the_same_batches_and_no_more_is_held(twins, monkeypatch):
    whole = Sampler(Pile(listed(twins[0]), **READ), 4, seed=0, purpose="x", flip=True)
    size, decoded = 64, []

    def fit_square(pixels, size):
        picture = np.array(fitted(pixels, size))  # a copy, which is alive for as long as somebody holds it
        decoded.append(weakref.ref(picture))
        alive.append(sum(one() is not None for one in decoded))
        return picture

    fitted, alive = batches.fit_square, []
    monkeypatch.setattr(batches, "fit_square", fit_square)
    shards = listed(twins[1]) * 10
    limit = len(shards) * size * size * 3 // 100  # bytes: of 240 pictures, 2
    tracemalloc.start()
    try:
        pile = Pile(shards, size, 3, memory_gib=limit / 2**30)
        assert len(pile) == len(shards) and max(alive) <= batches.READ_THREADS + batches.AHEAD + 2
        pile[[5, 200, 17]]
        numbers = tracemalloc.DomainFilter(True, np.lib.tracemalloc_domain)
        held = sum(trace.size for trace in tracemalloc.take_snapshot().filter_traces([numbers]).traces)
    finally:
        tracemalloc.stop()
    assert held <= limit and not any(one() is not None for one in decoded)
    small = Sampler(Pile(listed(twins[1]), **READ | {"memory_gib": 0.01 * 24 * 16 * 16 * 3 / 2**30}), 4, 0, "x", True)
    for index in range(8):
        np.testing.assert_array_equal(small.batch(index).pictures, whole.batch(index).pictures)


def test_what_cannot_be_decoded_or_is_no_file_of_the_tar_is_rejected_by_name(tmp_path):
    folder = write_pile(tmp_path / "faces", 2)
    good = (folder / "000.png").read_bytes()
    pack(folder, folder / "s.tar")
    with tarfile.open(folder / "s.tar", "a") as archive:
        put(archive, "./half.png", good[:100])
        put(archive, "folder.png", kind=tarfile.DIRTYPE)
        put(archive, "folder.png/002.png", good)
        put(archive, "soft.png", kind=tarfile.SYMTYPE, link="000.png")
        put(archive, "hard.png", kind=tarfile.LNKTYPE, link="000.png")
        put(archive, "/etc/absolute.png", good)
        put(archive, "../outside.png", good)
    pile = Pile(listed(folder), **READ)
    assert [str(record.relative) for record in pile.records] == ["000.png", "001.png", "folder.png/002.png"]
    reasons = {reject.relative: reject.reason for reject in pile.rejects}
    bad = ("half.png", "soft.png", "hard.png", "/etc/absolute.png", "../outside.png")
    assert set(reasons) == {f"s.tar: {name}" for name in bad}
    half, soft, hard, absolute, outside = (reasons[f"s.tar: {name}"] for name in bad)
    assert "truncated PNG" in half and "link" in soft and "link" in hard
    assert "leads out" in absolute and "leads out" in outside


def test_of_a_member_that_was_added_again_the_later_counts_as_in_unpacking(tmp_path):
    shard = write_tar(tmp_path / "s.tar", "a.png")
    with tarfile.open(shard, "a") as archive:
        put(archive, "./a.png", b"later")
    (record,) = listed(tmp_path)
    assert record.read() == b"later"


def test_a_damaged_tar_is_named_and_never_read_in_part(tmp_path):
    path = write_tar(tmp_path / "s.tar", "a.png", "b.png", "c.png", kind=tarfile.GNU_FORMAT)
    whole = path.read_bytes()  # three times a header and a block of content, then zeros
    wrong = bytearray(whole)
    wrong[1024 + 20] ^= 1  # in the second header
    blank = whole[:1024] + bytes(512) + whole[1536:]
    noise = whole[:2048] + b"noise " * 85 + b"no" + whole[2560:]  # in place of the last header
    compressed = gzip.compress(whole)
    cut = [whole[:length] for length in (0, 1, 511, 700, 1024, 1100, 1536, 2600, 3072, 3100)]
    for content in (*cut, bytes(wrong), blank, noise, compressed, whole + whole):
        path.write_bytes(content)
        with pytest.raises(UserError, match=r"s\.tar is damaged, or no uncompressed tar: .*`tar cf`.*--exclude"):
            listed(tmp_path)
    for content in (whole, whole[: 3072 + 512], bytes(10240)):  # also with the least end mark, and without members
        path.write_bytes(content)
        assert len(listed(tmp_path)) == (3 if content[0] else 0)


def test_a_tar_of_which_headers_claim_anything_is_a_user_error_or_listed(tmp_path):
    path = write_tar(tmp_path / "s.tar", "ä" * 60 + ".png", "b" * 200 + ".png")
    whole, rng = path.read_bytes(), np.random.default_rng(0)
    for _ in range(300):
        content = bytearray(whole)
        for place in rng.integers(0, 4096, 2):
            content[place] = rng.integers(256)
        for header in range(0, 4096, 512):  # with its checksum right, a header is believed
            content[header + 148 : header + 156] = b" " * 8
            content[header + 148 : header + 156] = b"%06o\0 " % sum(content[header : header + 512])
        path.write_bytes(content)
        try:
            for record in listed(tmp_path):
                record.read()
        except (UserError, ImageError):
            pass


@pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE])
@pytest.mark.parametrize("size", [2**50, 2**62, 2**70])
def test_a_tar_that_claims_more_bytes_than_there_are_is_damaged(tmp_path, kind, size):
    info = tarfile.TarInfo("a.png")
    info.type, info.size = kind, size
    (tmp_path / "s.tar").write_bytes(info.tobuf(tarfile.GNU_FORMAT) + bytes(10240))
    with pytest.raises(UserError, match=r"s\.tar (is damaged|cannot be read: Invalid).* write it again"):
        listed(tmp_path)


@pytest.mark.parametrize("other", ["loose", "shard"])
def test_a_picture_that_is_there_twice_is_refused_naming_both(tmp_path, other):
    write_tar(tmp_path / "sub" / "1.tar", "x/a.png")
    if other == "loose":
        (tmp_path / "sub" / "x").mkdir()
        (tmp_path / "sub" / "x" / "a.png").touch()
        first = r"sub/x/a\.png"
    else:
        write_tar(tmp_path / "0.tar", "sub/x/a.png")
        first = r"0\.tar: sub/x/a\.png"
    with pytest.raises(UserError, match=rf"{first} and .*sub/1\.tar: x/a\.png are both the picture sub/x/a\.png"):
        listed(tmp_path)


def test_a_tar_that_refine_has_copied_is_not_taken_for_refined_pictures(tmp_path):
    write_tar(tmp_path / "s.tar", "a.png")
    (tmp_path / "simrefine.json").touch()
    with pytest.raises(UserError, match=r"s\.tar lies in a folder that simrefine wrote.*--exclude '\*\.tar'"):
        listed(tmp_path)
    assert names(tmp_path, ["*.tar"]) == []


def test_a_shard_that_is_changed_while_it_is_read_gives_an_error_and_no_other_picture(tmp_path):
    folder = write_pile(tmp_path / "faces", 4)
    shutil.copytree(folder, tmp_path / "again")
    pack(folder, folder / "s.tar", ["000.png", "001.png"])
    pile = Pile(listed(folder), **READ | {"memory_gib": 0.0})
    pack(tmp_path / "again", folder / "s.tar", ["001.png", "000.png"])
    with pytest.raises(UserError, match=r"has been changed since.*s\.tar: 000\.png"):
        pile[[0]]


def test_no_file_stays_open(twins):
    before = len(os.listdir("/proc/self/fd"))
    Pile(listed(twins[1]), **READ | {"memory_gib": 0.0})[range(24)]
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("label_file", ["annotations.jsonl", "b/labels.jsonl", "labels.csv", "pts"])
def test_labels_beside_the_shards_fit_as_they_fit_the_loose_pictures(twins, label_file):
    for folder in twins:
        rows = {f"{one}/{i:03d}.{end}": [[i, 4], [9, i]] for one, n, end in (("a", 14, "png"), ("b", 10, "jpg"))
                for i in range(n)}  # fmt: skip
        file = folder / label_file
        if label_file == "pts":
            for name, points in rows.items():
                one = (file / name).with_suffix(".pts")
                one.parent.mkdir(parents=True, exist_ok=True)
                one.write_text("version: 1\n{\n" + "".join(f"{x + 1} {y + 1}\n" for x, y in points) + "}\n")
        elif file.suffix == ".csv":
            lines = [f'{name},"{json.dumps(points)}"\n' for name, points in rows.items()]
            file.write_text("file,landmarks\n" + "".join(lines))
        else:
            file.write_text("".join(json.dumps({"file": f, "landmarks": p}) + "\n" for f, p in rows.items()))
    loose, packed = (read_faces(folder, "raw", folder / label_file, **READ) for folder in twins)
    assert loose.names == packed.names and len(loose) == 24
    np.testing.assert_array_equal(loose.points, packed.points)
    np.testing.assert_array_equal(loose.images, packed.images)


def test_masks_are_found_loose_and_in_shards(twins):
    loose, packed = twins
    wanted = [PurePosixPath(name) for name in ("a/004.png", "a/013.png", "b/000.jpg", "b/nowhere.png")]
    found = find_pictures(packed, wanted, what="folder of masks")
    assert [*found] == wanted[:3] and [record.member is None for record in found.values()] == [True, False, False]
    assert [record.read() for record in found.values()] == [(loose / name).read_bytes() for name in wanted[:3]]


def test_a_training_counts_the_pictures_of_shards_and_names_what_it_does_not_read(twins, tmp_path):
    photos = write_pile(tmp_path / "photos", 5, real=True)
    (photos / "more.tar.gz").touch()
    said = []
    config = tiny_config(data__synthetic=str(twins[1]), data__real=str(photos))
    assert [len(faces) for faces in read_piles(config, None, said.append)] == [24, 5]
    assert f"synthetic   {twins[1]}: 24 pictures (9 in .tar files), 0 rejected" in said
    assert any("not read" in line and "more.tar.gz is compressed" in line for line in said)
    (photos / "linked.tar").symlink_to(twins[1] / "0.tar")
    with pytest.raises(UserError, match=r"4 pictures are in both .*0\.tar: a/001\.png"):
        read_piles(config, None, said.append)
