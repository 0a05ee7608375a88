"""Is there room for a training step? What it takes, about, and what is said where memory runs out."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from simrefine import backend
from simrefine.config import Config
from simrefine.errors import UserError

# Bytes of working memory of the default's step for each pixel of a picture of its batch. XLA plans 3,600 for it on a
# CPU (224 MiB for 16 pictures of 64 px in float32); the rest is for what the libraries of a GPU take beside.
BYTES_A_PIXEL = 5_000
LEAST_BATCH = 2
MULTIPLE = 8  # px


def batch_with_room(size: int, bytes_: int) -> int:
    """How many pictures of `size` px, an even number, a batch of the default's step may have in so much memory; about,
    and 0 where there is no room for LEAST_BATCH."""
    return int(bytes_ / (BYTES_A_PIXEL * size**2)) // 2 * 2


@contextmanager
def reporting_short_memory(config: Config, run: Path) -> Iterator[None]:
    """Raises a UserError that names a batch and a size that should fit where the memory does not suffice."""
    try:
        yield
    except MemoryError as error:
        size, batch = config.data.size, config.training.batch_size
        raise UserError(
            f"there is not enough memory for a training step of {batch} pictures of {size} px; {run} keeps what was "
            "saved before",
            _advice(size, batch, backend.gpu_bytes()),
        ) from error


def _advice(size: int, batch: int, bytes_: int | None) -> str:
    """What takes at most half of the memory that was not there, and where it is known how much there is, fits in it."""
    fitting = batch // 4 * 2 if bytes_ is None else min(batch // 4 * 2, batch_with_room(size, bytes_))
    fitting = max(fitting, 1)
    smaller = int(size * math.sqrt(fitting / batch)) // MULTIPLE * MULTIPLE
    ways = [f"--batch-size {fitting}"] if fitting >= LEAST_BATCH else []
    ways += [f"--size {smaller}"] if smaller >= MULTIPLE * 2 else []
    known = "" if bytes_ is None else f" of the {bytes_ / 2**30:.1f} GiB of the GPU"
    return f"try {' or '.join(ways)}, which should fit{known}" if ways else "use a device that has more"


def check_batch(batch_size: int) -> None:
    """Raises a UserError where devices that share the work could not have equal parts of a batch."""
    count = backend.device_count()
    if batch_size % count:
        raise UserError(
            f"a batch of {batch_size} cannot be shared by {count} devices",
            f"choose --batch-size {max(1, round(batch_size / count)) * count}",
        )
