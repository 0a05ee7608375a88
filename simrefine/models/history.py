"""The history of refined faces (arXiv 1612.07828, section 2.3): the discriminator must not forget what the refiner
used to do. Refined faces go in after each discriminator update, a random sample comes out before the next.

Kept as uint8: a quarter of the memory, and it makes the buffer's faces look like files, as the real ones do.
"""

import numpy as np


class HistoryBuffer:
    """Up to `capacity` past refined faces of one shape, replaced at random once it is full.

    Args:
        capacity: faces it holds, at least one half-batch.
        shape: (h, w, c) of a face.
    """

    def __init__(self, capacity: int, shape: tuple[int, int, int]):
        self.faces = np.zeros((capacity, *shape), np.uint8)
        self.count = 0

    @property
    def fill(self) -> float:
        """Share of the places taken, in [0, 1]."""
        return self.count / len(self.faces)

    def sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """`n` different past faces, uint8 [n, h, w, c].

        Raises:
            ValueError: it holds fewer than `n`.
        """
        return self.faces[rng.choice(self.count, n, replace=False)]

    def push(self, faces: np.ndarray, rng: np.random.Generator) -> None:
        """Takes uint8 [n, h, w, c], n at most the capacity: into free places first, then over random old faces."""
        free = min(len(faces), len(self.faces) - self.count)
        old, rest = self.count, faces[free:]
        self.faces[old : old + free] = faces[:free]
        self.count += free
        if len(rest):
            self.faces[rng.choice(old, len(rest), replace=False)] = rest
