"""A script for test_parity.py: trains, resumes and refines with JAX where TensorFlow cannot be imported.

    python tests/without_tensorflow.py FOLDER

FOLDER holds a refiner in `model` and faces in `faces.npy`; it gets `refined.npy`, what that makes of them, two piles of
tiny faces, the run `whole`, the run `resumed`, which went on from the first checkpoint of `whole`, and `refined`.
"""

import os
import shutil
import sys
from importlib.abc import MetaPathFinder
from pathlib import Path


class NoTensorFlow(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "tensorflow":
            raise ImportError("TensorFlow is blocked in this test")
        return None


sys.meta_path.insert(0, NoTensorFlow())
os.environ["KERAS_BACKEND"] = "jax"

import numpy as np  # noqa: E402
from tiny import TINY, write_pile  # noqa: E402

from simrefine.cli import main  # noqa: E402
from simrefine.refining.refiner import load  # noqa: E402


def simrefine(*arguments) -> None:
    main([*map(str, arguments), "--backend", "jax"], standalone_mode=False)


def work(folder: Path) -> None:
    np.save(folder / "refined.npy", load(folder / "model")(np.load(folder / "faces.npy")))
    piles = ["--synthetic", write_pile(folder / "synthetic", 6), "--real", write_pile(folder / "real", 6, real=True)]
    options = TINY | {"monitor.checkpoint_every": 1, "monitor.keep_checkpoints": 9, "training.steps": 3}
    options = [word for key, value in options.items() for word in ("--set", f"{key}={value}")]
    simrefine("train", *piles, "--run", folder / "whole", *options)
    shutil.copytree(folder / "whole", folder / "resumed")
    for later in ("checkpoints/step-0000002", "checkpoints/step-0000003", "refiner"):
        shutil.rmtree(folder / "resumed" / later)
    simrefine("train", "--resume", "--run", folder / "resumed")
    simrefine("refine", folder / "synthetic", "--model", folder / "whole", "--out", folder / "refined")
    simrefine("devices")


if __name__ == "__main__":
    work(Path(sys.argv[1]))
