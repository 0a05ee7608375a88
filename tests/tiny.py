"""Tiny generated piles of faces: discs with eyes, flat for "synthetic", tinted and noisy for "real"."""

import tarfile

import numpy as np

from simrefine.config import Config
from simrefine.data.dressing import STYLES, PictureStyles
from simrefine.data.images import Picture, encode_picture, resize, to_signed
from simrefine.data.styles import read_styles
from simrefine.methods.method import Inputs, Published

SIZE = 16  # px
CANDIDATES = 4  # photographs that a face chooses its colours from, as by default

# The smallest networks that have every part of the real ones.
TINY = {
    "data.size": SIZE,
    "refiner.width": 4,
    "refiner.blocks": 1,
    "discriminator.name": "multiscale",  # no look through a pretrained network, which takes seconds to build
    "parts.steps": 2,
    "training.steps": 4,
    "training.batch_size": 4,
    "training.precision": "float32",
    "history.half_batches": 3,
    "monitor.faces": 2,
    "monitor.scalars_every": 2,
    "monitor.images_every": 4,
    "monitor.checkpoint_every": 4,
}


def tiny_config(**values) -> Config:
    """TINY with "section__key" overrides."""
    return Config.load(values=TINY | {key.replace("__", "."): value for key, value in values.items()}, environment={})


def draw_face(rng: np.random.Generator, size: int = SIZE, channels: int = 3, real: bool = False) -> np.ndarray:
    """uint8 [size, size, channels]."""
    y, x = np.mgrid[:size, :size] / size - 0.5
    y, x = y + rng.uniform(-0.1, 0.1), x + rng.uniform(-0.1, 0.1)
    face = np.broadcast_to(rng.uniform(20, 120, channels), (size, size, channels)).copy()
    face[y**2 + x**2 < 0.15] = rng.uniform(120, 230, channels)
    face[(np.abs(y + 0.1) < 0.05) & (np.abs(np.abs(x) - 0.15) < 0.06)] = 10
    if real:
        face = face * np.linspace(0.6, 1.0, channels) + rng.normal(0, 12, face.shape)
    return np.clip(face, 0, 255).astype(np.uint8)


def write_pile(folder, count: int, *, real: bool = False, seed: int = 0, extension: str = ".png", **shape):
    """Writes `count` faces to `folder`; returns it."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng([seed, real])
    for index in range(count):
        content = encode_picture(Picture(draw_face(rng, real=real, **shape)), extension)
        (folder / f"{index:03d}{extension}").write_bytes(content)
    return folder


class ArrayPile:
    """The pictures of a pile, uint8 [n, h, w, c], that no file holds."""

    def __init__(self, pictures: np.ndarray):
        self._pictures = pictures

    def __len__(self) -> int:
        return len(self._pictures)

    def __getitem__(self, places) -> np.ndarray:
        return self._pictures[places]

    @property
    def size(self) -> int:
        return self._pictures.shape[1]

    def take(self, places) -> "ArrayPile":
        return ArrayPile(self._pictures[places])

    def at(self, size: int) -> "ArrayPile":
        return ArrayPile(np.stack([resize(picture, size, size) for picture in self._pictures]))


def tiny_inputs(
    count: int = 10, channels: int = 3, points: np.ndarray | None = None, candidates: int = CANDIDATES
) -> Inputs:
    """What a method learns from: `count` faces of each kind."""
    piles = []
    for real in (False, True):
        rng = np.random.default_rng([0, real])
        piles.append(np.stack([draw_face(rng, channels=channels, real=real) for _ in range(count)]))
    synthetic, real = piles
    return Inputs(
        ArrayPile(synthetic), ArrayPile(real), points, PictureStyles(read_styles(to_signed(real)), candidates)
    )


def published(weights, styles, kind="refiner", **options) -> Published:
    """A refiner ready to be written, with `weights` that need fit no network."""
    config = tiny_config(**options)
    sections = {
        "data": {"size": config.data.size, "channels": config.data.channels},
        "refiner": vars(config.refiner),
        "style": vars(config.style),
        "parts": {"candidates": config.parts.candidates, "scene": False},
    }
    arrays = {f"{index:03d}": value for index, value in enumerate(weights)}
    return Published(kind, sections, arrays | {STYLES: styles})


def pack(folder, shard, names=None):
    """Moves files of a folder, by their paths below it (None = all), into a new tar, which may lie in the folder;
    returns the tar."""
    files = [folder / name for name in names] if names else [path for path in folder.rglob("*") if not path.is_dir()]
    shard.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(shard, "w") as archive:
        for file in files:
            archive.add(file, file.relative_to(folder).as_posix())
    for file in files:
        file.unlink()
    return shard
