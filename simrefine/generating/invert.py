"""A given face as codes of the generator: optimisation of the codes, then of the generator itself, as StyleGAN is
inverted and tuned for one face (Roich et al. 2021, arXiv 2106.05744)."""

from collections.abc import Iterator, Sequence
from itertools import groupby

import keras
import numpy as np
from keras import ops

from simrefine import backend
from simrefine.catalogue import PARTS
from simrefine.data.images import to_signed
from simrefine.generating.generator import Codes, Generator
from simrefine.models.generator import DOMAINS
from simrefine.models.generator_losses import cross_entropy

FACES = 8  # inverted at a time; a generator that is tuned, is tuned for all of them
CODE_RATE, TUNE_RATE = 0.05, 1e-4  # of Adam
STAY = 0.02  # weight of the squared distance of the codes from where the encoders put them
MASKS = 0.5  # and of the drawn parts from what they were then, which no pixel says


class Inverter:
    """Inverts faces FACES at a time. `fit` leaves the generator tuned for the faces it was given last, `restore` brings
    it back; the codes are of use with the tuned generator only."""

    def __init__(self, generator: Generator, domain: str = "render"):
        self._generator, self._domain = generator, DOMAINS.index(domain)
        self._drawer = generator.players["generator"]
        self._original = [np.asarray(ops.convert_to_numpy(variable)) for variable in self._drawer.variables]
        nothing = np.zeros((FACES, generator.size, generator.size, generator.channels), np.uint8)
        start = generator.codes(*generator.encode(nothing))
        self._codes = [keras.Variable(code, trainable=True) for code in start]
        self._optimisers = {"codes": keras.optimizers.Adam(CODE_RATE), "drawer": keras.optimizers.Adam(TUNE_RATE)}
        self._moves = {"codes": self._codes, "drawer": self._drawer.trainable_variables}
        for name, optimiser in self._optimisers.items():
            optimiser.build(self._moves[name])
        variables = [*generator.variables, *self._codes]
        variables += [variable for optimiser in self._optimisers.values() for variable in optimiser.variables]
        self._steps = {
            name: backend.compile_step(lambda *given, name=name: self._update(name, *given), variables)
            for name in self._moves
        }

    def fit(self, pictures: np.ndarray, steps: int = 100, tune: int = 300) -> Codes:
        """The codes of uint8 faces [n, size, size, channels], n up to FACES.

        Args:
            steps: in which the codes move, from where the encoders put them.
            tune: steps after these, in which the generator moves.
        """
        self.restore()
        filled = np.concatenate([pictures, np.repeat(pictures[-1:], FACES - len(pictures), axis=0)])
        identities, attributes = self._generator.encode(filled)
        start = self._generator.codes(identities, attributes)
        parts = self._generator.draw(start, DOMAINS[self._domain]).parts
        for variable, code in zip(self._codes, start, strict=True):
            variable.assign(code)
        wanted = to_signed(filled)
        for name, count in (("codes", steps), ("drawer", tune)):
            step, _, *moments = self._optimisers[name].variables  # the second is its rate
            for variable in (step, *moments):
                variable.assign(np.zeros(variable.shape, variable.dtype))
            for _ in range(count):
                self._steps[name](wanted, identities, np.eye(len(PARTS), dtype=np.float32)[parts], *start)
        return Codes(*(np.asarray(ops.convert_to_numpy(code))[: len(pictures)] for code in self._codes))

    def restore(self) -> None:
        """Takes the tuning back."""
        for variable, value in zip(self._drawer.variables, self._original, strict=True):
            variable.assign(value)

    def _update(self, name: str, wanted, identities, parts, *start):
        """L1 of the pixels, 1 - cosine of the identities, and what keeps codes and parts near where they began, move
        the codes or the drawer."""
        domains = ops.tile(np.eye(len(DOMAINS), dtype=np.float32)[self._domain][None], (FACES, 1))

        def loss():
            made, logits, _ = self._drawer([*self._codes, domains])
            found = self._generator.players["identity"](made)
            total = ops.mean(ops.abs(made - wanted)) + ops.mean(1.0 - ops.sum(found * identities, axis=-1))
            total += MASKS * ops.mean(cross_entropy(logits, parts, ops.ones_like(parts[..., :1])))
            total += STAY * sum(
                ops.mean(ops.square(code - begun)) for code, begun in zip(self._codes, start, strict=True)
            )
            return total, {"loss": total}

        return backend.minimise(loss, self._moves[name], self._optimisers[name])


class Inverted:
    """Given faces as codes of a generator that is tuned to them, FACES at a time, each group when it is asked for.

    Args:
        faces: uint8 [n, size, size, channels].
        steps, tune: see `Inverter.fit`.
    """

    def __init__(self, generator: Generator, faces: np.ndarray, look: str, steps: int, tune: int):
        self._generator, self._faces, self._steps, self._tune = generator, faces, steps, tune
        self._inverter = Inverter(generator, look)
        self._group: int | None = None

    def by_group(
        self, places: Sequence[int], turns: int
    ) -> Iterator[tuple[list[int], list[int], Codes, np.ndarray, np.ndarray]]:
        """For faces to be made, `turns` of each given one after the other: some of their places, the rows of theirs in
        the codes, f and z of a group. What is made of these must be drawn before the next group is asked for, whose
        generator is another."""
        for group, some in groupby(places, lambda place: place // (turns * FACES)):
            some = list(some)
            if group != self._group:
                faces = self._faces[group * FACES : (group + 1) * FACES]
                self._found = (self._inverter.fit(faces, self._steps, self._tune), *self._generator.encode(faces))
                self._group = group
            yield some, [place // turns - group * FACES for place in some], *self._found

    def restore(self) -> None:
        """Takes the tuning back."""
        self._inverter.restore()
