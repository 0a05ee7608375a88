"""How much memory there is: the least that machine and control groups say, whatever stands in their files."""

import os

import pytest

from simrefine import memory
from simrefine.memory import FALLBACK, LEAST, memory_bytes, resident_bytes, working_bytes

GIB = 2**30
MACHINE = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def limits(folder, groups: str, **files: str) -> int:
    """What is found where the process is in `groups`, and these files, slashes written as __, hold that."""
    for name, text in files.items():
        file = folder / "controllers" / name.replace("__", "/").replace("_max", ".max").replace("_high", ".high")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text.encode("latin-1"))
    (folder / "groups").write_text(groups)
    return memory_bytes(folder / "groups", folder / "controllers")


def test_version_2_has_the_least_limit_of_the_group_and_those_around_it(tmp_path):
    found = limits(
        tmp_path, "0::/a/b\n", a__b__memory_max="2147483648\n", a__memory_max="1073741824\n", memory_max="max"
    )
    assert found == GIB
    assert limits(tmp_path, "0::/a/b\n", a__b__memory_high="1000000\n") == 1_000_000


def test_version_1_has_its_limit_in_the_group_of_its_controller(tmp_path):
    groups = "12:cpu,cpuacct:/x\n9:memory:/docker/abc\n0::/\n"
    file = tmp_path / "controllers" / "memory" / "docker" / "abc" / "memory.limit_in_bytes"
    file.parent.mkdir(parents=True)
    file.write_text("3000000\n")
    assert limits(tmp_path, groups) == 3_000_000


def test_where_the_named_group_is_out_of_sight_the_limit_stands_at_the_root(tmp_path):
    assert limits(tmp_path, "0::/docker/0123\n", memory_max="5000000\n") == 5_000_000
    file = tmp_path / "controllers" / "memory" / "memory.limit_in_bytes"
    file.parent.mkdir()
    file.write_text("4000000\n")
    assert limits(tmp_path, "9:memory:/docker/0123\n") == 4_000_000


@pytest.mark.parametrize(
    "text", ["max", "", "-1", "0", "12e6", "0x1000", "4 GiB", "9" * 400, "\xb2", "9223372036854771712", "\0\xff" * 50]
)
def test_what_is_no_limit_says_nothing(tmp_path, text):
    assert limits(tmp_path, "0::/a\n", a__memory_max=text) == MACHINE


@pytest.mark.parametrize("groups", ["", "garbage", "0::/../secret\n", "0::/a\0b\n", ":::::\n", "0::" + "/a" * 30_000])
def test_groups_that_are_none_and_those_outside_are_not_followed(tmp_path, groups):
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "memory.max").write_text("4096")
    assert limits(tmp_path, groups) == MACHINE


def test_without_files_it_is_the_machines_and_without_these_a_guess(tmp_path, monkeypatch):
    assert memory_bytes(tmp_path / "none", tmp_path) == MACHINE
    monkeypatch.setattr(os, "sysconf", lambda name: (_ for _ in ()).throw(ValueError(name)))
    assert memory_bytes(tmp_path / "none", tmp_path) == FALLBACK
    assert resident_bytes() == 0


def test_a_limit_that_is_a_pipe_is_not_waited_for(tmp_path):
    (tmp_path / "controllers").mkdir()
    os.mkfifo(tmp_path / "controllers" / "memory.max")
    assert limits(tmp_path, "0::/\n") == MACHINE


def test_what_the_process_holds_is_taken_off_and_something_is_always_left(monkeypatch):
    assert 2**20 < resident_bytes() < MACHINE
    monkeypatch.setattr(memory, "memory_bytes", lambda: 8 * GIB)
    monkeypatch.setattr(memory, "resident_bytes", lambda: GIB)
    assert working_bytes(None) == 3 * GIB
    assert working_bytes(1.5) == GIB // 2
    assert working_bytes(0.1) == LEAST
