"""The Python interface: what `import simrefine` offers, and that it loads nothing heavy before it must."""

import inspect
import json
import subprocess
import sys

import numpy as np
import pytest
from tiny import tiny_config, write_pile

import simrefine
from simrefine.cli import main
from simrefine.errors import UserError
from simrefine.refining.refiner import check_pictures


def test_the_functions_of_the_commands_are_there_and_described():
    for name in ("evaluate", "load", "load_generator", "prepare", "refine", "train"):
        assert name in dir(simrefine) and name in simrefine.__all__ and getattr(simrefine, name).__doc__
    with pytest.raises(AttributeError, match="no attribute 'rifine'"):
        simrefine.rifine  # noqa: B018 the error is what is looked at


def test_importing_and_preparing_load_no_backend():
    program = (
        "import sys, simrefine; simrefine.prepare; sys.exit('keras' in sys.modules or 'tensorflow' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0


def test_prepare_cuts_the_faces_of_a_folder(tmp_path):
    pictures = write_pile(tmp_path / "pictures", 2, size=64)
    points = [[20, 25], [44, 25], [32, 35], [24, 45], [40, 45]]
    lines = [json.dumps({"file": path.name, "landmarks": points}) for path in sorted(pictures.iterdir())]
    (tmp_path / "labels.jsonl").write_text("\n".join(lines))
    done = simrefine.prepare(pictures, tmp_path / "crops", labels=tmp_path / "labels.jsonl", size=32, max_outside=0.9)
    assert done.written == 2 and (tmp_path / "crops" / "000.png").exists()
    with pytest.raises(UserError, match="lies in"):
        simrefine.prepare(pictures, pictures / "crops", labels=tmp_path / "labels.jsonl")


def test_prepare_asks_the_same_of_a_crop_in_python_and_on_the_command_line():
    flags = {option.name: option.default for option in main.commands["prepare"].params}
    parameters = inspect.signature(simrefine.prepare).parameters
    for name in ("size", "max_scale", "max_outside"):
        assert flags[name] == parameters[name].default


def test_train_then_refine_in_python(piles, tmp_path):
    config = tiny_config(**{key.replace(".", "__"): value for key, value in piles.items()}, training__steps=1)
    simrefine.train(config, tmp_path / "run", quiet=True)
    done = simrefine.refine(piles["data.synthetic"], tmp_path / "out", model=tmp_path / "run", strength=0.5)
    assert done.written == 10
    assert json.loads((tmp_path / "out" / "simrefine.json").read_text())["model"] == str(tmp_path / "run")


@pytest.mark.parametrize(
    ("pictures", "said"),
    [
        (np.zeros((8, 8, 3), np.uint8), r"single picture: pictures\[None\]"),
        (np.zeros((2, 3, 8, 8), np.uint8), r"transpose\(0, 2, 3, 1\)"),
        (np.zeros((2, 8, 8, 4), np.uint8), r"transparency.*pictures\[\.\.\., :3\]"),
        (np.zeros((2, 8, 8, 1), np.uint8), r"trained on colour pictures.*to_channels\(pictures, 3\)"),
        (np.zeros((8, 8), np.uint8), "the axes must be"),
        (np.full((2, 8, 8, 3), 0.5, np.float32), r"from 0.5 to 0.5: if 0 is black.*255 \* pictures"),
        (np.linspace(-1, 1, 384).reshape(2, 8, 8, 3), r"from -1 to 1.*to_uint8\(pictures\)"),
        (np.full((2, 8, 8, 3), 200, np.int64), r"from 200 to 200.*rint\(pictures\)"),
        (np.full((2, 8, 8, 3), 40000, np.uint16), "from 4e\\+04 to 4e\\+04: bring them to gray levels"),
        (np.full((2, 8, 8, 3), np.nan), "NaN"),
        (np.array([None]), "numpy.uint8"),
    ],
)
def test_an_array_that_cannot_be_refined_is_told_what_is_wrong_with_it(pictures, said):
    with pytest.raises(UserError, match=said) as caught:
        check_pictures(pictures, 3)
    assert f"got {pictures.dtype} {list(pictures.shape)}" in str(caught.value)


def test_pictures_as_they_should_be_pass():
    check_pictures(np.zeros((2, 8, 8, 3), np.uint8), 3)
    check_pictures(np.zeros((0, 8, 8, 1), np.uint8), 1)
