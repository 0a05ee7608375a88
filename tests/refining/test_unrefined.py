"""What a refiner's network is given can be had without the network."""

import numpy as np
import pytest
from tiny import draw_face, tiny_config, write_pile

from simrefine.data.images import to_signed, to_uint8
from simrefine.data.styles import read_styles, restyle_alone
from simrefine.refining.refiner import load
from simrefine.training.train import train


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    piles = write_pile(folder / "raw", 8), write_pile(folder / "real", 8, real=True)
    train(tiny_config(data__synthetic=str(piles[0]), data__real=str(piles[1])), folder / "run", quiet=True)
    return folder / "run"


def test_dressed_only_gives_the_networks_very_input_and_is_another_refiner(run):
    rng = np.random.default_rng(0)
    faces = np.stack([draw_face(rng, 18) for _ in range(5)])  # no multiple of the stride
    refiner = load(run)
    dresser = refiner.without_network()
    dressed = dresser(faces)
    np.testing.assert_array_equal(dressed, to_uint8(restyle_alone(to_signed(faces), refiner.dresser.styles, 4, seed=0)))
    assert (dressed != faces).any() and (dressed != refiner(faces)).any()
    assert np.abs(read_styles(to_signed(dressed)) - read_styles(to_signed(faces))).max() > 0.02
    refiners = [load(run, seed=seed) for seed in (0, 1)]
    prints = {one.fingerprint for loaded in refiners for one in (loaded, loaded.without_network())}
    assert len(prints) == 4 and refiner.fingerprint == load(run).fingerprint
