"""The parts of a folder's pictures are those of its masks, where it has some."""

import json
import os
import time

import numpy as np
import pytest
from click.testing import CliRunner
from tiny import SIZE, tiny_config, write_pile

from simrefine.catalogue import PARTS
from simrefine.cli import main
from simrefine.data.images import Picture, encode_picture, read_picture
from simrefine.errors import UserError
from simrefine.refining.folder import refine_folder
from simrefine.refining.refiner import load
from simrefine.training.train import train

COUNT = 4
HAIR, CLOTHES = 6, 8  # classes


def write_masks(folder, split: float = 0.5, names=range(COUNT)):
    """Masks whose pictures are hair down to `split` of the height, and clothes below."""
    folder.mkdir(exist_ok=True)
    mask = np.where(np.arange(SIZE)[:, None] < split * SIZE, HAIR, CLOTHES) * np.ones((SIZE, SIZE), int)
    for name in names:
        write_mask(folder / f"{name:03d}.png", mask)
    return folder


def write_mask(path, mask):
    path.write_bytes(encode_picture(Picture(mask.astype(np.uint8)[..., None]), ".png"))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    write_masks(folder / "raw-masks", names=range(8))
    piles = write_pile(folder / "raw", 8), write_pile(folder / "real", 8, real=True)
    train(tiny_config(data__synthetic=str(piles[0]), data__real=str(piles[1])), folder / "run", quiet=True)
    train(
        tiny_config(data__synthetic=str(piles[0]), data__real=str(piles[1]), style__by="picture"),
        folder / "whole",
        quiet=True,
    )
    return folder


@pytest.fixture
def renders(tmp_path):
    return write_pile(tmp_path / "renders", COUNT, seed=1)


def pictures(folder):
    return [read_picture(path).pixels for path in sorted(folder.glob("*.png"))]


def changed(one, other):
    return [bool((a != b).any()) for a, b in zip(pictures(one), pictures(other), strict=True)]


def test_the_command_takes_the_masks_beside_the_folder_unless_told_otherwise(trained, renders, tmp_path):
    write_masks(tmp_path / "renders-masks", names=range(1, COUNT))  # the first picture has none

    def refined(name, *arguments):
        command = ["refine", str(renders), "--model", str(trained / "run"), "--out", str(tmp_path / name), *arguments]
        done = CliRunner().invoke(main, command)
        assert done.exit_code == 0, done.output
        assert ("along the masks in" in done.output) == (name != "without")
        return tmp_path / name

    auto, without = refined("auto"), refined("without", "--masks", "")
    assert changed(auto, without) == [False, True, True, True]
    named = refined("named", "--masks", str(tmp_path / "renders-masks"))
    assert changed(auto, named) == [False] * COUNT
    command = [
        "refine",
        str(renders),
        "--model",
        str(trained / "run"),
        "--out",
        "x",
        "--masks",
        str(tmp_path / "nowhere"),
    ]
    assert "nowhere is not there" in CliRunner().invoke(main, command).output
    manifests = [json.loads((folder / "simrefine.json").read_text()) for folder in (auto, without)]
    assert manifests[0]["masks"] == str(tmp_path / "renders-masks") and manifests[1]["masks"] is None
    assert manifests[0]["refiner"] != manifests[1]["refiner"]


def test_where_a_mask_says_nothing_the_parser_does(trained, renders):
    refiner, faces = load(trained / "run"), np.stack(pictures(renders))
    nothing, hair = (np.full((SIZE, SIZE), value, np.uint8) for value in (255, PARTS.index("hair")))
    np.testing.assert_array_equal(refiner.dress(faces, [nothing, None] * 2), refiner.dress(faces))
    assert (refiner.dress(faces, [hair] * COUNT) != refiner.dress(faces)).any()


def test_a_picture_is_refined_again_when_its_mask_is_newer(trained, renders, tmp_path):
    refiner = load(trained / "run").with_masks(write_masks(tmp_path / "m"))
    assert refine_folder(refiner, renders, tmp_path / "out").written == COUNT
    later = time.time() + 5
    os.utime(tmp_path / "m" / "002.png", (later, later))
    assert refine_folder(refiner, renders, tmp_path / "out").written == 1


def test_a_mask_that_does_not_lie_on_its_picture_is_a_reject_and_stops_nothing(trained, renders, tmp_path):
    masks = write_masks(tmp_path / "m")
    write_mask(masks / "001.png", np.ones((SIZE, 2 * SIZE)))
    (masks / "002.png").write_bytes(b"no PNG")
    summary = refine_folder(load(trained / "run").with_masks(masks), renders, tmp_path / "out")
    assert (summary.written, summary.rejected) == (2, 2)
    reasons = {reject.relative: reject.reason for reject in summary.rejects}
    assert f"32 x 16 pixels do not lie on a picture of {SIZE} x {SIZE}" in reasons["001.png"]
    assert "m/002.png cannot be used" in reasons["002.png"]


def test_a_large_picture_takes_its_mask_along(trained, tmp_path):
    large, masks = write_pile(tmp_path / "large", 2, size=24 * SIZE), write_masks(tmp_path / "m")
    whole, windows, without = (tmp_path / name for name in ("whole", "windows", "without"))
    refine_folder(load(trained / "run", memory_gib=64).with_masks(masks), large, whole)
    refine_folder(load(trained / "run", memory_gib=1e-3).with_masks(masks), large, windows, memory_gib=1e-3)
    refine_folder(load(trained / "run"), large, without)
    assert changed(whole, without) == [True, True]
    for one, other in zip(pictures(whole), pictures(windows), strict=True):
        assert np.abs(one.astype(int) - other).max() <= 1


def test_masks_that_change_nothing_or_belong_to_other_pictures_are_refused(trained, renders, tmp_path):
    with pytest.raises(UserError, match="trained without parts, so masks change nothing"):
        load(trained / "whole").with_masks(write_masks(tmp_path / "m"))
    assert load(trained / "whole").with_masks("auto", (renders, tmp_path)).masks is None
    with pytest.raises(UserError, match="folder of masks .* does not exist"):
        load(trained / "run").with_masks(tmp_path / "nowhere")
    with pytest.raises(UserError, match="has a mask of its name in"):
        refine_folder(
            load(trained / "run").with_masks(write_masks(tmp_path / "o", names=[77])), renders, tmp_path / "x"
        )
