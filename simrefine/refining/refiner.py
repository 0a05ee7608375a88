"""A trained refiner as a function: uint8 faces in, uint8 faces out, of any size and number."""

import hashlib
from pathlib import Path

import numpy as np

from simrefine import backend
from simrefine.catalogue import REFINERS
from simrefine.data.batches import Pile
from simrefine.data.folders import list_folder
from simrefine.data.images import ImageError, read_picture, to_channels, to_signed, to_uint8
from simrefine.data.styles import read_styles, restyle_alone
from simrefine.errors import UserError
from simrefine.methods.state import assign
from simrefine.models.networks import build_refiner
from simrefine.training.published import read_refiner

STYLE_SIZE = 64  # px at which the colours of a folder of photographs are read: enough for a mean and a covariance


class Refiner:
    """A refiner loaded from `path`: call it on uint8 [n, h, w, channels], get the same shape refined.

    Attributes:
        channels: 1 or 3, what it was trained on.
        size: side of the pictures it was trained on, px.
        step: the training step its weights are from.
        styles: [m, 1 + channels, channels], the colours that faces are given first (see `data.styles.read_styles`).
        fingerprint: SHA-256 of its weights, and of styles and seed where they are not its own: what decides the result.
            It is another where the network is left out.
    """

    def __init__(
        self,
        path: Path | str,
        precision: str = "float32",
        style: Path | str | None = None,
        seed: int = 0,
        dressed_only: bool = False,
    ):
        published = read_refiner(Path(path))
        options, data = published.config.refiner, published.config.data
        self.channels, self.size = data.channels, data.size
        self.step, self.fingerprint = published.step, published.fingerprint
        self.styles, self._candidates, self._seed = published.styles, published.config.style.candidates, seed
        if style is not None:
            if not self._candidates:
                raise UserError(
                    f"{path} was trained without styles", "leave out --style, or train with style.candidates"
                )
            self.styles = read_style(Path(style), self.channels)
        if style is not None or seed:
            parts = self.fingerprint.encode() + self.styles.tobytes() + str(seed).encode()
            self.fingerprint = hashlib.sha256(parts).hexdigest()
        self._dressed_only = dressed_only
        if dressed_only:
            self.fingerprint = hashlib.sha256(f"{self.fingerprint} dressed only".encode()).hexdigest()
        backend.use_device()
        self._stride = REFINERS[options.name].stride
        network = build_refiner(options, data.channels, backend.resolve_precision(precision), seed=0)
        assign(network.variables, published.weights, Path(path))
        self._refine = backend.compile_inference(lambda pictures: network(pictures, training=False))

    def __call__(self, pictures: np.ndarray) -> np.ndarray:
        """Refines uint8 [n, h, w, channels]; the geometry stays, so labels stay valid.

        A picture's result depends on its pixels alone, not on the pictures beside it.

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
        styled = restyle_alone(to_signed(pictures), self.styles, self._candidates, self._seed)
        if self._dressed_only:
            return to_uint8(styled)
        down, right = -height % self._stride, -width % self._stride
        padded = np.pad(styled, ((0, 0), (0, down), (0, right), (0, 0)), mode="edge")
        return to_uint8(self._refine(padded))[:, :height, :width]


def load(
    path: Path | str,
    precision: str = "float32",
    *,
    style: Path | str | None = None,
    seed: int = 0,
    dressed_only: bool = False,
) -> Refiner:
    """Loads a trained refiner from a run folder, or from the `refiner` folder of one.

    Args:
        path: the folder.
        precision: "float32" gives the same pictures on every machine; "auto" or "bfloat16" may differ by a gray
            level and is several times faster where the hardware has bfloat16.
        style: a photograph, or a folder of them, whose colours faces are given; None = those it was trained with.
        seed: the same face gets other colours with another seed, so that one render becomes many photographs.
        dressed_only: give faces their colours and leave the network out: what it is given, to be held against what it
            makes of that.

    Raises:
        UserError: there is no refiner in it, or it is damaged or of another architecture; `style` holds no picture.
    """
    return Refiner(path, precision, style, seed, dressed_only)


def read_style(path: Path, channels: int) -> np.ndarray:
    """The colours of a photograph, or of all in a folder: [m, 1 + channels, channels].

    Raises:
        UserError: it is missing, or holds no usable picture.
    """
    if path.is_dir():
        pile = Pile(list_folder(path, what="style folder").pictures, STYLE_SIZE, channels, memory_gib=1.0)
        if not len(pile):
            raise UserError(f"the style folder {path} holds no usable picture", "name a photograph or a folder of them")
        return read_styles(to_signed(pile[np.arange(len(pile))]))
    try:
        return read_styles(to_signed(to_channels(read_picture(path).pixels, channels)[None]))
    except ImageError as error:
        raise UserError(f"the style picture {path} cannot be used: {error}", "name a photograph or a folder") from error
