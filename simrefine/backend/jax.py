"""Everything that needs JAX itself; the names are those that `simrefine.backend` gives on.

Keras variables hold their values outside of what JAX compiles. So a step becomes a pure function of the values that it
reads: a scope shows them to it in place of the variables, and takes what it assigns.
"""

import os
from collections import deque
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any

import jax
import keras
import numpy as np
from jax import numpy as jnp
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from keras.src.backend.common.stateless_scope import get_stateless_scope

NATIVE_BFLOAT16_COMPUTE_CAPABILITY = 8.0  # Ampere
STEPS_IN_FLIGHT = 2  # one runs and one waits: more would only pile up batches on the device
BATCH = "batch"  # the axis of the mesh of devices
MOST_PROGRAMS = 64  # that an inference keeps, one a shape of its pictures


_mesh: Mesh | None = None  # of the devices that share the work, where there are several


class Scope(keras.StatelessScope):
    """A scope that knows which variables were read and assigned in it. What it has no value of comes from the scope
    around it, and without one from the variable itself.

    Attributes:
        read, assigned: the variables, by their id.
    """

    def __init__(self, values: Iterable[tuple[keras.Variable, Any]] = ()):
        super().__init__(values)
        self.read: dict[int, keras.Variable] = {}
        self.assigned: dict[int, keras.Variable] = {}
        self._around = get_stateless_scope()

    def get_current_value(self, variable: keras.Variable):
        self.read[id(variable)] = variable
        value = super().get_current_value(variable)
        return self._around.get_current_value(variable) if value is None and self._around else value

    def add_update(self, update: tuple[keras.Variable, Any]) -> None:
        self.assigned[id(update[0])] = update[0]
        super().add_update(update)


def minimise(loss: Callable, variables: list[keras.Variable], optimizer: keras.optimizers.Optimizer) -> dict:
    """One gradient step: `loss()` gives (scalar, aux); `variables`, and nothing else, move; returns aux.

    What `loss` assigns beside (statistics of a batch norm, the state of a dropout) stays assigned.
    """
    beside: list[keras.Variable] = []

    def of(values):
        with Scope(zip(variables, values, strict=True)) as scope:
            total, aux = loss()
        beside[:] = scope.assigned.values()
        return total, (aux, [scope.get_current_value(variable) for variable in beside])

    values = [variable.value for variable in variables]
    (_, (aux, assigned)), gradients = jax.value_and_grad(of, has_aux=True)(values)
    for variable, value in zip(beside, assigned, strict=True):
        variable.assign(value)
    optimizer.apply(gradients, variables)
    return aux


def compile_step(function: Callable, variables: Iterable[keras.Variable]) -> Callable:
    """A program of `function`, one for every shape of its arrays. It takes the memory of the variables that it assigns
    and gives it back with their new values.

    Args:
        function: arrays in, arrays out; all that it makes is returned, and all that lasts is assigned to `variables`.
        variables: every variable that it reads or assigns.

    Raises:
        ValueError: on the first call, `function` uses a variable that is not among `variables`: it would be taken for a
            constant.
        MemoryError: on a call, there is not enough memory for it.
    """
    known = {id(variable) for variable in variables}
    programs: dict[tuple, Callable] = {}

    def call(*arrays):
        leaves, structure = jax.tree.flatten(arrays)
        kind = structure, tuple((np.shape(leaf), jnp.result_type(leaf)) for leaf in leaves)
        if kind not in programs:
            programs[kind] = _program(function, arrays, known)
        return programs[kind](*arrays)

    return call


def _program(function: Callable, arrays: tuple, known: set[int]) -> Callable:
    """See `compile_step`; for `arrays` of one kind."""
    read, moving = _used(function, *arrays)
    unknown = [variable.name for variable in [*read, *moving] if id(variable) not in known]
    if unknown:
        raise ValueError(f"the step uses variables that compile_step does not know: {', '.join(unknown)}")

    # What is only read is not given away: another thread may be reading it.
    def pure(moved, stood, arrays):
        with Scope([*zip(moving, moved, strict=True), *zip(read, stood, strict=True)]) as scope:
            results = function(*arrays)
        return results, [scope.get_current_value(variable) for variable in moving], jnp.zeros(())

    # Where several devices share the work, each keeps all variables, and their new values are the same on all of them.
    placed = {"out_shardings": (None, _everywhere(), None)} if _mesh else {}
    compiled, in_flight = jax.jit(pure, donate_argnums=0, **placed), deque()

    def run(*arrays):
        try:
            if len(in_flight) >= STEPS_IN_FLIGHT:
                in_flight.popleft().block_until_ready()
            results, values, ended = compiled(_values(moving), _values(read), arrays)
        except jax.errors.JaxRuntimeError as error:
            raise _as_memory_error(error) from error
        for variable, value in zip(moving, values, strict=True):
            variable._value = value  # `assign` would look at every one again
        in_flight.append(ended)
        return results

    return run


