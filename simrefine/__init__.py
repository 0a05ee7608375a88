"""simrefine: learns, from rendered faces and unpaired photographs, to make a render look like a photograph
without moving a label (SimGAN, Shrivastava et al., CVPR 2017, arXiv 1612.07828).

    config = simrefine.Config.load(values={"data.synthetic": "renders", "data.real": "photos"})
    simrefine.train(config)
    refiner = simrefine.load("runs/001")
    refined = refiner(images)  # uint8 [n, h, w, c] in, the same out

TensorFlow is imported when `train` or `load` is called, not before.
"""

from importlib.metadata import version as _version
from typing import TYPE_CHECKING

from simrefine.config import Config
from simrefine.errors import UserError

if TYPE_CHECKING:
    from simrefine.refining.refiner import load
    from simrefine.training.train import train

__all__ = ["Config", "UserError", "load", "train"]
__version__ = _version("simrefine")


def __getattr__(name: str):
    if name == "train":
        from simrefine.training.train import train

        return train
    if name == "load":
        from simrefine.refining.refiner import load

        return load
    raise AttributeError(f"module 'simrefine' has no attribute {name!r}")
