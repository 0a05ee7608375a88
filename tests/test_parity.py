"""The same training, pictures and files on both backends. A process holds one of them, so each has some of its own."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from random_refiner import write_random_refiner
from tiny import draw_face

import simrefine

TESTS = Path(__file__).parent
# XLA's dearer passes make a test's few steps no faster.
QUICK = {"XLA_FLAGS": "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"}
WITHIN = 1e-4  # of the numbers of a step; of a total that sums weighted losses, a share

pytestmark = pytest.mark.skipif(not find_spec("jax"), reason="JAX is not installed")


def run_python(backend: str, *arguments, **variables: str) -> str:
    path = os.pathsep.join([str(TESTS.parent), str(TESTS), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | QUICK | {"KERAS_BACKEND": backend, "PYTHONPATH": path} | variables
    done = subprocess.run(
        [sys.executable, *map(str, arguments)], capture_output=True, text=True, env=environment, cwd=TESTS.parent
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


@pytest.mark.parametrize("method", ["simgan", "cyclegan"])
def test_from_equal_weights_both_backends_log_the_same_losses(method, tmp_path):
    for backend in ("tensorflow", "jax"):
        run_python(backend, TESTS / "parity.py", method, tmp_path)
    ours, theirs = (np.load(tmp_path / f"{backend}.npz") for backend in ("jax", "tensorflow"))
    assert set(ours) == set(theirs)
    losses = [name for name in theirs if name.split("/")[-1] not in ("change", "diversity") and "accuracy" not in name]
    assert len(losses) >= 4
    for name in losses:
        assert len(theirs[name]) == 20
        np.testing.assert_allclose(ours[name], theirs[name], atol=WITHIN, rtol=WITHIN, err_msg=name)


def test_devices_that_share_each_step_log_the_losses_of_one(tmp_path):
    """Two devices that JAX makes of this CPU; the batch is the same one, of which each has a half."""
    several = f"{QUICK['XLA_FLAGS']} --xla_force_host_platform_device_count=2"
    run_python("jax", TESTS / "parity.py", "simgan", tmp_path)
    said = run_python("jax", TESTS / "parity.py", "simgan", tmp_path, "all", XLA_FLAGS=several)
    assert "2 devices" in said and "parts of (4, 32, 32, 3): [(2, 32, 32, 3), (2, 32, 32, 3)]" in said
    one, both = (np.load(tmp_path / f"{name}.npz") for name in ("jax", "jax-all"))
    assert set(one) == set(both) and len(one) > 8
    for name in one:
        np.testing.assert_allclose(both[name], one[name], atol=WITHIN, rtol=WITHIN, err_msg=name)


@pytest.fixture(scope="module")
def without_tensorflow(tmp_path_factory) -> tuple[Path, str]:
    """The folder that without_tensorflow.py filled, and what it said."""
    folder = tmp_path_factory.mktemp("without_tensorflow")
    write_random_refiner(folder / "model")
    rng = np.random.default_rng(3)
    np.save(folder / "faces.npy", np.stack([draw_face(rng, 24) for _ in range(3)]))
    return folder, run_python("jax", TESTS / "without_tensorflow.py", folder)


def test_a_refiner_makes_the_same_pictures_on_both_backends(without_tensorflow):
    folder, _ = without_tensorflow
    faces, ours = np.load(folder / "faces.npy"), np.load(folder / "refined.npy").astype(int)
    theirs = simrefine.load(folder / "model")(faces)
    assert np.abs(theirs.astype(int) - faces).mean() > 2, "it changes them"
    assert np.abs(ours - theirs).max() <= 1 and (ours != theirs).mean() < 1e-3, "but for pixels between two levels"


def test_jax_trains_resumes_and_refines_where_there_is_no_tensorflow(without_tensorflow):
    folder, said = without_tensorflow
    assert "backend    jax" in said and len([*(folder / "refined").glob("*.png")]) == 6
    assert list((folder / "whole" / "tensorboard").glob("events*"))


def test_a_run_that_is_resumed_on_jax_equals_bit_for_bit_one_that_never_stopped(without_tensorflow):
    folder, _ = without_tensorflow
    for file in ("refiner/weights.safetensors", "checkpoints/step-0000003/state.safetensors"):
        assert (folder / "resumed" / file).read_bytes() == (folder / "whole" / file).read_bytes()


def test_what_guards_a_step_guards_it_on_jax_too():
    guards = ("test_backend.py", "methods/test_simgan.py::test_the_refiner_learns_from_the_discriminator_as_it_is_now")
    said = run_python("jax", "-m", "pytest", "-q", "-p", "no:cacheprovider", *(TESTS / guard for guard in guards))
    assert "passed" in said and "skipped" not in said
