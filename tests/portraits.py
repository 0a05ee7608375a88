"""Plain portraits with their soft part labels: hair above a face with eyes, before a room, over clothes."""

import numpy as np

from simrefine.catalogue import PARTS
from simrefine.data.dressing import PartLooks, read_looks
from simrefine.data.scenes import read_scenes

SIZE = 32  # px
SKIN, HAIR, EYES, LIPS, CLOTHES = (PARTS.index(part) for part in ("skin", "hair", "eyes", "lips", "clothes"))


def portrait(skin=(200, 150, 120), hair=(60, 40, 20), room=(90, 110, 130), clothes=(20, 60, 20), shift=0, seed=0):
    """A picture, uint8 [SIZE, SIZE, 3], and its soft labels, uint8 [SIZE, SIZE, parts]: hair above a face with eyes."""
    labels = np.zeros((SIZE, SIZE), int)
    labels[4:12, 10 + shift : 22 + shift] = HAIR
    labels[12:26, 10 + shift : 22 + shift] = SKIN
    labels[15:17, 12 + shift : 15 + shift] = labels[15:17, 17 + shift : 20 + shift] = EYES
    labels[26:] = CLOTHES
    colours = {0: room, SKIN: skin, HAIR: hair, EYES: (230, 230, 230), CLOTHES: clothes}
    picture = np.zeros((SIZE, SIZE, 3)) + np.random.default_rng(seed).normal(0, 6, (SIZE, SIZE, 1))
    for label, colour in colours.items():
        picture[labels == label] += colour
    return np.clip(picture, 0, 255).astype(np.uint8), (255 * np.eye(len(PARTS))[labels]).astype(np.uint8)


SKINS = [(200, 150, 120), (190, 140, 110), (120, 80, 60), (230, 190, 160)]


def parse(images: np.ndarray) -> np.ndarray:
    """A parser for the portraits which all have one outline."""
    return np.repeat(portrait()[1][None], len(images), axis=0)


def photographs(count: int = 12) -> np.ndarray:
    rooms = np.random.default_rng(0).integers(40, 220, (count, 3))
    return np.stack([portrait(skin=SKINS[k % 4], room=rooms[k], seed=k)[0] for k in range(count)])


def part_looks(scenes: bool = True, parts: np.ndarray | None = None) -> PartLooks:
    looks = read_looks(photographs(), parse)
    return PartLooks(looks.bank, 2, parse, read_scenes(looks.images, looks.soft) if scenes else None, parts)


NEAR_SKINS = [(200, 150, 120), (196, 146, 116), (192, 142, 112)]


def person(shift: int = 0, **options) -> tuple[np.ndarray, np.ndarray]:
    """A portrait with a mouth, which a head needs to be put on another, and its soft labels."""
    picture, soft = portrait(shift=shift, **options)
    picture[21:23, 13 + shift : 19 + shift] = (170, 60, 60)
    soft[21:23, 13 + shift : 19 + shift] = 255 * np.eye(len(PARTS), dtype=np.uint8)[LIPS]
    return picture, soft


def people(count: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """Photographs, each before a room and under hair of its own colour."""
    colours = np.random.default_rng(0).integers(40, 220, (count, 2, 3))
    made = [person(skin=NEAR_SKINS[k % 3], room=colours[k, 0], hair=colours[k, 1], seed=k) for k in range(count)]
    return tuple(np.stack(values) for values in zip(*made, strict=True))


def labels_of(images: np.ndarray) -> np.ndarray:
    return np.repeat(person()[1][None], len(images), axis=0)
