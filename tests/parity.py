"""A script for test_parity.py: the first steps of a method on one backend, from a state in a file.

    KERAS_BACKEND=jax python tests/parity.py simgan FOLDER [all]

FOLDER/start.npz is the state to begin with; where it is missing, it is written. FOLDER/BACKEND.npz gets the numbers of
every step, FOLDER/BACKEND-all.npz where all devices share each step.
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
DISCRIMINATORS = {"simgan": "projected", "cyclegan": "multiscale"}
# At the default's 2e-4 two runs of one backend, whose first weights differ by 1e-7, are 1e-2 apart after 20 steps.
RATES = {f"{player}_optimizer__learning_rate": 5e-6 for player in ("refiner", "discriminator")}


def build(name: str):
    """The method, with the default's networks, on drawn faces of SIZE px."""
    networks = {"refiner__width": 0, "refiner__blocks": 0, "discriminator__name": DISCRIMINATORS[name]}
    config = tiny_config(method__name=name, data__size=SIZE, training__steps=STEPS, **networks, **RATES)
    piles = []
    for real in (False, True):
        rng = np.random.default_rng([0, real])
        piles.append(np.stack([draw_face(rng, SIZE, real=real) for _ in range(FACES)]))
    dresser = PictureStyles(read_styles(to_signed(piles[1])), config.style.candidates)
    return METHODS[name](config, Inputs(*map(ArrayPile, piles), None, dresser), "float32")


def main(name: str, folder: Path, devices: str = "") -> None:
    if devices:
        import jax

        print(f"{backend.use_all_devices()} devices")
    method, start = build(name), folder / "start.npz"
    if start.exists():
        with np.load(start) as arrays:
            method.restore(dict(arrays), start)
    else:
        np.savez(start, **method.state())
    numbers: dict[str, list[float]] = {}
    for step in range(STEPS):
        batch = backend.to_device(method.batch(step))
        if devices and not step:
            largest = max(jax.tree.leaves(batch), key=np.size)
            print(f"parts of {largest.shape}: {[part.data.shape for part in largest.addressable_shards]}")
        for key, value in method.step(batch, step).items():
            numbers.setdefault(key, []).append(float(value))
    np.savez(folder / f"{backend.name}{'-all' * bool(devices)}.npz", **numbers)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), *sys.argv[3:])
