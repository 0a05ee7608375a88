"""Which backend and which device, before anything of them is imported."""

import pytest

from simrefine import choice, devices
from simrefine.errors import UserError
from simrefine.training import room


@pytest.fixture
def machine(monkeypatch):
    """Sets what is installed and whether there is a GPU."""

    def be(*installed: str, gpu: bool = False):
        monkeypatch.setattr(choice, "find_spec", lambda name: name in installed)
        monkeypatch.setattr(choice, "NVIDIA_DRIVERS", ("/dev/null",) if gpu else ())

    return be


def chosen(backend="auto", device="auto", **environment):
    why = choice.choose(backend, device, environment)
    assert why
    return environment


def test_tensorflow_is_the_default_and_jax_where_it_alone_can_use_the_gpu_or_is_installed(machine):
    machine("tensorflow", "jax")
    assert chosen()["KERAS_BACKEND"] == "tensorflow"
    machine("jax")
    assert chosen()["KERAS_BACKEND"] == "jax"
    machine("tensorflow", "jax", "jax_cuda12_plugin", gpu=True)
    assert chosen()["KERAS_BACKEND"] == "jax"
    assert chosen(device="cpu")["KERAS_BACKEND"] == "tensorflow", "the GPU is not to be used"
    assert chosen(CUDA_VISIBLE_DEVICES="")["KERAS_BACKEND"] == "tensorflow"


def test_the_flag_goes_before_the_variable_and_the_variable_before_the_default(machine):
    machine("tensorflow", "jax")
    assert chosen(KERAS_BACKEND="jax")["KERAS_BACKEND"] == "jax"
    assert chosen("tensorflow", KERAS_BACKEND="jax")["KERAS_BACKEND"] == "tensorflow"


def test_a_device_is_what_the_backends_will_see(machine):
    machine("tensorflow", "jax")
    hidden = chosen(device="cpu")
    assert hidden["CUDA_VISIBLE_DEVICES"] == "-1" and hidden["JAX_PLATFORMS"] == "cpu"
    assert chosen(device="gpu:1")["CUDA_VISIBLE_DEVICES"] == "1"
    assert chosen(device="gpu:1", CUDA_VISIBLE_DEVICES="4,6")["CUDA_VISIBLE_DEVICES"] == "6"
    assert "CUDA_VISIBLE_DEVICES" not in chosen(device="gpu")


@pytest.mark.parametrize(
    ("backend", "device", "message"),
    [
        ("torch", "auto", "'torch' is unknown"),
        ("jax", "auto", r"jax is not installed.*\[jax\]"),
        ("auto", "tpu", "'tpu' is unknown"),
        ("auto", "cpu:1", "'cpu:1' is unknown"),
        ("auto", "gpu:x", "'gpu:x' is unknown"),
        ("auto", "gpu:2", "CUDA_VISIBLE_DEVICES names 2"),
    ],
)
def test_what_there_is_not_is_refused_with_what_to_do(machine, backend, device, message):
    machine("tensorflow")
    with pytest.raises(UserError, match=message):
        chosen(backend, device, CUDA_VISIBLE_DEVICES="0,1")


def test_a_gpu_that_the_backend_does_not_see_is_refused(monkeypatch):
    monkeypatch.setattr(devices.backend, "has_gpu", lambda: False)
    devices.check_device("cpu")
    with pytest.raises(UserError, match="there is no gpu:0"):
        devices.check_device("gpu:0")


def test_devices_says_what_is_seen_and_what_is_chosen_and_why(monkeypatch):
    monkeypatch.setattr(devices.backend, "has_gpu", lambda: True)
    monkeypatch.setattr(devices.backend, "has_native_bfloat16", lambda: True)
    monkeypatch.setattr(devices.backend, "resolve_precision", lambda _: "mixed_bfloat16")
    monkeypatch.setattr(devices.backend, "use_device", lambda: None)
    monkeypatch.setattr(devices.backend, "describe_device", lambda: "GPU: one")
    monkeypatch.setattr(devices.backend, "gpu_bytes", lambda: 16 * 2**30)
    said = "\n".join(devices.describe_devices("because"))
    for part in ("because", "GPU: one", "bfloat16", "16.0 GiB", "32: the default; about "):
        assert part in said


def test_all_devices_share_the_work_on_jax_alone(machine, monkeypatch):
    machine("tensorflow", "jax")
    assert "CUDA_VISIBLE_DEVICES" not in chosen(device="all")
    monkeypatch.setattr(devices.backend, "name", "tensorflow")
    with pytest.raises(UserError, match="--device all needs JAX"):
        devices.share_among_all()
    monkeypatch.setattr(devices.backend, "name", "jax")
    monkeypatch.setattr(devices.backend, "use_all_devices", lambda: 3)
    assert devices.share_among_all() == 3


def test_a_batch_that_devices_cannot_share_is_refused_with_one_that_they_can(monkeypatch):
    monkeypatch.setattr(room.backend, "device_count", lambda: 3)
    room.check_batch(33)
    with pytest.raises(UserError, match="a batch of 32 cannot be shared by 3 devices.*--batch-size 33"):
        room.check_batch(32)
