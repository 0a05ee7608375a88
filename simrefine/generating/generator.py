"""A trained generator as functions of arrays: who a face is, how it looks, and a face made of both.

In and out go numpy arrays; f says who ([n, identity], unit vectors), z how ([n, attributes], standard normal over
faces), Codes what M makes of both, and Faces what G draws of those.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from keras import ops

from simrefine import backend
from simrefine.data.images import to_signed, to_uint8
from simrefine.errors import UserError
from simrefine.methods.state import build_from
from simrefine.models.generator import DOMAINS, player_builders
from simrefine.training.published import read_generator

BATCH = 16  # faces that go through a network at a time, where nothing else is said


class Codes(NamedTuple):
    """What a face is drawn from, float32."""

    base: np.ndarray  # [n, base], which all parts share
    shape: np.ndarray  # [n, parts, code]
    texture: np.ndarray  # [n, parts, code]

    def take(self, rows: Sequence[int]) -> "Codes":
        """Those of some faces."""
        return Codes(*(code[rows] for code in self))

    @classmethod
    def join(cls, pieces: Sequence["Codes"]) -> "Codes":
        """Those of all the faces of several."""
        return cls(*map(np.concatenate, zip(*pieces, strict=True)))


class Faces(NamedTuple):
    """What was drawn."""

    pictures: np.ndarray  # uint8 [n, size, size, channels]
    parts: np.ndarray  # uint8 [n, size, size]: places in `catalogue.PARTS`

    @classmethod
    def join(cls, pieces: Sequence["Faces"]) -> "Faces":
        """All the faces of several."""
        return cls(*map(np.concatenate, zip(*pieces, strict=True)))


class Generator:
    """The averaged networks of a run: `Generator(path)`, also as `simrefine.load_generator(path)`.

    Args:
        path: the run folder of a generator, or its folder generator/.
        batch: faces that go through a network at a time, fewer of them filled up; the last bits of what is made may
            depend on it.

    Raises:
        UserError: there is none, it is damaged, or it has not learnt to draw yet.

    Attributes:
        size, channels: of the pictures.
        names: of the people it was trained on.
        fingerprint: SHA-256 of all that decides what it makes.
        has_parts: whether its codes are those of parts, which can be changed one by one.
        players: the networks, by name.
    """

    def __init__(self, path: Path | str, batch: int = BATCH):
        published = read_generator(Path(path))
        options, data = published.config.generator, published.config.data
        self.size, self.channels = data.size, data.channels
        self.fingerprint, self.step, self.has_parts = published.fingerprint, published.step, options.parts
        self.attributes, self._batch = options.attributes, batch
        self._of_name = {name: mean for name, mean in zip(published.names, published.means, strict=True) if mean.any()}
        self.names = tuple(self._of_name)
        if not self.names:
            raise UserError(
                f"the generator of {path} learnt who people are (generator.identity_steps), and not yet to draw them",
                "go on with its training, see simrefine generate train --resume",
            )
        builders = player_builders(options, data.size, data.channels, "float32", 0)
        backend.use_device()
        self.players = {
            name: build_from(build, published.players.get(name, []), Path(path)) for name, build in builders.items()
        }
        self.variables = [variable for network in self.players.values() for variable in network.variables]
        self._encode = backend.compile_step(self._encoded, self.variables)
        self._map = backend.compile_step(lambda f, z: self.players["mapping"]([f, z]), self.variables)
        self._draw = backend.compile_step(self._drawn, self.variables)

    def identify(self, pictures: np.ndarray) -> np.ndarray:
        """f of uint8 pictures [n, size, size, channels]."""
        return self.encode(pictures)[0]

    def encode(self, pictures: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """f and z of uint8 pictures [n, size, size, channels].

        Raises:
            UserError: they are of another size.
        """
        if pictures.shape[1:] != (self.size, self.size, self.channels) or pictures.dtype != np.uint8:
            raise UserError(
                f"the generator takes uint8 [n, {self.size}, {self.size}, {self.channels}], got {pictures.dtype} "
                f"{list(pictures.shape)}",
                "bring the pictures to that size",
            )
        return tuple(in_chunks(self._batch, self._encode, to_signed(pictures)))

    def codes(self, identities: np.ndarray, attributes: np.ndarray) -> Codes:
        """What M makes of f and z."""
        return Codes(*in_chunks(self._batch, self._map, identities.astype(np.float32), attributes.astype(np.float32)))

    def draw(self, codes: Codes, domain: str = "render") -> Faces:
        """Faces in the look of a "render" or of a "photograph"."""
        chosen = np.tile(np.eye(len(DOMAINS), dtype=np.float32)[DOMAINS.index(domain)], (len(codes.base), 1))
        pictures, parts = in_chunks(self._batch, self._draw, *codes, chosen)
        return Faces(to_uint8(pictures), parts.astype(np.uint8))

    def __call__(self, identities: np.ndarray, attributes: np.ndarray, domain: str = "render") -> Faces:
        """Faces of f and z."""
        return self.draw(self.codes(identities, attributes), domain)

    def person(self, name: str) -> np.ndarray:
        """f of a person of the training, [identity].

        Raises:
            UserError: there is nobody of that name.
        """
        if name not in self._of_name:
            shown = ", ".join(self.names[:5]) + (", ..." if len(self.names) > 5 else "")
            raise UserError(f"the generator knows nobody called {name!r}", f"its people are {shown}")
        mean = self._of_name[name]
        return mean / np.linalg.norm(mean)

    def new_person(self, rng: np.random.Generator) -> np.ndarray:
        """f of somebody new, [identity]: drawn from the normal distribution over the people of the training."""
        known = np.stack([*self._of_name.values()])
        known = known / np.linalg.norm(known, axis=1, keepdims=True)
        mean = known.mean(axis=0)
        drawn = mean + (known - mean).T @ rng.standard_normal(len(known)) / np.sqrt(max(1, len(known) - 1))
        return (drawn / np.linalg.norm(drawn)).astype(np.float32)

    def new_attributes(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """z of any looks, [count, attributes]."""
        return rng.standard_normal((count, self.attributes), np.float32)

    def _encoded(self, pictures):
        return self.players["identity"](pictures), self.players["attributes"](pictures)[0]

    def _drawn(self, base, shape, texture, domains):
        pictures, logits, _ = self.players["generator"]([base, shape, texture, domains])
        return pictures, ops.argmax(logits, axis=-1)


def in_chunks(batch: int, function: Callable, *arrays: np.ndarray) -> list[np.ndarray]:
    """`function` of arrays that share their first axis, `batch` of it at a time, the last one filled up so that nothing
    is compiled anew; a result a result of the function."""
    n, results = len(arrays[0]), []
    for start in range(0, n, batch):
        parts = [array[start : start + batch] for array in arrays]
        filled = [np.concatenate([part, np.repeat(part[-1:], batch - len(part), axis=0)]) for part in parts]
        results.append([np.asarray(ops.convert_to_numpy(result))[: len(parts[0])] for result in function(*filled)])
    return [np.concatenate(pieces) for pieces in zip(*results, strict=True)]


# The name by which it is had: simrefine.load_generator(path).
load_generator = Generator
