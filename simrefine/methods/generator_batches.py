"""The batches of the face generator, made on the host: a pure function of (seed, step).

A batch is `views` faces of each of n / views people, and from these, and from photographs, pairs of a face whose
identity and one whose attributes is wanted: of one person, or of two ([2] in methods/generator.py).
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
FOREIGN = 0.3  # share of swapped renders that get the identity of a photograph


class GeneratorInputs(NamedTuple):
    """What there is to learn from."""

    renders: Pile
    people: np.ndarray  # int [m], who each render shows
    names: tuple[str, ...]  # of the people
    parts: np.ndarray  # uint8 [m, h, h], part labels at the renders' size or finer, see data/parts.py
    photographs: Pile | None
    disturb: Callable[[np.ndarray, np.random.Generator], np.ndarray]  # uint8 faces as I is shown them


class GeneratorBatch(NamedTuple):
    """What one step consumes. Of n faces to be made, m have the attributes of a true face and k are samples."""

    faces: np.ndarray  # [n, h, w, c] in [-1, 1]: views of n / views people
    people: np.ndarray  # int32 [n]
    shown: np.ndarray  # [n, h, w, c]: any renders, as I is shown them
    shown_people: np.ndarray  # int32 [n]
    sources: np.ndarray  # [m, h, w, c]: whose identity
    wanted: np.ndarray  # [m, h, w, c]: whose attributes; renders, then photographs
    parts: np.ndarray  # [m, h, w, parts]: theirs; 0 of photographs
    same: np.ndarray  # [m]: 1 where both show one person, else 0
    asked: np.ndarray  # int32 [k]: the people of the samples, `views` of each
    noise: np.ndarray  # [n, z], standard normal
    domains: np.ndarray  # [n, 2]
    mixed: np.ndarray  # [n, parts]: 1 where a part's codes are those of the face before
    draws: np.ndarray  # [m + n, DRAWS]: of true faces and of made ones
    moves: np.ndarray  # [few, h, w, c], standard normal: of the last wanted faces, to find D's slope


def samples_of(batch_size: int, views: int) -> int:
    """How many of a batch's faces are samples: about a quarter, and `views` of each person."""
    return views * max(1, batch_size // (4 * views))


class Batches:
    """`make(step)` is the batch of a step."""

    def __init__(self, config: Config, inputs: GeneratorInputs):
        self._config, self._inputs = config, inputs
        self._of_person = [np.flatnonzero(inputs.people == person) for person in range(len(inputs.names))]

    def make(self, step: int) -> GeneratorBatch:
        options, n = self._config.generator, self._config.training.batch_size
        rng = generator(self._config.training.seed, step, "generator")
        samples = samples_of(n, options.views)
        others = (n - samples) // 4  # pairs of two people, and photographs
        faces, people, parts = self._views(n // options.views, rng)
        # I learns from any renders, as classifiers do: the few people of a batch would be a biased draw.
        shown, shown_people, shown_parts = self._take(rng.integers(len(self._inputs.people), size=n), rng)
        photographs = self._photographs(others, rng)
        places = rng.permutation(n)[: n - samples - len(photographs)]
        wanted = np.concatenate([faces[places], photographs])
        sources, same = self._whose(faces, people, photographs, places, others, rng)
        asked = rng.permutation(len(self._of_person))[: samples // options.views]
        nothing = np.zeros((len(photographs), *parts.shape[1:]), np.float32)
        domains = np.repeat([0, 1, 0], [len(places), len(photographs), samples])
        return GeneratorBatch(
            faces=to_signed(faces),
            people=people,
            shown=to_signed(self._inputs.disturb(self._behind(shown, shown_parts, photographs, rng), rng)),
            shown_people=shown_people,
            sources=to_signed(sources),
            wanted=to_signed(wanted),
            parts=np.concatenate([parts[places], nothing]),
            same=same.astype(np.float32),
            asked=np.repeat(asked, options.views).astype(np.int32),
            noise=rng.standard_normal((n, options.attributes), np.float32),
            domains=np.eye(len(DOMAINS), dtype=np.float32)[domains],
            mixed=self._mixed(n, rng),
            draws=draw_augmentation(len(wanted) + n, rng),
            moves=rng.standard_normal((max(2, len(wanted) // 3), *wanted.shape[1:]), np.float32),
        )

    def _views(self, count: int, rng: np.random.Generator) -> tuple:
        """`count` people, `views` of each, see `_take`."""
        people = rng.permutation(len(self._of_person))[:count]
        views = self._config.generator.views
        places = [np.resize(rng.permutation(self._of_person[person]), views) for person in people]
        return self._take(np.concatenate(places), rng)

    def _take(self, places: np.ndarray, rng: np.random.Generator) -> tuple:
        """The renders at `places`: uint8 faces, int32 people and soft labels. Half of the faces are mirrored, where
        `data.flip` says so."""
        faces, labels = self._inputs.renders[places], self._inputs.parts[places]
        mirrored = self._mirrored(len(faces), rng)
        labels = np.where(mirrored[..., 0], labels[:, :, ::-1], labels)
        people = self._inputs.people[places].astype(np.int32)
        return np.where(mirrored, faces[:, :, ::-1], faces), people, soften(labels, faces.shape[1])

    def _photographs(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """uint8 [count, h, w, c]; none where there are none to learn from."""
        pile = self._inputs.photographs
        if pile is None:
            return self._inputs.renders[np.zeros(0, int)]
        photographs = pile[rng.integers(len(pile), size=count)]
        return np.where(self._mirrored(count, rng), photographs[:, :, ::-1], photographs)

    def _mirrored(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """bool [count, 1, 1, 1]."""
        return (rng.random((count, 1, 1, 1)) < 0.5) & self._config.data.flip

    def _whose(self, faces, people, photographs, places, others: int, rng: np.random.Generator) -> tuple:
        """The faces that give the identity, uint8 [m, h, w, c], and whether they show the same person [m].

        For the renders at `places`: any view of that person, but for the last `others` of them one of another person,
        or a photograph. For photographs, of which nobody says who is on them: themselves, or half of the time another.
        """
        sources, same = [], []
        for rank, place in enumerate(places):
            swapped = rank >= len(places) - others
            if swapped and len(photographs) and rng.random() < FOREIGN:
                sources.append(rng.choice(photographs))
            else:
                fitting = np.flatnonzero((people == people[place]) != swapped)
                sources.append(faces[rng.choice(fitting) if len(fitting) else place])
            same.append(not swapped)
        for place, photograph in enumerate(photographs):
            same.append(rng.random() < 0.5)
            sources.append(photograph if same[-1] else photographs[place - 1])
        return np.stack(sources), np.array(same)

    def _behind(self, faces, parts, photographs, rng: np.random.Generator) -> np.ndarray:
        """`generator.face_only` of the faces with what another picture of the batch has where they have hair, clothes
        and room: I is not to learn from those, which stay with a person here and change in life."""
        pictures = np.concatenate([faces, photographs])
        others = pictures[rng.integers(len(pictures), size=len(faces))].astype(np.float32)
        hidden = rng.random((len(faces), 1, 1, 1)) < self._config.generator.face_only
        share = parts[..., OUTSIDE].sum(-1, keepdims=True) * hidden
        return np.rint(faces + share * (others - faces)).astype(np.uint8)

    def _mixed(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """[count, parts]: one random part of `generator.mixing` of the faces."""
        chosen = rng.random((count, 1)) < self._config.generator.mixing
        return (np.eye(len(PARTS))[rng.integers(len(PARTS), size=count)] * chosen).astype(np.float32)
