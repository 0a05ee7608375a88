"""Only regular files of a stated size are read, whatever stands in their place."""

import os

import pytest

from simrefine.reading import Unreadable, parse_json, read_regular


def test_a_regular_file_of_the_limit_is_read_and_one_byte_more_is_not(tmp_path):
    (tmp_path / "a").write_bytes(b"12345")
    (tmp_path / "link").symlink_to("a")
    assert read_regular(tmp_path / "a", 5) == read_regular(tmp_path / "link", 5) == b"12345"
    with pytest.raises(Unreadable, match="5 bytes, more than the limit of 4"):
        read_regular(tmp_path / "a", 4)


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
