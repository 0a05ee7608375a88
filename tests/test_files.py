"""Writes are complete or absent, whenever the process dies."""

import errno
import os
import subprocess
import sys

import pytest

from simrefine import files
from simrefine.errors import UserError
from simrefine.files import publishing_file, publishing_folder, standing_folder, write_file


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
        assert [path.name for path in target.parent.iterdir()] == ["a"], "the next exchange clears up"
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
