"""What the orders of `simrefine generate` share: the faces they are given, and what is said of those they make."""

import hashlib
import os
from pathlib import Path
from typing import Any

import numpy as np

from simrefine.config import ANNOTATIONS
from simrefine.data.faces import Faces as Given
from simrefine.data.faces import read_faces
from simrefine.data.folders import list_files, list_folder
from simrefine.errors import UserError
from simrefine.generating.generator import Generator
from simrefine.generating.landmarks import HOLDS, landmark_error

MEMORY_GIB = 4.0  # of given faces


def read_given(place: Path, generator: Generator, what: str, labels: Path | None = None) -> Given:
    """The faces of a picture or a folder at the generator's size, with what the labels beside them say.

    Args:
        labels: a label file; None = annotations.jsonl beside them, if there is one.

    Raises:
        UserError: nothing is there, or no usable picture.
    """
    if not os.path.lexists(place):
        raise UserError(f"{place} is not there", "check the path")
    folder = place if place.is_dir() else place.parent
    listing = list_folder(place, what=f"{what} folder", shards=True) if place.is_dir() else list_files([place])
    beside = folder / ANNOTATIONS
    file = labels or (beside if beside.is_file() else None)
    size, channels = generator.size, generator.channels
    return read_faces(
        folder, what, file, size=size, channels=channels, memory_gib=MEMORY_GIB, records=listing.pictures, partly=True
    )


def label_points(points: np.ndarray, parts: np.ndarray) -> dict[str, Any]:
    """Label points [k, 2] where they hold for a made face, and how far the parts that were drawn are from them, where
    all are drawn; a "label", the person, stands in for them elsewhere."""
    error = landmark_error(parts, points)
    if error is None:
        return {"landmarks_hold": False}
    holds = error <= HOLDS
    held = {"landmarks": np.round(points, 2).tolist()} if holds else {}
    return {"landmark_error": round(error, 2), "landmarks_hold": holds} | held


def who_is(given: Given, place: int) -> str:
    """Whom a given face shows, as its labels say; else its own name."""
    return str(given.groups[place] if given.groups else given.names[place])


def describe(person: str, seed: int | None, place: int | None, look: str) -> dict[str, Any]:
    """What is known of every made face; "label" makes its line one of a label file."""
    numbers = {} if seed is None else {"seed": seed, "place": place}
    return {"person": person, "label": person, "look": look} | numbers


def identified(generator: Generator, order: dict[str, Any]) -> dict[str, Any]:
    return {"generator": generator.fingerprint, "step": generator.step} | order


def digest(given: Given) -> str:
    """One for each set of faces, in their order."""
    pixels = hashlib.sha256("\n".join(given.names).encode())
    pixels.update(np.ascontiguousarray(given.images).tobytes())
    return pixels.hexdigest()
