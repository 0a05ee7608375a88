"""Everything that needs TensorFlow itself; the names are those that `simrefine.backend` gives on."""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

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


def compile_step(function: Callable, variables: Iterable[keras.Variable]) -> Callable:
    """A graph of `function`; with XLA on a GPU, where it helps, and without on a CPU, where it halves the speed.

    Args:
        function: arrays in, arrays out; all that it makes is returned, and all that lasts is assigned to `variables`.
        variables: every variable that it reads or assigns. TensorFlow finds them by itself; a backend without state of
            its own must know them, and would take one that is missing here for a constant, without an error. So one
            that is missing is an error on every backend.

    Raises:
        ValueError: on the first call, `function` uses a variable that is not among `variables`.
        MemoryError: on a call, there is not enough memory for it.
    """
    graph = tf.function(function, jit_compile=has_gpu())
    known = {id(variable.value) for variable in variables}
    checked = False

    def call(*arrays):
        nonlocal checked
        if not checked:
            used = graph.get_concrete_function(*arrays).graph.variables
            unknown = [variable.name for variable in used if id(variable) not in known]
            if unknown:
                raise ValueError(f"the step uses variables that compile_step does not know: {', '.join(unknown)}")
            checked = True
        with _short_memory_as_memory_error():
            return graph(*arrays)

    return call


def compile_inference(function: Callable) -> Callable:
    """A graph of one picture argument [n, h, w, c] that serves every n, h and w without being traced again.

    Raises:
        MemoryError: on a call, there is not enough memory for it.
    """
    graphs = {}

    def call(pictures):
        channels = pictures.shape[-1]
        if channels not in graphs:
            signature = tf.TensorSpec((None, None, None, channels), tf.float32)
            graphs[channels] = tf.function(function, input_signature=[signature])
        with _short_memory_as_memory_error():
            return graphs[channels](pictures).numpy()

    return call


@contextmanager
def _short_memory_as_memory_error() -> Iterator[None]:
    try:
        yield
    except tf.errors.ResourceExhaustedError as error:
        raise MemoryError(str(error)) from error


def read_rows(variable: keras.Variable, places):
    """The rows at `places`, int [n], of a variable [m, ...]: [n, ...]."""
    return tf.gather(variable.value, places)  # of the variable, not of a copy, as `keras.ops.take` has it


def write_rows(variable: keras.Variable, places, rows) -> None:
    """Puts `rows` [n, ...] into the different `places`, int [n], of a variable [m, ...], in place."""
    variable.value.scatter_update(tf.IndexedSlices(rows, places))


def to_device(arrays: Any) -> Any:
    """Arrays, in tuples, lists and dicts that may hold None, brought to where they are worked on."""
    if not has_gpu():
        return arrays
    return tf.nest.map_structure(lambda array: None if array is None else tf.constant(array), arrays)


def use_all_devices() -> int:
    """TensorFlow keeps to one: how many devices share the work."""
    return 1


def device_count() -> int:
    """How many devices share the work."""
    return 1


def describe_device() -> str:
    """What the numbers are crunched on, for people: the GPU's name, or the CPU and its threads."""
    for gpu in tf.config.list_physical_devices("GPU"):
        return "GPU: " + tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name)
    return f"CPU ({os.cpu_count()} threads)"


def has_gpu() -> bool:
    """Whether there is a GPU that this backend can use."""
    return bool(tf.config.list_physical_devices("GPU"))


def gpu_bytes() -> int | None:
    """The memory that there is for this process on the GPU; None, as TensorFlow does not say."""
    return None


def use_device() -> None:
    """Makes TensorFlow take GPU memory as it needs it, not all of it at once, so that others can work beside it."""
    for gpu in tf.config.list_physical_devices("GPU"):
        with suppress(RuntimeError):  # the GPU is in use by this process already; its setting stands
            tf.config.experimental.set_memory_growth(gpu, True)


def resolve_precision(precision: str) -> str:
    """The Keras dtype policy for "auto", "float32" or "bfloat16"; auto asks the hardware."""
    if precision == "auto":
        precision = "bfloat16" if has_native_bfloat16() else "float32"
    return {"float32": "float32", "bfloat16": "mixed_bfloat16"}[precision]


def has_native_bfloat16() -> bool:
    """Whether bfloat16 is the faster choice: on GPUs from Ampere on, and CPUs that have instructions for it."""
    for gpu in tf.config.list_physical_devices("GPU"):
        details = tf.config.experimental.get_device_details(gpu)
        return details.get("compute_capability", (0, 0)) >= NATIVE_BFLOAT16_COMPUTE_CAPABILITY
    try:
        flags = Path("/proc/cpuinfo").read_text().split()
    except OSError:
        return False  # not Linux: nothing to ask, so the safe choice
    return not NATIVE_BFLOAT16_CPU_FLAGS.isdisjoint(flags)
