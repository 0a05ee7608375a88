"""The backend, chosen in this one place: what differs between backends, under names that are the same for all.

Everything else is `keras.ops`. The choice is Keras's own, the environment variable KERAS_BACKEND; without it, it is
that of `simrefine.choice`. A further backend is one more module with the same names and one more entry here.
"""

import os

from simrefine.choice import choose
from simrefine.errors import UserError

# Read by Keras and TensorFlow when they are first imported, so this package comes before both.
choose()
# TensorFlow logs a missing GPU and a skipped graph rewrite as errors; real ones arrive as Python exceptions too.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras  # noqa: E402

name = keras.backend.backend()
if name == "tensorflow":
    from simrefine.backend import tensorflow as _module
elif name == "jax":
    from simrefine.backend import jax as _module
else:
    raise UserError(f"Keras was imported before simrefine, with the backend {name!r}", "set KERAS_BACKEND=tensorflow")

compile_inference = _module.compile_inference
compile_step = _module.compile_step
describe_device = _module.describe_device
device_count = _module.device_count
gpu_bytes = _module.gpu_bytes
has_gpu = _module.has_gpu
has_native_bfloat16 = _module.has_native_bfloat16
minimise = _module.minimise
read_rows = _module.read_rows
resolve_precision = _module.resolve_precision
to_device = _module.to_device
use_all_devices = _module.use_all_devices
use_device = _module.use_device
write_rows = _module.write_rows

__all__ = [
    "compile_inference",
    "compile_step",
    "describe_device",
    "device_count",
    "gpu_bytes",
    "has_gpu",
    "has_native_bfloat16",
    "minimise",
    "name",
    "read_rows",
    "resolve_precision",
    "to_device",
    "use_all_devices",
    "use_device",
    "write_rows",
]
