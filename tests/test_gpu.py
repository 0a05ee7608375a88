"""What is to be seen on a GPU: `python -m pytest -m gpu -s tests/test_gpu.py`, about ten minutes. Skipped elsewhere."""

import os
import subprocess
import sys
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from tiny import TINY, write_pile

TESTS = Path(__file__).parent
BACKENDS = [name for name in ("tensorflow", "jax") if find_spec(name)]
WITHIN = 1e-2  # of the CPU's losses: products in TF32 have a mantissa of 10 bits
ON_CPU = {"CUDA_VISIBLE_DEVICES": "-1", "JAX_PLATFORMS": "cpu"}


def run_python(*arguments, **environment: str) -> str:
    path = os.pathsep.join([str(TESTS.parent), str(TESTS), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"PYTHONPATH": path} | environment
    done = subprocess.run([sys.executable, *map(str, arguments)], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


@cache
def has_gpu(backend: str) -> bool:
    """Asked in a process of its own, and only where there is a driver, as starting a backend takes seconds."""
    if not any(Path(file).exists() for file in ("/proc/driver/nvidia/version", "/dev/dxg", "/dev/kfd")):
        return False
    program = "from simrefine import backend; print('GPU' if backend.has_gpu() else '')"
    return "GPU" in run_python("-c", program, KERAS_BACKEND=backend)


@pytest.fixture(params=BACKENDS)
def backend(request) -> str:
    if not has_gpu(request.param):
        pytest.skip(f"there is no GPU that {request.param} can use")
    return request.param


@pytest.mark.gpu
@pytest.mark.parametrize("method", ["simgan", "cyclegan"])
def test_losses_are_those_of_the_cpu(backend, method, tmp_path):
    found = []
    for device in (ON_CPU, {}):
        run_python(TESTS / "parity.py", method, tmp_path, KERAS_BACKEND=backend, **device)
        found.append(dict(np.load(tmp_path / f"{backend}.npz")))
    for name in ("refiner/loss", "refiner/realism", "discriminator/loss"):
        print(f"{backend} {method} {name}: within {np.abs(found[0][name] - found[1][name]).max():.1e}")
        np.testing.assert_allclose(found[1][name], found[0][name], atol=WITHIN, rtol=WITHIN)


@pytest.mark.gpu
@pytest.mark.parametrize("size", [64, 128, 256])
def test_speed_is_printed(backend, size):
    script = TESTS.parent / "experiments" / "benchmarks" / "backends.py"
    pytorch = ["--pytorch"] if find_spec("torch") else []
    said = run_python(script, "--size", size, "--rounds", 5, "--steps", 20, *pytorch)
    print(said)
    assert "images/s" in said


@pytest.mark.gpu
def test_a_run_resumes_close_to_one_that_never_stopped_and_short_memory_is_a_message(backend, tmp_path):
    piles = [
        "--synthetic",
        write_pile(tmp_path / "synthetic", 8),
        "--real",
        write_pile(tmp_path / "real", 8, real=True),
    ]
    options = TINY | {"monitor.checkpoint_every": 2, "training.learning_rate_decay": 0}
    options = [word for key, value in options.items() for word in ("--set", f"{key}={value}")]
    train = ["-m", "simrefine", "train", "--backend", backend, "--device", "gpu"]
    for run, steps in (("whole", 4), ("parts", 2)):
        run_python(*train, *piles, "--run", tmp_path / run, *options, "--steps", steps)
    run_python(*train, "--resume", "--run", tmp_path / "parts", "--steps", 4)
    from safetensors.numpy import load_file

    whole, parts = (load_file(tmp_path / run / "refiner" / "weights.safetensors") for run in ("whole", "parts"))
    for name, value in whole.items():
        np.testing.assert_allclose(parts[name], value, atol=1e-3)
    large = ["--size", 1024, "--batch-size", 4096, "--set", "history.half_batches=0", "--run", tmp_path / "large"]
    with pytest.raises(AssertionError, match="not enough memory.*--batch-size"):
        run_python(*train, *piles, *options, *large)
