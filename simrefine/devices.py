"""What a training would run on, and why: lines for people."""

from importlib.metadata import PackageNotFoundError, version

from simrefine import backend
from simrefine.choice import BACKENDS
from simrefine.config import AUTO_LARGEST, Config
from simrefine.errors import UserError
from simrefine.training.room import batch_with_room


def check_device(device: str) -> None:
    """Raises a UserError where a GPU is asked for that the backend does not see."""
    if device.startswith("gpu") and not backend.has_gpu():
        extra = {"tensorflow": "cuda", "jax": "jax-cuda"}[backend.name]
        raise UserError(
            f"there is no {device} that {backend.name} can use",
            f"for an NVIDIA GPU: pip install -c constraints.txt '.[{extra}]'; `simrefine devices` says what is seen",
        )


def share_among_all() -> int:
    """Lets all GPUs of this machine share each step of a training; returns how many there are.

    Raises:
        UserError: the backend is TensorFlow. Its strategy gives each device a loss of its own part of a batch: history
            buffers, means over a batch and contrasts between its people would mean something else.
    """
    if backend.name != "jax":
        raise UserError("--device all needs JAX", "add --backend jax: pip install -c constraints.txt '.[jax-cuda]'")
    return backend.use_all_devices()


def describe_devices(why_backend: str) -> list[str]:
    """What is seen, what the settings come to, and why.

    Args:
        why_backend: the reason for the backend, see `choice.choose`.
    """
    backend.use_device()
    dtype = backend.resolve_precision("auto")
    precision = {"float32": "float32", "mixed_bfloat16": "bfloat16"}[dtype]
    return [
        f"backend    {backend.name}: {why_backend} (installed: {', '.join(_installed())})",
        f"device     {backend.describe_device()}",
        f"precision  {precision}: {_why_precision(precision)}",
        f"batch      {_say_batch()}",
    ]


def _installed() -> list[str]:
    found = []
    for name in BACKENDS:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return found


def _why_precision(precision: str) -> str:
    if precision == "bfloat16":
        return "the device computes in it, and faster than in float32"
    if backend.has_gpu():
        return "bfloat16 needs a GPU of compute capability 8.0 or more"
    if backend.name == "jax":
        return "bfloat16 was not measured with JAX on a CPU"
    return "the CPU has no instructions for bfloat16"


def _say_batch() -> str:
    batch, bytes_ = Config.load(environment={}).training.batch_size, backend.gpu_bytes()
    if bytes_ is None:
        return f"{batch}: the default; memory is not looked at before the first step"
    most = batch_with_room(AUTO_LARGEST, bytes_)
    return f"{batch}: the default; about {most} of {AUTO_LARGEST} px fit in the GPU's {bytes_ / 2**30:.1f} GiB"
