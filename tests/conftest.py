"""Fixtures that more than one test file uses."""

import pytest
from tiny import write_pile


@pytest.fixture
def uncompiled(monkeypatch):
    """Steps run as plain Python: faster for a step or two than a compilation, and open to batches of other shapes."""
    monkeypatch.setattr("simrefine.backend.compile_step", lambda function, variables: function)


@pytest.fixture
def piles(tmp_path) -> dict[str, str]:
    """A synthetic and a real folder, as the options that name them."""
    return {
        "data.synthetic": str(write_pile(tmp_path / "synthetic", 10)),
        "data.real": str(write_pile(tmp_path / "real", 9, real=True, extension=".jpg")),
    }