def compile_inference(function: Callable) -> Callable:
    """A program of one picture argument [n, h, w, c] for each h, w and c that it meets. To keep them few, n is filled
    up with empty pictures to the next power of 2.

    Raises:
        MemoryError: on a call, there is not enough memory for it.
    """

    @lru_cache(MOST_PROGRAMS)
    def program(shape: tuple[int, ...]) -> Callable:
        read, _ = _used(function, jax.ShapeDtypeStruct(shape, np.float32))

        def pure(values, pictures):
            with Scope(zip(read, values, strict=True)):
                return function(pictures)

        compiled = jax.jit(pure)
        return lambda pictures: compiled(_values(read), pictures)

    def call(pictures):
        n, *sides = pictures.shape
        filled = np.zeros((1 << max(n - 1, 0).bit_length(), *sides), np.float32)
        filled[:n] = pictures
        try:
            return np.array(program(filled.shape)(filled)[:n])
        except jax.errors.JaxRuntimeError as error:
            raise _as_memory_error(error) from error

    return call


def _used(function: Callable, *arrays) -> tuple[list[keras.Variable], list[keras.Variable]]:
    """The variables that `function` only reads, and those that it assigns; it is traced for it, and not run."""
    scope = Scope()

    def trace(*arrays):
        with scope:
            return function(*arrays)

    jax.eval_shape(trace, *arrays)
    return [variable for key, variable in scope.read.items() if key not in scope.assigned], [*scope.assigned.values()]


def _values(variables: list[keras.Variable]) -> list:
    if _mesh:
        for variable in variables:
            if variable._value.sharding != _everywhere():
                variable._value = jax.device_put(variable._value, _everywhere())
    return [variable._value for variable in variables]


def _everywhere() -> NamedSharding:
    return NamedSharding(_mesh, PartitionSpec())


def _as_memory_error(error: jax.errors.JaxRuntimeError) -> Exception:
    """MemoryError where that is what JAX means, else the error."""
    return MemoryError(str(error)) if "RESOURCE_EXHAUSTED" in str(error) else error


def read_rows(variable: keras.Variable, places):
    """The rows at `places`, int [n], of a variable [m, ...]: [n, ...]."""
    return jnp.asarray(variable.value)[places]


def write_rows(variable: keras.Variable, places, rows) -> None:
    """Puts `rows` [n, ...] into the different `places`, int [n], of a variable [m, ...]. Alone in a step it is done in
    place; beside a read of the same variable, all of it is copied."""
    variable.assign(jnp.asarray(variable.value).at[places].set(rows, unique_indices=True))


def to_device(arrays: Any) -> Any:
    """Arrays, in tuples, lists and dicts that may hold None, begun to be brought to where they are worked on: where
    several devices share the work, a part of the first axis to each, if it can be divided."""
    if not _mesh:
        return jax.device_put(arrays)
    parts = NamedSharding(_mesh, PartitionSpec(BATCH))

    def place(array):
        divides = np.ndim(array) and len(array) % _mesh.size == 0
        return jax.device_put(array, parts if divides else _everywhere())

    return jax.tree.map(place, arrays)


def use_all_devices() -> int:
    """From now on all devices of one kind share each step: its program is the same, of the whole batch, and the
    compiler divides it, so a loss, a history buffer or a mean is what it is on one device. Returns how many there are.
    """
    global _mesh
    devices = jax.devices()
    _mesh = Mesh(np.array(devices), (BATCH,)) if len(devices) > 1 else None
    return len(devices)


def device_count() -> int:
    """How many devices share the work."""
    return _mesh.size if _mesh else 1


def describe_device() -> str:
    """What the numbers are crunched on, for people: the GPU's name, or the CPU and its threads."""
    device, count = jax.devices()[0], f"{device_count()} x " if device_count() > 1 else ""
    return count + (f"CPU ({os.cpu_count()} threads)" if device.platform == "cpu" else f"GPU: {device.device_kind}")


def has_gpu() -> bool:
    """Whether there is a GPU that this backend can use."""
    return jax.devices()[0].platform == "gpu"


def gpu_bytes() -> int | None:
    """The memory that there is for this process on the GPU; None where there is no GPU, or it does not say."""
    return (jax.devices()[0].memory_stats() or {}).get("bytes_limit") if has_gpu() else None


def use_device() -> None:
    """Lets a GPU use TF32 where a product is float32."""
    if has_gpu():
        jax.config.update("jax_default_matmul_precision", "tensorfloat32")


def resolve_precision(precision: str) -> str:
    """The Keras dtype policy for "auto", "float32" or "bfloat16"; auto asks the hardware."""
    if precision == "auto":
        precision = "bfloat16" if has_native_bfloat16() else "float32"
    return {"float32": "float32", "bfloat16": "mixed_bfloat16"}[precision]


def has_native_bfloat16() -> bool:
    """Whether bfloat16 is the faster choice: on GPUs from Ampere on."""
    if not has_gpu():
        return False
    try:
        return float(jax.devices()[0].compute_capability) >= NATIVE_BFLOAT16_COMPUTE_CAPABILITY
    except (AttributeError, ValueError):  # a GPU of another make
        return False
