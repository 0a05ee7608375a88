"""Writes are complete or absent, whenever the process dies."""

import errno
import os
import subprocess
import sys

import pytest

from simrefine import files
from simrefine.errors import UserError
from simrefine.files import (
    TEMPORARY_PREFIX,
    publishing_file,
    publishing_folder,
    remove_leftovers,
    standing_folder,
    temporary_folder,
    write_file,
)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    write_file(tmp_path / "a", b"old")

    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match="No space left on device. free some space"):
        write_file(tmp_path / "a", b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_bytes() == b"old"


def test_a_file_that_is_not_finished_leaves_the_old_file_and_nothing_else(tmp_path):
    write_file(tmp_path / "a", b"old")
    with pytest.raises(ZeroDivisionError), publishing_file(tmp_path / "a") as file:
        file.write(b"half")
        raise ZeroDivisionError
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_bytes() == b"old"


def test_a_failed_publication_leaves_the_old_folder_and_nothing_else(tmp_path):
    with publishing_folder(tmp_path / "a") as folder:
        (folder / "f").write_text("old")
    with pytest.raises(ZeroDivisionError), publishing_folder(tmp_path / "a") as folder:
        (folder / "f").write_text("new")
        raise ZeroDivisionError
    assert [str(path.relative_to(tmp_path)) for path in sorted(tmp_path.rglob("*"))] == ["a", "a/f"]
    assert (tmp_path / "a/f").read_text() == "old"


EXCHANGE = """
import os, shutil, sys
from pathlib import Path
from simrefine import files

target, fatal, calls = Path(sys.argv[1]), int(sys.argv[2]), 0

def or_die(function):
    def call(*arguments, **options):
        global calls
        calls += 1
        if calls == fatal:
            os._exit(9)
        return function(*arguments, **options)
    return call

for module, name in ((os, "replace"), (os, "fsync"), (os, "rmdir"), (os, "unlink"), (os, "mkdir"), (shutil, "rmtree")):
    setattr(module, name, or_die(getattr(module, name)))
with files.publishing_folder(target) as folder:
    for name in ("one", "two"):
        (folder / name).write_text("new")
"""


def test_a_kill_at_any_point_of_an_exchange_leaves_the_old_folder_or_the_new_one(tmp_path):
    found = []
    for fatal in range(1, 50):
        target = tmp_path / str(fatal) / "a"
        with publishing_folder(target) as folder:
            for name in ("one", "two"):
                (folder / name).write_text("old")
        done = subprocess.run([sys.executable, "-c", EXCHANGE, target, str(fatal)])
        contents = {(standing_folder(target) / name).read_text() for name in ("one", "two")}
        assert len(contents) == 1, f"killed at call {fatal}: half of each"
        found.append(*contents)
        with publishing_folder(target) as folder:
            (folder / "one").write_text("newer")
        remove_leftovers(target.parent)
        assert [path.name for path in target.parent.iterdir()] == ["a"], "nothing stays behind"
        if done.returncode == 0:
            break
        assert done.returncode == 9
    assert len(found) > 8 and found == sorted(found, reverse=True) and {*found} == {"old", "new"}


def test_a_reader_that_meets_an_exchange_does_not_disturb_it(tmp_path, monkeypatch):
    with publishing_folder(tmp_path / "a") as folder:
        (folder / "f").write_text("old")
    replace, seen = os.replace, []

    def replace_while_somebody_reads(source, target):
        replace(source, target)
        seen.append((standing_folder(tmp_path / "a") / "f").read_text())

    monkeypatch.setattr(files.os, "replace", replace_while_somebody_reads)
    with publishing_folder(tmp_path / "a") as folder:
        (folder / "f").write_text("new")
    assert seen == ["old", "new"]


def test_a_name_of_255_bytes_can_be_written(tmp_path):
    write_file(tmp_path / ("x" * 255), b"")
    assert (tmp_path / ("x" * 255)).exists()


def test_two_writers_of_one_file_do_not_disturb_each_other(tmp_path):
    with publishing_file(tmp_path / "a") as first:
        first.write(b"first")
        with publishing_file(tmp_path / "a") as second:
            second.write(b"second")
        assert (tmp_path / "a").read_bytes() == b"second"
        first.write(b" and whole")
    assert (tmp_path / "a").read_bytes() == b"first and whole"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_of_two_writers_of_a_new_file_the_first_wins(tmp_path):
    with pytest.raises(UserError) as error, publishing_file(tmp_path / "a", replace=False) as file:
        file.write(b"late")
        write_file(tmp_path / "a", b"first")
    assert isinstance(error.value.__cause__, FileExistsError)
    assert (tmp_path / "a").read_bytes() == b"first" and len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("publish", [publishing_file, publishing_folder])
def test_a_link_at_a_temporary_name_is_never_written_through(tmp_path, monkeypatch, publish):
    treasure = tmp_path / "treasure"
    treasure.write_bytes(b"kept")

    def guessed(_):  # somebody links the name at the moment when it is chosen
        (tmp_path / f"{TEMPORARY_PREFIX}guessed").symlink_to(treasure)
        return "guessed"

    monkeypatch.setattr(files.secrets, "token_hex", guessed)
    with pytest.raises(UserError), publish(tmp_path / "a") as temporary:
        temporary.write(b"lost")
    assert treasure.read_bytes() == b"kept" and not (tmp_path / "a").exists()


def test_a_link_at_a_final_name_is_replaced_and_what_it_leads_to_is_kept(tmp_path):
    (tmp_path / "treasure").write_bytes(b"kept")
    (tmp_path / "a").symlink_to(tmp_path / "treasure")
    write_file(tmp_path / "a", b"new")
    assert not (tmp_path / "a").is_symlink() and (tmp_path / "a").read_bytes() == b"new"
    assert (tmp_path / "treasure").read_bytes() == b"kept"


@pytest.mark.parametrize("mask", [0o022, 0o077])
def test_the_mode_of_what_is_written_follows_the_umask(tmp_path, mask):
    before = os.umask(mask)
    try:
        write_file(tmp_path / "a", b"")
        with publishing_folder(tmp_path / "b"):
            pass
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o666 & ~mask
    assert (tmp_path / "b").stat().st_mode & 0o777 == 0o777 & ~mask


def test_leftovers_of_killed_processes_go_and_files_of_living_ones_stay(tmp_path):
    killed = (
        "import os, sys, pathlib; from simrefine.files import *; out = pathlib.Path(sys.argv[1])\n"
        "with publishing_file(out / 'a'), temporary_folder(out) as folder:\n"
        "    (folder / 'f').touch(); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", killed, tmp_path], check=False)
    (tmp_path / f"{TEMPORARY_PREFIX}link").symlink_to(tmp_path)
    (tmp_path / "other").touch()
    assert len(list(tmp_path.iterdir())) == 4
    with publishing_file(tmp_path / "b") as file, temporary_folder(tmp_path) as folder:
        remove_leftovers(tmp_path)
        assert len(list(tmp_path.iterdir())) == 3 and folder.exists()
        file.write(b"whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b", "other"]
    assert (tmp_path / "b").read_bytes() == b"whole"


def test_publishing_a_folder_clears_what_killed_processes_left_beside_it(tmp_path):
    (tmp_path / f"{TEMPORARY_PREFIX}left").mkdir()
    (tmp_path / f"{TEMPORARY_PREFIX}left" / "f").touch()
    with temporary_folder(tmp_path) as mine, publishing_folder(tmp_path / "a"):
        assert mine.exists()
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
