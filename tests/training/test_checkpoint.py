"""A checkpoint is whole or absent, whatever happens to the process or the file."""

import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from tiny import tiny_config

from simrefine.errors import UserError
from simrefine.training import checkpoint
from simrefine.training.checkpoint import (
    assign,
    newest_checkpoint,
    publish_refiner,
    read_refiner,
    save_checkpoint,
)

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


WRITER = """
import sys, numpy as np
from pathlib import Path
from simrefine.training.checkpoint import save_checkpoint
for step in range(1, 10**6):
    save_checkpoint(Path(sys.argv[1]), step, {"a": np.full(200_000, step)}, keep=2)
"""


def test_kill_9_at_any_moment_leaves_a_whole_newest_checkpoint(tmp_path):
    for attempt in range(6):
        process = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)])
        while not any(tmp_path.glob("step-*")):
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
        raise checkpoint.SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(checkpoint, "save_file", full)
    with pytest.raises(UserError, match="No space left on device.*free some space"):
        save_checkpoint(tmp_path, 2, ARRAYS, keep=1)
    assert names(tmp_path) == ["step-0000001"] and newest_checkpoint(tmp_path)[0].step == 1


def test_arrays_of_another_architecture_are_refused_before_any_is_assigned(tmp_path):
    class Variable:
        def __init__(self, shape):
            self.shape = shape

        def assign(self, _):
            raise AssertionError("half loaded")

    with pytest.raises(UserError, match=r"another architecture.*array 1 .*\(4,\).*\(5,\)"):
        assign([Variable((3,)), Variable((4,))], [np.zeros(3), np.zeros(5)], tmp_path)
    with pytest.raises(UserError, match=r"another architecture.*array 1 .*\(4,\).*None"):
        assign([Variable((3,)), Variable((4,))], [np.zeros(3)], tmp_path)


def test_a_published_refiner_says_what_it_is(tmp_path):
    publish_refiner(
        tmp_path / "refiner", tiny_config(data__channels=1), 7, [np.zeros(3), np.ones(2)], np.ones((5, 2, 1))
    )
    for path in (tmp_path, tmp_path / "refiner"):
        found = read_refiner(path)
        assert (found.step, found.channels, found.size, found.options.width) == (7, 1, 16, 4)
        assert [len(each) for each in found.weights] == [3, 2]
        assert found.styles.shape == (5, 2, 1) and found.candidates == 4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 99}, "newer simrefine"),
        ({"sha256": "0"}, "damaged"),
        ({"refiner": {"name": "unet", "width": 10**9}}, "between 0 and 1024"),
        ({"refiner": None}, "damaged"),
    ],
)
def test_a_refiner_that_cannot_be_trusted_is_refused(tmp_path, change, message):
    publish_refiner(tmp_path / "refiner", tiny_config(), 7, [np.zeros(3)], np.zeros((1, 4, 3)))
    file = tmp_path / "refiner" / "model.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(UserError, match=message):
        read_refiner(tmp_path)


def test_a_folder_without_a_refiner_is_named(tmp_path):
    with pytest.raises(UserError, match="holds no refiner"):
        read_refiner(tmp_path)
