"""A published refiner says what it is, and one that cannot be trusted is refused with the right advice."""

import json
import os

import numpy as np
import pytest
from tiny import published

from simrefine.data.dressing import STYLES
from simrefine.errors import UserError
from simrefine.training.published import read_refiner, write_published


def test_a_published_refiner_says_what_it_is(tmp_path):
    one = published([np.zeros(3), np.ones(2)], np.ones((5, 2, 1)), data__channels=1)
    write_published(tmp_path / "refiner", one, 7, {"held_out/kid": 3.0})
    for path in (tmp_path, tmp_path / "refiner"):
        found = read_refiner(path)
        config = found.config
        assert (found.step, config.data.channels, config.data.size, config.refiner.width) == (7, 1, 16, 4)
        assert [len(weights) for weights in found.weights] == [3, 2]
        assert found.looks[STYLES].shape == (5, 2, 1) and config.style.candidates == 4
        assert found.evaluation == {"held_out/kid": 3.0}


def change_about(folder, change):
    file = folder / "refiner" / "model.json"
    about = json.loads(file.read_text())
    file.write_text(json.dumps(change(about)))


def test_a_refiner_of_format_2_is_read(tmp_path):
    write_published(tmp_path / "refiner", published([np.zeros(3)], np.zeros((1, 4, 3)), refiner__width=8), 7)

    def to_format_2(about):
        options = about.pop("options")
        del about["kind"]
        return about | options["data"] | {"refiner": options["refiner"], "style": options["style"], "format": 2}

    change_about(tmp_path, to_format_2)
    found = read_refiner(tmp_path)
    assert (found.step, found.config.refiner.width, found.config.data.size) == (7, 8, 16)


def test_a_refiner_from_before_borders_were_an_option_is_built_as_it_was_trained(tmp_path):
    write_published(tmp_path / "refiner", published([np.zeros(3)], np.zeros((1, 4, 3))), 7)
    assert read_refiner(tmp_path).config.refiner.borders == "mirrored"

    def to_older(about):
        del about["options"]["refiner"]["borders"]
        return about

    change_about(tmp_path, to_older)
    assert read_refiner(tmp_path).config.refiner.borders == "zeros"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 99}, "use a newer simrefine"),
        ({"format": 1}, "use the older simrefine that wrote it, or train again"),
        ({"format": "2"}, "damaged"),
        ({"sha256": "0"}, "damaged"),
        ({"kind": "generator"}, "no refiner but a generator"),
        ({"options": {"refiner": {"name": "unet", "width": 10**9}}}, "between 0 and 1024"),
        ({"options": {"refiner": {"name": "transformer"}}}, "not one of 'resnet', 'unet'"),
        ({"options": None}, "damaged"),
        ({"step": float("inf")}, "damaged"),
        ({"step": "many"}, "damaged"),
        ({"evaluation": "good"}, "damaged"),
    ],
)
def test_a_refiner_that_cannot_be_trusted_is_refused(tmp_path, change, message):
    write_published(tmp_path / "refiner", published([np.zeros(3)], np.zeros((1, 4, 3))), 7)
    change_about(tmp_path, lambda about: about | change)
    with pytest.raises(UserError, match=message):
        read_refiner(tmp_path)


def test_a_refiner_whose_weights_are_no_numbers_is_refused(tmp_path, monkeypatch):
    with monkeypatch.context() as older:  # a simrefine that did not look wrote it
        older.setattr("simrefine.arrays.non_finite", lambda _: "")
        write_published(tmp_path / "refiner", published([np.full(3, np.nan)], np.zeros((1, 4, 3))), 7)
    with pytest.raises(UserError, match="training that diverged: 000 is not finite"):
        read_refiner(tmp_path)


@pytest.mark.parametrize(
    ("weights", "styles", "message"),
    [
        (np.zeros(3, np.int32), np.zeros((1, 4, 3)), "000 holds what is no finite number"),
        (np.zeros(3), np.full((1, 4, 3), 1e30), "styles holds what is no number"),
        (np.zeros(3), np.zeros((1, 4, 4)), "the looks are not styles"),
        (np.zeros(3), np.zeros((0, 4, 3)), "the looks are not styles"),
        (np.zeros(3), np.zeros(()), "the looks are not styles"),
    ],
)
def test_weights_and_styles_that_are_no_numbers_in_their_range_are_refused(tmp_path, weights, styles, message):
    write_published(tmp_path / "refiner", published([weights], styles), 7)
    with pytest.raises(UserError, match=message):
        read_refiner(tmp_path)


def test_a_model_of_nested_brackets_is_refused(tmp_path):
    write_published(tmp_path / "refiner", published([np.zeros(3)], np.zeros((1, 4, 3))), 7)
    (tmp_path / "refiner" / "model.json").write_text("[" * 100_000)
    with pytest.raises(UserError, match="nested too deep"):
        read_refiner(tmp_path)


@pytest.mark.parametrize("name", ["model.json", "weights.safetensors"])
def test_a_pipe_or_a_giant_in_the_place_of_a_models_file_is_refused_unread(tmp_path, name):
    write_published(tmp_path / "refiner", published([np.zeros(3)], np.zeros((1, 4, 3))), 7)
    file = tmp_path / "refiner" / name
    os.truncate(file, 2**33)  # a sparse file: no byte of it is on the disk
    with pytest.raises(UserError, match=f"{name} .*more than the limit"):
        read_refiner(tmp_path)
    file.unlink()
    os.mkfifo(file)  # opening it would wait for ever
    with pytest.raises(UserError, match=f"{name} .*not a regular file"):
        read_refiner(tmp_path)


def test_refiners_that_make_something_else_of_a_picture_have_other_fingerprints(tmp_path):
    options = [{}, {"refiner__bound": 0.5}, {"refiner__residual": False}, {"style__candidates": 3}, {"data__size": 32}]
    options += [{"parts__candidates": 3}, {"data__channels": 1}]
    found = []
    for number, values in enumerate(options):
        write_published(tmp_path / str(number), published([np.zeros(3)], np.zeros((1, 4, 3)), **values), 7)
        try:
            found.append(read_refiner(tmp_path / str(number)).fingerprint)
        except UserError:  # its looks are not those of gray pictures
            assert values == {"data__channels": 1}
    write_published(tmp_path / "other", published([np.ones(3)], np.zeros((1, 4, 3))), 7)
    found.append(read_refiner(tmp_path / "other").fingerprint)
    write_published(tmp_path / "again", published([np.zeros(3)], np.zeros((1, 4, 3))), 8, {"held_out/kid": 1.0})
    assert len({*found}) == len(found) and read_refiner(tmp_path / "again").fingerprint == found[0]


def test_a_folder_without_a_refiner_is_named(tmp_path):
    with pytest.raises(UserError, match="holds no refiner"):
        read_refiner(tmp_path)
