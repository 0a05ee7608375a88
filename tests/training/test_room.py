"""Where memory runs out, the message names what fits."""

import re

import pytest
from tiny import tiny_config

from simrefine.errors import UserError
from simrefine.training import room
from simrefine.training.train import train


def advice_of(size, batch, bytes_, monkeypatch, tmp_path):
    monkeypatch.setattr(room.backend, "gpu_bytes", lambda: bytes_)
    config = tiny_config(data__size=size, training__batch_size=batch)
    with pytest.raises(UserError) as caught, room.reporting_short_memory(config, tmp_path):
        raise MemoryError
    return str(caught.value)


def test_without_a_number_half_of_the_work_is_advised(monkeypatch, tmp_path):
    said = advice_of(128, 32, None, monkeypatch, tmp_path)
    assert "32 pictures of 128 px" in said and "--batch-size 16 or --size 88" in said


def test_what_is_advised_fits_in_the_memory_of_the_gpu(monkeypatch, tmp_path):
    bytes_ = 6 * room.BYTES_A_PIXEL * 128**2 + 1000
    said = advice_of(128, 32, bytes_, monkeypatch, tmp_path)
    batch, size = (int(re.search(rf"--{name} (\d+)", said).group(1)) for name in ("batch-size", "size"))
    assert batch == 6 == room.batch_with_room(128, bytes_)
    assert 32 * size**2 <= 6 * 128**2


def test_a_batch_that_cannot_be_halved_is_told_of_a_smaller_size_only(monkeypatch, tmp_path):
    said = advice_of(128, 2, None, monkeypatch, tmp_path)
    assert "--batch-size" not in said and "--size 88" in said


def test_a_training_that_runs_out_of_memory_ends_with_a_message(piles, tmp_path, monkeypatch):
    def exhausted(*_):
        raise MemoryError("OOM")

    monkeypatch.setattr("simrefine.methods.simgan.SimGAN.step", exhausted)
    config = tiny_config(**{key.replace(".", "__"): value for key, value in piles.items()})
    with pytest.raises(UserError, match="not enough memory for a training step of 4 pictures of 16 px"):
        train(config, tmp_path / "run", quiet=True)
