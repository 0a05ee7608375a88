"""simrefine: learns, from rendered faces and unpaired photographs, to make a render look like a photograph
without moving a label (SimGAN, Shrivastava et al., CVPR 2017, arXiv 1612.07828).

    config = simrefine.Config.load(values={"data.synthetic": "renders", "data.real": "photos"})
    simrefine.train(config)
    refiner = simrefine.load("runs/001")
    refined = refiner(images)  # uint8 [n, h, w, c] in, the same out

The commands are functions too, each with the arguments of its command:

    simrefine.prepare("pictures", "renders", labels="pictures/labels.json")
    simrefine.refine("renders", "refined", model="runs/001")
    simrefine.evaluate("renders", "photos", "report", model="runs/001")

TensorFlow is imported when one of them is asked for, not before; `prepare` does without.
"""

from importlib import import_module as _import_module
from importlib.metadata import version as _version
from typing import TYPE_CHECKING

from simrefine.config import Config
from simrefine.errors import UserError

if TYPE_CHECKING:
    from simrefine.data.prepare import prepare_folder as prepare
    from simrefine.evaluation.evaluate import evaluate
    from simrefine.generating.generator import load_generator
    from simrefine.refining.refine import refine
    from simrefine.refining.refiner import load
    from simrefine.training.train import train

__all__ = ["Config", "UserError", "evaluate", "load", "load_generator", "prepare", "refine", "train"]
__version__ = _version("simrefine")

_LAZY = {  # where each function is, imported when it is first asked for
    "evaluate": ("simrefine.evaluation.evaluate", "evaluate"),
    "load": ("simrefine.refining.refiner", "load"),
    "load_generator": ("simrefine.generating.generator", "load_generator"),
    "prepare": ("simrefine.data.prepare", "prepare_folder"),
    "refine": ("simrefine.refining.refine", "refine"),
    "train": ("simrefine.training.train", "train"),
}


def __getattr__(name: str):
    if name not in _LAZY:
        raise AttributeError(f"module 'simrefine' has no attribute {name!r}")
    module, function = _LAZY[name]
    return getattr(_import_module(module), function)


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})
