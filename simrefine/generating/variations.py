"""Other hair, clothes or light for a face whose codes are known, the person left alone.

A part's codes are replaced by those of somebody else. Light has no codes of its own: it is directions of z, found by
asking the generator itself how the skin's brightness follows z, and kept from moving what has a place.
"""

import numpy as np

from simrefine.catalogue import PARTS
from simrefine.data.images import LUMA
from simrefine.errors import UserError
from simrefine.generating.generator import Codes, Faces, Generator

LIGHT = "light"
CHANGEABLE = (*PARTS, LIGHT)
ASKED = 512  # faces by which the directions of light are found
RIDGE = 10.0
LEAST = 0.3  # correlation of light with z, below which z does not decide it
REACH = 1.5  # standard deviation of a change of light along each direction, that of z being 1
_HELD = ("skin", "eyes", "lips", "mouth", "hair")  # parts whose places and sizes light must not move


def check_parts(parts: tuple[str, ...], generator: Generator) -> None:
    """Raises a UserError where a part cannot be changed."""
    unknown = [part for part in parts if part not in CHANGEABLE]
    if unknown or not parts:
        raise UserError(
            f"{', '.join(map(repr, unknown)) or 'nothing'} cannot be changed", f"choose from {', '.join(CHANGEABLE)}"
        )
    if set(parts) - {LIGHT} and not generator.has_parts:
        raise UserError("this generator has no parts: it was trained with generator.parts = false", "change light only")


class Variations:
    """`vary(codes, ...)` gives variations of faces. Where light is among the parts, its directions are found first."""

    def __init__(self, generator: Generator, parts: tuple[str, ...]):
        check_parts(parts, generator)
        self._generator, self._parts = generator, parts
        self._light = light_directions(generator) if LIGHT in parts else None
        if self._light is not None and not len(self._light):
            raise UserError("this generator has not learnt light: no direction of z changes it", "train it for longer")

    def vary(self, codes: Codes, identities: np.ndarray, attributes: np.ndarray, rng: np.random.Generator) -> Codes:
        """One variation of each of n faces, given their codes, f and z; all random numbers are drawn from `rng`."""
        n, generator = len(codes.base), self._generator
        base, shape, texture = (code.copy() for code in codes)
        donors = np.stack([generator.new_person(rng) for _ in range(n)])
        given = generator.codes(donors, generator.new_attributes(n, rng))
        for part in self._parts:
            if part != LIGHT:
                shape[:, PARTS.index(part)] = given.shape[:, PARTS.index(part)]
                texture[:, PARTS.index(part)] = given.texture[:, PARTS.index(part)]
        if self._light is not None:
            moved = attributes + REACH * rng.standard_normal((n, len(self._light)), np.float32) @ self._light
            before, after = generator.codes(identities, attributes), generator.codes(identities, moved)
            base += after.base - before.base
            texture += after.texture - before.texture
        return Codes(base, shape, texture)


def light_directions(generator: Generator) -> np.ndarray:
    """Directions of z along which the light on the skin changes, and the places of the parts do not: float32
    [k, attributes], orthonormal, k up to 3: as many as z decides.

    Ridge regression of the measures on z. z of samples is white, so the weights are the directions (elsewhere they
    would have to be multiplied by its covariance: Haufe et al. 2014, arXiv 1307.6890).
    """
    rng = np.random.default_rng(0)
    z = generator.new_attributes(ASKED, rng)
    faces = generator(np.stack([generator.new_person(rng) for _ in range(ASKED)]), z)
    light, places = _directions(z, skin_light(faces)), _directions(z, part_places(faces))
    held = np.linalg.svd(places, full_matrices=False)[2][: z.shape[1] // 4]  # the strongest of them
    _, strengths, directions = np.linalg.svd(light - light @ held.T @ held, full_matrices=False)
    return directions[strengths > LEAST].astype(np.float32)


def _directions(z: np.ndarray, measures: np.ndarray) -> np.ndarray:
    """The weights [k, z] of standardised measures [n, k]: their length is the correlation of a measure with what z says
    of it, about, and what does not change has none."""
    spread = measures.std(axis=0)
    scaled = (measures - measures.mean(axis=0)) / np.where(spread > 1e-3, spread, np.inf)
    return np.linalg.solve(z.T @ z + RIDGE * np.eye(z.shape[1]), z.T @ scaled).T


def skin_light(faces: Faces) -> np.ndarray:
    """[n, 3]: the mean brightness of the skin, and how it falls from left to right and from top to bottom; gray levels,
    the latter a side."""
    light = faces.pictures @ LUMA if faces.pictures.shape[-1] == 3 else faces.pictures[..., 0].astype(np.float64)
    place = (np.arange(light.shape[1]) + 0.5) / light.shape[1] - 0.5
    rows, columns = np.meshgrid(place, place, indexing="ij")
    measures = np.zeros((len(light), 3))
    for row, (picture, parts) in enumerate(zip(light, faces.parts, strict=True)):
        skin = parts == PARTS.index("skin")
        if skin.sum() > 10:
            across, down = (places[skin] - places[skin].mean() for places in (columns, rows))
            design = np.stack([np.ones(len(across)), across, down], axis=1)
            measures[row] = np.linalg.lstsq(design, picture[skin], rcond=None)[0]
    return measures


def part_places(faces: Faces) -> np.ndarray:
    """[n, 3 a part]: the mean column and row of parts, and the root of their area, in shares of the side."""
    side = faces.parts.shape[1]
    place = (np.arange(side) + 0.5) / side
    measures = []
    for part in _HELD:
        here = faces.parts == PARTS.index(part)
        area = here.sum(axis=(1, 2))
        columns = (here.sum(axis=1) @ place) / np.maximum(area, 1)
        rows = (here.sum(axis=2) @ place) / np.maximum(area, 1)
        measures += [np.where(area, columns, 0.5), np.where(area, rows, 0.5), np.sqrt(area) / side]
    return np.stack(measures, axis=1)
