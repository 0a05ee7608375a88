"""Writes are complete or absent, whenever the process dies."""

import errno
import os

import pytest

from simrefine import files
from simrefine.errors import UserError
from simrefine.files import publishing_file, publishing_folder, restore_folder, write_file


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


def test_a_kill_between_the_two_renames_loses_nothing(tmp_path, monkeypatch):
    with publishing_folder(tmp_path / "a") as folder:
        (folder / "f").write_text("old")
    replace, calls = os.replace, []

    def killed_at_the_second(source, target):
        calls.append(target)
        if len(calls) == 2:
            raise KeyboardInterrupt
        replace(source, target)

    monkeypatch.setattr(files.os, "replace", killed_at_the_second)
    with pytest.raises(KeyboardInterrupt), publishing_folder(tmp_path / "a") as folder:
        (folder / "f").write_text("new")
    assert not (tmp_path / "a").exists()
    monkeypatch.undo()
    restore_folder(tmp_path / "a")
    assert (tmp_path / "a/f").read_text() == "old"


def test_a_name_of_255_bytes_can_be_written(tmp_path):
    write_file(tmp_path / ("x" * 255), b"")
    assert (tmp_path / ("x" * 255)).exists()
