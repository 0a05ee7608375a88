"""The batches of the face generator, made on the host: a pure function of (seed, step).

In the first steps, in which the identity network learns alone, a batch is `views` faces of each of several people, as
that network is shown them. After these, faces of that kind and photographs make pairs of a face whose identity and one
whose attributes is wanted: of one person, and, once there is more to learn than reconstruction, of two as well ([2] in
methods/generator.py).
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from simrefine.catalogue import PARTS
from simrefine.config import Config
from simrefine.data.batches import Pile
from simrefine.data.images import to_signed
from simrefine.data.parts import soften
from simrefine.models.augmentation import draw_augmentation
from simrefine.models.generator import DOMAINS
from simrefine.randomness import generator

OUTSIDE = [PARTS.index(part) for part in ("background", "hair", "clothes")]  # of the face: none of who it is
DETAILS = [PARTS.index(part) for part in ("brows", "eyes", "lips", "mouth")]
MEANS = "people_means"  # what the mean identities are called beside a generator's weights
BEHIND = 16  # photographs whose hair, clothes and rooms a batch of the identity network may get
FOREIGN = 0.3  # share of swapped renders that get the identity of a photograph


class GeneratorInputs(NamedTuple):
    """What there is to learn from."""

    renders: Pile
    people: np.ndarray  # int [m], who each render shows
    names: tuple[str, ...]  # of the people
    parts: np.ndarray  # uint8 [m, h, h], part labels at the renders' size or finer, see data/parts.py
    photographs: Pile | None
    disturb: Callable[[np.ndarray, np.random.Generator], np.ndarray]  # uint8 faces as I is shown them


class IdentityBatch(NamedTuple):
    """What a step of the identity network consumes."""

    shown: np.ndarray  # [n, h, w, c] in [-1, 1]: `views` renders of each of n / views people
    people: np.ndarray  # int32 [n]


class GeneratorBatch(NamedTuple):
    """What a step of the others consumes. Of n faces to be made, m have the attributes of a true face and k are
    samples. Faces whose pixels are not needed are named by their place: renders first, then photographs."""

    wanted: np.ndarray  # [m, h, w, c] in [-1, 1]: whose attributes; renders, then photographs
    places: np.ndarray  # int32 [m]: theirs
    parts: np.ndarray  # [m, h, w, parts]: theirs; 0 of photographs
    sources: np.ndarray  # int32 [m]: the places of the faces whose identity is wanted
    same: np.ndarray  # [m]: 1 where both show one person, else 0
    asked: np.ndarray  # int32 [k]: the people of the samples, `views` of each
    noise: np.ndarray  # [n, z], standard normal
    domains: np.ndarray  # [n, 2]
    mixed: np.ndarray  # [n, parts]: 1 where a part's codes are those of the face before
    draws: np.ndarray  # [m + n, DRAWS]: of true faces and of made ones
    moves: np.ndarray  # [few, h, w, c], standard normal: of the last wanted faces, to find D's slope


class Phases(NamedTuple):
    """The steps before which the identity network learns alone, and faces are reconstructed alone."""

    identity: int
    reconstruction: int

    @classmethod
    def of(cls, config: Config) -> "Phases":
        options = config.generator
        return cls(options.identity_steps, options.identity_steps + options.reconstruction_steps)


def samples_of(batch_size: int, views: int) -> int:
    """How many of a batch's faces are samples: about a quarter, and `views` of each person."""
    return views * max(1, batch_size // (4 * views))


class Batches:
    """`make(step)` is the batch of a step."""

    def __init__(self, config: Config, inputs: GeneratorInputs):
        self._config, self._inputs = config, inputs
        self._of_person = [np.flatnonzero(inputs.people == person) for person in range(len(inputs.names))]

    def make(self, step: int) -> IdentityBatch | GeneratorBatch:
        rng, phases = generator(self._config.training.seed, step, "generator"), Phases.of(self._config)
        if step < phases.identity:
            return self._of_identity(rng)
        return self._of_others(rng, whole=step >= phases.reconstruction)

    def _of_identity(self, rng: np.random.Generator) -> IdentityBatch:
        options = self._config.generator
        places = self._views(options.identity_batch // options.views, rng)
        faces, parts = self._take(places, rng)
        behind = self._mirror(self._photographs(BEHIND, rng), rng)
        shown = self._inputs.disturb(self._behind(faces, parts, behind, rng), rng)
        return IdentityBatch(to_signed(shown), self._inputs.people[places].astype(np.int32))

    def _of_others(self, rng: np.random.Generator, whole: bool) -> GeneratorBatch:
        """`whole` = with samples, pairs of two people and mixed parts; else all faces are to be reconstructed."""
        options, n = self._config.generator, self._config.training.batch_size
        samples = samples_of(n, options.views) if whole else 0
        others = (n - samples) // 4  # pairs of two people, and photographs
        views, photographs = self._views(n // options.views, rng), self._photographs(others, rng)
        wanted = rng.permutation(views)[: n - samples - len(photographs)]
        sources, same = self._whose(views, wanted, photographs, others if whole else 0, rng)
        renders, parts = self._take(wanted, rng)
        faces = np.concatenate([renders, self._mirror(photographs, rng)])
        asked = rng.permutation(len(self._of_person))[: samples // options.views]
        nothing = np.zeros((len(photographs), *parts.shape[1:]), np.float32)
        domains = np.repeat([0, 1, 0], [len(wanted), len(photographs), samples])
        return GeneratorBatch(
            wanted=to_signed(faces),
            places=np.concatenate([wanted, len(self._inputs.people) + photographs]).astype(np.int32),
            parts=np.concatenate([parts, nothing]),
            sources=sources.astype(np.int32),
            same=same.astype(np.float32),
            asked=np.repeat(asked, options.views).astype(np.int32),
            noise=rng.standard_normal((n, options.attributes), np.float32),
            domains=np.eye(len(DOMAINS), dtype=np.float32)[domains],
            mixed=self._mixed(n, options.mixing if whole else 0.0, rng),
            draws=draw_augmentation(len(faces) + n, rng),
            moves=rng.standard_normal((max(2, len(faces) // 3), *faces.shape[1:]), np.float32),
        )

    def _views(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """The places of `views` renders of each of `count` people, who follow each other."""
        people, views = rng.permutation(len(self._of_person))[:count], self._config.generator.views
        return np.concatenate([np.resize(rng.permutation(self._of_person[person]), views) for person in people])

    def _photographs(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """The numbers of `count` photographs; none where there are none to learn from."""
        pile = self._inputs.photographs
        return rng.integers(len(pile), size=count) if pile else np.zeros(0, int)

    def _take(self, places: np.ndarray, rng: np.random.Generator) -> tuple:
        """The renders at `places`: uint8 faces and soft labels, half of them mirrored, where `data.flip` says so."""
        faces, labels = self._inputs.renders[places], self._inputs.parts[places]
        mirrored = self._mirrored(len(faces), rng)
        labels = np.where(mirrored[..., 0], labels[:, :, ::-1], labels)
        return np.where(mirrored, faces[:, :, ::-1], faces), soften(labels, faces.shape[1])

    def _mirror(self, photographs: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """The photographs of these numbers, uint8 [m, h, w, c], half of them mirrored as well."""
        if not len(photographs):
            return self._inputs.renders[photographs]
        faces = self._inputs.photographs[photographs]
        return np.where(self._mirrored(len(faces), rng), faces[:, :, ::-1], faces)

    def _mirrored(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """bool [count, 1, 1, 1]."""
        return (rng.random((count, 1, 1, 1)) < 0.5) & self._config.data.flip

    def _whose(self, views, wanted, photographs, swaps: int, rng: np.random.Generator) -> tuple:
        """The places of the faces that give the identity [m], and whether they show the same person [m].

        For the renders at `wanted`: any view of that person, but for the last `swaps` of them one of another person,
        or a photograph. For photographs, of which nobody says who is on them: themselves, or, where there are swaps,
        half of the time another.
        """
        people, first = self._inputs.people, len(self._inputs.people)
        sources, same = [], []
        for rank, place in enumerate(wanted):
            swapped = rank >= len(wanted) - swaps
            if swapped and len(photographs) and rng.random() < FOREIGN:
                sources.append(first + rng.choice(photographs))
            else:
                fitting = views[(people[views] == people[place]) != swapped]
                sources.append(rng.choice(fitting) if len(fitting) else place)
            same.append(not swapped)
        for rank in range(len(photographs)):
            same.append(not swaps or rng.random() < 0.5)
            sources.append(first + photographs[rank if same[-1] else rank - 1])
        return np.array(sources), np.array(same)

    def _behind(self, faces, parts, photographs, rng: np.random.Generator) -> np.ndarray:
        """`generator.face_only` of the faces with what another picture of the batch has where they have hair, clothes
        and room: I is not to learn from those, which stay with a person here and change in life."""
        pictures = np.concatenate([faces, photographs])
        others = pictures[rng.integers(len(pictures), size=len(faces))].astype(np.float32)
        hidden = rng.random((len(faces), 1, 1, 1)) < self._config.generator.face_only
        share = parts[..., OUTSIDE].sum(-1, keepdims=True) * hidden
        return np.rint(faces + share * (others - faces)).astype(np.uint8)

    def _mixed(self, count: int, share: float, rng: np.random.Generator) -> np.ndarray:
        """[count, parts]: one random part of a share of the faces."""
        chosen = rng.random((count, 1)) < share
        return (np.eye(len(PARTS))[rng.integers(len(PARTS), size=count)] * chosen).astype(np.float32)
