"""The backend, chosen in this one place: what differs between backends, under names that are the same for all.

Everything else is `keras.ops`. The choice is Keras's own, the environment variable KERAS_BACKEND; without it, it is
TensorFlow. A second backend is a second module with the same names and one more entry here.
"""

import os

# Read by Keras and TensorFlow when they are first imported, so this package comes before both.
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
# TensorFlow logs a missing GPU and a skipped graph rewrite as errors; real ones arrive as Python exceptions too.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras

from simrefine.errors import UserError

if keras.backend.backend() == "tensorflow":
    from simrefine.backend.tensorflow import (
        compile_inference,
        compile_step,
        describe_device,
        minimise,
        resolve_precision,
        use_device,
    )
else:
    raise UserError(
        f"Keras is set to the backend {keras.backend.backend()!r} (KERAS_BACKEND or keras.json)",
        "set KERAS_BACKEND=tensorflow, the one backend simrefine supports so far",
    )

__all__ = [
    "compile_inference",
    "compile_step",
    "describe_device",
    "minimise",
    "resolve_precision",
    "use_device",
]
