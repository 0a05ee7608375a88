"""A run whose refiner nobody trained."""

from pathlib import Path

import numpy as np
from tiny import tiny_config, tiny_inputs

from simrefine.methods.method import Published
from simrefine.methods.simgan import SimGAN
from simrefine.training.frozen import Frozen
from simrefine.training.published import write_published


def write_random_refiner(folder: Path, **values) -> Path:
    """Writes a refiner of random weights, which changes every pixel, into a run folder; returns that.

    Args:
        values: options that differ from those of `tiny_config`.
    """
    config = tiny_config(**values)
    inputs = tiny_inputs(channels=config.data.channels, candidates=config.style.candidates)
    published = SimGAN(config, inputs, "float32", Frozen()).publish()
    rng = np.random.default_rng(0)
    arrays = {
        name: rng.normal(0, 0.2, value.shape).astype(np.float32) if name != "styles" else value
        for name, value in published.arrays.items()
    }
    write_published(folder / "refiner", Published(published.kind, published.options, arrays), step=4)
    return folder
