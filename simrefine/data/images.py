"""Picture files in, uint8 arrays out, and back: the only code that decodes, encodes or changes colour and range.

A file is judged by its content before it is decoded, because OpenCV gives a normal-looking picture for half a
JPEG, drops the low byte of 16-bit samples and follows whatever size a header claims. What cannot be used
without losing something raises ImageError with a reason that a person can act on.

JPEGs are decoded by simplejpeg, which gives the same pixels as OpenCV and, unlike it, tells that data is missing.
WebP and BMP have no check sums: where such a file has its full length, nothing tells that its content was changed.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import simplejpeg

from simrefine.reading import Unreadable, read_regular

EXTENSIONS = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp"})
MAX_BYTES = 256 * 2**20  # of one file
MAX_PIXELS = 64_000_000  # of one picture: 8000 x 8000
GRAY_LEVELS = 127.5  # one unit of the signed range [-1, 1], in gray levels

LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # Rec. 601, of red, green, blue
_PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
_JPEG_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")  # in scan data FF 00 is a value and FF D0 to D7 a restart
# What libjpeg warns of where a part of the picture is made up. Its other warnings cost nothing, such as that of spare
# bytes before the end marker.
_JPEG_LOSSES = re.compile(r"premature end|bad Huffman code", re.IGNORECASE)
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # SOF0 to SOF15; the three are tables
JPEG_QUALITY = 95  # of what is written; OpenCV's own scale
_ENCODING = {
    ".jpg": [
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,  # half-resolution colour would undo some of the refiner's work
    ],
    ".webp": [cv2.IMWRITE_WEBP_QUALITY, 101],  # above 100 is lossless
}

# Damaged files are reported as ImageError; OpenCV would also print them on the terminal.
_set_log_level = getattr(cv2, "setLogLevel", None) or cv2.utils.logging.setLogLevel  # OpenCV 4 or 5
_set_log_level(0)


class ImageError(Exception):
    """One unusable picture; the text is the reason, for people: "truncated JPEG: no end marker"."""


@dataclass(frozen=True)
class Picture:
    """A decoded picture, upright.

    Args:
        pixels: uint8 [h, w, 3] RGB, or [h, w, 1] gray.
        alpha: uint8 [h, w], 255 opaque; None where the file has no transparency.
    """

    pixels: np.ndarray
    alpha: np.ndarray | None = None


@dataclass(frozen=True)
class _Header:
    """What a file says about itself, read without decoding it."""

    kind: str  # "PNG", ...
    width: int
    height: int
    flags: int  # for OpenCV; all but IMREAD_UNCHANGED also turn the picture upright
    turnable: bool = False  # has an EXIF block, which may hold an orientation
    clear_level: int | None = None  # the gray level that counts as transparent


def read_picture(path: Path) -> Picture:
    """Reads and decodes one file.

    Raises:
        ImageError: the file cannot be read, or see `decode_picture`.
    """
    return decode_picture(read_content(path))


def read_sides(path: Path) -> tuple[int, int]:
    """Both sides of a picture, px, the shorter one first, as its header states them: nothing is decoded.

    Raises:
        ImageError: the file cannot be read, or its header says that it cannot be used.
    """
    return sides_of(read_content(path))


def sides_of(content: bytes) -> tuple[int, int]:
    """The same of the bytes of a file.

    Raises:
        ImageError: the header says that it cannot be used.
    """
    header = _read_header(content)
    return min(header.width, header.height), max(header.width, header.height)


def read_content(path: Path) -> bytes:
    """The bytes of a file.

    Raises:
        ImageError: it cannot be read, is no regular file, or is larger than a picture may be.
    """
    try:
        return read_regular(path, MAX_BYTES)
    except Unreadable as error:
        raise ImageError(str(error)) from error


def decode_picture(content: bytes) -> Picture:
    """Decodes the bytes of a PNG, JPEG, BMP or WebP file; the content decides, not a name.

    Raises:
        ImageError: truncated, damaged, animated, over MAX_PIXELS, of 16 bits per channel, CMYK, or of another type.
        MemoryError: there is not enough for its pixels.
    """
    header = _read_header(content)
    if not (header.width and header.height):
        raise ImageError(f"damaged {header.kind}: {header.width} x {header.height} pixels")
    if header.width * header.height > MAX_PIXELS:
        raise ImageError(f"{header.width} x {header.height} pixels, more than the limit of {MAX_PIXELS}")
    decoded = _decode_jpeg(content, header) if header.kind == "JPEG" else _decode(content, header)
    if decoded.ndim == 2:
        alpha = None if header.clear_level is None else np.where(decoded == header.clear_level, 0, 255).astype(np.uint8)
        return Picture(decoded[..., None], alpha)
    if header.flags != cv2.IMREAD_UNCHANGED:
        return Picture(decoded)
    pixels = np.ascontiguousarray(decoded[..., 2::-1])
    if decoded.shape[2] == 3:
        return Picture(pixels)
    if header.turnable and not np.array_equal(pixels, _decode(content, header, cv2.IMREAD_COLOR_RGB)):
        raise ImageError("transparent and turned by EXIF: save it upright")  # OpenCV turns the colours but not alpha
    gray = header.kind == "PNG" and content[25] == 4  # gray with alpha, which OpenCV gives as colour
    return Picture(pixels[..., :1].copy() if gray else pixels, decoded[..., 3].copy())


def encode_picture(picture: Picture, extension: str, jpeg_quality: int = JPEG_QUALITY) -> bytes:
    """Encodes into the format of `extension`: PNG, BMP and WebP without loss, JPEG with full colour.

    A gray picture stays gray in PNG, JPEG and BMP. WebP has no gray, and OpenCV writes no gray with alpha: both
    become colour with three equal channels. WebP may change colours where alpha is 0.

    Raises:
        ImageError: the format cannot hold the picture: transparency in a JPEG, or too many pixels on a side.
        MemoryError: there is not enough for it.
    """
    extension = extension.lower().replace(".jpeg", ".jpg")
    pixels, alpha = picture.pixels, picture.alpha
    if alpha is not None and extension == ".jpg":
        if (alpha < 255).any():
            raise ImageError("has transparency, which a JPEG cannot keep: name it .png")
        alpha = None
    if alpha is not None or pixels.shape[2] > 1:  # OpenCV has blue first; one copy, as a picture may be large
        swapped = np.empty((*pixels.shape[:2], 3 if alpha is None else 4), np.uint8)
        swapped[..., :3] = pixels[..., ::-1]
        if alpha is not None:
            swapped[..., 3] = alpha
        pixels = swapped
    options = [*_ENCODING.get(extension, []), cv2.IMWRITE_JPEG_QUALITY, jpeg_quality]  # which the others ignore
    try:
        done, content = cv2.imencode(extension, np.ascontiguousarray(pixels), options)
    except cv2.error as error:
        _check_memory(error)
        raise ImageError(f"cannot be written as {extension}: {error.err}") from error
    if not done:
        raise ImageError(f"cannot be written as {extension}")
    return content.tobytes()


def to_channels(pixels: np.ndarray, channels: int) -> np.ndarray:
    """Gray to colour by repeating, colour to gray by Rec. 601 luma: uint8 [..., c] to uint8 [..., channels]; c and
    `channels` are 1 or 3."""
    if pixels.shape[-1] == channels:
        return pixels
    if channels == 3:
        return np.repeat(pixels, 3, axis=-1)
    return np.rint(pixels @ LUMA).astype(np.uint8)[..., None]


def fit_square(pixels: np.ndarray, size: int) -> np.ndarray:
    """The centred square of the short side, resized: uint8 [h, w, c] to uint8 [size, size, c]."""
    height, width = pixels.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return resize(pixels[top : top + side, left : left + side], size, size)


def resize(pixels: np.ndarray, height: int, width: int, growing: bool | None = None) -> np.ndarray:
    """uint8 or float32 [h, w, c] to [height, width, c] of the same type; both sides shrink or both grow.

    `growing` is whether they grow, where one side alone does not show it."""
    if pixels.shape[:2] == (height, width):
        return pixels
    if growing is None:
        growing = height * width >= pixels.shape[0] * pixels.shape[1]
    # Area averages do not alias when shrinking; when growing they would show blocks.
    method = cv2.INTER_CUBIC if growing else cv2.INTER_AREA
    return cv2.resize(pixels, (width, height), interpolation=method).reshape(height, width, -1)


def shrink(images: np.ndarray, side: int) -> np.ndarray:
    """Uint8 pictures [n, h, w, c] so small that the shorter side has `side` px at most; smaller ones as they are."""
    height, width = images.shape[1:3]
    share = side / min(height, width)
    if share >= 1:
        return images
    return np.stack([resize(image, round(height * share), round(width * share)) for image in images])


def to_signed(pixels: np.ndarray) -> np.ndarray:
    """uint8 in [0, 255] to float32 in [-1, 1]."""
    return pixels.astype(np.float32) / np.float32(GRAY_LEVELS) - 1


def as_signed(pixels: np.ndarray) -> np.ndarray:
    """Pixels in [-1, 1]: uint8 by `to_signed`, floats as they are."""
    return to_signed(pixels) if pixels.dtype == np.uint8 else pixels


def to_uint8(signed: np.ndarray) -> np.ndarray:
    """float in [-1, 1] to uint8, rounded and clipped; the inverse of `to_signed`."""
    return round_to_uint8((signed + 1) * GRAY_LEVELS)


def round_to_uint8(levels: np.ndarray) -> np.ndarray:
    """Gray levels as numbers of any kind to uint8, rounded and clipped."""
    return np.clip(np.rint(levels), 0, 255).astype(np.uint8)


def _decode_jpeg(content: bytes, header: _Header) -> np.ndarray:
    """As `_decode`, but a picture with missing data is refused. OpenCV decodes what may have to be turned upright; the
    check then looks at an eighth of the size, which needs all the data too."""
    gray = header.flags == cv2.IMREAD_GRAYSCALE
    size = {"min_height": 1, "min_width": 1, "min_factor": 8} if header.turnable else {}
    try:
        pixels = simplejpeg.decode_jpeg(content, "GRAY" if gray or header.turnable else "RGB", **size, strict=True)
    except ValueError as error:
        if _JPEG_LOSSES.search(str(error)):
            raise ImageError(f"damaged JPEG: data is missing ({error})") from error
        return _decode(content, header)
    if header.turnable or pixels.shape[:2] != (header.height, header.width):
        return _decode(content, header)
    return pixels[..., 0] if gray else pixels


def _decode(content: bytes, header: _Header, flags: int | None = None) -> np.ndarray:
    try:
        decoded = cv2.imdecode(np.frombuffer(content, np.uint8), header.flags if flags is None else flags)
    except cv2.error as error:
        _check_memory(error)
        raise ImageError(f"damaged {header.kind}: {error.err}") from error
    if decoded is None:
        raise ImageError(f"damaged {header.kind}: it cannot be decoded")
    if decoded.dtype != np.uint8 or sorted(decoded.shape[:2]) != sorted((header.height, header.width)):
        raise ImageError(f"damaged {header.kind}: the picture is not what its header says")
    return decoded


def _check_memory(error: cv2.error) -> None:
    """Raises MemoryError where that is what OpenCV means."""
    if error.code == cv2.Error.StsNoMem:
        raise MemoryError(error.err) from error


def _read_header(content: bytes) -> _Header:
    """Reads the header and walks to the end marker, so that a truncated file is found without decoding it."""
    if not content:
        raise ImageError("empty file")
    if content.startswith((b"II*\0", b"MM\0*")):
        raise ImageError("TIFF: convert it to PNG with 8 bits")
    readers: dict[bytes, Callable[[bytes], _Header]] = {
        _PNG_MAGIC: _read_png,
        b"\xff\xd8\xff": _read_jpeg,
        b"BM": _read_bmp,
        b"RIFF": _read_webp,
    }
    for magic, reader in readers.items():
        if content.startswith(magic):
            return reader(content)
    raise ImageError("not a PNG, JPEG, BMP or WebP picture")


def _read_png(content: bytes) -> _Header:
    chunks: dict[bytes, bytes] = {}  # the first of each name
    position = len(_PNG_MAGIC)
    while b"IEND" not in chunks:
        length = int.from_bytes(content[position : position + 4])
        name, end = content[position + 4 : position + 8], position + 12 + length
        if end > len(content):
            raise ImageError("truncated PNG: no end marker")
        if not chunks and name != b"IHDR":
            raise ImageError("damaged PNG: no header")
        chunks.setdefault(name, content[position + 8 : position + 8 + min(length, 32)])
        position = end
    header = chunks[b"IHDR"].ljust(13, b"\0")
    depth, colour = header[8], header[9]
    if depth == 16:
        raise ImageError("16 bits per channel: save it with 8 bits, nothing is dropped silently")
    if b"acTL" in chunks:
        raise ImageError("animated PNG: save one frame")
    clear_level, flags = None, cv2.IMREAD_COLOR_RGB
    if colour == 0:
        flags = cv2.IMREAD_GRAYSCALE
        if b"tRNS" in chunks and depth:  # a sample of `depth` bits, which decoding spreads over 0 to 255
            clear_level = int.from_bytes(chunks[b"tRNS"][:2]) * 255 // (2**depth - 1)
    elif colour in (4, 6) or b"tRNS" in chunks:
        flags = cv2.IMREAD_UNCHANGED
    width, height = int.from_bytes(header[:4]), int.from_bytes(header[4:8])
    return _Header("PNG", width, height, flags, b"eXIf" in chunks, clear_level)


def _read_jpeg(content: bytes) -> _Header:
    header, scanned, turnable, position = None, False, False, 2
    # Segments are skipped by their length: the thumbnail inside an EXIF segment has an end marker of its own.
    while marker := _JPEG_MARKER.search(content, position):
        kind, position = content[marker.end() - 1], marker.end()
        if kind == 0xD9:  # end of image
            if header and scanned:
                return replace(header, turnable=turnable)
            raise ImageError("damaged JPEG: no picture before the end marker")
        if kind in _JPEG_FRAMES and header is None:
            header = _read_jpeg_frame(content[position + 2 : position + 8].ljust(6, b"\0"))
        scanned = scanned or kind == 0xDA  # start of scan
        turnable = turnable or kind == 0xE1  # where an EXIF block stands
        position += int.from_bytes(content[position : position + 2])
    raise ImageError("truncated JPEG: no end marker")


def _read_jpeg_frame(frame: bytes) -> _Header:
    bits, height, width, channels = frame[0], int.from_bytes(frame[1:3]), int.from_bytes(frame[3:5]), frame[5]
    if bits != 8:
        raise ImageError(f"{bits} bits per channel: save it with 8 bits")
    if channels not in (1, 3):
        raise ImageError(f"JPEG of {channels} channels (CMYK has 4): convert it to RGB")
    return _Header("JPEG", width, height, cv2.IMREAD_GRAYSCALE if channels == 1 else cv2.IMREAD_COLOR_RGB)


def _read_bmp(content: bytes) -> _Header:
    def number(start: int, size: int, signed: bool = False) -> int:
        return int.from_bytes(content[start : start + size], "little", signed=signed)

    if number(14, 4) == 12:  # the header of OS/2
        width, height, bits, compression = number(18, 2), number(20, 2), number(24, 2), 0
    else:  # the height is negative where the first row is the top one
        width, height, bits, compression = number(18, 4, True), abs(number(22, 4, True)), number(28, 2), number(30, 4)
    packed = compression not in (0, 3, 6)  # run lengths, which end where the declared size of the file does
    size = number(2, 4) if packed else number(10, 4) + (width * bits + 31) // 32 * 4 * height
    if len(content) < max(size, 26):
        raise ImageError(f"truncated BMP: {len(content)} of {size} bytes")
    return _Header("BMP", max(width, 0), height, cv2.IMREAD_UNCHANGED)


def _read_webp(content: bytes) -> _Header:
    def number(start: int, size: int) -> int:
        return int.from_bytes(content[start : start + size], "little")

    end, first = 8 + number(4, 4), content[12:16]
    if content[8:12] != b"WEBP"[: len(content[8:12])]:
        raise ImageError("not a PNG, JPEG, BMP or WebP picture")
    if len(content) < max(end, 30):
        raise ImageError(f"truncated WebP: {len(content)} of {end} bytes")
    if first == b"VP8 ":
        return _Header("WebP", number(26, 2) & 0x3FFF, number(28, 2) & 0x3FFF, cv2.IMREAD_COLOR_RGB)
    if first == b"VP8L":  # 14 bits each of width - 1 and height - 1, then one for alpha
        bits = number(21, 4)
        flags = cv2.IMREAD_UNCHANGED if bits >> 28 & 1 else cv2.IMREAD_COLOR_RGB
        return _Header("WebP", (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1, flags)
    if first == b"VP8X":
        features = content[20]
        if features & 0x02:
            raise ImageError("animated WebP: save one frame")
        flags = cv2.IMREAD_UNCHANGED if features & 0x10 else cv2.IMREAD_COLOR_RGB
        return _Header("WebP", number(24, 3) + 1, number(27, 3) + 1, flags, bool(features & 0x08))
    raise ImageError("damaged WebP: no picture")
