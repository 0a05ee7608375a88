"""The embedded example faces: a seed in, piles of rendered and of stand-in photographed heads on the disk out.

Nothing is downloaded and nothing is shipped: people are drawn at random, sculpted, rasterised and painted. A face is a
pure function of (seed, pile, number), so that a larger pile begins with the smaller one. No two piles share a person;
the held-out pile alone shows each of its heads in both looks, so that refined faces can be compared with the truth.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from simrefine.config import ANNOTATIONS
from simrefine.data.images import Picture, encode_picture
from simrefine.drawing.looks import expose, paint_flat, part_mask, photo_look, render_look
from simrefine.drawing.people import Person, View, draw_person, draw_view
from simrefine.drawing.sculpture import EXPRESSIONS, IDENTITY
from simrefine.errors import UserError
from simrefine.files import publishing_folder
from simrefine.randomness import generator

RENDER, PHOTO = "render", "photo"
_EXTENSIONS = {RENDER: ".png", PHOTO: ".jpg"}
_JPEG_QUALITY = (75, 93)  # of a photo, from and below
# For each pile: its looks with the folder of their pictures, and the folder of its part masks.
_PILES = {
    "renders": ({RENDER: "renders"}, "renders-masks"),
    "photos": ({PHOTO: "photos"}, "photos-masks"),
    "held-out": ({RENDER: "held-out/renders", PHOTO: "held-out/photos"}, "held-out/renders-masks"),
    "people": ({RENDER: "people"}, "people-masks"),
    "strangers": ({RENDER: "strangers"}, "strangers-masks"),
}
VIEWS = 4  # of a person, in these two


@dataclass(frozen=True)
class Face:
    """One example face.

    Args:
        pictures: uint8 [size, size, 3] for each look.
        mask: uint8 [size, size]; 0 background, 1 skin, 2 brows, 3 eyes, 4 lips, 5 inside of the mouth, 6 hair, 7 neck,
            8 clothes.
        landmarks: float64 [68, 2], px: exact projections, also of what is hidden.
        jpeg_quality: that the camera saves the photo look with.
        facts: further fields of its line in annotations.jsonl.
    """

    pictures: dict[str, np.ndarray]
    mask: np.ndarray
    landmarks: np.ndarray
    jpeg_quality: int
    facts: dict[str, Any]


def write_demo(
    folder: Path,
    size: int,
    renders: int,
    photos: int,
    held_out: int,
    seed: int = 0,
) -> None:
    """Writes the example faces: `folder` is complete or absent.

        renders/*.png, annotations.jsonl             renders-masks/*.png
        photos/*.jpg, annotations.jsonl              photos-masks/*.png
        held-out/renders/*.png, annotations.jsonl    held-out/renders-masks/*.png
        held-out/photos/*.jpg, annotations.jsonl     the same heads, by the same names

    Args:
        folder: a new or an empty folder.
        size: side of the pictures, px.
        renders, photos, held_out: numbers of faces; a held-out face has two pictures.

    Raises:
        UserError: `folder` holds something, or see `publishing_folder`.
    """
    _write_piles(Path(folder), {"renders": renders, "photos": photos, "held-out": held_out}, size, seed)


def write_people(folder: Path, size: int, people: int, strangers: int, seed: int = 0) -> None:
    """Writes VIEWS renders of each of so many people, and of so many others: `folder` is complete or absent.

        people/*.png, annotations.jsonl              people-masks/*.png
        strangers/*.png, annotations.jsonl           strangers-masks/*.png

    Raises:
        UserError: see `write_demo`.
    """
    _write_piles(Path(folder), {"people": VIEWS * people, "strangers": VIEWS * strangers}, size, seed)


def _write_piles(folder: Path, counts: dict[str, int], size: int, seed: int) -> None:
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise UserError(f"{folder} exists already", "name a new folder for the example faces, or remove it")
    with publishing_folder(folder) as draft:
        for pile, count in counts.items():
            _write_pile(draft, pile, count, size, seed)


def draw_face(seed: int, pile: str, number: int, size: int, of: int | None = None) -> Face:
    """Draws face `number` of a pile in the pile's looks; `of` = with the person of that face in place of its own, seen
    as this one is."""
    rng = generator(seed, number, f"demo {pile}")
    own, view = draw_person(rng), draw_view(rng)
    of_people = pile in ("people", "strangers")
    shown = (number if of is None else of) // (VIEWS if of_people else 1)
    purpose = f"demo {pile} person" if of_people else f"demo {pile}"
    person = draw_person(generator(seed, shown, purpose)) if of_people or of is not None else own
    seen = expose(person, view, size)
    paint = paint_flat(seen, person, view)
    sampling = generator(seed, number, f"demo {pile} sampling")
    draw = {
        RENDER: lambda: render_look(seen, paint, view, sampling),
        PHOTO: lambda: photo_look(seen, paint, person, view, rng),
    }
    looks, _ = _PILES[pile]
    facts = {"identity": f"{pile}-{shown:05d}", "seed": seed} | _describe(person, view)
    pictures = {look: draw[look]() for look in looks}
    return Face(pictures, part_mask(seen, paint), seen.landmarks, int(rng.integers(*_JPEG_QUALITY)), facts)


def _describe(person: Person, view: View) -> dict[str, Any]:
    colours = ("skin", "lips", "hair", "brows", "iris", "clothes")
    return {
        "yaw": round(view.yaw, 3),
        "pitch": round(view.pitch, 3),
        "roll": round(view.roll, 3),
        "expression": _rounded(dict(zip(EXPRESSIONS, view.expression, strict=True))),
        "view": _rounded({name: getattr(view, name) for name in ("distance", "light", "gaze", "backdrop")}),
        "person": _rounded({name: getattr(person, name) for name in colours})
        | {"hair_style": person.hair_style, "hair_colour": person.hair_name}
        | _rounded({name: getattr(person, name) for name in ("stubble", "freckles")})
        | {"shape": _rounded(dict(zip(IDENTITY, person.identity, strict=True)))},
    }


def _rounded(values: dict[str, Any]) -> dict[str, Any]:
    return {name: np.round(value, 4).tolist() for name, value in values.items()}


def _write_pile(draft: Path, pile: str, count: int, size: int, seed: int) -> None:
    """Writes the faces of a pile and their annotations."""
    places, masks = _PILES[pile]
    lines: dict[str, list[str]] = {place: [] for place in places.values()}
    for place in (*lines, masks):
        (draft / place).mkdir(parents=True)
    for number in range(count):
        face = draw_face(seed, pile, number, size)
        stem = f"{number:05d}"
        mask = draft / masks / f"{stem}.png"
        mask.write_bytes(encode_picture(Picture(face.mask[..., None]), ".png"))
        for look, place in places.items():
            name = stem + _EXTENSIONS[look]
            content = encode_picture(Picture(face.pictures[look]), _EXTENSIONS[look], face.jpeg_quality)
            (draft / place / name).write_bytes(content)
            row = {
                "file": name,
                "mask": Path(os.path.relpath(mask, draft / place)).as_posix(),
                "landmarks": np.round(face.landmarks, 3).tolist(),
            }
            lines[place].append(json.dumps(row | face.facts, separators=(",", ":")) + "\n")
    for place, rows in lines.items():
        (draft / place / ANNOTATIONS).write_text("".join(rows), encoding="utf-8")
