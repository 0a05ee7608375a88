"""A trained refiner as a function: uint8 faces in, uint8 faces out, of any size and number."""

from pathlib import Path

import numpy as np

from simrefine.config import UNET_STRIDE
from simrefine.data.images import to_signed, to_uint8
from simrefine.errors import UserError
from simrefine.models.networks import build_refiner
from simrefine.training.backend import tensorflow as backend
from simrefine.training.checkpoint import assign, read_refiner


class Refiner:
    """A refiner loaded from `path`: call it on uint8 [n, h, w, channels], get the same shape refined.

    Attributes:
        channels: 1 or 3, what it was trained on.
        size: side of the pictures it was trained on, px.
        step: the training step its weights are from.
        fingerprint: SHA-256 of its weights file.
    """

    def __init__(self, path: Path | str, precision: str = "float32"):
        published = read_refiner(Path(path))
        self.channels, self.size = published.channels, published.size
        self.step, self.fingerprint = published.step, published.fingerprint
        backend.use_device()
        network = build_refiner(published.options, published.channels, backend.resolve_precision(precision), seed=0)
        assign(network.variables, published.weights, Path(path))
        self._refine = backend.compile_inference(lambda pictures: network(pictures, training=False))

    def __call__(self, pictures: np.ndarray) -> np.ndarray:
        """Refines uint8 [n, h, w, channels]; the geometry stays, so labels stay valid.

        Raises:
            UserError: the array is of another type or shape.
        """
        pictures = np.asarray(pictures)
        if pictures.dtype != np.uint8 or pictures.ndim != 4 or pictures.shape[-1] != self.channels:
            raise UserError(
                f"a refiner takes uint8 [n, h, w, {self.channels}], got {pictures.dtype} {list(pictures.shape)}",
                "pictures[None] adds the first axis to a single one",
            )
        if not pictures.size:
            return pictures.copy()
        height, width = pictures.shape[1:3]
        down, right = -height % UNET_STRIDE, -width % UNET_STRIDE  # which the resnet does not mind
        padded = np.pad(pictures, ((0, 0), (0, down), (0, right), (0, 0)), mode="edge")
        return to_uint8(self._refine(to_signed(padded)))[:, :height, :width]


def load(path: Path | str, precision: str = "float32") -> Refiner:
    """Loads a trained refiner from a run folder, or from the `refiner` folder of one.

    Args:
        path: the folder.
        precision: "float32" gives the same pictures on every machine; "auto" or "bfloat16" may differ by a gray
            level and is several times faster where the hardware has bfloat16.

    Raises:
        UserError: there is no refiner in it, or it is damaged or of another architecture.
    """
    return Refiner(path, precision)
