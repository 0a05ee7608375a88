"""A trained refiner as a function: uint8 faces in, uint8 faces out, of any size and number."""

import hashlib
from pathlib import Path

import numpy as np

from simrefine import backend
from simrefine.catalogue import REFINERS
from simrefine.config import Config
from simrefine.data.batches import Pile
from simrefine.data.dressing import Dresser, PartLooks, PictureStyles, read_dresser, read_looks
from simrefine.data.folders import list_folder
from simrefine.data.images import ImageError, fit_square, read_picture, to_channels, to_signed, to_uint8
from simrefine.data.styles import read_styles
from simrefine.errors import UserError
from simrefine.methods.state import assign
from simrefine.models.networks import build_refiner
from simrefine.models.parser import build_parser, parser_of
from simrefine.training.inputs import spread
from simrefine.training.published import PublishedRefiner, read_refiner

MAX_PHOTOGRAPHS = 2048  # in whose rooms faces are put, spread over the folder
MEMORY_GIB = 4.0  # of photographs
STYLE_SIZE = 64  # px at which the colours of a folder of photographs are read: enough for a mean and a covariance


class Refiner:
    """A refiner loaded from `path`: call it on uint8 [n, h, w, channels], get the same shape refined.

    Attributes:
        channels: 1 or 3, what it was trained on.
        size: side of the pictures it was trained on, px.
        step: the training step its weights are from.
        dresser: what gives faces their colours, and where photographs are at hand their room.
        wants_photographs: it was trained on faces in photographs' rooms, and has none now.
        fingerprint: SHA-256 of its weights, and of what else decides the result where it is not its own: photographs,
            seed.
    """

    def __init__(
        self,
        path: Path | str,
        precision: str = "float32",
        style: Path | str | None = None,
        seed: int = 0,
        photographs: Path | str | None = None,
    ):
        published = read_refiner(Path(path))
        options, data = published.config.refiner, published.config.data
        self.channels, self.size, self._seed = data.channels, data.size, seed
        self.step, self.fingerprint = published.step, published.fingerprint
        backend.use_device()
        self._stride, dtype = REFINERS[options.name].stride, backend.resolve_precision(precision)
        network = build_refiner(options, data.channels, dtype, seed=0)
        assign(network.variables, published.weights, Path(path))
        self._refine = backend.compile_inference(lambda pictures: network(pictures, training=False))
        self.dresser = self._build_dresser(Path(path), published, dtype, style, photographs)
        self.wants_photographs = published.config.parts.scene and not self.dresser.has_scenes
        if style is not None or seed or self.dresser.has_scenes:
            looks = b"".join(values.tobytes() for values in self.dresser.arrays().values())
            scenes = self.dresser.scenes.tobytes() if self.dresser.has_scenes else b""
            parts = (self.fingerprint.encode(), looks, scenes, str(seed).encode())
            self.fingerprint = hashlib.sha256(b"".join(parts)).hexdigest()

    def _build_dresser(self, path: Path, published: PublishedRefiner, dtype: str, style, photographs) -> Dresser:
        """Its own colours; or those of `style`, or colours and rooms of `photographs`."""
        config, parse = published.config, None
        if published.parser:
            parser = build_parser(config.data.channels, dtype, seed=0)
            assign(parser.variables, published.parser, path)
            parse = parser_of(parser)
        if style is not None and not config.style.candidates:
            raise UserError(f"{path} was trained without styles", "leave out --style, or train with style.candidates")
        if photographs is not None and not config.parts.scene:
            raise UserError(
                f"{path} was not trained on faces in photographs' rooms", "leave out --photos, or name --style"
            )
        if photographs is None and style is None and config.parts.scene:
            photographs = own_photographs(path)
        if parse and (photographs or style) is not None:
            images = read_photographs(Path(photographs or style), self.size, self.channels)
            bank, scenes = read_looks(images, parse, scenes=photographs is not None)
            return PartLooks(bank, config.parts.candidates, parse, scenes)
        if style is not None:
            return PictureStyles(read_style(Path(style), self.channels), config.style.candidates)
        return read_dresser(published.looks, config, parse)

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
        styled = self.dresser.dress_alone(to_signed(pictures), self._seed).pictures
        down, right = -height % self._stride, -width % self._stride
        padded = np.pad(styled, ((0, 0), (0, down), (0, right), (0, 0)), mode="edge")
        return to_uint8(self._refine(padded))[:, :height, :width]


def load(
    path: Path | str,
    precision: str = "float32",
    *,
    style: Path | str | None = None,
    seed: int = 0,
    photographs: Path | str | None = None,
) -> Refiner:
    """Loads a trained refiner from a run folder, or from the `refiner` folder of one.

    Args:
        path: the folder.
        precision: "float32" gives the same pictures on every machine; "auto" or "bfloat16" may differ by a gray
            level and is several times faster where the hardware has bfloat16.
        style: a photograph, or a folder of them, whose colours faces are given; None = those it was trained with.
        seed: the same face gets other colours with another seed, so that one render becomes many photographs.
        photographs: a folder of photographs in whose rooms faces are put, where the refiner was trained so; None = the
            run's own, while they are there. What comes out then holds parts of those photographs.

    Raises:
        UserError: there is no refiner in it, or it is damaged or of another architecture; `style` holds no picture.
    """
    return Refiner(path, precision, style, seed, photographs)


def own_photographs(path: Path) -> Path | None:
    """The folder of photographs that the run at `path`, or around it, was trained on, while it is there."""
    for config in (path / "config.toml", path.parent / "config.toml"):
        if config.exists():
            folder = Path(Config.load(config, environment={}).data.real)
            return folder if folder.is_dir() else None
    return None


def read_photographs(path: Path, size: int, channels: int) -> np.ndarray:
    """At most MAX_PHOTOGRAPHS of a folder, or a single picture, cropped and resized: uint8 [m, size, size, channels].

    Raises:
        UserError: it is missing, or holds no usable picture.
    """
    if not path.is_dir():
        try:
            return fit_square(to_channels(read_picture(path).pixels, channels), size)[None]
        except ImageError as error:
            raise UserError(f"{path} cannot be used: {error}", "name a photograph or a folder of them") from error
    records = list_folder(path, what="folder of photographs").pictures
    records = [records[place] for place in spread(len(records), MAX_PHOTOGRAPHS)]
    pile = Pile(records, size, channels, memory_gib=MEMORY_GIB)
    if not len(pile):
        raise UserError(f"the folder {path} holds no usable picture", "name a folder of photographs")
    return pile[np.arange(len(pile))]


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
