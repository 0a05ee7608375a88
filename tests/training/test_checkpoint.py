"""A checkpoint is whole or absent, whatever happens to the process or the file."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from simrefine import arrays
from simrefine.errors import EXIT_DIVERGED, UserError
from simrefine.training.checkpoint import newest_checkpoint, save_checkpoint

ARRAYS = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "history/faces": np.zeros((0, 4, 4, 3), np.uint8)}


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_what_is_saved_comes_back_and_only_the_newest_are_kept(tmp_path):
    for step in (1, 2, 30):
        save_checkpoint(tmp_path, step, ARRAYS, keep=2)
    assert names(tmp_path) == ["step-0000002", "step-0000030"]
    found, damaged = newest_checkpoint(tmp_path)
    assert found.step == 30 and not damaged
    for name, value in ARRAYS.items():
        np.testing.assert_array_equal(found.arrays[name], value)


def damage_arrays(path):
    content = bytearray((path / "state.safetensors").read_bytes())
    content[-1] ^= 1
    (path / "state.safetensors").write_bytes(content)


@pytest.mark.parametrize(
    "damage",
    [
        damage_arrays,
        lambda path: (path / "state.safetensors").unlink(),
        lambda path: (path / "state.json").write_text("{"),
        lambda path: (path / "state.json").write_text("[]"),
    ],
    ids=["bit flipped", "arrays gone", "half a json", "odd json"],
)
def test_a_damaged_checkpoint_is_named_and_the_one_before_is_used(tmp_path, damage):
    save_checkpoint(tmp_path, 1, ARRAYS, keep=2)
    damage(save_checkpoint(tmp_path, 2, ARRAYS, keep=2))
    found, damaged = newest_checkpoint(tmp_path)
    assert found.step == 1 and len(damaged) == 1 and "step-0000002" in damaged[0]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_checkpoint_that_is_not_finite_is_neither_written_nor_gone_on_from(tmp_path, monkeypatch, bad):
    save_checkpoint(tmp_path, 1, ARRAYS, keep=2)
    diverged = ARRAYS | {"a": np.array([1, bad], np.float32)}
    with pytest.raises(UserError, match="a is not finite") as error:
        save_checkpoint(tmp_path, 2, diverged, keep=2)
    assert error.value.exit_code == EXIT_DIVERGED and names(tmp_path) == ["step-0000001"]
    with monkeypatch.context() as older:  # a simrefine that did not look wrote it
        older.setattr(arrays, "non_finite", lambda _: "")
        save_checkpoint(tmp_path, 2, diverged, keep=2)
    found, damaged = newest_checkpoint(tmp_path)
    assert found.step == 1 and "step-0000002" in damaged[0] and "diverged" in damaged[0]


WRITER = """
import sys, numpy as np
from pathlib import Path
from simrefine.training.checkpoint import save_checkpoint
first = int(sys.argv[2])  # each process goes on behind the one before, as a training does
for step in range(first, first + 10**5):
    save_checkpoint(Path(sys.argv[1]), step, {"a": np.full(200_000, step)}, keep=2)
"""


def test_kill_9_at_any_moment_leaves_a_whole_newest_checkpoint(tmp_path):
    for attempt in range(6):
        process = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path), str(1 + attempt * 10**5)])
        while not any(tmp_path.glob(f"step-{attempt:02}*")):
            time.sleep(0.02)
        time.sleep(0.05 + 0.037 * attempt)
        process.send_signal(signal.SIGKILL)
        process.wait()
        found, damaged = newest_checkpoint(tmp_path)
        assert not damaged and (found.arrays["a"] == found.step).all()
    save_checkpoint(tmp_path, 10**6 + 1, ARRAYS, keep=2)
    assert all(name.startswith("step-") for name in names(tmp_path)), "leftovers of the killed are cleared away"


def test_a_full_disk_is_a_clear_error_and_the_older_checkpoint_stays(tmp_path, monkeypatch):
    save_checkpoint(tmp_path, 1, ARRAYS, keep=1)

    def full(*_):
        raise arrays.SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(arrays, "save_file", full)
    with pytest.raises(UserError, match="No space left on device.*free some space"):
        save_checkpoint(tmp_path, 2, ARRAYS, keep=1)
    assert names(tmp_path) == ["step-0000001"] and newest_checkpoint(tmp_path)[0].step == 1


def test_weights_can_be_read_by_whom_the_umask_lets(tmp_path):
    before = os.umask(0o022)
    try:
        saved = save_checkpoint(tmp_path, 1, {"a": np.zeros(3)}, keep=1)
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o777 for path in saved.iterdir()} == {0o644}
