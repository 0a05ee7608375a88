import numpy as np
import pytest

from simrefine.catalogue import PARTS
from simrefine.config import parse_classes
from simrefine.data.parts import UNKNOWN, follow_edges, label, parts_of_mask, parts_of_points, resize_soft, soften

CLASSES = {0: "background", 1: "skin", 7: "skin", 6: "hair"}


def test_the_table_of_classes_is_read_as_it_is_written():
    assert parse_classes(("background=0", "skin = 1 + 7", "hair=6")) == CLASSES


@pytest.mark.parametrize("entry", ["nose=1", "skin=x", "skin=255", "skin=-1", "skin=", "hair=0"])
def test_a_table_that_cannot_be_meant_is_refused(entry):
    with pytest.raises(ValueError):
        parse_classes(("background=0", entry))


def test_a_mask_becomes_part_labels_cropped_as_its_picture_is():
    mask = np.zeros((4, 8), np.uint8)
    mask[:, 2:4], mask[:, 4:6] = 7, 99
    labels = parts_of_mask(mask, CLASSES, 4)
    assert (labels[:, :2] == PARTS.index("skin")).all()
    assert (labels[:, 2:] == UNKNOWN).all()  # 99 is in no table


def test_soft_labels_are_the_share_of_a_pixel_that_a_part_covers():
    labels = np.zeros((1, 4, 4), np.uint8)
    labels[0, :, 1:] = PARTS.index("hair")
    soft = soften(labels, 2)
    assert soft[0, 0, :, PARTS.index("hair")] == pytest.approx([0.5, 1.0])
    assert soft[0, 0, :, PARTS.index("background")] == pytest.approx([0.5, 0.0])
    assert soften(np.full((1, 4, 4), UNKNOWN, np.uint8), 2).sum() == 0


def face_points(size: float = 32.0) -> np.ndarray:
    """68 points of a plain frontal face."""
    angles = np.linspace(np.pi, 0, 17)
    jaw = np.stack([0.5 + 0.35 * np.cos(angles), 0.45 + 0.42 * np.sin(angles)], -1)
    brows = [(x, 0.32) for x in np.linspace(0.22, 0.42, 5)] + [(x, 0.32) for x in np.linspace(0.58, 0.78, 5)]
    nose = [(0.5, y) for y in np.linspace(0.4, 0.55, 4)] + [(x, 0.6) for x in np.linspace(0.44, 0.56, 5)]
    eye = [(-0.08, 0), (-0.03, -0.04), (0.03, -0.04), (0.08, 0), (0.03, 0.04), (-0.03, 0.04)]
    eyes = [(cx + x, 0.42 + y) for cx in (0.32, 0.68) for x, y in eye]
    ring = np.linspace(np.pi, -np.pi, 13)[:-1]
    outer = [(0.5 + 0.14 * np.cos(a), 0.72 - 0.08 * np.sin(a)) for a in ring]
    ring = np.linspace(np.pi, -np.pi, 9)[:-1]
    inner = [(0.5 + 0.09 * np.cos(a), 0.72 - 0.04 * np.sin(a)) for a in ring]
    return size * np.array([*jaw, *brows, *nose, *eyes, *outer, *inner])


def test_label_points_give_coarse_parts_where_the_features_are():
    labels = parts_of_points(face_points(), 32)
    for part, x, y in [("skin", 16, 19), ("eyes", 10, 13), ("eyes", 22, 13), ("mouth", 16, 23), ("background", 1, 1)]:
        assert labels[y, x] == PARTS.index(part), part
    assert PARTS.index("lips") in labels


def test_a_face_with_a_missing_point_has_no_coarse_parts():
    points = face_points()
    points[30] = np.nan
    assert (parts_of_points(points, 32) == UNKNOWN).all()


def test_soft_labels_still_add_up_to_one_at_another_size():
    labels = np.random.default_rng(0).integers(0, len(PARTS), (2, 8, 8)).astype(np.uint8)
    for height, width in ((16, 12), (4, 4)):
        resized = resize_soft(soften(labels, 8), height, width)
        assert resized.shape == (2, height, width, len(PARTS))
        assert resized.sum(axis=-1) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_pixel_on_an_outline_has_as_much_of_each_part_as_its_colour_says(channels):
    """Of skin before a dark room, whose outline crosses pixels at 0.3, under a mask of whole pixels."""
    covered = np.clip(np.arange(64) - 29.7, 0, 1)  # of the pixels of a row
    picture = np.broadcast_to((-0.6 + 1.1 * covered)[None, None, :, None], (1, 64, 64, channels)).astype(np.float32)
    labels = np.zeros((1, 64, 64), np.uint8)
    labels[..., 31:] = PARTS.index("skin")
    skin = follow_edges(soften(labels, 64), picture)[0, 20, :, PARTS.index("skin")]
    assert 0.1 < skin[30] < 0.4, "the mask says 0"
    assert skin[29] < 0.1 and skin[31] > 0.8
    assert skin[:24].max() < 0.01 and skin[40:].min() > 0.99


def test_where_a_picture_has_no_edge_labels_stay_where_they_are_and_add_up_to_one():
    labels = np.zeros((1, 64, 64), np.uint8)
    labels[..., 32:] = PARTS.index("hair")
    soft = follow_edges(soften(labels, 64), np.full((1, 64, 64, 3), 0.2, np.float32))
    assert (soft[..., :26, PARTS.index("hair")] < 0.01).all() and (soft[..., 38:, PARTS.index("hair")] > 0.99).all()
    assert soft.sum(axis=-1) == pytest.approx(1, abs=1e-5)


def test_what_a_mask_does_not_name_is_filled_in_and_the_parser_is_asked_for_nothing_else():
    parsed = np.zeros((4, 4, len(PARTS)), np.uint8)
    parsed[..., PARTS.index("skin")] = 255
    asked = []

    def parse(images):
        asked.extend(images[:, 0, 0, 0])
        return np.stack([parsed] * len(images))

    hair = np.full((8, 8), PARTS.index("hair"), np.uint8)
    half = hair.copy()
    half[:, 4:] = UNKNOWN
    images = np.arange(3, dtype=np.uint8)[:, None, None, None] * np.ones((1, 8, 8, 3), np.uint8)
    whole, filled, nothing = label(images, [hair, half, None], parse)
    assert (whole.argmax(-1) == PARTS.index("hair")).all() and asked == [1, 2]
    assert (filled[:, :4].argmax(-1) == PARTS.index("hair")).all()
    assert (filled[:, 4:].argmax(-1) == PARTS.index("skin")).all() and (filled.sum(-1) == 255).all()
    np.testing.assert_array_equal(nothing, parsed)
    assert len(label(images[:1], [hair], None)) == 1
