"""From lists of files to training batches that are a pure function of (seed, step).

In go the records of a folder; out come piles of uint8 pictures and the batches of each step. Nothing here remembers
where it was: a resumed run asks for step 1,001 and gets it.
"""

import copy
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from simrefine.data.folders import Record, Reject
from simrefine.data.images import ImageError, decode_picture, fit_square, to_channels, to_signed
from simrefine.errors import UserError
from simrefine.randomness import generator
from simrefine.threads import run_ahead, thread_pool

READ_THREADS = 4
AHEAD = 16  # pictures that may wait for one before them


class Pile:
    """The usable pictures of one folder, cropped to a square and resized: `pile[indices]` is uint8 [n, size, size, c].

    They stay decoded in memory up to `memory_gib`; a larger pile is read again whenever a picture is asked for.

    Attributes:
        records, rejects: the files that can be used, in the order of the pile, and those that cannot.
        source_sizes: [n, 2], height and width of each file's picture before the crop, px.
    """

    def __init__(self, records: Sequence[Record], size: int, channels: int, memory_gib: float):
        self.size, self.channels = size, channels
        self.records: list[Record] = []
        self.rejects: list[Reject] = []
        fits = len(records) * size * size * channels <= memory_gib * 2**30
        decoded, sizes = [], []
        with thread_pool(READ_THREADS) as pool:
            results = run_ahead(pool, self._try_read, records, AHEAD)
            for record, result in zip(records, results, strict=True):
                if isinstance(result, ImageError):
                    self.rejects.append(Reject(record.shown, str(result)))
                    continue
                picture, source_size = result
                self.records.append(record)
                sizes.append(source_size)
                if fits:
                    decoded.append(picture)
        self.source_sizes = np.array(sizes, int).reshape(-1, 2)
        self._decoded = np.stack(decoded) if decoded else None

    def __len__(self) -> int:
        return len(self.records)

    def take(self, indices: Sequence[int]) -> "Pile":
        """A pile of the pictures at `indices` only."""
        taken = copy.copy(self)
        taken.records = [self.records[index] for index in indices]
        taken.source_sizes = self.source_sizes[indices]
        taken._decoded = None if self._decoded is None else self._decoded[indices]
        return taken

    def at(self, size: int) -> "Pile":
        """The same pictures at another side, px; they are read again whenever they are asked for."""
        other = copy.copy(self)
        if size != self.size:
            other.size, other._decoded = size, None
        return other

    def __getitem__(self, indices: Sequence[int]) -> np.ndarray:
        if self._decoded is not None:
            return self._decoded[indices]
        try:
            return np.stack([self._read(self.records[index])[0] for index in indices])
        except ImageError as error:
            paths = ", ".join(self.records[index].place for index in indices[:3])
            raise UserError(
                f"a picture that could be read at the start no longer can: {error} (one of {paths}, ...)",
                "put it back and continue with --resume",
            ) from error

    def _read(self, record: Record) -> tuple[np.ndarray, tuple[int, int]]:
        pixels = decode_picture(record.read()).pixels
        return fit_square(to_channels(pixels, self.channels), self.size), pixels.shape[:2]

    def _try_read(self, record: Record) -> tuple[np.ndarray, tuple[int, int]] | ImageError:
        try:
            return self._read(record)
        except ImageError as error:
            return error


class Batch(NamedTuple):
    """Some pictures of a pile."""

    pictures: np.ndarray  # float32 [n, h, w, c] in [-1, 1]
    places: np.ndarray  # int [n], which of the pile
    mirrored: np.ndarray  # bool [n]


class Sampler:
    """Endless batches of one pile: each pass over it is a new permutation, and no picture of a pass is left out.

    `sampler.batch(index)` depends on the index alone.
    """

    def __init__(self, pile: Pile, batch_size: int, seed: int, purpose: str, flip: bool):
        self._pile, self._batch_size, self._flip = pile, batch_size, flip
        self._seed, self._purpose = seed, purpose
        self._orders: dict[int, np.ndarray] = {}  # the two newest permutations; a batch may straddle two passes

    def batch(self, index: int) -> Batch:
        positions = np.arange(index * self._batch_size, (index + 1) * self._batch_size)
        chosen = np.array([self._order(p // len(self._pile))[p % len(self._pile)] for p in positions])
        pictures, mirrored = self._pile[chosen], np.zeros(len(chosen), bool)
        if self._flip:
            mirrored = generator(self._seed, index, self._purpose + " flip").random(len(chosen)) < 0.5
            pictures = np.where(mirrored[:, None, None, None], pictures[:, :, ::-1], pictures)
        return Batch(to_signed(pictures), chosen, mirrored)

    def _order(self, epoch: int) -> np.ndarray:
        orders = self._orders
        if epoch not in orders:
            order = generator(self._seed, epoch, self._purpose + " order").permutation(len(self._pile))
            # A new dict each time: several threads may be here at once.
            self._orders = orders = {e: o for e, o in orders.items() if e >= epoch - 1} | {epoch: order}
        return orders[epoch]
