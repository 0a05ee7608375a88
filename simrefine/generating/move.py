"""The order of `simrefine generate move`: faces of a folder, moved along axes, with the labels that follow."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from simrefine.data.faces import Faces as Given
from simrefine.errors import UserError
from simrefine.generating.axes import Axes, found_in, split
from simrefine.generating.folder import Summary, fill_folder
from simrefine.generating.generator import Codes, Faces, Generator
from simrefine.generating.invert import Inverted
from simrefine.generating.moves import Moves
from simrefine.generating.orders import MOST
from simrefine.generating.recipes import Recipe
from simrefine.generating.records import describe, digest, identified, label_points, read_given, who_is
from simrefine.generating.variations import Variations
from simrefine.randomness import generator as random_numbers


def move(
    generator: Generator,
    folder: Path,
    out: Path,
    *,
    axes: Axes,
    recipe: Recipe,
    steps: int = 100,
    tune: int = 300,
    look: str = "render",
    **how: Any,
) -> Summary:
    """Each face of `folder`, a picture or a folder, moved by each combination of steps.

    Args:
        axes: of this generator.
        recipe: what is asked of them, and which parts are drawn anew, the same for each step of a face.
        steps, tune: see `Inverter.fit`; 0 and 0 take faces as the encoders see them.
        how: see `folder.fill_folder`.

    Raises:
        UserError: the folder is missing or holds no picture, there are more than MOST faces to be made, or the locks
            leave nothing of an axis; see also `fill_folder`.
    """
    moves = Moves.parse(axes, recipe.axes, recipe.lock)
    given = read_given(folder, generator, "given")
    turns, offsets = moves.turns, moves.offsets(axes)
    if len(given) * len(turns) > MOST:
        raise UserError(f"{len(given)} faces x {len(turns)} steps are more than {MOST}", "name fewer")
    variations = Variations(generator, recipe.parts) if recipe.parts else None
    found = Inverted(generator, given.images, look, steps, tune)

    def make(places: Sequence[int]) -> tuple[Faces, list[dict]]:
        drawn = []
        for some, rows, *codes in found.by_group(places, len(turns)):
            pieces = []
            for place, row in zip(some, rows, strict=True):
                face, turn = divmod(place, len(turns))
                own, f, z = codes[0].take([row]), *(values[[row]] for values in codes[1:])
                if variations:
                    own = variations.vary(own, f, z, random_numbers(recipe.seed, face, "variation"))
                pieces.append(moved(generator, own, f, z, offsets[[turn]]))
            drawn.append(generator.draw(Codes.join(pieces), look))
        faces, said = Faces.join(drawn), []
        for place, record in zip(places, read_off(generator, axes, faces), strict=True):
            face, turn = divmod(place, len(turns))
            said.append(_said(given, face, axes, moves.said(axes, turns[turn]), recipe, look) | record)
        return faces, said

    order = {"made_by": "generate move", "moves": [moves.said(axes, turn) for turn in turns]}
    order |= {"locked": [axes.names[place] for place in moves.locked], "parts": list(recipe.parts)}
    order |= {"seed": recipe.seed, "steps": steps, "tune": tune, "look": look, "axes": _digest_of(axes)}
    names = [f"{face:05d}-{turn:03d}.png" for face in range(len(given)) for turn in range(len(turns))]
    try:
        return fill_folder(out, identified(generator, order | {"faces": digest(given)}), names, make, **how)
    finally:
        found.restore()


def _said(given: Given, face: int, axes: Axes, asked: dict[str, str], recipe: Recipe, look: str) -> dict[str, Any]:
    """What was done to a given face. Whose complexion or hair is another's, is another person."""
    own = [f"{name} {value}" for name, value in asked.items() if not axes.within[axes.names.index(name)]]
    anew = {"seed": recipe.seed, "parts": list(recipe.parts)} if recipe.parts else {}
    who = " ".join([who_is(given, face), *own])
    return describe(who, None, None, look) | {"moved": given.names[face], "axes": asked} | anew


def _digest_of(axes: Axes) -> str:
    """One for each set of axes: learnt anew from other faces, they move faces otherwise."""
    return hashlib.sha256(
        np.concatenate([axes.weights.ravel(), axes.drawn, axes.covariance.ravel()]).tobytes()
    ).hexdigest()


def moved(generator: Generator, codes: Codes, f: np.ndarray, z: np.ndarray, offset: np.ndarray) -> Codes:
    """The codes of faces [n] whose latents are moved by `offset` [n, d]: what M says more of the moved latents than of
    those as they are is added, so that what inversion found beyond them stays."""
    before = generator.codes(f, z)
    after = generator.codes(*split(generator, np.concatenate([f, z], axis=1) + offset))
    return Codes(*(code + there - here for code, here, there in zip(codes, before, after, strict=True)))


def read_off(generator: Generator, axes: Axes, faces: Faces) -> list[dict[str, Any]]:
    """What the axes' models see in drawn faces: "attributes", of usable axes, and the label points where they hold.
    How far these models err is in the axes: `Axes.error`, `Axes.points_error`."""
    latents = found_in(generator, faces.pictures)
    numbers, points = axes.predict(latents), axes.predict_points(latents)
    usable = np.flatnonzero(axes.usable)
    return [
        {"attributes": {axes.names[place]: round(float(row[place]), 4) for place in usable}}
        | (label_points(own, parts) if len(own) else {})
        for row, own, parts in zip(numbers, points, faces.parts, strict=True)
    ]
