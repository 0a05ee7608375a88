"""Weights in a file of PyTorch, of the form before its version 1.6, read without PyTorch: bytes in, arrays by name out.

Such a file is a pickle, which may name any program. Here it may name the few things that arrays are made of and nothing
else, so that reading it runs nothing.
"""

import io
import pickle
import struct
from collections import OrderedDict
from typing import Any, NamedTuple

import numpy as np

_DTYPES = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}
_COUNT = struct.Struct("<q")  # before the bytes of each storage, how many values they are


class TorchFileError(Exception):
    """Why it cannot be read."""


class _Storage(NamedTuple):
    key: str
    dtype: np.dtype


class _Tensor(NamedTuple):
    """A part of a storage; offset and strides in values."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def _tensor(storage: _Storage, offset: int, shape: tuple, strides: tuple, *unused) -> _Tensor:
    return _Tensor(storage, offset, shape, strides)


_KNOWN = {("torch._utils", "_rebuild_tensor_v2"): _tensor, ("collections", "OrderedDict"): OrderedDict}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if module == "torch" and name in _DTYPES:
            return _DTYPES[name]
        if (module, name) not in _KNOWN:
            raise TorchFileError(f"it names {module}.{name}, which is no array")
        return _KNOWN[module, name]

    def persistent_load(self, pid: tuple) -> _Storage:
        return _Storage(key=pid[2], dtype=pid[1])


def read_torch(content: bytes) -> dict[str, np.ndarray]:
    """The arrays of a state dictionary, by name.

    Raises:
        TorchFileError: it is no such file, or names what is no array.
    """
    file = io.BytesIO(content)
    try:
        for _ in ("magic number", "version", "machine"):
            _Unpickler(file).load()
        tensors: dict[str, _Tensor] = _Unpickler(file).load()
        dtypes = {tensor.storage.key: tensor.storage.dtype for tensor in tensors.values()}
        storages = {}
        for key in _Unpickler(file).load():
            (count,) = _COUNT.unpack(file.read(_COUNT.size))
            storages[key] = np.frombuffer(file.read(count * dtypes[key].itemsize), dtypes[key], count)
        return {name: _cut(tensor, storages[tensor.storage.key]) for name, tensor in tensors.items()}
    except (pickle.UnpicklingError, struct.error, ValueError, KeyError, AttributeError, TypeError, EOFError) as error:
        raise TorchFileError(f"it is damaged: {error}") from error


def _cut(tensor: _Tensor, storage: np.ndarray) -> np.ndarray:
    steps = zip(tensor.shape, tensor.strides, strict=True)
    last = tensor.offset + sum((length - 1) * step for length, step in steps)
    if min((tensor.offset, *tensor.shape, *tensor.strides)) < 0 or last >= len(storage):
        raise ValueError("an array goes beyond what is stored")
    strides = tuple(step * storage.itemsize for step in tensor.strides)
    return np.lib.stride_tricks.as_strided(storage[tensor.offset :], tensor.shape, strides).copy()
