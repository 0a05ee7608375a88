"""The three orders of `simrefine generate`: samples of people, recombinations of two faces, variations of one. Each is
a function of its arguments: who, how and with which random numbers, all from (seed, place, purpose)."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from simrefine.config import ANNOTATIONS
from simrefine.data.faces import Faces as Given
from simrefine.data.faces import read_faces
from simrefine.data.folders import list_files, list_folder
from simrefine.errors import UserError
from simrefine.generating.folder import Summary, fill_folder
from simrefine.generating.generator import Codes, Faces, Generator
from simrefine.generating.invert import FACES, Inverter
from simrefine.generating.landmarks import HOLDS, landmark_error
from simrefine.generating.variations import Variations, check_parts
from simrefine.randomness import generator as random_numbers

MEMORY_GIB = 4.0  # of given faces
MOST = 100_000  # faces of an order


def sample(
    generator: Generator,
    out: Path,
    *,
    person: str | None = None,
    new: bool = False,
    count: int = 8,
    seed: int = 0,
    look: str = "render",
    **how: Any,
) -> Summary:
    """`count` faces with any attributes: of a person of the training, of somebody new, or of a person of the training
    each.

    Args:
        person: one of `generator.names`; excludes `new`.
        how: see `folder.fill_folder`.

    Raises:
        UserError: there is no such person; see also `fill_folder`.
    """
    if person is not None and new:
        raise UserError("--person and --new are both given", "name a person, or ask for a new one")
    if person is not None:
        generator.person(person)
    if new:
        stranger = generator.new_person(random_numbers(seed, 0, "new person"))

    def whose(place: int) -> tuple[str, np.ndarray]:
        if new:
            return f"new-{seed}", stranger
        order = random_numbers(seed, place // len(generator.names), "people").permutation(len(generator.names))
        name = generator.names[order[place % len(generator.names)]] if person is None else person
        return name, generator.person(name)

    def make(places: Sequence[int]) -> tuple[Faces, list[dict]]:
        people = [whose(place) for place in places]
        z = np.concatenate([generator.new_attributes(1, random_numbers(seed, place, "looks")) for place in places])
        said = [_said(name, seed, place, look) for (name, _), place in zip(people, places, strict=True)]
        return generator(np.stack([f for _, f in people]), z, look), said

    order = {"made_by": "generate sample", "person": person, "new": new, "seed": seed, "look": look}
    names = [f"{place:05d}.png" for place in range(count)]
    return fill_folder(out, _order(generator, order), names, make, **how)


def recombine(
    generator: Generator,
    identity: Path,
    attributes: Path,
    out: Path,
    *,
    labels: Path | None = None,
    look: str = "render",
    **how: Any,
) -> Summary:
    """Each face of `identity` with the attributes of each of `attributes`; both a picture or a folder.

    Args:
        labels: label file of the attribute faces; None = annotations.jsonl beside them, if there is one. Their points
            are the made faces' where they hold, see `landmarks.landmark_error`.
        how: see `folder.fill_folder`.

    Raises:
        UserError: a folder is missing or holds no picture, or there are more than MOST pairs; see also `fill_folder`.
    """
    people = read_given(identity, generator, "identity")
    looks = read_given(attributes, generator, "attributes", labels, points=True)
    pairs = [(p, a) for p in range(len(people)) for a in range(len(looks))]
    if len(pairs) > MOST:
        raise UserError(f"{len(people)} x {len(looks)} faces are more than {MOST}", "name fewer")
    f, z = generator.identify(people.images), generator.encode(looks.images)[1]

    def make(places: Sequence[int]) -> tuple[Faces, list[dict]]:
        chosen = [pairs[place] for place in places]
        faces = generator(np.stack([f[p] for p, _ in chosen]), np.stack([z[a] for _, a in chosen]), look)
        said = []
        for (p, a), parts in zip(chosen, faces.parts, strict=True):
            who = people.groups[p] if people.groups else people.names[p]
            sources = {"identity_from": people.names[p], "attributes_from": looks.names[a]}
            said.append(_said(str(who), None, None, look) | sources | _points(looks, a, parts))
        return faces, said

    order = {"made_by": "generate recombine", "look": look, "identity": _digest(people), "attributes": _digest(looks)}
    names = [f"{p:05d}-{a:05d}.png" for p, a in pairs]
    return fill_folder(out, _order(generator, order), names, make, **how)


def vary(
    generator: Generator,
    folder: Path,
    out: Path,
    *,
    parts: tuple[str, ...],
    count: int = 4,
    steps: int = 100,
    tune: int = 300,
    seed: int = 0,
    labels: Path | None = None,
    look: str = "render",
    **how: Any,
) -> Summary:
    """`count` variations of each face of `folder`, a picture or a folder: other hair, clothes or light, one person.

    Args:
        parts: what is changed, see `variations.CHANGEABLE`.
        steps, tune: see `Inverter.fit`.
        labels: as in `recombine`, of the faces of `folder`.
        how: see `folder.fill_folder`.

    Raises:
        UserError: see `recombine` and `variations.check_parts`.
    """
    check_parts(parts, generator)
    given = read_given(folder, generator, "given", labels, points=True)
    variations, inverter = Variations(generator, parts), Inverter(generator, look)
    cached: dict[int, tuple[Codes, np.ndarray, np.ndarray]] = {}

    def make(places: Sequence[int]) -> tuple[Faces, list[dict]]:
        """Faces of one group share the tuned generator, so a batch is made group by group."""
        pieces, said = [], []
        for group in dict.fromkeys(place // (count * FACES) for place in places):
            of_group = [place for place in places if place // (count * FACES) == group]
            members = np.arange(group * FACES, min((group + 1) * FACES, len(given)))
            if group not in cached:
                cached.clear()
                faces = given.images[members]
                cached[group] = (inverter.fit(faces, steps, tune), *generator.encode(faces))
            codes, f, z = cached[group]
            for place in of_group:
                face = place // count
                row = slice(face - members[0], face - members[0] + 1)
                numbers = random_numbers(seed, place, "variation")
                pieces.append(variations.vary(Codes(*(code[row] for code in codes)), f[row], z[row], numbers))
                who = given.groups[face] if given.groups else given.names[face]
                said.append(_said(str(who), seed, place, look) | {"varied": given.names[face], "parts": list(parts)})
        faces = generator.draw(Codes(*(np.concatenate(code) for code in zip(*pieces, strict=True))), look)
        for place, record, drawn in zip(places, said, faces.parts, strict=True):
            record |= _points(given, place // count, drawn)
        return faces, said

    order = {"made_by": "generate vary", "parts": list(parts), "count": count, "steps": steps, "tune": tune}
    order |= {"seed": seed, "look": look, "faces": _digest(given)}
    names = [f"{face:05d}-{turn}.png" for face in range(len(given)) for turn in range(count)]
    try:
        return fill_folder(out, _order(generator, order), names, make, **how)
    finally:
        inverter.restore()


def read_given(
    place: Path, generator: Generator, what: str, labels: Path | None = None, *, points: bool = False
) -> Given:
    """The faces of a picture or a folder at the generator's size, with what the labels beside them say.

    Args:
        labels: a label file; None = annotations.jsonl beside them, if there is one.
        points: whether the label points are of use.

    Raises:
        UserError: nothing is there, or no usable picture.
    """
    if not os.path.lexists(place):
        raise UserError(f"{place} is not there", "check the path")
    folder = place if place.is_dir() else place.parent
    records = (list_folder(place, what=f"{what} folder") if place.is_dir() else list_files([place])).pictures
    beside = folder / ANNOTATIONS
    file = labels or (beside if beside.is_file() else None)
    size, channels = generator.size, generator.channels
    return read_faces(
        folder, what, file, size=size, channels=channels, memory_gib=MEMORY_GIB, records=records, partly=True
    )


def _points(given: Given, place: int, parts: np.ndarray) -> dict[str, Any]:
    """The label points of a given face where they hold for a made one, and how far the parts that were drawn are from
    them, where all are drawn; a "label", the person, stands in for them elsewhere."""
    if given.points is None:
        return {}
    error = landmark_error(parts, given.points[place])
    if error is None:
        return {"landmarks_hold": False}
    holds = error <= HOLDS
    points = {"landmarks": np.round(given.points[place], 2).tolist()} if holds else {}
    return {"landmark_error": round(error, 2), "landmarks_hold": holds} | points


def _said(person: str, seed: int | None, place: int | None, look: str) -> dict[str, Any]:
    """What is known of every made face; "label" makes its line one of a label file."""
    numbers = {} if seed is None else {"seed": seed, "place": place}
    return {"person": person, "label": person, "look": look} | numbers


def _order(generator: Generator, order: dict[str, Any]) -> dict[str, Any]:
    return {"generator": generator.fingerprint, "step": generator.step} | order


def _digest(given: Given) -> str:
    """One for each set of faces, in their order."""
    pixels = hashlib.sha256("\n".join(given.names).encode())
    pixels.update(np.ascontiguousarray(given.images).tobytes())
    return pixels.hexdigest()
