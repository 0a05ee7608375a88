"""A mask comes out as the class indices that stand in its file, never as the colours of its palette."""

import struct
import zlib
from pathlib import PurePosixPath

import numpy as np
import pytest
from drawn_faces import encode_palette

from simrefine.catalogue import PARTS
from simrefine.data import images
from simrefine.data.images import ImageError, Picture, encode_picture
from simrefine.data.masks import MOST_SIDE, MaskFolder, decode_mask, encode_mask, read_mask

HEIGHT, WIDTH = 7, 13  # 13 pixels end inside a byte at each of the smaller depths
GRAY, PALETTE = 0, 3


def classes(count, seed=0):
    return np.random.default_rng(seed).integers(0, count, (HEIGHT, WIDTH), dtype=np.uint8)


def chunk(name, content):
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def indexed(mask, depth=8, colour=PALETTE, palette=None, *extra):
    """A PNG whose samples are `mask`, without a filter."""
    if palette is None:  # in which no colour is the index, and neighbours have the same
        palette = np.random.default_rng(1).integers(0, 256, (2**depth // 2, 3), dtype=np.uint8).repeat(2, axis=0)
    bits = np.unpackbits(mask[..., None], axis=-1)[..., 8 - depth :].reshape(len(mask), -1)
    rows = b"".join(b"\0" + row.tobytes() for row in np.packbits(bits, axis=1))
    header = struct.pack(">IIBBBBB", mask.shape[1], mask.shape[0], depth, colour, 0, 0, 0)
    entries = [chunk(b"PLTE", np.uint8(palette).tobytes())] if colour == PALETTE else []
    parts = [chunk(b"IHDR", header), *entries, *extra, chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
@pytest.mark.parametrize("colour", [GRAY, PALETTE])
def test_a_mask_is_read_as_its_indices_also_where_classes_share_a_colour(tmp_path, depth, colour):
    mask = classes(2**depth)
    (tmp_path / "mask.png").write_bytes(indexed(mask, depth, colour))
    found = read_mask(tmp_path / "mask.png")
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, mask)


def test_filtered_rows_give_their_indices():
    # What OpenCV writes: each row as differences, which are to be undone before an index is an index.
    mask = np.add.outer(np.arange(HEIGHT), np.arange(WIDTH)).astype(np.uint8)
    content = encode_palette(mask)
    data = content[content.index(b"IDAT") + 4 :]
    assert set(zlib.decompressobj().decompress(data)[:: WIDTH + 1]) != {0}, "no row is filtered"
    np.testing.assert_array_equal(decode_mask(content), mask)


def test_transparent_classes_are_classes():
    mask = classes(8)
    clear = chunk(b"tRNS", bytes([0, 0, 128]))
    np.testing.assert_array_equal(decode_mask(indexed(mask, 4, PALETTE, None, clear)), mask)


def test_a_written_mask_is_read_again():
    mask = classes(256)
    np.testing.assert_array_equal(decode_mask(encode_mask(mask)), mask)


def test_a_mask_without_class_indices_is_refused(tmp_path, monkeypatch):
    mask, colour = classes(8), Picture(np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    whole = indexed(mask, 4)
    bent = bytearray(whole)
    bent[19] += 1  # the width
    reasons = {
        "empty file": b"",
        "must be a PNG": encode_picture(colour, ".jpg"),
        "colour PNG": encode_picture(colour, ".png"),
        "truncated PNG": whole[:-5],
        "checksum": bytes(bent),
        "no header": whole[:8] + whole[33:],
        "16 bits": whole[:8] + chunk(b"IHDR", whole[16:24] + b"\x10" + whole[25:29]) + whole[33:],
        "of a palette of 3 colours": indexed(mask, 4, PALETTE, np.zeros((3, 3))),
    }
    for reason, content in reasons.items():
        with pytest.raises(ImageError, match=reason):
            decode_mask(content)
    with pytest.raises(ImageError, match="cannot be read"):
        read_mask(tmp_path / "nowhere.png")
    monkeypatch.setattr(images, "MAX_PIXELS", HEIGHT * WIDTH - 1)
    with pytest.raises(ImageError, match="more than the limit"):
        decode_mask(whole)


def test_a_folder_of_masks_gives_the_parts_of_a_picture_of_any_size(tmp_path):
    masks = MaskFolder(tmp_path, {0: "background", 7: "hair"})
    large = np.zeros((2 * MOST_SIDE, 3 * MOST_SIDE), np.uint8)
    large[:, MOST_SIDE:] = 7
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1.png").write_bytes(encode_mask(large))
    found = masks.find([PurePosixPath("a/1.jpg"), PurePosixPath("a/2.jpg")])
    assert [*found] == [PurePosixPath("a/1.jpg")]
    mask = found[PurePosixPath("a/1.jpg")]
    labels = masks.read(mask, 20, 30)
    assert labels.shape == (MOST_SIDE, 3 * MOST_SIDE // 2)
    assert (labels.mean(axis=0) > 0).sum() == MOST_SIDE and labels.max() == PARTS.index("hair")
    with pytest.raises(ImageError, match="do not lie on a picture of 30 x 30"):
        masks.read(mask, 30, 30)
