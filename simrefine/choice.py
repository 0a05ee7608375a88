"""Which backend computes, and on which device: settled before Keras is imported, for it and the backends read the
environment then, and never again."""

import os
from collections.abc import MutableMapping
from importlib.util import find_spec
from pathlib import Path

from simrefine.errors import UserError

BACKENDS = ("tensorflow", "jax")
JAX_ON_CUDA = ("jax_cuda12_plugin", "jax_cuda13_plugin")  # what the extra `jax-cuda` installs, in one version
NO_GPU = {"CUDA_VISIBLE_DEVICES": "-1", "JAX_PLATFORMS": "cpu"}  # an environment in which there is none
NVIDIA_DRIVERS = ("/proc/driver/nvidia/version", "/dev/dxg")  # the second is that of WSL


def choose(backend: str = "auto", device: str = "auto", environment: MutableMapping[str, str] = os.environ) -> str:
    """Puts into the environment what `--backend` and `--device` ask for; says why the backend is the one it is.

    Args:
        backend: a name of BACKENDS; auto = what KERAS_BACKEND names, else `best_backend`.
        device: cpu, gpu, gpu:0, gpu:1, ...; auto = the first GPU that the backend can use, else the CPU; all = all GPUs
            together, see `devices.share_among_all`.

    Raises:
        UserError: there is no such backend or device, or the backend is not installed.
    """
    _choose_device(device, environment)
    named = environment.get("KERAS_BACKEND")
    if backend != "auto":
        why = "asked for"
    elif named:
        backend, why = named, "KERAS_BACKEND names it"
    else:
        backend, why = best_backend(environment)
    if backend not in BACKENDS:
        raise UserError(f"the backend {backend!r} is unknown to simrefine", f"choose {' or '.join(BACKENDS)}")
    if not find_spec(backend):
        raise UserError(f"the backend {backend} is not installed", _how_to_install(backend))
    environment["KERAS_BACKEND"] = backend
    return why


def best_backend(environment: MutableMapping[str, str] = os.environ) -> tuple[str, str]:
    """The backend that `auto` takes, and why."""
    if not find_spec("tensorflow"):
        return "jax", "TensorFlow is not installed"
    if any(map(find_spec, JAX_ON_CUDA)) and _sees_nvidia(environment):
        return "jax", "there is an NVIDIA GPU, and JAX is installed with CUDA"
    return "tensorflow", "it is the default, and several times faster than JAX on a CPU"


def _choose_device(device: str, environment: MutableMapping[str, str]) -> None:
    kind, colon, number = device.partition(":")
    if kind not in ("auto", "all", "cpu", "gpu") or (colon and not (kind == "gpu" and number.isdecimal())):
        raise UserError(f"the device {device!r} is unknown", "choose auto, cpu, gpu, one of several as gpu:0, or all")
    if kind == "cpu":
        environment |= NO_GPU
    elif colon:
        visible = [name for name in environment.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
        if visible and int(number) >= len(visible):
            raise UserError(f"there is no {device}: CUDA_VISIBLE_DEVICES names {len(visible)}", "count from gpu:0")
        environment["CUDA_VISIBLE_DEVICES"] = visible[int(number)] if visible else number


def _sees_nvidia(environment: MutableMapping[str, str]) -> bool:
    hidden = environment.get("CUDA_VISIBLE_DEVICES", "all") in ("", "-1") or environment.get("JAX_PLATFORMS") == "cpu"
    return not hidden and any(Path(file).exists() for file in NVIDIA_DRIVERS)


def _how_to_install(backend: str) -> str:
    package = {"jax": "'.[jax]', or '.[jax-cuda]' for an NVIDIA GPU", "tensorflow": "."}[backend]
    return f"pip install -c constraints.txt {package}"
