"""The history of refined faces (arXiv 1612.07828, section 2.3): the discriminator must not forget what the refiner
used to do. Refined faces go in after each discriminator update, a random sample comes out before the next.

Kept as uint8: a quarter of the memory, and it makes the buffer's faces look like files, as the real ones do. It lies
where the networks are, so no face comes back to the host; which places are read and written follows from the step and
is drawn beforehand.
"""

from typing import NamedTuple

import keras
import numpy as np
from keras import ops

from simrefine import backend
from simrefine.data.images import GRAY_LEVELS


class Places(NamedTuple):
    """Of the buffer, for one update of a discriminator."""

    past: np.ndarray  # int32 [n], all different: whose faces it sees
    replaced: np.ndarray  # int32 [n], all different: where as many new faces go


def draw_places(updates: int, n: int, capacity: int, rng: np.random.Generator) -> Places:
    """The places of an update: `n` random ones to read, and `n` to write, free ones first and then random ones.

    Args:
        updates: how many have put their `n` faces in before. The first finds `n` faces too, see `HistoryBuffer`.
        capacity: of the buffer, at least `n`; 0 = there is none, and no place.
    """
    if not capacity:
        return Places(*np.zeros((2, 0), np.int32))
    count = min(n * (1 + updates), capacity)
    past = rng.choice(count, n, replace=False)
    replaced = np.arange(count, min(count + n, capacity))
    if rest := n - len(replaced):
        replaced = np.concatenate([replaced, rng.choice(count, rest, replace=False)])
    return Places(past.astype(np.int32), replaced.astype(np.int32))


class HistoryBuffer:
    """Up to `capacity` past refined faces of one shape. Before the first update there is no past, so the method opens
    the buffer with `n` faces of its refiner as it then is.

    Args:
        capacity: faces it holds, at least one half-batch; 0 = no history.
        shape: (h, w, c) of a face.

    Attributes:
        faces: uint8 [capacity, h, w, c], a variable that a compiled step may read.
        count: how many are taken, from the first on.
    """

    def __init__(self, capacity: int, shape: tuple[int, int, int]):
        self.capacity, self.count = capacity, 0
        self.faces = keras.Variable(np.zeros((capacity, *shape), np.uint8), dtype="uint8", trainable=False)
        # A step of its own: in the one that reads the buffer, XLA would copy all of it to change a few faces.
        self._write = backend.compile_step(self._write_rows, [self.faces])

    @property
    def fill(self) -> float:
        """Share of the places taken, in [0, 1]."""
        return self.count / self.capacity

    def sample(self, places):
        """The faces at `places`, int [n], float32 [n, h, w, c] in [-1, 1]; within a compiled step."""
        return ops.cast(backend.read_rows(self.faces, places), "float32") / GRAY_LEVELS - 1.0

    def push(self, faces, places: np.ndarray) -> None:
        """Takes faces in, float [n, h, w, c] in [-1, 1]."""
        self._write(faces, places)
        self.count = min(self.count + len(places), self.capacity)

    def _write_rows(self, faces, places):
        levels = ops.clip(ops.round((faces + 1.0) * GRAY_LEVELS), 0, 255)
        backend.write_rows(self.faces, places, ops.cast(levels, "uint8"))

    def held(self, most: int | None = None) -> np.ndarray:
        """The faces it holds, or the first `most` of them, uint8 [n, h, w, c], on the host."""
        count = self.count if most is None else min(most, self.count)
        return np.array(ops.convert_to_numpy(self.faces[:count]))

    def hold(self, faces: np.ndarray) -> None:
        """Holds these faces, uint8 [n, h, w, c], n at most the capacity, and no others."""
        everything = np.zeros(self.faces.shape, np.uint8)
        everything[: len(faces)] = faces
        self.faces.assign(everything)
        self.count = len(faces)
