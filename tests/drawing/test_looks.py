"""What the camera sees of a head: nowhere does the backdrop show through it."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from simrefine.drawing import looks
from simrefine.drawing.people import draw_person, draw_view, grow_hair
from simrefine.drawing.sculpture import EXPRESSIONS
from simrefine.randomness import generator

SIZE = 64


def count_enclosed_backdrop(hair_style: str, yaw: float, pitch: float, **expression: float) -> int:
    """How many pixels of the part mask are backdrop that the head cuts off from the picture's border."""
    rng = generator(3, 0, "test")
    person, view = draw_person(rng), draw_view(rng)
    person = replace(person, thickness=grow_hair(rng, hair_style))
    weights = np.array([expression.get(name, 0.0) for name in EXPRESSIONS])
    view = replace(view, yaw=yaw, pitch=pitch, roll=0.0, distance=60.0, expression=weights)
    seen = looks.expose(person, view, SIZE)
    behind = looks.part_mask(seen, looks.paint_flat(seen, person, view)) == looks.BACKGROUND
    behind = np.pad(behind, 1, constant_values=True)
    _, label = cv2.connectedComponents(behind.astype(np.uint8), connectivity=8)
    return int((behind & (label != label[0, 0])).sum())


# Bald, so that no hair behind the mouth hides a hole in it.
@pytest.mark.parametrize("jaw_open, smile", [(0.9, 0.0), (0.35, 1.0)])
@pytest.mark.parametrize("yaw, pitch", [(-28.0, 0.0), (28.0, 0.0), (-20.0, 15.0), (20.0, -15.0)])
def test_no_backdrop_shows_through_an_open_mouth(yaw, pitch, jaw_open, smile):
    assert count_enclosed_backdrop("bald", yaw, pitch, jaw_open=jaw_open, smile=smile) == 0


@pytest.mark.parametrize("yaw, pitch", [(-38.0, -10.0), (38.0, 0.0), (38.0, 15.0)])
def test_no_backdrop_shows_beside_an_eyeball(yaw, pitch):
    assert count_enclosed_backdrop("bald", yaw, pitch) == 0


@pytest.mark.parametrize("style", ["bob", "long"])
@pytest.mark.parametrize("yaw, pitch", [(-6.0, 12.0), (6.0, 18.0)])
def test_no_backdrop_shows_between_a_cheek_and_long_hair_seen_from_below(yaw, pitch, style):
    assert count_enclosed_backdrop(style, yaw, pitch) == 0
