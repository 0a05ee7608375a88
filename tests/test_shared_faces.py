"""A few steps on real input, where it is at hand."""

from pathlib import Path

import numpy as np
import pytest
from tiny import tiny_config

import simrefine
from simrefine.data.images import read_picture

FACES = Path(__file__).parents[2] / "shared" / "faces"


@pytest.mark.skipif(not FACES.is_dir(), reason=f"needs the faces in {FACES}")
def test_a_few_steps_on_real_faces_change_them_and_keep_them_faces(tmp_path):
    config = tiny_config(
        data__synthetic=str(FACES / "synthetic" / "val"),
        data__real=str(FACES / "real" / "val"),
        data__size=32,
        training__batch_size=8,
        training__steps=30,
        refiner__width=16,
    )
    simrefine.train(config, tmp_path / "run", quiet=True)
    raw = np.stack([read_picture(file).pixels for file in sorted((FACES / "synthetic" / "val").glob("*.png"))[:4]])
    refined = simrefine.load(tmp_path / "run")(raw)
    change = np.abs(refined.astype(int) - raw).mean()
    assert 0.2 < change < 40, f"mean change {change:.2f} gray levels"
    for before, after in zip(raw, refined, strict=True):
        assert np.corrcoef(before.ravel(), after.ravel())[0, 1] > 0.9
