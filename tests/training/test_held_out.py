"""The best refiner of a run stays the best, whenever a process ends."""

import numpy as np
import pytest
from tiny import published, tiny_config

from simrefine import files
from simrefine.training.held_out import HeldOut
from simrefine.training.published import read_refiner, write_published

GOOD = {"held_out/swd": 3.0, "held_out/displacement": 0.1}


@pytest.mark.parametrize("renames", [0, 1, 2])
def test_a_resumed_run_knows_the_best_after_a_kill_inside_its_exchange(tmp_path, monkeypatch, renames):
    weights = published([np.zeros(3)], np.zeros((1, 4, 3)))
    write_published(tmp_path / "best", weights, 4, GOOD)
    replace, done = files.os.replace, []

    def killed(source, target):
        if len(done) == renames:
            raise KeyboardInterrupt
        done.append(target)
        replace(source, target)

    monkeypatch.setattr(files.os, "replace", killed)
    better = GOOD | {"held_out/swd": 2.0}
    if renames < 2:
        with pytest.raises(KeyboardInterrupt):
            write_published(tmp_path / "best", weights, 6, better)
    else:
        write_published(tmp_path / "best", weights, 6, better)
    held_out = HeldOut(tiny_config(), tmp_path, np.zeros(0), np.zeros(0), resumed=True)
    assert held_out.best == (better if renames == 2 else GOOD)
    assert read_refiner(tmp_path / "best").step == (6 if renames == 2 else 4)
