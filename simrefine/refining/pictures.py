"""One picture's way through a refinement: read, gathered with others of its size, blended with what the refiner made
of it, and written. A picture that cannot be read or written becomes a Reject and stops nothing."""

import errno
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from simrefine.data.folders import Reject
from simrefine.data.images import ImageError, Picture, encode_picture, read_picture, round_to_uint8, to_channels
from simrefine.errors import UserError
from simrefine.files import write_file
from simrefine.refining.places import Job

MAX_BATCH_PIXELS = 2**22  # 32 pictures of 362 x 362: what a refiner needs per pixel is far more than the picture
MAX_WAITING_PIXELS = 2**26  # of pictures whose batch is not full yet: 192 MiB of colour


@dataclass(frozen=True)
class Raw:
    """A picture as it was read."""

    job: Job
    picture: Picture

    @property
    def size(self) -> tuple[int, int]:
        """Height and width, px."""
        return self.picture.pixels.shape[:2]


def read_raw(job: Job) -> Raw | Reject:
    """Reads the picture of a job."""
    try:
        return Raw(job, read_picture(job.record.path))
    except ImageError as error:
        return Reject(str(job.record.relative), str(error))


def gather_by_size(pictures: Iterable[Raw], batch_size: int) -> Iterator[list[Raw]]:
    """Gathers pictures of equal size into batches of at most `batch_size` pictures and MAX_BATCH_PIXELS, holding back
    at most MAX_WAITING_PIXELS."""
    groups: dict[tuple[int, int], list[Raw]] = {}
    waiting = 0  # pixels

    def pixels(size: tuple[int, int]) -> int:
        return len(groups[size]) * size[0] * size[1]

    for raw in pictures:
        height, width = raw.size
        groups.setdefault(raw.size, []).append(raw)
        waiting += height * width
        if len(groups[raw.size]) >= max(1, min(batch_size, MAX_BATCH_PIXELS // (height * width))):
            size = raw.size
        elif waiting > MAX_WAITING_PIXELS:
            size = max(groups, key=pixels)
        else:
            continue
        waiting -= pixels(size)
        yield groups.pop(size)
    yield from groups.values()


def blend(raw: np.ndarray, refined: np.ndarray, strength: float) -> np.ndarray:
    """`raw`, uint8 [h, w, c], changed by `strength` times what the refiner did; `refined` may be gray or colour."""
    if refined.shape[-1] < raw.shape[-1]:  # a gray refiner saw the luma; its change moves every channel alike
        change = refined.astype(np.float32) - to_channels(raw, 1)
    else:
        change = to_channels(refined, raw.shape[-1]).astype(np.float32) - raw
    return round_to_uint8(raw + strength * change)


def write_refined(
    pair: tuple[Raw, np.ndarray], strength: float, compare: bool
) -> tuple[tuple[int, int], float] | Reject:
    """Blends, encodes and writes one picture.

    Args:
        pair: the raw picture, and what the refiner made of it: uint8 [h, w, 1 or 3].
        strength: see `blend`.
        compare: also write raw and refined side by side.

    Returns:
        Its size (height, width) in px, and its mean absolute change in gray levels.

    Raises:
        UserError: the disk is full or cannot be written.
    """
    raw, refined = pair
    job, pixels = raw.job, raw.picture.pixels
    result = blend(pixels, refined, strength)
    try:
        content = encode_picture(Picture(result, raw.picture.alpha), job.target.suffix)
        if compare:  # before the picture itself, whose presence says that all is done
            write_file(job.compare, encode_picture(Picture(np.concatenate([pixels, result], axis=1)), ".png"))
        write_file(job.target, content)
    except ImageError as error:
        return Reject(str(job.record.relative), str(error))
    except OSError as error:
        return Reject(str(job.record.relative), f"cannot be written: {error.strerror}")
    except UserError as error:
        if getattr(error.__cause__, "errno", None) == errno.ENAMETOOLONG:  # concerns this file, not the disk
            return Reject(str(job.record.relative), str(error))
        raise
    return raw.size, float(np.abs(result.astype(np.int16) - pixels).mean())
