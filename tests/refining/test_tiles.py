"""A picture too large for the memory comes out as it would with memory for all of it, and stops nothing beside it."""

import numpy as np
import pytest
from portraits import part_looks, portrait
from random_refiner import write_random_refiner
from tiny import draw_face, tiny_config

from simrefine import memory
from simrefine.catalogue import REFINERS
from simrefine.data import styles as styles_module
from simrefine.data.images import GRAY_LEVELS, resize
from simrefine.models.networks import reach
from simrefine.refining import refiner as refiner_module
from simrefine.refining.refiner import OWN, TRAINING, load

TILE = 150  # px, side of what a tiny memory has room for; a tile of the unet is never less than twice its overlap


def faces(height, width, channels=3):
    return draw_face(np.random.default_rng(0), 512, channels)[None, :height, 100 : 100 + width]


@pytest.fixture
def tiles(monkeypatch):
    """Refiners with next to no memory have some for TILE x TILE px. The tiles of their networks, which are counted."""
    least = 2 * refiner_module.PIXEL_BYTES * TILE**2
    monkeypatch.setattr(memory, "LEAST", least)
    monkeypatch.setattr(refiner_module, "LEAST", least)
    monkeypatch.setattr(styles_module, "WINDOW_PIXELS", 10_000)
    made, in_tiles = [], refiner_module.in_tiles

    def counting(*arguments):
        for window, part in in_tiles(*arguments):
            made.append(window)
            yield window, part

    monkeypatch.setattr(refiner_module, "in_tiles", counting)
    return made


def apart(one: np.ndarray, other: np.ndarray) -> int:
    return int(np.abs(one.astype(int) - other).max())


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("candidates", [0, 4])  # without styles, and styled by the whole picture
@pytest.mark.parametrize("name", REFINERS)
def test_tiles_give_what_the_whole_picture_gives(tmp_path, tiles, name, candidates, channels):
    run = write_random_refiner(
        tmp_path, refiner__name=name, style__candidates=candidates, data__channels=channels, refiner__blocks=2
    )
    picture = faces(301, 389, channels)
    whole, tiled = load(run, scale=OWN, memory_gib=64), load(run, scale=OWN, memory_gib=1e-3)
    wanted = whole(picture)
    assert not tiles and apart(wanted, picture) > 20, "else this refiner could not tell"
    found = tiled(picture)
    assert len(tiles) == {"resnet": 9, "unet": 12}.get(name, len(tiles)) and len(tiles) >= 4
    assert found.dtype == np.uint8 and apart(found, wanted) <= 1
    np.testing.assert_allclose(tiled.dress(picture), whole.dress(picture), atol=0.05 / GRAY_LEVELS)
    assert apart(tiled.without_network()(picture), whole.without_network()(picture)) <= 1


def test_at_the_scale_of_the_training_windows_give_what_the_whole_picture_gives(tmp_path, tiles):
    run = write_random_refiner(tmp_path)
    picture = faces(301, 389)
    whole, tiled = (load(run, scale=TRAINING, memory_gib=gib) for gib in (64, 1e-3))
    assert apart(whole(picture), picture) > 20
    assert apart(tiled(picture), whole(picture)) <= 1 and len(tiles) == 1  # 16 x 21 px are no more than one tile


@pytest.mark.parametrize("scenes", [False, True])
def test_tiles_of_a_face_dressed_by_parts_are_those_of_the_whole_face(tmp_path, tiles, scenes):
    picture = resize(portrait(seed=100)[0], 430, 380)[None]
    dresser = part_looks(scenes)
    run = write_random_refiner(tmp_path)
    for scale in (OWN, TRAINING):
        whole, tiled = (load(run, scale=scale, memory_gib=gib) for gib in (64, 1e-3))
        whole.dresser = tiled.dresser = dresser
        assert apart(tiled(picture), whole(picture)) <= 1
    assert len(tiles) == 5 * 4 + 1  # of 96 px, twice the overlap of this smaller network; then a single one


@pytest.mark.parametrize("name", REFINERS)
def test_what_lies_beyond_a_networks_reach_has_no_part_in_a_pixel_and_what_lies_at_its_end_has(name):
    options = tiny_config(refiner__name=name, refiner__blocks=2, refiner__kernel=3).refiner
    # Of the resnet a pixel for each of its 1 + 2 * 2 convolutions; of the unet 1 and, where it halves, 2 + 4 + 8, then
    # 4 * 8 for its blocks, and on the way up 4 + 2 + 1 for interpolation and again for convolutions.
    assert reach(options, 3) == {"resnet": 5, "unet": 61}[name]
    assert reach(tiny_config(refiner__name=name, refiner__blocks=3, refiner__kernel=3).refiner, 1) > reach(options, 1)
