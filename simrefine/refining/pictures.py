"""One picture's way through a refinement: read, gathered with others of its size, blended with what the refiner made
of it, and written. A picture that cannot be read or written becomes a Reject and stops nothing."""

import errno
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from simrefine.data.folders import Reject
from simrefine.data.images import (
    ImageError,
    Picture,
    decode_picture,
    encode_picture,
    round_to_uint8,
    sides_of,
    to_channels,
)
from simrefine.data.masks import MaskFolder
from simrefine.errors import UserError
from simrefine.files import write_file
from simrefine.refining.places import Job

MAX_BATCH_PIXELS = 2**22  # 32 pictures of 362 x 362: what a refiner needs per pixel is far more than the picture
MAX_WAITING_PIXELS = 2**26  # of pictures whose batch is not full yet: 192 MiB of colour
BAND_PIXELS = 2**20  # of a picture at a time, where it is blended and compared
MOST_CHANNELS = 4  # bytes of a pixel; a file of more bytes than its pixels have is not worth opening to see


@dataclass(frozen=True)
class Raw:
    """A picture as it was read."""

    job: Job
    picture: Picture
    known: np.ndarray | None = None  # its part labels, uint8 [h, w], from its mask; see data/parts.py

    @property
    def size(self) -> tuple[int, int]:
        """Height and width, px."""
        return self.picture.pixels.shape[:2]


@dataclass(frozen=True)
class Large:
    """A picture that is not read yet, as it is so large that it takes its way alone."""

    job: Job


def read_raw(job: Job, masks: MaskFolder | None = None, most_pixels: int | None = None) -> Raw | Large | Reject:
    """Reads the picture of a job, and its mask; one of more than `most_pixels` px is only looked at."""
    try:
        if most_pixels and job.record.size > MOST_CHANNELS * most_pixels:
            return Large(job)
        content = job.record.read()
        if most_pixels and np.prod(sides_of(content)) > most_pixels:
            return Large(job)
        picture = decode_picture(content)
        return Raw(job, picture, _read_known(job, masks, *picture.pixels.shape[:2]))
    except ImageError as error:
        return Reject(str(job.record.relative), str(error))
    except MemoryError:
        return Reject(str(job.record.relative), "not enough memory to read it")


def _read_known(job: Job, masks: MaskFolder | None, height: int, width: int) -> np.ndarray | None:
    try:
        return masks and job.mask and masks.read(job.mask, height, width)
    except ImageError as error:
        raise ImageError(f"its mask {job.mask.place} cannot be used: {error}") from error


def refine_alone(
    job: Job, masks: MaskFolder | None, refine: Callable[[Raw], np.ndarray | Reject], write: Callable
) -> Any:
    """A large picture's whole way, while no other is on its own: what `write` says of it, or why it was rejected.

    Args:
        job: its.
        masks: of the parts of pictures.
        refine: the refiner; uint8 [h, w, c] comes out.
        write: see `write_refined`, of the picture and what the refiner made of it.
    """
    raw = read_raw(job, masks)
    refined = raw if isinstance(raw, Reject) else refine(raw)
    return refined if isinstance(refined, Reject) else write((raw, refined))


def gather_by_size(pictures: Iterable[Raw], batch_size: int, most_waiting: int | None = None) -> Iterator[list[Raw]]:
    """Gathers pictures of equal size into batches of at most `batch_size` pictures and MAX_BATCH_PIXELS, holding back
    at most `most_waiting` px, or MAX_WAITING_PIXELS if that is less."""
    most_waiting = min(MAX_WAITING_PIXELS, most_waiting or MAX_WAITING_PIXELS)
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
        elif waiting > most_waiting:
            size = max(groups, key=pixels)
        else:
            continue
        waiting -= pixels(size)
        yield groups.pop(size)
    yield from groups.values()


def blend(raw: np.ndarray, refined: np.ndarray, strength: float) -> np.ndarray:
    """`raw`, uint8 [h, w, c], changed by `strength` times what the refiner did; `refined` may be gray or colour."""
    if strength == 1 and refined.shape == raw.shape:
        return refined
    result = np.empty_like(raw)
    for rows in _bands(raw):
        result[rows] = _blend(raw[rows], refined[rows], strength)
    return result


def _blend(raw: np.ndarray, refined: np.ndarray, strength: float) -> np.ndarray:
    if refined.shape[-1] < raw.shape[-1]:  # a gray refiner saw the luma; its change moves every channel alike
        change = refined.astype(np.float32) - to_channels(raw, 1)
    else:
        change = to_channels(refined, raw.shape[-1]).astype(np.float32) - raw
    return round_to_uint8(raw + strength * change)


def mean_change(raw: np.ndarray, result: np.ndarray) -> float:
    """The mean absolute difference of two pictures, uint8 [h, w, c], in gray levels."""
    differences = (np.abs(result[rows].astype(np.int16) - raw[rows]).sum(dtype=np.int64) for rows in _bands(raw))
    return float(sum(differences) / raw.size)


def _bands(pixels: np.ndarray) -> Iterator[slice]:
    """Rows of a picture, so many at a time that floats of them take little memory."""
    rows = max(1, BAND_PIXELS // pixels.shape[1])
    return (slice(top, top + rows) for top in range(0, len(pixels), rows))


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
    try:
        result = blend(pixels, refined, strength)
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
    except MemoryError:
        return Reject(str(job.record.relative), f"{say_size(raw)}: not enough memory to write it")
    return raw.size, mean_change(pixels, result)


def say_size(raw: Raw) -> str:
    """The size of a picture, for people."""
    height, width = raw.size
    return f"{width} x {height} pixels"
