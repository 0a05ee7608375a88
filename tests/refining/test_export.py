"""An exported network refines as `simrefine.load` does: the lines of docs/export.md, run as they stand there."""

import importlib.util
import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from random_refiner import write_random_refiner
from tiny import SIZE, draw_face

import simrefine
from simrefine.catalogue import EXPORTS
from simrefine.cli import main
from simrefine.errors import EXIT_OK, EXIT_USER_ERROR, UserError
from simrefine.refining import export as export_module
from simrefine.refining.export import export

DOCS = Path(__file__).parents[2] / "docs" / "export.md"
COMMANDS, DRESSING, *EXAMPLES = re.findall(r"```(?:sh|python)\n(.*?)```", DOCS.read_text(), re.DOTALL)
RUNTIMES = {"onnx": "onnxruntime", "litert": "ai_edge_litert", "saved_model": "tensorflow"}


def need(to: str) -> None:
    """Skips where a package to export or to run it is missing."""
    missing = [each for each in (*EXPORTS[to].packages, RUNTIMES[to]) if importlib.util.find_spec(each) is None]
    if missing:
        pytest.skip(f"{' and '.join(missing)} missing: pip install -e '.[{to}]'")


def faces(height, width, channels=3, count=2):
    square = [draw_face(np.random.default_rng(seed), max(height, width), channels) for seed in range(count)]
    return np.stack(square)[:, :height, :width]


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    """A folder with the run of the documentation."""
    folder = tmp_path_factory.mktemp("export")
    write_random_refiner(folder / "runs" / "first")
    return folder


@pytest.fixture(scope="module", params=[*EXPORTS])
def exported(request, here):
    """The documentation's command for a format, done; the folder it was done in, and its lines of Python."""
    need(request.param)
    place = [*EXPORTS].index(request.param)
    command, example = COMMANDS.splitlines()[place], EXAMPLES[place]
    assert command.endswith(f"--to {request.param}") and RUNTIMES[request.param] in example
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(here)
        done = CliRunner().invoke(main, shlex.split(command)[1:], catch_exceptions=False)
    assert done.exit_code == EXIT_OK, done.output
    return here, example


@pytest.mark.parametrize(
    ("height", "width", "scale"), [(SIZE, SIZE, "training"), (SIZE, SIZE + 8, "training"), (40, 32, "own")]
)
def test_an_exported_network_refines_as_the_run_does_at_any_size(exported, height, width, scale, monkeypatch):
    folder, example = exported
    monkeypatch.chdir(folder)
    images = faces(height, width)
    names = {"images": images}
    exec(DRESSING + example, names)
    expected = simrefine.load("runs/first", scale=scale)(images)
    assert names["faces"].shape == images.shape and names["faces"].dtype == np.uint8
    assert np.abs(names["faces"].astype(int) - expected).max() <= 1
    dressed = simrefine.load("runs/first").without_network()(images)
    assert np.abs(dressed.astype(int) - expected).mean() > 5, "else a network that does nothing would pass"


def test_a_gray_refiner_without_stride_or_styles_is_exported_and_says_so(tmp_path):
    options = {"data__channels": 1, "refiner__name": "resnet", "style__candidates": 0}
    run = write_random_refiner(tmp_path / "run", **options)
    network = export(run, "saved_model", tmp_path / "out")
    about = json.loads((tmp_path / "out" / "about.json").read_text())
    wanted = {"format": "saved_model", "file": "saved_model", "shape": ["n", "h", "w", 1], "colour": "gray"}
    wanted |= {"multiple_of": 1, "size": SIZE, "step": 4, "before": "gray levels / 127.5 - 1"}
    assert about.items() >= wanted.items()
    assert about["fingerprint"] == simrefine.load(run).fingerprint
    import tensorflow

    images = faces(SIZE, SIZE + 3, channels=1)
    refined = tensorflow.saved_model.load(network)
    values = refined.serve(np.float32(images / 127.5 - 1)).numpy()
    assert np.abs(np.rint((values + 1) * 127.5) - simrefine.load(run)(images)).max() <= 1


def test_what_is_there_is_not_overwritten(here, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("mine")
    command = ["export", str(here / "runs" / "first"), str(tmp_path / "out"), "--to", "saved_model"]
    done = CliRunner().invoke(main, command)
    assert done.exit_code == EXIT_USER_ERROR and "is there already" in done.output
    assert [path.name for path in tmp_path.rglob("*")] == ["out", "mine"]


def test_an_export_that_fails_leaves_nothing(here, tmp_path, monkeypatch):
    def fail(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(export_module, "describe", fail)  # after the network is written
    with pytest.raises(KeyboardInterrupt):
        export(here / "runs" / "first", "saved_model", tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_a_users_mistake_is_told_before_anything_is_written(here, tmp_path, monkeypatch):
    run, out = here / "runs" / "first", tmp_path / "out"
    with pytest.raises(UserError, match="choose one of onnx, litert, saved_model"):
        export(run, "onix", out)
    with pytest.raises(UserError, match="nowhere is not there"):
        export(tmp_path / "nowhere", "saved_model", out)
    monkeypatch.setattr(export_module.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"needs tf2onnx and onnx. install them: .* '\.\[onnx\]'"):
        export(run, "onnx", out)
    assert not list(tmp_path.iterdir())
