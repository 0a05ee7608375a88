"""Part masks, which hold the class of each pixel: PNG files in and out, with the indices that stand in the file.

A palette PNG says for each pixel which entry of its palette it has; the entries' colours are for looking at. OpenCV
gives only colours, and two classes may share one. So the file is given another palette before it is decoded, in which
entry i is the gray level i; a gray PNG is read in the same way, its levels being the classes.
"""

import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np

from simrefine.data.folders import Record, find_pictures
from simrefine.data.images import ImageError, Picture, decode_picture, encode_picture, read_content
from simrefine.data.parts import labels_of_mask

_MAGIC = b"\x89PNG\r\n\x1a\n"
_GRAY, _PALETTE = 0, 3  # types of PNG whose samples can be classes
_LAYOUT = b"IDAT", b"IEND", b"eXIf"  # what else decides where which index lies; eXIf may turn the picture

MOST_SIDE = 512  # px of the shorter side of part labels; of larger masks each second pixel is taken, or third, ...
SAME_SHAPE = 0.02  # by how much the sides of a mask may be in another ratio than those of its picture


class MaskFolder(NamedTuple):
    """A folder of part masks, named as pictures of another folder, and which part each of their classes is."""

    folder: Path
    classes: Mapping[int, str]

    def find(self, pictures: Iterable[PurePosixPath]) -> dict[PurePosixPath, Record]:
        """The masks of pictures, by the pictures' paths below their folder; those that have none are left out.

        Raises:
            UserError: the folder cannot be listed.
        """
        named = {picture: picture.with_suffix(".png") for picture in pictures}
        found = find_pictures(self.folder, named.values(), what="folder of masks")
        return {picture: found[name] for picture, name in named.items() if name in found}

    def read(self, mask: Record, height: int, width: int) -> np.ndarray:
        """The part labels, uint8 [h, w] (see data/parts.py), of the mask of a picture of this height and width, px,
        which may be of another size.

        Raises:
            ImageError: it cannot be read, or its sides are in another ratio.
        """
        labels = labels_of_mask(decode_mask(mask.read()), self.classes)
        rows, columns = labels.shape
        if abs(rows * width / (columns * height) - 1) > SAME_SHAPE:
            raise ImageError(f"{columns} x {rows} pixels do not lie on a picture of {width} x {height}")
        every = -(-min(rows, columns) // MOST_SIDE)
        return labels[::every, ::every]


def read_mask(path: Path) -> np.ndarray:
    """The classes of a mask's pixels, uint8 [h, w]; see `decode_mask`.

    Raises:
        ImageError: the file cannot be read, or see `decode_mask`.
    """
    return decode_mask(read_content(Path(path)))


def decode_mask(content: bytes) -> np.ndarray:
    """The classes of a mask's pixels, uint8 [h, w], from the bytes of a PNG: palette indices, or the levels of a gray
    PNG as they stand in it (0 to 15 where it has 4 bits); transparency says nothing about classes and is ignored.

    Raises:
        ImageError: no PNG, a colour PNG, 16 bits, a pixel without an entry in the palette, truncated, damaged, or
            larger than a picture may be.
    """
    if not content.startswith(_MAGIC):
        raise ImageError("a mask must be a PNG of class indices" if content else "empty file")
    chunks = list(_read_chunks(content))
    header = chunks[0][1]
    if chunks[0][0] != b"IHDR" or len(header) != 13:
        raise ImageError("damaged PNG: no header")
    depth, colour = header[8], header[9]
    if colour not in (_GRAY, _PALETTE):
        raise ImageError("a colour PNG, which has no class indices: save the mask as palette or 8-bit gray PNG")
    if depth not in (1, 2, 4, 8):
        raise ImageError(f"{depth} bits a pixel: save the mask with 8 bits")
    ramp = np.arange(2**depth, dtype=np.uint8).repeat(3).tobytes()
    rewritten = [(b"IHDR", header[:9] + bytes([_PALETTE]) + header[10:]), (b"PLTE", ramp)]
    rewritten += [chunk for chunk in chunks if chunk[0] in _LAYOUT]
    mask = decode_picture(_MAGIC + b"".join(_write_chunk(*chunk) for chunk in rewritten)).pixels[..., 0].copy()
    if colour == _PALETTE:
        entries = len(dict(chunks).get(b"PLTE", b"")) // 3
        if mask.max() >= entries:
            raise ImageError(f"damaged PNG: a pixel has index {mask.max()} of a palette of {entries} colours")
    return mask


def encode_mask(mask: np.ndarray) -> bytes:
    """uint8 [h, w] to the bytes of an 8-bit gray PNG, whose gray levels are the classes."""
    return encode_picture(Picture(mask[..., None]), ".png")


def encode_palette(mask: np.ndarray, colours: np.ndarray) -> bytes:
    """uint8 [h, w] to the bytes of a palette PNG with these indices, which shows them in `colours`, uint8 [k, 3], one
    for every index of the mask."""
    chunks = dict(_read_chunks(encode_mask(mask)))
    header = chunks[b"IHDR"][:9] + bytes([_PALETTE]) + chunks[b"IHDR"][10:]
    chunks = [(b"IHDR", header), (b"PLTE", colours.tobytes()), (b"IDAT", chunks[b"IDAT"]), (b"IEND", b"")]
    return _MAGIC + b"".join(_write_chunk(*chunk) for chunk in chunks)


def _read_chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Name and content of each chunk to the end marker. The checksums are compared here, because those of the rewritten
    file are new: a damaged header must not become a sound one."""
    position, name = len(_MAGIC), b""
    while name != b"IEND":
        length = int.from_bytes(content[position : position + 4])
        end = position + 12 + length
        if end > len(content):
            raise ImageError("truncated PNG: no end marker")
        name, inside = content[position + 4 : position + 8], content[position + 8 : end - 4]
        if zlib.crc32(name + inside) != int.from_bytes(content[end - 4 : end]):
            raise ImageError("damaged PNG: a checksum is wrong")
        yield name, inside
        position = end


def _write_chunk(name: bytes, inside: bytes) -> bytes:
    return len(inside).to_bytes(4) + name + inside + zlib.crc32(name + inside).to_bytes(4)
