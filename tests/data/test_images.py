"""What decodes comes out as the file means it; what cannot is refused with a reason, before memory is spent on it."""

import os
import struct
import zlib

import cv2
import numpy as np
import pytest

from simrefine.data import images
from simrefine.data.images import (
    ImageError,
    Picture,
    decode_picture,
    encode_picture,
    fit_square,
    read_picture,
    read_sides,
    to_channels,
    to_signed,
    to_uint8,
)

HEIGHT, WIDTH = 40, 56


def noise(channels, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (HEIGHT, WIDTH, channels), dtype=np.uint8)


def smooth(channels):
    """A ramp in each direction, which survives JPEG and tells every orientation from the others."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    return np.stack([x * 3, y * 4, x + y], axis=-1)[..., :channels].astype(np.uint8)


def encoded(extension, channels=3):
    return encode_picture(Picture(noise(channels)), extension)


def chunk(name, content):
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png(width, height, depth, colour, rows, *extra):
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    body = b"".join(b"\0" + row for row in rows)
    parts = (chunk(b"IHDR", header), *extra, chunk(b"IDAT", zlib.compress(body)), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def orientation(value):
    """An EXIF block with one entry: 0x0112, a short."""
    return b"II*\0\x08\0\0\0\x01\0" + struct.pack("<HHIHH", 0x112, 3, 1, value, 0) + b"\0\0\0\0"


def jpeg_segment(code, content):
    return bytes([0xFF, code]) + struct.pack(">H", len(content) + 2) + content


def with_exif(jpeg, value):
    return jpeg[:2] + jpeg_segment(0xE1, b"Exif\0\0" + orientation(value)) + jpeg[2:]


def bmp(bits, pixels, palette=b"", height=2, width=2, declared=None):
    start = 54 + len(palette)
    size = start + len(pixels) if declared is None else declared
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, 0, 0, 0, 0, len(palette) // 4, 0)
    return b"BM" + struct.pack("<IHHI", size, 0, 0, start) + info + palette + pixels


@pytest.mark.parametrize("extension", [".png", ".bmp", ".webp"])
@pytest.mark.parametrize("channels", [1, 3])
def test_lossless_formats_give_back_every_pixel(extension, channels):
    pixels = noise(channels)
    decoded = decode_picture(encode_picture(Picture(pixels), extension))
    assert decoded.alpha is None
    np.testing.assert_array_equal(decoded.pixels, to_channels(pixels, decoded.pixels.shape[2]))


@pytest.mark.parametrize("extension", [".png", ".bmp", ".jpg", ".jpeg", ".JPG"])
def test_gray_stays_one_channel(extension):
    assert decode_picture(encoded(extension, 1)).pixels.shape == (HEIGHT, WIDTH, 1)


def test_colours_come_out_in_the_order_red_green_blue():
    red = np.zeros((16, 16, 3), np.uint8)
    red[..., 0] = 250
    for extension in images.EXTENSIONS:
        decoded = decode_picture(encode_picture(Picture(red), extension)).pixels
        np.testing.assert_allclose(decoded.reshape(-1, 3).mean(0), (250, 0, 0), atol=3)


def test_jpeg_keeps_full_resolution_colour_at_quality_95():
    content = encoded(".jpg")
    frame = content.index(b"\xff\xc0")
    assert content[content.index(b"\xff\xdb") + 5] == 2  # the first quantisation step: 16 at quality 50
    assert content[frame + 9] == 3  # components
    assert [content[frame + 11 + 3 * component] for component in range(3)] == [0x11] * 3  # no sub-sampling
    difference = decode_picture(encode_picture(Picture(smooth(3)), ".jpg")).pixels - smooth(3).astype(int)
    assert np.abs(difference).max() < 8


@pytest.mark.parametrize("extension", [".png", ".webp"])
def test_alpha_is_kept(extension):
    alpha = noise(1, seed=1)[..., 0] | 1
    decoded = decode_picture(encode_picture(Picture(noise(3), alpha), extension))
    np.testing.assert_array_equal(decoded.alpha, alpha)
    np.testing.assert_array_equal(decoded.pixels, noise(3))


def test_jpeg_refuses_transparency_but_not_an_opaque_alpha():
    alpha = np.full((HEIGHT, WIDTH), 255, np.uint8)
    assert decode_picture(encode_picture(Picture(noise(3), alpha), ".jpg")).alpha is None
    alpha[3, 4] = 254
    with pytest.raises(ImageError, match="transparency"):
        encode_picture(Picture(noise(3), alpha), ".jpeg")


def test_gray_with_alpha_is_gray_and_is_written_as_equal_channels():
    decoded = decode_picture(png(2, 1, 8, 4, [bytes([18, 52, 86, 120])]))
    np.testing.assert_array_equal(decoded.pixels, [[[18], [86]]])
    np.testing.assert_array_equal(decoded.alpha, [[52, 120]])
    again = decode_picture(encode_picture(decoded, ".png"))
    np.testing.assert_array_equal(again.pixels, [[[18] * 3, [86] * 3]])
    np.testing.assert_array_equal(again.alpha, decoded.alpha)


@pytest.mark.parametrize(
    ("depth", "row", "levels"),
    [(1, b"\xa0", [255, 0, 255]), (2, b"\x18", [0, 85, 170]), (4, b"\x12\xf0", [17, 34, 255])],
)
def test_gray_of_few_bits_spreads_over_the_whole_range(depth, row, levels):
    pixels = decode_picture(png(3, 1, depth, 0, [row])).pixels
    assert pixels.shape == (1, 3, 1)
    assert pixels.ravel().tolist() == levels


@pytest.mark.parametrize(("depth", "row", "key"), [(8, b"\x12\x34", 0x12), (4, b"\x12", 1)])
def test_the_transparent_level_of_a_gray_png_becomes_alpha(depth, row, key):
    decoded = decode_picture(png(2, 1, depth, 0, [row], chunk(b"tRNS", struct.pack(">H", key))))
    assert decoded.pixels.shape == (1, 2, 1)
    assert decoded.alpha.tolist() == [[0, 255]]


def test_palettes_become_colour_and_their_transparency_alpha():
    palette = chunk(b"PLTE", bytes([255, 0, 0, 0, 255, 0, 9, 9, 9]))
    colours = [[[255, 0, 0], [0, 255, 0], [9, 9, 9]]]
    opaque = decode_picture(png(3, 1, 8, 3, [b"\0\1\2"], palette))
    assert opaque.pixels.tolist() == colours
    assert opaque.alpha is None
    clear = decode_picture(png(3, 1, 8, 3, [b"\0\1\2"], palette, chunk(b"tRNS", b"\x00\x80")))
    assert clear.pixels.tolist() == colours
    assert clear.alpha.tolist() == [[0, 128, 255]]
    keyed = decode_picture(png(2, 1, 8, 2, [b"\1\2\3\4\5\6"], chunk(b"tRNS", b"\0\1\0\2\0\3")))
    assert keyed.pixels.tolist() == [[[1, 2, 3], [4, 5, 6]]]
    assert keyed.alpha.tolist() == [[0, 255]]


TURNS = {
    1: lambda p: p,
    2: lambda p: p[:, ::-1],
    3: lambda p: p[::-1, ::-1],
    4: lambda p: p[::-1],
    5: lambda p: p.swapaxes(0, 1),
    6: lambda p: np.rot90(p, -1),
    7: lambda p: p[::-1, ::-1].swapaxes(0, 1),
    8: lambda p: np.rot90(p),
}


@pytest.mark.parametrize("value", TURNS)
@pytest.mark.parametrize("channels", [1, 3])
def test_exif_orientation_is_applied(value, channels):
    content = encode_picture(Picture(smooth(channels)), ".jpg")
    expected = TURNS[value](decode_picture(content).pixels)
    np.testing.assert_array_equal(decode_picture(with_exif(content, value)).pixels, expected)


def test_transparent_png_turned_by_exif_is_refused_rather_than_left_lying():
    rows = [bytes([1, 2, 3, 4, 5, 6, 7, 8])]
    assert decode_picture(png(2, 1, 8, 6, rows, chunk(b"eXIf", orientation(1)))).pixels.shape == (1, 2, 3)
    with pytest.raises(ImageError, match="EXIF"):
        decode_picture(png(2, 1, 8, 6, rows, chunk(b"eXIf", orientation(6))))


@pytest.mark.parametrize("extension", sorted(images.EXTENSIONS - {".jpeg"}))
@pytest.mark.parametrize("channels", [1, 3])
def test_truncated_files_are_refused_at_every_length(extension, channels):
    content = encoded(extension, channels)
    ends = {int(len(content) * share / 20) for share in range(20)} | set(range(64)) | {len(content) - 1}
    for end in ends:
        with pytest.raises(ImageError, match=r"truncated|empty file|not a PNG"):
            decode_picture(content[:end])


def test_a_thumbnail_does_not_hide_that_its_jpeg_is_truncated():
    thumbnail, content = encode_picture(Picture(smooth(3)[:8, :8]), ".jpg"), encoded(".jpg")
    content = content[:2] + jpeg_segment(0xE1, b"Exif\0\0" + orientation(1) + thumbnail) + content[2:]
    decode_picture(content)
    with pytest.raises(ImageError, match="truncated JPEG: no end marker"):
        decode_picture(content[: len(content) * 3 // 4])
    with pytest.raises(ImageError, match="truncated JPEG"):
        decode_picture(content[: len(content) * 3 // 4] + bytes(3000))


def test_progressive_jpeg_is_complete_only_with_its_last_scan():
    _, array = cv2.imencode(".jpg", noise(3), [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])
    content = array.tobytes()
    assert decode_picture(content).pixels.shape == (HEIGHT, WIDTH, 3)
    with pytest.raises(ImageError, match="truncated"):
        decode_picture(content[: content.rindex(b"\xff\xda") + 20])


JPEG_KINDS = pytest.mark.parametrize(
    ("channels", "progressive", "sampling"),
    [(1, 0, 0x111111), (1, 1, 0x111111), (3, 0, 0x111111), (3, 0, 0x221111), (3, 0, 0x411111), (3, 1, 0x221111)],
)


def smooth_jpeg(channels, progressive, sampling):
    pixels = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (97, 131, channels), np.uint8), (0, 0), 2)
    options = [cv2.IMWRITE_JPEG_PROGRESSIVE, progressive, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, sampling]
    return cv2.imencode(".jpg", pixels, options)[1].tobytes()


@JPEG_KINDS
@pytest.mark.parametrize("wrap", [bytes, lambda content: with_exif(content, 1)])
def test_a_jpeg_that_lacks_data_before_its_end_marker_is_refused(channels, progressive, sampling, wrap):
    content = wrap(smooth_jpeg(channels, progressive, sampling))
    assert decode_picture(content).pixels.shape == (97, 131, channels)
    for share in (0.5, 0.9):
        with pytest.raises(ImageError, match="JPEG: data is missing"):
            decode_picture(content[: int(share * len(content))] + b"\xff\xd9")


@JPEG_KINDS
def test_jpegs_have_the_pixels_that_opencv_gives(channels, progressive, sampling):
    content = smooth_jpeg(channels, progressive, sampling)
    flag = cv2.IMREAD_GRAYSCALE if channels == 1 else cv2.IMREAD_COLOR_RGB
    expected = cv2.imdecode(np.frombuffer(content, np.uint8), flag).reshape(97, 131, channels)
    for jpeg in (content, with_exif(content, 1), content[:-2] + bytes(100) + content[-2:]):
        np.testing.assert_array_equal(decode_picture(jpeg).pixels, expected)


@pytest.mark.parametrize("extension", sorted(images.EXTENSIONS))
def test_padding_behind_the_end_is_allowed(extension):
    content = encoded(extension)
    np.testing.assert_array_equal(
        decode_picture(content + bytes(500)).pixels, decode_picture(content + b"\xff\xd8\xff junk").pixels
    )


def test_sixteen_bits_are_refused_because_half_of_them_would_be_lost():
    _, array = cv2.imencode(".png", noise(3).astype(np.uint16) * 257)
    with pytest.raises(ImageError, match="16 bits"):
        decode_picture(array.tobytes())


@pytest.mark.parametrize("byte_order", [b"II*\0", b"MM\0*"])
def test_tiff_is_refused_by_name_with_what_to_do(byte_order):
    with pytest.raises(ImageError, match="TIFF: convert it to PNG with 8 bits"):
        decode_picture(byte_order + bytes(100))


def test_cmyk_twelve_bit_and_two_channel_jpegs_are_refused():
    def jpeg(bits, channels):
        frame = struct.pack(">BHHB", bits, 8, 8, channels) + b"\1\x11\0" * channels
        return b"\xff\xd8" + jpeg_segment(0xC0, frame) + jpeg_segment(0xDA, b"\0" * 6) + b"\0\xff\xd9"

    with pytest.raises(ImageError, match=r"4 channels.*RGB"):
        decode_picture(jpeg(8, 4))
    with pytest.raises(ImageError, match="2 channels"):
        decode_picture(jpeg(8, 2))
    with pytest.raises(ImageError, match="12 bits"):
        decode_picture(jpeg(12, 3))


def test_animations_are_refused():
    control = chunk(b"acTL", struct.pack(">II", 2, 0))
    with pytest.raises(ImageError, match="animated PNG"):
        decode_picture(png(1, 1, 8, 0, [b"\0"], control))
    extended = b"WEBPVP8X" + struct.pack("<I", 10) + b"\x02\0\0\0" + b"\x07\0\0" * 2
    with pytest.raises(ImageError, match="animated WebP"):
        decode_picture(b"RIFF" + struct.pack("<I", len(extended)) + extended)


def huge_headers():
    side = 30_000
    yield png(side, side, 8, 2, [b"\0"])
    frame = struct.pack(">BHHB", 8, side, side, 3) + b"\1\x11\0" * 3
    yield b"\xff\xd8" + jpeg_segment(0xC0, frame) + jpeg_segment(0xDA, b"\0" * 6) + b"\0\xff\xd9"
    yield bmp(1, b"", height=1, width=2**31 - 1)[:30] + struct.pack("<I", 1) + bytes(60)  # run lengths
    lossless = b"WEBPVP8L" + struct.pack("<IBI", 5, 0x2F, (16383 << 14) | 16383) + bytes(9)
    yield b"RIFF" + struct.pack("<I", len(lossless)) + lossless
    extended = b"WEBPVP8X" + struct.pack("<I", 10) + bytes(4) + b"\xff\xff\xff" * 2
    yield b"RIFF" + struct.pack("<I", len(extended)) + extended


@pytest.mark.parametrize("content", list(huge_headers()), ids=["png", "jpeg", "bmp", "vp8l", "vp8x"])
def test_a_header_that_claims_too_many_pixels_is_refused_before_decoding(content, monkeypatch):
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("was decoded"))
    with pytest.raises(ImageError, match="limit"):
        decode_picture(content)


def test_the_pixel_limit_counts_the_last_pixel(monkeypatch):
    monkeypatch.setattr(images, "MAX_PIXELS", HEIGHT * WIDTH)
    decode_picture(encoded(".png"))
    monkeypatch.setattr(images, "MAX_PIXELS", HEIGHT * WIDTH - 1)
    with pytest.raises(ImageError, match="40"):
        decode_picture(encoded(".png"))


def test_a_picture_that_is_not_what_its_header_says_is_refused(monkeypatch):
    monkeypatch.setattr(cv2, "imdecode", lambda *_: np.zeros((HEIGHT, WIDTH - 1, 3), np.uint8))
    with pytest.raises(ImageError, match="header"):
        decode_picture(encoded(".png"))


def test_a_fault_inside_opencv_is_an_image_error(monkeypatch):
    content = encoded(".png")

    def fail(*_):
        raise cv2.error("too big")

    monkeypatch.setattr(cv2, "imdecode", fail)
    with pytest.raises(ImageError, match="damaged PNG"):
        decode_picture(content)


def test_damaged_png_data_is_refused():
    content = bytearray(encoded(".png"))
    content[len(content) // 2] ^= 1
    with pytest.raises(ImageError, match="damaged PNG"):
        decode_picture(bytes(content))


@pytest.mark.parametrize(("height", "top"), [(2, "left below"), (-2, "left above")])
def test_bmp_rows_run_either_way(height, top):
    pixels = bmp(24, bytes([1, 1, 1, 2, 2, 2, 0, 0, 3, 3, 3, 4, 4, 4, 0, 0]), height=height)
    expected = [[3, 4], [1, 2]] if top == "left below" else [[1, 2], [3, 4]]
    assert decode_picture(pixels).pixels[..., 0].tolist() == expected


def test_bmp_with_an_undeclared_size_or_a_spare_byte_per_pixel_is_read():
    decoded = decode_picture(bmp(32, bytes(range(16)), declared=0))
    assert decoded.pixels.tolist() == [[[10, 9, 8], [14, 13, 12]], [[2, 1, 0], [6, 5, 4]]]
    assert decoded.alpha is None


def test_content_decides_and_not_the_extension(tmp_path):
    (tmp_path / "a.jpg").write_bytes(encoded(".png"))
    np.testing.assert_array_equal(read_picture(tmp_path / "a.jpg").pixels, noise(3))


@pytest.mark.parametrize("content", [b"GIF89a" + bytes(50), b"hello", b"<svg/>", b"RIFF\x10\0\0\0WAVE" + bytes(40)])
def test_other_types_are_refused(content):
    with pytest.raises(ImageError, match="not a PNG, JPEG, BMP or WebP"):
        decode_picture(content)


def test_what_is_no_readable_file_is_refused_with_the_reason(tmp_path, monkeypatch):
    (tmp_path / "empty.png").touch()
    (tmp_path / "folder.png").mkdir()
    os.mkfifo(tmp_path / "pipe.png")  # opening it would wait for ever
    (tmp_path / "dead.png").symlink_to("nowhere.png")
    (tmp_path / "loop.png").symlink_to("loop.png")
    reasons = {"empty": "empty", "folder": "not a regular", "pipe": "not a regular", "dead": "No such", "gone": "No su"}
    for name, reason in {**reasons, "loop": "symbolic links"}.items():
        with pytest.raises(ImageError, match=reason):
            read_picture(tmp_path / f"{name}.png")
    (tmp_path / "big.png").write_bytes(encoded(".png"))
    monkeypatch.setattr(images, "MAX_BYTES", 1000)
    with pytest.raises(ImageError, match="bytes, more than the limit of 1000"):
        read_picture(tmp_path / "big.png")


def test_a_file_without_permission_is_refused_with_the_reason(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    path.write_bytes(encoded(".png"))

    def forbid(*_):  # a test may run as root, whom no permission stops
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", forbid)
    with pytest.raises(ImageError, match="Permission denied"):
        read_picture(path)


def test_names_beyond_ascii_are_read(tmp_path):
    path = tmp_path / "Gesicht ü 顔.png"
    path.write_bytes(encoded(".png"))
    assert read_picture(path).pixels.shape == (HEIGHT, WIDTH, 3)


@pytest.mark.parametrize("extension", sorted(images.EXTENSIONS - {".jpeg"}))
def test_mutated_files_give_a_picture_or_an_image_error(extension, capfd):
    random = np.random.default_rng(0)
    original = encode_picture(Picture(noise(3)[:12, :9]), extension)
    outcomes = set()
    for _ in range(80):
        content = bytearray(original)
        for position in random.integers(0, min(len(content), random.choice([40, len(content)])), random.integers(1, 5)):
            content[position] = random.integers(0, 256)
        try:
            picture = decode_picture(bytes(content))
        except ImageError as error:
            assert str(error)
            outcomes.add("error")
        else:
            assert picture.pixels.dtype == np.uint8
            assert picture.pixels.ndim == 3
            outcomes.add("picture")
    assert outcomes == ({"error"} if extension == ".png" else {"error", "picture"})  # every byte of a PNG is summed


def test_headers_too_short_or_without_pixels_are_refused():
    with pytest.raises(ImageError, match="0 x 1 pixels"):
        decode_picture(png(0, 1, 8, 0, [b""]))
    short = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", b"\0\0\0\1") + chunk(b"IEND", b"")
    with pytest.raises(ImageError, match="1 x 0 pixels"):
        decode_picture(short)


def extended_webp(pixels, alpha):
    """The container that other programs write, with alpha announced outside the picture."""
    simple = encode_picture(Picture(pixels, alpha), ".webp")[12:]
    canvas = struct.pack("<I", pixels.shape[1] - 1)[:3] + struct.pack("<I", pixels.shape[0] - 1)[:3]
    body = b"WEBPVP8X" + struct.pack("<IB3x", 10, 0x10) + canvas + simple
    return b"RIFF" + struct.pack("<I", len(body)) + body


def test_alpha_of_an_extended_webp_is_kept():
    alpha = noise(1, seed=1)[..., 0] | 1
    decoded = decode_picture(extended_webp(noise(3), alpha))
    np.testing.assert_array_equal(decoded.alpha, alpha)
    np.testing.assert_array_equal(decoded.pixels, noise(3))


def test_a_fault_of_opencv_while_encoding_is_an_image_error(monkeypatch):
    def fail(*_):
        raise cv2.error("too big")

    monkeypatch.setattr(cv2, "imencode", fail)
    with pytest.raises(ImageError, match=r"cannot be written as \.png"):
        encode_picture(Picture(noise(3)), ".png")


@pytest.mark.parametrize("extension", [".webp", ".jpg"])
def test_a_picture_too_large_for_its_format_is_an_image_error(extension):
    with pytest.raises(ImageError, match="cannot be written"):
        encode_picture(Picture(np.zeros((1, 70_000, 3), np.uint8)), extension)


def test_uint8_to_signed_and_back_is_exact():
    levels = np.arange(256, dtype=np.uint8)
    signed = to_signed(levels)
    assert signed.dtype == np.float32
    assert (signed[0], signed[-1]) == (-1, 1)
    np.testing.assert_array_equal(to_uint8(signed), levels)
    np.testing.assert_array_equal(to_uint8(signed.astype(np.float64)), levels)


def test_to_uint8_rounds_and_clips():
    values = np.array([-7, -1.001, 1.001, 9], np.float32)
    assert to_uint8(values).tolist() == [0, 0, 255, 255]
    assert to_uint8(to_signed(np.uint8([100])) + 0.49 / images.GRAY_LEVELS).tolist() == [100]
    assert to_uint8(to_signed(np.uint8([100])) + 0.51 / images.GRAY_LEVELS).tolist() == [101]


def test_to_channels_weighs_by_luma_and_repeats_gray():
    colour = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]]], np.uint8)
    assert to_channels(colour, 1).ravel().tolist() == [76, 150, 29, 255]
    assert to_channels(colour[None], 1).shape == (1, 1, 4, 1)
    gray = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    assert to_channels(gray, 3).shape == (1, 16, 16, 3)
    np.testing.assert_array_equal(to_channels(to_channels(gray, 3), 1), gray)
    assert to_channels(gray, 1) is gray


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [1, 20, 40, 64])
def test_fit_square_takes_the_centre(size, channels):
    pixels = np.zeros((40, 80, channels), np.uint8)
    pixels[:, 20:60] = 200  # the centred square and nothing else
    for picture in (pixels, pixels.swapaxes(0, 1)):
        fitted = fit_square(picture, size)
        assert (fitted.shape, fitted.dtype) == ((size, size, channels), np.uint8)
        assert (fitted == 200).all()


def test_fit_square_averages_when_shrinking():
    board = (np.indices((64, 64)).sum(0) % 2 * 200).astype(np.uint8)[..., None]
    assert (fit_square(board, 32) == 100).all()


@pytest.mark.parametrize("extension", sorted(images.EXTENSIONS))
def test_sides_are_told_by_the_header_alone(tmp_path, extension, monkeypatch):
    monkeypatch.setattr(images.cv2, "imdecode", None)
    (tmp_path / "a").write_bytes(encoded(extension))
    assert read_sides(tmp_path / "a") == (HEIGHT, WIDTH)
    (tmp_path / "a").write_bytes(encoded(extension)[:20])
    with pytest.raises(ImageError):
        read_sides(tmp_path / "a")


@pytest.mark.parametrize("name", ["imdecode", "imencode"])
def test_memory_that_opencv_lacks_is_a_memory_error_and_no_damage(monkeypatch, name):
    content = encoded(".png")

    def short(*_):
        error = cv2.error("no memory")
        error.code, error.err = cv2.Error.StsNoMem, "Failed to allocate 192000000 bytes"
        raise error

    monkeypatch.setattr(cv2, name, short)
    with pytest.raises(MemoryError, match="192000000"):
        decode_picture(content) if name == "imdecode" else encoded(".png")
