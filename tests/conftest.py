"""Fixtures that more than one test file uses."""

import keras
import pytest
from tiny import write_pile


@pytest.fixture
def uncompiled(monkeypatch):
    """Steps run as plain Python: faster for a step or two than a compilation, and open to batches of other shapes."""
    monkeypatch.setattr("simrefine.backend.compile_step", lambda function, variables: function)


@pytest.fixture
def pooled_pixels(monkeypatch):
    """A generator's networks look at pooled pixels, not through a pretrained network: built and run in no time."""

    def maps(x, dtype):
        return [keras.layers.AveragePooling2D(stride, dtype=dtype)(x) for stride in (4, 8, 16)]

    monkeypatch.setattr("simrefine.models.generator.pretrained_maps", maps)


@pytest.fixture
def piles(tmp_path) -> dict[str, str]:
    """A synthetic and a real folder, as the options that name them."""
    return {
        "data.synthetic": str(write_pile(tmp_path / "synthetic", 10)),
        "data.real": str(write_pile(tmp_path / "real", 9, real=True, extension=".jpg")),
    }
