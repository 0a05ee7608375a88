"""The three orders of `simrefine generate`: samples of people, recombinations of two faces, variations of one. Each is
a function of its arguments: who, how and with which random numbers, all from (seed, place, purpose)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from simrefine.errors import UserError
from simrefine.generating.folder import Summary, fill_folder
from simrefine.generating.generator import Codes, Faces, Generator
from simrefine.generating.invert import Inverted
from simrefine.generating.records import describe, digest, identified, label_points, read_given, who_is
from simrefine.generating.variations import Variations, check_parts
from simrefine.randomness import generator as random_numbers

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
        said = [describe(name, seed, place, look) for (name, _), place in zip(people, places, strict=True)]
        return generator(np.stack([f for _, f in people]), z, look), said

    order = {"made_by": "generate sample", "person": person, "new": new, "seed": seed, "look": look}
    names = [f"{place:05d}.png" for place in range(count)]
    return fill_folder(out, identified(generator, order), names, make, **how)


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
    looks = read_given(attributes, generator, "attributes", labels)
    pairs = [(p, a) for p in range(len(people)) for a in range(len(looks))]
    if len(pairs) > MOST:
        raise UserError(f"{len(people)} x {len(looks)} faces are more than {MOST}", "name fewer")
    f, z = generator.identify(people.images), generator.encode(looks.images)[1]

    def make(places: Sequence[int]) -> tuple[Faces, list[dict]]:
        chosen = [pairs[place] for place in places]
        faces = generator(np.stack([f[p] for p, _ in chosen]), np.stack([z[a] for _, a in chosen]), look)
        said = []
        for (p, a), parts in zip(chosen, faces.parts, strict=True):
            sources = {"identity_from": people.names[p], "attributes_from": looks.names[a]}
            points = {} if looks.points is None else label_points(looks.points[a], parts)
            said.append(describe(who_is(people, p), None, None, look) | sources | points)
        return faces, said

    order = {"made_by": "generate recombine", "look": look, "identity": digest(people), "attributes": digest(looks)}
    names = [f"{p:05d}-{a:05d}.png" for p, a in pairs]
    return fill_folder(out, identified(generator, order), names, make, **how)


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
    given = read_given(folder, generator, "given", labels)
    variations, found = Variations(generator, parts), Inverted(generator, given.images, look, steps, tune)

    def make(places: Sequence[int]) -> tuple[Faces, list[dict]]:
        drawn, said = [], []
        for some, rows, codes, f, z in found.by_group(places, count):
            pieces = [
                variations.vary(codes.take([row]), f[[row]], z[[row]], random_numbers(seed, place, "variation"))
                for place, row in zip(some, rows, strict=True)
            ]
            drawn.append(generator.draw(Codes.join(pieces), look))
        faces = Faces.join(drawn)
        for place, parts_drawn in zip(places, faces.parts, strict=True):
            face = place // count
            points = {} if given.points is None else label_points(given.points[face], parts_drawn)
            of_face = {"varied": given.names[face], "parts": list(parts)}
            said.append(describe(who_is(given, face), seed, place, look) | of_face | points)
        return faces, said

    order = {"made_by": "generate vary", "parts": list(parts), "count": count, "steps": steps, "tune": tune}
    order |= {"seed": seed, "look": look, "faces": digest(given)}
    names = [f"{face:05d}-{turn}.png" for face in range(len(given)) for turn in range(count)]
    try:
        return fill_folder(out, identified(generator, order), names, make, **how)
    finally:
        found.restore()
