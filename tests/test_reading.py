"""Only regular files of a stated size are read, whatever stands in their place."""

import os

import pytest

from simrefine.reading import Unreadable, parse_json, read_part, read_regular


def test_a_regular_file_of_the_limit_is_read_and_one_byte_more_is_not(tmp_path):
    (tmp_path / "a").write_bytes(b"12345")
    (tmp_path / "link").symlink_to("a")
    assert read_regular(tmp_path / "a", 5) == read_regular(tmp_path / "link", 5) == b"12345"
    with pytest.raises(Unreadable, match="5 bytes, more than the limit of 4"):
        read_regular(tmp_path / "a", 4)


def test_a_part_of_a_file_is_read_while_it_is_the_file_that_was_listed(tmp_path):
    (tmp_path / "a").write_bytes(b"0123456789")
    changed = os.stat(tmp_path / "a").st_mtime_ns
    assert read_part(tmp_path / "a", 3, 4, changed, 4) == b"3456"
    with pytest.raises(Unreadable, match="5 bytes, more than the limit of 4"):
        read_part(tmp_path / "a", 3, 5, changed, 4)
    with pytest.raises(Unreadable, match="ends before"):
        read_part(tmp_path / "a", 8, 3, changed, 4)
    with pytest.raises(Unreadable, match="changed since"):
        read_part(tmp_path / "a", 3, 4, changed + 1, 4)
    with pytest.raises(Unreadable, match="not a regular file"):
        read_part(tmp_path, 0, 1, changed, 4)


def test_pipes_devices_folders_and_missing_files_are_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zero").symlink_to("/dev/zero")
    for name in ("pipe", "zero", "."):
        with pytest.raises(Unreadable, match="not a regular file"):
            read_regular(tmp_path / name, 10)
    for name, reason in {"gone": "No such file", "n" * 300: "too long", "a\0b": "null byte"}.items():
        with pytest.raises(Unreadable, match=reason):
            read_regular(tmp_path / name, 10)


def test_json_that_python_cannot_hold_is_a_value_error():
    with pytest.raises(ValueError, match="nested too deep"):
        parse_json("[" * 100_000)
