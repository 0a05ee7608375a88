"""A script for test_parity.py: a few steps of a method on one backend, from weights in a file.

    KERAS_BACKEND=jax python tests/parity.py simgan FOLDER

FOLDER holds start.npz, the state to begin with; where it is missing, it is written. FOLDER/BACKEND.npz gets the losses
of every step and what the refiner of the start makes of a face.
"""

import sys
from pathlib import Path

import numpy as np
from tiny import ArrayPile, draw_face, tiny_config

from simrefine import backend
from simrefine.data.dressing import PictureStyles
from simrefine.data.images import to_signed
from simrefine.data.styles import read_styles
from simrefine.methods import METHODS
from simrefine.methods.method import Inputs

SIZE, FACES, STEPS = 32, 8, 20
# As by default, but for what only makes it slower; the discriminator of cyclegan's two is a plain one.
OPTIONS = {
    "simgan": {"discriminator__name": "projected"},
    "cyclegan": {"discriminator__name": "multiscale"},
}


def build(name: str):
    """The method, with the default's networks, on drawn faces of SIZE px."""
    options = {"data__size": SIZE, "refiner__width": 0, "refiner__blocks": 0, "training__steps": STEPS}
    config = tiny_config(method__name=name, **options, **OPTIONS[name])
    piles = []
    for real in (False, True):
        rng = np.random.default_rng([0, real])
        piles.append(np.stack([draw_face(rng, SIZE, real=real) for _ in range(FACES)]))
    dresser = PictureStyles(read_styles(to_signed(piles[1])), config.style.candidates)
    return METHODS[name](config, Inputs(*map(ArrayPile, piles), None, dresser), "float32")


def main(name: str, folder: Path) -> None:
    method, start = build(name), folder / "start.npz"
    if start.exists():
        with np.load(start) as arrays:
            method.restore(dict(arrays), start)
    else:
        np.savez(start, **method.state())
    losses: dict[str, list[float]] = {}
    for step in range(STEPS):
        for key, value in method.step(method.batch(step), step).items():
            losses.setdefault(key, []).append(float(value))
    np.savez(folder / f"{backend.name}.npz", **losses)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
