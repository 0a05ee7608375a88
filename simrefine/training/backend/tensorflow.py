"""Everything that needs TensorFlow itself; all else is keras.ops.

A second backend is a second module with these names: `minimise`, `compile_step`, `compile_inference`, `use_device`,
`describe_device`, `resolve_precision`.
"""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import keras
import tensorflow as tf

from simrefine.errors import UserError

if keras.backend.backend() != "tensorflow":
    raise UserError(
        f"Keras is set to the backend {keras.backend.backend()!r} (KERAS_BACKEND or keras.json)",
        "set KERAS_BACKEND=tensorflow, the one backend simrefine supports so far",
    )

NATIVE_BFLOAT16_CPU_FLAGS = {"amx_bf16", "avx512_bf16"}  # elsewhere bfloat16 is emulated, and slower than float32
NATIVE_BFLOAT16_COMPUTE_CAPABILITY = (8, 0)  # Ampere


def minimise(loss: Callable, variables: list[keras.Variable], optimizer: keras.optimizers.Optimizer) -> dict:
    """One gradient step: `loss()` gives (scalar, aux); `variables`, and nothing else, move; returns aux."""
    values = [variable.value for variable in variables]
    # Watching only what moves: the other player's weights need no gradient, and get none by accident.
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(values)
        total, aux = loss()
    optimizer.apply(tape.gradient(total, values), variables)
    return aux


def compile_step(function: Callable) -> Callable:
    """A graph of `function`; with XLA on a GPU, where it helps, and without on a CPU, where it halves the speed."""
    return tf.function(function, jit_compile=bool(tf.config.list_physical_devices("GPU")))


def compile_inference(function: Callable) -> Callable:
    """A graph of one picture argument [n, h, w, c] that serves every n, h and w without being traced again."""
    graphs = {}

    def call(pictures):
        channels = pictures.shape[-1]
        if channels not in graphs:
            signature = tf.TensorSpec((None, None, None, channels), tf.float32)
            graphs[channels] = tf.function(function, input_signature=[signature])
        return graphs[channels](pictures).numpy()

    return call


def describe_device() -> str:
    """What the numbers are crunched on, for people: the GPU's name, or the CPU and its threads."""
    for gpu in tf.config.list_physical_devices("GPU"):
        return "GPU: " + tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name)
    return f"CPU ({os.cpu_count()} threads)"


def use_device() -> None:
    """Makes TensorFlow take GPU memory as it needs it, not all of it at once, so that others can work beside it."""
    for gpu in tf.config.list_physical_devices("GPU"):
        with suppress(RuntimeError):  # the GPU is in use by this process already; its setting stands
            tf.config.experimental.set_memory_growth(gpu, True)


def resolve_precision(precision: str) -> str:
    """The Keras dtype policy for "auto", "float32" or "bfloat16"; auto asks the hardware."""
    if precision == "auto":
        precision = "bfloat16" if _has_native_bfloat16() else "float32"
    return {"float32": "float32", "bfloat16": "mixed_bfloat16"}[precision]


def _has_native_bfloat16() -> bool:
    for gpu in tf.config.list_physical_devices("GPU"):
        details = tf.config.experimental.get_device_details(gpu)
        return details.get("compute_capability", (0, 0)) >= NATIVE_BFLOAT16_COMPUTE_CAPABILITY
    try:
        flags = Path("/proc/cpuinfo").read_text().split()
    except OSError:
        return False  # not Linux: nothing to ask, so the safe choice
    return not NATIVE_BFLOAT16_CPU_FLAGS.isdisjoint(flags)
