"""The smallest people to learn faces from: a few discs each, with part labels, and the smallest networks for them."""

import json

import numpy as np
from tiny import SIZE, ArrayPile, draw_face, tiny_config

from simrefine.catalogue import PARTS
from simrefine.data.images import Picture, encode_picture
from simrefine.data.masks import encode_mask
from simrefine.methods.generator_batches import GeneratorInputs

PEOPLE, VIEWS = 8, 3
NETWORKS = {
    "generator.identity": 4,
    "generator.attributes": 3,
    "generator.width": 4,
    "generator.hidden": 6,
    "generator.base": 5,
    "generator.code": 3,
    "generator.local": 4,
    "generator.features": 4,
    "generator.judged": 6,
}
SMALL = NETWORKS | {
    "generator.views": 2,
    "generator.identity_steps": 0,
    "generator.reconstruction_steps": 0,
    "generator.identity_batch": 8,
    "generator_loss.kl_warm_up": 0,
    "generator_loss.warm_up": 0,
}


def small_config(**values):
    """A generator's TINY, with "section__key" overrides."""
    own = {key.replace(".", "__"): value for key, value in SMALL.items()}
    refiners = {"refiner__width": 0, "refiner__blocks": 0, "discriminator__name": "projected", "parts__steps": 700}
    return tiny_config(**{"method__name": "generator", "history__half_batches": 50} | refiners | own | values)


def part_labels(size: int = SIZE) -> np.ndarray:
    """uint8 [size, size]: a face of skin with eyes and lips, hair above, in a room."""
    labels = np.zeros((size, size), np.uint8)
    inner = slice(size // 4, -size // 4)
    labels[inner, inner] = PARTS.index("skin")
    labels[: size // 4, inner] = PARTS.index("hair")
    labels[size // 3, size // 3 : -size // 3 : 3] = PARTS.index("eyes")
    labels[-size // 3, size // 3 : -size // 3] = PARTS.index("lips")
    return labels


def small_inputs(photographs: bool = True) -> GeneratorInputs:
    """PEOPLE with VIEWS faces each; a face's own person is the level of its first pixel."""
    rng = np.random.default_rng(0)
    people = np.repeat(np.arange(PEOPLE), VIEWS)
    faces = np.stack([draw_face(rng) for _ in people])
    real = ArrayPile(np.stack([draw_face(rng, real=True) for _ in range(4)])) if photographs else None
    labels = np.repeat(part_labels(2 * SIZE)[None], len(people), axis=0)
    names = tuple(f"p{person}" for person in range(PEOPLE))
    return GeneratorInputs(ArrayPile(faces), people, names, labels, real, lambda images, rng: images)


def write_people(folder, people: int = PEOPLE, views: int = VIEWS, size: int = SIZE):
    """A folder of renders with annotations.jsonl that says who they show, and its part masks beside it."""
    masks = folder.with_name(folder.name + "-masks")
    folder.mkdir(parents=True)
    masks.mkdir()
    rng, lines = np.random.default_rng(1), []
    for index in range(people * views):
        name = f"{index:03d}.png"
        (folder / name).write_bytes(encode_picture(Picture(draw_face(rng, size)), ".png"))
        (masks / name).write_bytes(encode_mask(part_labels(size)))
        lines.append({"file": name, "identity": index // views, "landmarks": [[size / 2, size / 2]]})
    (folder / "annotations.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder
